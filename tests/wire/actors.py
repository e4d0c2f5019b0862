"""Actors as their owners see them: PD.ACTOR and `perdure actor`."""

import base64
import hashlib
import json
import os
import pty
import re
import subprocess
import threading
import time

import redis

from resp_connection import RespError, encode

USAGE, FAILURE, BUSY = 2, 1, 3

# Whatever a name may be: bytes, not text.
HOSTILE = [b"\x00", b"a\nb\r\nc", b"\x1b[31mred", b"\xff\xfe\xfd", b"caf\xc3\xa9", b"\xc3", b"sp ace", b"'\"\\", b"*?[a]",
           b"a/b", b"/", b"{", b"x" * 256, b"\x80" * 256]


def is_error(reply, text=""):
    assert isinstance(reply, RespError) and text in str(reply), f"{reply!r} instead of an error with {text!r}"


def forget_all(connection):
    for name in names_of(connection):
        connection.expect(1, "PD.ACTOR", "DROP", name)


def names_of(connection, *words, count=1000):
    """Every name, page by page."""
    found, cursor = [], b"0"
    while True:
        cursor, names = connection.command("PD.ACTOR", "LIST", "CURSOR", cursor, "COUNT", count, *words)
        found += names
        if cursor == b"0":
            return found


def info_of(connection, name):
    reply = connection.command("PD.ACTOR", "INFO", name)
    assert isinstance(reply, (list, dict)), reply
    if isinstance(reply, dict):
        return reply
    return {key.decode(): value for key, value in zip(reply[::2], reply[1::2])}


def test_list(world):
    connection = world.connect()
    forget_all(connection)
    connection.expect([b"0", []], "PD.ACTOR", "LIST")
    for name in ("user:2", "user:1", "order:1"):
        connection.expect("OK", "SET", f"{{{name}}}k", "1")
    connection.expect([b"0", [b"user:2", b"user:1", b"order:1"]], "PD.ACTOR", "LIST")
    connection.expect([b"0", [b"user:2", b"user:1"]], "PD.ACTOR", "LIST", "MATCH", "user:*")
    connection.expect([b"0", []], "pd.actor", "list", "match", "nobody*", "count", "7")
    cursor, names = connection.command("PD.ACTOR", "LIST", "COUNT", "2")
    assert cursor != b"0" and names == [b"user:2", b"user:1"], (cursor, names)
    connection.expect([b"0", [b"order:1"]], "PD.ACTOR", "LIST", "COUNT", "2", "CURSOR", cursor)
    assert names_of(connection, "MATCH", "*:1", count=1) == [b"user:1", b"order:1"]
    connection.expect("OK", "PD.USE", "acme/main")
    connection.expect([b"0", []], "PD.ACTOR", "LIST")
    connection.expect("OK", "SET", "k", "1")
    connection.expect([b"0", [b"main"]], "PD.ACTOR", "LIST")
    connection.expect([b"0", [b"user:1"]], "PD.ACTOR", "LIST", "TENANT", "default", "MATCH", "user:1")
    for words in (("COUNT",), ("COUNT", "0"), ("COUNT", "10001"), ("COUNT", "many"), ("CURSOR", "-1"), ("NONSENSE", "1"),
                  ("MATCH", "a", "b")):
        is_error(connection.command("PD.ACTOR", "LIST", *words), "ERR ")
    is_error(connection.command("PD.ACTOR", "LIST", "TENANT", "nobody"), "there is no tenant 'nobody'")
    is_error(connection.command("PD.ACTOR", "NONSENSE"), "unknown subcommand")
    assert any(line.startswith("LIST") for line in connection.command("PD.ACTOR", "HELP"))


def test_info(world):
    client = redis.Redis(port=world.server.port)
    connection = world.connect()
    client.set("{ada}k", 1, px=100000)
    client.hset("{ada}h", mapping={"a": 1, "b": 2})
    info = info_of(connection, "ada")
    assert info["tenant"] == b"default" and info["name"] == b"ada", info
    assert info["keys"] == 2 and info["expiring_keys"] == 1, info
    assert info["durability"] == b"strict" and info["durability_from"] == b"server", info
    assert info["quarantined"] in (0, False), info
    # k; h and its two fields: each key with its space before it, and fields with their hash's name.
    assert info["bytes"] == (2 + 1) + (2 + 1) + 2 * (1 + 2 + 1 + 1 + 1) and info["bytes_counted"] == b"exact", info
    assert abs(info["last_write_us"] / 1e6 - time.time()) < 600, info
    assert connection.command("PD.BOOKMARK", info["created"]) == b"reached"
    connection.expect("OK", "PD.PROFILE", "TENANT", "standard")
    assert info_of(connection, "ada")["durability_from"] == b"tenant"
    connection.expect("OK", "PD.PROFILE", "ACTOR", "ada", "none")
    info = info_of(connection, "ada")
    assert (info["durability"], info["durability_from"]) == (b"none", b"actor"), info
    connection.expect("OK", "PD.PROFILE", "TENANT", "default")
    is_error(connection.command("PD.ACTOR", "INFO", "nobody"), "ERR there is no actor 'nobody'")
    is_error(connection.command("PD.ACTOR", "INFO"), "wrong number of arguments")
    assert client.execute_command("PD.ACTOR INFO", "ada")


