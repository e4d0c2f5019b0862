"""Named snapshots of actors: PD.ACTOR SNAPSHOT, SNAPSHOTS, UNSNAPSHOT, VERIFY, `perdure actor` for the same, and moments that are named by them."""

import json
import time

from actor_history import as_map, is_error, now, page_of
from actor_restore import hash_of, made


def snapshots(connection, *words):
    return [as_map(one) for one in connection.command("PD.ACTOR", "SNAPSHOTS", *words)]


def figures(connection):
    lines = connection.command("INFO", "perdure").decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def test_snapshot(world):
    connection = world.connect()
    connection.expect("OK", "MSET", "{sn}a", "1", "{sn}b", "2")
    connection.expect(2, "HSET", "{sn}h", "x", "1", "y", "2")
    connection.expect("OK", "SET", "{sn}large", "z" * 600_000)
    before, keys = hash_of(connection, "sn"), connection.command("DBSIZE")
    reply = made(connection, "SNAPSHOT", "sn", "first")
    assert (reply["actor"], reply["snapshot"], reply["keys"], reply["hash"]) == (b"sn", b"first", 4, before), reply
    assert reply["bytes"] > 600_000 and reply["durability"] == b"strict", reply
    assert as_map(connection.command("PD.RECEIPT"))["bookmark"] == reply["bookmark"]
    assert connection.command("DBSIZE") == keys
    assert int(figures(connection)["snapshots"]) == 1 and int(figures(connection)["snapshot_bytes"]) > 600_000
    connection.expect("OK", "SET", "{sn}a", "changed")
    connection.expect(2, "DEL", "{sn}large", "{sn}h")
    assert connection.command("PD.ACTOR", "GET", "sn", "a", "AT", "snapshot:first") == b"1"
    assert connection.command("PD.ACTOR", "GET", "sn", "large", "AT", "SNAPSHOT:first") == b"z" * 600_000
    changes = page_of(connection, "DIFF", "sn", "FROM", "snapshot:first")["entries"]
    assert [(change["change"], change["key"], change.get("field")) for change in changes] == \
        [(b"deleted", b"h", b"x"), (b"deleted", b"h", b"y"), (b"changed", b"a", None), (b"deleted", b"large", None)], changes
    assert len(page_of(connection, "HISTORY", "sn", "FROM", "snapshot:first")["entries"]) == 2
    fork = made(connection, "FORK", "sn", "sn-fork", "AT", "snapshot:first")
    assert fork["hash"] == before and fork["at"] == reply["at"], fork
    plan = made(connection, "RESTORE", "sn", "AT", "snapshot:first", "DRYRUN")
    assert plan["way"] == b"changes" and plan["at"] == reply["at"], plan
    made(connection, "RESTORE", "sn", "AT", "snapshot:first")
    assert hash_of(connection, "sn") == before
    verified = made(connection, "VERIFY", "sn", "first")
    assert verified["hash"] == before and verified["keys"] == 4, verified
    # The actor goes, its snapshot does not.
    connection.expect(1, "PD.ACTOR", "DROP", "sn")
    one, = snapshots(connection, "sn")
    assert (one["snapshot"], one["keys"], one["until"], one["at"]) == (b"first", 4, b"", reply["at"]), one
    assert made(connection, "FORK", "sn", "sn", "AT", "snapshot:first")["hash"] == before
    connection.expect(1, "PD.ACTOR", "UNSNAPSHOT", "sn", "first")
    connection.expect(0, "PD.ACTOR", "UNSNAPSHOT", "sn", "first")
    connection.expect([], "PD.ACTOR", "SNAPSHOTS", "sn")
    is_error(connection.command("PD.ACTOR", "RESTORE", "sn", "AT", "snapshot:first"), "has no snapshot 'first'")


