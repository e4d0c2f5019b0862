"""`perdure backup full --tenant|--match`: backups of some actors, by a server and of a directory, and what can be done with them."""

import json
import os
import shutil
import threading

from actor_bulk import fill, hashes, spoil
from actor_history import is_error
from actor_relations import relations
from actor_restore import hash_of
from backup import backup, lines
from backup_bucket import FAILURE, USAGE, Bucket, DAMAGED

OF_ACTORS = "-actors"


def restore(world, vault, *words, check=True):
    status, said, err = world.perdure("backup", "restore", "--repository", vault, *words, check=check, timeout=300)
    return status, said, err


def tenants(connection):
    """Two of them, with names that are alike."""
    names = fill(connection, 6, "u")
    fill(connection, 2, "other")
    connection.expect("OK", "SET", "{u:0}large", os.urandom(1_500_000))
    connection.expect(2, "HSET", "{u:1}h", "f", "x" * 300_000, "g", "2")
    connection.expect(1, "HSET", "{u:1}longer-name", "f", "1")
    connection.expect(1, "PD.ACTOR", "RELATE", "u:0", "u:1", "KIND", "friend", "DATA", "since school")
    connection.expect(1, "PD.ACTOR", "RELATE", "u:0", "other:0", "KIND", "knows")
    connection.expect("OK", "PD.ACTOR", "PROFILE", "u:2", "QUOTA-KEYS", "100")
    connection.expect("OK", "PD.USE", "acme/u:0")
    connection.expect("OK", "SET", "k", "1")
    connection.expect("OK", "PD.USE")
    return names


def lines_objects(vault):
    return sorted(os.path.join(at, name) for at, _, found in os.walk(os.path.join(vault, "lines")) for name in found)


def test_of_a_server(world):
    server = world.new_server("chosen")
    server.start()
    connection = world.connect(server)
    names = tenants(connection)
    was = hashes(connection, names)
    vault = world.path("chosen-vault")
    data = ("--data", server.directory)
    said = backup(world, "full", *data, "--match", "u:*", repository=vault)
    done = said[-1]
    assert done["id"].endswith(OF_ACTORS) and done["actors"] == 6 and done["sent_bytes"] == done["stored_bytes"] > 0, done
    assert "hash" not in done and not os.path.exists(os.path.join(vault, "data")), done
    # The same once more: nothing is sent.
    again = backup(world, "full", *data, "--match", "u:*", repository=vault)[-1]
    assert again["sent_bytes"] == 0 and again["bytes"] == done["bytes"] and again["id"] != done["id"], again
    of_tenant = backup(world, "full", *data, "--tenant", "acme", repository=vault)[-1]
    assert of_tenant["actors"] == 1, of_tenant
    # What it is, is shown.
    shown = backup(world, "ls", repository=vault)
    assert [line["id"] for line in shown] == [done["id"], again["id"], of_tenant["id"]], shown
    assert shown[0]["kind"] == "actors" and (shown[0]["tenant"], shown[0]["match"], shown[0]["actors"]) == ("default", "u:*", 6), shown
    assert shown[2]["tenant"] == "acme" and "match" not in shown[2], shown
    _, text, _ = world.perdure("backup", "ls", "--repository", vault)
    assert "6 actors of tenant default that match u:*\n" in text and "1 actor of tenant acme\n" in text, text
    info = backup(world, "info", done["id"], repository=vault)[0]
    assert [member["actor"] for member in info["members"]] == names and info["match"] == "u:*", info
    assert [member["hash"].encode() for member in info["members"][2:]] == was[2:], info
    _, text, _ = world.perdure("backup", "info", done["id"], "--repository", vault)
    assert "kind       actors" in text and was[3].decode() + "  u:3" in text, text
    points = backup(world, "points", repository=vault)
    assert [line["step"] for line in points] == ["actors"] * 3 and points[0]["lsn"] == done["lsn"], points
    # Into another server, all of it: with what they were related to, as far as that is there.
    other = world.new_server("takes-them")
    other.start()
    there = world.connect(other)
    _, said, _ = restore(world, vault, done["id"], "--all", "--into-server", other.directory, "-o", "json")
    items = lines(said)
    assert items[-1]["summary"]["done"] == 6, items
    assert hashes(there, names[1:]) == was[1:]
    assert relations(there, "u:0") == [("out", "friend", "u:1", "since school")] and relations(there, "u:1") == [("in", "friend", "u:0", "since school")]
    there.expect(1_500_000, "STRLEN", "{u:0}large")
    status, _, err = restore(world, vault, of_tenant["id"], "--all", "--into-server", other.directory, check=False)
    assert status == FAILURE and "there is no tenant 'acme'" in err, err
    there.expect("OK", "PD.USE", "acme/another")
    there.expect("OK", "SET", "k", "2")
    restore(world, vault, of_tenant["id"], "--all", "--into-server", other.directory)
    there.expect("OK", "PD.USE", "acme/u:0")
    there.expect(b"1", "GET", "k")
    # One in the place of what became of it here; those that match; into files.
    spoil(connection, names)
    spoiled = hashes(connection, names)
    restore(world, vault, done["id"], "--actor", "u:3", "--replace", "--into-server", server.directory)
    assert hash_of(connection, "u:3") == was[3] and hashes(connection, names[4:]) == spoiled[4:]
    restore(world, vault, done["id"], "--match", "u:[45]", "--replace", "--yes", "--into-server", server.directory)
    assert hashes(connection, names[4:]) == was[4:] and hash_of(connection, "u:2") == spoiled[2]
    directory = world.path("chosen-files")
    restore(world, vault, done["id"], "--all", "--directory", directory)
    assert sorted(os.listdir(directory)) == [name + ".jsonl" for name in names]
    with open(os.path.join(directory, "u:2.jsonl"), encoding="utf-8") as file:
        first = json.loads(file.readline())
    assert first["at"] == done["at"] and first["quota_keys"] == 100, first
    world.perdure("actor", "import", "--data", server.directory, "--as", "u:2-before", os.path.join(directory, "u:2.jsonl"))
    assert hash_of(connection, "u:2-before") == was[2]
    verified = backup(world, "verify", "--all", repository=vault)
    assert [line["id"] for line in verified if line["step"] == "verified" and line["sound"]] == [line["id"] for line in shown], verified
    other.stop()
    server.stop()


