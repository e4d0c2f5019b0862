"""Starting, stopping, starting again; and every way in which a start must fail clearly."""

import os
import shutil
import signal
import subprocess
import time

from processes import HOST, START_TIMEOUT_S, ServerError, free_port, need_program

FAIL_TIMEOUT_S = 15  # a start that cannot succeed says so, and does not hang


USAGE, BUSY, DAMAGED = 2, 3, 4  # exit statuses: see src/server/server.h


def fails(world, *words, texts=(), prefix=(), status_wanted=None):
    """The command ends by itself with an error that holds each of the texts. Returns what it said."""
    try:
        status, stdout, stderr = world.run(*prefix, world.binary, *words, timeout=FAIL_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{' '.join(map(str, words))} did not fail within {FAIL_TIMEOUT_S} s") from None
    right = status > 0 if status_wanted is None else status == status_wanted
    assert right, f"{words} ended with {status}: {stdout} {stderr}"
    for text in texts:
        assert text.lower() in stderr.lower(), f"{text!r} is not in {stderr!r}"
    return stderr


def server_fails(world, directory, *options, **how):
    return fails(world, "server", "--data", directory, "--resp", free_port(), "--http", 0, *options, **how)


def everything(connection):
    """A bit of each kind of state."""
    connection.expect("OK", "SET", "s", bytes(range(256)))
    connection.expect("OK", "SET", "empty", "")
    connection.expect(2, "HSET", "h", "f", "v", "g", "w")
    connection.expect("OK", "SET", "later", "x", "PX", 3600_000)
    connection.expect("OK", "SET", "soon", "x", "PX", 1)
    connection.expect("OK", "SET", "{other}k", "1")
    connection.expect(3, "INCRBY", "n", 3)
    connection.expect("OK", "SET", "gone", "x")
    connection.expect(1, "DEL", "gone")


def is_all_there(connection):
    connection.expect(bytes(range(256)), "GET", "s")
    connection.expect(b"", "GET", "empty")
    assert sorted(connection.command("HGETALL", "h")) == [b"f", b"g", b"v", b"w"]
    assert 3500_000 < connection.command("PTTL", "later") <= 3600_000
    connection.expect(None, "GET", "soon")
    connection.expect(b"1", "GET", "{other}k")
    connection.expect(b"3", "GET", "n")
    connection.expect(0, "EXISTS", "gone")
    connection.expect(6, "DBSIZE")


def test_stop_and_start(world):
    everything(world.connect())
    assert world.server.stop() == 0
    world.server.start()
    is_all_there(world.connect())


def test_interrupt_is_a_stop(world):
    everything(world.connect())
    world.server.process.send_signal(signal.SIGINT)
    assert world.server.process.wait(20) == 0
    world.server.start()
    is_all_there(world.connect())


def test_kill_and_start(world):
    for _ in range(5):
        connection = world.connect()
        connection.expect("OK", "FLUSHALL")
        everything(connection)
        world.server.kill()
        world.server.start()
        is_all_there(world.connect())


def test_stop_under_load(world):
    """What was answered before a stop is there after it; no answer is made up."""
    connection = world.connect()
    connection.send_raw(b"".join(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n" for _ in range(20000)))
    assert connection.read() == 1
    world.server.process.terminate()
    last = 1
    try:
        while True:
            reply = connection.read()
            if not isinstance(reply, int):
                break
            last = reply
    except Exception:
        pass
    assert world.server.process.wait(20) == 0
    world.server.start()
    value = int(world.connect().command("GET", "n"))
    assert value >= last, f"{last} was acknowledged, {value} is there"


def test_shutdown_command(world):
    connection = world.connect()
    connection.expect("OK", "SET", "a", "1")
    connection.send("SHUTDOWN")
    assert world.server.process.wait(20) == 0
    world.server.start()
    world.connect().expect(b"1", "GET", "a")


def test_data_directory_is_made(world):
    server = world.new_server("deep/er/data")
    try:
        server.log_path = world.path("deep.log")
        server.start()
    except ServerError as error:
        assert "deep" in str(error), error  # refused is fine when it says so: one level is enough
    else:
        assert oct(os.stat(server.directory).st_mode & 0o077) == "0o0", "others can read the data"


def test_listens_on_loopback_only(world):
    _, stdout, _ = world.run(need_program("ss", "iproute2"), "-ltnp")
    mine = [line for line in stdout.splitlines() if f"pid={world.server.pid}," in line]
    assert mine and all(f" {HOST}:" in line or "[::1]:" in line for line in mine), mine


def test_taken_port(world):
    stderr = fails(world, "server", "--data", world.path("second"), "--resp", world.server.port,
                   texts=[str(world.server.port)])
    assert "--resp" in stderr, f"it does not say what to do: {stderr}"
    world.connect().expect("PONG", "PING")


def test_locked_directory(world):
    world.connect().expect("OK", "SET", "a", "1")
    server_fails(world, world.server.directory, texts=[str(world.server.pid), world.server.directory],
                 status_wanted=BUSY)
    world.connect().expect(b"1", "GET", "a")


def test_unknown_options(world):
    directory = world.path("unused")
    for words, text in ((("--nonsense",), "--nonsense"), (("--durability", "nonsense"), "nonsense"),
                        (("--sync-interval", "x"), "--sync-interval"), (("--durability", "critical"), "critical"),
                        (("extra",), "extra")):
        server_fails(world, directory, *words, texts=[text], status_wanted=USAGE)
    for words, text in ((("server", "--data", directory, "--resp", "70000"), "70000"),
                        (("server", "--data", directory, "--resp", "x"), "--resp"), (("server", "--data"), "--data"),
                        (("nonsense",), "nonsense"), (("log", "nonsense"), "nonsense"), (("bench", "--nonsense"), "--nonsense")):
        fails(world, *words, texts=[text], status_wanted=USAGE)
    assert not os.path.exists(directory), "a refused command line made a data directory"


def test_doors_that_are_not_built(world):
    """0 is off, anything else is refused, until the door is there."""
    server = world.new_server("doors", ["--pg", "0", "--grpc", "0"])
    server.start()
    server.stop()
    for door in ("--pg", "--grpc"):
        server_fails(world, world.path("doors"), door, free_port(), texts=[door], status_wanted=USAGE)


def test_help_and_version(world):
    _, stdout, _ = world.perdure("--version")
    assert any(character.isdigit() for character in stdout), stdout
    for words in (("help",), ("--help",), ("server", "--help"), ("bench", "--help"), ("log", "--help")):
        _, stdout, _ = world.perdure(*words)
        assert len(stdout) > 50, f"{words}: {stdout!r}"


def test_data_is_a_file(world):
    with open(world.path("a-file"), "w") as file:
        file.write("x")
    server_fails(world, world.path("a-file"), texts=["a-file"])


def unprivileged(world):
    """A prefix that runs a command as nobody, so that permissions mean something; none if we are not root."""
    if os.geteuid() != 0:
        return []
    return [need_program("setpriv", "util-linux"), "--reuid=65534", "--regid=65534", "--clear-groups"]


def reachable(world, name):
    """A directory that nobody may enter: the checkout itself may be closed to them."""
    directory = f"/tmp/perdure-wire-{os.getpid()}-{name}"
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory, mode=0o755)
    shutil.copy(world.binary, os.path.join(directory, "perdure"))
    os.chmod(os.path.join(directory, "perdure"), 0o755)
    return directory


def run_as_nobody(world, place, data):
    command = [*unprivileged(world), os.path.join(place, "perdure"), "server", "--data", data, "--resp", free_port(), "--http", "0"]
    try:
        status, _, stderr = world.run(*command, timeout=FAIL_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"it did not fail within {FAIL_TIMEOUT_S} s") from None
    return status, stderr


def test_read_only_directory(world):
    place = reachable(world, "read-only")
    data = os.path.join(place, "data")
    os.makedirs(data, mode=0o555)
    os.chmod(data, 0o555)
    try:
        status, stderr = run_as_nobody(world, place, data)
        assert status > 0 and data in stderr and "ermission" in stderr, f"{status}: {stderr}"
        assert os.listdir(data) == []
    finally:
        shutil.rmtree(place)


def test_directory_of_somebody_else(world):
    world.connect().expect("OK", "SET", "a", "1")
    world.server.stop()
    place = reachable(world, "foreign")
    data = os.path.join(place, "data")
    try:
        shutil.copytree(world.server.directory, data)
        status, stderr = run_as_nobody(world, place, data)
        assert status > 0 and "ermission" in stderr, f"{status}: {stderr}"
    finally:
        shutil.rmtree(place)


def copy_of_data(world, name):
    """A stopped server's directory, to be spoilt."""
    world.connect().expect("OK", "SET", "a", "kept")
    world.server.stop()
    copy = world.path(name)
    shutil.copytree(world.server.directory, copy)
    return copy


def manifest_of(directory):
    """The file that says what the directory is: the one at the top that is no lock and no log."""
    names = [name for name in os.listdir(directory) if "manifest" in name.lower()]
    assert names, f"no manifest in {os.listdir(directory)}"
    return os.path.join(directory, names[0])


def snapshot(directory):
    """Names and contents, for `nothing was changed`."""
    contents = {}
    for base, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(base, name)
            if "lock" not in name.lower():
                with open(path, "rb") as file:
                    contents[os.path.relpath(path, directory)] = hash(file.read())
    return contents


def test_corrupt_manifest(world):
    copy = copy_of_data(world, "corrupt")
    path = manifest_of(copy)
    with open(path, "r+b") as file:
        data = bytearray(file.read())
        data[len(data) // 2] ^= 0x01
        file.seek(0)
        file.write(data)
    before = snapshot(copy)
    server_fails(world, copy, texts=[os.path.basename(path)], status_wanted=DAMAGED)
    assert snapshot(copy) == before, "a directory that cannot be used was changed"


def test_every_bit_of_the_manifest(world):
    """Whatever bit flips, the server does not start on it, and does not fall over."""
    copy = copy_of_data(world, "bits")
    path = manifest_of(copy)
    with open(path, "rb") as file:
        good = file.read()
    for position in range(0, len(good), max(1, len(good) // 24)):
        bad = bytearray(good)
        bad[position] ^= 1 << (position % 8)
        with open(path, "wb") as file:
            file.write(bad)
        server_fails(world, copy, status_wanted=DAMAGED)


def test_empty_and_missing_manifest(world):
    """With a log but without a manifest nothing may be begun anew over it."""
    copy = copy_of_data(world, "empty-manifest")
    path = manifest_of(copy)
    with open(path, "wb"):
        pass
    server_fails(world, copy, texts=[os.path.basename(path)])
    os.unlink(path)
    before = snapshot(copy)
    server_fails(world, copy)
    assert snapshot(copy) == before


def test_newer_format(world):
    """A directory that a later version wrote says so; the version is in the manifest, and its checksum is right."""
    copy = copy_of_data(world, "newer")
    make_newer(manifest_of(copy))
    before = snapshot(copy)
    server_fails(world, copy, texts=["newer"], status_wanted=DAMAGED)
    assert snapshot(copy) == before


def make_newer(path):
    """The manifest's lines are `perdure VERSION` … `crc CRC32C of the lines above`."""
    with open(path) as file:
        lines = file.read().splitlines(keepends=True)
    assert lines[0] == "perdure 1\n" and lines[-1].startswith("crc "), lines
    body = "perdure 2\n" + "".join(lines[1:-1])
    with open(path, "w") as file:
        file.write(f"{body}crc {crc32c(body.encode()):08x}\n")


def crc32c(data):
    """Castagnoli's polynomial, reflected, a bit at a time."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_recovery_killed_again_and_again(world):
    connection = world.connect()
    connection.send_raw(b"".join(b"*3\r\n$3\r\nSET\r\n$6\r\n%06d\r\n$3\r\nabc\r\n" % number for number in range(50000)))
    assert [connection.read() for _ in range(50000)] == ["OK"] * 50000
    world.server.kill()
    for number in range(20):
        world.server.port = free_port()
        world.server.launch()
        time.sleep(0.004 * number)
        world.server.kill()
    world.server.start()
    world.connect().expect(50000, "DBSIZE")


def test_loading_is_said(world):
    """While it recovers, a client is told to wait, or waits; it never sees half of the state."""
    connection = world.connect()
    connection.send_raw(b"".join(b"*3\r\n$3\r\nSET\r\n$6\r\n%06d\r\n$3\r\nabc\r\n" % number for number in range(100000)))
    assert [connection.read() for _ in range(100000)] == ["OK"] * 100000
    connection.expect("OK", "SET", "last", "1")
    world.server.kill()
    world.server.port = free_port()
    world.server.launch()
    deadline = time.monotonic() + START_TIMEOUT_S
    answers = set()
    while time.monotonic() < deadline:
        try:
            reply = world.connect(timeout=START_TIMEOUT_S).command("GET", "last")
        except OSError:
            time.sleep(0.001)
            continue
        answers.add(str(reply).split()[0])
        if reply == b"1":
            break
    assert answers <= {"b'1'", "LOADING"}, answers
