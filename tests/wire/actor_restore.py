"""What is made of an actor's past: PD.ACTOR FORK, RESTORE and UNDROP, and `perdure actor` for the same."""

import json
import threading
import time

from actor_history import as_map, is_error, now, operations_of, page_of
from resp_connection import RespConnection


def made(connection, *words):
    reply = connection.command("PD.ACTOR", *words)
    assert not isinstance(reply, Exception), reply
    return as_map(reply)


def hash_of(connection, actor):
    return connection.command("PD.STATEHASH", actor)


def test_fork(world):
    connection = world.connect()
    connection.expect("OK", "MSET", "{fa}a", "1", "{fa}b", "2")
    connection.expect(2, "HSET", "{fa}h", "x", "1", "y", "2")
    connection.expect("OK", "SET", "{fa}large", "z" * 3_000_000)
    then, before = now(connection), hash_of(connection, "fa")
    connection.expect(3, "DEL", "{fa}a", "{fa}h", "{fa}large")
    connection.expect("OK", "SET", "{fa}b", "changed")
    after = hash_of(connection, "fa")
    reply = made(connection, "FORK", "fa", "fa-then", "AT", then)
    assert reply["actor"] == b"fa-then" and reply["at"].decode() == then and reply["keys"] == 4, reply
    assert reply["bytes"] > 3_000_000 and reply["hash"] == before and reply["durability"] == b"strict", reply
    assert hash_of(connection, "fa-then") == before and hash_of(connection, "fa") == after
    assert connection.command("PD.BOOKMARK", reply["bookmark"]) == b"reached"
    assert as_map(connection.command("PD.RECEIPT"))["bookmark"] == reply["bookmark"]
    connection.expect(b"1", "HGET", "{fa-then}h", "x")
    assert connection.command("GET", "{fa-then}large") == b"z" * 3_000_000
    # Without a moment: as it is now; and a fork of a fork.
    assert made(connection, "FORK", "fa", "fa-now")["hash"] == after
    assert made(connection, "FORK", "fa-then", "fa-again")["hash"] == before
    # Each goes its own way, large strings included.
    connection.expect(1, "DEL", "{fa-then}large")
    assert connection.command("GET", "{fa-again}large") == b"z" * 3_000_000
    connection.expect(b"changed", "GET", "{fa-now}b")
    names = connection.command("PD.ACTOR", "LIST", "MATCH", "fa*")[1]
    assert sorted(names) == [b"fa", b"fa-again", b"fa-now", b"fa-then"], names


def test_fork_is_refused(world):
    connection = world.connect()
    connection.expect("OK", "MSET", "{ra}a", "1", "{rb}a", "1")
    is_error(connection.command("PD.ACTOR", "FORK", "ra", "rb"), "already")
    is_error(connection.command("PD.ACTOR", "FORK", "nobody", "rc"), "there was no actor 'nobody'")
    is_error(connection.command("PD.ACTOR", "FORK", "ra", "r/c"), "tenant")
    is_error(connection.command("PD.ACTOR", "FORK", "ra", "rc", "AT", "0"), "NOTTHEN there was no actor")
    is_error(connection.command("PD.ACTOR", "FORK", "ra", "rc", "AT", "soon"), "moment")
    is_error(connection.command("PD.ACTOR", "FORK", "ra", "rc", "NOW"), "syntax error")
    is_error(connection.command("PD.ACTOR", "FORK", "ra"), "wrong number of arguments")
    is_error(connection.command("PD.ACTOR", "UNDROP", "ra"), "already")
    is_error(connection.command("PD.ACTOR", "UNDROP", "nobody"), "no actor 'nobody' was dropped")
    connection.expect("OK", "MULTI")
    is_error(connection.command("PD.ACTOR", "FORK", "ra", "rc"))
    connection.command("DISCARD")
    assert b"rc" not in connection.command("PD.ACTOR", "LIST")[1]


def test_undrop(world):
    connection = world.connect()
    connection.expect("OK", "MSET", "{ud}a", "1", "{ud}b", "2")
    connection.expect("OK", "PD.ACTOR", "PROFILE", "ud", "QUOTA-KEYS", "77")
    before = hash_of(connection, "ud")
    connection.expect(1, "PD.ACTOR", "DROP", "ud")
    assert made(connection, "UNDROP", "ud")["hash"] == before
    connection.expect(b"2", "GET", "{ud}b")
    assert as_map(connection.command("PD.ACTOR", "INFO", "ud"))["quota_keys"] == 77
    is_error(connection.command("PD.ACTOR", "UNDROP", "ud"), "already")
    # Beside another of the same name that has come since.
    then = now(connection)
    connection.expect(1, "PD.ACTOR", "DROP", "ud")
    connection.expect("OK", "SET", "{ud}a", "new")
    is_error(connection.command("PD.ACTOR", "UNDROP", "ud"), "fork the one that was dropped")
    assert made(connection, "FORK", "ud", "ud-old", "AT", then)["hash"] == before