def test_drop(world):
    connection, other = world.connect(), world.connect()
    connection.expect("OK", "MSET", "{bob}a", "1", "{bob}b", "2", "{eve}a", "3")
    first = info_of(connection, "bob")["id"]
    connection.expect(1, "PD.ACTOR", "DROP", "bob")
    connection.expect(0, "PD.ACTOR", "DROP", "bob")
    other.expect([None, None, b"3"], "MGET", "{bob}a", "{bob}b", "{eve}a")
    is_error(connection.command("PD.ACTOR", "INFO", "bob"), "there is no actor 'bob'")
    other.expect("OK", "SET", "{bob}a", "new")
    assert info_of(connection, "bob")["id"] > first
    receipt = connection.command("PD.RECEIPT")
    assert receipt is not None
    is_error(connection.command("PD.ACTOR", "DROP"), "wrong number of arguments")
    connection.expect(0, "PD.ACTOR", "DROP", "")
    connection.expect("OK", "MULTI")
    is_error(connection.command("PD.ACTOR", "DROP", "bob"), "not allowed inside a transaction")
    connection.expect("OK", "DISCARD")


def test_drop_of_what_is_in_use(world):
    """Sessions go on, with the new and empty actor of that name; `main` is no exception."""
    user, owner = world.connect(), world.connect()
    user.expect("OK", "PD.USE", "in-use")
    user.expect("OK", "SET", "k", "1")
    owner.expect(1, "PD.ACTOR", "DROP", "in-use")
    user.expect(None, "GET", "k")
    user.expect(0, "DBSIZE")
    user.expect([b"0", []], "SCAN", "0")
    user.expect("OK", "SET", "k", "2")
    owner.expect(b"2", "GET", "{in-use}k")
    owner.expect("OK", "SET", "k", "1")
    owner.expect(1, "PD.ACTOR", "DROP", "main")
    owner.expect(None, "GET", "k")
    owner.expect("OK", "SET", "k", "2")
    owner.expect(b"2", "GET", "k")


def test_scan_over_a_drop(world):
    """A SCAN that is in the middle of an actor that goes ends well, and the others' keys all come."""
    connection = world.connect()
    forget_all(connection)
    for actor in range(20):
        connection.expect("OK", "MSET", *sum(([f"{{scan:{actor}}}k{key}", "1"] for key in range(20)), []))
    seen, cursor, pages = set(), b"0", 0
    while True:
        cursor, keys = connection.command("SCAN", cursor, "COUNT", "30")
        seen.update(keys)
        if cursor == b"0":
            break
        for actor in (pages, 19 - pages) if pages < 5 else ():
            connection.expect(1, "PD.ACTOR", "DROP", f"scan:{actor}")
        pages += 1
    for actor in range(5, 15):
        assert sum(key.startswith(b"{scan:%d}" % actor) for key in seen) == 20, actor


def test_watch_sees_the_drop(world):
    watcher, owner = world.connect(), world.connect()
    for before in (True, False):
        for again in (True, False):
            owner.command("PD.ACTOR", "DROP", "watched")
            if before:
                owner.expect("OK", "SET", "{watched}k", "1")
            watcher.expect("OK", "WATCH", "{watched}k")
            if not before:
                owner.expect("OK", "SET", "{watched}k", "2")
            owner.expect(1, "PD.ACTOR", "DROP", "watched")
            if again:
                owner.expect("OK", "SET", "{watched}other", "1")
            watcher.expect("OK", "MULTI")
            watcher.expect("QUEUED", "SET", "{watched}k", "mine")
            watcher.expect(None, "EXEC")
            owner.expect(None, "GET", "{watched}k")
    watcher.expect("OK", "WATCH", "{watched}k")
    watcher.expect("OK", "MULTI")
    watcher.expect("QUEUED", "SET", "{watched}k", "mine")
    watcher.expect(["OK"], "EXEC")


def test_hostile_names(world):
    connection = world.connect()
    forget_all(connection)
    wanted = [name for name in HOSTILE if b"}" not in name]
    for name in wanted:
        connection.expect("OK", "SET", b"{" + name + b"}k", "1")
    assert names_of(connection, count=3) == wanted
    for name in wanted:
        assert info_of(connection, name)["name"] == name
    is_error(connection.command("PD.ACTOR", "INFO", b"no\r\n+OK\r\nbody"))
    is_error(connection.command("PD.ACTOR", "INFO", b"x" * 100000))
    connection.expect(0, "PD.ACTOR", "DROP", b"y" * 100000)
    _, stdout, _ = world.perdure("actor", "ls", "--data", world.server.directory)
    assert "\x1b" not in stdout and "\x00" not in stdout and len(stdout.splitlines()) == len(wanted), stdout
    _, stdout, _ = world.perdure("actor", "ls", "-o", "json", "--data", world.server.directory)
    told = [base64.b64decode(name["base64"]) if isinstance(name, dict) else name.encode() for name in json.loads(stdout)]
    assert told == wanted, told
    for name in wanted:
        if b"\x00" not in name:  # a command line has none
            assert show(world, name)["keys"] == 1
    for name in wanted:
        connection.expect(1, "PD.ACTOR", "DROP", name)
    assert names_of(connection) == []


