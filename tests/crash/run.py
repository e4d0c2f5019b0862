#!/usr/bin/python3
"""Let a real server meet faults under load, kill it, and check what it promised.

A round: let the writers write, let one of the troubles of troubles.py happen, kill -9, start the server again (often with more
trouble while it recovers), and compare all that it holds with the driver's memory. What is compared is in model.py. The check itself is
tested each time: one last round in which acknowledged keys are deleted behind the driver's back must fail; `--lie` does so in every
round.

kill -9 keeps the page cache, so this says nothing about syncing: power cuts are simulated (./dev crash --sim).
"""

import argparse
import collections
import os
import random
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))

import troubles  # noqa: E402
from broken_disk import SmallDisk, remove_tree, why_no_injection, why_no_small_disk  # noqa: E402
from compare import Wrong, redis, verify  # noqa: E402
from processes import HOST, Perdure, Redis, ServerError, free_port  # noqa: E402
from resp_connection import RespConnection  # noqa: E402
from upkeep import Upkeep  # noqa: E402
from writer import Writer  # noqa: E402

WORTH_OPERATIONS = 500  # a round with fewer acknowledged before the fault proves too little
FRESH_ROUNDS = 8  # rounds on one data directory
LOAD_MAX_S = 30  # how long writers may take for what a round wants of them
SMALL_EVERY = 3  # of so many directories one lies on a small file system of its own

# Directories take these in turn: segments small enough to be crossed all the time, one write or several in flight.
# With no history to keep, the log is trimmed behind every checkpoint.
NO_HISTORY = ("--retention-time", "0", "--retention-size", "0")
SERVER_OPTIONS = ({}, {"--segment-size": "1MiB"}, {"--queue-depth": "4"},
                  {"--segment-size": "256KiB", "--queue-depth": "1"})

# (level, idempotent operations too, deepest pipeline). Strict is the default, so most say nothing.
WRITERS = ((None, True, 1), (None, True, 8), (None, False, 64), (None, True, 16), (None, False, 1),
           ("standard", False, 16), ("performance", False, 16), ("none", False, 8))


class Deck:
    """What may happen, in an order of chance; all of it before anything comes twice."""

    def __init__(self, cards, chance):
        self.cards, self.chance, self.left = cards, chance, []

    def draw(self):
        if not self.left:
            self.left = self.chance.sample(self.cards, len(self.cards))
        return self.left.pop()


class Directory:
    """One data directory, its server and the writers whose memory it is compared with."""

    def __init__(self, options, serial, decks):
        self.home = os.path.join(options.work, f"data-{serial}")
        self.trace_path = self.home + ".strace"
        self.disk = None
        clear(self.home)
        os.makedirs(self.home)
        self.deck = decks.large
        if decks.small is not None and serial % SMALL_EVERY == SMALL_EVERY - 1:
            self.deck = decks.small
            self.disk = SmallDisk(self.home, troubles.SMALL_DISK_MIB)
        self.variant = dict(SERVER_OPTIONS[1] if self.disk else SERVER_OPTIONS[(serial - 1) % len(SERVER_OPTIONS)])
        self.server = make_server(options, os.path.join(self.home, "data"))
        self.server.log_path = self.home + ".log"
        self.server_option = options.server_option
        self.writers = [Writer(number, f"{options.seed}/{serial}", level, token and not options.redis, depth)
                        for number, (level, token, depth) in enumerate(WRITERS)
                        if level is None or not options.redis]
        self.rounds = 0
        self.moves = 0  # flushes and checkpoints, as far as somebody has seen them
        self.fences = 0
        self.next_trouble()

    def next_trouble(self):
        """What happens next, and what the server is started with for it."""
        self.trouble = self.deck.draw()
        self.struck_at = self.operations = None
        if self.server.name == "perdure":
            history = NO_HISTORY if "--segment-size" in self.variant else ()
            words = {**self.variant, **dict([self.trouble.server_options] if self.trouble.server_options else [])}
            self.server.options = [*(word for pair in words.items() for word in pair), *history, *self.server_option]

    def acknowledged(self):
        return sum(writer.acknowledged for writer in self.writers)

    def strike_now(self):
        """From now on weak writes may be lost, and what was acknowledged before made the round worth while."""
        self.struck_at = time.monotonic()
        if self.operations is None:
            self.operations = self.acknowledged()

    def end(self, keep):
        """Nothing of it is left running or mounted; its files stay, elsewhere, if they are wanted."""
        self.server.kill()
        if self.disk is not None:
            if keep:
                shutil.copytree(self.server.directory, self.home + "-kept", ignore=shutil.ignore_patterns("*.sock"))
            self.disk.unmount()
        if not keep:
            clear(self.home)


