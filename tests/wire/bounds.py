"""Large values, many connections, clients that do not read: the server works on, within bounds."""

import hashlib
import os
import random
import shutil
import socket
import time

from processes import wait_until
from resp_connection import Closed, RespConnection, RespError, encode

MIB = 1024 * 1024


def round_trip(connection, size):
    """SET and GET a random value of this size."""
    value = random.Random(size).randbytes(size)
    connection.expect("OK", "SET", "large", value)
    got = connection.command("GET", "large")
    assert hashlib.sha256(got).digest() == hashlib.sha256(value).digest(), f"{size} B came back as {len(got)} B"


def test_value_sizes(world):
    connection = world.connect(timeout=60)
    for size in (0, 1, 2, 15, 16, 255, 256, 4095, 4096, 4097, 65535, 65536, 65537, MIB - 1, MIB, MIB + 1, 5 * MIB, 16 * MIB, 64 * MIB):
        round_trip(connection, size)


def test_large_values_survive_a_kill(world):
    connection = world.connect(timeout=60)
    values = {f"v{size}": random.Random(size).randbytes(size) for size in (0, 1, 70_000, 3 * MIB, 40 * MIB, 70 * MIB)}
    for key, value in values.items():
        connection.expect("OK", "SET", key, value)
    world.server.kill()
    world.server.start()
    connection = world.connect(timeout=60)
    for key, value in values.items():
        assert connection.command("GET", key) == value, key


def test_value_of_512_mib(world):
    """The largest that the protocol allows; one byte more is Redis's own protocol error."""
    with RespConnection(world.server.port, timeout=180) as connection:
        size = 512 * MIB
        piece = random.Random(7).randbytes(MIB)
        connection.send_raw(b"*3\r\n$3\r\nSET\r\n$4\r\nhuge\r\n$%d\r\n" % size)
        for _ in range(512):
            connection.send_raw(piece)
        connection.send_raw(b"\r\n")
        assert connection.read() == "OK"
        connection.expect(size, "STRLEN", "huge")
        assert connection.command("GETRANGE", "huge", str(size - MIB), "-1") == piece
        connection.expect(1, "DEL", "huge")


def test_growing_a_value_too_far(world):
    connection = world.connect()
    reply = connection.command("SETRANGE", "a", str(512 * MIB), "x")
    assert "string exceeds maximum allowed size" in str(reply), reply
    connection.expect(0, "EXISTS", "a")


def test_key_sizes(world):
    connection = world.connect()
    for size in (1, 255, 1024, 4000):
        connection.expect("OK", "SET", "k" * size, str(size))
        connection.expect(str(size).encode(), "GET", "k" * size)
    reply = connection.command("SET", "k" * 20 * MIB, "1")
    assert reply == "OK" or isinstance(reply, RespError), reply
    connection.expect("PONG", "PING")


def test_many_words(world):
    connection = world.connect(timeout=60)
    words = [word for number in range(100_000) for word in (f"key:{number}", str(number))]
    connection.expect("OK", "MSET", *words)
    assert connection.command("MGET", *words[::2]) == [word.encode() for word in words[1::2]]
    connection.expect(100_000, "DEL", *words[::2])


def test_large_transaction(world):
    connection = world.connect(timeout=60)
    data = encode("MULTI") + b"".join(encode("SET", f"{{a{number % 7}}}{number}", "v") for number in range(50_000)) + encode("EXEC")
    connection.send_raw(data)
    assert connection.read() == "OK"
    assert {connection.read() for _ in range(50_000)} == {"QUEUED"}
    assert connection.read() == ["OK"] * 50_000
    world.server.kill()
    world.server.start()
    world.connect().expect(50_000, "DBSIZE")


def begin_anew(world):
    """The server holds nothing, and has nothing left to do in the background: what grows from here on is what a test makes grow."""
    world.server.stop()
    shutil.rmtree(world.server.directory)
    os.makedirs(world.server.directory)
    world.server.start()


def test_announced_but_never_sent(world):
    """A stranger's word alone costs no memory."""
    begin_anew(world)
    before = world.server.status_kib("VmRSS")
    liars = [world.connect() for _ in range(100)]
    for connection in liars:
        connection.send_raw(b"*1000000\r\n$536870912\r\nabc")
    time.sleep(0.3)
    grown = world.server.status_kib("VmRSS") - before
    assert grown < 64 * 1024 * world.memory_slack, f"{grown} KiB for promises"
    world.connect().expect("PONG", "PING")


def send_until_blocked(connection, data, seconds):
    """Send the data again and again until the server takes no more; the requests sent are a guess only."""
    connection.socket.settimeout(seconds)
    total = 0
    try:
        while total < 64 * MIB:
            total += connection.socket.send(data)
    except (TimeoutError, socket.timeout):
        pass
    return total