def show(world, name):
    """What `perdure actor show` says of a name that may be no text."""
    done = subprocess.run([os.fsencode(world.binary), b"actor", b"show", b"-o", b"json", b"--data",
                           os.fsencode(world.server.directory), b"--", name], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def test_command(world):
    data = ("--data", world.server.directory)
    connection = world.connect()
    connection.expect("OK", "MSET", "{cli}a", "1", "{cli}b", "2", "{tool}a", "1")
    _, stdout, _ = world.perdure("actor", "ls", *data, "--match", "[ct]*")
    assert stdout.splitlines()[-2:] == ["cli", "tool"], stdout
    _, stdout, _ = world.perdure("actor", "show", *data, "cli")
    lines = dict(line.split(None, 1) for line in stdout.splitlines())
    assert lines["keys"] == "2" and lines["name"] == "cli" and lines["bytes"] == "6", stdout
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[0-9:]{8}\.\d{6}Z", lines["last_write_us"]), stdout
    _, stdout, _ = world.perdure("actor", "show", *data, "-o", "json", "default/cli")
    assert json.loads(stdout)["keys"] == 2
    status, _, stderr = world.perdure("actor", "show", *data, "nobody", check=False)
    assert status == FAILURE and "there is no actor 'nobody'; 'perdure actor ls' lists" in stderr, stderr
    status, _, stderr = world.perdure("actor", "drop", *data, "cli", check=False)
    assert status == USAGE and "--yes" in stderr, stderr
    assert connection.command("EXISTS", "{cli}a") == 1
    _, stdout, _ = world.perdure("actor", "drop", *data, "--yes", "-o", "json", "cli")
    assert json.loads(stdout) == {"dropped": "cli"}
    status, _, stderr = world.perdure("actor", "drop", *data, "--yes", "cli", check=False)
    assert status == FAILURE and "there is no actor 'cli'" in stderr, stderr
    for words in (("show",), ("show", "a", "b"), ("drop", ""), ("ls", "word"), ("nonsense",), ("ls", "--nonsense"), ()):
        status, _, stderr = world.perdure("actor", *words, check=False)
        assert status == USAGE, (words, stderr)
    status, _, stderr = world.perdure("actor", "ls", "--tenant", "nobody", *data, check=False)
    assert status == FAILURE and "there is no tenant" in stderr, stderr
    for verb in ("ls", "show", "drop"):
        _, stdout, _ = world.perdure("actor", verb, "--help")
        assert "Exit status" in stdout


def on_terminal(world, answer, *words):
    """What is said to somebody at a terminal who answers so."""
    main, side = pty.openpty()
    process = subprocess.Popen([world.binary, "actor", "drop", "--data", world.server.directory, *words], stdin=side, stdout=side,
                               stderr=side)
    os.close(side)
    os.write(main, answer)
    said = b""
    try:
        while chunk := os.read(main, 4096):
            said += chunk
    except OSError:  # the other side is closed
        pass
    os.close(main)
    return process.wait(timeout=30), said.decode()


def test_drop_asks(world):
    connection = world.connect()
    connection.expect("OK", "SET", "{dear}k", "1")
    status, said = on_terminal(world, b"n\n", "dear")
    assert status == FAILURE and "Drop actor dear with its 1 key?" in said and "Nothing was dropped" in said, said
    connection.expect(1, "EXISTS", "{dear}k")
    status, said = on_terminal(world, b"y\n", "dear")
    assert status == 0, said
    connection.expect(0, "EXISTS", "{dear}k")


def test_drop_survives_kill(world):
    connection = world.connect()
    for number in range(50):
        connection.expect("OK", "SET", f"{{killed:{number}}}k", "x" * 1000)
    for number in range(0, 50, 2):
        connection.expect(1, "PD.ACTOR", "DROP", f"killed:{number}")
    connection.expect("OK", "SET", "{killed:0}new", "1")
    ids = {number: info_of(connection, f"killed:{number}")["id"] for number in (0, 1)}
    for _ in range(2):
        world.server.kill()
        world.server.start()
        connection = world.connect()
        names = names_of(connection, "MATCH", "killed:*")
        assert sorted(names) == sorted(b"killed:%d" % number for number in [0, *range(1, 50, 2)]), names
        connection.expect([None, b"1"], "MGET", "{killed:0}k", "{killed:0}new")
        assert {number: info_of(connection, f"killed:{number}")["id"] for number in (0, 1)} == ids


def pipeline(connection, commands):
    """Send them all, and read the replies."""
    replies = []
    for at in range(0, len(commands), 500):
        part = commands[at:at + 500]
        connection.send_raw(b"".join(encode(*words) for words in part))
        replies += [connection.read() for _ in part]
    return replies


def test_a_hundred_thousand(world):
    """Listed page by page while others come and go: those that stay all the time come once each."""
    server = world.new_server("many", ["--durability", "standard"])
    server.start()
    connection, other = world.connect(server), world.connect(server)
    stay = [b"stay:%d" % number for number in range(100000)]
    for at in range(0, len(stay), 1000):
        commands = [("SET", b"{" + name + b"}k", "1") for name in stay[at:at + 1000]]
        commands.append(("SET", b"{go:%d}k" % at, "1"))
        assert all(reply == "OK" for reply in pipeline(connection, commands))
    stop = threading.Event()
    problems = []

    def come_and_go():
        number = 0
        try:
            while not stop.is_set():
                commands = [("SET", f"{{new:{number}}}k", "1"), ("PD.ACTOR", "DROP", f"go:{number * 1000}"),
                            ("PD.ACTOR", "DROP", f"new:{number - 3}")]
                for reply in pipeline(other, commands):
                    if isinstance(reply, RespError):
                        raise AssertionError(str(reply))
                number += 1
        except Exception as error:  # told by the test
            problems.append(error)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for count in (997, 10000):
            found = names_of(connection, count=count)
            assert [name for name in found if name.startswith(b"stay:")] == stay
            assert len(set(found)) == len(found)
    finally:
        stop.set()
        thread.join()
    assert not problems, problems
    server.stop()
    server.start()
    connection = world.connect(server)
    found = names_of(connection, "MATCH", "stay:*", count=5000)
    assert found == stay
    _, stdout, _ = world.perdure("actor", "ls", "--data", server.directory, "--match", "stay:*")
    assert len(stdout.splitlines()) == len(stay)
    server.stop()


# ---- without a server ----


def content_of(directory):
    """Every file with its bytes, but for the lock."""
    found = {}
    for path, _, names in os.walk(directory):
        for name in names:
            if name not in ("LOCK", "admin.sock"):
                with open(os.path.join(path, name), "rb") as file:
                    found[os.path.relpath(os.path.join(path, name), directory)] = hashlib.sha256(file.read()).hexdigest()
    return found


def told(world, server):
    """What is said of all actors, in text and in JSON."""
    data = ("--data", server.directory)
    said = []
    for tenant in ("default", "acme"):
        _, names, _ = world.perdure("actor", "ls", *data, "--tenant", tenant, "-o", "json")
        said.append(names)
        said.append(world.perdure("actor", "ls", *data, "--tenant", tenant, "--match", "*1")[1])
        for name in json.loads(names):
            for words in ((), ("-o", "json")):
                said.append(world.perdure("actor", "show", *data, *words, f"{tenant}/{name}")[1])
    return said


def looked_at(world, server):
    """The same without the server, which changes nothing."""
    before = content_of(server.directory)
    said = told(world, server)
    assert content_of(server.directory) == before
    return said


def test_without_a_server(world):
    server = world.new_server("alone", ["--durability", "strict"])
    server.start()
    connection = world.connect(server)
    for name in ("main", "user:1", "user:2", "gone", "l\u00e4rm"):
        connection.expect("OK", "SET", f"{{{name}}}k", "1")
    connection.expect(1, "HSET", "{user:1}h", "f", "v")
    connection.expect(1, "PEXPIRE", "{user:2}k", "10000000")
    connection.expect("OK", "PD.ACTOR", "PROFILE", "user:1", "DURABILITY", "full", "QUOTA-KEYS", "10")
    connection.expect("OK", "PD.USE", "acme/main")
    connection.expect("OK", "MSET", "a", "1", "{b1}b", "2")
    connection.expect("OK", "PD.TENANT", "PROFILE", "acme", "DURABILITY", "standard")
    connection.expect("OK", "PD.USE", "default/main")
    world.perdure("store", "checkpoint", "--data", server.directory)
    connection.expect(1, "PD.ACTOR", "DROP", "gone")
    connection.expect("OK", "SET", "{user:3}k", "1")
    through_server = told(world, server)
    assert any("user:3" in text for text in through_server) and not any("gone" in text for text in through_server)

    server.kill()
    assert looked_at(world, server) == through_server
    # Without what is on its way back to what it was: with a checkpoint only, and with the log only.
    live = os.path.join(server.directory, "store", "0000", "live")
    os.rename(live, live + "-away")
    assert looked_at(world, server) == through_server
    store = os.path.join(server.directory, "store")
    os.rename(store, store + "-away")
    assert looked_at(world, server) == through_server
    os.rename(store + "-away", store)
    os.rename(live + "-away", live)
    server.start()
    server.stop()
    assert looked_at(world, server) == through_server
    for words, wanted in ((("show", "nobody"), "there is no actor 'nobody'"), (("ls", "--tenant", "nobody"), "there is no tenant 'nobody'")):
        status, _, stderr = world.perdure("actor", words[0], "--data", server.directory, *words[1:], check=False)
        assert status == FAILURE and wanted in stderr, stderr
    # The other words for the same.
    assert world.perdure("actor", "list", "--data", server.directory) == world.perdure("actor", "ls", "--data", server.directory)


def test_without_a_server_nobody_else_has_it(world):
    """A process that is no server: it has the lock."""
    server = world.new_server("held")
    server.start()
    world.connect(server).expect("OK", "SET", "k", "v")
    os.unlink(os.path.join(server.directory, "admin.sock"))
    status, _, stderr = world.perdure("actor", "ls", "--data", server.directory, check=False)
    assert status == BUSY and str(server.process.pid) in stderr, (status, stderr)
    server.stop()


# ---- owners ----


def test_lease(world):
    owner, other = world.connect(), world.connect()
    epoch = owner.command("PD.ACTOR", "ACQUIRE", "leased", "node-1", "600000")
    assert isinstance(epoch, int) and epoch > 0, epoch
    is_error(other.command("PD.ACTOR", "ACQUIRE", "leased", "node-2", "1000"), "BUSY actor 'leased' belongs to 'node-1'")
    info = info_of(owner, "leased")
    assert info["epoch"] == epoch and info["owner"] == b"node-1" and 0 < info["owner_left_ms"] <= 600000, info
    owner.expect("OK", "PD.EPOCH", "leased", epoch)
    owner.expect("OK", "SET", "{leased}k", "1")
    owner.expect("OK", "PD.ACTOR", "RENEW", "leased", "node-1", epoch, "1")
    time.sleep(0.05)
    second = other.command("PD.ACTOR", "ACQUIRE", "leased", "node-2", "600000")
    assert second > epoch
    is_error(owner.command("SET", "{leased}k", "2"), f"STALEEPOCH actor 'leased' has epoch {second}, this write carries {epoch}")
    is_error(owner.command("PD.ACTOR", "RENEW", "leased", "node-1", epoch, "1000"), "STALEEPOCH ")
    owner.expect("OK", "MULTI")
    owner.expect("QUEUED", "SET", "{free}k", "1")
    owner.expect("QUEUED", "SET", "{leased}k", "2")
    is_error(owner.command("EXEC"), "STALEEPOCH ")
    owner.expect(0, "EXISTS", "{free}k")
    owner.expect("OK", "SET", "{free}k", "1")
    world.server.kill()
    world.server.start()
    owner, other = world.connect(), world.connect()
    owner.expect("OK", "PD.EPOCH", "leased", epoch)
    is_error(owner.command("SET", "{leased}k", "2"), "STALEEPOCH ")
    owner.expect("OK", "PD.EPOCH", "leased", "0")
    owner.expect("OK", "SET", "{leased}k", "bare")
    owner.expect("OK", "PD.EPOCH", "leased", epoch)
    owner.expect("RESET", "RESET")
    owner.expect("OK", "SET", "{leased}k", "bare")
    other.expect("OK", "PD.ACTOR", "RELEASE", "leased", "node-2", second)
    reply = other.command("PD.ACTOR", "OWNER", "leased")
    assert dict(zip(reply[::2], reply[1::2]))[b"owner"] == b"", reply
    third = other.command("PD.ACTOR", "ACQUIRE", "leased", "node-3", "600000", "EXCLUSIVE")
    is_error(owner.command("SET", "{leased}k", "3"), "STALEEPOCH actor 'leased' has epoch")
    is_error(owner.command("PD.ACTOR", "DROP", "leased"), "STALEEPOCH ")
    other.expect("OK", "PD.EPOCH", "leased", third)
    other.expect("OK", "SET", "{leased}k", "3")
    other.expect(1, "PD.ACTOR", "DROP", "leased")
    is_error(other.command("SET", "{leased}k", "4"), "STALEEPOCH actor 'leased' has epoch 0")


def test_lease_arguments(world):
    connection = world.connect()
    for words in (("ACQUIRE", "a", "n"), ("ACQUIRE", "a", "n", "0"), ("ACQUIRE", "a", "n", "-1"), ("ACQUIRE", "a", "n", "x"),
                  ("ACQUIRE", "a", "n", "1", "INCLUSIVE"), ("ACQUIRE", "", "n", "1"), ("ACQUIRE", "a", "", "1"),
                  ("ACQUIRE", "a" * 257, "n", "1"), ("ACQUIRE", "a", "n" * 257, "1"), ("ACQUIRE", "a", "n", str(2**63)),
                  ("RENEW", "a", "n", "0", "1"), ("RENEW", "nobody", "n", "1", "1"), ("RELEASE", "nobody", "n", "1"),
                  ("OWNER", "nobody"), ("OWNER",)):
        is_error(connection.command("PD.ACTOR", *words), "ERR ")
    for words in (("a",), ("a", "x"), ("a", "-1"), ("", "1"), ("a{", "1")):
        is_error(connection.command("PD.EPOCH", *words), "ERR ")
    for name in (b"\xff\x00\r\n", b"n\xc3"):
        epoch = connection.command("PD.ACTOR", "ACQUIRE", name, name, "60000")
        connection.expect("OK", "PD.EPOCH", name, epoch)
        connection.expect("OK", "SET", b"{" + name + b"}k", "1")
        is_error(connection.command("PD.ACTOR", "ACQUIRE", name, "another", "60000"), "BUSY ")
        connection.expect("PONG", "PING")


# ---- quotas ----


def test_profile_command(world):
    data = ("--data", world.server.directory)
    connection = world.connect()
    connection.expect("OK", "SET", "{set}k", "1")
    world.perdure("actor", "profile", *data, "--quota-keys", "1", "--durability", "none", "set")
    is_error(connection.command("SET", "{set}l", "1"), "QUOTA ")
    _, stdout, _ = world.perdure("actor", "show", *data, "-o", "json", "set")
    info = json.loads(stdout)
    assert (info["quota_keys"], info["durability"]) == (1, "none"), info
    world.perdure("actor", "profile", *data, "--quota-bytes", "12345", "set")
    assert info_of(connection, "set")["quota_bytes"] == 12345
    world.perdure("actor", "profile", *data, "--clear", "--quota-ops", "100000", "set")
    assert info_of(connection, "set")["quota_bytes"] == 0
    connection.expect("OK", "SET", "{set}l", "1")
    for words in (("set",), ("--quota-keys", "1")):
        status, _, stderr = world.perdure("actor", "profile", *data, *words, check=False)
        assert status == USAGE, stderr
    for words in (("--quota-keys", "x", "set"), ("--quota-keys", "1", "nobody")):
        status, _, stderr = world.perdure("actor", "profile", *data, *words, check=False)
        assert status == FAILURE and stderr.startswith("perdure actor profile: "), stderr


def test_quota_of_keys(world):
    connection = world.connect()
    connection.expect("OK", "MSET", "{q}a", "1", "{q}b", "2")
    connection.expect("OK", "PD.ACTOR", "PROFILE", "q", "QUOTA-KEYS", "3")
    assert info_of(connection, "q")["quota_keys"] == 3
    connection.expect("OK", "SET", "{q}c", "3")
    is_error(connection.command("SET", "{q}d", "4"), "QUOTA actor 'q' may have 3 keys and has 3, this would make it 4: ")
    is_error(connection.command("MSET", "{other}x", "1", "{q}d", "4"), "QUOTA ")
    connection.expect(0, "EXISTS", "{q}d", "{other}x")
    connection.expect("OK", "SET", "{q}c", "overwritten")
    connection.expect("OK", "MULTI")
    connection.expect("QUEUED", "SET", "{q}d", "4")
    connection.expect("QUEUED", "DEL", "{q}a")
    connection.expect(["OK", 1], "EXEC")
    connection.expect("OK", "PD.ACTOR", "PROFILE", "q", "QUOTA-KEYS", "1")
    connection.expect(1, "DEL", "{q}b")
    connection.expect("OK", "SET", "{q}c", "still over, and no more than before")
    is_error(connection.command("HSET", "{q}h", "f", "1"), "QUOTA ")
    world.server.kill()
    world.server.start()
    connection = world.connect()
    is_error(connection.command("SET", "{q}n", "1"), "QUOTA actor 'q' may have 1 keys and has 2")
    connection.expect("OK", "PD.ACTOR", "PROFILE", "q", "CLEAR")
    connection.expect("OK", "SET", "{q}n", "1")
    connection.expect("OK", "PD.ACTOR", "PROFILE", "q", "QUOTA-KEYS", "1")
    connection.expect(1, "PD.ACTOR", "DROP", "q")
    connection.expect("OK", "MSET", "{q}a", "1", "{q}b", "2")


def test_quota_of_a_tenant(world):
    connection, other = world.connect(), world.connect()
    connection.expect("OK", "PD.USE", "small/a")
    connection.expect("OK", "SET", "a", "1")
    connection.expect("OK", "PD.TENANT", "PROFILE", "small", "QUOTA-KEYS", "3", "DURABILITY", "standard")
    connection.expect("OK", "MSET", "b", "2", "{b}a", "3")
    is_error(connection.command("SET", "{c}a", "4"), "QUOTA tenant 'small' may have 3 keys and has 3, this would make it 4: ")
    connection.expect("OK", "SET", "b", "2", "PX", "1")
    for _ in range(100):
        if connection.command("DBSIZE") == 1:
            break
        time.sleep(0.05)
    connection.expect("OK", "SET", "{c}a", "4")
    is_error(connection.command("SET", "{c}b", "4"), "QUOTA ")
    connection.expect(1, "PD.ACTOR", "DROP", "b")
    connection.expect("OK", "SET", "{c}b", "4")
    is_error(connection.command("SET", "{c}d", "4"), "QUOTA ")
    other.expect("OK", "SET", "{b}a", "another tenant's")
    world.server.kill()
    world.server.start()
    connection = world.connect()
    connection.expect("OK", "PD.USE", "small/a")
    is_error(connection.command("SET", "new", "4"), "QUOTA tenant 'small' may have 3 keys and has 3")
    reply = connection.command("PD.TENANT", "INFO")
    info = dict(zip(reply[::2], reply[1::2]))
    assert info[b"keys"] == 3 and info[b"quota_keys"] == 3 and info[b"durability"] == b"standard" and info[b"actors"] == 2, info
    connection.expect("OK", "PD.TENANT", "PROFILE", "small", "CLEAR")
    connection.expect("OK", "SET", "new", "4")


def test_tenant_of_the_connection(world):
    """Without a name it is the connection's own, also before anything was written to it."""
    connection = world.connect()
    connection.expect("OK", "PD.USE", "unwritten/a")
    reply = connection.command("PD.TENANT", "INFO")
    info = dict(zip(reply[::2], reply[1::2]))
    assert info == {b"name": b"unwritten", b"actors": 0, b"keys": 0, b"bytes": 0, b"bytes_counted": b"exact", b"durability": b"default", b"quota_keys": 0, b"quota_bytes": 0,
                    b"quota_ops": 0}, info
    is_error(connection.command("PD.TENANT", "PROFILE", "", "QUOTA-KEYS", "1"), "there is no tenant 'unwritten': write something to it first")
    connection.expect("OK", "SET", "k", "1")
    reply = connection.command("PD.TENANT", "INFO")
    info = dict(zip(reply[::2], reply[1::2]))
    assert (info[b"name"], info[b"actors"], info[b"keys"]) == (b"unwritten", 1, 1), info


def wait_until_counted(connection, name):
    for _ in range(400):
        info = info_of(connection, name)
        if info["bytes_counted"] == b"exact":
            return info["bytes"]
        time.sleep(0.05)
    raise AssertionError(f"the bytes of {name} are never counted: {info}")


def test_quota_of_bytes(world):
    connection = world.connect()
    connection.expect("OK", "SET", "{b}k", "x" * 98)
    connection.expect("OK", "PD.ACTOR", "PROFILE", "b", "QUOTA-BYTES", "300000")
    assert info_of(connection, "b")["quota_bytes"] == 300000
    connection.expect(100, "APPEND", "{b}k", "xx")
    # Larger than a chunk, and refused while it arrives: the connection goes on.
    is_error(connection.command("SET", "{b}large", "y" * 3000000), "QUOTA actor 'b' may have 300000 bytes and has ")
    connection.expect("OK", "SET", "{b}small", "z" * 200000)
    is_error(connection.command("SETRANGE", "{b}small", "400000", "z"), "QUOTA ")
    for _ in range(200):
        if info_of(connection, "b")["bytes"] == 102 + 6 + 200000:
            break
        time.sleep(0.05)
    else:
        raise AssertionError(info_of(connection, "b"))
    world.server.kill()
    world.server.start()
    connection = world.connect()
    is_error(connection.command("SET", "{b}more", "z" * 100000), "QUOTA ")
    connection.expect(1, "DEL", "{b}small")
    connection.expect("OK", "SET", "{b}more", "z" * 100000)
    connection.expect("OK", "PD.ACTOR", "PROFILE", "b", "QUOTA-BYTES", "0")
    connection.expect("OK", "SET", "{b}large", "y" * 3000000)
    # 46 chunks, 13 bytes of key each, and a head of three numbers
    assert 3000000 + 46 * 13 <= wait_until_counted(connection, "b") - 102 - 100005 <= 3000000 + 46 * 13 + 20
    connection.expect(1, "DEL", "{b}large")
    assert wait_until_counted(connection, "b") == 102 + 100005


def test_bytes_of_much_that_goes(world):
    """More fields than are counted at once, in the levels: they are counted beside the serving, and quotas wait for that."""
    connection = world.connect()
    for start in range(0, 5000, 500):
        connection.command("HSET", "{much}h", *sum(([f"f{start + n}", "value"] for n in range(500)), []))
    connection.expect("OK", "SET", "{much}k", "1")
    before = info_of(connection, "much")["bytes"]
    world.run(world.binary, "store", "checkpoint", "--data", world.server.directory)
    connection.expect("OK", "PD.ACTOR", "PROFILE", "much", "QUOTA-BYTES", str(before))
    connection.expect(1, "DEL", "{much}h")
    connection.expect("OK", "SET", "{much}l", "x" * 1000)
    assert wait_until_counted(connection, "much") == 3 + 1002


def test_quota_of_operations(world):
    connection = world.connect()
    connection.expect("OK", "SET", "{busy}k", "1")
    connection.expect("OK", "PD.ACTOR", "PROFILE", "busy", "QUOTA-OPS", "20")
    connection.send_raw(encode("GET", "{busy}k") * 200)
    replies = [connection.read() for _ in range(200)]
    refused = [reply for reply in replies if isinstance(reply, RespError)]
    assert 20 <= len(replies) - len(refused) <= 150, len(refused)
    is_error(refused[0], "QUOTA actor 'busy' may do 20 operations a second and has done them: come again in ")
    connection.expect(None, "GET", "{idle}k")
    for _ in range(100):
        if not isinstance(connection.command("GET", "{busy}k"), RespError):
            break
        time.sleep(0.05)
    else:
        raise AssertionError("no operation is ever allowed again")
    connection.expect("OK", "PD.ACTOR", "PROFILE", "busy", "QUOTA-OPS", "0")
    connection.send_raw(encode("GET", "{busy}k") * 200)
    assert all(connection.read() == b"1" for _ in range(200))


def exists(connection, name):
    return not isinstance(connection.command("PD.ACTOR", "INFO", name), RespError)


def wait_until_gone(connection, name):
    for _ in range(200):
        if not exists(connection, name):
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} does not expire")