def clear(home):
    for leftover in (home, home + ".log", home + ".strace", home + "-kept"):
        if os.path.isdir(leftover):
            remove_tree(leftover)
        elif os.path.exists(leftover):
            os.unlink(leftover)


def make_server(options, path):
    if options.redis:
        return Redis(path, ["--appendonly", "yes", "--appendfsync", "always"])
    return Perdure(options.binary, path)


# ---- one round ----


def restart(directory, chance, tally, can_inject):
    """Start the server again, often with trouble in the middle of its recovery, up to four times before it is left alone."""
    server = directory.server
    for _ in range(4):
        if chance.random() < 0.5:
            break
        server.port = free_port()
        kind = chance.choice(("kill", "stop", "inject"))
        if kind == "inject" and can_inject:
            happened = troubles.inject_start(server, chance, directory.trace_path)
        elif kind == "stop":
            happened = troubles.stop_start(server, chance)
        else:
            kind, happened = "kill", troubles.kill_start(server, chance)
        if happened is not False:
            tally.starts[kind] += 1
        tally.kills += 1
    if directory.disk is not None:
        troubles.start_on_full_disk(server, directory.home)
    else:
        server.start()


def delete_some(server, writers):
    """The lie: take acknowledged keys away behind the driver's back."""
    with redis.Redis(HOST, server.port) as client:
        names = [key for writer in writers if writer.survives_kill()
                 for key in sorted(writer.generator.state.key_names())]
        if not names or client.delete(*names[:3]) == 0:
            raise ServerError("there was nothing to lie about")


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


def load(directory, chance):
    """Write until there is enough to lose."""
    wanted = chance.choice([1.1, 1.5, 3, 8]) * WORTH_OPERATIONS
    deadline = time.monotonic() + LOAD_MAX_S
    while directory.acknowledged() < wanted and time.monotonic() < deadline:
        if any(writer.complaint for writer in directory.writers):
            return
        time.sleep(0.002)
    time.sleep(0.05 * chance.random())


def load_and_kill(directory, chance):
    """Write, meet the trouble, be killed. Why the trouble did not come about, or ""."""
    missed = ""
    for writer in directory.writers:
        writer.start(directory.server.port)
    upkeep = None
    if directory.server.name == "perdure":
        upkeep = Upkeep(directory.server.port, chance.random())
    load(directory, chance)
    try:
        directory.trouble.strike(directory, chance)
    except troubles.Missed as error:
        missed = str(error)
    if directory.struck_at is None:
        directory.strike_now()
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
    return missed


def run_round(directory, chance, tally, lie, can_inject=True):
    """Raises Wrong for a broken promise; else it counts for what it was worth."""
    if not directory.server.is_running():
        directory.server.start()
    name = directory.trouble.name
    missed = load_and_kill(directory, chance)
    operations, struck_at = directory.operations, directory.struck_at
    tally.kills += 1
    directory.next_trouble()
    restart(directory, chance, tally, can_inject)
    if lie:
        delete_some(directory.server, directory.writers)
    verify(directory.server, directory.writers, struck_at)
    if directory.server.name == "perdure" and chance.random() < 0.3:
        kill_idle(directory)
        tally.kills += 1
    directory.rounds += 1
    tally.count_round(name, operations, missed)


# ---- all rounds ----


class Tally:
    def __init__(self):
        self.passed = self.failed = self.void = self.missed = 0
        self.operations = self.kills = self.moves = self.fences = 0
        self.rounds = collections.Counter()  # that passed, by their trouble
        self.starts = collections.Counter()  # with trouble, by what it was
        self.skipped = []  # troubles that this machine cannot have, and why

    def count_round(self, name, operations, missed):
        self.operations += operations
        if missed:
            self.missed += 1
        elif operations < WORTH_OPERATIONS:
            self.void += 1
        else:
            self.passed += 1
            self.rounds[name] += 1

    def take_from(self, directory):
        self.moves += directory.moves
        self.fences += directory.fences
        directory.moves = directory.fences = 0


