"""One order for several actors: `perdure actor restore|snapshot|verify|unsnapshot|export|drop` with --all, --tenant, --match."""

import json
import os
import signal
import subprocess
import threading

from actor_history import as_map, is_error, now
from actor_restore import hash_of, made


def actor(world, verb, *words, server=None, check=True, timeout=120):
    directory = (server or world.server).directory
    return world.perdure("actor", verb, "--data", directory, *words, check=check, timeout=timeout)


def lines_of(text):
    """What -o json printed: (a line each, the summary)."""
    items = [json.loads(line) for line in text.splitlines()]
    assert "summary" in items[-1] and all("actor" in item for item in items[:-1]), items
    return items[:-1], items[-1]["summary"]


def fill(connection, count, prefix="b"):
    names = ["%s:%d" % (prefix, i) for i in range(count)]
    for name in names:
        connection.expect("OK", "MSET", "{%s}city" % name, "Rome", "{%s}name" % name, name)
    return names


def spoil(connection, names):
    for name in names:
        connection.expect("OK", "MSET", "{%s}city" % name, "Atlantis", "{%s}mess" % name, "1")


def snapshots(connection, names):
    """How many there are of these: one outlives its actor."""
    return sum(len(connection.command("PD.ACTOR", "SNAPSHOTS", name)) for name in names)


def listed(connection, pattern):
    return connection.command("PD.ACTOR", "LIST", "MATCH", pattern, "COUNT", "10000")[1]


def hashes(connection, names):
    return [hash_of(connection, name) for name in names]


def test_moment(world):
    connection = world.connect()
    connection.expect("OK", "SET", "{bm}a", "1")
    then = now(connection)
    connection.expect("OK", "SET", "{bm}a", "2")
    newest = now(connection)
    reply = as_map(connection.command("PD.ACTOR", "MOMENT", then))
    assert (reply["at"].decode(), reply["newest"].decode()) == (then, newest), reply
    assert reply["at_time"] < reply["newest_time"], reply
    again = as_map(connection.command("PD.ACTOR", "MOMENT", reply["at_time"]))
    assert again["at"] == reply["at"], again
    assert as_map(connection.command("PD.ACTOR", "MOMENT", "now"))["at"].decode() == newest
    is_error(connection.command("PD.ACTOR", "MOMENT", "snapshot:x"), "a snapshot is of one actor")
    is_error(connection.command("PD.ACTOR", "MOMENT", "yesterday"), "moment")
    is_error(connection.command("PD.ACTOR", "MOMENT", "999999999"), "after the newest")
    is_error(connection.command("PD.ACTOR", "MOMENT"), "wrong number of arguments")


def test_restore(world):
    connection = world.connect()
    names = fill(connection, 24)
    others = fill(connection, 3, "other")
    was = hashes(connection, names)
    then = now(connection)
    spoil(connection, names + others)
    connection.expect("OK", "SET", "{b:late}a", "1")
    spoiled, beside = hashes(connection, names), hashes(connection, others)
    # Nothing before it is asked for.
    status, said, err = actor(world, "restore", "--at", then, "--match", "b:*", check=False)
    assert status == 2 and "say --yes" in err, (status, err)
    assert said.startswith("25 actors would be restored as of ") and then in said and said.endswith(" and 15 more\n"), said
    status, said, err = actor(world, "restore", "--at", then, "--match", "b:*", "--dry-run", check=False)
    assert status == 0 and said.count(": would be 1 put, 1 deleted\n") == 24, (status, said)
    assert "24 would be restored, 1 not there then, in " in said and "b:late: there was no actor 'b:late' at LSN" in err, (said, err)
    assert hashes(connection, names) == spoiled
    before = now(connection)
    status, said, err = actor(world, "restore", "--at", then, "--match", "b:*", "--yes")
    assert "25 actors as of " in said and ": 24 restored, 1 not there then, in " in said, said
    assert "left as it is" in err and connection.command("GET", "{b:late}a") == b"1", err
    assert hashes(connection, names) == was and hashes(connection, others) == beside
    # What it says undoes it.
    assert "as they were before it: the same with --at %s\n" % before in said, said
    # Again: there is nothing to do, and every line says so.
    _, said, _ = actor(world, "restore", "--at", then, "--match", "b:*", "--yes", "-o", "json", "--parallel", "7")
    items, summary = lines_of(said)
    assert sorted(item["actor"] for item in items) == sorted(names + ["b:late"])
    assert {item["outcome"] for item in items if item["actor"] != "b:late"} == {"unchanged"}, items
    assert {item["result"]["way"] for item in items if "result" in item} == {"nothing"}, items
    assert (summary["actors"], summary["done"], summary["unchanged"], summary["skipped"], summary["failed"],
            summary["not_begun"]) == (25, 0, 24, 1, 0, 0), summary
    assert summary["at"] == then, summary
    actor(world, "restore", "--at", before, "--match", "b:*", "--yes")
    assert hashes(connection, names) == spoiled