def test_actors_expire(world):
    connection = world.connect()
    connection.expect("OK", "MSET", "{idle}k", "1", "{used}k", "1", "{leased}k", "1", "{kept}k", "1")
    for name in ("idle", "used", "leased", "kept"):
        connection.expect("OK", "PD.ACTOR", "PROFILE", name, "EXPIRE-AFTER", "2")
    assert info_of(connection, "idle")["expire_after_s"] == 2
    connection.expect("OK", "PD.ACTOR", "PROFILE", "kept", "EXPIRE-AFTER", "0")
    assert connection.command("PD.ACTOR", "ACQUIRE", "leased", "n", "600000") > 0
    start = time.monotonic()
    while time.monotonic() - start < 3:
        connection.expect("OK", "SET", "{used}k", "2")
        time.sleep(0.1)
    wait_until_gone(connection, "idle")
    connection.expect(0, "EXISTS", "{idle}k")
    assert exists(connection, "used") and exists(connection, "leased") and exists(connection, "kept")
    connection.expect("OK", "SET", "{idle}k", "another one")
    world.server.kill()
    world.server.start()
    connection = world.connect()
    wait_until_gone(connection, "used")
    assert exists(connection, "idle") and exists(connection, "leased") and exists(connection, "kept")
    is_error(connection.command("PD.TENANT", "PROFILE", "default", "EXPIRE-AFTER", "2"), "ERR ")
    is_error(connection.command("PD.ACTOR", "PROFILE", "idle", "EXPIRE-AFTER", "-1"), "ERR ")


