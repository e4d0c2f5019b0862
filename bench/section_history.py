"""What the past costs: actors rewound and restored, backups and restores, the archive, and what all of that takes from who is served
meanwhile. Beside Redis's snapshots and append-only files, and PostgreSQL's base backups with recovery to a moment (history_peers.py)."""

import itertools
import os
import shutil
import statistics
import subprocess
import threading
import time

import history_peers
from history_tools import (as_map, ask, backup, change, disk_rate, drop_cache, fill, now, process_seconds, set_request, settle,
                           user_bytes, write_all, zstd_rate)
from measuring import BenchError, HEAD, Load, MIB, Row, first_line, perdure_bench, perdure_with, say
from resp_connection import RespConnection

TITLE = "The past: restores, backups, the archive"
ACTORS, ACTORS_QUICK = 1_000_000, 20_000
KEYS, KEYS_QUICK = 10_000_000, 200_000
GB, GB_QUICK = 1.0, 0.1
CHANGES = 1000
CHANGES_TRIES = 3
VALUE = 1000  # bytes of a value where much is backed up
RESTORERS = (1, 8, 32)
SMALL_KEYS = 10
SMALL_CHANGES = 3
ARCHIVE_INTERVAL = "200ms"
LOOK_S = 0.02
FASTEST = Load("set", 50, 16)
SERVED = tuple(Load(test, 50, pipeline, value_size=VALUE) for test, pipeline in (("set", 1), ("set", 16), ("get", 1)))


def checkpoint(options, server):
    subprocess.run([options.binary, "store", "checkpoint", "--data", server.directory], stdout=subprocess.DEVNULL, check=True)


def rounds(options):
    return 1 if options.quick else options.rounds


def server_of(options, name, *wanted):
    return perdure_with(options, name, ("--memory-budget", "1GiB"), *wanted)


