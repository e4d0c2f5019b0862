#!/usr/bin/python3
"""The same random commands to a real redis-server and to Perdure: the replies must be the same bytes.

    redis_oracle.py --redis PORT --perdure PORT [--seed S] [--count N] [--skip COMMAND,…] [--verbose]

Few keys, edge arguments, malformed calls, MULTI … EXEC, RESP2 and RESP3 by turns. A round begins with FLUSHALL and ends
with a comparison of all that is stored, so a difference is told with the (at most ROUND) commands that led to it. What
differs by design is compared by its meaning: the order of KEYS, SCAN, HKEYS, HVALS, HGETALL and HSCAN, what RANDOMKEY and
HRANDFIELD choose, times to live within a tolerance (the servers read their clocks one after the other), and of OBJECT
only whether there is an answer. Both databases are emptied! Exit status 0: no difference. The redis-server should run with
`--databases 1`. Also usable as a module: compare()."""

import argparse
import random
import socket
import sys
import time

ROUND = 200  # commands
TOLERANCE_MS = 2500
SHOWN_MAX = 10  # differences reported in full
TIME_MAX_MS = (2**63 - 1) // 1000  # Perdure's last millisecond; Redis knows later ones


# ---- the wire ----

class Reply:
    """One reply: its kind, its value, and the bytes as they came."""

    def __init__(self, kind, value, raw):
        self.kind, self.value, self.raw = kind, value, raw

    def __repr__(self):
        text = repr(self.raw)[1:]
        return text if len(text) <= 400 else text[:400] + f"… ({len(self.raw)} bytes)"


