"""Relations between actors: PD.ACTOR RELATE, UNRELATE, RELATIONS, `perdure actor` for the same, and what becomes of them when actors go, come back or
are made again what they were."""

import json

from actor_history import as_map, is_error, now, page_of
from actor_restore import hash_of, made
from actor_transfer import exported, imported


def relations(connection, name, *words):
    """All of them, page after page: (direction, kind, actor, data)."""
    found, cursor = [], b"0"
    while True:
        cursor, page = connection.command("PD.ACTOR", "RELATIONS", name, *words, "CURSOR", cursor)
        for entry in page:
            one = as_map(entry)
            assert list(one) == ["direction", "kind", "actor", "data"], one
            found.append((one["direction"].decode(), one["kind"].decode(), one["actor"].decode(), one["data"].decode()))
        if cursor == b"0":
            return found


def actors(connection, *names):
    for name in names:
        connection.expect("OK", "SET", f"{{{name}}}k", "1")


def test_relate(world):
    connection = world.connect()
    actors(connection, "ra", "rb", "rc")
    connection.expect(1, "PD.ACTOR", "RELATE", "ra", "rb", "KIND", "friend", "DATA", "since school")
    connection.expect(1, "pd.actor", "relate", "rc", "rb")
    assert relations(connection, "ra") == [("out", "friend", "rb", "since school")]
    assert relations(connection, "rb") == [("in", "friend", "ra", "since school"), ("in", "related", "rc", "")]
    assert relations(connection, "rb", "IN", "KIND", "related") == [("in", "related", "rc", "")]
    assert relations(connection, "rb", "out") == []
    assert relations(connection, "rb", "COUNT", "1") == relations(connection, "rb")
    connection.expect(0, "PD.ACTOR", "RELATE", "ra", "rb", "KIND", "friend")
    assert relations(connection, "rb", "KIND", "friend") == [("in", "friend", "ra", "")]
    # With anything else, in one transaction.
    connection.expect("OK", "MULTI")
    connection.expect("QUEUED", "SET", "{ra}n", "1")
    connection.expect("QUEUED", "PD.ACTOR", "RELATE", "ra", "rc")
    connection.expect("QUEUED", "PD.ACTOR", "UNRELATE", "ra", "rb", "KIND", "friend")
    connection.expect(["OK", 1, 1], "EXEC")
    assert relations(connection, "ra") == [("out", "related", "rc", "")]
    for words, why in ((("RELATE", "ra", "nobody"), "ERR there is no actor 'nobody'"),
                       (("RELATE", "ra", "rb", "KIND", "a b"), "ERR 'a b' is no relation's kind"),
                       (("RELATE", "ra", "rb", "DATA", "x" * 257), "ERR what a relation says may have 256 bytes"),
                       (("RELATE", "ra", "acme/x"), "ERR 'ra' and 'acme/x' are of two tenants"),
                       (("RELATE", "ra", "rb", "KIND"), "ERR syntax error: PD.ACTOR RELATE"),
                       (("RELATE", "ra"), "ERR wrong number of arguments"),
                       (("RELATIONS", "nobody"), "ERR there is no actor 'nobody'"),
                       (("RELATIONS", "ra", "CURSOR", "7"), "ERR that is no cursor")):
        is_error(connection.command("PD.ACTOR", *words), why)
    world.server.kill()
    world.server.start()
    connection = world.connect()
    assert relations(connection, "ra") == [("out", "related", "rc", "")]
    assert relations(connection, "rc") == [("in", "related", "ra", ""), ("out", "related", "rb", "")]