def test_restore(world):
    connection = world.connect()
    connection.expect("OK", "MSET", "{rs}a", "1", "{rs}b", "2")
    connection.expect(1, "HSET", "{rs}h", "x", "1")
    connection.expect("OK", "SET", "{rs}large", "z" * 600_000)
    then, before = now(connection), hash_of(connection, "rs")
    assert made(connection, "RESTORE", "rs", "AT", then)["way"] == b"nothing"
    connection.expect(3, "DEL", "{rs}a", "{rs}h", "{rs}large")
    connection.expect("OK", "SET", "{rs}b", "changed")
    connection.expect("OK", "SET", "{rs}new", "1")
    after, mess = hash_of(connection, "rs"), now(connection)
    plan = made(connection, "RESTORE", "rs", "AT", then, "DRYRUN")
    assert (plan["way"], plan["put"], plan["deleted"]) == (b"changes", 5, 1) and "bookmark" not in plan, plan
    assert hash_of(connection, "rs") == after and now(connection) == mess
    reply = made(connection, "RESTORE", "rs", "AT", then)
    assert hash_of(connection, "rs") == before and reply["undo"].decode() == mess, reply
    assert connection.command("GET", "{rs}large") == b"z" * 600_000
    assert as_map(connection.command("PD.RECEIPT"))["bookmark"] == reply["bookmark"]
    assert made(connection, "RESTORE", "rs", "AT", reply["undo"])["way"] == b"changes"
    assert hash_of(connection, "rs") == after
    # To one that had the name before: another takes its place, and that is undone as well.
    connection.expect(1, "PD.ACTOR", "DROP", "rs")
    connection.expect("OK", "SET", "{rs}only", "1")
    reply = made(connection, "RESTORE", "rs", "AT", then)
    assert reply["way"] == b"replace" and hash_of(connection, "rs") == before, reply
    connection.expect(0, "EXISTS", "{rs}only")
    # Its history is that of the one that it replaced, page by page as well.
    told = page_of(connection, "HISTORY", "rs")["entries"]
    assert [operations_of(entry)[0]["op"] for entry in told] == [b"replace", b"put"], told
    first = page_of(connection, "HISTORY", "rs", "COUNT", "1")
    second = page_of(connection, "HISTORY", "rs", "COUNT", "1", "CURSOR", first["cursor"], "TO", first["to_time"])
    assert [entry["lsn"] for entry in first["entries"] + second["entries"]] == [entry["lsn"] for entry in told]
    assert [entry["lsn"] for entry in page_of(connection, "BLAME", "rs", "only")["entries"]] == \
        [entry["lsn"] for entry in told]
    changes = page_of(connection, "DIFF", "rs", "FROM", reply["undo"])["entries"]
    assert sorted((change["change"], change["key"]) for change in changes) == \
        [(b"deleted", b"only"), (b"put", b"a"), (b"put", b"b"), (b"put", b"h"), (b"put", b"large")], changes
    made(connection, "RESTORE", "rs", "AT", reply["undo"])
    connection.expect(b"1", "GET", "{rs}only")


def test_watched(world):
    """Who watches a key that is put back is told, a hash included."""
    connection, other = world.connect(), world.connect()
    connection.expect(1, "HSET", "{wa}h", "f", "1")
    then = now(connection)
    connection.expect(0, "HSET", "{wa}h", "f", "2")
    other.expect("OK", "WATCH", "{wa}h")
    made(connection, "RESTORE", "wa", "AT", then)
    other.expect("OK", "MULTI")
    other.expect("QUEUED", "HSET", "{wa}h", "f", "3")
    assert other.command("EXEC") is None
    connection.expect(b"1", "HGET", "{wa}h", "f")


