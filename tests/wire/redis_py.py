"""redis-py, the client library most used with Redis."""

import threading
import time

from processes import HOST, wait_until

try:
    import redis
except ImportError as error:
    raise ImportError("redis-py is missing: apt-get install python3-redis, and run this with /usr/bin/python3") \
        from error


def client_of(world, **options):
    client = redis.Redis(HOST, world.server.port, socket_timeout=30, **options)
    world.opened.append(client)
    return client


def raises(kind, text, function, *arguments, **named):
    try:
        result = function(*arguments, **named)
    except kind as error:
        assert text in str(error), f"{error!r} does not say {text!r}"
        return
    raise AssertionError(f"no {kind.__name__}, but {result!r}")


def test_strings(world):
    client = client_of(world)
    assert client.set("a", b"\x00\xff\r\n") is True
    assert client.get("a") == b"\x00\xff\r\n"
    assert client.set("a", "1", nx=True) is None
    assert client.set("b", "1", xx=True) is None
    assert client.set("a", "2", get=True) == b"\x00\xff\r\n"
    assert client.mset({"m1": "1", "m2": "2"}) is True
    assert client.mget("m1", "nothing", "m2") == [b"1", None, b"2"]
    assert client.msetnx({"m1": "9", "m3": "9"}) is False and client.get("m3") is None
    assert client.append("a", "34") == 3 and client.strlen("a") == 3
    assert client.getrange("a", 1, -1) == b"34" and client.setrange("a", 5, "x") == 6
    assert client.get("a") == b"234\x00\x00x"
    assert client.getdel("a") == b"234\x00\x00x" and client.exists("a") == 0
    assert client.delete("m1", "m2", "nothing") == 2


def test_numbers(world):
    client = client_of(world)
    assert client.incr("n") == 1 and client.incrby("n", 41) == 42 and client.decr("n", 2) == 40
    assert abs(client.incrbyfloat("f", 1.5) - 1.5) < 1e-12
    client.set("n", 2**63 - 1)
    raises(redis.ResponseError, "increment or decrement would overflow", client.incr, "n")
    assert client.get("n") == b"9223372036854775807"
    client.set("t", "text")
    raises(redis.ResponseError, "value is not an integer or out of range", client.incr, "t")


def test_bits(world):
    client = client_of(world)
    assert client.setbit("bits", 7, 1) == 0 and client.getbit("bits", 7) == 1
    assert client.setbit("bits", 100, 1) == 0 and client.bitcount("bits") == 2
    assert client.strlen("bits") == 13


def test_hashes(world):
    client = client_of(world)
    assert client.hset("h", mapping={"a": "1", "b": "2", "c": ""}) == 3
    assert client.hgetall("h") == {b"a": b"1", b"b": b"2", b"c": b""}
    assert client.hmget("h", "a", "x") == [b"1", None] and client.hlen("h") == 3
    assert client.hincrby("h", "a", 9) == 10 and client.hdel("h", "a", "x") == 1
    assert client.hexists("h", "b") and not client.hexists("h", "a")
    assert sorted(client.hkeys("h")) == [b"b", b"c"] and client.type("h") == b"hash"
    assert dict(client.hscan_iter("h")) == {b"b": b"2", b"c": b""}
    assert client.hdel("h", "b", "c") == 2 and client.exists("h") == 0
    client.set("s", "x")
    raises(redis.ResponseError, "WRONGTYPE", client.hget, "s", "f")


def test_large_hash(world):
    client = client_of(world)
    fields = {f"f{number}".encode(): b"%d" % number for number in range(20000)}
    assert client.hset("h", mapping=fields) == 20000
    assert client.hgetall("h") == fields
    assert dict(client.hscan_iter("h", count=500)) == fields


def test_expiry(world):
    client = client_of(world)
    client.set("a", "1", px=1500)
    client.set("b", "1", ex=100)
    assert 0 < client.pttl("a") <= 1500 and 99 <= client.ttl("b") <= 100
    assert client.ttl("nothing") == -2 and client.persist("b") and client.ttl("b") == -1
    client.hset("h", "f", "v")
    assert client.pexpire("h", 1500) and client.expiretime("h") > time.time() - 1
    wait_until(lambda: client.get("a") is None and client.exists("a", "h") == 0, "they do not expire")
    wait_until(lambda: client.dbsize() == 1, "expired keys are still counted")
    client.set("c", "1", ex=100)
    client.set("c", "2", keepttl=True)
    assert client.ttl("c") > 90
    client.set("c", "3")
    assert client.ttl("c") == -1
    assert client.expire("c", -1) and client.get("c") is None


def test_keys(world):
    client = client_of(world)
    client.mset({f"user:{number}": number for number in range(300)})
    assert sorted(client.keys("user:1?")) == sorted(b"user:%d" % number for number in range(10, 20))
    assert client.rename("user:1", "renamed") and client.get("renamed") == b"1"
    raises(redis.ResponseError, "no such key", client.rename, "nothing", "x")
    assert client.copy("renamed", "copied") and client.get("copied") == b"1"
    assert client.randomkey() is not None
    assert client.flushdb() and client.dbsize() == 0 and client.randomkey() is None


