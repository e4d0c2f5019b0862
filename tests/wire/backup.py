"""`perdure backup`: of a server, of a directory that nobody serves, and back: the same state, whatever became of the source."""

import json
import os
import shutil
import threading
import time

from actor_history import as_map, is_error
from resp_connection import RespConnection, encode


def lines(stdout):
    return [json.loads(line) for line in stdout.splitlines()]


def backup(world, *words, repository=None, check=True):
    """The lines of JSON that it prints, of one that succeeds."""
    status, stdout, stderr = world.perdure("backup", *words, "--repository", repository or world.path("vault"), "-o", "json",
                                           check=check, timeout=300)
    return lines(stdout) if check else (status, lines(stdout), stderr)


def fill(connection):
    connection.expect("OK", "SET", "{ann}a", "1")
    connection.expect("OK", "SET", "{ann}large", "x" * 3_000_000)
    connection.expect(2, "HSET", "{bob}h", "f", "1", "g", "2")
    for number in range(200):
        connection.expect("OK", "SET", f"{{bob}}{number}", f"value {number}")


def objects(repository):
    found = []
    for directory, _, names in os.walk(os.path.join(repository, "data")):
        found += [os.path.join(directory, name) for name in names]
    return sorted(found)


def test_server_destroyed(world):
    """A backup beside the serving; the directory goes; another is made of the backup, with the same state."""
    server = world.new_server("lost")
    server.start()
    connection = world.connect(server)
    fill(connection)
    before = connection.command("PD.STATEHASH")
    done = backup(world, "full", "--data", server.directory)[-1]
    assert done["step"] == "done" and done["hash"] == before.decode(), done
    assert done["actors"] == 2 and done["keys"] == 203, done
    connection.expect("OK", "SET", "{ann}a", "after the backup")
    server.kill()
    shutil.rmtree(server.directory)
    shown = backup(world, "ls")
    assert [line["id"] for line in shown] == [done["id"]] and shown[0]["keys"] == 203, shown
    info = backup(world, "info", done["id"])[0]
    assert info["hash"] == done["hash"] and any(name["name"].startswith("log/") for name in info["files"]), info
    verified = backup(world, "verify", "--all")
    assert verified[-1]["sound"] and verified[-1]["hash"] == done["hash"], verified
    restored = backup(world, "restore", done["id"], "--data", server.directory)[-1]
    assert restored["hash"] == done["hash"] and restored["lsn"] == done["lsn"], restored
    assert os.listdir(world.directory).count("lost.restoring") == 0
    server.start()
    connection = world.connect(server)
    assert connection.command("PD.STATEHASH") == before
    connection.expect(b"1", "GET", "{ann}a")
    connection.expect(3_000_000, "STRLEN", "{ann}large")
    connection.expect("OK", "SET", "{ann}a", "it goes on")
    world.perdure("log", "verify", "--data", server.directory)
    # What it has is backed up into the same repository, and little is new.
    again = backup(world, "full", "--data", server.directory)[-1]
    assert again["id"] != done["id"] and again["sent_bytes"] < again["bytes"], again


def test_directory(world):
    """Nobody serves it; it stays as it is."""
    server = world.new_server("quiet")
    server.start()
    connection = world.connect(server)
    fill(connection)
    before = connection.command("PD.STATEHASH").decode()
    server.stop()
    vault = world.path("quiet-vault")
    done = backup(world, "full", "--data", server.directory, repository=vault)[-1]
    assert done["hash"] == before, done
    again = backup(world, "full", "--data", server.directory, repository=vault)[-1]
    assert again["sent_bytes"] == 0 and again["id"] != done["id"], again
    copy = world.path("quiet-copy")
    restored = backup(world, "restore", done["id"], "--data", copy, repository=vault)[-1]
    assert restored["hash"] == before, restored
    status, _, stderr = backup(world, "restore", done["id"], "--data", copy, repository=vault, check=False)
    assert status == 1 and "there is something at" in stderr, stderr
    _, stdout, _ = world.perdure("backup", "ls", "--repository", vault)
    assert done["id"] in stdout and "203 keys" in stdout, stdout
    _, stdout, _ = world.perdure("backup", "info", done["id"], "--repository", vault)
    assert before in stdout and "log/0000/" in stdout, stdout


