"""Values larger than memory: they come and go in pieces, whole or not at all, and nobody else waits for them."""

import collections
import hashlib
import json
import random
import shutil
import threading
import time

import redis

from processes import wait_until
from resp_connection import RespConnection, RespError, encode

MIB = 1024 * 1024
CHUNK = 64 * 1024
LARGE = 256 * 1024  # from here on a value is kept in chunks


def small(world, budget="128MiB"):
    """A server of this test's own, with little memory."""
    server = world.new_server("large", ["--memory-budget", budget])
    server.start()
    with RespConnection(server.port) as connection:
        connection.expect("OK", "FLUSHALL")
    return server


def info(server):
    with RespConnection(server.port) as connection:
        text = connection.command("INFO", "everything").decode()
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)


def pattern(size, seed=1):
    return random.Random(seed).randbytes(min(size, MIB)) * (size // MIB + 1)


def expect_nothing_left(world, server, chunks=0):
    """What was begun and not finished is gone; so many chunks are there, going by the log."""
    wait_until(lambda: int(info(server)["large_values_unfinished"]) == 0, "something is still to be removed")
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "last", "1")
    _, stdout, _ = world.perdure("log", "dump", "--data", server.directory, "-o", "json", timeout=120)
    there = collections.defaultdict(set)
    for line in stdout.splitlines():
        for effect in json.loads(line).get("effects", ()):
            place = (effect.get("actor"), effect.get("blob"))
            if effect["op"] == "DELRANGE" and effect.get("everything"):
                there.clear()
            elif effect["op"] == "DELRANGE" and effect.get("all_chunks"):
                there.pop(place, None)
            elif effect["op"] == "DELRANGE" and "raw_key" in effect and "blob" not in effect:
                raise AssertionError(f"an effect that this test does not know: {effect}")
            elif effect.get("type") == "chunk":
                there[place].add(effect["chunk"])
    assert sum(len(numbers) for numbers in there.values()) == chunks, dict(there)


