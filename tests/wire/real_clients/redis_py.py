#!/usr/bin/python3
"""redis-py, with its defaults. redis_py.py PORT [PROTOCOL]: prints what tests/wire/compat.py reads."""

import sys
import time

import redis

PORT = int(sys.argv[1])
OPTIONS = {"protocol": 3} if sys.argv[2:] == ["3"] else {}


def check(condition, text="not as it should be"):
    if not condition:
        raise AssertionError(text)


def connect(r):
    check(r.ping() and r.echo("x") == b"x")
    named = redis.Redis(port=PORT, client_name="compat", **OPTIONS)
    check(named.client_getname() in ("compat", b"compat") and named.client_id() > 0)


def strings(r):
    check(r.set("a", b"\x00\xff\r\n") and r.get("a") == b"\x00\xff\r\n")
    check(r.set("a", "1", nx=True) is None and r.set("a", "2", xx=True, get=True) == b"\x00\xff\r\n")
    check(r.mset({"b": "1", "c": "2"}) and r.mget("b", "none", "c") == [b"1", None, b"2"])
    check(r.append("b", "23") == 3 and r.getrange("b", 1, 2) == b"23" and r.getdel("b") == b"123" and r.delete("a", "c") == 2)


def numbers(r):
    check(r.incr("n") == 1 and r.incrby("n", 41) == 42 and r.decr("n", 2) == 40 and abs(r.incrbyfloat("n", 0.5) - 40.5) < 1e-9)


def expiry(r):
    r.set("e", "1", ex=100)
    check(90 < r.ttl("e") <= 100 and r.persist("e") and r.ttl("e") == -1 and r.pexpire("e", 30))
    deadline = time.monotonic() + 10
    while r.exists("e") and time.monotonic() < deadline:
        time.sleep(0.01)
    check(not r.exists("e") and r.getex("none", ex=10) is None)


def bits(r):
    check(r.setbit("bits", 7, 1) == 0 and r.getbit("bits", 7) == 1 and r.bitcount("bits") == 1 and r.bitpos("bits", 1) == 7)
    check(r.bitfield("bits").set("u8", 8, 200).incrby("u8", 8, 50).execute() == [0, 250])


def hashes(r):
    check(r.hset("h", mapping={"f": "1", "g": "2"}) == 2 and r.hgetall("h") == {b"f": b"1", b"g": b"2"})
    check(r.hincrby("h", "f", 5) == 6 and r.hmget("h", "f", "none") == [b"6", None] and r.hdel("h", "g") == 1 and r.hlen("h") == 1)


def scan(r):
    with r.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.set(f"scan:{number}", number).hset("scanned", f"f{number}", number)
        pipe.execute()
    check({key for key in r.scan_iter("scan:*", count=50)} == {b"scan:%d" % number for number in range(1000)})
    check(len(dict(r.hscan_iter("scanned", count=50))) == 1000)


def pipeline(r):
    with r.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.set(f"p{number}", number).get(f"p{number}")
        check(pipe.execute()[1::2] == [b"%d" % number for number in range(1000)])


def transaction(r):
    with r.pipeline() as pipe:
        check(pipe.set("t", 1).incr("t").hset("th", "f", "v").execute() == [True, 2, 1])


def watch(r):
    with r.pipeline() as pipe:
        pipe.watch("w")
        r.set("w", "changed")
        pipe.multi()
        pipe.set("w", "mine")
        try:
            pipe.execute()
            check(False, "a conflict was not seen")
        except redis.WatchError:
            pass
    check(r.get("w") == b"changed")


def next_message(listener):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        message = listener.get_message(timeout=1, ignore_subscribe_messages=True)
        if message:
            return message
    raise AssertionError("no message came")


def publish(r):
    with r.pubsub() as listener:
        listener.subscribe("news")
        listener.psubscribe("n?ws")
        while len(listener.channels) + len(listener.patterns) < 2 or r.pubsub_numpat() < 1:
            listener.get_message(timeout=1)
        check(r.publish("news", "hello") == 2)
        got = sorted((message["type"], message["data"]) for message in (next_message(listener), next_message(listener)))
        check(got == [("message", b"hello"), ("pmessage", b"hello")], repr(got))
        check(dict(r.pubsub_numsub("news")) == {b"news": 1})


def events(r):
    r.config_set("notify-keyspace-events", "KEA")
    with r.pubsub() as listener:
        listener.psubscribe("__keyevent@0__:*")
        while r.pubsub_numpat() < 1:
            listener.get_message(timeout=1)
        r.set("watched", "1")
        message = next_message(listener)
        check((message["channel"], message["data"]) == (b"__keyevent@0__:set", b"watched"), repr(message))
    r.config_set("notify-keyspace-events", "")


def errors(r):
    r.set("s", "text")
    for call in (lambda: r.hget("s", "f"), lambda: r.incr("s"), lambda: r.execute_command("NONSENSE")):
        try:
            call()
            check(False, "no error")
        except redis.ResponseError:
            pass
    check(r.get("s") == b"text")


def large(r):
    value = bytes(range(256)) * 4096
    check(r.set("large", value) and r.get("large") == value)


def server(r):
    info = r.info()
    check(info["redis_version"] and info["tcp_port"] == PORT and r.dbsize() == r.info("keyspace")["db0"]["keys"])
    check(r.config_get("databases") == {"databases": "1"} and len(r.client_list()) >= 1 and r.memory_usage("large") > 1 << 20)
    check(r.slowlog_get() is not None and r.time()[0] > 0 and r.command_count() > 100)


def own(r):
    check(r.execute_command("PD.USE", "alice") in ("OK", b"OK"))
    r.set("k", "hers")
    check(r.execute_command("PD.RECEIPT") and r.execute_command("PD.USE") in ("OK", b"OK") and r.get("{alice}k") == b"hers")


def lists(r):
    check(r.rpush("l", "a", "b") == 2 and r.lrange("l", 0, -1) == [b"a", b"b"])


def scripts(r):
    check(r.eval("return 1", 0) == 1)


def main():
    print(f"version\t{redis.__version__}")
    r = redis.Redis(port=PORT, socket_timeout=30, single_connection_client=True, **OPTIONS)
    for feature in (connect, strings, numbers, expiry, bits, hashes, scan, pipeline, transaction, watch, publish, events, errors, large,
                    server, own, lists, scripts):
        try:
            feature(r)
            print(f"{feature.__name__}\tok")
        except Exception as error:  # whatever it is, it is this feature's
            print(f"{feature.__name__}\tfail\t{type(error).__name__}: {error}".replace("\n", " "))


main()
