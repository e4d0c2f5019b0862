"""What clients do, as data: a workload makes a client's next operation, carries it out on a connection, and knows its check.

Every workload goes over several actors, mixes transactions (MULTI) with single commands, and discards some on purpose."""

import itertools
import random

import check_append
import check_others
from history import FAILED, OK, Operation, Step, UNKNOWN
from resp_connection import Closed, RespError, encode

ACTORS = ("h1", "h2", "h3")
# Errors after which something may have happened all the same.
IN_DOUBT = ("UNKNOWN", "FENCED")


class Unexpected(Exception):
    """An answer that no server in order gives."""


def key_of(actor, name):
    return f"{{{actor}}}:{name}"


def exchange(connection, commands):
    """Send them all at once; their replies."""
    connection.send_raw(b"".join(encode(*command) for command in commands))
    return [connection.read() for _ in commands]


def in_doubt(error):
    text = str(error)
    return any(word in text.upper() for word in IN_DOUBT)


def transact(connection, operation, commands, discard=False, before=()):
    """`commands` as one transaction. Its replies, or None: it had no effect. Sets the operation's outcome."""
    framed = [*before, ("MULTI",), *commands, ("DISCARD" if discard else "EXEC",)]
    operation.begin()
    try:
        replies = exchange(connection, framed)
    except (Closed, ConnectionError, TimeoutError) as error:
        operation.end(FAILED if discard else UNKNOWN, str(error))
        raise
    last = replies[-1]
    if discard:
        if last != "OK":
            raise Unexpected(f"DISCARD: {last!r}")
        operation.end(FAILED, "discarded")
        return None
    if isinstance(last, RespError):
        operation.end(UNKNOWN if in_doubt(last) else FAILED, str(last))
        return None
    if last is None:
        operation.end(FAILED, "a watched key had changed")
        return None
    errors = [reply for reply in last if isinstance(reply, RespError)]
    if errors:
        raise Unexpected(f"inside EXEC: {errors[0]}")
    operation.end(OK)
    return last


def single(connection, operation, command):
    """One command. Its reply, or None with the operation failed or unknown."""
    operation.begin()
    try:
        reply = exchange(connection, [command])[0]
    except (Closed, ConnectionError, TimeoutError) as error:
        operation.end(UNKNOWN, str(error))
        raise
    if isinstance(reply, RespError):
        operation.end(UNKNOWN if in_doubt(reply) else FAILED, str(reply))
        return None
    operation.end(OK)
    return reply


class Workload:
    """One for all clients of a history; `numbers` gives every written value once."""

    def __init__(self, seed):
        self.seed = seed
        self.numbers = itertools.count(1)
        self.phase = 0  # goes up with every crash: some workloads take new keys then

    def random_of(self, client):
        return random.Random(f"{self.seed}/{self.name}/{client}")


class Append(Workload):
    """Transactions that append to lists of several actors, and read them."""

    name = "append"
    check = staticmethod(check_append.check)

    def keys(self):
        return [key_of(actor, f"list-{n}") for actor in ACTORS for n in range(2)]

    def operation(self, client, chance):
        keys = self.keys()
        steps = []
        for _ in range(chance.choice((1, 1, 2, 2, 3, 4))):
            if chance.random() < 0.5:
                steps.append(Step("append", chance.choice(keys), next(self.numbers)))
            else:
                steps.append(Step("read", chance.choice(keys)))
        return Operation(client, steps)

    def run(self, connection, operation, chance):
        commands = [("APPEND", step.key, f"{step.value},") if step.kind == "append" else ("GET", step.key)
                    for step in operation.steps]
        discard = chance.random() < 0.03
        if len(commands) == 1 and not discard:
            reply = single(connection, operation, commands[0])
            replies = None if operation.outcome != OK else [reply]
        else:
            replies = transact(connection, operation, commands, discard)
        for step, reply in zip(operation.steps, replies or ()):
            if step.kind == "read":
                step.result = [int(element) for element in (reply or b"").split(b",")[:-1]]

    def finish(self, client):
        """What is read when all is over."""
        return Operation(client, [Step("read", key) for key in self.keys()])