def send_head(connection, key, size):
    connection.send_raw(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n" % (len(key), key.encode(), size))


# ---- sizes ----

def test_sizes_around_every_boundary(world):
    server = small(world)
    client = redis.Redis(port=server.port, socket_timeout=60)
    for around in (CHUNK, LARGE - CHUNK, LARGE, LARGE + CHUNK, MIB, 5 * MIB):
        for size in (around - 1, around, around + 1):
            value = pattern(size, size)[:size]
            assert client.set("k", value)
            assert client.get("k") == value and client.strlen("k") == size, size
            for first, last in ((0, 0), (size - 1, size), (CHUNK - 1, CHUNK), (CHUNK, 2 * CHUNK - 1), (1, size - 2), (-3, -1)):
                end = size + last if last < 0 else last
                begin = size + first if first < 0 else first
                assert client.getrange("k", first, last) == value[begin:end + 1], (size, first, last)
            assert client.getset("k", b"x" + value) == value
            assert client.getdel("k") == b"x" + value
            assert client.setex("k", 100, value) and client.psetex("l", 100_000, value)
            assert client.get("l") == value and 0 < client.ttl("k") <= 100
            assert client.delete("k", "l") == 2
    expect_nothing_left(world, server)


def test_growing_past_every_boundary(world):
    client = redis.Redis(port=world.server.port, socket_timeout=60)
    expected = b""
    for number in range(60):
        tail = pattern(MIB, number)[:random.Random(number).randrange(1, 40_000)]
        expected += tail
        assert client.append("k", tail) == len(expected)
    assert len(expected) > 2 * LARGE and client.get("k") == expected
    client.setrange("k", 300_000, b"patched")
    expected = expected[:300_000] + b"patched" + expected[300_007:]
    assert client.get("k") == expected and client.bitcount("k") == sum(byte.bit_count() for byte in expected)
    assert client.object("encoding", "k") == b"raw" and client.type("k") == b"string"
    client.copy("k", "l")
    client.rename("k", "m")
    client.rename("m", "{other}m")
    assert client.get("l") == expected and client.get("{other}m") == expected and client.exists("k", "m") == 0
    assert client.mget("l", "{other}m", "k") == [expected, expected, None]


def test_transactions(world):
    client = redis.Redis(port=world.server.port, socket_timeout=60)
    value, other = pattern(3 * MIB, 1), pattern(2 * MIB, 2)
    pipe = client.pipeline(transaction=True)
    pipe.set("a", value).set("b", other).get("a").get("b").delete("a").set("c", value, nx=True)
    assert pipe.execute() == [True, True, value, other, 1, True]
    with client.pipeline() as watching:
        watching.watch("b")
        client.set("b", value)
        watching.multi()
        watching.set("c", other)
        try:
            watching.execute()
            raise AssertionError("a watched key had changed")
        except redis.WatchError:
            pass
    assert client.get("b") == value and client.get("c") == value


def test_conditions_and_repetitions(world):
    server = small(world)
    connection = world.connect(server, timeout=60)
    value, other = pattern(3 * MIB, 1), pattern(3 * MIB, 2)
    connection.expect("OK", "SET", "k", value)
    connection.expect(None, "SET", "k", other, "NX")
    connection.expect(0, "SETNX", "k", other)
    connection.expect(None, "SET", "none", other, "XX")
    assert "syntax error" in str(connection.command("SET", "k", other, "WRONG"))
    assert "invalid expire" in str(connection.command("SETEX", "k", "0", other))
    connection.expect(value, "GET", "k")
    chunks = len(value) // CHUNK
    expect_nothing_left(world, server, chunks)
    for _ in range(2):
        connection.expect("OK", "PD.IDEMPOTENCY", "once")
        connection.expect("OK", "SET", "k", other)
    connection.expect("OK", "SET", "k", value)
    connection.expect("OK", "PD.IDEMPOTENCY", "once")
    connection.expect("OK", "SET", "k", other)
    connection.expect(value, "GET", "k")
    connection.expect("OK", "PD.IDEMPOTENCY", "once")
    reply = connection.command("SET", "k", value)
    assert isinstance(reply, RespError) and "idempotency key" in str(reply), reply
    expect_nothing_left(world, server, chunks)


# ---- little memory ----

def test_the_largest_value(world):
    """512 MiB through 128 MiB, while another client is served."""
    size = 512 * MIB
    free = shutil.disk_usage(world.directory).free
    assert free > 6 * size, f"the disk is short: {free // MIB} MiB are free, {6 * size // MIB} MiB are needed"
    server = small(world)
    piece = pattern(MIB)[:MIB]
    sent, other = world.connect(server, timeout=300), world.connect(server)
    answered = [0]
    over = threading.Event()

    def ask():
        while not over.is_set():
            other.expect("PONG", "PING")
            answered[0] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        send_head(sent, "huge", size)
        for _ in range(512):
            sent.send_raw(piece)
        sent.send_raw(b"\r\n")
        assert sent.read() == "OK"
        in_between = answered[0]
        digest, left = hashlib.sha256(), size
        sent.send_raw(encode("GET", "huge"))
        received = b""
        while b"\r\n" not in received:
            received += sent.socket.recv(64)
        head, received = received.split(b"\r\n", 1)
        assert head == b"$%d" % size, head
        while left > 0:
            digest.update(received[:left])
            left -= min(left, len(received))
            received = sent.socket.recv(MIB) if left > 0 else b""
    finally:
        over.set()
        thread.join()
    expected = hashlib.sha256()
    for _ in range(512):
        expected.update(piece)
    assert digest.digest() == expected.digest()
    # On a machine that is busy as well: by count, not by time.
    assert in_between > 200 and answered[0] - in_between > 200, (in_between, answered[0])
    assert server.status_kib("VmHWM") < 160 * 1024 * world.memory_slack, server.status_kib("VmHWM")
    server.kill()
    server.start()
    with RespConnection(server.port, timeout=120) as connection:
        connection.expect(size, "STRLEN", "huge")
        assert connection.command("GETRANGE", "huge", str(size - MIB), "-1") == piece
        connection.expect(1, "DEL", "huge")


def test_what_needs_all_of_it_is_refused(world):
    server = small(world, "64MiB")
    connection = world.connect(server, timeout=60)
    value = pattern(20 * MIB)[:20 * MIB]
    connection.expect("OK", "SET", "k", value)
    for words in (("SETRANGE", "k", "5", "x"), ("SETBIT", "k", "5", "1"), ("BITCOUNT", "k"), ("BITOP", "NOT", "l", "k"), ("COPY", "k", "l"),
                  ("RENAME", "k", "{other}k"), ("LCS", "k", "k"), ("INCR", "k")):
        reply = connection.command(*words)
        assert isinstance(reply, RespError) and str(reply).startswith("OOM ") and "GETRANGE" in str(reply), (words, reply)
    for words in (("HSET", "h", "f", value), ("APPEND", "k", value), ("MSET", "l", value)):
        reply = connection.command(*words)
        assert isinstance(reply, RespError) and str(reply).startswith("OOM "), (words[0], str(reply)[:200])
    connection.expect(20 * MIB + 4, "APPEND", "k", "tail")
    connection.expect(b"tail", "GETRANGE", "k", "-4", "-1")
    connection.expect(1, "EXPIRE", "k", "1000")
    connection.expect("OK", "RENAME", "k", "l")
    connection.expect(1, "DBSIZE")
    connection.expect([b"l"], "KEYS", "*")
    got = connection.command("GET", "l")
    assert got == value + b"tail"
    connection.expect(1, "DEL", "l")
    expect_nothing_left(world, server)


def test_many_at_once(world):
    """Twenty clients, each with more than all may have together."""
    server = small(world, "64MiB")
    results = []

    def work(number):
        value = pattern(8 * MIB, number)[:8 * MIB - number]
        with RespConnection(server.port, timeout=240) as connection:
            results.append(connection.command("SET", f"k{number}", value))
            results.append(connection.command("GET", f"k{number}") == value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count("OK") == 20 and results.count(True) == 20, results
    assert server.status_kib("VmHWM") < 80 * 1024 * world.memory_slack, server.status_kib("VmHWM")


# ---- in the middle ----

def test_another_client_is_served_in_the_middle(world):
    server = small(world)
    slow, other = world.connect(server, timeout=60), world.connect(server)
    other.expect("OK", "SET", "k", "old")
    value = pattern(40 * MIB)[:40 * MIB]
    send_head(slow, "k", len(value))
    for begin in range(0, len(value), 4 * MIB):
        slow.send_raw(value[begin:begin + 4 * MIB])
        other.expect(b"old", "GET", "k")
        other.expect(1, "DBSIZE")
        other.expect([b"k"], "KEYS", "*")
    wait_until(lambda: info(server)["large_values_unfinished"] == "1", "nothing is on its way")
    slow.send_raw(b"\r\n")
    assert slow.read() == "OK"
    other.expect(len(value), "STRLEN", "k")
    # And while it is read.
    slow.send_raw(encode("GET", "k"))
    for _ in range(50):
        other.expect("PONG", "PING")
    assert info(server)["large_values_read"] == "1"
    assert slow.read() == value
    wait_until(lambda: info(server)["large_values_read"] == "0", "it is still read")


def test_overwritten_while_it_is_read(world):
    server = small(world)
    other = world.connect(server, timeout=60)
    value = pattern(60 * MIB, 3)[:60 * MIB]
    for end in (("SET", "k", "new"), ("DEL", "k"), ("FLUSHALL",), ("PEXPIRE", "k", "1"), ("SET", "k", pattern(2 * MIB)), ("APPEND", "k", "more")):
        other.expect("OK", "SET", "k", value)
        slow = world.connect(server, timeout=60)
        slow.send_raw(encode("GET", "k"))
        assert slow.socket.recv(10) == b"$%d\r" % len(value)
        reply = other.command(*end)
        assert not isinstance(reply, RespError), reply
        other.expect("OK", "SET", "noise", pattern(3 * MIB))
        received = bytearray()
        while len(received) < len(value) + 3:
            received += slow.socket.recv(MIB)
        assert received[1:-2] == value, end
        slow.close()
        other.expect("OK", "FLUSHALL")
        expect_nothing_left(world, server)


def test_a_client_that_leaves(world):
    server = small(world)
    other = world.connect(server, timeout=60)
    other.expect("OK", "SET", "k", "old")
    for size in (MIB, 30 * MIB):
        with RespConnection(server.port, timeout=60) as leaving:
            send_head(leaving, "k", 100 * MIB)
            leaving.send_raw(pattern(size)[:size])
            wait_until(lambda: info(server)["large_values_unfinished"] == "1", "nothing is on its way")
        expect_nothing_left(world, server)
        other.expect(b"old", "GET", "k")
    value = pattern(60 * MIB)[:60 * MIB]
    other.expect("OK", "SET", "big", value)
    with RespConnection(server.port, timeout=60) as leaving:
        leaving.send_raw(encode("GET", "big"))
        assert leaving.socket.recv(1) == b"$"
        other.expect(1, "DEL", "big")
        assert info(server)["large_values_unfinished"] == "1"
    expect_nothing_left(world, server)


def test_flushed_while_it_arrives(world):
    """It has not been there yet: FLUSHALL comes before it."""
    server = small(world)
    slow, other = world.connect(server, timeout=60), world.connect(server)
    value = pattern(20 * MIB)[:20 * MIB]
    send_head(slow, "k", len(value))
    slow.send_raw(value[:10 * MIB])
    wait_until(lambda: info(server)["large_values_unfinished"] == "1", "nothing is on its way")
    other.expect("OK", "FLUSHALL")
    slow.send_raw(value[10 * MIB:] + b"\r\n")
    assert slow.read() == "OK"
    assert slow.command("GET", "k") == value


def test_killed_in_the_middle(world):
    server = small(world)
    other = world.connect(server, timeout=60)
    other.expect("OK", "SET", "k", "old")
    other.expect("OK", "SET", "big", pattern(5 * MIB)[:5 * MIB])
    for size in (MIB, 20 * MIB, 60 * MIB):
        slow, reader = world.connect(server, timeout=60), world.connect(server, timeout=60)
        send_head(slow, "k", 100 * MIB)
        slow.send_raw(pattern(size)[:size])
        reader.send_raw(encode("GET", "big"))
        assert reader.socket.recv(1) == b"$"
        wait_until(lambda: info(server)["large_values_unfinished"] == "1", "nothing is on its way")
        server.kill()
        server.start()
        with RespConnection(server.port) as connection:
            connection.expect(b"old", "GET", "k")
            connection.expect(5 * MIB, "STRLEN", "big")
        expect_nothing_left(world, server, 5 * MIB // CHUNK)


def test_refused_in_the_middle(world):
    """A write that cannot be has one answer, and the connection goes on behind it."""
    connection = world.connect(timeout=60)
    value = pattern(3 * MIB)[:3 * MIB]
    connection.send_raw(encode("SET", "k" * 70_000, value) + encode("PING"))
    reply = connection.read()
    assert isinstance(reply, RespError) and "a key may have" in str(reply), reply
    assert connection.read() == "PONG"


def test_messages_wait_behind_a_reply(world):
    """With RESP3, a message must not come in the middle of a value."""
    server = small(world)
    reader, other = world.connect(server, timeout=60), world.connect(server)
    value = pattern(30 * MIB)[:30 * MIB]
    other.expect("OK", "SET", "k", value)
    reader.command("HELLO", "3")
    reader.send("SUBSCRIBE", "news")
    reader.read()
    reader.send_raw(encode("GET", "k"))
    for number in range(20):
        other.command("PUBLISH", "news", str(number))
    assert reader.read() == value
    for number in range(20):
        assert list(reader.read()) == [b"message", b"news", str(number).encode()]
    reader.send("PING")
    assert reader.read() == "PONG"
