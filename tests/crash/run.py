#!/usr/bin/python3
"""kill -9 a real server under load, again and again, and check what it promised.

A round: start the server (often killing it once or more during its recovery), compare all that it holds with the
driver's memory, let the writers write, kill. What is compared is in model.py. The check itself is tested each time:
one last round in which acknowledged keys are deleted behind the driver's back must fail; `--lie` does so in every
round.

kill -9 keeps the page cache, so this says nothing about syncing: power cuts are simulated (./dev crash --sim).
"""

import argparse
import os
import random
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))

from model import all_keys, find_prefix, pair_keys, PAIRS, State  # noqa: E402
from processes import HOST, Perdure, Redis, ServerError, free_port  # noqa: E402
from resp_connection import RespConnection, encode  # noqa: E402
from upkeep import Upkeep  # noqa: E402
from writer import Writer  # noqa: E402

try:
    import redis
except ImportError:
    sys.exit("crash: redis-py is missing: apt-get install python3-redis, and run this with /usr/bin/python3")

WORTH_OPERATIONS = 500  # a round with fewer acknowledged before the kill proves too little
FRESH_ROUNDS = 8  # rounds on one data directory
WEAK_MARGIN_S = 0.6  # sync_interval (100 ms) and what a loaded machine may add
TOKENS_KEPT = 200

# Directories take these in turn: segments small enough to be crossed all the time, one write or several in flight.
# With no history to keep, the log is trimmed behind every checkpoint.
NO_HISTORY = ("--retention-time", "0", "--retention-size", "0")
SERVER_OPTIONS = ((), ("--segment-size", "1MiB", *NO_HISTORY), ("--queue-depth", "4"),
                  ("--segment-size", "256KiB", "--queue-depth", "1", *NO_HISTORY))

# (level, idempotent operations too, deepest pipeline). Strict is the default, so most say nothing.
WRITERS = ((None, True, 1), (None, True, 8), (None, False, 64), (None, True, 16), (None, False, 1),
           ("standard", False, 16), ("performance", False, 16), ("none", False, 8))


class Wrong(Exception):
    """The server broke a promise."""


class Directory:
    """One data directory, its server and the writers whose memory it is compared with."""

    def __init__(self, options, serial):
        self.path = os.path.join(options.work, f"data-{serial}")
        for leftover in (self.path, self.path + ".log"):
            if os.path.isdir(leftover):
                shutil.rmtree(leftover)
            elif os.path.exists(leftover):
                os.unlink(leftover)
        self.variant = SERVER_OPTIONS[(serial - 1) % len(SERVER_OPTIONS)]
        self.server = make_server(options, self.path, self.variant)
        self.writers = [Writer(number, f"{options.seed}/{serial}", level, token and not options.redis, depth)
                        for number, (level, token, depth) in enumerate(WRITERS)
                        if level is None or not options.redis]
        self.killed_at = 0.0
        self.rounds = 0
        self.moves = 0  # flushes and checkpoints, as far as somebody has seen them


def make_server(options, path, variant):
    if options.redis:
        return Redis(path, ["--appendonly", "yes", "--appendfsync", "always"])
    return Perdure(options.binary, path, [*variant, *options.server_option])


# ---- one round ----


def restart(server, chance):
    """Start the server again; often kill it a few milliseconds later, in the middle of its recovery, up to four
    times. Returns how often."""
    kills = 0
    while kills < 4 and chance.random() < 0.4:
        server.port = free_port()
        server.launch()
        time.sleep(chance.choice([0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.15]) * chance.random())
        server.kill()
        kills += 1
    server.start()
    return kills


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


def verify_writer(client, writer, killed_at):
    """The prefix of the writer's operations that the server holds; its state becomes the writer's."""
    observed = observe(client, writer)
    check_pairs(writer, observed)
    least = writer.least_applied(killed_at, WEAK_MARGIN_S)
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


def verify(directory):
    """Compare everything; afterwards the writers start from what is there."""
    with redis.Redis(HOST, directory.server.port, socket_timeout=60) as client:
        states = []
        for writer in directory.writers:
            applied, state = verify_writer(client, writer, directory.killed_at)
            retry_tokens(directory.server, writer, applied, state)
            states.append(state)
        check_ghosts(client, states)
        for writer, state in zip(directory.writers, states):
            if observe(client, writer).places != state.places:
                raise Wrong(f"writer {writer.number}: sending idempotent requests again changed more than it may")
            writer.begin_round(state)


def kill_idle(directory):
    """Killed while nobody writes, it comes back with exactly the same state."""
    before = state_hash(directory.server)
    directory.server.kill()
    directory.server.start()
    after = state_hash(directory.server)
    if before != after:
        raise Wrong(f"the state's hash was {before!r}, and is {after!r} after a kill while nobody wrote")


def state_hash(server):
    with RespConnection(server.port) as connection:
        return connection.command("PD.STATEHASH")