def test_revert(world):
    connection = world.connect()
    connection.expect("OK", "MSET", "{rv}a", "1", "{rv}b", "1")
    connection.expect("OK", "SET", "{rv}a", "wrong")
    wrong = now(connection)
    connection.expect("OK", "SET", "{rv}c", "1")
    plan = made(connection, "REVERT", "rv", wrong, "DRYRUN")
    assert plan["put"] == 1 and plan["at"].decode() == wrong and plan["dry_run"] in (1, True), plan
    connection.expect(b"wrong", "GET", "{rv}a")
    reply = made(connection, "REVERT", "rv", wrong)
    connection.expect(b"1", "GET", "{rv}a")
    connection.expect(b"1", "GET", "{rv}c")
    is_error(connection.command("PD.ACTOR", "REVERT", "rv", wrong), "written again by 1 later: LSN")
    is_error(connection.command("PD.ACTOR", "REVERT", "rv", "-1m"), "by its LSN or its bookmark")
    made(connection, "RESTORE", "rv", "AT", reply["undo"])
    connection.expect(b"wrong", "GET", "{rv}a")


def test_restore_is_refused(world):
    connection = world.connect()
    connection.expect("OK", "SET", "{rr}a", "1")
    is_error(connection.command("PD.ACTOR", "RESTORE", "nobody", "AT", "1"), "there is no actor 'nobody'")
    is_error(connection.command("PD.ACTOR", "RESTORE", "rr", "AT", "soon"), "moment")
    is_error(connection.command("PD.ACTOR", "RESTORE", "rr", "TO", "1"), "syntax error")
    is_error(connection.command("PD.ACTOR", "RESTORE", "rr"), "wrong number of arguments")


