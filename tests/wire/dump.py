"""DUMP and RESTORE: values go from Perdure to a real redis-server and back, and no payload does any harm."""

import random
import struct

from resp_connection import RespError

POLYNOMIAL = 0x95AC9329AC4BC9B5  # Jones, reflected


def crc64(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    return crc


def sealed(body, version=10):
    body += struct.pack("<H", version)
    return body + struct.pack("<Q", crc64(body))


def length(number):
    return bytes([number]) if number < 64 else bytes([0x40 | number >> 8, number & 255])


def ziplist(elements):
    """As Redis before 7 packs a small hash."""
    body, previous = b"", 0
    for element in elements:
        entry = bytes([previous]) + element
        body += entry
        previous = len(entry)
    total = 10 + len(body) + 1
    packed = struct.pack("<IIH", total, total - 1 - previous, len(elements)) + body + b"\xff"
    return b"\x0d" + length(len(packed)) + packed


NUMBERS = (0, 1, 12, 13, 127, 128, -1, -128, -129, 255, 4095, -4096, 4096, 32767, -32768, 32768, 65535, 8388607, -8388608, 8388608,
           2**31 - 1, -2**31, 2**31, 2**63 - 1, -2**63)


def values(chance):
    """Strings of every size and kind."""
    kind = chance.randrange(5)
    if kind == 0:
        return str(chance.choice(NUMBERS)).encode()
    if kind == 1:
        return b"abc" * chance.randint(10, 2000)  # Redis compresses it
    if kind == 2:
        return bytes(chance.randrange(256) for _ in range(chance.choice((0, 1, 12, 62, 63, 64, 65, 126, 127, 128, 300))))
    if kind == 3:
        return b"x" * chance.choice((4095, 4096, 16378, 16379, 16380, 16381, 16382, 16383, 16384, 20000))
    return b"%d " % chance.randrange(10**12)


def test_strings_and_hashes_go_both_ways(world):
    mine, real = world.connect(), world.connect(world.real_redis())
    mine.expect("OK", "PD.DURABILITY", "none")
    # So that large values are packed, too.
    real.expect("OK", "CONFIG", "SET", "hash-max-listpack-value", "1000000")
    for number in range(300):
        chance = random.Random(f"dump/{number}")
        for source, target in ((mine, real), (real, mine)):
            if chance.random() < 0.5:
                source.command("SET", "v", values(chance))
            else:
                source.command("HSET", "v", *[values(chance) for _ in range(2 * chance.choice((1, 2, 10, 200)))])
            payload = source.command("DUMP", "v")
            for server in (mine, real):
                server.expect("OK", "RESTORE", "copy", "0", payload, "REPLACE")
            kind = source.command("TYPE", "v")
            what = ("GET",) if kind == "string" else ("HGETALL",)
            replies = [server.command(*what, key) for server, key in ((source, "v"), (mine, "copy"), (real, "copy"))]
            if kind == "hash":
                replies = [dict(zip(reply[::2], reply[1::2])) for reply in replies]
            assert replies[0] == replies[1] == replies[2], (number, kind, replies[0])
            source.command("DEL", "v")
    real.expect("OK", "CONFIG", "SET", "hash-max-listpack-value", "64")


def test_numbers_in_every_form(world):
    mine, real = world.connect(), world.connect(world.real_redis())
    for number in NUMBERS:
        real.command("SET", "s", str(number))
        real.command("DEL", "h")
        real.command("HSET", "h", str(number), str(-number))
        for key, ask in (("s", ("GET", "s")), ("h", ("HGETALL", "h"))):
            mine.expect("OK", "RESTORE", key, "0", real.command("DUMP", key), "REPLACE")
            assert mine.command(*ask) == real.command(*ask), (number, key)


def test_packed_as_before_redis_7(world):
    connection = world.connect()
    elements = [b"\x01f", b"\x03abc", b"\xfe\x85", b"\xc0\x39\x30", b"\xf0\x01\x02\x83", b"\xd0\x01\x02\x03\x04",
                b"\xe0\x01\x02\x03\x04\x05\x06\x07\x88", b"\xf1", b"\xfd", b"\x40\x46" + b"y" * 70]
    texts = [b"f", b"abc", b"-123", b"12345", b"-8191487", b"67305985", b"%d" % int.from_bytes(b"\x01\x02\x03\x04\x05\x06\x07\x88", "little", signed=True), b"0", b"12", b"y" * 70]
    connection.expect("OK", "RESTORE", "h", "0", sealed(ziplist(elements), 9))
    assert connection.command("HLEN", "h") == 5
    got = connection.command("HGETALL", "h")
    assert dict(zip(got[::2], got[1::2])) == dict(zip(texts[::2], texts[1::2])), got


def test_options_and_errors(world):
    mine, real = world.connect(), world.connect(world.real_redis())
    good = mine.command("DUMP", "nothing")
    assert good is None
    mine.command("SET", "v", "1")
    good = mine.command("DUMP", "v")
    listed = sealed(b"\x01\x01\x01a")
    for words in (("k", "0", good), ("k", "0", good), ("k", "0", good, "REPLACE"), ("k", "x", good, "REPLACE"), ("k", "-1", good, "REPLACE"),
                  ("k", "0", good, "nonsense"), ("k", "0", good, "IDLETIME", "-1"), ("k", "0", good, "FREQ", "256"),
                  ("k", "0", good, "IDLETIME"), ("k", "0", good[:-1], "REPLACE"), ("k", "0", b"", "REPLACE"), ("k", "0", b"x" * 12, "REPLACE"),
                  ("k", "0", sealed(b"\x00\x011", 99), "REPLACE"), ("k", "0", good, "REPLACE", "IDLETIME", "5", "FREQ", "7"),
                  ("k", "1", good, "REPLACE", "ABSTTL"), ("gone", "1", good, "ABSTTL"), ("k", "100000", good, "REPLACE")):
        replies = [server.command("RESTORE", *words) for server in (mine, real)]
        assert replies[0] == replies[1], f"{words}: {replies[0]!r} instead of {replies[1]!r}"
        there = [server.command("EXISTS", words[0]) for server in (mine, real)]
        assert there[0] == there[1], words
    assert 90000 < mine.command("PTTL", "k") <= 100000
    assert "not built yet" in str(mine.command("RESTORE", "l", "0", listed))
    assert "Bad data" in str(mine.command("RESTORE", "l", "0", sealed(b"\x00\x05abc")))
    # A field that comes twice counts once.
    mine.expect("OK", "RESTORE", "h", "0", sealed(b"\x04\x02\x01f\x01a\x01f\x01b"))
    mine.expect(1, "HLEN", "h")
    mine.expect(b"b", "HGET", "h", "f")
    # Within a transaction, and over a hash whose fields must go.
    for words in (("MULTI",), ("HSET", "m", "old", "1"), ("RESTORE", "m", "0", sealed(b"\x04\x01\x01f\x01a"), "REPLACE"), ("HGETALL", "m")):
        mine.command(*words)
    assert mine.command("EXEC") == [1, "OK", [b"f", b"a"]]


def test_damaged_payloads(world):
    """With a checksum that is right, as somebody hostile would send them."""
    mine, real = world.connect(), world.connect(world.real_redis())
    mine.expect("OK", "PD.DURABILITY", "none")
    bodies = []
    for words in (("SET", "v", "12345"), ("SET", "v", "abc" * 200), ("HSET", "v", "f", "1", "g", "x" * 50, "h", "70000")):
        real.command("DEL", "v")
        real.command(*words)
        bodies.append(real.command("DUMP", "v")[:-10])
        mine.command("DEL", "v")
        mine.command(*words)
        bodies.append(mine.command("DUMP", "v")[:-10])
    bodies.append(ziplist([b"\x01f", b"\x03abc", b"\xc0\x39\x30", b"\xf1"]))
    chance = random.Random(11)
    for number in range(6000):
        body = bytearray(chance.choice(bodies))
        for _ in range(chance.choice((1, 1, 2, 5))):
            what = chance.randrange(3)
            at = chance.randrange(len(body))
            if what == 0:
                body[at] = chance.choice((0, 1, 0x3f, 0x40, 0x80, 0x81, 0xc0, 0xc3, 0xf0, 0xf4, 0xfe, 0xff, chance.randrange(256)))
            elif what == 1 and len(body) > 2:
                del body[at:at + chance.randint(1, 4)]
            else:
                body[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 4)))
            if not body:
                body = bytearray(b"\x00")
        reply = mine.command("RESTORE", "v", "0", sealed(bytes(body)), "REPLACE")
        assert reply == "OK" or isinstance(reply, RespError), reply
        if reply == "OK" and mine.command("TYPE", "v") == "hash":
            assert mine.command("HLEN", "v") * 2 == len(mine.command("HGETALL", "v")), (number, bytes(body))
    mine.expect("PONG", "PING")