class Decks:
    """The troubles that can be had here: of a directory on the disk, and (or None) of one on a small disk of its own."""

    def __init__(self, options, tally):
        chance = random.Random(options.seed)
        large = [troubles.Kill(), troubles.Kill(), troubles.Stop(), troubles.Stop()]
        self.small, self.can_inject = None, False
        if not options.redis:
            why = why_no_injection(os.path.join(options.work, "probe.strace"))
            self.can_inject = not why
            if why:
                tally.skipped.append(f"failing calls ({why})")
            else:
                large += troubles.INJECTIONS
            why = why_no_small_disk(os.path.join(options.work, "probe-disk"))
            if why:
                tally.skipped.append(f"a full disk ({why})")
            else:
                self.small = Deck([troubles.Full()] * 4 + [troubles.Kill(), troubles.Stop()], chance)
        self.large = Deck(large, chance)


def run_rounds(options, tally, decks):
    chance = random.Random(options.seed)
    void_max = options.rounds + 10
    on_one = min(FRESH_ROUNDS, max(2, options.rounds // 4))
    serial, directory = 1, Directory(options, 1, decks)
    try:
        while tally.passed + tally.failed < options.rounds and tally.void + tally.missed <= void_max:
            over = False
            try:
                run_round(directory, chance, tally, options.lie, decks.can_inject)
                over = directory.rounds >= on_one
                kept = options.keep
            except troubles.Spoiled:
                over, kept = True, False
                tally.missed += 1
            except (Wrong, ServerError, redis.RedisError, OSError) as error:
                over = kept = True
                tally.failed += 1
                report_failure(error, directory)
            tally.take_from(directory)
            if over:
                directory.end(kept)
                serial += 1
                directory = Directory(options, serial, decks)
            progress(options, tally)
    finally:
        directory.end(options.keep)
    if tally.void + tally.missed > void_max:
        print(f"FAIL too many rounds that show nothing: {tally.void} void, {tally.missed} whose fault did not come about; "
              "the machine is too slow, or the server stalls")
        tally.failed += 1


def report_failure(error, directory):
    directory.server.kill()
    print(f"FAIL round {directory.rounds} on {directory.home} {' '.join(directory.server.options)} (kept), "
          f"after {directory.trouble.name}: {type(error).__name__}: {error}", flush=True)


def listed(counter):
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items())) or "none"


def progress(options, tally):
    done = tally.passed + tally.failed
    if done % options.report == 0 or done == options.rounds:
        print(f"round {done}/{options.rounds}: {tally.passed} passed, {tally.failed} failed, {tally.void} void, "
              f"{tally.missed} missed; by fault: {listed(tally.rounds)}; while starting: {listed(tally.starts)}; "
              f"{tally.fences} fences, {tally.kills} kills, {tally.operations} operations acknowledged before the fault, "
              f"{tally.moves} flushes and checkpoints", flush=True)


def check_the_check(options, tally, decks):
    """A planted loss must be found, else all the rounds above say nothing."""
    directory = Directory(options, 0, decks)
    directory.trouble = troubles.Kill()
    try:
        run_round(directory, random.Random(options.seed + 1), Tally(), lie=True, can_inject=False)
        tally.failed += 1
        print("FAIL a planted loss was not found")
    except Wrong as found:
        tally.passed += 1
        print(f"ok a planted loss is found: {str(found)[:160]}")
    except (ServerError, redis.RedisError, OSError) as error:
        tally.failed += 1
        print(f"FAIL the self-test could not run: {error}")
    finally:
        directory.end(keep=False)


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
    decks = Decks(options, tally)
    run_rounds(options, tally, decks)
    if not options.lie:
        check_the_check(options, tally, decks)
    for skipped in tally.skipped:
        print(f"skipped: {skipped}")
    if tally.failed == 0 and not options.keep:
        shutil.rmtree(options.work, ignore_errors=True)
    skipped = f", {len(tally.skipped)} skipped" if tally.skipped else ""
    print(f"{tally.passed} passed, {tally.failed} failed{skipped}")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
