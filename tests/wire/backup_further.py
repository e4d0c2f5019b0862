"""`perdure backup restore` with what no backup has: an archive, and the log of a server that is dead."""

import contextlib
import fcntl
import os
import shutil
import subprocess

from archive import settled, wait_for
from backup import backup
from processes import need_program, wait_until

FAILURE, BUSY, DAMAGED = 1, 3, 4


def followed(world, name):
    place = world.path(name + "-archive")
    os.makedirs(place)
    server = world.new_server(name, ["--archive", place, "--archive-interval", "100ms", "--segment-size", "256KiB"])
    server.start()
    return server, place, world.path(name + "-vault")


def write(connection, first, count):
    for number in range(first, first + count):
        connection.expect("OK", "SET", f"key{number}", f"{number:08d}" * 2000)


def state_of(world, directory):
    """The hash of the state of a server that is started there."""
    server = world.new_server(os.path.relpath(directory, world.directory))
    server.start()
    hash_now = world.connect(server).command("PD.STATEHASH").decode()
    assert server.stop() == 0
    return hash_now


def test_archive_and_backup_make_it_whole(world):
    """The directory is destroyed: all that was archived comes back in one command."""
    server, place, vault = followed(world, "destroyed")
    connection = world.connect(server)
    write(connection, 0, 30)
    full = backup(world, "full", "--data", server.directory, repository=vault)[-1]
    write(connection, 30, 60)
    status = wait_for(server, settled)
    before = connection.command("PD.STATEHASH").decode()
    points = backup(world, "points", "--archive", place, repository=vault)
    assert points[0]["to_lsn"] == full["lsn"] and points[0]["archived_lsn"] == status["archived_lsn"], points
    drilled = backup(world, "drill", "--archive", place, repository=vault)[-1]
    assert drilled["source"] == "archive" and drilled["lsn"] == status["archived_lsn"], drilled
    assert drilled["rpo_s"] < backup(world, "drill", repository=vault)[-1]["rpo_s"], drilled
    server.kill()
    shutil.rmtree(server.directory)
    planned = backup(world, "restore", "--archive", place, "--dry-run", repository=vault)
    assert [line["step"] for line in planned] == ["backup", "archive", "plan"], planned
    assert planned[-1]["last_lsn"] == status["archived_lsn"] and planned[1]["first_lsn"] == full["lsn"] + 1, planned
    assert not os.path.exists(server.directory)
    told = backup(world, "restore", "--archive", place, "--data", server.directory, repository=vault)
    steps = {line["step"]: line for line in told}
    assert steps["backup"]["last_lsn"] == full["lsn"], steps
    assert steps["archive"]["last_lsn"] == status["archived_lsn"] and place in steps["archive"]["from"], steps
    assert steps["done"]["lsn"] == status["archived_lsn"] and steps["done"]["source"] == "archive", steps
    assert steps["done"]["hash"] == before == state_of(world, server.directory), steps
    world.perdure("log", "verify", "--data", server.directory)


def test_every_acknowledged_write(world):
    """Killed before it was archived: the log of the dead directory has the rest."""
    server, place, vault = followed(world, "killed")
    connection = world.connect(server)
    write(connection, 0, 20)
    backup(world, "full", "--data", server.directory, repository=vault)
    write(connection, 20, 40)
    wait_for(server, settled)
    os.rename(place, place + ".away")
    write(connection, 60, 20)
    bookmark = connection.command("PD.BOOKMARK").decode()
    at_bookmark = connection.command("PD.STATEHASH").decode()
    write(connection, 80, 20)
    before = connection.command("PD.STATEHASH").decode()
    again = world.path("killed-again")
    sources = ("--archive", place, "--log", server.directory)
    status, _, stderr = backup(world, "restore", *sources[2:], "--data", again, repository=vault, check=False)
    assert status == BUSY and "it is not dead" in stderr, stderr
    server.kill()
    os.rename(place + ".away", place)
    told = backup(world, "restore", *sources, "--data", again, repository=vault)
    assert told[-1]["source"] == "log" and {"backup", "archive", "log", "done"} <= {line["step"] for line in told}, told
    assert state_of(world, again) == before, told
    # To a moment of which there is nothing but that log.
    then = world.path("killed-then")
    told = backup(world, "restore", *sources, "--at", bookmark, "--data", then, repository=vault)
    assert told[-1]["at"] == bookmark and told[-1]["hash"] == at_bookmark, told
    status, _, stderr = backup(world, "restore", "--archive", place, "--at", bookmark, "--data", world.path("x"), repository=vault, check=False)
    assert status == FAILURE and not os.path.exists(world.path("x")), stderr
    _, stdout, _ = world.perdure("backup", "restore", *sources, "--data", world.path("killed-text"), "--repository", vault)
    assert f"the archive {place}: LSN " in stdout and f"the log of {server.directory}: LSN " in stdout, stdout