class Connection:
    def __init__(self, name, port):
        self.name = name
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, words):
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.socket.sendall(b"".join(parts))

    def _read_exactly(self, size):
        data = self.file.read(size)
        if len(data) != size:
            raise ConnectionError(f"{self.name} closed the connection")
        return data

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError(f"{self.name} closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind in b"$=":
            if rest == b"-1":
                return Reply(b"$", None, line)
            body = self._read_exactly(int(rest) + 2)
            return Reply(kind, body[:-2], line + body)
        if kind in b"*~>%":
            if rest == b"-1":
                return Reply(kind, None, line)
            count = int(rest) * (2 if kind == b"%" else 1)
            items = [self.read() for _ in range(count)]
            return Reply(kind, items, line + b"".join(item.raw for item in items))
        if kind not in b"+-:,#_(":
            raise ConnectionError(f"{self.name} sent no RESP: {line!r}")
        return Reply(kind, rest, line)

    def call(self, *words):
        self.send([word if isinstance(word, bytes) else str(word).encode() for word in words])
        return self.read()


# ---- arguments ----

STRING_KEYS = (b"a", b"b", b"c", b"d", b"", b"k e y", b"\x00\xff\r\n", b"{x}a", b"{y}a", b"{", b"{x", b"{x}", b"{}z")
HASH_KEYS = (b"h", b"h", b"i", b"{x}h", b"{z}i")
KEYS = STRING_KEYS + HASH_KEYS
FIELDS = (b"f", b"g", b"field-2", b"", b"1", b"\x00\r\n\xfe")
INTEGERS = (b"0", b"1", b"-1", b"2", b"3", b"7", b"10", b"-10", b"100", b"-100", b"9223372036854775807",
            b"-9223372036854775808", b"-9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"", b" 1",
            b"1 ", b"01", b"+1", b"-0", b"1.5", b"1e3", b"abc", b"0x10", b"1\x00", b"99999999999999999999999")
SMALL = (b"0", b"1", b"2", b"3", b"5", b"8", b"20", b"-1", b"-2", b"-3", b"-8", b"-20", b"1000", b"-1000")
FLOATS = (b"0", b"1", b"-1", b"0.1", b"1.5", b"-2.25", b"3.0", b"1e3", b"1e-3", b"5e10", b"1e-17", b"1e18", b"1e30",
          b"123456789.123456789", b"inf", b"-inf", b"+inf", b"nan", b"infinity", b"1e4000", b"-1e4932", b"1e5000", b"1e-5000",
          b"0x1p3", b"", b" 1", b"1 ", b"1x", b".5", b"5.", b"+5", b"-0", b"-0.0", b"1e", b"1\x00")
VALUES = (b"", b"x", b"foobar", b"10", b"-5", b"9223372036854775807", b"3.14", b"1e2", b"hello world", b"\xff\xf0\x00",
          b"\xff" * 9, b"\x00" * 9, b"a\r\nb", b"0123456789" * 5, b"v" * 70, b"0" * 17, b" 7", b"007")
PATTERNS = (b"*", b"**", b"?", b"a", b"[a-c]", b"[^a-c]", b"[c-a]", b"{x}*", b"{*", b"*a", b"h*", b"\\*", b"[", b"[a", b"[^",
            b"[]", b"k\\ e*", b"*\x00*", b"", b"f*", b"[a-", b"*[a-z]*", b"?*?", b"{x}h", b"\\", b"[\\]]", b"{x}?")
BIT_TYPES = (b"u8", b"i8", b"u1", b"i1", b"i5", b"u13", b"i64", b"u63", b"u64", b"i65", b"u0", b"x8", b"", b"i", b"u8x")
# Nothing that would make a server write half a gigabyte.
OFFSETS = (b"0", b"1", b"3", b"7", b"8", b"13", b"100", b"-1", b"536870912", b"9223372036854775807", b"x", b"")
BIT_OFFSETS = (b"0", b"1", b"7", b"8", b"13", b"64", b"100", b"-1", b"4294967296", b"9223372036854775807", b"x", b"#0")
FIELD_OFFSETS = BIT_OFFSETS + (b"#1", b"#3", b"#-1", b"#", b"#x")
OPTIONS = (b"NX", b"XX", b"GT", b"LT", b"GET", b"KEEPTTL", b"PERSIST", b"BYTE", b"BIT", b"MATCH", b"COUNT", b"TYPE", b"REPLACE",
           b"DB", b"EX", b"PXAT", b"WITHVALUES", b"IDX", b"LEN", b"nonsense", b"")


class Generator:
    """Random commands. `relaxed` tells what this round cannot compare any more."""

    def __init__(self, chance, skip):
        self.chance = chance
        self.skip = {name.lower() for name in skip}
        self.makers = {name[5:]: getattr(self, name) for name in dir(self) if name.startswith("make_")}
        for name in self.skip:
            self.makers.pop(name, None)
        self.names = sorted(self.makers)
        self.weights = [3 if name in ("set", "hset", "get", "del", "expire", "mset") else 1 for name in self.names]

    def one(self, among):
        return self.chance.choice(among)

    def key(self):
        return self.one(KEYS if self.chance.random() < 0.1 else STRING_KEYS)

    def hash_key(self):
        return self.one(KEYS if self.chance.random() < 0.05 else HASH_KEYS)

    def any_key(self):
        return self.one(KEYS)

    def keys(self):
        return [self.key() for _ in range(self.chance.randint(1, 4))]

    def field(self):
        return self.one(FIELDS)

    def value(self):
        if self.chance.random() < 0.3:
            return self.one(INTEGERS)
        if self.chance.random() < 0.15:
            return self.one(FLOATS)
        if self.chance.random() < 0.02:
            return bytes(self.chance.randrange(256) for _ in range(self.chance.randint(100, 20000)))
        return self.one(VALUES)

    def integer(self):
        if self.chance.random() < 0.5:
            return b"%d" % self.chance.randint(-100, 100)
        return self.one(INTEGERS)

    def pattern(self):
        if self.chance.random() < 0.5:
            return self.one(PATTERNS)
        return bytes(self.one(b"abchf{}x**??[]]^-\\") for _ in range(self.chance.randint(1, 8)))

    def some(self, probability, *words):
        return list(words) if self.chance.random() < probability else []

    def upto(self, most, among):
        return [self.one(among) for _ in range(self.chance.randint(0, most))]

    # ---- times ----
    # Relative times are at least 100 s (a round takes less) and so spread that GT and LT do not depend on who was
    # a millisecond faster.

    def relative(self, in_ms):
        if self.chance.random() < 0.25:
            return self.one((b"0", b"-1", b"-100", b"x", b"", b"1.5", b"9223372036854775807", b"-9223372036854775808",
                             b"9223372036854775", b"9223372036854776", b"-9223372036854776"))
        seconds = self.chance.randint(100, 1000000)
        return b"%d" % (seconds * 1000 + self.chance.randint(0, 999) if in_ms else seconds)

    def absolute(self, in_ms):
        if self.chance.random() < 0.25:
            return self.one((b"0", b"-1", b"1", b"1000", b"x", b"", b"9223372036854775807", b"-9223372036854775808"))
        seconds = int(time.time()) + self.chance.randint(100, 1000000)
        return b"%d" % (seconds * 1000 + self.chance.randint(0, 999) if in_ms else seconds)

    def timed(self):
        option = self.one((b"EX", b"PX", b"EXAT", b"PXAT"))
        in_ms = option.startswith(b"P")
        return [option, self.absolute(in_ms) if option.endswith(b"AT") else self.relative(in_ms)]

    # ---- strings ----

    def make_set(self):
        words = [b"SET", self.key(), self.value()]
        if self.chance.random() < 0.5:
            return words
        options = self.some(0.3, b"NX") + self.some(0.3, b"XX") + self.some(0.3, b"GET") + self.some(0.2, b"KEEPTTL")
        for _ in range(self.one((0, 1, 1, 1, 2))):
            options += self.timed()
        return words + options

    def make_get(self):
        return [b"GET", self.key()]

    def make_getex(self):
        options = self.timed() if self.chance.random() < 0.6 else []
        return [b"GETEX", self.key()] + options + self.some(0.3, b"PERSIST")

    def make_getdel(self):
        return [b"GETDEL", self.key()]

    def make_getset(self):
        return [b"GETSET", self.key(), self.value()]

    def make_mget(self):
        return [b"MGET"] + self.keys()

    def pairs(self):
        words = []
        for _ in range(self.chance.randint(1, 4)):
            words += [self.key(), self.value()]
        return words

    def make_mset(self):
        return [b"MSET"] + self.pairs()

    def make_msetnx(self):
        return [b"MSETNX"] + self.pairs()

    def make_setex(self):
        return [b"SETEX", self.key(), self.relative(False), self.value()]

    def make_psetex(self):
        return [b"PSETEX", self.key(), self.relative(True), self.value()]

    def make_setnx(self):
        return [b"SETNX", self.key(), self.value()]

    def make_strlen(self):
        return [b"STRLEN", self.key()]

    def make_append(self):
        return [b"APPEND", self.key(), self.value()]

    def make_getrange(self):
        return [self.one((b"GETRANGE", b"SUBSTR")), self.key(), self.one(SMALL + INTEGERS), self.one(SMALL + INTEGERS)]

    def make_setrange(self):
        return [b"SETRANGE", self.key(), self.one(OFFSETS), self.value()]

    def make_incr(self):
        return [self.one((b"INCR", b"DECR")), self.key()]

    def make_incrby(self):
        return [self.one((b"INCRBY", b"DECRBY")), self.key(), self.integer()]

    def make_incrbyfloat(self):
        return [b"INCRBYFLOAT", self.key(), self.one(FLOATS)]

    def make_lcs(self):
        words = [b"LCS", self.key(), self.key()]
        return words + self.some(0.3, b"LEN") + self.some(0.4, b"IDX") + self.some(0.3, b"WITHMATCHLEN") + \
            self.some(0.3, b"MINMATCHLEN", self.integer())

    # ---- bits ----

    def make_setbit(self):
        return [b"SETBIT", self.key(), self.one(BIT_OFFSETS), self.one((b"0", b"1", b"1", b"1", b"2", b"x", b"-1"))]

    def make_getbit(self):
        return [b"GETBIT", self.key(), self.one(BIT_OFFSETS)]

    def make_bitcount(self):
        words = [b"BITCOUNT", self.key()]
        if self.chance.random() < 0.7:
            words += [self.one(SMALL + INTEGERS), self.one(SMALL + INTEGERS)]
            words += self.some(0.5, self.one((b"BIT", b"BYTE", b"bad")))
        return words

    def make_bitpos(self):
        words = [b"BITPOS", self.key(), self.one((b"0", b"1", b"0", b"1", b"2", b"x"))]
        for part in (SMALL + INTEGERS, SMALL + INTEGERS, (b"BIT", b"BYTE", b"bad")):
            if self.chance.random() < 0.3:
                break
            words.append(self.one(part))
        return words

    def make_bitop(self):
        return [b"BITOP", self.one((b"AND", b"OR", b"XOR", b"NOT", b"NAND")), self.key()] + self.keys()

    def make_bitfield(self):
        words = [b"BITFIELD", self.key()]
        for _ in range(self.chance.randint(0, 4)):
            kind = self.one((b"GET", b"GET", b"SET", b"INCRBY", b"OVERFLOW"))
            words.append(kind)
            if kind == b"OVERFLOW":
                words.append(self.one((b"WRAP", b"SAT", b"FAIL", b"bad")))
                continue
            good = self.chance.random() < 0.8
            words += [self.one(BIT_TYPES[:8] if good else BIT_TYPES), self.one((b"0", b"3", b"8", b"#1", b"100"))
                      if good else self.one(FIELD_OFFSETS)]
            if kind != b"GET":
                words.append(self.integer())
        return words

    def make_bitfield_ro(self):
        return [b"BITFIELD_RO", self.key(), self.one((b"GET", b"GET", b"SET")), self.one(BIT_TYPES), self.one(FIELD_OFFSETS)]

    # ---- keys ----

    def make_del(self):
        return [self.one((b"DEL", b"UNLINK"))] + [self.any_key() for _ in range(self.chance.randint(1, 3))]

    def make_exists(self):
        return [self.one((b"EXISTS", b"TOUCH"))] + [self.any_key() for _ in range(self.chance.randint(1, 3))]

    def make_type(self):
        return [b"TYPE", self.any_key()]

    def make_rename(self):
        return [self.one((b"RENAME", b"RENAMENX")), self.any_key(), self.any_key()]

    def make_copy(self):
        words = [b"COPY", self.any_key(), self.any_key()]
        return words + self.some(0.5, b"REPLACE") + self.some(0.2, b"DB", self.one((b"0", b"1", b"x", b"-1")))

    def make_keys(self):
        return [b"KEYS", self.pattern()]

    def make_scan(self):
        words = [b"SCAN", self.one((b"0", b"0", b"0", b"0", b"x", b"", b"00", b"1x", b"99999999999999999999"))]
        return words + self.some(0.5, b"MATCH", self.pattern()) + self.some(0.5, b"COUNT", self.one(SMALL)) + \
            self.some(0.3, b"TYPE", self.one((b"string", b"hash", b"HASH", b"list", b"")))

    def make_randomkey(self):
        return [b"RANDOMKEY"]

    def make_dbsize(self):
        return [b"DBSIZE"]

    def make_flush(self):
        if self.chance.random() < 0.8:
            return [b"DBSIZE"]
        return [self.one((b"FLUSHALL", b"FLUSHDB"))] + self.some(0.5, self.one((b"SYNC", b"ASYNC", b"bad")))

    def make_expire(self):
        name = self.one((b"EXPIRE", b"PEXPIRE", b"EXPIREAT", b"PEXPIREAT"))
        in_ms = name.startswith(b"P")
        when = self.absolute(in_ms) if name.endswith(b"AT") else self.relative(in_ms)
        return [name, self.any_key(), when] + self.upto(self.one((0, 0, 1, 2)), (b"NX", b"XX", b"GT", b"LT", b"bad"))

    def make_ttl(self):
        return [self.one((b"TTL", b"PTTL", b"EXPIRETIME", b"PEXPIRETIME")), self.any_key()]

    def make_persist(self):
        return [b"PERSIST", self.any_key()]

    def make_object(self):
        return [b"OBJECT", self.one((b"ENCODING", b"REFCOUNT", b"IDLETIME", b"FREQ", b"nonsense")), self.any_key()]

    # ---- hashes ----

    def field_pairs(self):
        words = []
        for _ in range(self.chance.randint(1, 4)):
            words += [self.field(), self.value()]
        return words

    def make_hset(self):
        words = [self.one((b"HSET", b"HSET", b"HMSET")), self.hash_key()] + self.field_pairs()
        if self.chance.random() < 0.03:
            for i in range(300):
                words += [b"n%d" % i, b"%d" % i]
        return words

    def make_hsetnx(self):
        return [b"HSETNX", self.hash_key(), self.field(), self.value()]

    def make_hget(self):
        return [self.one((b"HGET", b"HEXISTS", b"HSTRLEN")), self.hash_key(), self.field()]

    def make_hmget(self):
        return [b"HMGET", self.hash_key()] + [self.field() for _ in range(self.chance.randint(1, 4))]

    def make_hdel(self):
        return [b"HDEL", self.hash_key()] + [self.field() for _ in range(self.chance.randint(1, 5))]

    def make_hlen(self):
        return [b"HLEN", self.hash_key()]

    def make_hgetall(self):
        return [self.one((b"HGETALL", b"HKEYS", b"HVALS")), self.hash_key()]

    def make_hincrby(self):
        return [b"HINCRBY", self.hash_key(), self.field(), self.integer()]

    def make_hincrbyfloat(self):
        return [b"HINCRBYFLOAT", self.hash_key(), self.field(), self.one(FLOATS)]

    def make_hrandfield(self):
        words = [b"HRANDFIELD", self.hash_key()]
        if self.chance.random() < 0.7:
            words.append(self.one(SMALL + (b"x", b"", b"-9223372036854775808", b"9223372036854775807")))
            words += self.some(0.4, b"WITHVALUES")
        return words

    def make_hscan(self):
        words = [b"HSCAN", self.hash_key(), self.one((b"0", b"0", b"0", b"0", b"x", b""))]
        return words + self.some(0.5, b"MATCH", self.pattern()) + self.some(0.5, b"COUNT", self.one(SMALL)) + \
            self.some(0.1, b"TYPE", b"hash")

    # ---- all ----

    def mutate(self, words):
        """A call that is probably wrong."""
        words = list(words)
        kind = self.chance.randrange(4)
        if kind == 0 and len(words) > 1:
            words.pop()
        elif kind == 1:
            words.append(self.one(OPTIONS))
        elif kind == 2:
            words.insert(self.chance.randint(1, len(words)), self.one(OPTIONS))
        elif len(words) > 2:
            words[self.chance.randint(2, len(words) - 1)] = self.one(OPTIONS + INTEGERS[:4])
        return words

    def command(self):
        words = self.makers[self.chance.choices(self.names, self.weights)[0]]()
        if self.chance.random() < 0.06:
            words = self.mutate(words)
        if is_heavy(words) or is_racy(words) or is_made_up_cursor(words):
            return [b"GET", b"a"]
        if self.chance.random() < 0.3:
            words[0] = bytes(self.one((byte, byte ^ 32)) for byte in words[0].lower() if byte != 95) \
                if b"_" not in words[0] else words[0].lower()
        return words


def number(word):
    try:
        return int(word.lstrip(b"#"))
    except ValueError:
        return None


def is_heavy(words):
    """Would a server fill a gigabyte?"""
    name = words[0].upper()
    if name == b"HRANDFIELD" and len(words) > 2:
        return -2**63 < (number(words[2]) or 0) < -100000
    at = {b"SETRANGE": words[2:3], b"SETBIT": words[2:3], b"BITFIELD": words[2:]}.get(name, ())
    return any(10000 < (number(word) or 0) < 2**32 and word != b"536870912" for word in at)


def is_racy(words):
    """Would a key expire in the middle of the round, for one server a little earlier than for the other?"""
    name = words[0].upper()
    times = []
    if name in (b"SETEX", b"PSETEX", b"EXPIRE", b"PEXPIRE"):
        times = words[2:3]
    elif name in (b"SET", b"GETEX"):
        times = [time for option, time in zip(words[2:], words[3:]) if option.upper() in (b"EX", b"PX")]
    return any(0 < (number(time) or 0) < 100 for time in times)


def is_made_up_cursor(words):
    """Redis takes any number for a cursor, Perdure only those it gave."""
    at = {b"SCAN": 1, b"HSCAN": 2}.get(words[0].upper(), len(words))
    return at < len(words) and (number(words[at]) or 0) != 0 and number(words[at]) < 2**64


# ---- comparing ----

def flat(reply):
    """The values in an array, without nesting."""
    out = []
    for item in reply.value or ():
        out += flat(item) if isinstance(item.value, list) else [item.value]
    return out


def pairs_of(reply):
    values = flat(reply)
    return sorted(zip(values[::2], values[1::2]))


def same_time(ours, theirs, in_ms):
    if ours.kind != b":" or theirs.kind != b":":
        return ours.raw == theirs.raw
    a, b = int(ours.value), int(theirs.value)
    if a < 0 or b < 0:
        return a == b
    unit = 1 if in_ms else 1000
    # Later than Perdure can say.
    if min(a, b) * unit >= TIME_MAX_MS - 10**14 // 2 and max(a, b) * unit >= TIME_MAX_MS - 10**14 // 2:
        return True
    return abs(a - b) * unit <= TOLERANCE_MS


class Round:
    """One round on both servers."""

    def __init__(self, redis, perdure, generator, report):
        self.redis, self.perdure = redis, perdure
        self.generator = generator
        self.report = report
        self.history = []
        self.commands = 0
        self.differences = 0
        self.sizes_differ = False  # expired keys may still be counted by one and not by the other

    def both(self, words):
        self.redis.send(words)
        self.perdure.send(words)
        self.commands += 1
        return self.redis.read(), self.perdure.read()

    def same(self, words, theirs, ours):
        """Is `ours` a right reply, where Redis gave `theirs`?"""
        name = words[0].upper()
        if theirs.raw == ours.raw:
            return True
        if theirs.kind != ours.kind or theirs.kind == b"-":
            return False
        if name in (b"TTL", b"EXPIRETIME"):
            return same_time(ours, theirs, False)
        if name in (b"PTTL", b"PEXPIRETIME"):
            return same_time(ours, theirs, True)
        if name in (b"KEYS", b"HKEYS", b"HVALS"):
            return sorted(flat(ours)) == sorted(flat(theirs))
        if name == b"HGETALL":
            return pairs_of(ours) == pairs_of(theirs)
        if name == b"DBSIZE":
            return self.sizes_differ
        if name in (b"OBJECT", b"RANDOMKEY"):
            return (ours.value is None) == (theirs.value is None)
        if name == b"HRANDFIELD":
            return self.same_choice(words, theirs, ours)
        return False

    def same_choice(self, words, theirs, ours):
        key = words[1]
        fields = dict(pairs_of(self.redis.call(b"HGETALL", key)))
        if len(words) == 2:
            return ours.value in fields and theirs.value in fields
        # As many elements, nested in the same way, each of them there, none twice unless asked for.
        if len(ours.value) != len(theirs.value) or \
                [item.kind for item in ours.value] != [item.kind for item in theirs.value]:
            return False
        values = flat(ours)
        names = values
        if len(words) == 4:
            names = values[::2]
            if any(fields.get(name) != value for name, value in zip(names, values[1::2])):
                return False
        if any(name not in fields for name in names):
            return False
        return int(words[2]) < 0 or len(set(names)) == len(names)

    def fail(self, words, theirs, ours):
        self.differences += 1
        self.report(self.history, words, theirs, ours)

    def check(self, words):
        theirs, ours = self.both(words)
        if not self.same(words, theirs, ours):
            self.fail(words, theirs, ours)

    def whole_scan(self, connection, words, at):
        """The elements of a walk from cursor 0 to its end, or the error reply."""
        words = list(words)
        found = []
        for _ in range(100000):
            connection.send(words)
            self.commands += 1
            reply = connection.read()
            if reply.kind != b"*":
                return reply
            cursor, items = reply.value
            found += [item.value for item in items.value]
            if cursor.value == b"0":
                return found
            words[at] = cursor.value
        raise RuntimeError(f"{connection.name}: {words!r} does not end")

    def check_scan(self, words):
        at = 1 if words[0].upper() == b"SCAN" else 2
        if len(words) <= at or words[at].strip(b"0") != b"":
            self.check(words)
            return
        theirs, ours = (self.whole_scan(connection, words, at) for connection in (self.redis, self.perdure))
        if isinstance(theirs, list) and isinstance(ours, list):
            if at == 2:
                theirs, ours = (sorted(set(zip(found[::2], found[1::2]))) for found in (theirs, ours))
            if sorted(set(theirs)) != sorted(ours):
                self.fail(words, sorted(set(theirs)), sorted(ours))
        elif isinstance(theirs, list) or isinstance(ours, list) or theirs.raw != ours.raw:
            self.fail(words, theirs, ours)

    def note(self, words):
        """What this command makes impossible to compare."""
        name = words[0].upper()
        upper = {word.upper() for word in words[3:]}
        if (name == b"SET" and upper & {b"EXAT", b"PXAT"}) or name == b"SLEEP":
            self.sizes_differ = True

    def transaction(self):
        bodies = []
        self.check([b"MULTI"])
        for _ in range(self.generator.chance.randint(1, 6)):
            words = self.generator.command()
            if words[0].upper() in (b"SCAN", b"HSCAN", b"RANDOMKEY", b"HRANDFIELD", b"OBJECT"):
                continue
            self.history.append(words)
            self.note(words)
            theirs, ours = self.both(words)
            if theirs.raw != ours.raw:
                self.fail(words, theirs, ours)
            if theirs.kind != b"-":
                bodies.append(words)
        theirs, ours = self.both([b"EXEC"])
        self.history.append([b"EXEC"])
        if theirs.raw == ours.raw:
            return
        if theirs.kind != b"*" or ours.kind != b"*" or len(ours.value or ()) != len(bodies):
            self.fail([b"EXEC"], theirs, ours)
            return
        for words, their, our in zip(bodies, theirs.value, ours.value):
            if not self.same(words, their, our):
                self.fail([b"EXEC:"] + words, their, our)

    def expire_soon(self):
        """A key that is gone a moment later, for both."""
        key = self.generator.key()
        for words in ([b"SET", key, b"soon", b"PX", b"5"], [b"PEXPIRE", self.generator.hash_key(), b"5"]):
            self.history.append(words)
            self.both(words)
        time.sleep(0.02)
        self.history.append([b"SLEEP"])
        self.note([b"SLEEP"])

    def step(self):
        chance = self.generator.chance.random()
        if chance < 0.02 and "multi" not in self.generator.skip:
            self.history.append([b"MULTI"])
            self.transaction()
            return
        if chance < 0.025:
            self.expire_soon()
            return
        words = self.generator.command()
        self.history.append(words)
        self.note(words)
        if words[0].upper() in (b"SCAN", b"HSCAN"):
            self.check_scan(words)
        else:
            self.check(words)

    def compare_everything(self):
        """All that is stored, key by key."""
        theirs, ours = self.both([b"KEYS", b"*"])
        if sorted(flat(theirs)) != sorted(flat(ours)):
            self.fail([b"KEYS", b"*"], theirs, ours)
            return
        for key in sorted(flat(theirs)):
            self.check([b"TYPE", key])
            self.check([b"PTTL", key])
            self.check([b"HGETALL" if self.redis.call(b"TYPE", key).value == b"hash" else b"GET", key])

    def run(self, protocol):
        for connection in (self.redis, self.perdure):
            for words in ((b"HELLO", protocol), (b"FLUSHALL",)):
                reply = connection.call(*words)
                if reply.kind == b"-":
                    raise RuntimeError(f"{connection.name}: {words!r} gave {reply!r}")
        for _ in range(ROUND):
            self.step()
            if self.differences > 0:
                return  # what follows would only be its consequences
        self.compare_everything()


def show_words(words):
    if len(words) > 24:
        return show_words(words[:20]) + f" … ({len(words)} words)"
    return " ".join(repr(word)[1:] if len(word) <= 100 else f"{word[:60]!r}…({len(word)} bytes)" for word in words)


def reporter(seed, number, protocol, shown, verbose):
    def report(history, words, theirs, ours):
        shown[0] += 1
        if shown[0] > SHOWN_MAX:
            return
        print(f"difference (seed {seed}, round {number}, RESP{protocol}): {show_words(words)}")
        print(f"  redis    {theirs!r}")
        print(f"  perdure  {ours!r}")
        relevant = history if verbose else [past for past in history[:-1] if set(past[1:]) & set(words[1:])][-8:]
        for past in relevant:
            print(f"    after  {show_words(past)}")
    return report


def compare(redis_port, perdure_port, seed=1, count=10000, skip=(), verbose=False):
    """Returns (commands sent to each, differences found)."""
    redis, perdure = Connection("redis", redis_port), Connection("perdure", perdure_port)
    commands = differences = number = 0
    shown = [0]
    while commands < count:
        protocol = 2 + number % 2
        generator = Generator(random.Random(f"{seed}/{number}"), skip)
        one = Round(redis, perdure, generator, reporter(seed, number, protocol, shown, verbose))
        one.run(protocol)
        if one.differences > 0:
            # A transaction may be open on one of them.
            redis, perdure = Connection("redis", redis_port), Connection("perdure", perdure_port)
        commands += one.commands
        differences += one.differences
        number += 1
    return commands, differences


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redis", type=int, required=True, help="port of a redis-server, which is emptied")
    parser.add_argument("--perdure", type=int, required=True, help="port of a Perdure server, which is emptied")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--count", type=int, default=10000, help="commands, about")
    parser.add_argument("--skip", default="", help="commands to leave out, with commas; multi for transactions")
    parser.add_argument("--verbose", action="store_true", help="tell all that came before a difference")
    options = parser.parse_args()
    try:
        commands, differences = compare(options.redis, options.perdure, options.seed, options.count,
                                        [name for name in options.skip.split(",") if name], options.verbose)
    except (OSError, RuntimeError) as error:
        print(f"redis_oracle: {error}")
        return 1
    print(f"{commands} commands compared, {differences} differences (seed {options.seed})")
    return 0 if differences == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
