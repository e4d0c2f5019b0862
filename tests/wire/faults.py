"""Disks that are full or broken. What was acknowledged stays; what was not is never said to be."""

import contextlib
import os
import time

from broken_disk import DURABLE_CALLS, Injection, SmallDisk, fill_up
from processes import ServerError
from resp_connection import Closed, RespConnection, RespError


@contextlib.contextmanager
def small_disk(world, size_mib):
    """A file system of its own, of this size."""
    disk = SmallDisk(world.path("small-disk"), size_mib)
    try:
        yield disk.directory
    finally:
        world.clean_up()
        disk.unmount()


def server_on(world):
    """A server on the small disk; what it prints goes elsewhere."""
    server = world.new_server("small-disk/data")
    server.log_path = world.path("small-disk-server.log")
    return server


def write_until_refused(connection, limit):
    """(keys acknowledged, the refusal or None)"""
    for number in range(limit):
        reply = connection.command("SET", f"k{number}", os.urandom(500_000))
        if reply != "OK":
            return number, reply
    return limit, None


def test_full_disk(world):
    """Writes are refused with a clear error, reads go on, and writes resume when there is room."""
    with small_disk(world, 700) as directory:
        server = server_on(world)
        server.start()
        filler = fill_up(directory, 20)
        connection = world.connect(server)
        written, refusal = write_until_refused(connection, 1500)
        assert isinstance(refusal, RespError), f"{written} values of 500 kB were taken by a disk with less room"
        assert str(refusal).startswith("DISKFULL"), refusal
        assert written > 0, f"refused at once, though the log's first file was there before the disk was full: {refusal}"
        connection.expect(500_000, "STRLEN", f"k{written - 1}")
        connection.expect(written, "DBSIZE")
        world.connect(server).expect("PONG", "PING")
        os.unlink(filler)
        resumed = wait_until_writable(connection)
        assert resumed, "writes do not resume though there is room"
        server.kill()
        server.start()
        connection = world.connect(server)
        connection.expect(500_000, "STRLEN", f"k{written - 1}")
        connection.expect(b"yes", "GET", "resumed")


def wait_until_writable(connection):
    for _ in range(100):
        if connection.command("SET", "resumed", "yes") == "OK":
            return True
        time.sleep(0.1)
    return False


def test_full_disk_is_left_clean(world):
    """A server killed while its disk is full starts again on that disk, with all that was acknowledged."""
    with small_disk(world, 400) as directory:
        server = server_on(world)
        server.start()
        fill_up(directory, 10)
        written, refusal = write_until_refused(world.connect(server), 1000)
        assert refusal is not None
        server.kill()
        try:
            server.start()
        except ServerError as error:
            assert "space" in str(error).lower(), error
            os.unlink(os.path.join(directory, "filler"))
            server.start()
        world.connect(server).expect(written, "DBSIZE")


def test_no_room_to_start(world):
    with small_disk(world, 4) as directory:
        fill_up(directory, 0)
        server = server_on(world)
        try:
            server.start(timeout=15)
        except ServerError as error:
            assert "space" in str(error).lower(), error
        else:
            reply = world.connect(server).command("SET", "a", "1")
            assert isinstance(reply, RespError) and "DISKFULL" in str(reply), reply


@contextlib.contextmanager
def injected(world, server, *rules):
    """From now on the server's system calls fail as the rules say (strace's -e inject=…)."""
    injection = Injection(server.pid, world.path("strace.out"), rules)
    try:
        yield
    finally:
        injection.end()


def broken_disk(world, name, calls, error):
    """Writes meet the error: no OK is given for what may be lost, and after a restart all that was acknowledged is
    there."""
    server = world.new_server(name)
    server.start()
    connection = world.connect(server, timeout=15)
    for number in range(50):
        connection.expect("OK", "SET", f"before{number}", str(number))
    answers = []
    with injected(world, server, f"{calls}:error={error}"):
        for number in range(20):
            try:
                answers.append(connection.command("SET", f"during{number}", str(number)))
            except Closed:
                break
    said = server.printed()
    server.kill()
    server.start()
    connection = world.connect(server)
    for number in range(50):
        connection.expect(str(number).encode(), "GET", f"before{number}")
    for number, answer in enumerate(answers):
        value = connection.command("GET", f"during{number}")
        assert answer != "OK" or value == str(number).encode(), f"during{number} was acknowledged and is {value!r}"
    assert answers and isinstance(answers[0], RespError), f"the first write on a broken disk was answered {answers[:1]}"
    return answers, said


def test_write_error_fences(world):
    answers, said = broken_disk(world, "eio", DURABLE_CALLS, "EIO")
    assert all(str(answer).startswith("FENCED") for answer in answers), answers[:5]
    assert "fence" in said.lower(), f"the server did not say so: {said[-500:]}"


def test_full_disk_at_the_write_itself(world):
    """Space was reserved before: ENOSPC where nothing may meet it is an error like any other, never an OK."""
    broken_disk(world, "enospc", DURABLE_CALLS, "ENOSPC")


def test_background_sync_error_fences(world):
    """At `standard` the sync comes later; when it fails, later writes are refused. One write at a time: those in flight
    on a slow disk are no system calls of their own, and strace does not see them."""
    server = world.new_server("late", ["--durability", "standard", "--sync-interval", "50", "--queue-depth", "1"])
    server.start()
    connection = world.connect(server, timeout=15)
    connection.expect("OK", "SET", "before", "1")
    time.sleep(0.3)
    with injected(world, server, "fdatasync,fsync,sync_file_range:error=EIO", "pwrite64,pwritev2:error=EIO"):
        replies = []
        for number in range(40):
            try:
                replies.append(connection.command("SET", f"k{number}", "1"))
            except Closed:
                replies.append("closed")
                break
            time.sleep(0.02)
    assert replies[-1] != "OK", "forty writes were taken though nothing reaches the disk"


def test_reads_after_a_fence(world):
    """A fenced server answers no read with a state that may be lost: an error, or what is durable."""
    server = world.new_server("reads")
    server.start()
    connection = world.connect(server, timeout=15)
    connection.expect("OK", "SET", "a", "durable")
    with injected(world, server, f"{DURABLE_CALLS}:error=EIO"):
        connection.command("SET", "a", "lost")
        try:
            reply = world.connect(server, timeout=10).command("GET", "a")
        except (Closed, ConnectionError):
            return
        assert reply == b"durable" or isinstance(reply, RespError), reply


def groups_of(server):
    with RespConnection(server.port) as connection:
        text = connection.command("INFO", "perdure").decode()
    return int(text.split("log_groups:")[1].split()[0])


def test_slow_disk(world):
    """A disk that takes 5 ms a write still serves many clients at once, since they share its writes."""
    server = world.new_server("slow")
    server.start()
    connections = [world.connect(server) for _ in range(50)]
    with injected(world, server, "pwrite64,pwritev2,fdatasync:delay_exit=5000"):
        before = groups_of(server)
        for number in range(20):
            for connection in connections:
                connection.send("INCR", "n")
            for connection in connections:
                assert isinstance(connection.read(), int)
        groups = groups_of(server) - before
    world.connect(server).expect(b"1000", "GET", "n")
    assert groups < 500, f"1,000 writes of 50 clients were written as {groups} groups"