def test_little_is_sent_again(world):
    server = world.new_server("little")
    server.start()
    connection = world.connect(server)
    vault = world.path("little-vault")
    for number in range(120):
        connection.expect("OK", "SET", "{n:%03d}v" % number, os.urandom(150_000))
    first = backup(world, "full", "--data", server.directory, "--tenant", "default", repository=vault)[-1]
    assert first["actors"] == 120 and len(lines_objects(vault)) > 6, first
    # In the middle one is longer now, one is gone and one is new: all behind them is elsewhere, and not sent again.
    connection.expect("OK", "SET", "{n:060}v", os.urandom(170_001))
    connection.expect(1, "PD.ACTOR", "DROP", "n:061")
    connection.expect("OK", "SET", "{n:0605}v", "new")
    second = backup(world, "full", "--data", server.directory, "--tenant", "default", repository=vault)[-1]
    assert second["actors"] == 120 and 0 < second["sent_bytes"] < first["sent_bytes"] * 0.45, (first, second)
    server.stop()
    # The same of the directory, by another process.
    third = backup(world, "full", "--data", server.directory, "--tenant", "default", repository=vault)[-1]
    assert third["sent_bytes"] == 0, third
    # What only the first had goes with it.
    before = len(lines_objects(vault))
    gone = backup(world, "expire", "--keep", "2", repository=vault)[-1]
    assert gone["backups"] == [first["id"]] and gone["pieces"] > 0 and len(lines_objects(vault)) == before - gone["pieces"], gone
    backup(world, "verify", "--all", repository=vault)


def test_of_a_directory(world):
    server = world.new_server("still")
    server.start()
    connection = world.connect(server)
    names = tenants(connection)
    was = hashes(connection, names)
    server.stop()
    vault = world.path("still-vault")
    before = sorted(os.listdir(server.directory))
    done = backup(world, "full", "--data", server.directory, "--match", "u:[0-3]", repository=vault)[-1]
    assert done["actors"] == 4 and sorted(os.listdir(server.directory)) == before, done
    other = world.new_server("still-there")
    other.start()
    there = world.connect(other)
    restore(world, vault, done["id"], "--all", "--into-server", other.directory)
    assert hashes(there, names[2:4]) == was[2:4]
    other.stop()


