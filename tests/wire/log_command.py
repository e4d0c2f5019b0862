"""`perdure log dump|verify|stats`, beside a running server and without one."""

import glob
import json
import os
import shutil


def fill(world, count=500):
    connection = world.connect()
    for number in range(count):
        connection.send("SET", f"logged:{number}", f"value-{number}")
    for _ in range(count):
        assert connection.read() == "OK"
    connection.expect(1, "HSET", "{actor-x}h", "field", "v")


def numbers_in(tree):
    """All numbers of a JSON value by their names."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                yield name, value
            else:
                yield from numbers_in(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from numbers_in(item)


def test_stats_beside_the_server(world):
    fill(world)
    _, stdout, _ = world.perdure("log", "stats", "--data", world.server.directory, "-o", "json")
    records = [value for name, value in numbers_in(json.loads(stdout)) if name == "records"]
    assert records and max(records) >= 501, stdout
    _, stdout, _ = world.perdure("log", "stats", "--data", world.server.directory)
    assert "record" in stdout, stdout


def test_verify_beside_the_server(world):
    fill(world)
    status, stdout, stderr = world.perdure("log", "verify", "--data", world.server.directory)
    assert status == 0 and stdout + stderr, "a verification says what it verified"
    world.connect().expect("PONG", "PING")


def test_dump_beside_the_server(world):
    fill(world)
    _, stdout, _ = world.perdure("log", "dump", "--data", world.server.directory)
    for text in ("logged:499", "actor-x"):
        assert text in stdout, f"{text} is not in the dump: {stdout[-500:]}"


def test_dump_as_json(world):
    fill(world, 50)
    _, stdout, _ = world.perdure("log", "dump", "--data", world.server.directory, "-o", "json")
    assert stdout.strip(), "nothing was printed"
    try:
        json.loads(stdout)
    except ValueError:
        for line in stdout.strip().splitlines():
            json.loads(line)


def test_while_writing(world):
    """Reading the log beside a server that writes never reports damage, and stops nothing."""
    connection = world.connect()
    connection.send_raw(b"".join(b"*3\r\n$3\r\nSET\r\n$6\r\n%06d\r\n$3\r\nabc\r\n" % number for number in range(200000)))
    for _ in range(5):
        world.perdure("log", "verify", "--data", world.server.directory)
    assert [connection.read() for _ in range(200000)] == ["OK"] * 200000


def test_without_a_server(world):
    fill(world)
    world.server.stop()
    for verb in ("stats", "verify", "dump"):
        world.perdure("log", verb, "--data", world.server.directory)


def test_after_a_kill(world):
    """The torn tail of a killed server is no damage."""
    fill(world)
    world.server.kill()
    world.perdure("log", "verify", "--data", world.server.directory)


def test_no_directory(world):
    for verb in ("stats", "verify", "dump"):
        status, stdout, stderr = world.perdure("log", verb, "--data", world.path("nothing"), check=False)
        assert status != 0 and "nothing" in stderr, f"{verb}: {status} {stdout} {stderr}"
    assert not os.path.exists(world.path("nothing")), "a command that reads made a directory"


def segment_with(directory, text):
    """(path, offset) of where the log holds this text."""
    for path in sorted(glob.glob(os.path.join(directory, "**", "*"), recursive=True)):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                offset = file.read().find(text)
            if offset >= 0:
                return path, offset
    raise AssertionError(f"{text!r} is nowhere in {directory}")


def rotten_copy(world, text):
    """A copy of the (stopped) server's directory in which one bit of this text has flipped."""
    world.server.stop()
    copy = world.path("rotten")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(world.server.directory, copy)
    path, offset = segment_with(copy, text)
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))
    return copy


def test_rot_is_found(world):
    fill(world)
    copy = rotten_copy(world, b"value-250")
    status, stdout, stderr = world.perdure("log", "verify", "--data", copy, check=False)
    assert status != 0, f"a flipped bit was not found: {stdout} {stderr}"
    assert any(word.isdigit() or word.strip(".,;:()").isdigit() for word in (stdout + stderr).split()), \
        f"no LSN is named: {stdout} {stderr}"


def test_rot_is_never_served(world):
    """With a rotten record in the middle, the server either refuses to start and says why, or sets the actor aside; it
    never answers as if the record had not been."""
    connection = world.connect()
    connection.expect("OK", "SET", "{sick}k", "first-value-of-sick")
    connection.expect("OK", "SET", "{sick}k", "second-value-of-sick")
    for number in range(100):
        connection.expect("OK", "SET", f"{{well}}{number}", "x" * 3000)
    copy = rotten_copy(world, b"second-value-of-sick")
    server = world.new_server("rotten")
    try:
        server.start(timeout=20)
    except Exception as error:
        assert "LSN" in str(error) or "lsn" in str(error), f"refused without naming what is damaged: {error}"
        return
    reply = world.connect(server).command("GET", "{sick}k")
    assert reply not in (b"first-value-of-sick", None), f"a lost record was passed over in silence: {reply!r}"
    assert "CORRUPT" in str(reply), reply
    world.connect(server).expect(b"x" * 3000, "GET", "{well}99")