def test_one_moment_for_all(world):
    """`now` is said once: who writes meanwhile does not come to be in some of them and not in others."""
    connection, other = world.connect(), world.connect()
    names = fill(connection, 40, "one")
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            other.expect("OK", "MSET", *[word for name in names for word in ("{%s}n" % name, str(number))])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        _, said, _ = actor(world, "snapshot", "--match", "one:*", "-o", "json", "same")
    finally:
        stop.set()
        thread.join()
    items, summary = lines_of(said)
    assert {item["outcome"] for item in items} == {"done"} and summary["done"] == 40, said
    assert {item["result"]["at"] for item in items} == {summary["at"]}, said
    values = {connection.command("PD.ACTOR", "GET", name, "n", "AT", "snapshot:same") for name in names}
    assert len(values) == 1, values
    assert len({item["result"]["at"] for item in items}) == 1


def test_snapshots(world):
    connection = world.connect()
    names = fill(connection, 12, "sn")
    then = now(connection)
    was = hashes(connection, names)
    connection.expect("OK", "SET", "{x}a", "1")
    status, said, _ = actor(world, "snapshot", "--match", "sn:*", "--dry-run", "up")
    assert said.splitlines()[:12] == names and "12 would be kept" in said, said
    assert snapshots(connection, names) == 0
    # Some have it already, one of them of another moment.
    made(connection, "SNAPSHOT", "sn:1", "up", "AT", then)
    connection.expect("OK", "SET", "{sn:2}more", "1")
    made(connection, "SNAPSHOT", "sn:2", "up")
    status, said, err = actor(world, "snapshot", "--match", "sn:*", "--at", then, "up", check=False)
    assert status == 1 and ": 10 kept, 1 so already, 1 failed, in " in said, said
    assert err.startswith("perdure actor snapshot: sn:2: ") and "already" in err, err
    status, said, err = actor(world, "verify", "--match", "sn:*", "up")
    assert said.startswith("12 actors: 12 verified, in "), said
    status, said, err = actor(world, "verify", "--all", "up", check=False)
    assert status == 1 and "12 verified, " in said and "has no snapshot 'up'" in err, (said, err)
    # Each goes back to its own.
    spoil(connection, names)
    _, said, _ = actor(world, "restore", "--at", "snapshot:up", "--match", "sn:*", "--yes")
    assert said.startswith("12 actors as of snapshot:up: 12 restored, in "), said
    connection.expect(1, "DEL", "{sn:2}more")
    assert hashes(connection, names) == was
    status, _, err = actor(world, "unsnapshot", "--match", "sn:*", "up", check=False)
    assert status == 2 and "--yes" in err and snapshots(connection, names) == 12, err
    _, said, _ = actor(world, "unsnapshot", "--match", "sn:*", "--yes", "up")
    assert said.startswith("12 actors: 12 removed, in ") and snapshots(connection, names) == 0, said
    # Without a name the time of the moment is one, the same for all.
    _, said, _ = actor(world, "snapshot", "--match", "sn:*", "--keep", "1h", "-o", "json")
    items, summary = lines_of(said)
    assert {item["result"]["snapshot"] for item in items} == {summary["at_time"]}, said


def test_tenant(world):
    connection = world.connect()
    for name in ("acme/a", "acme/b", "other/a"):
        connection.expect("OK", "PD.USE", name)
        connection.expect("OK", "SET", "k", "1")
    then = now(connection)
    for name in ("acme/a", "acme/b", "other/a"):
        connection.expect("OK", "PD.USE", name)
        connection.expect("OK", "SET", "k", "2")
    _, said, _ = actor(world, "restore", "--at", then, "--tenant", "acme", "--yes", "-o", "json")
    items, _ = lines_of(said)
    assert sorted(item["actor"] for item in items) == ["acme/a", "acme/b"], items
    values = []
    for name in ("acme/a", "acme/b", "other/a"):
        connection.expect("OK", "PD.USE", name)
        values.append(connection.command("GET", "k"))
    assert values == [b"1", b"1", b"2"], values
    status, said, err = actor(world, "drop", "--tenant", "acme", "--match", "nobody*", "--yes", check=False)
    assert status == 1 and said == "" and "no actor of tenant 'acme' matches 'nobody*'" in err, (status, said, err)
    connection.expect("OK", "PD.USE")


