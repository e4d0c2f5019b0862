"""Events of keys as messages (notify-keyspace-events), beside a real redis-server's."""

import random
import time

from redis_oracle import Generator
from resp_connection import RespError, encode

END = b"end-of-this-round"

# What is told of each, beside a real redis-server's. "SLEEP" lets time pass.
STEPS = """
SET a 1|SET a 2 EX 100|SET a 3 KEEPTTL|SET a 4 NX|SET b 1 XX|SET n 1 NX|SET a 5 GET|SET q 1 GET|SETNX a 1|SETNX z 1|SETEX a 100 v
PSETEX a 100000 v|MSET a 1 b 2|MSETNX a 1 c 2|MSETNX c 1 d 2|GETSET a 7|GETSET new 7|GETDEL a|GETDEL a|GETEX b|GETEX b EX 100|GETEX b PERSIST
GETEX b PERSIST|GETEX b EXAT 1|GETEX nothing EX 10|APPEND s x|APPEND s y|SETRANGE s 5 z|SETRANGE s 0 \"\"|SETRANGE r 3 x|INCR i|DECR i|INCRBY i 5
DECRBY i 2|INCRBYFLOAT i 1.5|INCR s|SETBIT bits 5 1|SETBIT bits 5 1|SETBIT bits 50 0|BITFIELD bits SET u8 0 255|BITFIELD bits SET u8 0 255
BITFIELD bits GET u8 0|BITFIELD other GET u8 0|BITFIELD_RO other GET u8 0|BITOP AND dest bits s|BITOP OR dest nothing none|BITOP NOT dest nothing
HSET h f 1|HSET h f 1|HSET h f 2 g 3|HMSET h f 2|HSETNX h f 9|HSETNX h k 9|HINCRBY h f 2|HINCRBYFLOAT h f 1.5|HDEL h none|HDEL h f|HDEL h g k
HDEL h g|HGET h f|HSET h a b|HEXISTS h x|HLEN none|HRANDFIELD none|HSCAN none 0|HGETALL none|EXPIRE h 100|EXPIRE h 200 NX|EXPIRE h 50 GT|PERSIST h
PERSIST h|PEXPIRE h 100000|EXPIREAT h 1|EXPIREAT h 1|RENAME c e|RENAME nothing e|SET t 1|RENAME e t|RENAMENX t u|SET v 1|RENAMENX u v|RENAME v v
COPY v w|COPY v w|COPY v w REPLACE|COPY none w|DEL v w nothing|UNLINK u|TYPE none|EXISTS none a|TTL none|PTTL none|EXPIRETIME none|TOUCH none
OBJECT ENCODING none|STRLEN none|GETRANGE none 0 1|LCS none other|MGET none a none|GET none|BITCOUNT none|BITPOS none 1|GETBIT none 1|RANDOMKEY
SET p 1|EXPIRE p 100|FLUSHDB|SET a 1|FLUSHALL|LPUSHX l 1|SET a 1|HSET a f v|GETSET h 1
MULTI|SET m 1|DEL m|EXEC|MULTI|SET m 1|DISCARD|WATCH m|SET m 2|MULTI|SET m 3|EXEC
SET {x}a 1|HSET {x}h f v|DEL {x}a {x}h
"""


def words_of(line):
    return [word.replace('""', "") for word in line.split()]


class Listener:
    """A server's events, up to a message of the test's own."""

    def __init__(self, world, server):
        self.listener, self.asker = world.connect(server), world.connect(server)
        self.listener.command("PSUBSCRIBE", "__key*@0__:*")
        self.listener.command("SUBSCRIBE", END)

    def events(self):
        self.asker.command("PUBLISH", END, END)
        events = []
        while True:
            message = self.listener.read()
            if message[-1] == END:
                return events
            events.append(message[2:])


def both(world, letters):
    servers = (world.server, world.real_redis())
    listeners = [Listener(world, server) for server in servers]
    for listener in listeners:
        listener.asker.expect("OK", "CONFIG", "SET", "notify-keyspace-events", letters)
    return listeners


