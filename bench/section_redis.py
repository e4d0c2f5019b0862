"""Perdure beside Redis: the same load, in turns, medians, as ratios.

The judge is `perdure bench`: one generator for both servers, values that do not compress, every reply verified, and it
needs less of the processor than redis-benchmark, so that the server is what is measured. redis-benchmark is run as well,
on two lines, for comparison with what others publish.
"""

import json
import os
import statistics
import subprocess

from measuring import (BenchError, HEAD, KEY_SIZE, Load, Row, VALUE_SIZE, number, perdure_bench, say)
from processes import HOST, Perdure, Redis, need_program
from resp_connection import RespConnection

TITLE = "Beside Redis"
REDIS_PLAIN = ["--appendonly", "no", "--rdbcompression", "no"]
# No rewriting of the append-only file in the middle of a measurement: that would only cost Redis.
REDIS_AOF = ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0", "--rdbcompression", "no"]


# ---- one measurement ----


def measure(options, server, load, seed):
    """Figures of one run: operations a second, percentiles, and what server and device did for each operation."""
    cpu, disk = server.cpu_seconds(), options.disk.counters()
    result = perdure_bench(options, server.port, load, "--seconds", options.seconds, seed=seed)
    cpu_after, disk_after = server.cpu_seconds(), options.disk.counters()
    count = result["replies"]
    figures = {"ops": result["ops_per_second"], "cpu_us": (cpu_after - cpu) * 1e6 / count}
    kind = result["operations"][load.test]
    for name in ("p50_us", "p99_us", "p999_us", "max_us"):
        figures[name] = kind[name]
    if disk is not None:
        figures["writes"] = (disk_after[0] - disk[0]) / count
        figures["flushes"] = (disk_after[1] - disk[1]) / count
    return figures


def measure_redis_benchmark(options, server, load, count):
    """Operations a second as redis-benchmark sees them."""
    program = need_program("redis-benchmark", "redis-tools")
    done = subprocess.run([program, "-h", HOST, "-p", str(server.port), "-t", load.test, "-d", str(VALUE_SIZE), "-r",
                           str(options.keys), "-n", str(count), "-c", str(load.clients), "-P", str(load.pipeline), "--csv"],
                          capture_output=True, text=True, timeout=300, check=True)
    line = [line for line in done.stdout.splitlines() if line.lower().startswith(f'"{load.test}')][-1]
    return {"ops": float(line.split(",")[1].strip('"')), "p50_us": float(line.split(",")[4].strip('"')) * 1000}


class Series:
    """The runs of everybody under every load, taken in turns."""

    def __init__(self):
        self.runs = {}

    def add(self, who, load, figures):
        self.runs.setdefault((who, str(load)), []).append(figures)

    def has(self, who, load):
        return (who, str(load)) in self.runs

    def median(self, who, load, name):
        values = [figures[name] for figures in self.runs[who, str(load)] if name in figures]
        return statistics.median(values) if values else None


# ---- the servers ----


class Field:
    """All servers, running side by side: idle ones cost nothing that can be measured."""

    def __init__(self, options):
        self.options = options
        work = options.work
        self.perdure = Perdure(options.binary, os.path.join(work, "perdure"))
        self.redis = {
            "always": Redis(os.path.join(work, "redis-always"), [*REDIS_AOF, "--appendfsync", "always"]),
            "everysec": Redis(os.path.join(work, "redis-everysec"), [*REDIS_AOF, "--appendfsync", "everysec"]),
            "none": Redis(os.path.join(work, "redis-none"), REDIS_PLAIN),
        }

    def everybody(self):
        return [self.perdure, *self.redis.values()]

    def server(self, who):
        return self.perdure if who.startswith("perdure") else self.redis[who]

    def start(self):
        for server in self.everybody():
            server.start()
            perdure_bench(self.options, server.port, Load("set", 50, 64), "--requests", self.options.keys, "--in-order")

    def stop(self):
        for server in self.everybody():
            server.kill()


def judged(who):
    """The series of redis-benchmark, the load that the bars were set with: at 50 clients and more it is itself the
    ceiling. `perdure bench`, which costs less, shows what lies above it; both are in the table."""
    return f"redis-benchmark {who}"


SETS = [Load("set", 1, 1), Load("set", 50, 1), Load("set", 200, 1), Load("set", 50, 16)]
GETS = [Load("get", 50, 1), Load("get", 50, 16)]
WEAK = [Load("set", 50, 1), Load("set", 50, 16)]