def test_names_are_bytes(world):
    connection = world.connect()
    for name in (b"\xff\x00\r\n", b"\x00", b"r" * 256):
        connection.expect("OK", "SET", b"{" + name + b"}k", "1")
    connection.expect(1, "PD.ACTOR", "RELATE", b"\xff\x00\r\n", b"\x00", "DATA", b"\x00\xff")
    connection.expect(1, "PD.ACTOR", "RELATE", b"r" * 256, b"\x00", "KIND", "k" * 64)
    page = connection.command("PD.ACTOR", "RELATIONS", b"\x00")[1]
    assert sorted(as_map(entry)["actor"] for entry in page) == [b"r" * 256, b"\xff\x00\r\n"], page
    assert connection.command("PD.ACTOR", "RELATIONS", b"\x00", "COUNT", "1", "CURSOR", "0")[0] != b"0"
    # The last cursor counts, however many there are.
    long = "6f" + 321 * "61"
    connection.expect([b"0", []], "PD.ACTOR", "RELATIONS", b"\x00", *(20 * ("CURSOR", long)))
    connection.expect(1, "PD.ACTOR", "UNRELATE", b"\xff\x00\r\n", b"\x00")


def test_history(world):
    connection = world.connect()
    actors(connection, "rh", "ri")
    begin = now(connection)
    connection.expect(1, "PD.ACTOR", "RELATE", "rh", "ri", "KIND", "owns", "DATA", "all of it")
    middle = now(connection)
    connection.expect(1, "PD.ACTOR", "UNRELATE", "rh", "ri", "KIND", "owns")
    for name, other, direction in (("rh", b"ri", b"out"), ("ri", b"rh", b"in")):
        ended, related = (as_map(entry["operations"][0]) for entry in page_of(connection, "HISTORY", name, "FROM", begin)["entries"])
        assert related == {"op": b"relate", "direction": direction, "kind": b"owns", "actor": other, "value": b"all of it"}, related
        assert ended == {"op": b"unrelate", "direction": direction, "kind": b"owns", "actor": other}, ended
        assert page_of(connection, "DIFF", name, "FROM", begin)["entries"] == []
        one, = page_of(connection, "DIFF", name, "FROM", begin, "TO", middle)["entries"]
        assert (one["change"], one["direction"], one["actor"], one["kind"], one["new_type"], one["new"]) == \
            (b"put", direction, other, b"owns", b"relation", b"all of it"), one
    printed = world.perdure("actor", "history", "rh", "--limit", "2", "--data", world.server.directory)[1]
    assert "unrelate -> ri (owns)" in printed and 'relate -> ri (owns) "all of it"' in printed, printed
    dumped = world.perdure("log", "dump", "--data", world.server.directory)[1]
    assert "{rh}-> ri (owns) relation 9" in dumped and "{ri}<- rh (owns)" in dumped, dumped[-2000:]


def test_flush_and_drop(world):
    connection = world.connect()
    actors(connection, "rd", "re", "rf")
    connection.expect(1, "PD.ACTOR", "RELATE", "rd", "re")
    connection.expect(1, "PD.ACTOR", "RELATE", "rf", "rd", "KIND", "x")
    connection.expect("OK", "PD.USE", "rd")
    connection.expect("OK", "FLUSHDB")
    connection.expect("OK", "PD.USE")
    begin = now(connection)
    assert as_map(page_of(connection, "HISTORY", "rd")["entries"][0]["operations"][0])["op"] == b"clear"
    assert relations(connection, "rd") == [("in", "x", "rf", ""), ("out", "related", "re", "")]
    connection.expect(1, "PD.ACTOR", "DROP", "rd")
    assert relations(connection, "re") == relations(connection, "rf") == []
    operation = page_of(connection, "HISTORY", "re", "FROM", begin)["entries"][0]["operations"][0]
    assert as_map(operation)["op"] == b"unrelate"
    world.server.kill()
    world.server.start()
    connection = world.connect()
    assert relations(connection, "re") == relations(connection, "rf") == []
    made(connection, "UNDROP", "rd")
    assert relations(connection, "rd") == relations(connection, "re") == []


