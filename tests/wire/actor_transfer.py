"""Actors as files of lines, and back: PD.ACTOR EXPORT and IMPORT, `perdure actor export` and `import`."""

import hashlib
import json
import os
import random
import threading

from actor_history import is_error, now
from actor_restore import hash_of, made


def exported(connection, *words):
    """All of it, piece by piece."""
    piece = connection.command("PD.ACTOR", "EXPORT", "BEGIN", *words)
    lines = b""
    while piece != b"":
        assert isinstance(piece, bytes), piece
        lines += piece
        piece = connection.command("PD.ACTOR", "EXPORT", "NEXT")
    connection.expect("OK", "PD.ACTOR", "EXPORT", "END")
    return lines


def body_of(lines):
    """Without what says when it was asked for: the first line, and the checksum."""
    return lines.split(b"\n", 1)[1].rsplit(b',"sha256"', 1)[0]


def put(connection, lines, size=200_000):
    for at in range(0, len(lines), size):
        reply = connection.command("PD.ACTOR", "IMPORT", "PUT", lines[at:at + size])
        if reply != "OK":
            return reply
    return "OK"


def imported(connection, lines, *words, size=200_000):
    connection.expect("OK", "PD.ACTOR", "IMPORT", "BEGIN", *words)
    reply = put(connection, lines, size)
    assert reply == "OK", reply
    return made(connection, "IMPORT", "END")


def fill(connection, actor):
    chance = random.Random(7)
    connection.expect("OK", "SET", "{%s}plain" % actor, "Rome")
    connection.expect("OK", "SET", b"{%s}\x00\xff\n key" % actor.encode(), bytes(range(256)))
    connection.expect("OK", "SET", "{%s}é\"\\" % actor, "é € 😀 \" \\ \t\r\n")
    connection.expect("OK", "SET", "{%s}empty" % actor, "")
    connection.expect("OK", "SET", "{%s}later" % actor, "1", "EX", "100000")
    connection.expect(3, "HSET", "{%s}hash" % actor, "", "nameless", b"\xfe", b"\xff", "b", "2")
    connection.expect(2, "HSET", "{%s}huge" % actor, "one", chance.randbytes(2_500_000), "two", "2" * 400_000)
    connection.expect("OK", "SET", "{%s}large" % actor, chance.randbytes(3_000_000))
    connection.expect("OK", "SET", "{%s}text" % actor, "z" * 1_000_000)


def test_there_and_back(world):
    connection = world.connect()
    fill(connection, "ta")
    before, then = hash_of(connection, "ta"), now(connection)
    lines = exported(connection, "ta")
    # Lines of JSON, a checksum over all but the last, and the state's hash.
    items = [json.loads(line) for line in lines.decode().splitlines()]
    assert items[0]["perdure_actor"] == 1 and items[0]["actor"] == "ta" and items[0]["at"] == then, items[0]
    assert {"key": "plain", "value": "Rome"} in items
    last = lines.rstrip(b"\n").rfind(b"\n") + 1
    assert items[-1] == {"end": True, "lines": len(items) - 1, "keys": 9, "state_hash": before.decode(),
                         "sha256": hashlib.sha256(lines[:last]).hexdigest()}, items[-1]
    reply = imported(connection, lines, "AS", "tb")
    assert (reply["actor"], reply["keys"], reply["hash"], reply["durability"]) == (b"tb", 9, before, b"strict"), reply
    assert made(connection, "INFO", "tb")["keys"] == 9
    receipt = connection.command("PD.RECEIPT")
    assert reply["bookmark"] in receipt, receipt
    assert hash_of(connection, "tb") == before
    assert connection.command("GET", b"{tb}\x00\xff\n key") == bytes(range(256))
    assert connection.command("HGET", "{tb}huge", "two") == b"2" * 400_000
    assert 90_000 < connection.command("TTL", "{tb}later") <= 100_000
    # It is of one moment: that of then, too.
    connection.expect(1, "DEL", "{ta}large")
    assert body_of(exported(connection, "ta", "AT", then)) == body_of(lines)
    made(connection, "SNAPSHOT", "ta", "s")
    assert imported(connection, exported(connection, "ta", "AT", "snapshot:s"), "AS", "tc", size=999)["hash"] == \
        hash_of(connection, "ta")
    # A large field goes with a fork as well.
    assert made(connection, "FORK", "tb", "td")["hash"] == before


