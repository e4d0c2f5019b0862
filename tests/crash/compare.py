"""After a crash: what the server holds, against what its writers remember. What may be there is said in model.py."""

import sys

from model import all_keys, find_prefix, pair_keys, PAIRS, State
from processes import HOST, ServerError
from resp_connection import RespConnection, encode

try:
    import redis
except ImportError:
    sys.exit("crash: redis-py is missing: apt-get install python3-redis, and run this with /usr/bin/python3")

WEAK_MARGIN_S = 0.6  # sync_interval (100 ms) and what a loaded machine may add
TOKENS_KEPT = 200


class Wrong(Exception):
    """The server broke a promise."""


def observe(client, writer):
    """What the server holds of a writer's keys."""
    strings, hashes = all_keys(writer.number)
    state = State()
    with client.pipeline(transaction=False) as pipeline:
        for key in strings:
            pipeline.get(key)
        for key in hashes:
            pipeline.hgetall(key)
        replies = pipeline.execute()
    for key, value in zip(strings, replies):
        if value is not None:
            state.places[key, None] = value
    for key, fields in zip(hashes, replies[len(strings):]):
        for field, value in fields.items():
            state.places[key, field] = value
    return state


def check_pairs(writer, observed):
    for number in range(PAIRS):
        one, two = pair_keys(writer.number, number)
        if observed.get(one) != observed.get(two):
            raise Wrong(f"writer {writer.number}: a transaction is half there: {one!r} is {observed.get(one)!r:.80}, "
                        f"{two!r} is {observed.get(two)!r:.80}")


def verify_writer(client, writer, struck_at):
    """The prefix of the writer's operations that the server holds; its state becomes the writer's."""
    observed = observe(client, writer)
    check_pairs(writer, observed)
    least = writer.least_applied(struck_at, WEAK_MARGIN_S)
    count, found = find_prefix(writer.start_state, writer.operations, least, observed)
    if count is None:
        wrong, nearest, places = found
        details = "; ".join(f"{key!r} {field!r} is {observed.get(key, field)!r:.60}" for key, field in places)
        raise Wrong(f"writer {writer.number} (level {writer.level or 'strict'}): no prefix of its "
                    f"{len(writer.operations)} operations, {writer.acknowledged} acknowledged, at least {least} "
                    f"to be there, explains the state; nearest is {nearest} with {wrong} wrong places: {details}")
    return count, found


def check_ghosts(client, states):
    """Nothing is there that nobody wrote: DBSIZE and SCAN agree with the memory."""
    expected = set().union(*(state.key_names() for state in states))
    scanned = set(client.scan_iter(count=1000))
    if scanned != expected:
        raise Wrong(f"SCAN shows {len(scanned)} keys instead of {len(expected)}; "
                    f"missing {sorted(expected - scanned)[:3]}, unknown {sorted(scanned - expected)[:3]}")
    if client.dbsize() != len(expected):
        raise Wrong(f"DBSIZE says {client.dbsize()} and not {len(expected)}")


def retry_tokens(server, writer, applied, state):
    """Send the idempotent operations again: those in flight, which may not have been applied, and some old ones.
    Each must be there exactly once, and be answered as the first time."""
    late = []
    with RespConnection(server.port) as connection:
        for index, operation in enumerate(writer.operations):
            if operation.token is None or index < writer.acknowledged:
                continue
            if index < applied:
                expect_same(connection, writer, operation)
            else:
                late.append(apply_late(connection, operation, state))
        for operation in writer.random.sample(writer.tokens, min(5, len(writer.tokens))):
            expect_same(connection, writer, operation)
    done = [operation for operation in writer.operations[:applied] if operation.token is not None]
    writer.tokens = (writer.tokens + done + late)[-TOKENS_KEPT:]


def send_operation(connection, operation):
    connection.send_raw(b"".join(encode(*command) for command in operation.commands))
    return [connection.read() for _ in operation.commands]


def expect_same(connection, writer, operation):
    replies = send_operation(connection, operation)
    if replies != operation.replies:
        raise Wrong(f"writer {writer.number}: {operation.token!r} was applied before the crash; sent again it is "
                    f"answered {replies!r:.200} instead of {operation.replies!r:.200}")


def apply_late(connection, operation, state):
    """It was lost with the crash, so now it is new: applied to the state as it is."""
    late = recomputed(operation, state)
    replies = send_operation(connection, late)
    if replies != late.replies:
        raise Wrong(f"{operation.token!r} was lost in the crash; sent again it is answered {replies!r:.200} instead of "
                    f"{late.replies!r:.200}")
    state.apply(late)
    return late


def recomputed(operation, state):
    """The operation with the replies and changes that it has on this state: its increments start elsewhere now."""
    changes, totals = [], {}
    for command in operation.commands:
        if command[0] == b"INCRBY":
            totals[command[1]] = int(state.get(command[1]) or b"0") + int(command[2])
    for key, field, value in operation.changes:
        changes.append((key, field, b"%d" % totals[key] if key in totals else value))
    replies = [renumber(reply, totals) for reply in operation.replies]
    return type(operation)(operation.commands, replies, changes, operation.token)


def renumber(reply, totals):
    total = next(iter(totals.values()), None)
    if isinstance(reply, int):
        return total
    if isinstance(reply, list):
        return [renumber(item, totals) for item in reply]
    return reply


def delete_some(server, writers):
    """The lie: take acknowledged keys away behind the driver's back."""
    with redis.Redis(HOST, server.port) as client:
        names = [key for writer in writers if writer.survives_kill()
                 for key in sorted(writer.generator.state.key_names())]
        if not names or client.delete(*names[:3]) == 0:
            raise ServerError("there was nothing to lie about")


def verify(server, writers, struck_at):
    """Compare everything; afterwards the writers start from what is there."""
    with redis.Redis(HOST, server.port, socket_timeout=60) as client:
        states = []
        for writer in writers:
            applied, state = verify_writer(client, writer, struck_at)
            retry_tokens(server, writer, applied, state)
            states.append(state)
        check_ghosts(client, states)
        for writer, state in zip(writers, states):
            if observe(client, writer).places != state.places:
                raise Wrong(f"writer {writer.number}: sending idempotent requests again changed more than it may")
            writer.begin_round(state)
