"""`perdure backup restore --actor|--tenant|--match`: some actors of a backup, into a server that runs, or into files."""

import json
import os
import shutil

from actor_bulk import fill, hashes, spoil
from actor_history import is_error, now
from actor_restore import hash_of, made
from actor_transfer import exported
from backup import backup


def restore(world, *words, check=True):
    """What it prints, of --into-server; and that nothing is left of the trial."""
    told = world.perdure("backup", "restore", "--repository", world.path("vault"), *words, check=check, timeout=300)
    assert not [name for name in os.listdir(world.directory) if name.startswith("perdure-trial")], os.listdir(world.directory)
    return told


def last_summary(said):
    """Steps first, then the actors."""
    items = [json.loads(line) for line in said.splitlines()]
    return [item for item in items if "actor" in item], items[-1]["summary"]


def test_replace(world):
    """An import in another's place: in one transaction, with its profile, and it can be undone."""
    connection = world.connect()
    names = fill(connection, 2, "r")
    was = hash_of(connection, names[0])
    lines = exported(connection, names[0])
    connection.expect("OK", "PD.ACTOR", "PROFILE", names[0], "QUOTA-KEYS", "100")
    spoil(connection, names)
    spoiled = hash_of(connection, names[0])
    is_error(connection.command("PD.ACTOR", "IMPORT", "BEGIN", "AS", names[0]), "already")
    is_error(connection.command("PD.ACTOR", "IMPORT", "BEGIN", "REPLACED"), "syntax error")
    for begin in (("REPLACE",), ("AS", names[0], "REPLACE")):
        connection.expect("OK", "PD.ACTOR", "IMPORT", "BEGIN", *begin)
        connection.expect("OK", "PD.ACTOR", "IMPORT", "PUT", lines)
        # Up to the end it is what it was.
        assert hash_of(connection, names[0]) == spoiled
        reply = made(connection, "IMPORT", "END")
        assert reply["hash"] == was == hash_of(connection, names[0]), reply
        assert made(connection, "INFO", names[0])["quota_keys"] == 100
        made(connection, "RESTORE", names[0], "AT", reply["undo"])
        assert hash_of(connection, names[0]) == spoiled
    # Nobody has the name: it is a new one, and there is nothing to undo.
    connection.expect("OK", "PD.ACTOR", "IMPORT", "BEGIN", "AS", "r:new", "REPLACE")
    connection.expect("OK", "PD.ACTOR", "IMPORT", "PUT", lines)
    reply = made(connection, "IMPORT", "END")
    assert "undo" not in reply and hash_of(connection, "r:new") == was, reply
    # Another has taken it by the end: nothing is done.
    connection.expect("OK", "PD.ACTOR", "IMPORT", "BEGIN", "AS", "r:new", "REPLACE")
    connection.expect("OK", "PD.ACTOR", "IMPORT", "PUT", lines)
    other = world.connect()
    other.expect(1, "PD.ACTOR", "DROP", "r:new")
    other.expect("OK", "SET", "{r:new}a", "somebody else's")
    is_error(connection.command("PD.ACTOR", "IMPORT", "END"), "r:new")
    other.expect(b"somebody else's", "GET", "{r:new}a")
    # And on the command line.
    path = world.path("r.jsonl")
    with open(path, "wb") as file:
        file.write(lines)
    _, said, _ = world.perdure("actor", "import", "--data", world.server.directory, "--replace", path)
    assert "\nundo it with: perdure actor restore --at " in said and hash_of(connection, names[0]) == was, said