def test_served_meanwhile(world):
    """Somebody else writes to the actor between the pieces; what comes is what was."""
    connection, other = world.connect(), world.connect()
    fill(connection, "tm")
    before = hash_of(connection, "tm")
    piece = connection.command("PD.ACTOR", "EXPORT", "BEGIN", "tm")
    lines = b""
    while piece != b"":
        lines += piece
        other.expect("OK", "SET", "{tm}plain", str(len(lines)))
        other.expect("OK", "SET", "{tm}more%d" % len(lines), "x")
        piece = connection.command("PD.ACTOR", "EXPORT", "NEXT")
    jobs = other.command("PD.ACTOR", "JOBS")
    assert len(jobs) == 1 and b"export" in jobs[0], jobs
    connection.expect("OK", "PD.ACTOR", "EXPORT", "END")
    other.expect([], "PD.ACTOR", "JOBS")
    connection.expect("OK", "PD.ACTOR", "IMPORT", "BEGIN", "AS", "tn")
    for at in range(0, len(lines), 400_000):
        connection.expect("OK", "PD.ACTOR", "IMPORT", "PUT", lines[at:at + 400_000])
        other.expect("OK", "SET", "{tm}plain", "again")
        is_error(other.command("PD.ACTOR", "INFO", "tn"), "there is no actor 'tn'")
        assert other.command("EXISTS", "{tn}plain") == 0
    assert made(connection, "IMPORT", "END")["hash"] == before == hash_of(connection, "tn")


def test_refused(world):
    connection = world.connect()
    connection.expect("OK", "MSET", "{tr}a", "1", "{tr}b", "2")
    lines = exported(connection, "tr")
    keys = connection.command("DBSIZE")

    def refused(words, lines, text):
        reply = connection.command("PD.ACTOR", "IMPORT", "BEGIN", *words)
        if reply == "OK":
            reply = put(connection, lines)
        if reply == "OK":
            reply = connection.command("PD.ACTOR", "IMPORT", "END")
        is_error(reply, text)
        is_error(connection.command("PD.ACTOR", "IMPORT", "END"), "no import is at work here")
        assert connection.command("DBSIZE") == keys

    refused((), lines, "there is an actor 'tr' already: take another name")
    refused(("AS", "tr"), lines, "there is an actor 'tr' already")
    refused(("AS", "a{b"), lines, "is no actor's name")
    refused(("INTO", "x"), lines, "syntax error")
    refused(("AS", "x"), lines[:-1], "CORRUPT the file ends after line 3")
    refused(("AS", "x"), lines.replace(b'"1"', b'"3"'), "CORRUPT line 4: the lines before it have another checksum")
    refused(("AS", "x"), lines.replace(b'"perdure_actor":1', b'"perdure_actor":3'), "is of version 3, and this server reads 2")
    refused(("AS", "x"), lines + b"\n", "CORRUPT line 5: there is something behind the end")
    refused(("AS", "x"), b"hello\n", "CORRUPT line 1: an export of an actor begins otherwise")
    is_error(connection.command("PD.ACTOR", "EXPORT", "NEXT"), "no export is at work here")
    is_error(connection.command("PD.ACTOR", "EXPORT", "tr"), "syntax error: PD.ACTOR EXPORT BEGIN name")
    is_error(connection.command("PD.ACTOR", "EXPORT", "BEGIN", "nobody"), "there was no actor 'nobody'")
    is_error(connection.command("PD.ACTOR", "EXPORT", "BEGIN", "tr", "AT", "soon"), "moment")
    is_error(connection.command("PD.ACTOR", "IMPORT", "PUT", "x"), "no import is at work here")
    # One at a time on a connection; what is begun can be given up.
    connection.expect("OK", "PD.ACTOR", "IMPORT", "BEGIN", "AS", "x")
    is_error(connection.command("PD.ACTOR", "IMPORT", "BEGIN", "AS", "y"), "at work here already")
    is_error(connection.command("PD.ACTOR", "EXPORT", "BEGIN", "tr"), "at work here already")
    connection.expect("OK", "PD.ACTOR", "IMPORT", "ABORT")
    connection.expect("OK", "PD.ACTOR", "IMPORT", "BEGIN", "AS", "x")
    is_error(connection.command("PD.ACTOR", "IMPORT", "PUT", ""), "a piece has 1 to 1048576 bytes")
    # So many at once; a connection that goes makes room.
    others = [world.connect() for _ in range(5)]
    for other in others[:4]:
        other.expect("OK", "PD.ACTOR", "IMPORT", "BEGIN")
        other.expect("OK", "PD.ACTOR", "IMPORT", "PUT", lines[:50])
    is_error(others[4].command("PD.ACTOR", "IMPORT", "BEGIN"), "BUSY 4 imports are at work already")
    others[0].close()
    for _ in range(200):
        if others[4].command("PD.ACTOR", "IMPORT", "BEGIN") == "OK":
            break
    others[4].expect("OK", "PD.ACTOR", "IMPORT", "ABORT")
    # Who becomes somebody else has nothing of it any more.
    others[1].expect("RESET", "RESET")
    is_error(others[1].command("PD.ACTOR", "IMPORT", "END"), "no import is at work here")