def test_it_is_no_whole_one(world):
    """Nothing goes on from it, no directory is made of it, and it lets no other expire."""
    server = world.new_server("whole")
    server.start()
    connection = world.connect(server)
    tenants(connection)
    vault = world.path("whole-vault")
    data = ("--data", server.directory)
    some = backup(world, "full", *data, "--match", "u:*", repository=vault)[-1]
    for kind in ("incremental", "differential", "log"):
        status, _, err = backup(world, kind, *data, repository=vault, check=False)
        assert status == FAILURE and "make a full one" in err, (kind, err)
    target = world.path("whole-again")
    status, _, err = restore(world, vault, "--data", target, check=False)
    assert status == FAILURE and "there is no backup" in err and not os.path.exists(target), err
    full = backup(world, "full", *data, repository=vault)[-1]
    connection.expect("OK", "SET", "{u:0}new", "1")
    state = connection.command("PD.STATEHASH").decode()
    log = backup(world, "log", *data, repository=vault)[-1]
    assert log["parent"] == full["id"], log
    later = backup(world, "full", *data, "--match", "u:*", repository=vault)[-1]
    assert later["id"] != some["id"]
    for words, text in (
            (("--data", target), "no directory is made"),
            ((), "no directory is made"),
            (("--all", "--into-server", server.directory, "--at", "-1m"), "of one moment"),
            (("--all", "--into-server", server.directory, "--log", "x"), "log goes on behind a backup of everything"),
            (("--all", "--data", target), "--into-server or --directory instead of --data")):
        status, _, err = restore(world, vault, later["id"], *words, check=False)
        assert status == USAGE and text in err and not os.path.exists(target), (words, status, err)
    status, _, err = restore(world, vault, later["id"], "--all", "--tenant", "acme", "--into-server", server.directory, check=False)
    assert status == FAILURE and "none of 'acme'" in err, err
    status, said, err = restore(world, vault, later["id"], "--actor", "nobody", "--into-server", server.directory, check=False)
    assert status == FAILURE and "has no such actor" in err and "1 failed" in said, (said, err)
    status, _, err = restore(world, vault, later["id"], "--match", "nobody*", "--into-server", server.directory, check=False)
    assert status == FAILURE and "matches 'nobody*'" in err, err
    status, _, err = backup(world, "drill", later["id"], repository=vault, check=False)
    assert status != 0 and "is of some actors only" in err, err
    drilled = backup(world, "drill", repository=vault)[-1]
    assert drilled["id"] == log["id"] and drilled["hash"] == state, drilled
    # The oldest stays: it is the only one of everything.
    gone = backup(world, "expire", "--keep", "1", repository=vault)[-1]
    assert gone["backups"] == [some["id"]], gone
    _, said, _ = restore(world, vault, "--data", target)
    assert said.startswith(target + ": " + log["id"]) and os.path.exists(os.path.join(target, "LOCK")), said
    server.stop()


def test_words(world):
    server = world.server
    connection = world.connect()
    fill(connection, 1, "w")
    vault = world.path("words-vault")
    for words, text in (
            (("full", "--match", "nobody*"), "no actor of tenant 'default' matches 'nobody*'"),
            (("full", "--tenant", "nobody"), "no actor of tenant 'nobody' is there")):
        status, _, err = backup(world, *words, "--data", server.directory, repository=vault, check=False)
        assert status == FAILURE and text in err and not os.path.exists(os.path.join(vault, "actors")), (words, err)
    status, _, err = backup(world, "full", "--match", "w*", "--no-state", "--data", server.directory, repository=vault, check=False)
    assert status == USAGE and "--no-state is for everything" in err, err
    for kind in ("incremental", "differential", "log"):
        status, _, err = backup(world, kind, "--match", "w*", "--data", server.directory, repository=vault, check=False)
        assert status == USAGE, (kind, err)
        is_error(connection.command("PD.BACKUP", kind.upper(), vault, "MATCH", "w*"), "goes on from none")
    is_error(connection.command("PD.BACKUP", "FULL", vault, "MATCH", "w*", "NOSTATE"), "NOSTATE is for a backup of everything")
    is_error(connection.command("PD.BACKUP", "FULL", vault, "TENANT", ""), "no name of a tenant")
    is_error(connection.command("PD.BACKUP", "FULL", vault, "MATCH"), "syntax error")


def test_damage(world):
    """An object of the repository is not what it was: that is found, and no actor is another for it."""
    server = world.new_server("rots")
    server.start()
    connection = world.connect(server)
    names = tenants(connection)
    vault = world.path("rots-vault")
    done = backup(world, "full", "--data", server.directory, "--match", "u:*", repository=vault)[-1]
    was = hashes(connection, names)
    spoil(connection, names)
    spoiled = hashes(connection, names)
    for path in lines_objects(vault) + [os.path.join(vault, "actors", done["id"])]:
        with open(path, "rb") as file:
            content = file.read()
        for changed in (None, content[:-1], content[:len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1:]):
            if os.path.exists(path):
                os.unlink(path)
            if changed is not None:
                with open(path, "wb") as file:
                    file.write(changed)
            status, _, err = backup(world, "verify", done["id"], repository=vault, check=False)
            assert status in (FAILURE, DAMAGED) and err, (path, status)
            status, _, err = restore(world, vault, done["id"], "--all", "--replace", "--yes", "--into-server", server.directory, check=False)
            assert status != 0 and err, (path, err)
            # What is in other pieces has come back as it was, and the rest is what it is.
            assert all(state in (old, new) for state, old, new in zip(hashes(connection, names), was, spoiled)), path
            spoil(connection, names)
            assert hashes(connection, names) == spoiled
        with open(path, "wb") as file:
            file.write(content)
    backup(world, "verify", done["id"], repository=vault)
    server.stop()