def test_forks_and_restores(world):
    """A fork is related to nobody; a restore leaves relations as they are, whichever way it goes."""
    connection = world.connect()
    actors(connection, "rm", "rn", "ro")
    connection.expect(1, "PD.ACTOR", "RELATE", "rm", "rn", "DATA", "old")
    begin = now(connection)
    made(connection, "FORK", "rm", "rm-fork")
    assert relations(connection, "rm-fork") == [] and relations(connection, "rn") == [("in", "related", "rm", "old")]
    snapshot = made(connection, "SNAPSHOT", "rm", "kept")
    assert snapshot["hash"] == hash_of(connection, "rm")
    assert made(connection, "VERIFY", "rm", "kept")["hash"] == snapshot["hash"]
    connection.expect("OK", "SET", "{rm}k", "2")
    connection.expect(1, "PD.ACTOR", "RELATE", "ro", "rm")
    connection.expect(0, "PD.ACTOR", "RELATE", "rm", "rn", "DATA", "new")
    related = [("in", "related", "ro", ""), ("out", "related", "rn", "new")]
    reply = made(connection, "RESTORE", "rm", "AT", begin)
    assert reply["way"] == b"changes", reply
    connection.expect(b"1", "GET", "{rm}k")
    assert relations(connection, "rm") == related
    # Of so much that all is written anew, with another id.
    for i in range(60):
        connection.expect("OK", "MSET", *(word for j in range(100) for word in (f"{{rm}}{i}-{j}", "x")))
    reply = made(connection, "RESTORE", "rm", "AT", begin)
    assert reply["way"] == b"replace", reply
    assert relations(connection, "rm") == related
    last, before = page_of(connection, "HISTORY", "rm", "COUNT", "2")["entries"]
    assert [as_map(one)["op"] for one in last["operations"]] == [b"replace"] and before["lsn"] < last["lsn"], (last, before)
    assert page_of(connection, "DIFF", "rm", "FROM", reply["undo"])["entries"][0]["change"] == b"deleted"
    assert not any("direction" in one for one in page_of(connection, "DIFF", "rm", "FROM", reply["undo"], "COUNT", "10000")["entries"])
    assert relations(connection, "rn") == [("in", "related", "rm", "new")] and relations(connection, "ro") == [("out", "related", "rm", "")]
    made(connection, "FORK", "rm", "rm-of-snapshot", "AT", "snapshot:kept")
    connection.expect(b"1", "GET", "{rm-of-snapshot}k")
    assert relations(connection, "rm-of-snapshot") == []
    world.server.kill()
    world.server.start()
    connection = world.connect()
    assert relations(connection, "rm") == related
    connection.expect(1, "PD.ACTOR", "DROP", "rm")
    assert relations(connection, "rn") == relations(connection, "ro") == []