def test_names_and_times(world):
    connection = world.connect()
    connection.expect("OK", "SET", "{st}a", "1")
    then = now(connection)
    connection.expect("OK", "SET", "{st}a", "2")
    unnamed = made(connection, "SNAPSHOT", "st")
    assert unnamed["snapshot"] == unnamed["at_time"], unnamed
    past = made(connection, "SNAPSHOT", "st", "past", "KEEP", "2h30m", "AT", then)
    assert past["at"].decode() == then, past
    made(connection, "SNAPSHOT", "st", "short", "KEEP", "1")
    assert [one["snapshot"] for one in snapshots(connection, "st")][:2] == [unnamed["snapshot"], b"past"]
    kept = snapshots(connection, "st")[1]
    assert kept["until"] > kept["made"] and kept["at"].decode() == then, kept
    for _ in range(600):
        if len(snapshots(connection, "st")) == 2:
            break
        time.sleep(0.1)
    assert [one["snapshot"] for one in snapshots(connection, "st")] == [unnamed["snapshot"], b"past"]
    is_error(connection.command("PD.ACTOR", "SNAPSHOT", "st", "past"), "already")
    is_error(connection.command("PD.ACTOR", "SNAPSHOT", "st", "x", "KEEP", "0"), "KEEP")
    is_error(connection.command("PD.ACTOR", "SNAPSHOT", "st", "with space"), "no snapshot's name")
    is_error(connection.command("PD.ACTOR", "SNAPSHOT", "nobody"), "there was no actor 'nobody'")
    is_error(connection.command("PD.ACTOR", "SNAPSHOT"), "wrong number of arguments")
    is_error(connection.command("PD.ACTOR", "SNAPSHOTS", "a", "b"), "syntax error")
    is_error(connection.command("PD.ACTOR", "VERIFY", "st", "nothing"), "has no snapshot")
    is_error(connection.command("PD.ACTOR", "GET", "st", "a", "AT", "snapshot:"), "names no snapshot")


def test_outlives_the_log(world):
    """Nothing of the log is kept for it; a directory that nobody serves is read as well."""
    server = world.new_server("outlives", ("--retention-time", "0", "--retention-size", "0", "--segment-size", "1MiB"))
    server.start()
    connection = world.connect(server)
    connection.expect("OK", "MSET", "{a}city", "Paris", "{a}gone", "1")
    before = hash_of(connection, "a")
    made(connection, "SNAPSHOT", "a", "s")
    connection.expect("OK", "SET", "{a}city", "Rome")
    connection.expect(1, "DEL", "{a}gone")
    first = int(figures(connection)["log_first_lsn"])
    for _ in range(40):
        connection.expect("OK", "SET", "{z}k", "z" * 200_000)
    assert world.run(world.binary, "log", "compact", "--data", server.directory, check=False)[0] == 0
    for _ in range(600):
        if int(figures(connection)["log_first_lsn"]) > first + 5:
            break
        time.sleep(0.1)
    assert int(figures(connection)["log_first_lsn"]) > first + 5, figures(connection)

    def look(connection):
        assert connection.command("PD.ACTOR", "GET", "a", "city", "AT", "snapshot:s") == b"Paris"
        changes = page_of(connection, "DIFF", "a", "FROM", "snapshot:s")["entries"]
        assert sorted((change["change"], change["key"]) for change in changes) == \
            [(b"changed", b"city"), (b"deleted", b"gone")], changes
        is_error(connection.command("PD.ACTOR", "HISTORY", "a", "FROM", "snapshot:s"), "before the oldest")
        assert made(connection, "VERIFY", "a", "s")["hash"] == before

    look(connection)
    server.stop()
    get = ("actor", "get", "--data", server.directory, "--at", "snapshot:s", "a", "city")
    assert world.run(world.binary, *get)[1] == "Paris\n"
    said = world.run(world.binary, "actor", "diff", "--data", server.directory, "--from", "snapshot:s", "a")
    assert said[1].splitlines() == ['~ city "Paris" -> "Rome"', '- gone "1"'], said
    server.start()
    connection = world.connect(server)
    look(connection)
    reply = made(connection, "RESTORE", "a", "AT", "snapshot:s")
    assert reply["way"] == b"replace" and hash_of(connection, "a") == before, reply
    server.stop()