def test_under_a_key(world):
    server = world.new_server("sealed")
    server.start()
    connection = world.connect(server)
    names = tenants(connection)
    connection.expect("OK", "SET", "{u:5}secret", "nobody may see these words")
    was = hashes(connection, names)
    vault, key, wrong = world.path("sealed-vault"), world.path("sealed-key"), world.path("wrong-key")
    for path in (key, wrong):
        with open(path, "wb") as file:
            file.write(os.urandom(32))
    done = backup(world, "full", "--data", server.directory, "--match", "u:*", "--key-file", key, repository=vault)[-1]
    assert "keep a copy of it" in done["notice"], done
    for at, _, found in os.walk(vault):
        for name in found:
            with open(os.path.join(at, name), "rb") as file:
                content = file.read()
            assert b"nobody may see" not in content and b"tenant default" not in content, name
    shutil.rmtree(os.path.join(vault, "lease"))
    status, _, err = backup(world, "info", done["id"], "--key-file", wrong, repository=vault, check=False)
    assert status == FAILURE and err, err
    again = backup(world, "full", "--data", server.directory, "--match", "u:*", "--key-file", key, repository=vault)[-1]
    assert again["sent_bytes"] == 0, again
    spoil(connection, names)
    restore(world, vault, done["id"], "--match", "u:[2-5]", "--replace", "--yes", "--into-server", server.directory, "--key-file", key)
    assert hashes(connection, names[2:]) == was[2:]
    backup(world, "verify", "--all", "--key-file", key, repository=vault)
    server.stop()


def test_in_a_bucket(world):
    with Bucket(world) as bucket:
        server = bucket.server("chosen-in-bucket")
        connection = world.connect(server)
        names = tenants(connection)
        was = hashes(connection, names)
        done = bucket.backup("full", "--data", server.directory, "--match", "u:*")[-1]
        assert bucket.names("lines") and bucket.names("actors") and not bucket.names("data"), list(bucket.service.objects)[:9]
        puts = len(bucket.service.requests("PUT"))
        assert bucket.backup("full", "--data", server.directory, "--match", "u:*")[-1]["sent_bytes"] == 0
        assert not [request for request in bucket.service.requests("PUT")[puts:] if "/lines/" in request.key]
        bucket.backup("verify", "--all")
        spoil(connection, names)
        bucket.backup("restore", done["id"], "--match", "u:[2-5]", "--replace", "--yes", "--into-server", server.directory)
        assert hashes(connection, names[2:]) == was[2:]
        # Of the directory, and what expires.
        assert server.stop() == 0
        last = bucket.backup("full", "--data", server.directory, "--match", "u:*")[-1]
        gone = bucket.backup("expire", "--keep", "1")[-1]
        assert len(gone["backups"]) == 2 and last["id"] not in gone["backups"], gone
        bucket.backup("verify", "--all")


def test_while_they_are_written_to(world):
    """All are as they were at one moment, whoever writes meanwhile: two that are always changed together agree."""
    server = world.new_server("busy")
    server.start()
    connection = world.connect(server)
    connection.expect("OK", "SET", "{p:bulk}v", os.urandom(4_000_000))
    done = threading.Event()

    def write():
        mine = world.connect(server)
        number = 0
        while not done.is_set():
            number += 1
            mine.expect("OK", "MSET", "{p:a}n", str(number), "{p:b}n", str(number))

    writer = threading.Thread(target=write)
    writer.start()
    vault = world.path("busy-vault")
    try:
        ids = [backup(world, "full", "--data", server.directory, "--match", "p:*", repository=vault)[-1]["id"] for _ in range(3)]
    finally:
        done.set()
        writer.join()
    for number, made in enumerate(ids):
        directory = world.path("busy-%d" % number)
        restore(world, vault, made, "--all", "--directory", directory)
        values = []
        for name in ("p:a", "p:b"):
            path = os.path.join(directory, name + ".jsonl")
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    values.append(json.loads(file.read().splitlines()[1])["value"])
        assert len(values) in (0, 2) and len(set(values)) <= 1, values
    server.stop()