def with_level(load, level):
    return Load(load.test, load.clients, load.pipeline, level)


def run_rounds(options, field, series):
    """In each round every load, and under each load everybody in turn: A B C D, A B C D, …"""
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        for load in SETS:
            for who in ("perdure", "always", "everysec", "none"):
                series.add(who, load, measure(options, field.server(who), load, number + 1))
        for load in GETS:
            for who in ("perdure", "none"):
                series.add(who, load, measure(options, field.server(who), load, number + 1))
        for load in WEAK:
            for level in ("standard", "none"):
                figures = measure(options, field.perdure, with_level(load, level), number + 1)
                series.add(f"perdure {level}", load, figures)
        for load in SETS:
            for who in ("perdure", "always", "none"):
                count = max(1000, int(series.median(who, load, "ops") * options.seconds))
                figures = measure_redis_benchmark(options, field.server(who), load, count)
                series.add(judged(who), load, figures)


# ---- the log's size, and recovery ----


def log_bytes(options, server):
    """Bytes that the log of a Perdure directory uses, as `perdure log stats` says; None without that: the sizes of its
    files say nothing, since segments are allocated whole."""
    done = subprocess.run([options.binary, "log", "stats", "--data", server.directory, "-o", "json"],
                          capture_output=True, text=True, timeout=120, check=False)
    figures = json.loads(done.stdout) if done.returncode == 0 else {}
    for name in ("used_bytes", "bytes_used", "bytes"):
        if name in figures:
            return figures[name]
    say(f"perdure log stats does not say how many bytes are used: {(done.stderr or done.stdout)[:200]}")
    return None


def aof_bytes(server):
    total = 0
    for base, _, names in os.walk(server.directory):
        total += sum(os.path.getsize(os.path.join(base, name)) for name in names if ".aof" in name)
    return total


def log_cost(options):
    """{(who, how): bytes of log for one SET beyond its key and value, None if not known}."""
    costs = {}
    counts = {"1 client": (Load("set", 1, 1), 2000), "grouped": (Load("set", 50, 16), 200_000)}
    for how, (load, count) in counts.items():
        for who in ("perdure", "always"):
            directory = os.path.join(options.work, f"log-{who}-{load.clients}")
            server = (Perdure(options.binary, directory) if who == "perdure"
                      else Redis(directory, [*REDIS_AOF, "--appendfsync", "always"]))
            with server:
                server.start()
                size = (lambda: log_bytes(options, server)) if who == "perdure" else (lambda: aof_bytes(server))
                before = size()
                perdure_bench(options, server.port, load, "--requests", count)
                after = size()
                known = before is not None and after is not None
                costs[who, how] = (after - before) / count - KEY_SIZE - VALUE_SIZE if known else None
    return costs


def recovery(options):
    """{who: seconds from start to ready} after so many SETs on half as many keys, killed; page cache warm."""
    servers = {"perdure": Perdure(options.binary, os.path.join(options.work, "recover-perdure")),
               "redis": Redis(os.path.join(options.work, "recover-redis"),
                              [*REDIS_AOF, "--appendfsync", "everysec", "--aof-use-rdb-preamble", "no"])}
    times = {who: [] for who in servers}
    for server in servers.values():
        with server:
            server.start()
            perdure_bench(options, server.port, Load("set", 50, 64), "--requests", options.recovery_operations)
            if server.name == "redis-server":
                server.stop()  # a killed one would lose what was not yet synced, and have less to load
            server.kill()
    for _ in range(max(3, options.rounds)):
        for who, server in servers.items():
            with server:
                times[who].append(server.start())
                with RespConnection(server.port) as connection:
                    keys = connection.command("DBSIZE")
                if keys < options.keys / 2:
                    raise BenchError(f"{who} came back with {keys} keys")
                server.stop()  # so that the next start finds what this one found, and no more
    return {who: statistics.median(values) for who, values in times.items()}


# ---- the table ----


def rate_row(series, load, peer, must, aim, title, by=str):
    return Row(f"{title}: {load}", series.median(by("perdure"), load, "ops"), series.median(by(peer), load, "ops"), must,
               aim, unit=" /s")


def p50_row(series, load, peer, must):
    """How many times lower the middle latency is: the ratio is peer / Perdure."""
    mine, other = series.median(judged("perdure"), load, "p50_us"), series.median(judged(peer), load, "p50_us")
    return Row(f"p50 against `always`: {load}", mine, other, must, unit=" µs", note=" lower", value=other / mine)