def test_drop(world):
    connection = world.connect()
    names = fill(connection, 30, "tmp")
    fill(connection, 2, "stays")
    # One is another's: it stays, and is named.
    epoch = connection.command("PD.ACTOR", "ACQUIRE", "tmp:7", "somebody", "600000", "EXCLUSIVE")
    status, said, err = actor(world, "drop", "--match", "tmp:*", check=False)
    assert status == 2 and said.startswith("30 actors would be dropped: tmp:0, "), (said, err)
    status, said, err = actor(world, "drop", "--match", "tmp:*", "--yes", check=False)
    assert status == 1 and said.startswith("30 actors: 29 dropped, 1 failed, in "), said
    assert err.startswith("perdure actor drop: tmp:7: ") and "somebody" in err and err.count("\n") == 1, err
    assert listed(connection, "tmp:*") == [b"tmp:7"] and len(listed(connection, "stays:*")) == 2
    connection.expect("OK", "PD.ACTOR", "RELEASE", names[7], "somebody", epoch)


def test_export(world):
    server = world.new_server("exports")
    server.start()
    connection = world.connect(server)
    names = fill(connection, 20, "e")
    strange = [b"e:caf\xc3\xa9 \xff", b"e:." + b"x" * 250, b"e:" + b"y" * 250, b"e:\n'$(ls)"]
    for name in strange:
        connection.expect("OK", "SET", b"{" + name + b"}city", b"Rome")
    directory = world.path("exported")
    then = now(connection)
    spoil(connection, names[:5])
    status, _, err = actor(world, "export", "--match", "e:*", server=server, check=False)
    assert status == 2 and "--directory" in err, err
    _, said, _ = actor(world, "export", "--match", "e:*", "--at", then, "--directory", directory, "-o", "json", server=server)
    items, summary = lines_of(said)
    files = sorted(os.listdir(directory))
    assert summary["done"] == 24 == len(files) and all(name.endswith(".jsonl") for name in files), (summary, files)
    assert {os.path.basename(item["result"]["file"]) for item in items} == set(files)
    for name in files:
        with open(os.path.join(directory, name), "rb") as file:
            assert json.loads(file.readline())["at"] == then
    # Each is a whole one.
    for item in items[:6]:
        said = world.perdure("actor", "import", "--data", server.directory, "--as", "back", item["result"]["file"])[1]
        assert item["result"]["hash"] in said, said
        connection.expect(1, "PD.ACTOR", "DROP", "back")
    # What is there of the same moment stays; what is of another is written anew.
    path = os.path.join(directory, "e:3.jsonl")
    os.unlink(path)
    _, said, _ = actor(world, "export", "--match", "e:*", "--at", then, "--directory", directory, server=server)
    assert ": 1 exported, 23 so already, in " in said and os.path.exists(path), said
    _, said, _ = actor(world, "export", "--match", "e:*", "--directory", directory, server=server)
    assert ": 24 exported, in " in said, said
    # One that was killed has left a file: the others are there, and this one is named.
    with open(os.path.join(directory, "e:4.jsonl.new"), "wb"):
        pass
    status, said, err = actor(world, "export", "--match", "e:*", "--at", then, "--directory", directory, server=server, check=False)
    assert status == 1 and "23 exported, 1 failed" in said and "e:4.jsonl.new is there" in err, (said, err)
    os.unlink(os.path.join(directory, "e:4.jsonl.new"))
    # Nobody serves it.
    server.stop()
    cold = world.path("cold")
    _, said, _ = actor(world, "export", "--all", "--at", then, "--directory", cold, server=server)
    assert ": 24 exported, in " in said, said
    actor(world, "export", "--match", "e:*", "--at", then, "--directory", directory, server=server)
    for name in files:
        with open(os.path.join(directory, name), "rb") as one, open(os.path.join(cold, name), "rb") as other:
            assert one.read() == other.read(), name
    status, _, err = actor(world, "restore", "--at", then, "--all", "--yes", server=server, check=False)
    assert status == 1 and "no server is running" in err, err


