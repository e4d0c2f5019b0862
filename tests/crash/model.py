"""What the server must hold, kept by the driver: a tiny model of the commands that the writers use.

A writer owns its keys, and sends its operations over one connection. So whatever a crash took away, the server must
show the state after a PREFIX of the writer's operations: all that were acknowledged at a level that survives, then
any number of those in flight, without a hole. This one check holds plain loss, reordering, halves of transactions and
operations applied twice.
"""

PLAIN_KEYS = 60
COUNTERS = 8
HASHES = 6
FIELDS = 12
PAIRS = 4


class Operation:
    """`commands` go over the wire; `replies` are what they must be answered with (filled when it is generated, since
    the writer knows its own state). `changes`: [(key, field or None, new value or None for gone)], the new state of
    every place that it touches. `token`: its idempotency key."""

    __slots__ = ("commands", "replies", "changes", "token", "sent_at", "acked_at")

    def __init__(self, commands, replies, changes, token=None):
        self.commands = commands
        self.replies = replies
        self.changes = changes
        self.token = token
        self.sent_at = self.acked_at = None


class State:
    """The places of one writer: (key, None) of a string, (key, field) of a hash. Absent ones are not there."""

    def __init__(self, places=None):
        self.places = dict(places or {})

    def copy(self):
        return State(self.places)

    def get(self, key, field=None):
        return self.places.get((key, field))

    def apply(self, operation):
        for key, field, value in operation.changes:
            if value is None:
                self.places.pop((key, field), None)
            else:
                self.places[key, field] = value

    def key_names(self):
        return {key for key, _ in self.places}


class Generator:
    """Draws operations for one writer and keeps the state that they lead to if all are applied."""

    def __init__(self, number, random, idempotency):
        self.number = number
        self.random = random
        self.idempotency = idempotency
        self.state = State()
        self.serial = 0
        self.choices = [self.set, self.set, self.set, self.mset, self.delete, self.increment, self.increment,
                        self.append, self.hash_set, self.hash_set, self.hash_delete, self.pair, self.pair]
        if idempotency:
            self.choices.append(self.increment_once)
            self.choices.append(self.pair_once)

    # ---- names ----

    def plain_key(self):
        return b"w%d:s:%d" % (self.number, self.random.randrange(PLAIN_KEYS))

    def counter_key(self):
        return b"w%d:c:%d" % (self.number, self.random.randrange(COUNTERS))

    def hash_key(self):
        return b"w%d:h:%d" % (self.number, self.random.randrange(HASHES))

    def pair_keys(self):
        """Two keys in two actors that are only ever written together, and always equal."""
        return pair_keys(self.number, self.random.randrange(PAIRS))

    def value(self):
        """Distinct every time; mostly small, now and then larger than a block, a few larger than a group."""
        dice = self.random.random()
        size = 300 if dice < 0.95 else 9_000 if dice < 0.998 else 300_000
        self.serial += 1
        return b"%d.%d." % (self.number, self.serial) + self.random.randbytes(self.random.randrange(size))

    # ---- operations ----

    def next(self):
        operation = self.random.choice(self.choices)()
        self.state.apply(operation)
        return operation

    def set(self):
        key, value = self.plain_key(), self.value()
        return Operation([(b"SET", key, value)], ["OK"], [(key, None, value)])

    def mset(self):
        pairs = {self.plain_key(): self.value() for _ in range(self.random.randint(2, 5))}
        words = [word for pair in pairs.items() for word in pair]
        return Operation([(b"MSET", *words)], ["OK"], [(key, None, value) for key, value in pairs.items()])

    def delete(self):
        keys = list({self.plain_key() for _ in range(2)})
        there = sum(self.state.get(key) is not None for key in keys)
        return Operation([(b"DEL", *keys)], [there], [(key, None, None) for key in keys])

    def append(self):
        key, more = self.plain_key(), b"+%d" % self.random.randrange(1000)
        value = (self.state.get(key) or b"") + more
        return Operation([(b"APPEND", key, more)], [len(value)], [(key, None, value)])

    def increment(self):
        key, step = self.counter_key(), self.random.randint(1, 9)
        total = int(self.state.get(key) or b"0") + step
        return Operation([(b"INCRBY", key, b"%d" % step)], [total], [(key, None, b"%d" % total)])

    def hash_set(self):
        key = self.hash_key()
        fields = {b"f%d" % self.random.randrange(FIELDS): self.value() for _ in range(self.random.randint(1, 3))}
        words = [word for pair in fields.items() for word in pair]
        new = sum(self.state.get(key, field) is None for field in fields)
        return Operation([(b"HSET", key, *words)], [new], [(key, field, value) for field, value in fields.items()])

    def hash_delete(self):
        key, field = self.hash_key(), b"f%d" % self.random.randrange(FIELDS)
        there = int(self.state.get(key, field) is not None)
        return Operation([(b"HDEL", key, field)], [there], [(key, field, None)])

    def pair(self):
        """MULTI over two actors and a counter: whole or not at all."""
        one, two = self.pair_keys()
        value, bump = self.value(), self.increment()
        commands = [(b"MULTI",), (b"SET", one, value), bump.commands[0], (b"SET", two, value), (b"EXEC",)]
        replies = ["OK", "QUEUED", "QUEUED", "QUEUED", ["OK", bump.replies[0], "OK"]]
        return Operation(commands, replies, [(one, None, value), (two, None, value), *bump.changes])

    def increment_once(self):
        return self.with_token(self.increment())

    def pair_once(self):
        return self.with_token(self.pair())

    def with_token(self, operation):
        self.serial += 1
        token = b"token-%d-%d-%d" % (self.number, self.serial, self.random.getrandbits(48))
        operation.token = token
        operation.commands = [(b"PD.IDEMPOTENCY", token), *operation.commands]
        operation.replies = ["OK", *operation.replies]
        return operation


def pair_keys(number, pair):
    return b"{left-%d}p%d" % (number, pair), b"{right-%d}p%d" % (number, pair)


def all_keys(number):
    """(strings, hashes) that a writer may ever write."""
    strings = [b"w%d:s:%d" % (number, key) for key in range(PLAIN_KEYS)]
    strings += [b"w%d:c:%d" % (number, key) for key in range(COUNTERS)]
    strings += [name for pair in range(PAIRS) for name in pair_keys(number, pair)]
    return strings, [b"w%d:h:%d" % (number, key) for key in range(HASHES)]


def find_prefix(start, operations, least, observed):
    """How many of the operations, applied to `start`, lead to what was observed: the greatest such number that is
    at least `least`, and the state there. When there is none: None and (wrong places, number, some of the places)
    of the nearest."""
    state = start.copy()
    for operation in operations[:least]:
        state.apply(operation)
    wrong = {place for place in state.places.keys() | observed.places.keys()
             if state.places.get(place) != observed.places.get(place)}
    found, found_state = None, None
    nearest = (len(wrong), least, list(wrong)[:5])
    for count in range(least, len(operations) + 1):
        if count > least:
            state.apply(operations[count - 1])
            recheck(operations[count - 1], state, observed, wrong)
        if not wrong:
            found, found_state = count, state.copy()
        elif len(wrong) < nearest[0]:
            nearest = (len(wrong), count, list(wrong)[:5])
    return (None, nearest) if found is None else (found, found_state)


def recheck(operation, state, observed, wrong):
    """Only what the operation touched can have become right or wrong."""
    for key, field, _ in operation.changes:
        if state.places.get((key, field)) == observed.places.get((key, field)):
            wrong.discard((key, field))
        else:
            wrong.add((key, field))
