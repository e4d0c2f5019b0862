"""What Perdure adds to Redis: actors, durability levels, idempotency, bookmarks."""

import re
import time

from resp_connection import RespError, encode

BOOKMARK = re.compile(r"[0-9a-f]{4}-[0-9a-f]{10}-[0-9a-f]{16}")


def is_error(reply, text=""):
    assert isinstance(reply, RespError) and text in str(reply), f"{reply!r} instead of an error with {text!r}"


def test_keys_name_actors(world):
    connection = world.connect()
    connection.expect("OK", "MSET", "{user:42}:cart", "1", "plain", "2", "in{the}middle", "3")
    connection.expect("OK", "PD.USE", "user:42")
    assert connection.command("KEYS", "*") == [b":cart"]
    connection.expect(b"1", "GET", ":cart")
    connection.expect("OK", "PD.USE", "main")
    assert sorted(connection.command("KEYS", "*")) == [b"in{the}middle", b"plain"]


def test_use(world):
    connection, other = world.connect(), world.connect()
    connection.expect("OK", "PD.USE", "alice")
    connection.expect("OK", "SET", "k", "hers")
    other.expect("OK", "SET", "k", "mains")
    connection.expect(b"hers", "GET", "k")
    connection.expect(1, "DBSIZE")
    connection.expect([b"k"], "KEYS", "*")
    connection.expect(b"mains", "GET", "{main}k")
    other.expect(b"hers", "GET", "{alice}k")
    other.expect(2, "DBSIZE")
    assert sorted(other.command("KEYS", "*")) == [b"k", b"{alice}k"]
    connection.expect("OK", "FLUSHALL")
    other.expect(b"mains", "GET", "k")
    other.expect(1, "DBSIZE")
    connection.expect("OK", "PD.USE", "")
    connection.expect(b"mains", "GET", "k")


def test_use_is_per_connection_and_reset(world):
    connection = world.connect()
    connection.expect("OK", "PD.USE", "bob")
    connection.expect("OK", "SET", "k", "1")
    connection.expect("RESET", "RESET")
    connection.expect(None, "GET", "k")


def test_tenants_do_not_meet(world):
    connection, other = world.connect(), world.connect()
    reply = connection.command("PD.USE", "elsewhere/alice")
    if isinstance(reply, RespError):
        assert "tenant" in str(reply).lower(), reply  # refused clearly: names a tenant that this user has not
        return
    connection.expect("OK", "SET", "secret", "1")
    other.expect(None, "GET", "{alice}secret")
    other.expect(0, "DBSIZE")
    connection.expect("OK", "FLUSHALL")


def test_bad_actor_names(world):
    connection = world.connect()
    for name in ("a{b", "a}b", "x" * 257, "a/b/c"):
        is_error(connection.command("PD.USE", name), "ERR")
    is_error(connection.command("PD.USE"), "wrong number of arguments")
    is_error(connection.command("SET", "{" + "x" * 300 + "}k", "1"))
    connection.expect("PONG", "PING")


def test_durability_levels(world):
    connection = world.connect()
    for level in ("none", "performance", "standard", "strict", "STRICT"):
        connection.expect("OK", "PD.DURABILITY", level)
        connection.expect("OK", "SET", "k", level)
        connection.expect(level.encode(), "GET", "k")
    is_error(connection.command("PD.DURABILITY", "critical"), "ERR")
    is_error(connection.command("PD.DURABILITY", "nonsense"), "ERR")
    connection.expect("OK", "SET", "k", "still works")


def test_levels_mixed_in_order(world):
    """A weak write does not wait for a strict one, yet each connection's replies come in order and see its writes."""
    connection = world.connect()
    data = b""
    for number in range(500):
        level = ("none", "strict", "standard", "performance")[number % 4]
        data += encode("PD.DURABILITY", level) + encode("INCR", "n") + encode("GET", "n")
    connection.send_raw(data)
    for number in range(500):
        assert [connection.read() for _ in range(3)] == ["OK", number + 1, b"%d" % (number + 1)]


def once(connection, token, *words):
    connection.expect("OK", "PD.IDEMPOTENCY", token)
    return connection.command(*words)


def test_idempotency(world):
    connection, other = world.connect(), world.connect()
    assert once(connection, "t1", "INCR", "n") == 1
    assert once(connection, "t1", "INCR", "n") == 1
    assert once(other, "t1", "INCR", "n") == 1
    connection.expect(b"1", "GET", "n")
    assert once(connection, "t2", "INCR", "n") == 2
    assert connection.command("INCR", "n") == 3, "the key is for one request only"
    is_error(once(connection, "t1", "SET", "n", "9"))
    connection.expect(b"3", "GET", "n")


