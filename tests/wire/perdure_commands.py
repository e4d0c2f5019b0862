"""What Perdure adds to Redis: actors, durability levels, idempotency, bookmarks."""

import json
import os
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


def test_not_built_yet_is_said(world):
    connection = world.connect()
    listed = set(connection.command("COMMAND", "LIST"))
    for words, why in ((("LPUSH", "l", "1"), "lists are not built yet"), (("zadd", "z", "1", "a"), "sorted sets are"),
                       (("JSON.SET", "a", "$", "1"), "documents are"), (("PD.NONSENSE",), "PD.HELP"),
                       (("SAVE",), "nothing to save"), (("SWAPDB", "0", "1"), "PD.USE")):
        assert words[0].lower().encode() not in listed, words
        is_error(connection.command(*words), f"unknown command '{words[0]}': ")
        is_error(connection.command(*words), why)
    is_error(connection.command("JSON", "1"), "with args beginning with")
    is_error(connection.command("LPUSHES", "1"), "with args beginning with")


def test_page_of_commands_is_current(world):
    tool = os.path.join(os.path.dirname(__file__), "..", "..", "tools", "command_docs.py")
    world.run(tool, "--port", world.server.port, "--check")


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
    connection.expect("OK", "PD.USE")
    connection.expect(b"mains", "GET", "k")
    connection.expect(1, "DBSIZE")


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
    for name in ("", "a{b", "a}b", "x" * 257, "a/b/c"):
        is_error(connection.command("PD.USE", name), "ERR")
    is_error(connection.command("PD.USE", "a", "b"), "wrong number of arguments")
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


def test_request_id(world):
    connection = world.connect()
    for words in (("PD.REQUEST", ""), ("PD.REQUEST", "x" * 129), ("PD.REQUEST", "a", "b")):
        assert str(connection.command(*words)).startswith("ERR "), words
    connection.expect("OK", "PD.REQUEST", "trace-\x01")
    connection.expect("OK", "SET", "traced", "1")
    connection.expect("OK", "MULTI")
    connection.expect("QUEUED", "SET", "traced", "2")
    connection.expect("QUEUED", "SET", "traced", "3")
    connection.expect(["OK", "OK"], "EXEC")
    connection.expect("OK", "PD.REQUEST")
    connection.expect("OK", "SET", "traced", "4")
    connection.expect("OK", "PD.REQUEST", "b")
    connection.expect("RESET", "RESET")
    connection.expect("OK", "SET", "traced", "5")
    _, stdout, _ = world.perdure("log", "dump", "--data", world.server.directory, "--key", "traced", "-o", "json")
    found = [json.loads(line) for line in stdout.splitlines()]
    ids = [record.get("request_id") for record in found if any(effect.get("key") == "traced" for effect in record.get("effects", ()))]
    assert ids == ["trace-\x01", "trace-\x01", None, None], ids


def test_idempotency_of_a_refused_write(world):
    """The key was for the write that was refused: the one after it is somebody else's."""
    connection = world.connect()
    for number in (1, 2):
        is_error(once(connection, "refused", "SET", "k"))
        assert connection.command("INCR", "n") == number
    is_error(once(connection, "read", "GET"))
    connection.expect(3, "INCR", "n")
    assert once(connection, "read", "INCR", "n") == 3, "a read that is refused leaves the key to the write"


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
    def ask(connection):
        connection.expect("OK", "PD.IDEMPOTENCY", "both")
        connection.expect("OK", "MULTI")
        connection.expect("QUEUED", "HSET", "h", "f", "v")
        connection.expect("QUEUED", "HGETALL", "h")
        connection.expect("QUEUED", "GET", "nothing")
        return connection.command("EXEC")

    connection, other = world.connect(), world.connect()
    connection.command("HELLO", "3")
    assert ask(connection) == [1, {b"f": b"v"}, None]
    assert ask(other) == [1, [b"f", b"v"], None]
    assert ask(connection) == [1, {b"f": b"v"}, None]


