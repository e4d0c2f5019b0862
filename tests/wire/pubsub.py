"""Publish and subscribe, through raw sockets and redis-py. What is the same in Redis is compared with a real one."""

import threading
import time

from processes import HOST
from resp_connection import Closed, Push, RespError, encode

try:
    import redis
except ImportError as error:
    raise ImportError("redis-py is missing: apt-get install python3-redis, and run this with /usr/bin/python3") \
        from error


def silent(connection, seconds=0.2):
    """Nothing comes."""
    got, closed = connection.read_some(seconds)
    connection.socket.settimeout(30)
    assert not got and not closed, got


def both(world, scenario):
    """The same scenario on Perdure and on a real redis-server gives the same."""
    mine = scenario(lambda: world.connect())
    real_server = world.real_redis()
    real = scenario(lambda: world.connect(real_server))
    assert mine == real, f"{mine!r} instead of Redis's {real!r}"
    return mine


def test_messages(world):
    def scenario(connect):
        listener, other, writer = connect(), connect(), connect()
        said = [listener.command("SUBSCRIBE", "a", "b", "a"), listener.read(), listener.read(),
                listener.command("PSUBSCRIBE", "a*", "[ab]"), listener.read(), other.command("SUBSCRIBE", "a")]
        said.append([writer.command("PUBLISH", channel, b"\x00\r\n") for channel in ("a", "b", "c", "")])
        said += [sorted(repr(listener.read()) for _ in range(5)), other.read()]
        said += [listener.command("UNSUBSCRIBE", "b", "nothing"), listener.read(), listener.command("PUNSUBSCRIBE", "a*")]
        said.append([writer.command("PUBLISH", channel, "x") for channel in ("a", "b")])
        said.append(sorted(map(repr, [listener.read(), listener.read(), listener.read()])))
        said += [listener.command("UNSUBSCRIBE"), listener.command("PUNSUBSCRIBE"), listener.command("UNSUBSCRIBE")]
        said += [listener.command("SET", "k", "v"), listener.command("UNSUBSCRIBE", "z"), listener.command("PUNSUBSCRIBE")]
        return said

    both(world, scenario)


def test_resp3_pushes(world):
    def scenario(connect):
        listener, writer = connect(), connect()
        listener.command("HELLO", "3")
        said = [listener.command("SUBSCRIBE", "a", "b"), listener.read(), listener.command("PSUBSCRIBE", "*"),
                listener.command("SSUBSCRIBE", "a")]
        assert all(isinstance(push, Push) for push in said), said
        said += [listener.command("PING"), listener.command("SET", "k", "v"), listener.command("GET", "k")]
        said.append([writer.command("PUBLISH", "a", "1"), writer.command("SPUBLISH", "a", "2")])
        said += [listener.read(), listener.read(), listener.read()]
        said += [listener.command("PING", "x"), listener.command("SUNSUBSCRIBE"), listener.command("SUNSUBSCRIBE")]
        return said

    both(world, scenario)


def test_resp2_restricts(world):
    def scenario(connect):
        listener = connect()
        said = [listener.command("SUBSCRIBE", "a")]
        for words in (("GET", "a"), ("PING",), ("PING", "x"), ("MULTI",), ("NONSENSE",), ("GET",), ("PUBLISH", "a", "b"),
                      ("SSUBSCRIBE", "a"), ("SUNSUBSCRIBE",), ("HELLO", "3"), ("CONFIG", "GET", "save"), ("RESET",),
                      ("GET", "a")):
            said.append(listener.command(*words))
        return said

    both(world, scenario)


def test_pubsub_command(world):
    def scenario(connect):
        one, two = connect(), connect()
        for words in (("SUBSCRIBE", "a"), ("SUBSCRIBE", "b2"), ("PSUBSCRIBE", "x*"), ("SSUBSCRIBE", "s")):
            one.command(*words)
        for words in (("SUBSCRIBE", "a"), ("PSUBSCRIBE", "x*"), ("PSUBSCRIBE", "y*")):
            two.command(*words)
        asker = connect()
        said = [sorted(asker.command("PUBSUB", "CHANNELS")), asker.command("PUBSUB", "CHANNELS", "b?"),
                asker.command("PUBSUB", "NUMSUB"), asker.command("PUBSUB", "NUMSUB", "a", "none", "b2"),
                asker.command("PUBSUB", "NUMPAT"), asker.command("PUBSUB", "SHARDCHANNELS"),
                asker.command("PUBSUB", "SHARDNUMSUB", "s", "a"), asker.command("PUBSUB", "CHANNELS", "a", "b"),
                asker.command("PUBSUB", "NONSENSE"), asker.command("PUBSUB")]
        one.close()
        deadline = time.monotonic() + 10
        while asker.command("PUBSUB", "NUMSUB", "a")[1] != 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        return said + [asker.command("PUBSUB", "NUMSUB", "a"), asker.command("PUBSUB", "NUMPAT"),
                       asker.command("PUBSUB", "CHANNELS")]

    both(world, scenario)