def cpu_row(series, load, must, aim):
    return Row(f"server CPU per operation against `always`: {load}", series.median("perdure", load, "cpu_us"),
               series.median("always", load, "cpu_us"), must, aim, lower=True, unit=" µs")


def set_rows(series):
    for load, must, aim in zip(SETS, (1.4, 1.4, 1.0, 2.0), (1.6, 1.6, 1.1, 2.8)):
        yield rate_row(series, load, "always", must, aim, "durable against Redis `appendfsync always`", judged)
    yield p50_row(series, SETS[1], "always", 1.5)
    yield p50_row(series, SETS[2], "always", 1.3)
    for load, must, aim in zip(SETS, (0.4, 1.0, 1.0, 1.2), (0.5, 1.1, 1.1, 1.5)):
        yield rate_row(series, load, "none", must, aim, "durable against Redis with no persistence", judged)
    for load in SETS:
        for peer in ("always", "none"):
            yield rate_row(series, load, peer, None, None, f"by `perdure bench`, against Redis `{peer}`")
    for load in SETS:
        yield rate_row(series, load, "everysec", None, None, "durable against Redis `everysec`")
    yield cpu_row(series, SETS[1], 0.8, 0.6)
    yield cpu_row(series, SETS[3], 0.6, 0.35)
    for load in SETS:
        for name, what in (("flushes", "device flushes"), ("writes", "device writes")):
            yield Row(f"{what} per operation, `always`: {load}", series.median("perdure", load, name),
                      series.median("always", load, name))


def other_rows(series):
    for load, must, aim in zip(GETS, (0.95, 0.9), (1.0, 1.1)):
        yield rate_row(series, load, "none", must, aim, "against Redis 7")
    for load in WEAK:
        none = series.median("perdure none", load, "ops")
        standard = series.median("perdure standard", load, "ops")
        yield Row(f"time at `standard` beyond `none`: {load}", standard, none, 0.10, 0.05, lower=True, unit=" /s",
                  value=none / standard - 1)


def latency_table(series):
    yield "| load | server | op/s | p50 µs | p99 µs | p99.9 µs | max µs | CPU µs/op |"
    yield "|---|---|--:|--:|--:|--:|--:|--:|"
    for load in SETS + GETS:
        for who in ("perdure", "always", "everysec", "none"):
            if series.has(who, load):
                cells = [number(series.median(who, load, name))
                         for name in ("ops", "p50_us", "p99_us", "p999_us", "max_us", "cpu_us")]
                name = "Perdure `strict`" if who == "perdure" else f"Redis `{who}`"
                yield f"| {load} | {name} | {' | '.join(cells)} |"


def all_rows(options, series):
    rows = [*set_rows(series), *other_rows(series)]
    say("log bytes per operation")
    costs = log_cost(options)
    rows.append(Row("log bytes per SET beyond key and value, 1 client, `always`", costs["perdure", "1 client"],
                    costs["always", "1 client"], unit=" B"))
    rows.append(Row("the same, grouped (50 clients, pipeline 16)", costs["perdure", "grouped"], costs["always", "grouped"],
                    48, 24, lower=True, unit=" B", note=" B", value=costs["perdure", "grouped"]))
    say("recovery")
    times = recovery(options)
    must, aim = (0.5, 0.2) if options.recovery_operations == 1_000_000 else (None, None)
    rows.append(Row(f"recovery of {options.recovery_operations:,} operations, warm", times["perdure"], times["redis"],
                    must, aim, lower=True, unit=" s", note=" s", value=times["perdure"]))
    return rows


def about(options):
    return [f"{options.rounds} rounds in turns, {options.seconds:g} s each, medians",
            f"load: redis-benchmark for the rows of durable SET and their p50, `perdure bench` for all others; "
            f"{options.keys:,} keys, values of {VALUE_SIZE} B (random ones of `perdure bench`); on loopback, the load "
            "generator on the same machine",
            "flushes and device writes: /proc/diskstats, so everything that the device did meanwhile; CPU: user and "
            "system time of the server process"]


def run(options):
    """The section's lines."""
    for program, package in (("redis-server", "redis-server"), ("redis-benchmark", "redis-tools")):
        need_program(program, package)
    series, field = Series(), Field(options)
    try:
        field.start()
        run_rounds(options, field, series)
    finally:
        field.stop()
    rows = all_rows(options, series)
    return [*HEAD, *(row.markdown() for row in rows), "", "### Latencies", "", *latency_table(series)]