def keys_of(options):
    return max(1000, int(options.history_gb * 1e9) // user_bytes(1, VALUE))


# ---- one actor rewound ----


def rewound(server, connection, actor, mess):
    """[(seconds, seconds of CPU)] of putting an actor back, in which mess(number) has made a thousand changes each time."""
    found = []
    for number in range(CHANGES_TRIES):
        before, then = ask(connection, "PD.STATEHASH", actor), now(connection)
        mess(number)
        cpu, began = process_seconds(server.pid), time.monotonic()
        reply = as_map(ask(connection, "PD.ACTOR", "RESTORE", actor, "AT", then))
        found.append((time.monotonic() - began, process_seconds(server.pid) - cpu))
        if reply["way"] != b"changes" or ask(connection, "PD.STATEHASH", actor) != before:
            raise BenchError(f"actor {actor} is not what it was: {reply}")
    return found


def rewind_rows(words, found):
    for column, what in enumerate(("until the answer", "CPU of the server")):
        value = statistics.median(each[column] for each in found) * 1e3
        yield Row(f"{CHANGES:,} changes taken back, {words}: {what}", value, None, 100, lower=True, unit=" ms", note=" ms", value=value)


def one_of_many(options):
    """Each other actor has a key. While the one is changed, so are ten times as many others."""
    others = options.history_actors

    def mess(number):
        def requests():
            for i in range(CHANGES):
                yield set_request(f"{{one}}{i * 7 % 2000}", f"mess {number} {i}")
                for k in range(10):
                    yield set_request(f"{{a{(i * 7919 + k * 104729 + number) % others}}}k", f"changed {i}")

        write_all(server.port, requests())

    with server_of(options, "history-actors") as server:
        server.start()
        say(f"{others:,} actors")
        write_all(server.port, (set_request(f"{{a{i}}}k", f"{i:064d}") for i in range(others)))
        write_all(server.port, (set_request(f"{{one}}{i}", f"{i:064d}") for i in range(2000)))
        settle(server)
        with RespConnection(server.port, timeout=600) as connection:
            ask(connection, "SET", "{one}0", "0")
            yield from rewind_rows(f"one actor beside {others:,}", rewound(server, connection, "one", mess))

            def behind_checkpoint(number):
                mess(number)
                checkpoint(options, server)

            yield from rewind_rows(f"one actor beside {others:,}, a checkpoint since",
                                   rewound(server, connection, "one", behind_checkpoint))


def one_large(options):
    keys = options.history_keys
    with server_of(options, "history-large") as server:
        server.start()
        say(f"an actor of {keys:,} keys")
        fill(options, server.port, keys, 16)
        settle(server)
        checkpoint(options, server)  # a past whose base is older than its actor's 256 MiB of changes is refused
        with RespConnection(server.port, timeout=600) as connection:
            ask(connection, "PD.USE", "main")
            ask(connection, "SET", ":first", "0")
            yield from rewind_rows(f"one actor of {keys:,} keys", rewound(
                server, connection, "main", lambda number: change(options, server.port, keys, 16, CHANGES, 100 + number)))


def rewind(options):
    yield from one_of_many(options)
    yield from one_large(options)


# ---- many actors restored ----


class Restoring:
    """Connections that take one actor after another, until the time is over or none is left."""

    def __init__(self, port, actors, then, seconds):
        self.port, self.then, self.seconds = port, then, seconds
        self.actors = iter(actors)
        self.lock = threading.Lock()
        self.restored, self.failed = [], []

    def next(self):
        with self.lock:
            return next(self.actors, None)

    def work(self):
        try:
            with RespConnection(self.port, timeout=120) as connection:
                while time.monotonic() < self.end and (actor := self.next()) is not None:
                    reply = as_map(ask(connection, "PD.ACTOR", "RESTORE", actor, "AT", self.then))
                    if reply["way"] != b"changes":
                        raise BenchError(f"{actor}: {reply}")
                    with self.lock:
                        self.restored.append(actor)
        except (BenchError, OSError) as error:
            self.failed.append(error)

    def run(self, count):
        """Actors a second."""
        began = time.monotonic()
        self.end = began + self.seconds
        threads = [threading.Thread(target=self.work) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failed:
            raise BenchError(str(self.failed[0]))
        return len(self.restored) / (time.monotonic() - began)


def restores(options):
    """Small actors that were all changed, put back one by one, through several connections."""
    count = options.history_small
    names = [f"s{i}" for i in range(count)]
    with server_of(options, "history-small") as server:
        server.start()
        say(f"{count:,} small actors")
        write_all(server.port, (set_request(f"{{{name}}}{i}", f"{i:064d}") for name in names for i in range(SMALL_KEYS)))
        settle(server)
        checkpoint(options, server)
        with RespConnection(server.port, timeout=300) as connection:
            ask(connection, "SET", "behind", "them")
            then, sample = now(connection), names[:50]
            before = {name: ask(connection, "PD.STATEHASH", name) for name in sample}
            write_all(server.port, (set_request(f"{{{name}}}{i}", "mess") for name in names for i in range(SMALL_CHANGES)))
            at, best = 0, 0.0
            for clients in RESTORERS:
                work = Restoring(server.port, names[at:], then, max(1.0, options.seconds))
                cpu = process_seconds(server.pid)
                rate = work.run(clients)
                cpu = (process_seconds(server.pid) - cpu) / max(1, len(work.restored))
                at, best = at + len(work.restored), max(best, rate)
                yield Row(f"actors restored to a moment, {clients} client{'s' * (clients > 1)} ({cpu * 1e6:,.0f} µs of CPU each)", rate, None,
                          unit=" /s")
                if at >= count:
                    break
            yield Row("actors restored to a moment, the best of these", best, None, 1000, 10_000, unit=" /s", note=" /s", value=best)
            same = sum(ask(connection, "PD.STATEHASH", name) == before[name] for name in sample[:at])
        yield equal_row("restored actors, looked at", same, min(at, len(sample)))


def equal_row(words, same, count):
    return Row(f"{words}: the same hash of state, of {count}", same, count, 1)


# ---- backups ----


class Vaults:
    """Repositories beside each other, each for one backup and what comes after it. A server does not begin another one where there was
    one: no two have a name in common, whoever has made them."""
    numbers = itertools.count(1)

    def __init__(self, options):
        self.options = options

    def new(self):
        return os.path.join(self.options.work, f"vault-{next(self.numbers)}")

    @staticmethod
    def drop(path):
        shutil.rmtree(path, ignore_errors=True)


def backup_round(options, server, connection, vaults, number):
    """One full backup of what no page cache has, an incremental one after changes, both without the state's hash, and one more of
    what is cached; and what the disk and zstd do then. Returns the figures and the repository with both."""
    keys, size = keys_of(options), int(options.history_gb * 1e9)

    def mess(part):
        change(options, server.port, keys, VALUE, keys // 100, 1000 + 10 * number + part)
        settle(server)

    vault, other, warm = vaults.new(), vaults.new(), vaults.new()
    settle(server)
    figures = {"disk": disk_rate(options.work, size), "zstd": zstd_rate(server.directory)}
    drop_cache(server.directory)
    figures["full"] = full = backup(connection, "FULL", vault)
    mess(1)
    drop_cache(server.directory)
    figures["incremental"] = backup(connection, "INCREMENTAL", vault)
    drop_cache(server.directory)
    figures["bare full"] = backup(connection, "FULL", other, "NOSTATE")
    mess(2)
    drop_cache(server.directory)
    figures["bare incremental"] = backup(connection, "INCREMENTAL", other, "NOSTATE")
    vaults.drop(other)
    figures["warm full"] = backup(connection, "FULL", warm)
    vaults.drop(warm)
    say(f"full {full['bytes'] / full['seconds'] / MIB:.0f} MiB/s, disk {figures['disk'] / MIB:.0f}, zstd {figures['zstd'] / MIB:.0f}")
    return figures, vault


def restored(options, vault, number):
    """What `perdure backup drill` and `restore` say of the newest backup of a repository, read from the disk."""
    target = os.path.join(options.work, f"again-{number}")
    drop_cache(vault)
    began = time.monotonic()
    made = history_peers.command_json(options, "backup", "restore", "--repository", vault, "--data", target)
    made["seconds"] = time.monotonic() - began
    shutil.rmtree(target)
    drop_cache(vault)
    began = time.monotonic()
    drill = history_peers.command_json(options, "backup", "drill", "--repository", vault, "--scratch", options.work)
    drill["seconds"] = time.monotonic() - began
    return made, drill


def rate(done):
    return done["bytes"] / done["seconds"] / MIB


def backup_rows(measured):
    def median(function):
        return statistics.median(map(function, measured))

    bar = median(lambda each: min(each["disk"], each["zstd"])) / MIB
    yield Row("full backup, against the disk's writes in order or two cores of zstd, whichever is slower",
              median(lambda each: rate(each["full"])), bar, 0.6, unit=" MiB/s")
    for name, words in (("bare full", "without the state's hash"), ("warm full", "of what the page cache has")):
        yield Row(f"full backup {words}, against the same", median(lambda each, name=name: rate(each[name])), bar, unit=" MiB/s")
    for name in ("disk", "zstd"):
        yield Row(f"for comparison: {'the disk, written in order' if name == 'disk' else 'zstd on two cores'}, alone",
                  median(lambda each, name=name: each[name]) / MIB, None, unit=" MiB/s")
    for before, words, must, aim in (("", "", 0.03, 0.015), ("bare ", ", both without the state's hash", None, None)):
        yield Row(f"incremental backup after 1 % was changed, against a full one{words}",
                  median(lambda each, before=before: each[before + "incremental"]["seconds"]),
                  median(lambda each, before=before: each[before + "full"]["seconds"]), must, aim, lower=True, unit=" s")


def backups(options):
    keys = keys_of(options)
    vaults, measured, made, drills, same = Vaults(options), [], [], [], 0
    with server_of(options, "history-backup") as server:
        server.start()
        say(f"{options.history_gb:g} GB")
        fill(options, server.port, keys, VALUE)
        checkpoint(options, server)  # what was loaded into memory would only be in the first round's way
        with RespConnection(server.port, timeout=600) as connection:
            for number in range(rounds(options)):
                say(f"backups: round {number + 1} of {rounds(options)}")
                figures, vault = backup_round(options, server, connection, vaults, number)
                measured.append(figures)
                for done in restored(options, vault, number):
                    (drills if "rto_s" in done else made).append(done)
                    same += done["compared"] and done["hash"] == figures["incremental"]["hash"].decode()
                vaults.drop(vault)
    yield from backup_rows(measured)
    for words, done in (("restore of a backup", made), ("drill", drills)):
        yield Row(f"{words}, its state compared, against the disk's writes in order", statistics.median(map(rate, done)),
                  statistics.median(each["disk"] for each in measured) / MIB, unit=" MiB/s")
    yield equal_row("restored directories", same, 2 * len(measured))


# ---- the archive ----


class Lag:
    """How long ago the last archived record was made durable, as somebody sees who looks again and again."""

    def __init__(self, port):
        self.port, self.durable, self.lags, self.stopped = port, [], [], threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        with RespConnection(self.port) as connection:
            at = 0
            while not self.stopped.wait(LOOK_S):
                status = as_map(ask(connection, "PD.ARCHIVE", "STATUS"))
                when = time.monotonic()
                if status["gaps"] or status["failures"]:
                    raise BenchError(f"the archive: {status}")
                self.durable.append((when, status["durable_lsn"]))
                # The first look at which something was durable that is not archived now.
                while at < len(self.durable) and self.durable[at][1] <= status["archived_lsn"]:
                    at += 1
                self.lags.append(when - self.durable[at][0] if at < len(self.durable) else 0.0)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()

    def worst(self):
        if not self.lags:
            raise BenchError("nobody could look at the archive's lag")
        return max(self.lags)


def archive(options):
    """Two servers side by side, one with an archive: the one that is not loaded has nothing to do."""
    place = os.path.join(options.work, "history-archive")
    os.makedirs(place)
    with (server_of(options, "history-alone") as alone,
          server_of(options, "history-archived", ("--archive", place), ("--archive-interval", ARCHIVE_INTERVAL)) as followed):
        rates, cpu, lags = {alone: [], followed: []}, {alone: [], followed: []}, []
        for server in rates:
            server.start()
            perdure_bench(options, server.port, FASTEST, "--requests", options.keys, "--in-order")
        for number in range(2 * rounds(options)):
            say(f"archive: round {number + 1} of {2 * rounds(options)}")
            for server in rates:
                with Lag(followed.port) as lag:
                    before = process_seconds(server.pid)
                    result = perdure_bench(options, server.port, FASTEST, "--seconds", options.seconds, seed=number + 1)
                rates[server].append(result["ops_per_second"])
                cpu[server].append((process_seconds(server.pid) - before) * 1e6 / result["replies"])
                if server is followed:
                    lags.append(lag.worst())
                settle(followed, 20)
        mine, peer = statistics.median(rates[followed]), statistics.median(rates[alone])
        yield Row(f"{FASTEST}, with an archive in a directory beside it, against without: what it costs", mine, peer, 0.10, lower=True,
                  unit=" /s", value=1 - mine / peer)
        yield Row("CPU per operation, the same", statistics.median(cpu[followed]), statistics.median(cpu[alone]), lower=True, unit=" µs")
        yield Row(f"the archive's lag meanwhile, at most, every {ARCHIVE_INTERVAL}", statistics.median(lags), None, 1, lower=True, unit=" s",
                  note=" s", value=statistics.median(lags))
        followed.stop()
        checked = history_peers.command_json(options, "archive", "verify", "--archive", place)
        if not checked["sound"]:
            raise BenchError(f"the archive: {checked}")


# ---- who is served beside a backup ----


class Backups:
    """One full backup after another, each into a repository of its own, until it is told to stop."""

    def __init__(self, options, server):
        self.vaults, self.port = Vaults(options), server.port
        self.stopped, self.running, self.made, self.failed = threading.Event(), threading.Event(), 0, None
        self.thread = threading.Thread(target=self.work)

    def work(self):
        try:
            with RespConnection(self.port, timeout=600) as connection:
                while not self.stopped.is_set():
                    vault = self.vaults.new()
                    self.running.set()
                    backup(connection, "FULL", vault)
                    self.made += 1
                    self.vaults.drop(vault)
        except (BenchError, OSError) as error:
            self.failed = error

    def __enter__(self):
        self.thread.start()
        self.running.wait()
        time.sleep(0.2)  # past the checkpoint that it begins with, where that is short
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        if self.failed is not None:
            raise BenchError(f"a backup beside the serving: {self.failed}")


def beside(options):
    """The same load on the same server, alone and beside backups, in turns."""
    keys, found = keys_of(options), {}
    with server_of(options, "history-beside") as server:
        server.start()
        fill(options, server.port, keys, VALUE)

        def load(who, kind, seed):
            result = perdure_bench(options, server.port, kind, "--seconds", options.seconds, seed=seed, keys=keys,
                                   value_size=VALUE)
            found.setdefault((who, str(kind)), []).append((result["ops_per_second"], result["operations"][kind.test]["p99_us"]))

        settle(server)
        for number in range(rounds(options)):
            say(f"beside a backup: round {number + 1} of {rounds(options)}")
            for kind in SERVED:
                load("alone", kind, number)
                with Backups(options, server):
                    load("beside", kind, number)
                settle(server, 20)
    for kind in map(str, SERVED):
        (mine, late), (peer, usual) = (
            [statistics.median(each[column] for each in found[who, kind]) for column in range(2)] for who in ("beside", "alone"))
        yield Row(f"{kind}, beside full backups, against alone: what they cost", mine, peer, 0.15, lower=True, unit=" /s", value=1 - mine / peer)
        yield Row(f"p99, {kind}, beside full backups, against alone", late, usual, 2, lower=True, unit=" µs")


# ---- the section ----


def recovery(options):
    return history_peers.rows(options)


PARTS = {"rewind": rewind, "restores": restores, "backups": backups, "archived": archive, "beside": beside, "recovery": recovery}


def add_options(parser):
    parser.add_argument("--history-actors", type=int, help=f"other actors, beside which one is rewound (default {ACTORS:,}, quick {ACTORS_QUICK:,})")
    parser.add_argument("--history-keys", type=int, help=f"of a large actor that is rewound (default {KEYS:,}, quick {KEYS_QUICK:,})")
    parser.add_argument("--history-small", type=int, help="actors that are restored one by one (default 50,000, quick 3,000)")
    parser.add_argument("--history-gb", type=float, help=f"data that is backed up, in 10^9 bytes (default {GB:g}, quick {GB_QUICK:g})")


def complete(options):
    options.history_actors = options.history_actors or (ACTORS_QUICK if options.quick else ACTORS)
    options.history_keys = options.history_keys or (KEYS_QUICK if options.quick else KEYS)
    options.history_small = options.history_small or (3_000 if options.quick else 50_000)
    options.history_gb = options.history_gb or (GB_QUICK if options.quick else GB)


def about(options):
    return [f"{first_line([history_peers.postgres.program('postgres'), '--version'])}",
            f"{rounds(options)} rounds in turns, {options.seconds:g} s each, medians; rewinding: {CHANGES_TRIES} times; strict, memory budget "
            "1 GiB where nothing else is said",
            f"backups: {options.history_gb:g} GB in {keys_of(options):,} keys, values of {VALUE:,} B that do not compress; the page cache is "
            "dropped before each, and data and repository are on the same disk; a full backup makes its checkpoint first",
            f"many actors: {SMALL_KEYS} keys each, {SMALL_CHANGES} of them changed since. A checkpoint is made before the changes of these, and of "
            "the actor of many keys"]


def run(options):
    found = []
    for name, part in PARTS.items():
        if options.parts is None or name in options.parts:
            say(name)
            found += list(part(options))
    return [*HEAD, *(row.markdown() for row in found)]