def test_restore_relations(world):
    """They alone, on both sides; nothing else of anybody is touched."""
    connection = world.connect()
    actors(connection, "rp", "rq", "rr", "rz")
    connection.expect(1, "PD.ACTOR", "RELATE", "rp", "rq", "DATA", "old")
    connection.expect(1, "PD.ACTOR", "RELATE", "rr", "rp", "KIND", "x")
    connection.expect(1, "PD.ACTOR", "RELATE", "rp", "rp", "KIND", "self")
    connection.expect(1, "PD.ACTOR", "RELATE", "rp", "rz")
    was = relations(connection, "rp")
    made(connection, "SNAPSHOT", "rp", "then")
    begin = now(connection)
    connection.expect("OK", "SET", "{rp}k", "2")
    connection.expect(0, "PD.ACTOR", "RELATE", "rp", "rq", "DATA", "new")
    connection.expect(1, "PD.ACTOR", "UNRELATE", "rr", "rp", "KIND", "x")
    connection.expect(1, "PD.ACTOR", "UNRELATE", "rp", "rp", "KIND", "self")
    connection.expect(1, "PD.ACTOR", "RELATE", "rq", "rp", "KIND", "y")
    connection.expect(1, "PD.ACTOR", "DROP", "rz")
    changed = relations(connection, "rp")
    plan = made(connection, "RESTORE", "rp", "AT", begin, "RELATIONS", "DRYRUN")
    assert (plan["related"], plan["ended"], plan["missing"]) == (3, 1, 1) and "undo" not in plan, plan
    assert relations(connection, "rp") == changed
    done = made(connection, "RESTORE", "rp", "AT", begin, "RELATIONS")
    assert (done["related"], done["ended"], done["missing"]) == (3, 1, 1), done
    assert relations(connection, "rp") == [one for one in was if one[2] != "rz"]
    assert relations(connection, "rq") == [("in", "related", "rp", "old")] and relations(connection, "rr") == [("out", "x", "rp", "")]
    connection.expect(b"2", "GET", "{rp}k")
    again = made(connection, "RESTORE", "rp", "AT", begin, "RELATIONS")
    assert (again["related"], again["ended"], again["missing"]) == (0, 0, 1) and "undo" not in again, again
    made(connection, "RESTORE", "rp", "AT", done["undo"], "RELATIONS")
    assert relations(connection, "rp") == changed and relations(connection, "rr") == []
    world.server.kill()
    world.server.start()
    connection = world.connect()
    assert relations(connection, "rp") == changed
    # After a drop, in two steps; and from a snapshot.
    connection.expect(1, "PD.ACTOR", "DROP", "rp")
    made(connection, "UNDROP", "rp")
    assert relations(connection, "rp") == []
    said = world.perdure("actor", "restore", "--relations", "--at", "snapshot:then", "rp", "--data", world.server.directory)[1]
    assert ": 3 related, 0 ended, 1 with actors that are not there" in said and "undo it with: perdure actor restore --relations" in said, said
    assert relations(connection, "rp") == [one for one in was if one[2] != "rz"] and relations(connection, "rr") == [("out", "x", "rp", "")]
    connection.expect(b"2", "GET", "{rp}k")
    # Whom it concerns is asked.
    epoch = connection.command("PD.ACTOR", "ACQUIRE", "rq", "somebody", "60000", "EXCLUSIVE")
    connection.expect(1, "PD.ACTOR", "UNRELATE", "rr", "rp", "KIND", "x")
    is_error(connection.command("PD.ACTOR", "RESTORE", "rp", "AT", done["undo"], "RELATIONS"), "STALEEPOCH actor 'rq'")
    assert relations(connection, "rr") == []
    connection.expect("OK", "PD.ACTOR", "RELEASE", "rq", "somebody", epoch)
    # Several at once: the second finds what the first has done for both.
    said = world.perdure("actor", "restore", "--relations", "--at", begin, "--match", "r[pr]", "--parallel", "1", "--yes",
                         "--data", world.server.directory)[1]
    assert "1 restored, 1 so already" in said, said
    assert relations(connection, "rr") == [("out", "x", "rp", "")]
    is_error(connection.command("PD.ACTOR", "RESTORE", "rp", "AT", begin, "RELATED"), "ERR syntax error: PD.ACTOR RESTORE")


def test_command(world):
    connection = world.connect()
    actors(connection, "rs", "rt")

    def actor(*words, status=0):
        done, stdout, stderr = world.perdure("actor", *words, "--data", world.server.directory, check=False)
        assert done == status, (done, stderr)
        return stdout if status == 0 else stderr

    assert actor("relate", "rs", "rt", "--kind", "member", "--text", "of old") == "related\n"
    assert actor("relate", "rs", "rt", "--kind", "member", "--text", "of old") == "it was there already\n"
    assert actor("relations", "rs") == '-> rt (member) "of old"\n'
    assert actor("relations", "--in", "rt") == '<- rs (member) "of old"\n'
    assert actor("relations", "--out", "rt") == ""
    assert json.loads(actor("relations", "-o", "json", "--kind", "member", "rt")) == \
        [{"direction": "in", "kind": "member", "actor": "rs", "data": "of old"}]
    assert actor("unrelate", "rs", "rt") == "there was none\n"
    assert actor("unrelate", "rs", "rt", "--kind", "member") == "ended\n"
    assert "there is no actor 'nobody'" in actor("relate", "rs", "nobody", status=1)
    assert "which actor does it go to" in actor("relate", "rs", status=2)


