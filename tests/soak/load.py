"""The mixed load of the soak: each worker is a thread with real clients, and what it keeps is bounded, so that nothing but a
leak can grow. A worker goes on when the server is killed and comes back."""

import hashlib
import itertools
import random
import threading
import time

import redis

from processes import HOST

AWAY_S = 60  # for so long the server may be gone
VALUE_HEAD = 16  # bytes at the front of a value that say whose it is


def value_for(chance, key, size):
    """Random bytes that begin with a digest of the key, so that a reader knows its own."""
    return hashlib.md5(key.encode()).digest() + chance.randbytes(max(0, size - VALUE_HEAD))


def check_value(key, value):
    if value is not None and value[:VALUE_HEAD] != hashlib.md5(key.encode()).digest():
        raise AssertionError(f"{key} holds another's value: {value[:40]!r}")


class Worker:
    """One kind of load. `turn` does a little of it and is called again and again."""

    pause_s = 0.0
    turns = 0

    def __init__(self, soak, number):
        self.soak, self.number = soak, number
        self.chance = random.Random(f"{soak.seed}/{type(self).__name__}/{number}")
        self.client = None
        self.problem = None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def connect(self):
        return redis.Redis(host=HOST, port=self.soak.port, socket_timeout=AWAY_S, max_connections=1)

    def run(self):
        away_since = None
        self.client = self.connect()
        while not self.soak.stopping.is_set():
            try:
                self.turn(self.client)
                self.turns += 1
                away_since = None
            except (redis.ConnectionError, redis.TimeoutError) as error:
                away_since = away_since or time.monotonic()
                if not self.soak.may_be_away() and time.monotonic() - away_since > AWAY_S:
                    self.problem = f"{type(self).__name__}: the server is gone: {error}"
                    return
                time.sleep(0.05)
            except Exception as error:
                self.problem = f"{type(self).__name__}: {type(error).__name__}: {error}"
                return
            self.soak.stopping.wait(self.pause_s)

    def fill(self):
        """Before time counts: what it keeps in the long run, so that nothing still grows up to it."""

    def turn(self, client):
        raise NotImplementedError


class Overwriter(Worker):
    """Strings of many sizes under few keys, again and again."""

    def put(self, client, names):
        with client.pipeline(transaction=False) as pipe:
            for actor, number in names:
                key = f"{{over:{actor}}}:{number}"
                pipe.set(key, value_for(self.chance, key, self.chance.choice((20, 100, 100, 500, 2000))))
            pipe.execute()

    def fill(self):
        client = self.connect()
        for actor in range(20):
            self.put(client, [(actor, number) for number in range(self.soak.keys // 20)])
        client.close()

    def turn(self, client):
        self.put(client, [(self.chance.randrange(20), self.chance.randrange(self.soak.keys // 20)) for _ in range(20)])


class Reader(Worker):
    pause_s = 0.002

    def turn(self, client):
        keys = [f"{{over:{self.chance.randrange(20)}}}:{self.chance.randrange(self.soak.keys // 20)}" for _ in range(10)]
        for key, value in zip(keys, client.mget(keys)):
            check_value(key, value)
        if self.turns % 100 == 0:
            for _ in itertools.islice(client.scan_iter(match="{over:*", count=100), 500):
                pass


class Expirer(Worker):
    """Names that never come again, all of which expire; and names that come again with a new time. So many a second as the clock
    says: how many there are at a time does not follow how busy the machine is."""

    pause_s = 0.02
    names_per_s = 300
    names_max = 100  # in a turn

    def turn(self, client):
        now = time.monotonic()
        due = min(self.names_max, round((now - self.__dict__.setdefault("last", now)) * self.names_per_s))
        self.last = now
        with client.pipeline(transaction=False) as pipe:
            for _ in range(due):
                pipe.set(f"{{session:{self.chance.randrange(5)}}}:{self.chance.getrandbits(64):016x}", b"x" * 60,
                         px=self.chance.randrange(50, self.soak.expire_ms))
                pipe.set(f"lease:{self.chance.randrange(200)}", b"y" * 60, px=self.chance.randrange(50, self.soak.expire_ms))
            pipe.pexpire(f"lease:{self.chance.randrange(200)}", self.soak.expire_ms)
            pipe.execute()


class Hasher(Worker):
    def turn(self, client):
        key = f"profile:{self.chance.randrange(100)}"
        with client.pipeline(transaction=True) as pipe:
            pipe.hset(key, mapping={f"field-{self.chance.randrange(50)}": self.chance.randbytes(40) for _ in range(10)})
            pipe.hincrby(key, "visits", 1)
            pipe.hdel(key, f"field-{self.chance.randrange(50)}")
            pipe.execute()
        if self.turns % 20 == 0:
            client.delete(f"profile:{self.chance.randrange(100)}")


class Queue(Worker):
    """New keys at one end, deletes at the other: what agents do with their history."""

    def turn(self, client):
        with client.pipeline(transaction=True) as pipe:
            for number in range(self.turns * 10, self.turns * 10 + 10):
                pipe.set(f"{{queue:{self.number}}}:{number:012}", self.chance.randbytes(150))
                pipe.delete(f"{{queue:{self.number}}}:{number - self.soak.window:012}")
            pipe.execute()


class Emptier(Worker):
    """Actors that are filled, used and emptied as a whole."""

    pause_s = 0.02

    def turn(self, client):
        actor = f"scratch:{self.chance.randrange(30)}"
        with client.pipeline(transaction=False) as pipe:
            for number in range(100):
                pipe.set(f"{{{actor}}}:{number}", self.chance.randbytes(100))
            pipe.execute_command("PD.USE", actor)
            pipe.flushdb()
            pipe.execute_command("PD.USE")
            pipe.execute()


class Large(Worker):
    """A value of some MiB now and then."""

    pause_s = 0.5

    def turn(self, client):
        key = f"large:{self.chance.randrange(4)}"
        value = value_for(self.chance, key, self.chance.randrange(1, self.soak.large_bytes))
        client.set(key, value)
        if client.get(key) != value:
            raise AssertionError(f"{key} of {len(value)} B came back different")
        if self.turns % 3 == 0:
            client.delete(key)


class Idler(Worker):
    """Connections that say nothing, of which some go and others come."""

    pause_s = 0.5
    connections_max = 50

    def turn(self, client):
        idle = self.__dict__.setdefault("idle", [])
        while len(idle) < self.connections_max:
            connection = self.connect()
            connection.ping()
            idle.append(connection)
        for _ in range(5):
            idle.pop(self.chance.randrange(len(idle))).close()


class Prober(Worker):
    """One strict write every few milliseconds, which tells how long it takes, and is there after a kill."""

    pause_s = 0.005

    def __init__(self, soak, number):
        super().__init__(soak, number)
        self.took_us = []
        self.acknowledged = 0

    def turn(self, client):
        start = time.monotonic()
        client.set("probe", self.acknowledged + 1)
        self.acknowledged += 1
        self.took_us.append((time.monotonic() - start) * 1e6)

    def p99_us(self):
        """Of what was measured since the last call; None: nothing was."""
        took, self.took_us = sorted(self.took_us), []
        return took[int(len(took) * 0.99)] if took else None


WORKERS = (Overwriter, Reader, Expirer, Hasher, Queue, Emptier, Large, Idler)