def test_into_server(world):
    connection = world.connect()
    names = fill(connection, 12, "u")
    others = fill(connection, 2, "other")
    connection.expect("OK", "PD.USE", "acme/a")
    connection.expect("OK", "SET", "k", "1")
    connection.expect("OK", "PD.USE")
    connection.expect("OK", "SET", "{u:0}large", "x" * 3_000_000)
    connection.expect(2, "HSET", "{u:0}h", "f", "1", "g", "2")
    was = hashes(connection, names)
    backup(world, "full", "--data", world.server.directory)
    spoil(connection, names + others)
    spoiled, beside = hashes(connection, names), hashes(connection, others)
    target = ("--into-server", world.server.directory)
    # One, under another name; then in its own place.
    _, said, _ = restore(world, "--actor", "u:0", "--as", "u:0-before", *target)
    assert "the same state" in said and "1 actor: 1 restored, in " in said, said
    assert hash_of(connection, "u:0-before") == was[0] and hashes(connection, names) == spoiled
    status, said, err = restore(world, "--actor", "u:0", *target, check=False)
    assert status == 1 and "there is an actor 'u:0' already: say --replace, or another name with --as" in err, err
    before = now(connection)
    _, said, _ = restore(world, "--actor", "u:0", "--replace", "-o", "json", *target)
    items, _ = last_summary(said)
    assert items[0]["result"]["hash"] == was[0].decode() and hash_of(connection, "u:0") == was[0], items
    made(connection, "RESTORE", "u:0", "AT", items[0]["result"]["undo"])
    assert hash_of(connection, "u:0") == spoiled[0]
    made(connection, "RESTORE", "u:0", "AT", before)
    # Several, some of which are gone.
    for name in names[6:]:
        connection.expect(1, "PD.ACTOR", "DROP", name)
    status, said, err = restore(world, "--match", "u:*", *target, check=False)
    assert status == 1 and "12 actors: 6 restored, 6 failed, in " in said, (said, err)
    assert err.count("already") == 6 and hashes(connection, names[6:]) == was[6:], err
    status, _, err = restore(world, "--match", "u:*", "--replace", *target, check=False)
    assert status == 2 and "say --yes" in err, err
    _, said, _ = restore(world, "--match", "u:?", "--replace", "--yes", *target)
    assert "10 actors: 10 restored, in " in said and hashes(connection, names[:10]) == was[:10], said
    assert hashes(connection, others) == beside
    # Of another tenant.
    connection.expect("OK", "PD.USE", "acme/a")
    connection.expect("OK", "SET", "k", "2")
    restore(world, "--tenant", "acme", "--replace", "--yes", *target)
    connection.expect(b"1", "GET", "k")
    connection.expect("OK", "PD.USE")
    # What is not in it.
    status, said, err = restore(world, "--actor", "nobody", *target, check=False)
    assert status == 1 and "nobody: there was no actor 'nobody'" in err and "1 failed" in said, (said, err)
    status, said, err = restore(world, "--match", "nobody*", *target, check=False)
    assert status == 1 and "no actor of tenant 'default' matches 'nobody*'" in err, err


def test_moment_between(world):
    """Of a moment that no backup is of, with the log of another; into files."""
    connection = world.connect()
    names = fill(connection, 3, "m")
    backup(world, "full", "--data", world.server.directory)
    spoil(connection, names[:1])
    then, was = now(connection), hashes(connection, names)
    spoil(connection, names)
    backup(world, "incremental", "--data", world.server.directory)
    directory = world.path("taken")
    _, said, _ = restore(world, "--match", "m:*", "--at", then, "--directory", directory, "-o", "json")
    items, summary = last_summary(said)
    assert summary["done"] == 3 and [item["result"]["hash"].encode() for item in items] == was, (items, was)
    world.perdure("actor", "import", "--data", world.server.directory, "--as", "m:again", os.path.join(directory, "m:1.jsonl"))
    assert hash_of(connection, "m:again") == was[1]
    _, said, _ = restore(world, "--actor", "m:2", "--at", then, "--dry-run", "--directory", directory)
    assert "as far as lists tell" in said, said


def test_damage(world):
    """One object of the repository is not what it was: no actor is restored of any."""
    connection = world.connect()
    names = fill(connection, 3, "d")
    connection.expect("OK", "SET", "{d:0}large", os.urandom(2_000_000))
    shutil.rmtree(world.path("vault"), ignore_errors=True)
    backup(world, "full", "--new-repository", "--data", world.server.directory)
    spoil(connection, names)
    spoiled = hashes(connection, names)
    largest = max((os.path.join(at, name) for at, _, found in os.walk(world.path("vault/data")) for name in found), key=os.path.getsize)
    with open(largest, "r+b") as file:
        file.seek(os.path.getsize(largest) // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    status, said, err = restore(world, "--match", "d:*", "--replace", "--yes", "--into-server", world.server.directory, check=False)
    assert status == 4 and "summary" not in said and hashes(connection, names) == spoiled, (status, said, err)


def test_words(world):
    for words, text in (
            (("--actor", "a", "--data", "d"), "--into-server or --directory instead of --data"),
            (("--actor", "a"), "where to? Say --into-server DIR, or --directory DIR"),
            (("--actor", "a", "--all", "--directory", "d"), "one or several?"),
            (("--all", "--match", "x", "--directory", "d"), "Say --all or --match"),
            (("--all", "--as", "x", "--into-server", "d"), "--as is for one actor"),
            (("--actor", "a", "--replace", "--directory", "d"), "--as and --replace are for --into-server"),
            (("--into-server", "d"), "which actors?"),
            ((), "where to? Say --data DIR")):
        status, said, err = restore(world, *words, check=False)
        assert status == 2 and said == "" and text in err, (words, status, said, err)
    status, _, err = restore(world, "--actor", "a", "--into-server", world.path("nowhere"), check=False)
    assert status == 1 and "there is no directory" in err, err