def test_damage_is_found(world):
    """Every object of a repository, gone and flipped: named, and nothing is restored of it."""
    server = world.new_server("rotten-source")
    server.start()
    fill(world.connect(server))
    server.stop()
    vault = world.path("rotten-vault")
    done = backup(world, "full", "--data", server.directory, repository=vault)[-1]
    target = world.path("rotten-copy")
    with open(os.path.join(vault, "backup", done["id"]), encoding="utf-8") as file:
        index = file.read().split("\nindex ")[1].split("piece ")[1][:64]
    for path in objects(vault):
        with open(path, "rb") as file:
            content = bytearray(file.read())
        os.unlink(path)
        status, told, stderr = backup(world, "verify", done["id"], "--quick", repository=vault, check=False)
        assert status == 4 and os.path.basename(path) in stderr and not told[-1]["sound"], stderr
        content[len(content) // 2] ^= 4
        with open(path, "wb") as file:
            file.write(content)
        status, _, stderr = backup(world, "verify", done["id"], "--quick", repository=vault, check=False)
        assert status == 4 and os.path.basename(path) in stderr, stderr
        status, _, stderr = backup(world, "restore", done["id"], "--data", target, repository=vault, check=False)
        if os.path.basename(path) == index:
            assert status == 0, stderr  # the list of actors is no part of a directory
            shutil.rmtree(target)
        else:
            assert status == 4 and os.path.basename(path) in stderr, stderr
            assert not os.path.exists(target) and not os.path.exists(target + ".restoring")
        content[len(content) // 2] ^= 4
        with open(path, "wb") as file:
            file.write(content)
    backup(world, "verify", "--all", repository=vault)
    manifest = os.path.join(vault, "backup", done["id"])
    with open(manifest, "r+b") as file:
        file.write(b"P")
    status, _, stderr = backup(world, "restore", done["id"], "--data", target, repository=vault, check=False)
    assert status == 4 and done["id"] in stderr and "damaged" in stderr, stderr
    status, _, stderr = backup(world, "ls", repository=vault, check=False)
    assert status == 4, stderr


def test_refused(world):
    server = world.new_server("other")
    server.start()
    connection = world.connect(server)
    connection.expect("OK", "SET", "a", "b")
    vault = world.path("refused-vault")
    backup(world, "full", "--data", server.directory, repository=vault)
    world.connect().expect("OK", "SET", "a", "b")
    status, _, stderr = backup(world, "full", "--data", world.server.directory, repository=vault, check=False)
    assert status == 1 and "another cluster" in stderr, stderr
    status, _, stderr = backup(world, "full", "--data", world.server.directory, repository=world.directory, check=False)
    assert status == 1 and "no repository" in stderr, stderr
    status, _, stderr = backup(world, "ls", repository=world.path("nowhere"), check=False)
    assert status == 1, stderr
    status, _, stderr = backup(world, "restore", "no-such", "--data", world.path("x"), repository=vault, check=False)
    assert status == 1 and "there is no backup" in stderr, stderr
    status, _, stderr = world.perdure("backup", "ls", check=False)
    assert status == 2 and "--repository" in stderr, stderr
    is_error(connection.command("PD.BACKUP", "FULL", "relative"), "path from /")
    assert b"CANCEL" in b" ".join(line if isinstance(line, bytes) else line.encode() for line in connection.command("PD.BACKUP", "HELP"))
    memory = world.new_server("memory-only", ["--memory"])
    memory.start()
    is_error(world.connect(memory).command("PD.BACKUP", "FULL", vault), "memory")


def test_nobody_waits(world):
    """The server goes on with it, whether anybody asks or not."""
    server = world.new_server("alone")
    server.start()
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "a", "b")
        reply = connection.command("PD.BACKUP", "FULL", world.path("alone-vault"))
        assert b"running" in reply, reply
    for _ in range(200):
        if os.path.isdir(os.path.join(world.path("alone-vault"), "backup")) and os.listdir(os.path.join(world.path("alone-vault"), "backup")):
            break
        world.run("sleep", "0.1")
    assert len(backup(world, "ls", repository=world.path("alone-vault"))) == 1


def live_backup(connection, repository):
    """A backup by the server, to its end: what it says then."""
    connection.command("PD.BACKUP", "FULL", repository)
    while (said := as_map(connection.command("PD.BACKUP", "STATUS")))["state"] == b"running":
        time.sleep(0.05)
    assert said["state"] == b"done", said
    return said


def test_others_are_served(world):
    """It stands still in between where others are served, and only there."""
    server = world.new_server("served")
    server.start()
    connection, other = world.connect(server), world.connect(server)
    for number in range(60):
        connection.expect("OK", "SET", f"{number}", os.urandom(1_000_000))
    assert live_backup(connection, world.path("served-alone"))["paused_us"] == 0
    ended = threading.Event()

    def ask():
        while not ended.is_set():
            other.send_raw(encode("GET", "none") * 100)
            assert [other.read() for _ in range(100)] == [None] * 100

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        said = live_backup(connection, world.path("served-beside"))
    finally:
        ended.set()
        asking.join()
    assert said["paused_us"] > 0, said


def test_any_moment(world):
    """A full one, log, an incremental one, log: what was at any time between is restored."""
    server = world.new_server("moments")
    server.start()
    vault = world.path("moments-vault")
    connection = world.connect(server)
    moments = {}

    def write(number):
        connection.expect("OK", "SET", "{ann}n", str(number))
        connection.expect("OK", "SET", f"{{ann}}{number}", "x" * 1000)
        moments[number] = (as_map(connection.command("PD.RECEIPT"))["bookmark"].decode(), connection.command("PD.STATEHASH", "ann"))

    write(0)
    full = backup(world, "full", "--data", server.directory, repository=vault)[-1]
    for number in range(1, 9):
        write(number)
        kind = {3: "log", 5: "incremental", 8: "log"}.get(number)
        if kind is not None:
            done = backup(world, kind, "--data", server.directory, repository=vault)[-1]
            assert done["id"].endswith(kind) and done["parent"], done
    nothing = backup(world, "log", "--data", server.directory, repository=vault)[-1]
    assert "id" not in nothing and "nothing was written since" in nothing["text"], nothing
    points = backup(world, "points", repository=vault)
    assert len(points) == 1 and points[0]["oldest"] == full["id"] and points[0]["from_lsn"] == full["lsn"], points
    backup(world, "verify", "--all", repository=vault)
    server.kill()
    for number, (bookmark, then) in moments.items():
        copy = world.new_server(f"moment-{number}")
        if number not in (2, 4, 5, 7):
            continue
        restored = backup(world, "restore", "--at", bookmark, "--data", copy.directory, repository=vault)[-1]
        assert restored["at"] == bookmark, restored
        copy.start()
        again = world.connect(copy)
        assert again.command("PD.STATEHASH", "ann") == then, number
        again.expect(str(number).encode(), "GET", "{ann}n")
        copy.kill()
    status, _, stderr = backup(world, "restore", "--at", "2020-01-01T00:00:00Z", "--data", world.path("too-old"), repository=vault,
                               check=False)
    assert status == 1 and "perdure backup points" in stderr, stderr


def test_differential(world):
    """All since the full one: what was made between may go; and the calendar's rules say what stays, and why."""
    server = world.new_server("differential")
    server.start()
    vault = world.path("differential-vault")
    connection = world.connect(server)

    def make(kind):
        connection.expect("OK", "SET", f"{{ann}}{kind}", os.urandom(20_000).hex())
        return backup(world, kind, "--data", server.directory, repository=vault)[-1]

    status, _, stderr = backup(world, "differential", "--data", server.directory, repository=vault, check=False)
    assert status == 1 and "make a full one" in stderr, stderr
    full, log, incremental, differential = make("full"), make("log"), make("incremental"), make("differential")
    between = as_map(connection.command("PD.RECEIPT"))["bookmark"].decode()
    state = connection.command("PD.STATEHASH")
    last = make("differential")
    assert [done["parent"] for done in (log, incremental, differential, last)] == \
        [full["id"], log["id"], full["id"], full["id"]], (log, incremental, differential, last)
    for done in (log, incremental, differential):
        os.unlink(os.path.join(vault, "backup", done["id"]))
    server.kill()
    copy = world.new_server("differential-copy")
    restored = backup(world, "restore", "--at", between, "--data", copy.directory, repository=vault)[-1]
    assert restored["at"] == between, restored
    copy.start()
    assert world.connect(copy).command("PD.STATEHASH") == state
    copy.kill()
    planned = backup(world, "expire", "--keep-daily", "7", "--keep-yearly", "1", "--dry-run", repository=vault)[-1]
    assert planned["backups"] in ([full["id"]], []), planned  # all of one day, unless it has ended meanwhile
    assert planned["kept"][-1] == {"id": last["id"], "rules": ["newest", "keep-daily", "keep-yearly"]}, planned
    status, stdout, _ = world.perdure("backup", "expire", "--keep-weekly", "1", "--dry-run", "--repository", vault)
    assert status == 0 and f"stays: {last['id']} (newest, keep-weekly)" in stdout, stdout
    gone = backup(world, "expire", "--keep-monthly", "1", repository=vault)[-1]
    # The next differential one goes on from the newest full one.
    assert gone["kept"] == [{"id": full["id"], "rules": ["needed"]}, {"id": last["id"], "rules": ["newest", "keep-monthly"]}], gone
    assert backup(world, "verify", "--all", repository=vault)[-1]["sound"]


def test_drill_and_expire(world):
    """The source is gone before the drill; old backups go, and nothing that is needed."""
    server = world.new_server("drilled")
    server.start()
    vault = world.path("drilled-vault")
    connection = world.connect(server)
    ids = []
    for number in range(3):
        connection.expect("OK", "SET", f"{{ann}}{number}", os.urandom(50_000).hex())
        ids.append(backup(world, "full", "--data", server.directory, repository=vault)[-1]["id"])
        connection.expect("OK", "SET", "{ann}log", str(number))
        ids.append(backup(world, "log", "--data", server.directory, repository=vault)[-1]["id"])
    server.kill()
    shutil.rmtree(server.directory)
    before = sorted(os.listdir(world.directory))
    drilled = backup(world, "drill", repository=vault)[-1]
    assert drilled["id"] == ids[-1] and drilled["rto_s"] > 0 and drilled["rpo_s"] > 0, drilled
    assert sorted(os.listdir(world.directory)) == before
    assert len(os.listdir(os.path.join(vault, "proven"))) == 1
    drilled = backup(world, "drill", ids[0], repository=vault)[-1]
    assert drilled["compared"], drilled
    status, _, stderr = backup(world, "expire", repository=vault, check=False)
    assert status == 2 and "--keep" in stderr, stderr
    planned = backup(world, "expire", "--keep", "1", "--dry-run", repository=vault)[-1]
    assert sorted(planned["backups"]) == sorted(ids[:4]) and planned["pieces"] > 0, (planned, ids)
    assert [line["id"] for line in backup(world, "ls", repository=vault)] == ids
    gone = backup(world, "expire", "--keep", "1", repository=vault)[-1]
    assert gone["backups"] == planned["backups"] and gone["pieces"] == planned["pieces"], (gone, planned)
    assert [line["id"] for line in backup(world, "ls", repository=vault)] == ids[4:]
    backup(world, "verify", "--all", repository=vault)