def test_idempotency_with_a_dropped_connection(world):
    """The key waits for a write, and belongs to its connection."""
    connection, other = world.connect(), world.connect()
    connection.expect("OK", "PD.IDEMPOTENCY", "mine")
    other.expect(1, "INCR", "n")
    connection.expect(b"1", "GET", "n")
    connection.close()
    reply = once(other, "mine", "INCR", "n")
    assert reply == 2, reply


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


def receipt_of(connection):
    reply = connection.command("PD.RECEIPT")
    return {as_text(name): as_text(value) for name, value in zip(reply[::2], reply[1::2])}


def test_receipts(world):
    connection = world.connect()
    connection.expect("OK", "SET", "a", "1")
    receipt = receipt_of(connection)
    assert BOOKMARK.fullmatch(receipt["bookmark"]) and receipt["level"] == "strict", receipt
    assert receipt["durable"] == 1 and receipt["duplicate"] == 0, receipt
    assert abs(receipt["time_us"] / 1e6 - time.time()) < 10, receipt
    connection.expect("OK", "PD.DURABILITY", "none")
    connection.expect("OK", "SET", "a", "2")
    assert receipt_of(connection)["level"] == "none"
    assert world.connect().command("PD.RECEIPT") is None


def test_receipt_of_a_duplicate(world):
    connection = world.connect()
    once(connection, "receipt", "INCR", "n")
    first = receipt_of(connection)
    once(connection, "receipt", "INCR", "n")
    second = receipt_of(connection)
    assert (first["duplicate"], second["duplicate"]) == (0, 1), (first, second)
    assert first["bookmark"] == second["bookmark"], "the receipt of a duplicate is that of the first"


def test_bookmarks_tell_their_fate(world):
    connection = world.connect()
    connection.expect("OK", "SET", "a", "1")
    bookmark = as_text(connection.command("PD.BOOKMARK"))
    connection.expect(b"reached", "PD.BOOKMARK", bookmark)
    future = bookmark[:-4] + "ffff"
    connection.expect(b"future", "PD.BOOKMARK", future)
    is_error(connection.command("PD.BOOKMARK", "nonsense"))
    world.server.kill()
    world.server.start()
    connection = world.connect()
    connection.expect(b"reached", "PD.BOOKMARK", bookmark)
    connection.expect(b"lost", "PD.BOOKMARK", future)


def test_state_hash(world):
    connection = world.connect()
    connection.expect("OK", "MSET", "a", "1", "{x}b", "2")
    whole, actor = connection.command("PD.STATEHASH"), connection.command("PD.STATEHASH", "x")
    assert re.fullmatch(rb"[0-9a-f]{32}", whole) and re.fullmatch(rb"[0-9a-f]{32}", actor) and whole != actor
    connection.expect("OK", "SET", "a", "2")
    assert connection.command("PD.STATEHASH") != whole
    connection.expect(actor, "PD.STATEHASH", "x")
    is_error(connection.command("PD.STATEHASH", "nobody-of-that-name"))


def test_state_hash_beside_the_serving(world):
    """Others write and are answered while it is found out, and it is of one moment; who leaves before it is there harms nobody."""
    filler = world.connect()
    for batch in range(20):
        filler.send_raw(b"".join(encode("SET", f"{{a{number % 11}}}k{batch}-{number}", "x" * 500) for number in range(500)))
        for _ in range(500):
            assert not isinstance(filler.read(), RespError)
    filler.expect("OK", "SET", "beside", "0")
    filler.expect(1, "DEL", "beside")
    before = filler.command("PD.STATEHASH")
    hashers = [world.connect() for _ in range(4)]
    for hasher in hashers:
        hasher.send("PD.STATEHASH")
        hasher.send("PING")
    hashers.pop().close()
    for number in range(50):
        filler.expect("OK", "SET", "beside", str(number))
        filler.expect(1, "DEL", "beside")
    hashes = [hasher.read() for hasher in hashers]
    assert all(re.fullmatch(rb"[0-9a-f]{32}", found) for found in hashes), hashes
    for hasher in hashers:
        assert hasher.read() == "PONG"
    # What was written and deleted meanwhile has left nothing.
    assert filler.command("PD.STATEHASH") == before