class Set(Workload):
    """Keys come under a pattern, one or two at a time; others list them."""

    name = "set"
    check = staticmethod(check_others.check_set)

    def operation(self, client, chance):
        if chance.random() < 0.25:
            return Operation(client, [Step("list", "m-*")])
        return Operation(client, [Step("add", f"m-{chance.choice(ACTORS)}", next(self.numbers))
                                  for _ in range(chance.choice((1, 1, 2, 3)))])

    def run(self, connection, operation, chance):
        if operation.steps[0].kind == "list":
            reply = single(connection, operation, ("KEYS", "{h?}:m-*"))
            if operation.outcome == OK:
                operation.steps[0].result = [int(key.rsplit(b"-", 1)[1]) for key in reply]
            return
        commands = [("SET", key_of(step.key[2:], f"m-{step.value}"), "x") for step in operation.steps]
        discard = chance.random() < 0.03
        if len(commands) == 1 and not discard:
            single(connection, operation, commands[0])
        else:
            transact(connection, operation, commands, discard)

    def finish(self, client):
        return Operation(client, [Step("list", "m-*")])


class Register(Workload):
    """Compare-and-set by WATCH, blind writes, reads; each register on its own."""

    name = "register"
    check = staticmethod(check_others.check_register)

    def operation(self, client, chance):
        key = key_of(chance.choice(ACTORS), f"register-{self.phase}-{chance.randrange(2)}")
        kind = chance.choice(("read", "read", "cas", "cas", "write"))
        return Operation(client, [Step(kind, key, None if kind == "read" else next(self.numbers))])

    def run(self, connection, operation, chance):
        step = operation.steps[0]
        if step.kind == "read":
            reply = single(connection, operation, ("GET", step.key))
            step.result = None if reply is None else int(reply)
        elif step.kind == "write":
            single(connection, operation, ("SET", step.key, step.value))
        else:
            self.swap(connection, operation, step)

    @staticmethod
    def swap(connection, operation, step):
        operation.begin()
        try:
            watched, old = exchange(connection, [("WATCH", step.key), ("GET", step.key)])
        except (Closed, ConnectionError, TimeoutError) as error:
            operation.end(FAILED, str(error))
            raise
        if watched != "OK" or isinstance(old, RespError):
            operation.end(FAILED, f"{watched} {old}")
            return
        invoked = operation.invoked
        step.value = [None if old is None else int(old), step.value]
        try:
            transact(connection, operation, [("SET", step.key, step.value[1])])
        finally:
            operation.invoked = invoked

    def finish(self, client):
        return None


class Bank(Workload):
    """Transfers between accounts of different actors; others read all accounts at once."""

    name = "bank"
    check = staticmethod(check_others.check_bank)

    def keys(self):
        return [key_of(actor, f"account-{n}") for actor in ACTORS for n in range(3)]

    def operation(self, client, chance):
        if chance.random() < 0.3:
            return self.finish(client)
        one, other = chance.sample(self.keys(), 2)
        amount = chance.randrange(1, 100)
        return Operation(client, [Step("credit", one, -amount), Step("credit", other, amount)])

    def run(self, connection, operation, chance):
        if operation.steps[0].kind == "read":
            replies = transact(connection, operation, [("GET", step.key) for step in operation.steps])
            for step, reply in zip(operation.steps, replies or ()):
                step.result = int(reply or 0)
            return
        transact(connection, operation, [("INCRBY", step.key, step.value) for step in operation.steps],
                 chance.random() < 0.03)

    def finish(self, client):
        return Operation(client, [Step("read", key) for key in self.keys()])


class Counter(Workload):
    """Increments with an idempotency key, sent until they are answered."""

    name = "counter"
    check = staticmethod(check_others.check_counter)

    def operation(self, client, chance):
        return Operation(client, [Step("credit", key_of(chance.choice(ACTORS), "counter"), chance.randrange(1, 50))],
                         note=f"{client}-{next(self.numbers)}")

    def run(self, connection, operation, chance):
        """After a connection has broken the same operation comes here again."""
        token, step = operation.note, operation.steps[0]
        if operation.invoked == 0:
            operation.begin()
        try:
            accepted, reply = exchange(connection, [("PD.IDEMPOTENCY", token), ("INCRBY", step.key, step.value)])
        except (Closed, ConnectionError, TimeoutError):
            operation.end(UNKNOWN, token)
            raise
        if accepted != "OK" or not isinstance(reply, int):
            if not isinstance(reply, RespError) or not in_doubt(reply):
                raise Unexpected(f"INCRBY: {accepted!r} {reply!r}")
            operation.end(UNKNOWN, token)
            raise Closed(str(reply))
        step.result = reply
        operation.end(OK, token)

    def finish(self, client):
        return Operation(client, [Step("read", key_of(actor, "counter")) for actor in ACTORS])

    def run_finish(self, connection, operation):
        replies = transact(connection, operation, [("GET", step.key) for step in operation.steps])
        for step, reply in zip(operation.steps, replies):
            step.result = int(reply or 0)


WORKLOADS = {workload.name: workload for workload in (Append, Set, Register, Bank, Counter)}