def load_and_kill(directory, chance):
    """Write until the knife falls; the number of operations acknowledged before."""
    for writer in directory.writers:
        writer.start(directory.server.port)
    upkeep = None
    if directory.server.name == "perdure":
        upkeep = Upkeep(directory.server.port, chance.random())
    time.sleep(chance.choice([0.1, 0.2, 0.4, 0.6, 1.5]) * (0.3 + chance.random()))
    directory.killed_at = time.monotonic()
    directory.server.kill()
    for writer in directory.writers:
        writer.join()
        if writer.complaint:
            raise Wrong(f"writer {writer.number}: {writer.complaint}")
    if upkeep is not None:
        upkeep.join()
        if upkeep.complaint:
            raise Wrong(upkeep.complaint)
        directory.moves += sum(upkeep.counts.values())
    return sum(writer.acknowledged for writer in directory.writers)


def run_round(directory, chance, lie):
    """(operations acknowledged before the kill, kills in all)"""
    if not directory.server.is_running():
        directory.server.start()
    operations = load_and_kill(directory, chance)
    kills = restart(directory.server, chance)
    if lie:
        delete_some(directory.server, directory.writers)
    verify(directory)
    if directory.server.name == "perdure" and chance.random() < 0.3:
        kill_idle(directory)
        kills += 1
    directory.rounds += 1
    return operations, kills + 1


# ---- all rounds ----


class Tally:
    def __init__(self):
        self.passed = self.failed = self.void = self.operations = self.kills = self.moves = 0


def drop(directory, options):
    directory.server.kill()
    if not options.keep:
        shutil.rmtree(directory.path, ignore_errors=True)
        os.unlink(directory.server.log_path)


def run_rounds(options, tally):
    chance = random.Random(options.seed)
    void_max = options.rounds + 10
    serial, directory = 1, Directory(options, 1)
    while tally.passed + tally.failed < options.rounds and tally.void <= void_max:
        over = False
        try:
            operations, kills = run_round(directory, chance, options.lie)
            tally.operations += operations
            tally.kills += kills
            tally.passed += operations >= WORTH_OPERATIONS
            tally.void += operations < WORTH_OPERATIONS
            tally.moves += directory.moves
            directory.moves = 0
            if directory.rounds >= FRESH_ROUNDS:
                over = True
                drop(directory, options)
        except (Wrong, ServerError, redis.RedisError, OSError) as error:
            over = True
            tally.failed += 1
            report_failure(error, directory)
        if over:
            serial += 1
            directory = Directory(options, serial)
        progress(options, tally)
    directory.server.kill()
    if tally.void > void_max:
        print(f"FAIL too many void rounds: {tally.void}; the machine is too slow, or the server stalls")
        tally.failed += 1


def report_failure(error, directory):
    directory.server.kill()
    print(f"FAIL round {directory.rounds} on {directory.path} {' '.join(directory.variant)} (kept): {type(error).__name__}: {error}", flush=True)


def progress(options, tally):
    done = tally.passed + tally.failed
    if done % options.report == 0 or done == options.rounds:
        print(f"round {done}/{options.rounds}: {tally.passed} passed, {tally.failed} failed, {tally.void} void, "
              f"{tally.kills} kills, {tally.operations} operations acknowledged, {tally.moves} flushes and checkpoints",
              flush=True)


def check_the_check(options, tally):
    """A planted loss must be found, else all the rounds above say nothing."""
    directory = Directory(options, 0)
    chance = random.Random(options.seed + 1)
    try:
        run_round(directory, chance, lie=True)
        tally.failed += 1
        print("FAIL a planted loss was not found")
    except Wrong as found:
        tally.passed += 1
        print(f"ok a planted loss is found: {str(found)[:160]}")
    except (ServerError, redis.RedisError, OSError) as error:
        tally.failed += 1
        print(f"FAIL the self-test could not run: {error}")
    finally:
        directory.server.kill()
        shutil.rmtree(directory.path, ignore_errors=True)


def parse_options():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--binary", default=os.path.join(root, "build", "perdure"))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--report", type=int, default=5, help="print progress every so many rounds")
    parser.add_argument("--work", help="where data directories go (default: crash-work beside the binary)")
    parser.add_argument("--server-option", action="append", default=[], help="passed on to `perdure server`")
    parser.add_argument("--keep", action="store_true", help="keep the data directories of good rounds, too")
    parser.add_argument("--lie", action="store_true", help="delete acknowledged keys before verifying: must fail")
    parser.add_argument("--redis", action="store_true", help="drive a real redis-server instead: tests this driver")
    options = parser.parse_args()
    options.binary = os.path.abspath(options.binary)
    options.work = os.path.abspath(options.work or os.path.join(os.path.dirname(options.binary), "crash-work"))
    return options


def main():
    options = parse_options()
    tally = Tally()
    print(f"seed {options.seed}, data in {options.work}", flush=True)
    if not options.redis and not os.access(options.binary, os.X_OK):
        print(f"{options.binary} is not there: ./dev build")
        print("0 passed, 1 failed")
        return 1
    os.makedirs(options.work, exist_ok=True)
    run_rounds(options, tally)
    if not options.lie:
        check_the_check(options, tally)
    if tally.failed == 0 and not options.keep:
        shutil.rmtree(options.work, ignore_errors=True)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