def test_state_hash_after_a_replay(world):
    connection = world.connect()
    connection.send_raw(b"".join(encode("HSET", f"{{a{number % 5}}}h{number % 50}", number, "x" * (number % 300)) +
                                 encode("DEL", f"{{a{number % 3}}}h{number % 20}") + encode("INCR", "n") +
                                 encode("SET", f"e{number}", "x", "PX", 1 if number % 2 else 10_000_000) for number in range(3000)))
    for _ in range(12000):
        assert not isinstance(connection.read(), RespError)
    time.sleep(0.5)
    before = connection.command("PD.STATEHASH")
    for stop in (world.server.kill, world.server.stop):
        stop()
        world.server.start()
        assert world.connect().command("PD.STATEHASH") == before


def test_profiles(world):
    connection, other = world.connect(), world.connect()
    other.expect("OK", "SET", "{weak}k", "0")
    connection.expect("OK", "PD.PROFILE", "ACTOR", "weak", "none")
    is_error(connection.command("PD.PROFILE", "ACTOR", "nobody-of-that-name", "none"), "nobody-of-that-name")
    other.expect("OK", "SET", "{weak}k", "1")
    assert receipt_of(other)["level"] == "none"
    other.expect("OK", "SET", "k", "1")
    assert receipt_of(other)["level"] == "strict"
    connection.expect("OK", "PD.PROFILE", "TENANT", "standard")
    other.expect("OK", "SET", "k", "1")
    assert receipt_of(other)["level"] == "standard"
    world.server.kill()
    world.server.start()
    connection = world.connect()
    connection.expect("OK", "SET", "k", "1")
    assert receipt_of(connection)["level"] == "standard", "the profile was lost"
    connection.expect("OK", "PD.PROFILE", "TENANT", "default")
    connection.expect("OK", "PD.PROFILE", "ACTOR", "weak", "default")
    connection.expect("OK", "SET", "k", "1")
    assert receipt_of(connection)["level"] == "strict"
    is_error(connection.command("PD.PROFILE", "ACTOR", "weak", "nonsense"), "nonsense")


def test_read_level(world):
    connection = world.connect()
    connection.expect("OK", "PD.READLEVEL", "strict")
    writer = world.connect()
    writer.expect("OK", "PD.DURABILITY", "none")
    writer.expect("OK", "SET", "k", "weak")
    connection.expect(b"weak", "GET", "k")
    world.server.kill()  # what a strict reader has seen may not be lost
    world.server.start()
    world.connect().expect(b"weak", "GET", "k")


def test_read_level_of_what_is_no_read(world):
    """A strict reader may be told of nothing that a kill takes back, by whatever command."""
    for number, (words, still) in enumerate((
            (("PD.BOOKMARK",), lambda connection, told: connection.command("PD.BOOKMARK", told) == b"reached"),
            (("PD.STATEHASH", "shown"), lambda connection, told: connection.command("PD.STATEHASH", "shown") == told),
            (("PD.ACTOR", "INFO", "shown"),
             lambda connection, told: connection.command("PD.ACTOR", "INFO", "shown")[:12] == told[:12]),
            (("PD.ACTOR", "OWNER", "shown"),
             lambda connection, told: connection.command("PD.ACTOR", "OWNER", "shown")[:4] == told[:4]))):
        connection, writer = world.connect(), world.connect()
        connection.expect("OK", "PD.READLEVEL", "strict")
        writer.expect("OK", "PD.DURABILITY", "none")
        writer.expect("OK", "SET", "{shown}k" + str(number), "weak")
        writer.command("PD.ACTOR", "ACQUIRE", "shown", "owner" + str(number), "3600000")
        told = connection.command(*words)
        assert not isinstance(told, RespError), told
        world.server.kill()
        world.server.start()
        assert still(world.connect(), told), f"{words}: {told} was lost"


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