def test_killed(world):
    """A server that dies in the middle has nothing of it when it is back."""
    server = world.new_server("transfer-killed")
    server.start()
    connection = world.connect(server)
    fill(connection, "a")
    before, lines = hash_of(connection, "a"), exported(connection, "a")
    keys = connection.command("DBSIZE")
    connection.expect("OK", "PD.ACTOR", "IMPORT", "BEGIN", "AS", "b")
    assert put(connection, lines) == "OK"
    port = server.port
    server.kill()
    server.port = port
    server.start()
    connection = world.connect(server)
    assert connection.command("DBSIZE") == keys and hash_of(connection, "a") == before
    is_error(connection.command("PD.ACTOR", "INFO", "b"), "there is no actor 'b'")
    assert imported(connection, lines, "AS", "b")["hash"] == before
    server.kill()
    server.port = port
    server.start()
    connection = world.connect(server)
    assert hash_of(connection, "b") == before
    server.stop()


def test_roles(world):
    from users import add, error, login
    server = world.new_server("transfer-roles")
    add(world, server, "ann", "secret", "--role", "admin")
    add(world, server, "rita", "rita's", "--role", "read-write", "--tenant", "acme")
    add(world, server, "rob", "rob's", "--role", "read-only")
    server.start()
    ann, rita, rob = (login(world, server, *who) for who in
                      (("ann", "secret"), ("rita", "rita's"), ("rob", "rob's")))
    ann.expect("OK", "SET", "{mine}a", "1")
    lines = exported(rob, "mine")
    assert body_of(lines) == body_of(exported(ann, "default/mine"))
    assert "NOPERM" in error(rob, "PD.ACTOR", "IMPORT", "BEGIN", "AS", "b")
    assert "there is no actor" in error(rita, "PD.ACTOR", "EXPORT", "BEGIN", "default/mine")
    assert "NOPERM" in error(rita, "PD.ACTOR", "IMPORT", "BEGIN", "AS", "default/b")
    # Into a tenant that has nothing yet.
    reply = imported(rita, lines)
    assert reply["actor"] == b"mine" and rita.command("GET", "{mine}a") == b"1", reply
    ann.expect("OK", "PD.TENANT", "PROFILE", "acme", "QUOTA-KEYS", "1")
    rita.expect("OK", "PD.ACTOR", "IMPORT", "BEGIN", "AS", "more")
    rita.expect("OK", "PD.ACTOR", "IMPORT", "PUT", lines)
    assert "QUOTA" in error(rita, "PD.ACTOR", "IMPORT", "END")
    server.stop()