def test_within_a_transaction(world):
    """What MULTI publishes goes out with EXEC, and not at all without."""
    listener, writer = world.connect(), world.connect()
    listener.command("SUBSCRIBE", "c")
    for words in (("MULTI",), ("PUBLISH", "c", "never"), ("DISCARD",), ("MULTI",), ("PUBLISH", "c", "1"), ("SET", "a", "1"),
                  ("PUBLISH", "c", "2")):
        writer.command(*words)
    silent(listener)
    writer.expect([1, "OK", 1], "EXEC")
    assert [listener.read()[2], listener.read()[2]] == [b"1", b"2"]
    # A precondition that does not hold, and a queue that is refused.
    for words in (("WATCH", "a"), ("SET", "a", "2"), ("MULTI",), ("PUBLISH", "c", "never")):
        writer.command(*words)
    writer.expect(None, "EXEC")
    for words in (("MULTI",), ("PUBLISH", "c", "never"), ("NONSENSE",)):
        writer.command(*words)
    assert isinstance(writer.command("EXEC"), RespError)
    silent(listener)
    assert writer.command("MULTI") == "OK"
    assert "not allowed" in str(writer.command("SUBSCRIBE", "c"))


def test_an_idempotent_transaction_publishes_once(world):
    listener, writer = world.connect(), world.connect()
    listener.command("SUBSCRIBE", "c")
    for _ in range(2):
        for words in (("PD.IDEMPOTENCY", "k"), ("MULTI",), ("INCR", "n"), ("PUBLISH", "c", "x")):
            writer.command(*words)
        writer.expect([1, 1], "EXEC")
    assert listener.read()[2] == b"x"
    silent(listener)


def test_tenants_hear_their_own(world):
    mine, theirs, writer = world.connect(), world.connect(), world.connect()
    mine.command("PD.USE", "t/one")
    mine.command("PSUBSCRIBE", "*")
    theirs.command("PSUBSCRIBE", "*")
    writer.command("PD.USE", "t/two")
    writer.expect(1, "PUBLISH", "c", "x")
    assert mine.read() == [b"pmessage", b"*", b"c", b"x"]
    silent(theirs)
    writer.expect([], "PUBSUB", "CHANNELS")
    writer.expect(1, "PUBSUB", "NUMPAT")
    writer.command("HELLO", "3")
    writer.command("SUBSCRIBE", "c")
    writer.command("PD.USE", "other/two")
    assert "another tenant" in str(writer.command("SUBSCRIBE", "d"))
    assert writer.command("UNSUBSCRIBE", "c") == [b"unsubscribe", b"c", 0]


def test_hostile_names(world):
    listener, writer = world.connect(), world.connect()
    for name in (b"\xff\xfe\x00", b"", b"\r\n", b"x" * 65536):
        assert listener.command("SUBSCRIBE", name)[1] == name
        writer.expect(1, "PUBLISH", name, name)
        assert listener.read() == [b"message", name, name]
        listener.command("UNSUBSCRIBE")
    assert "65536 bytes" in str(listener.command("SUBSCRIBE", b"x" * 65537))
    assert "1024 bytes" in str(listener.command("PSUBSCRIBE", b"*" * 1025))
    # A pattern that backtracking would never be done with.
    listener.command("PSUBSCRIBE", b"a*" * 500 + b"b")
    begun = time.monotonic()
    writer.expect(0, "PUBLISH", b"a" * 60000, "x")
    assert time.monotonic() - begun < 20
    listener.command("RESET")
    listener.expect("PONG", "PING")