def test_files(world):
    connection = world.connect()
    actors(connection, "fa", "fb", "fc")
    bare = hash_of(connection, "fa")
    connection.expect(1, "PD.ACTOR", "RELATE", "fa", "fb", "KIND", "friend", "DATA", "since school")
    connection.expect(1, "PD.ACTOR", "RELATE", "fc", "fa")
    lines, without = exported(connection, "fa"), exported(connection, "fa", "AT", "now", "NORELATIONS")
    read = [json.loads(line) for line in lines.splitlines()]
    assert read[0]["perdure_actor"] == 2 and read[-1]["state_hash"].encode() == bare, read
    assert read[2:4] == [{"relation": "in", "kind": "related", "actor": "fc", "data": ""},
                         {"relation": "out", "kind": "friend", "actor": "fb", "data": "since school"}], read
    assert json.loads(without.splitlines()[0])["perdure_actor"] == 1
    copy = imported(connection, lines, "AS", "fd")
    assert (copy["related"], copy["missing"], copy["hash"]) == (2, [], bare), copy
    assert ("in", "friend", "fd") in [one[:3] for one in relations(connection, "fb")]
    assert relations(connection, "fd", "IN") == [("in", "related", "fc", "")]
    assert imported(connection, lines, "AS", "fe", "NORELATIONS")["related"] == 0
    assert relations(connection, "fe") == []
    # Who is not there is told; who comes later brings its side along. An owner of another is not written past.
    friend = exported(connection, "fb")
    epoch = connection.command("PD.ACTOR", "ACQUIRE", "fc", "somebody", "60000", "EXCLUSIVE")
    for name in ("fa", "fb"):
        connection.expect(1, "PD.ACTOR", "DROP", name)
    again = imported(connection, lines)
    assert again["related"] == 0, again
    assert [as_map(one) for one in again["missing"]] == [
        {"direction": b"in", "kind": b"related", "actor": b"fc"}, {"direction": b"out", "kind": b"friend", "actor": b"fb"}], again
    assert relations(connection, "fa") == []
    assert imported(connection, friend)["related"] == 2
    assert [one[:3] for one in relations(connection, "fa")] == [("out", "friend", "fb")]
    assert relations(connection, "fb", "KIND", "friend")[0][:3] == ("in", "friend", "fa")
    connection.expect("OK", "PD.ACTOR", "RELEASE", "fc", "somebody", epoch)
    for words in (("EXPORT", "BEGIN", "fa", "NORELATIONS", "AT", "now"), ("IMPORT", "BEGIN", "REPLACE", "REPLACE"),
                  ("IMPORT", "BEGIN", "NORELATIONS", "AS", "x")):
        is_error(connection.command("PD.ACTOR", *words), "ERR syntax error: PD.ACTOR")


def test_files_in_the_shell(world):
    server = world.new_server("relations-files")
    server.start()
    connection = world.connect(server)
    actors(connection, "a", "b")
    connection.expect(1, "PD.ACTOR", "RELATE", "a", "b", "KIND", "friend")

    def run(*words):
        return world.run(world.binary, "actor", *words, "--data", server.directory)[1]

    path, bare = world.path("related.jsonl"), world.path("bare.jsonl")
    run("export", "-f", path, "a")
    run("export", "--without-relations", "-f", bare, "a")
    with open(path, "rb") as file, open(bare, "rb") as other:
        assert b'"relation":"out"' in file.read() and b"relation" not in other.read()
    assert "not related" not in run("import", "--as", "c", path)
    assert relations(connection, "c") == [("out", "friend", "b", "")]
    run("import", "--as", "d", "--without-relations", path)
    assert relations(connection, "d") == []
    connection.expect(1, "PD.ACTOR", "DROP", "b")
    assert "not related: friend to b\n" in run("import", "--as", "e", path)
    assert json.loads(run("import", "--as", "f", "-o", "json", path))["missing"] == [
        {"direction": "out", "kind": "friend", "actor": "b"}]
    server.stop()
    # Nobody serves it: the directory is read.
    assert '"relation"' not in run("export", "--without-relations", "a")