def test_restore_under_load(world):
    """Somebody writes to it all the time: it is what it was for a moment, and what came meanwhile is in the moment before."""
    connection, stop, last = world.connect(), threading.Event(), [0]
    for i in range(50):
        connection.expect("OK", "SET", f"{{ld}}k{i}", "before")
    then, before = now(connection), hash_of(connection, "ld")

    def write():
        other = world.connect()
        while not stop.is_set():
            other.expect("OK", "SET", "{ld}written", str(last[0] + 1))
            last[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        replies = [made(connection, "RESTORE", "ld", "AT", then) for _ in range(5)]
    finally:
        stop.set()
        thread.join()
    for reply in replies:
        if reply["way"] == b"nothing":  # nobody came in between
            continue
        fork = made(connection, "FORK", "ld", f"ld-{reply['bookmark'].decode()}", "AT", reply["bookmark"])
        assert fork["hash"] == before, (reply, fork)
    assert last[0] > 0 and int(connection.command("GET", "{ld}written") or 0) in (0, last[0])


def test_beside_the_writing(world):
    """Everybody else is served, and a fork has what was there when it began."""
    connection = world.connect()
    for i in range(200):
        connection.expect("OK", "SET", f"{{big}}k{i}", "v" * 20_000)
    before, stop, written = hash_of(connection, "big"), threading.Event(), [0]

    def write():
        other = world.connect()
        while not stop.is_set():
            other.expect("OK", "SET", f"{{big}}k{written[0] % 300}", f"changed {written[0]}")
            other.expect("OK", "SET", "{else}k", "1")
            written[0] += 1

    then, thread = now(connection), threading.Thread(target=write)
    thread.start()
    try:
        for i in range(3):
            assert made(connection, "FORK", "big", f"big{i}", "AT", then)["hash"] == before
    finally:
        stop.set()
        thread.join()
    assert written[0] > 0


def wait_until_alone(connection):
    """Who has gone may have what it ordered up to the moment at which the server hears of it."""
    for _ in range(600):
        if len(connection.command("CLIENT", "LIST").splitlines()) == 1 and connection.command("PD.ACTOR", "JOBS") == []:
            return
        time.sleep(0.1)
    raise AssertionError(connection.command("CLIENT", "LIST"))


def test_client_that_goes(world):
    """Nobody waits for it any more: nothing of it stays."""
    server = world.new_server("goes")
    server.start()
    connection = world.connect(server)
    for i in range(100):
        connection.expect("OK", "SET", f"{{a}}k{i}", "v" * 50_000)
    for i in range(5):
        other = RespConnection(server.port)
        other.send("PD.ACTOR", "FORK", "a", f"gone{i}")
        other.close()
    assert made(connection, "FORK", "a", "stays")["keys"] == 100
    wait_until_alone(connection)
    keys = int(connection.command("DBSIZE"))
    names = connection.command("PD.ACTOR", "LIST")[1]
    assert keys == 100 * len(names), (keys, names)
    server.stop()
    server.start()
    connection = world.connect(server)
    assert connection.command("PD.ACTOR", "LIST")[1] == names
    assert hash_of(connection, "stays") == hash_of(connection, "a")
    server.stop()


def test_jobs(world):
    """How far one is that is at work, seen from beside it."""
    connection = world.connect()
    connection.expect([], "PD.ACTOR", "JOBS")
    for i in range(400):
        connection.expect("OK", "SET", f"{{jb}}k{i}", "v" * 100_000)
    working, seen = world.connect(), []
    working.send("PD.ACTOR", "FORK", "jb", "jb2")
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        jobs = [as_map(job) for job in connection.command("PD.ACTOR", "JOBS")]
        if seen and not jobs:
            break
        seen += jobs
    assert seen, "it was never seen"
    assert as_map(working.read())["keys"] == 400
    assert all((job["order"], job["actor"]) == (b"fork", b"jb") for job in seen), seen[0]
    assert {job["stage"] for job in seen} <= {b"looking", b"writing", b"comparing", b"publishing"}, seen[-1]
    written = [job["keys"] for job in seen]
    assert written == sorted(written) and all(job["keys_total"] in (0, 400) for job in seen), seen[-1]
    assert hash_of(connection, "jb2") == hash_of(connection, "jb")


def test_roles(world):
    from users import add, error, login
    server = world.new_server("fork-roles")
    add(world, server, "ann", "secret", "--role", "admin")
    add(world, server, "rita", "rita's", "--role", "read-write", "--tenant", "acme")
    add(world, server, "rob", "rob's", "--role", "read-only")
    server.start()
    ann, rita, rob = (login(world, server, *who) for who in
                      (("ann", "secret"), ("rita", "rita's"), ("rob", "rob's")))
    ann.expect("OK", "SET", "{mine}a", "1")
    rita.expect("OK", "SET", "{hers}a", "1")
    assert "NOPERM" in error(rob, "PD.ACTOR", "FORK", "mine", "copy")
    assert "NOPERM" in error(rob, "PD.ACTOR", "UNDROP", "mine")
    assert "NOPERM" in error(rob, "PD.ACTOR", "RESTORE", "mine", "AT", "now")
    assert "there is no actor" in error(rita, "PD.ACTOR", "RESTORE", "default/mine", "AT", "now")
    assert "there is no actor" in error(rita, "PD.ACTOR", "FORK", "default/mine", "copy")
    assert "there was no actor" in error(rita, "PD.ACTOR", "FORK", "mine", "copy")
    assert made(rita, "FORK", "hers", "copy")["keys"] == 1
    assert "stays in the tenant" in error(ann, "PD.ACTOR", "FORK", "mine", "acme/copy")
    server.stop()


def test_command_line(world):
    server = world.new_server("fork-cli")
    server.start()
    connection = world.connect(server)
    connection.expect("OK", "MSET", "{a}x", "1", "{a}y", "2")

    def run(*words, status=0):
        code, said, problems = world.run(world.binary, "actor", *words, "--data", server.directory, check=False)
        assert code == status, (words, code, said, problems)
        return said if status == 0 else problems

    then = now(connection)
    connection.expect(1, "DEL", "{a}x")
    said = run("fork", "a", "b")
    assert said.startswith("b: 1 key as of 2") and said.endswith(")\n"), said
    report = json.loads(run("fork", "--at", then, "-o", "json", "a", "c"))
    assert report["keys"] == 2 and report["actor"] == "c" and report["at"] == then, report
    assert "already" in run("fork", "a", "b", status=1)
    assert "what is the new one to be called" in run("fork", "a", status=2)
    assert "which actor" in run("fork", status=2)
    assert 'unexpected word "d"' in run("fork", "a", "b", "d", status=2)
    run("drop", "--yes", "c")
    assert json.loads(run("undrop", "-o", "json", "c"))["hash"] == report["hash"]
    assert "was dropped" in run("undrop", "nobody", status=1)
    plan = json.loads(run("restore", "--dry-run", "-o", "json", "--at", then, "a"))
    assert (plan["way"], plan["put"], plan["deleted"], plan["dry_run"]) == ("changes", 1, 0, True), plan
    said = run("restore", "--at", then, "a").splitlines()
    assert said[0].endswith("Z: 1 put, 0 deleted") and said[1].startswith("undo it with: perdure actor restore --at 0"), said
    assert run("restore", "--at", then, "a").endswith("Z: nothing to do\n")
    connection.expect("OK", "SET", "{a}x", "wrong")
    said = run("revert", "a", now(connection)).splitlines()
    assert said[0].startswith("a without 0") and said[0].endswith(": 1 put, 0 deleted"), said
    assert "written again" in run("revert", "a", said[0].split()[2].rstrip(":"), status=1)
    assert "which transaction" in run("revert", "a", status=2)
    assert "Say --at" in run("restore", "a", status=2)
    assert "there is no actor" in run("restore", "--at", then, "nobody", status=1)
    server.stop()
    assert "no server" in run("fork", "a", "z", status=1)