def test_idempotent_transaction(world):
    connection = world.connect()
    for _ in range(3):
        connection.expect("OK", "PD.IDEMPOTENCY", "multi-1")
        connection.expect("OK", "MULTI")
        connection.expect("QUEUED", "INCR", "{a}n")
        connection.expect("QUEUED", "HSET", "{b}h", "f", "v")
        connection.expect([1, 1], "EXEC")
    connection.expect(b"1", "GET", "{a}n")


def test_idempotency_survives_a_kill(world):
    connection = world.connect()
    assert once(connection, "kept", "INCR", "n") == 1
    world.server.kill()
    world.server.start()
    connection = world.connect()
    assert once(connection, "kept", "INCR", "n") == 1
    connection.expect(b"1", "GET", "n")


def test_idempotency_in_both_protocols(world):
    """The stored reply is shown as the asking connection understands it."""
    connection = world.connect()
    connection.command("HSET", "h", "f", "v")
    connection.command("HELLO", "3")
    assert once(connection, "r3", "HGETALL", "h") == {b"f": b"v"}
    other = world.connect()
    assert once(other, "r3", "HGETALL", "h") == [b"f", b"v"]


def test_refused_request_can_be_repeated_with_its_key(world):
    connection = world.connect()
    connection.expect("OK", "SET", "text", "x")
    is_error(once(connection, "bad", "INCR", "text"), "not an integer")
    connection.expect("OK", "SET", "text", "5")
    reply = once(connection, "bad", "INCR", "text")
    assert reply == 6 or "not an integer" in str(reply), reply


def test_bookmarks(world):
    connection = world.connect()
    connection.expect("OK", "SET", "a", "1")
    first = connection.command("PD.BOOKMARK")
    connection.expect("OK", "SET", "a", "2")
    second = connection.command("PD.BOOKMARK")
    for bookmark in (first, second):
        assert isinstance(bookmark, (bytes, str)) and BOOKMARK.fullmatch(as_text(bookmark)), bookmark
    assert as_text(first) < as_text(second)


def test_bookmarks_sort_over_restarts(world):
    connection = world.connect()
    connection.expect("OK", "SET", "a", "1")
    before = as_text(connection.command("PD.BOOKMARK"))
    world.server.kill()
    world.server.start()
    connection = world.connect()
    connection.expect("OK", "SET", "a", "2")
    assert before < as_text(connection.command("PD.BOOKMARK"))


def as_text(reply):
    return reply.decode() if isinstance(reply, bytes) else reply


def flatten(reply):
    if isinstance(reply, dict):
        return [text for pair in reply.items() for item in pair for text in flatten(item)]
    if isinstance(reply, list):
        return [text for item in reply for text in flatten(item)]
    return [as_text(reply) if isinstance(reply, (bytes, str)) else str(reply)]


def test_receipts(world):
    connection = world.connect()
    connection.expect("OK", "SET", "a", "1")
    words = flatten(connection.command("PD.RECEIPT"))
    assert any(BOOKMARK.search(word) for word in words) and "strict" in words, words
    connection.expect("OK", "PD.DURABILITY", "none")
    connection.expect("OK", "SET", "a", "2")
    words = flatten(connection.command("PD.RECEIPT"))
    assert "none" in words, words


def test_server_levels_survive_kill(world):
    """`standard` and `strict` lose nothing with the process; `none` and `performance` keep a prefix."""
    for level in ("none", "performance", "standard", "strict"):
        server = world.new_server(f"level-{level}", ["--durability", level])
        server.start()
        connection = world.connect(server)
        connection.send_raw(b"".join(encode("SET", f"k{number}", number) for number in range(2000)))
        assert [connection.read() for _ in range(2000)] == ["OK"] * 2000
        server.kill()
        server.start()
        connection = world.connect(server)
        there = sorted(int(key[1:]) for key in connection.command("KEYS", "*"))
        assert there == list(range(len(there))), f"{level}: holes"
        if level in ("standard", "strict"):
            assert len(there) == 2000, f"{level}: {len(there)} of 2000 are left"


def test_weak_levels_are_synced_in_time(world):
    """`performance` loses at most the sync interval with the process; `none` is not asked to keep anything."""

    server = world.new_server("interval", ["--durability", "performance", "--sync-interval", "50"])
    server.start()
    connection = world.connect(server)
    connection.expect("OK", "SET", "k", "1")
    time.sleep(0.6)
    server.kill()
    server.start()
    world.connect(server).expect(b"1", "GET", "k")