def test_scan_iter(world):
    """Every key that is there all the time is seen at least once, while others come and go."""
    client, other = client_of(world), client_of(world)
    names = {b"stay:%d" % number for number in range(5000)}
    client.mset({name: b"1" for name in names})
    seen = set()
    for number, name in enumerate(client.scan_iter(count=100)):
        seen.add(name)
        if number % 10 == 0:
            other.set(f"come:{number}", "1")
            other.delete(f"come:{number - 50}")
    assert names <= seen, f"{len(names - seen)} keys were not seen"
    assert {name for name in client.scan_iter(match="stay:1*") if not name.startswith(b"stay:1")} == set()


def test_scan_types(world):
    client = client_of(world)
    client.set("s", "1")
    client.hset("h", "f", "v")
    assert list(client.scan_iter(_type="hash")) == [b"h"]


def test_pipeline(world):
    client = client_of(world)
    with client.pipeline(transaction=False) as pipeline:
        for number in range(5000):
            pipeline.set(f"k{number}", number)
            pipeline.get(f"k{number}")
        replies = pipeline.execute()
    assert replies[1::2] == [b"%d" % number for number in range(5000)]


def test_transaction(world):
    client = client_of(world)
    with client.pipeline() as pipeline:
        replies = pipeline.set("a", 1).incr("a").hset("h", "f", "v").get("a").execute()
    assert replies == [True, 2, 1, b"2"]
    with client.pipeline() as pipeline:
        pipeline.set("s", "x").hget("s", "f").set("t", "y")
        replies = pipeline.execute(raise_on_error=False)
    assert replies[0] is True and "WRONGTYPE" in str(replies[1]) and replies[2] is True


def test_transaction_over_two_actors(world):
    client = client_of(world)
    with client.pipeline() as pipeline:
        assert pipeline.set("{a}x", 1).set("{b}x", 1).execute() == [True, True]
    assert client.mget("{a}x", "{b}x") == [b"1", b"1"]
    assert set(client.scan_iter()) == {b"{a}x", b"{b}x"}


def test_watch(world):
    client, other = client_of(world), client_of(world)
    client.set("a", 1)
    with client.pipeline() as pipeline:
        pipeline.watch("a")
        other.set("a", 2)
        pipeline.multi()
        pipeline.set("a", 3)
        raises(redis.WatchError, "", pipeline.execute)
    assert client.get("a") == b"2"
    with client.pipeline() as pipeline:
        pipeline.watch("a", "missing")
        pipeline.multi()
        pipeline.set("a", 3)
        assert pipeline.execute() == [True]
    with client.pipeline() as pipeline:
        pipeline.watch("missing")
        other.set("missing", "now there")
        pipeline.multi()
        pipeline.set("a", 4)
        raises(redis.WatchError, "", pipeline.execute)


def test_optimistic_increments(world):
    """Many clients increment by WATCH, GET, MULTI: none is lost."""
    def increment():
        with redis.Redis(HOST, world.server.port) as client:
            for _ in range(40):
                client.transaction(lambda pipeline: increment_once(pipeline), "n")

    def increment_once(pipeline):
        value = int(pipeline.get("n") or 0)
        pipeline.multi()
        pipeline.set("n", value + 1)

    threads = [threading.Thread(target=increment) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert client_of(world).get("n") == b"200"


def test_server_commands(world):
    client = client_of(world)
    assert client.ping() and client.echo("x") == b"x"
    assert abs(client.time()[0] - time.time()) < 5
    assert client.info()["tcp_port"] == world.server.port
    assert client.config_get("appendonly") == {"appendonly": "yes"}
    client.client_setname("tester")
    assert client.client_getname() == "tester"
    assert any(one["name"] == "tester" for one in client.client_list())
    assert client.client_id() > 0
    assert "get" in {name.lower() for name in client.command()}


def test_decoded_responses(world):
    client = client_of(world, decode_responses=True)
    client.set("ключ", "значение")
    assert client.get("ключ") == "значение" and client.keys() == ["ключ"]


def test_client_kill(world):
    client, other = client_of(world), world.connect()
    other_id = other.command("CLIENT", "ID")
    assert client.client_kill_filter(_id=other_id) == 1
    assert other.read_all(5) == (b"", True)


def test_many_small_clients(world):
    """A client per request, as scripts do: descriptors are given back."""
    before = world.server.descriptor_count()
    for number in range(300):
        with redis.Redis(HOST, world.server.port) as client:
            client.incr("n")
    assert client_of(world).get("n") == b"300"
    wait_until(lambda: world.server.descriptor_count() <= before + 3, "descriptors are not given back")
