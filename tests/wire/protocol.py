"""RESP by hand: what a broken or hostile client sends. The answers are a real redis-server's, byte for byte."""

import time

from resp_connection import Closed, RespConnection, RespError, encode


END = b"end of this answer"


def answer(port, data, end=encode("ECHO", END), seconds=2.0):
    """(bytes, closed) that a fresh connection gets back, up to the answer to one more request behind the data."""
    with RespConnection(port) as connection:
        try:
            connection.send_raw(data + end)
        except Closed:
            pass
        got, closed = b"", False
        deadline = time.monotonic() + seconds
        while END not in got and not closed and time.monotonic() < deadline:
            more, closed = connection.read_some(0.2)
            got += more
        return got.replace(b"$%d\r\n%b\r\n" % (len(END), END), b""), closed


def same_as_redis(world, data, **how):
    """What both answer, when it is the same."""
    real = answer(world.real_redis().port, data, **how)
    mine = answer(world.server.port, data, **how)
    assert mine == real, f"{data[:80]!r}: {mine!r:.400} instead of Redis's {real!r:.400}"
    return real


MALFORMED = (
    b"*1\r\n$-5\r\n", b"*1\r\n$x\r\n", b"*1\r\n$536870913\r\n", b"*1\r\n$99999999999999999999\r\n", b"*1\r\n$\r\n",
    b"*abc\r\n", b"*2147483648\r\n", b"*99999999999999999999\r\n", b"*-9223372036854775808\r\nPING\r\n",
    b"*1\r\nfoo\r\n", b"*2\r\n$4\r\nPING\r\n+x\r\n", b"*1\r\n:1\r\n", b"*1\r\n*1\r\n$4\r\nPING\r\n",
    b'SET a "unbalanced\r\n', b"SET a 'unbalanced\r\n", b'SET a "b"c\r\n', b'GET "a"b"\r\n',
    b"x" * 70000, b"*" + b"1" * 70000, b"*1\r\n$" + b"1" * 70000,
)


def test_malformed(world):
    for data in MALFORMED:
        text, closed = same_as_redis(world, data, end=b"")
        assert closed and text.startswith(b"-ERR Protocol error: ") or data.startswith(b"*-9"), (data[:40], text)


def test_malformed_after_good_requests(world):
    """What was asked before the mistake is still answered."""
    for data in MALFORMED[:6]:
        same_as_redis(world, encode("SET", "a", "1") + encode("GET", "a") + data)


def test_empty_requests(world):
    for data in (b"\r\n\r\nPING\r\n", b"*0\r\nPING\r\n", b"*-1\r\nPING\r\n", b"   \r\nPING\r\n", b"*-10\r\n*1\r\n$4\r\nPING\r\n",
                 b"\n\nPING\n"):
        assert same_as_redis(world, data) == (b"+PONG\r\n", False), data


def test_inline(world):
    for data in (b"PING\r\n", b"PING\n", b"ping\r\n", b"  PING  \r\n", b"SET a 1\r\nGET a\r\n", b'SET a "x\\x41\\n\\"y"\r\nGET a\r\n',
                 b"SET a 'it\\'s'\r\nGET a\r\n", b'SET "" empty\r\nGET ""\r\n', b"SET a 1\r\n" + encode("GET", "a") + b"GET a\r\n",
                 b"NONSENSE a b\r\n", b"GET\r\n", b"$5\r\nnosuch\r\n", b"SET\ta\t1\r\nGET a\r\n"):
        same_as_redis(world, data)


def test_unknown_commands(world):
    for words in (("NONSENSE",), ("nonsense", "a"), ("X" * 300, "y"), ("CONFIG", "NONSENSE"), ("CLIENT", "NONSENSE"),
                  ("OBJECT", "NONSENSE", "k"), ("a" * 10, *["b" * 40] * 10), ("line\r\nbreak", "x"), ("",)):
        same_as_redis(world, encode(*words))


def test_wrong_number_of_arguments(world):
    for words in (("GET",), ("SET", "a"), ("MSET", "a"), ("MSET", "a", "1", "b"), ("HSET", "h", "f"), ("HSET", "h", "f", "v", "g"),
                  ("DEL",), ("INCR", "a", "b"), ("EXPIRE", "a"), ("PING", "a", "b"), ("SCAN",), ("EXEC", "x"),
                  ("CLIENT", "SETNAME"), ("CONFIG", "GET")):
        same_as_redis(world, encode(*words))


def test_semantic_errors(world):
    for words in (("SET", "a", "1", "EX", "0"), ("SET", "a", "1", "EX", "x"), ("SET", "a", "1", "NX", "XX"), ("SET", "a", "1", "PX", "-1"),
                  ("SET", "a", "1", "EX", "1", "KEEPTTL"), ("SETEX", "a", "-1", "v"), ("INCRBY", "a", "x"), ("INCRBYFLOAT", "a", "x"),
                  ("SCAN", "x"), ("SCAN", "0", "COUNT", "0"), ("SETRANGE", "a", "-1", "x"), ("SETRANGE", "a", "600000000", "x"),
                  ("GETEX", "a", "EX", "0"), ("SELECT", "x"), ("SETBIT", "a", "-1", "1"), ("SETBIT", "a", "1", "2"), ("EXPIRE", "a", "x"),
                  ("HINCRBY", "h", "f", "x"), ("EXEC",), ("DISCARD",), ("RENAME", "nothing", "x"), ("HELLO", "9"), ("HELLO", "x"),
                  ("WATCH",), ("DECRBY", "a", "-9223372036854775808")):
        same_as_redis(world, encode(*words))


