#!/usr/bin/python3
"""The memory of long-running agents, kept by Perdure through plain redis-py.

Each agent writes down every command it runs and what that said, for as long as it runs: numbered without a gap, on stable
storage before it goes on, each record exactly once whatever crashes, and no more of the past than it wants to keep.

    ./dev run                                       # in another terminal
    examples/agent_loop.py --agents 4 --minutes 1 --check

Kill either side meanwhile, as rudely as you like: the agents read their own state back and go on where they stopped.

What agent 7 has, all of it of the actor `agent:7`:

    {agent:7}:head             hash: seq, the last record's number; digest, over all records so far
    {agent:7}:command:<seq>    hash: command, exit_code, started_at
    {agent:7}:output:<seq>     string: what it said
    {agent:7}:summary          hash: what is left of records 1 … upto: counts, and the digest up to there
"""

import argparse
import hashlib
import os
import random
import sys
import threading
import time

try:
    import redis
except ImportError:
    sys.exit("agent_loop: redis-py is missing: apt-get install python3-redis, and run this with /usr/bin/python3")

# What says "not now": the same request is safe to send again, since it carries an idempotency key.
WAIT_AND_RETRY = ("FENCED", "DISKFULL", "OOM", "TRYAGAIN", "LOADING")
RETRY_S = 0.1
PATIENCE_S = 60  # with a server that does not come back
COUNTS = ("commands", "failures", "output_bytes")


class Missing(Exception):
    """Something that was acknowledged is not there, or not as it was written."""


# ---- what the agent does for a living ----


class Record:
    def __init__(self, seq, command, exit_code, started_at, output):
        self.seq, self.command, self.exit_code, self.started_at, self.output = seq, command, exit_code, started_at, output

    def digest(self, before):
        """The digest over all records up to this one."""
        words = (str(self.seq).encode(), self.command, str(self.exit_code).encode(), str(self.started_at).encode(), self.output)
        return hashlib.sha256(b"\0".join((before.encode(), *words))).hexdigest()


def run_a_command(chance, seq):
    """Stands for whatever an agent really does: some commands say much, some fail."""
    verb = chance.choice(("ls -la", "git status", "make test", "grep -rn TODO", "curl -s localhost"))
    lines = chance.choice((0, 1, 5, 20, 200))
    output = "\n".join(f"{chance.getrandbits(128):032x}" for _ in range(lines))
    return Record(seq, verb.encode(), chance.choice((0, 0, 0, 1)), int(time.time() * 1000), output.encode())


# ---- its memory ----


class Memory:
    """One agent's state in the store. Every write is one transaction with an idempotency key: sent again after a crash, it is
    done once."""

    def __init__(self, client, name):
        self.client, self.name, self.prefix = client, name, f"{{{name}}}"
        self.duplicates = 0

    def key(self, kind, seq=None):
        return f"{self.prefix}:{kind}" if seq is None else f"{self.prefix}:{kind}:{seq:012}"

    def write(self, token, *commands):
        """All of it on stable storage, or an exception. The words of the transaction go out together, so that no reconnection
        can come between an idempotency key and what it is for."""
        with self.client.pipeline(transaction=False) as pipe:
            pipe.response_callbacks = {}  # replies as they are: most of them only say QUEUED
            pipe.execute_command("PD.DURABILITY", "strict")
            pipe.execute_command("PD.IDEMPOTENCY", f"{self.name}:{token}")
            pipe.execute_command("MULTI")
            for command in commands:
                pipe.execute_command(*command)
            pipe.execute_command("EXEC")
            pipe.execute_command("PD.RECEIPT")
            replies = pipe.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        receipt = dict(zip(replies[-1][::2], replies[-1][1::2]))
        self.duplicates += receipt[b"duplicate"]

    def append(self, record, digest):
        fields = {"command": record.command, "exit_code": record.exit_code, "started_at": record.started_at}
        self.write(record.seq, ("HSET", self.key("command", record.seq), *flat(fields)),
                   ("SET", self.key("output", record.seq), record.output),
                   ("HSET", self.key("head"), "seq", record.seq, "digest", digest))

    def compact(self, summary, first):
        """Records first … upto become their summary."""
        gone = [self.key(kind, seq) for seq in range(first, summary["upto"] + 1) for kind in ("command", "output")]
        self.write(f"compact:{summary['upto']}", ("HSET", self.key("summary"), *flat(summary)), ("DEL", *gone))

    def head(self):
        head = self.client.hgetall(self.key("head"))
        return int(head.get(b"seq", 0)), head.get(b"digest", b"").decode()

    def summary(self):
        found = self.client.hgetall(self.key("summary"))
        summary = {name: int(found.get(name.encode(), 0)) for name in ("upto", *COUNTS)}
        summary["digest"] = found.get(b"digest", b"").decode()
        return summary

    def records(self, first, last):
        """In order, as they were written."""
        for start in range(first, last + 1, 100):
            numbers = range(start, min(start + 100, last + 1))
            with self.client.pipeline(transaction=False) as pipe:
                for seq in numbers:
                    pipe.hgetall(self.key("command", seq))
                    pipe.get(self.key("output", seq))
                replies = pipe.execute()
            for seq, fields, output in zip(numbers, replies[::2], replies[1::2]):
                if not fields or output is None:
                    raise Missing(f"{self.name}: record {seq} is not there, though {last} is")
                yield Record(seq, fields[b"command"], int(fields[b"exit_code"]), int(fields[b"started_at"]), output)