def test_roles(world):
    from users import add, error, login
    server = world.new_server("snapshot-roles")
    add(world, server, "ann", "secret", "--role", "admin")
    add(world, server, "rita", "rita's", "--role", "read-write", "--tenant", "acme")
    add(world, server, "rob", "rob's", "--role", "read-only")
    server.start()
    ann, rita, rob = (login(world, server, *who) for who in
                      (("ann", "secret"), ("rita", "rita's"), ("rob", "rob's")))
    ann.expect("OK", "SET", "{mine}a", "1")
    rita.expect("OK", "SET", "{hers}a", "1")
    made(ann, "SNAPSHOT", "mine", "s")
    made(rita, "SNAPSHOT", "hers", "s")
    assert "NOPERM" in error(rob, "PD.ACTOR", "SNAPSHOT", "mine", "t")
    assert "NOPERM" in error(rob, "PD.ACTOR", "UNSNAPSHOT", "mine", "s")
    assert len(snapshots(rob)) == 1 and made(rob, "VERIFY", "mine", "s")["keys"] == 1
    assert [one["actor"] for one in snapshots(rita)] == [b"hers"]
    assert snapshots(rita, "default/mine") == []
    assert "there is no actor" in error(rita, "PD.ACTOR", "SNAPSHOT", "default/mine", "t")
    error(rita, "PD.ACTOR", "UNSNAPSHOT", "default/mine", "s")
    assert [one["actor"] for one in snapshots(ann)] == [b"mine"]
    assert [one["actor"] for one in snapshots(ann, "acme/hers")] == [b"hers"]
    ann.expect(1, "PD.ACTOR", "UNSNAPSHOT", "acme/hers", "s")
    server.stop()


def test_command_line(world):
    server = world.new_server("snapshot-cli")
    server.start()
    connection = world.connect(server)
    connection.expect("OK", "MSET", "{a}x", "1", "{a}y", "2")

    def run(*words, status=0):
        code, said, problems = world.run(world.binary, "actor", *words, "--data", server.directory, check=False)
        assert code == status, (words, code, said, problems)
        return said if status == 0 else problems

    said = run("snapshot", "a", "one")
    assert said.startswith("a snapshot:one: 2 keys as of 2") and said.endswith(")\n"), said
    report = json.loads(run("snapshot", "--keep", "30d", "-o", "json", "a", "two"))
    assert report["snapshot"] == "two" and report["keys"] == 2, report
    lines = run("snapshots", "a").splitlines()
    assert lines[0].startswith("a snapshot:one 2") and " 2 keys " in lines[0] and " until " not in lines[0], lines
    assert " until " in lines[1] and run("snapshots") == run("snapshots", "default/a"), lines
    assert [one["snapshot"] for one in json.loads(run("snapshots", "-o", "json"))] == ["one", "two"]
    assert run("verify", "a", "one") == f"a snapshot:one: 2 keys, as they were: {report['hash']}\n"
    connection.expect(1, "DEL", "{a}x")
    assert run("get", "--at", "snapshot:one", "a", "x") == "1\n"
    assert run("restore", "--at", "snapshot:one", "a").splitlines()[0].endswith("Z: 1 put, 0 deleted")
    assert run("unsnapshot", "a", "one") == "removed\n" and run("unsnapshot", "a", "one") == "there was none\n"
    assert "has no snapshot" in run("verify", "a", "one", status=1)
    assert "already" in run("snapshot", "a", "two", status=1)
    assert "which snapshot" in run("unsnapshot", "a", status=2)
    assert 'unexpected word "c"' in run("snapshot", "a", "b", "c", status=2)
    server.stop()
    assert "no server" in run("snapshots", status=1)