def test_transaction_errors(world):
    for data in (encode("MULTI") + encode("MULTI") + encode("EXEC"), encode("MULTI") + encode("WATCH", "a") + encode("EXEC"),
                 encode("MULTI") + encode("GET") + encode("SET", "a", "1") + encode("EXEC") + encode("GET", "a"),
                 encode("MULTI") + encode("EXEC"), encode("MULTI") + encode("DISCARD") + encode("EXEC"),
                 encode("MULTI") + encode("SET", "tx", "x") + encode("INCR", "tx") + encode("GET", "tx") + encode("EXEC"),
                 encode("WATCH", "w") + encode("SET", "w", "1") + encode("MULTI") + encode("PING") + encode("EXEC")):
        same_as_redis(world, data)


def test_byte_by_byte(world):
    """However the bytes are cut, the requests are the same."""
    data = encode("SET", "slow", b"\r\n$3\r\n") + b"GET slow\r\n" + encode("GET", "slow")
    connection = world.connect()
    for byte in data:
        connection.send_raw(bytes([byte]))
    assert [connection.read() for _ in range(3)] == ["OK", b"\r\n$3\r\n", b"\r\n$3\r\n"]


def test_half_requests(world):
    """Connections that stop in the middle hold nobody up, and what they began does not happen."""
    halves = [world.connect() for _ in range(50)]
    for number, connection in enumerate(halves):
        request = encode("SET", f"half{number}", "x" * 1000)
        connection.send_raw(request[:1 + number * 20])
    good = world.connect(timeout=5)
    good.expect("OK", "SET", "whole", "1")
    for connection in halves:
        connection.close()
    time.sleep(0.2)
    assert good.command("KEYS", "*") == [b"whole"]


def test_half_then_whole(world):
    connection = world.connect()
    request = encode("SET", "a", "x" * 100000)
    connection.send_raw(request[:50000])
    time.sleep(0.1)
    connection.send_raw(request[50000:] + encode("STRLEN", "a"))
    assert [connection.read(), connection.read()] == ["OK", 100000]


def test_closing_in_a_transaction(world):
    connection, other = world.connect(), world.connect()
    connection.send_raw(encode("MULTI") + encode("SET", "a", "1"))
    assert [connection.read(), connection.read()] == ["OK", "QUEUED"]
    connection.close()
    time.sleep(0.1)
    assert other.command("EXISTS", "a") == 0


def test_requests_then_close(world):
    """A client that sends and shuts its side still gets its work done, as with Redis."""
    connection = world.connect()
    connection.send_raw(encode("SET", "a", "1") * 100 + encode("QUIT"))
    data, closed = connection.read_all(5)
    assert data == b"+OK\r\n" * 101 and closed


def test_hello_and_protocols(world):
    connection = world.connect()
    reply = connection.command("HELLO", "3", "SETNAME", "me")
    assert isinstance(reply, dict) and reply[b"proto"] == 3 and reply[b"server"] == b"redis", reply
    connection.command("HSET", "h", "f", "v")
    assert connection.command("HGETALL", "h") == {b"f": b"v"}
    assert connection.command("GET", "nothing") is None
    reply = connection.command("HELLO", "2")
    assert isinstance(reply, list), reply
    assert connection.command("HGETALL", "h") == [b"f", b"v"]
    assert connection.command("CLIENT", "GETNAME") == b"me"
    error = connection.command("HELLO", "4")
    assert isinstance(error, RespError) and str(error).startswith("NOPROTO"), error


def test_reset_and_quit(world):
    connection = world.connect()
    connection.expect("OK", "MULTI")
    connection.expect("RESET", "RESET")
    connection.expect("PONG", "PING")
    connection.expect("OK", "QUIT")
    assert connection.read_all(5) == (b"", True)


def test_client_reply(world):
    connection = world.connect()
    connection.send_raw(encode("CLIENT", "REPLY", "OFF") + encode("SET", "a", "1") + encode("CLIENT", "REPLY", "ON") + encode("GET", "a"))
    assert [connection.read(), connection.read()] == ["OK", b"1"]
    connection.send_raw(encode("CLIENT", "REPLY", "SKIP") + encode("SET", "a", "2") + encode("GET", "a"))
    assert connection.read() == b"2"


def test_deep_pipeline_in_order(world):
    connection = world.connect()
    count = 50000
    connection.send_raw(b"".join(encode("INCR", "n") for _ in range(count)))
    assert [connection.read() for _ in range(count)] == list(range(1, count + 1))


def test_other_databases(world):
    connection = world.connect()
    connection.expect("OK", "SELECT", "0")
    error = connection.command("SELECT", "1")
    assert isinstance(error, RespError) and "out of range" in str(error), error


def test_wait_and_waitaof(world):
    connection = world.connect()
    connection.expect("OK", "SET", "a", "1")
    assert connection.command("WAIT", "0", "100") == 0


def test_subscriptions_refuse_or_work(world):
    """What a later version brings is a clear error today, not silence."""
    connection = world.connect(timeout=5)
    reply = connection.command("XADD", "stream", "*", "f", "v")
    assert isinstance(reply, (RespError, bytes)), reply