def test_every_command_tells_what_redis_tells(world):
    mine, real = both(world, "KEAmn")
    for line in STEPS.replace("\n", "|").split("|"):
        if not line:
            continue
        replies = [listener.asker.command(*words_of(line)) for listener in (mine, real)]
        told = [listener.events() if replies[1] != "QUEUED" and line != "MULTI" else [] for listener in (mine, real)]
        assert told[0] == told[1], f"{line}: {told[0]} instead of Redis's {told[1]}"


def test_random_commands_tell_what_redis_tells(world):
    mine, real = both(world, "KEg$hnm")
    for number in range(20):
        generator = Generator(random.Random(f"events/{number}"), ())
        done = []
        for listener in (mine, real):
            listener.asker.command("FLUSHALL")
        for _ in range(200):
            words = generator.command()
            # These look at what is kept otherwise here, or keep what Redis does not.
            if words[0].upper() in (b"SCAN", b"HSCAN", b"RANDOMKEY", b"HRANDFIELD", b"OBJECT", b"KEYS") or \
                    {word.upper() for word in words} & {b"EXAT", b"PXAT"}:
                continue
            done.append(words)
            for listener in (mine, real):
                listener.asker.command(*words)
            told = [listener.events() for listener in (mine, real)]
            assert told[0] == told[1], f"round {number}, {words}: {told[0]} instead of {told[1]}, after {done[-6:]}"


def test_restore_tells_what_redis_tells(world):
    mine, real = both(world, "KEAmn")
    told = []
    for listener in (mine, real):
        listener.asker.command("HSET", "h", "f", "v")
        payload = listener.asker.command("DUMP", "h")
        listener.events()
        for words in (("r", "0", payload), ("r", "0", payload, "REPLACE"), ("r", "1", payload, "REPLACE", "ABSTTL"),
                      ("r", "1", payload, "ABSTTL"), ("r", "0", payload)):
            listener.asker.command("RESTORE", *words)
        listener.asker.command("DUMP", "none")
        told.append(listener.events())
    assert told[0] == told[1], f"{told[0]} instead of {told[1]}"


def test_letters(world):
    mine, real = both(world, "")
    chance = random.Random(7)
    for _ in range(300):
        letters = "".join(chance.choice("KEg$lshzxetdmnA") for _ in range(chance.randint(0, 8)))
        if "A" in letters:
            letters = letters.replace("n", "")  # Redis forgets to tell it then
        if chance.random() < 0.05:
            letters += "?"
        replies = []
        for listener in (mine, real):
            replies.append([listener.asker.command("CONFIG", "SET", "notify-keyspace-events", letters),
                            listener.asker.command("CONFIG", "GET", "notify-keyspace-events")])
        assert replies[0] == replies[1], f"{letters}: {replies[0]} instead of {replies[1]}"
    for letters, count in (("", 0), ("K", 0), ("$", 0), ("K$", 1), ("E$", 1), ("KE$", 2), ("KEg", 0), ("KEA", 2)):
        mine.asker.expect("OK", "CONFIG", "SET", "notify-keyspace-events", letters)
        mine.asker.command("SET", "k", "v")
        assert len(mine.events()) == count, letters


def test_expired(world):
    for listener in both(world, "KEx"):
        for words in (("SET", "gone", "1", "PX", "20"), ("HSET", "h", "f", "v"), ("PEXPIRE", "h", "20")):
            listener.asker.command(*words)
        seen = []
        deadline = time.monotonic() + 20
        while len(seen) < 4 and time.monotonic() < deadline:
            seen += listener.events()
            time.sleep(0.02)
        assert sorted(seen) == [[b"__keyevent@0__:expired", b"gone"], [b"__keyevent@0__:expired", b"h"],
                                [b"__keyspace@0__:gone", b"expired"], [b"__keyspace@0__:h", b"expired"]], seen