def test_slow_reader(world):
    """A client that asks for much and reads nothing is throttled; the others are served; it gets all in the end."""
    assert world.server.name == "perdure", "not to be tried on Redis: it takes all memory there is"
    begin_anew(world)
    other = world.connect(timeout=10)
    other.expect("OK", "SET", "big", "x" * 100_000)
    other.expect("OK", "SET", "small", "y")
    slow = world.connect(timeout=30)
    before = world.server.status_kib("VmRSS")
    sent = send_until_blocked(slow, encode("GET", "big") * 100, 2)
    grown = world.server.status_kib("VmRSS") - before
    assert grown < 256 * 1024 * world.memory_slack, f"{grown} KiB more for {sent} B of requests that nobody reads the answers to"
    other.expect(b"y", "GET", "small")
    slow.socket.settimeout(30)
    for _ in range(1000):
        reply = slow.read()
        assert reply == b"x" * 100_000, str(reply)[:100]


def test_many_slow_readers(world):
    begin_anew(world)
    other = world.connect(timeout=10)
    other.expect("OK", "SET", "big", "x" * 100_000)
    before = world.server.status_kib("VmRSS")
    slow = [world.connect() for _ in range(50)]
    for connection in slow:
        connection.socket.settimeout(0.05)
        try:
            connection.socket.sendall(encode("GET", "big") * 2000)
        except (TimeoutError, socket.timeout):
            pass
    time.sleep(0.5)
    grown = world.server.status_kib("VmRSS") - before
    assert grown < 512 * 1024 * world.memory_slack, f"{grown} KiB"
    other.expect("PONG", "PING")


def test_slow_reader_that_leaves(world):
    begin_anew(world)
    before = world.server.status_kib("VmRSS")
    setter = world.connect()
    setter.expect("OK", "SET", "big", "x" * MIB)
    for _ in range(20):
        connection = world.connect()
        connection.send_raw(encode("GET", "big") * 50)
        connection.close()
    time.sleep(0.5)
    setter.expect("PONG", "PING")
    assert world.server.status_kib("VmRSS") - before < 256 * 1024 * world.memory_slack


def test_thousand_connections(world):
    connections = [world.connect(timeout=30) for _ in range(1000)]
    for number, connection in enumerate(connections):
        connection.send("SET", f"c{number}", str(number))
    for connection in connections:
        assert connection.read() == "OK"
    for number, connection in enumerate(connections):
        connection.send("GET", f"c{number}")
    for number, connection in enumerate(connections):
        assert connection.read() == str(number).encode()
    connected = world.redis_cli("INFO", "clients")
    assert "connected_clients:1001" in connected, connected[:300]
    for connection in connections:
        connection.close()
    wait_until(lambda: "connected_clients:1\r" in world.redis_cli("INFO", "clients").replace("\n", "\r"), "who has gone is still counted")


def test_too_many_connections(world):
    """At the descriptor limit newcomers are turned away with Redis's words, and room is used again."""
    server = world.new_server("few", prefix=["/usr/bin/prlimit", "--nofile=128"])
    server.start()
    connections, refused = [], None
    for _ in range(300):
        connection = world.connect(server, timeout=10)
        try:
            reply = connection.command("PING")
        except Closed:
            reply = "closed"
        if reply != "PONG":
            refused = reply
            break
        connections.append(connection)
    assert refused is not None and "max number of clients reached" in str(refused), refused
    given_back = server.descriptor_count() - 1
    connections.pop().close()
    wait_until(lambda: server.descriptor_count() <= given_back, "the descriptor is not given back")
    world.connect(server).expect("PONG", "PING")


def test_connections_in_a_hurry(world):
    """Connect, send, reset, again and again: nothing is left behind."""
    before = world.server.descriptor_count()
    for number in range(500):
        connection = RespConnection(world.server.port)
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        connection.send_raw(encode("INCR", "n")[:10 + number % 15])
        connection.close()
    wait_until(lambda: world.server.descriptor_count() <= before + 3, "descriptors are not given back")
    world.connect().expect("PONG", "PING")


def test_memory_is_given_back(world):
    """Writing and deleting the same amount over and over does not grow the server without bound."""
    connection = world.connect(timeout=60)
    sizes = []
    for _ in range(6):
        for number in range(20):
            connection.expect("OK", "SET", f"k{number}", "x" * MIB)
        connection.expect(20, "DEL", *[f"k{number}" for number in range(20)])
        sizes.append(world.server.status_kib("VmRSS"))
    assert sizes[-1] < sizes[1] + 64 * 1024 * world.memory_slack, sizes
