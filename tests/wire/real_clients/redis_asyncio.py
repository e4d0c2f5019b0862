#!/usr/bin/python3
"""redis-py's asyncio client. redis_asyncio.py PORT: prints what tests/wire/compat.py reads."""

import asyncio
import sys
import time

import redis
from redis import asyncio as aioredis

PORT = int(sys.argv[1])


def check(condition, text="not as it should be"):
    if not condition:
        raise AssertionError(text)


async def connect(r):
    check(await r.ping() and await r.client_id() > 0)


async def strings(r):
    check(await r.set("a", b"\x00\xff\r\n") and await r.get("a") == b"\x00\xff\r\n")
    check(await r.mset({"b": "1", "c": "2"}) and await r.mget("b", "none", "c") == [b"1", None, b"2"])


async def numbers(r):
    check(await asyncio.gather(*[r.incr("n") for _ in range(100)]) and await r.get("n") == b"100")


async def expiry(r):
    await r.set("e", "1", px=30)
    deadline = time.monotonic() + 10
    while await r.exists("e") and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    check(not await r.exists("e"))


async def bits(r):
    check(await r.setbit("bits", 7, 1) == 0 and await r.bitcount("bits") == 1)


async def hashes(r):
    check(await r.hset("h", mapping={"f": "1", "g": "2"}) == 2 and await r.hgetall("h") == {b"f": b"1", b"g": b"2"})


async def scan(r):
    await r.mset({f"scan:{number}": number for number in range(1000)})
    check(len({key async for key in r.scan_iter("scan:*", count=50)}) == 1000)


async def pipeline(r):
    async with r.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.set(f"p{number}", number).get(f"p{number}")
        check((await pipe.execute())[1::2] == [b"%d" % number for number in range(1000)])


async def transaction(r):
    async with r.pipeline(transaction=True) as pipe:
        check(await pipe.set("t", 1).incr("t").execute() == [True, 2])


async def watch(r):
    async with r.pipeline() as pipe:
        await pipe.watch("w")
        await r.set("w", "changed")
        pipe.multi()
        pipe.set("w", "mine")
        try:
            await pipe.execute()
            check(False, "a conflict was not seen")
        except redis.WatchError:
            pass


async def publish(r):
    listener = r.pubsub()
    await listener.subscribe("news")
    await listener.psubscribe("n?ws")
    got = []
    while len(got) < 2:
        message = await listener.get_message(timeout=10)
        check(message is not None, "no confirmation came")
        got.append(message["type"])
    check(await r.publish("news", "hello") == 2)
    messages = [await listener.get_message(timeout=10) for _ in range(2)]
    check(sorted(message["type"] for message in messages) == ["message", "pmessage"])
    await listener.close()


async def errors(r):
    await r.set("s", "text")
    try:
        await r.hget("s", "f")
        check(False, "no error")
    except redis.ResponseError:
        pass
    check(await r.get("s") == b"text")


async def large(r):
    value = bytes(range(256)) * 4096
    check(await r.set("large", value) and await r.get("large") == value)


async def server(r):
    check((await r.info())["tcp_port"] == PORT and await r.dbsize() > 0 and await r.config_get("save") == {"save": ""})


async def own(r):
    check(await r.execute_command("PD.BOOKMARK"))


async def lists(r):
    check(await r.rpush("l", "a", "b") == 2)


async def scripts(r):
    check(await r.eval("return 1", 0) == 1)


async def main():
    print(f"version\t{redis.__version__}")
    r = aioredis.Redis(port=PORT, socket_timeout=30)
    for feature in (connect, strings, numbers, expiry, bits, hashes, scan, pipeline, transaction, watch, publish, errors, large, server,
                    own, lists, scripts):
        try:
            await feature(r)
            print(f"{feature.__name__}\tok")
        except Exception as error:  # whatever it is, it is this feature's
            print(f"{feature.__name__}\tfail\t{type(error).__name__}: {error}".replace("\n", " "))
    await r.close()


asyncio.run(main())