def test_command_line(world):
    server = world.new_server("transfer-cli")
    server.start()
    connection = world.connect(server)
    fill(connection, "a")
    before, then = hash_of(connection, "a").decode(), now(connection)
    path = world.path("a.jsonl")

    def run(*words, status=0, **options):
        code, said, problems = world.run(world.binary, "actor", *words, "--data", server.directory, check=False, **options)
        assert code == status, (words, code, said, problems)
        return said if status == 0 else problems

    said = run("export", "-f", path, "a")
    assert said == f"a: 9 keys, {os.path.getsize(path)} bytes in {path} (state {before})\n", said
    assert not os.path.exists(path + ".new")
    with open(path, "rb") as file:
        lines = file.read()
    assert body_of(run("export", "--at", then, "a").encode()) == body_of(lines)
    assert run("import", "--as", "b", path) == f"b: 9 keys (state {before})\n"
    report = json.loads(run("import", "--as", "c", "-o", "json", "-", input=lines))
    assert report["actor"] == "c" and report["hash"] == before, report
    assert "there is an actor 'a' already" in run("import", path, status=1)
    assert "CORRUPT the file ends" in run("import", "--as", "d", "-", status=1, input=lines[:-20])
    assert "CORRUPT the file ends after line 0" in run("import", "--as", "d", "-", status=1, input=b"")
    assert "no such file" in run("import", world.path("nothing"), status=1).lower()
    assert "is a directory" in run("import", world.path("."), status=1)
    assert "there was no actor 'nobody'" in run("export", "nobody", status=1)
    assert "which actor" in run("export", status=2) and "which file" in run("import", status=2)
    # One that fails leaves the file of the same name as it was.
    assert "moment" in run("export", "--at", "soon", "-f", path, "a", status=1)
    with open(path, "rb") as file:
        assert file.read() == lines
    assert not os.path.exists(path + ".new")
    with open(path + ".new", "wb") as file:
        file.write(b"somebody's")
    assert "a.jsonl.new is there" in run("export", "-f", path, "a", status=1)
    with open(path + ".new", "rb") as file:
        assert file.read() == b"somebody's"
    os.remove(path + ".new")
    server.stop()
    # Nobody serves it: the directory is read; nothing is imported.
    assert body_of(run("export", "--at", then, "a").encode()) == body_of(lines)
    assert "no server" in run("import", "--as", "e", path, status=1)


def test_redis_py(world):
    import redis
    client = redis.Redis(port=world.server.port)
    with client.client() as one:  # one connection for all of it
        one.set("{tp}k", b"\x00\xff")
        one.hset("{tp}h", "f", "v")
        piece = one.execute_command("PD.ACTOR", "EXPORT", "BEGIN", "tp")
        lines = b""
        while piece:
            lines += piece
            piece = one.execute_command("PD.ACTOR", "EXPORT", "NEXT")
        one.execute_command("PD.ACTOR", "EXPORT", "END")
        one.execute_command("PD.ACTOR", "IMPORT", "BEGIN", "AS", "tq")
        one.execute_command("PD.ACTOR", "IMPORT", "PUT", lines)
        one.execute_command("PD.ACTOR", "IMPORT", "END")
        assert one.get("{tq}k") == b"\x00\xff" and one.hgetall("{tq}h") == {b"f": b"v"}
        one.execute_command("PD.ACTOR", "IMPORT", "BEGIN", "AS", "ts")
        try:
            one.execute_command("PD.ACTOR", "IMPORT", "PUT", b"no\n")
            raise AssertionError("it was taken")
        except redis.ResponseError as why:
            assert "line 1" in str(why), why


def test_many_at_once(world):
    """Imports by several, each its own."""
    connection = world.connect()
    fill(connection, "tx")
    before, lines = hash_of(connection, "tx"), exported(connection, "tx")
    failures = []

    def carry(number):
        try:
            own = world.connect()
            assert imported(own, lines, "AS", "tx%d" % number)["hash"] == before
        except BaseException as why:  # pylint: disable=broad-except
            failures.append(why)

    threads = [threading.Thread(target=carry, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