def has(path, text):
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
        return text in file.read()
    return False


def test_a_server_that_is_just_dying(world):
    """A server that was killed has its lock for a while longer."""
    server, _, vault = followed(world, "dying")
    write(world.connect(server), 0, 20)
    backup(world, "full", "--data", server.directory, repository=vault)
    write(world.connect(server), 20, 20)
    before = world.connect(server).command("PD.STATEHASH").decode()
    server.kill()
    again, calls = world.path("dying-again"), world.path("dying-calls")
    command = [need_program("strace", "strace"), "-f", "-e", "trace=flock", "-o", calls]
    command += [world.binary, "backup", "restore", "--log", server.directory, "--data", again, "--repository", vault]
    # LeakSanitizer, where it is built in, cannot look at what is traced.
    environment = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
    with open(os.path.join(server.directory, "LOCK"), "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
        wait_until(lambda: process.poll() is not None or has(calls, "EAGAIN"), "the lock was never asked for")
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 0, stderr
    assert state_of(world, again) == before


def records_of(path):
    """The LSNs of an object, by its name."""
    first, last = (int(number) for number in os.path.basename(path).split("-")[4:6])
    return range(first, last + 1)


def test_a_hole_is_told(world):
    """An object of the archive is gone, and nothing else has it."""
    server, place, vault = followed(world, "holed")
    connection = world.connect(server)
    write(connection, 0, 10)
    backup(world, "full", "--data", server.directory, repository=vault)
    write(connection, 10, 80)
    wait_for(server, settled)
    before = connection.command("PD.STATEHASH").decode()
    server.kill()
    parts = sorted(os.path.join(directory, name) for directory, _, names in os.walk(place) for name in names
                   if name.endswith((".whole", ".piece", ".last")))
    gone, aside = next(path for path in parts[3:] if records_of(path)), world.path("aside")
    os.rename(gone, aside)
    again = world.path("holed-again")
    status, _, stderr = backup(world, "restore", "--archive", place, "--data", again, repository=vault, check=False)
    assert status == FAILURE and "are missing" in stderr and not os.path.exists(again), stderr
    last = stderr.rsplit("--at ", 1)[1].strip()
    assert int(last) < records_of(gone)[0], (last, gone)
    done = backup(world, "restore", "--archive", place, "--at", last, "--data", again, repository=vault)[-1]
    assert done["lsn"] == int(last), done
    # The dead server's disk has it; so has a copy of the object.
    other = world.path("holed-other")
    done = backup(world, "restore", "--archive", place, "--log", server.directory, "--data", other, repository=vault)[-1]
    assert done["hash"] == before, done
    os.rename(aside, gone)
    third = world.path("holed-third")
    done = backup(world, "restore", "--archive", place, "--data", third, repository=vault)[-1]
    assert done["hash"] == before and done["source"] == "archive", done


def test_strangers(world):
    """What is of another cluster is not used."""
    server, place, vault = followed(world, "own")
    write(world.connect(server), 0, 10)
    backup(world, "full", "--data", server.directory, repository=vault)
    other, other_place, _ = followed(world, "stranger")
    write(world.connect(other), 0, 10)
    wait_for(other, settled)
    other.kill()
    status, _, stderr = backup(world, "restore", "--archive", other_place, "--data", world.path("y"), repository=vault, check=False)
    assert status == FAILURE and "no log of the cluster that was backed up" in stderr, stderr
    status, _, stderr = backup(world, "restore", "--log", other.directory, "--data", world.path("y"), repository=vault, check=False)
    assert status == FAILURE and "another cluster" in stderr, stderr
    status, _, stderr = backup(world, "restore", "--at", "snapshot:x", "--data", world.path("y"), repository=vault, check=False)
    assert status == FAILURE and "of one actor" in stderr, stderr
    assert not os.path.exists(world.path("y"))