def test_expired_once(world):
    """Also when it is overwritten before it was removed."""
    listener = Listener(world, world.server)
    listener.asker.expect("OK", "CONFIG", "SET", "notify-keyspace-events", "Ex")
    for number in range(200):
        listener.asker.command("SET", f"k{number}", "1", "PX", "1")
        listener.asker.command("SET", f"k{number % 7}", "1", "PX", "3")
    names, wanted = [], {b"k%d" % number for number in range(200)}
    deadline = time.monotonic() + 60
    while set(names) != wanted and time.monotonic() < deadline:
        time.sleep(0.02)
        names += [event[1] for event in listener.events()]
    time.sleep(0.3)  # for what comes twice
    names += [event[1] for event in listener.events()]
    assert set(names) == wanted
    assert len(names) <= 400


def test_actors_and_tenants(world):
    listener = Listener(world, world.server)
    listener.asker.expect("OK", "CONFIG", "SET", "notify-keyspace-events", "E$")
    used, other = world.connect(), world.connect()
    used.command("PD.USE", "alice")
    other.command("PD.USE", "elsewhere/alice")
    used.command("SET", "k", "1")
    other.command("SET", "k", "1")
    used.command("SET", "{main}k", "1")
    assert listener.events() == [[b"__keyevent@0__:set", b"{alice}k"], [b"__keyevent@0__:set", b"k"]]
    theirs = world.connect()
    theirs.command("PD.USE", "elsewhere/main")
    theirs.command("SUBSCRIBE", "__keyevent@0__:set")
    other.command("SET", "k2", "1")
    assert theirs.read() == [b"message", b"__keyevent@0__:set", b"{alice}k2"]
    assert listener.events() == []


def test_order_within_a_transaction(world):
    """Messages and events of one EXEC come in the order in which things happened, and of one that fails none."""
    listener = Listener(world, world.server)
    listener.listener.command("SUBSCRIBE", "c")
    listener.asker.expect("OK", "CONFIG", "SET", "notify-keyspace-events", "E$")
    writer = world.connect()
    for words in (("MULTI",), ("SET", "a", "1"), ("PUBLISH", "c", "between"), ("SET", "b", "2")):
        writer.command(*words)
    writer.expect(["OK", 1, "OK"], "EXEC")
    assert [listener.listener.read()[-1] for _ in range(3)] == [b"a", b"between", b"b"]
    for words in (("MULTI",), ("SET", "a", "1"), ("PUBLISH", "c", "between"), ("SET", b"x" * 70000, "2")):
        writer.command(*words)
    assert isinstance(writer.command("EXEC"), RespError)
    assert listener.events() == []


def test_more_at_once_than_can_be_kept(world):
    """A listener that would miss some is disconnected; others stay."""
    listener, other, asker = world.connect(), world.connect(), world.connect()
    asker.expect("OK", "CONFIG", "SET", "notify-keyspace-events", "KEA")
    listener.command("PSUBSCRIBE", "__key*")
    other.command("SUBSCRIBE", "news")
    words = []
    for number in range(300000):
        words += [b"key-%06d" % number, b"1"]
    asker.send_raw(encode("MSET", *words))
    assert asker.read() == "OK"
    data, closed = listener.read_all(5)
    assert closed, len(data)
    asker.expect(1, "PUBLISH", "news", "x")
    assert other.read()[2] == b"x"
    asker.expect(300000, "DBSIZE")


def test_as_an_option(world):
    server = world.new_server("notified", ["--notify-keyspace-events", "Kx$"])
    server.start()
    connection = world.connect(server)
    connection.expect([b"notify-keyspace-events", b"$xK"], "CONFIG", "GET", "notify-keyspace-events")
    status, _, stderr = world.perdure("server", "--data", world.path("never"), "--resp", "0", "--notify-keyspace-events",
                                      "K?", check=False)
    assert status != 0 and "event class" in stderr, (status, stderr)