def test_ten_thousand_channels(world):
    listener, writer = world.connect(), world.connect()
    names = [f"channel-{number}" for number in range(10000)]
    listener.send("SUBSCRIBE", *names)
    for count, name in enumerate(names, 1):
        assert listener.read() == [b"subscribe", name.encode(), count]
    for number in range(0, 10000, 500):
        writer.expect(1, "PUBLISH", names[number], number)
        assert listener.read()[2] == str(number).encode()
    assert len(writer.command("PUBSUB", "CHANNELS")) == 10000
    listener.send("UNSUBSCRIBE")
    assert {listener.read()[1].decode() for _ in names} == set(names)
    writer.expect([], "PUBSUB", "CHANNELS")
    # No more than there may be.
    listener.send("SUBSCRIBE", *[str(number) for number in range(65537)])
    for _ in range(65536):
        listener.read()
    assert "65536" in str(listener.read())
    listener.close()
    deadline = time.monotonic() + 20
    while writer.command("PUBSUB", "CHANNELS") and time.monotonic() < deadline:
        time.sleep(0.05)
    writer.expect([], "PUBSUB", "CHANNELS")


def test_many_patterns_are_bounded(world):
    listener = world.connect()
    listener.send("PSUBSCRIBE", *[f"p{number}*" for number in range(1025)])
    for _ in range(1024):
        assert listener.read()[0] == b"psubscribe"
    assert "1024" in str(listener.read())


def test_who_does_not_read_is_disconnected(world):
    """Others are served meanwhile, and hear everything."""
    asker = world.connect()
    asker.expect("OK", "CONFIG", "SET", "client-output-buffer-limit", "pubsub 8mb 4mb 60")
    assert asker.command("CONFIG", "GET", "client-output-buffer-limit")[1] == b"normal 0 0 0 slave 0 0 0 pubsub 8388608 4194304 60"
    assert "no limits" in str(asker.command("CONFIG", "SET", "client-output-buffer-limit", "normal 1 1 1"))
    stuck, reader, writer = world.connect(), world.connect(), world.connect()
    stuck.command("SUBSCRIBE", "c")
    reader.command("SUBSCRIBE", "c")
    heard = []

    def listen():
        while len(heard) < 400:
            heard.append(reader.read()[2])

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    receivers = []
    for number in range(400):
        receivers.append(writer.command("PUBLISH", "c", b"%06d" % number + b"x" * 100000))
        # The one that reads is far from the limit, however slow this machine is.
        deadline = time.monotonic() + 60
        while len(heard) < number - 20 and time.monotonic() < deadline:
            time.sleep(0.001)
    thread.join(60)
    assert [int(message[:6]) for message in heard] == list(range(400))
    assert receivers[0] == 2 and receivers[-1] == 1, receivers
    try:
        while True:
            stuck.read()
    except Closed:
        pass
    info = asker.command("INFO", "stats").decode()
    assert "client_output_buffer_limit_disconnections:1\r\n" in info, info
    deadline = time.monotonic() + 20
    while "would have missed messages" not in world.server.printed() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "would have missed messages" in world.server.printed()
    asker.expect("OK", "CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 60")


def test_client_list_tells(world):
    listener, asker = world.connect(), world.connect()
    for words in (("SUBSCRIBE", "a"), ("SUBSCRIBE", "b"), ("PSUBSCRIBE", "c"), ("SSUBSCRIBE", "d")):
        listener.command(*words)
    line, = asker.command("CLIENT", "LIST", "TYPE", "pubsub").decode().splitlines()
    assert " flags=P " in line and " sub=2 psub=1 ssub=1 " in line, line
    assert len(asker.command("CLIENT", "LIST", "TYPE", "normal").decode().splitlines()) == 1
    stats = asker.command("INFO", "stats").decode()
    assert "pubsub_channels:3\r\npubsub_patterns:1\r\n" in stats, stats
    asker.expect(1, "CLIENT", "KILL", "TYPE", "pubsub")
    try:
        listener.read()
        raise AssertionError("still connected")
    except Closed:
        pass


def test_redis_py(world):
    for protocol_class in (redis.Redis,):
        client = protocol_class(HOST, world.server.port, socket_timeout=30)
        world.opened.append(client)
        listener = client.pubsub()
        listener.subscribe("news", **{"other": None})
        listener.psubscribe("n*")
        heard = []
        for _ in range(3):
            heard.append(listener.get_message(timeout=10)["type"])
        assert sorted(heard) == ["psubscribe", "subscribe", "subscribe"]
        assert client.publish("news", "hello") == 2
        messages = sorted((listener.get_message(timeout=10) for _ in range(2)), key=lambda message: message["type"])
        assert [(message["type"], message["channel"], message["data"]) for message in messages] == \
            [("message", b"news", b"hello"), ("pmessage", b"news", b"hello")]
        assert client.pubsub_channels() and client.pubsub_numpat() == 1
        assert dict(client.pubsub_numsub("news")) == {b"news": 1}
        listener.unsubscribe()
        listener.punsubscribe()
        listener.close()