def test_profile_arguments(world):
    connection = world.connect()
    connection.expect("OK", "SET", "{p}k", "1")
    for words in ((), ("QUOTA-KEYS",), ("QUOTA-KEYS", "-1"), ("QUOTA-BYTES", "x"), ("QUOTA-OPS", "x"), ("QUOTA-OPS", "1000000001"), ("NONSENSE", "1"),
                  ("DURABILITY", "nonsense"), ("DURABILITY", "critical")):
        is_error(connection.command("PD.ACTOR", "PROFILE", "p", *words), "ERR ")
        is_error(connection.command("PD.TENANT", "PROFILE", "default", *words), "ERR ")
    is_error(connection.command("PD.ACTOR", "PROFILE", "nobody", "QUOTA-KEYS", "1"), "there is no actor")
    is_error(connection.command("PD.TENANT", "PROFILE", "nobody", "QUOTA-KEYS", "1"), "there is no tenant")
    is_error(connection.command("PD.TENANT", "INFO", "nobody"), "there is no tenant 'nobody': write something to it first")
    connection.expect("OK", "PD.ACTOR", "PROFILE", "p", "DURABILITY", "none", "QUOTA-KEYS", "7", "QUOTA-OPS", "1000")
    info = info_of(connection, "p")
    assert (info["durability"], info["quota_keys"], info["quota_ops"]) == (b"none", 7, 1000), info


PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "actors.md")


def test_tour_is_true(world):
    """docs/actors.md, line by line: all that begins with "> ", in one connection."""
    with open(PAGE, encoding="utf-8") as file:
        blocks = re.findall(r"^```\n(> .*?)^```$", file.read(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    server = world.new_server("tour")
    server.start()
    commands = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("> ")]
    expected = [line for block in blocks for line in block.splitlines() if not line.startswith("> ")]
    status, said, problems = world.run("redis-cli", "-p", server.port, "--no-raw", input=("\n".join(commands) + "\n").encode())
    assert status == 0 and not problems, problems
    said = [line for line in said.splitlines() if line]
    for number, (told, wanted) in enumerate(zip(said, expected)):
        pattern = re.escape(wanted).replace("…", ".+")
        assert re.fullmatch(pattern, told), f"line {number}: {told!r} instead of {wanted!r}"
    assert len(said) == len(expected), (said[len(expected):], expected[len(said):])
    server.stop()


# ---- which are busy ----


def hot_of(connection, *words):
    reply = connection.command("PD.ACTOR", "HOT", *words)
    assert isinstance(reply, list), reply
    return [tuple(pairs[1::2]) for pairs in reply]


def test_hot(world):
    server = world.new_server("hot")
    server.start()
    connection = world.connect(server)
    assert hot_of(connection) == []
    names = [f"cold:{number}" for number in range(1000)] + ["warm", "hot"]
    assert set(pipeline(connection, [("SET", f"{{{name}}}k", "1") for name in names])) == {"OK"}
    connection.expect("OK", "PD.USE", "acme/main")
    connection.expect("OK", "SET", "k", "1")
    connection.expect("OK", "PD.USE", "default/main")
    # Among a thousand that are asked as often as the other.
    for _ in range(5):
        pipeline(connection, [("GET", f"{{{name}}}k") for name in names[:1000]] + [("MGET", "{hot}k", "{hot}l")] * 300 +
                 [("GET", "{warm}k")] * 200)
    found = hot_of(connection)
    assert [actor[:2] for actor in found[:2]] == [(b"default", b"hot"), (b"default", b"warm")] and len(found) <= 10, found
    assert found[0][2] > found[1][2] > 0, found
    assert hot_of(connection, "COUNT", "1")[0][1] == b"hot"
    assert len(hot_of(connection, "COUNT", "64")) <= 64
    # It is what it was, for some seconds; and nobody is hot who is gone.
    connection.expect(1, "PD.ACTOR", "DROP", "hot")
    assert all(actor[1] != b"hot" for actor in hot_of(connection))
    deadline = time.monotonic() + 60
    while hot_of(connection) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert hot_of(connection) == [], "what was done a minute ago"
    for words in (("COUNT",), ("COUNT", "0"), ("COUNT", "65"), ("COUNT", "x"), ("NONSENSE", "1"), ("COUNT", "1", "2")):
        is_error(connection.command("PD.ACTOR", "HOT", *words), "ERR ")


def test_hot_of_ones_own_tenant(world):
    """A user who reaches one tenant only is told of no other."""
    server = world.new_server("hot-users")
    for name, role, tenant in (("ann", "admin", "default"), ("rob", "read-only", "shop")):
        world.run(world.binary, "user", "add", name, "--role", role, "--tenant", tenant, "--data", server.directory,
                  input=b"secret\n")
    server.start()
    admin, reader = world.connect(server), world.connect(server)
    admin.expect("OK", "AUTH", "ann", "secret")
    reader.expect("OK", "AUTH", "rob", "secret")
    admin.expect("OK", "SET", "k", "1")
    admin.expect("OK", "PD.USE", "shop/main")
    admin.expect("OK", "SET", "k", "1")
    for _ in range(50):
        admin.command("GET", "k")
        admin.command("GET", "{default}k")
    admin.expect("OK", "PD.USE", "default/main")
    for _ in range(50):
        admin.command("GET", "k")
    assert {actor[0] for actor in hot_of(admin)} == {b"default", b"shop"}
    assert {actor[0] for actor in hot_of(reader)} == {b"shop"}