def flat(fields):
    return [word for pair in fields.items() for word in pair]


def added(summary, record):
    """The summary with one more record in it."""
    return {"upto": record.seq, "commands": summary["commands"] + 1,
            "failures": summary["failures"] + (record.exit_code != 0),
            "output_bytes": summary["output_bytes"] + len(record.output), "digest": record.digest(summary["digest"])}


# ---- the loop ----


class Agent:
    def __init__(self, options, name):
        self.options, self.name = options, name
        self.chance = random.Random()
        pool = redis.ConnectionPool(host=options.host, port=options.port, max_connections=1, socket_timeout=30)
        self.client = redis.Redis(connection_pool=pool)
        self.memory = Memory(self.client, self.name)
        self.acknowledged = (0, "")  # the last record known to be durable: number and digest
        self.pending = None  # (record, digest) sent, and not yet acknowledged
        self.summary = None
        self.written = self.compactions = self.replays = self.upkeeps = 0
        self.problem = None
        self.stop_at = time.monotonic() + options.minutes * 60 if options.minutes else None
        self.journal = self.open_journal()

    def open_journal(self):
        """What was acknowledged, kept on this side: only to prove that the other side has it, too."""
        if not self.options.journal:
            return None
        os.makedirs(self.options.journal, exist_ok=True)
        file = open(os.path.join(self.options.journal, self.name), "a+", encoding="ascii", buffering=1)
        file.seek(0)
        lines = [line.split() for line in file if line.endswith("\n")]
        if lines:
            self.acknowledged = (int(lines[-1][0]), lines[-1][1])
        return file

    def goes_on(self):
        return not self.options.stopping.is_set() and (self.stop_at is None or time.monotonic() < self.stop_at)

    def run(self):
        try:
            while self.goes_on():
                self.patiently(self.live)
            if self.options.check:
                self.patiently(self.replay)
        except Exception as error:  # the thread's last words are the main thread's to say
            self.problem = f"{self.name}: {type(error).__name__}: {error}"
            self.options.stopping.set()

    def patiently(self, act):
        """Until it has worked once, whatever becomes of the server meanwhile."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return act()
            except (redis.ConnectionError, redis.TimeoutError) as error:
                failure = error
            except redis.ResponseError as error:
                if not str(error).startswith(WAIT_AND_RETRY):
                    raise
                failure = error
            if time.monotonic() > deadline:
                raise failure
            time.sleep(RETRY_S)

    def live(self):
        self.replay()
        while self.goes_on():
            self.turn()

    def replay(self):
        """Read back what is stored, prove that it is whole, and go on from there."""
        seq, digest = self.memory.head()
        self.summary = self.memory.summary()
        state = dict(self.summary)
        at_acknowledged = state["digest"] if state["upto"] == self.acknowledged[0] else None
        for record in self.memory.records(self.summary["upto"] + 1, seq):
            state = added(state, record)
            if record.seq == self.acknowledged[0]:
                at_acknowledged = state["digest"]
        self.replays += 1
        if state["digest"] != digest:
            raise Missing(f"{self.name}: the records up to {seq} are not those that the head speaks of")
        if self.options.check:
            self.check(seq, at_acknowledged)
        if self.pending and self.pending[0].seq == seq and self.pending[1] != digest:
            raise Missing(f"{self.name}: record {seq} is another than was sent")
        if self.pending and self.pending[0].seq not in (seq, seq + 1):
            raise Missing(f"{self.name}: stored up to {seq}, when {self.pending[0].seq} was being written")
        self.digest, self.seq = digest, seq

    def check(self, seq, at_acknowledged):
        known, known_digest = self.acknowledged
        if seq < known:
            raise Missing(f"{self.name}: {known} was acknowledged, {seq} is the last one there")
        if known > self.summary["upto"] and at_acknowledged != known_digest:
            raise Missing(f"{self.name}: record {known} is not what was acknowledged")

    def turn(self):
        if self.pending is None:
            record = run_a_command(self.chance, self.seq + 1)
            self.pending = (record, record.digest(self.digest))
        record, digest = self.pending
        self.memory.append(record, digest)  # also when it is there already: the same again is done once
        self.pending = None
        self.seq, self.digest = self.acknowledged = record.seq, digest
        self.written += 1
        if self.journal:
            self.journal.write(f"{record.seq} {digest}\n")
        if self.seq - self.summary["upto"] >= 2 * self.options.window:
            self.compact()
        if self.options.upkeep_every and self.seq % self.options.upkeep_every == 0:
            self.keep_house()
        time.sleep(self.options.pause)

    def compact(self):
        """Of what is older than the window only counts and the digest are kept."""
        first, summary = self.summary["upto"] + 1, self.summary
        for record in self.memory.records(first, self.seq - self.options.window):
            summary = added(summary, record)
        self.memory.compact(summary, first)
        self.summary = summary
        self.compactions += 1

    def keep_house(self):
        """Servers do this by themselves, as their options say; here at a moment of our own choice: a checkpoint of the state,
        after which the log before it can go."""
        try:
            self.client.execute_command("PD.LOG", "COMPACT")
            self.upkeeps += 1
        except redis.ResponseError:
            pass  # another one runs, or there is nothing to look after

    def report(self):
        commands, failures, size = (self.summary[name] if self.summary else 0 for name in COUNTS)
        return (f"{self.name}: {self.written} records written, {self.acknowledged[0]} in all; {self.replays} replays, "
                f"{self.memory.duplicates} sent twice and done once, {self.compactions} compactions (summary: {commands} commands, "
                f"{failures} failures, {size} B), {self.upkeeps} log compactions begun")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7379)
    parser.add_argument("--agents", type=int, default=4)
    parser.add_argument("--name", default="agent", help="they are called NAME:0, NAME:1, … (default agent)")
    parser.add_argument("--minutes", type=float, default=1, help="0: until interrupted (default 1)")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two records of an agent (default 0.1)")
    parser.add_argument("--window", type=int, default=200, help="how many records are kept whole at least (default 200)")
    parser.add_argument("--upkeep-every", type=int, default=1000, help="PD.LOG COMPACT after so many records; 0: never")
    parser.add_argument("--check", action="store_true", help="at every replay and at the end: nothing acknowledged is missing")
    parser.add_argument("--journal", help="a directory where agents write down what was acknowledged, so that --check sees "
                        "further back than their own start")
    return parser.parse_args()


def main():
    options = parse_options()
    options.stopping = threading.Event()
    agents = [Agent(options, f"{options.name}:{number}") for number in range(options.agents)]
    threads = [threading.Thread(target=agent.run, daemon=True) for agent in agents]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)
    except KeyboardInterrupt:
        options.stopping.set()
        for thread in threads:
            thread.join(30)
    problems = [agent.problem for agent in agents if agent.problem]
    for agent in agents:
        print(agent.report())
    for problem in problems:
        print(problem)
    if options.check and not problems:
        print("nothing that was acknowledged is missing")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