def begin(world, command, lines, then):
    """Run it, do that when so many lines have come, and wait for its end."""
    with open(world.path("words"), "w+", encoding="utf-8") as words:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words, text=True)
        said = "".join(process.stdout.readline() for _ in range(lines))
        then(process)
        said += process.stdout.read()
        process.wait(timeout=120)
        words.seek(0)
        return process, said, words.read()


def test_interrupted(world):
    """It says what was done, and what it says goes on."""
    connection = world.connect()
    names = fill(connection, 120, "i")
    was = hashes(connection, names)
    then = now(connection)
    spoil(connection, names)
    command = [world.binary, "actor", "restore", "--data", world.server.directory, "--at", then, "--match", "i:*", "--yes",
               "--parallel", "1", "-o", "json"]
    process, said, err = begin(world, command, 1, lambda process: process.send_signal(signal.SIGINT))
    items, summary = lines_of(said)
    assert summary["done"] == len(items) and summary["done"] + summary["not_begun"] == 120, summary
    assert summary["abandoned"] == 0 and "waiting for those under way" in err, (summary, err)
    assert summary["not_begun"] > 0 and process.returncode == 1, (summary, process.returncode)
    done = {item["actor"] for item in items}
    assert all((hash_of(connection, name) == before) == (name in done) for name, before in zip(names, was))
    _, said, _ = actor(world, "restore", "--at", summary["at"], "--match", "i:*", "--yes")
    assert ": %d restored, %d so already, in " % (120 - len(done), len(done)) in said, said
    assert hashes(connection, names) == was


def test_server_ends(world):
    server = world.new_server("ends")
    server.start()
    connection = world.connect(server)
    names = fill(connection, 50, "z")
    then = now(connection)
    spoil(connection, names)
    command = [world.binary, "actor", "restore", "--data", server.directory, "--at", then, "--all", "--yes", "-o", "json"]
    process, said, _ = begin(world, command, 1, lambda _: server.kill())
    items, summary = lines_of(said)
    assert process.returncode == 1 and summary["not_begun"] > 0, summary
    failed = [item for item in items if item["outcome"] == "failed"]
    assert 1 <= len(failed) <= 4 and all("the server" in item["error"] for item in failed), failed
    server.start()
    _, said, _ = actor(world, "restore", "--at", then, "--all", "--yes", server=server)
    connection = world.connect(server)
    assert all(connection.command("GET", "{%s}city" % name) == b"Rome" for name in names), said


def test_words(world):
    """What does not go together is refused, and says what does."""
    for verb, words, text in (
            ("restore", ("--at", "-1m"), "which actor? 'perdure actor ls' lists them; --all"),
            ("restore", ("--all",), "to when?"),
            ("restore", ("--all", "--match", "x", "--at", "-1m"), "Say --all or --match"),
            ("restore", ("--all", "--at", "-1m", "name"), "--all says which actors"),
            ("restore", ("--at", "-1m", "one", "two"), "unexpected word \"two\"; several actors are taken with --match"),
            ("drop", ("--tenant", "acme", "name"), "One of a tenant is TENANT/NAME"),
            ("drop", ("--all", "--yes", "--parallel", "0"), "parallel"),
            ("drop", ("--dry-run", "name"), "say --all, --tenant or --match"),
            ("verify", ("--all",), "which snapshot?"),
            ("verify", ("one",), "which snapshot?"),
            ("snapshot", ("--all", "--at", "snapshot:x"), "a snapshot is another moment for each"),
            ("export", ("--directory", "d", "name"), "--directory is for several"),
            ("export", ("--all", "-f", "x", "--directory", "d"), "several do not go into one file")):
        status, said, err = actor(world, verb, *words, check=False)
        assert status == 2 and said == "" and text in err, (verb, words, status, said, err)
    connection = world.connect()
    fill(connection, 2, "w")
    status, said, err = actor(world, "restore", "--all", "--yes", "--at", "2001-01-01T00:00:00Z", "-o", "json", check=False)
    items, summary = lines_of(said) if status == 0 else ([], {})
    # Before everything: none was there.
    assert summary.get("skipped") == len(items) > 0, (status, said, err)
    status, said, err = actor(world, "restore", "--all", "--yes", "--at", "999999999", check=False)
    assert status == 1 and said == "" and "after the newest" in err, (status, said, err)
