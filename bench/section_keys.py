"""Does it stay as fast as the keys grow, and within its memory? Through the server, beside Redis where Redis can."""

import os
import statistics

from measuring import BenchError, HEAD, KEY_SIZE, Load, MIB, Row, VALUE_SIZE, perdure_bench, perdure_with, say
from processes import Perdure, Redis
from resp_connection import RespConnection

TITLE = "Many keys"
KEYS_MAX = 50_000_000
GROWTH = (50, 5, 1)  # that part of them: 1, 10 and 50 million
SMALL_VALUE = 16
GIB = 1024 * MIB
LOADS = (Load("set", 50, 1), Load("set", 50, 16), Load("get", 50, 16))
FILL = Load("set", 50, 64)
PATIENCE_S = 7200


def fill(options, port, keys, value_size=VALUE_SIZE):
    perdure_bench(options, port, FILL, "--in-order", "--requests", keys, keys=keys, value_size=value_size, timeout=PATIENCE_S)


# ---- as the keys grow ----


def growth(options):
    """The same server with ever more keys; each load is compared with what it was with the fewest."""
    server = perdure_with(options, "keys-growth", ("--memory-budget", "1GiB"), ("--retention-size", "1GiB"))
    sizes = [options.keys_max // part for part in GROWTH]
    rates = {}
    with server:
        server.start()
        for keys in sizes:
            say(f"{keys:,} keys")
            fill(options, server.port, keys)
            for load in LOADS:
                runs = [perdure_bench(options, server.port, load, "--seconds", options.seconds, keys=keys, seed=seed)
                        for seed in range(1, options.rounds + 1)]
                rates[str(load), keys] = statistics.median(run["ops_per_second"] for run in runs)
    for load in LOADS:
        for keys in sizes[1:]:
            yield Row(f"{load}, {keys:,} keys against {sizes[0]:,}", rates[str(load), keys], rates[str(load), sizes[0]],
                      0.7 if load.test == "set" else None, unit=" /s")


# ---- data ten times as large as the memory budget ----


def larger(options):
    """Gets of a tenth of the keys, and of all, with a budget of a tenth of the data; beside a server that has that tenth, and has
    it in memory. The machine's page cache is as it is after loading."""
    keys = options.keys_max * 4 // 5
    hot = keys // 10
    budget = max(64 * MIB, keys * (KEY_SIZE + VALUE_SIZE) // 10)
    gets = (Load("get", 50, 1), Load("get", 50, 16))
    servers = {"all": (perdure_with(options, "keys-larger", ("--memory-budget", str(budget)), ("--retention-size", "1GiB")), keys),
               "memory": (Perdure(options.binary, os.path.join(options.work, "keys-in-memory"),
                                  ["--memory", "--memory-budget", str(8 * GIB)]), hot)}
    rates = {}
    for who, (server, there) in servers.items():
        with server:
            server.start()
            fill(options, server.port, there)
            for load in gets:
                for span in sorted({hot, there}):
                    runs = [perdure_bench(options, server.port, load, "--seconds", options.seconds, keys=span, seed=seed)
                            for seed in range(1, options.rounds + 1)]
                    rates[who, str(load), span] = statistics.median(run["ops_per_second"] for run in runs)
    for load in map(str, gets):
        best = rates["memory", load, hot]
        yield Row(f"{load}, data ten times the memory budget, a tenth of {keys:,} keys, against those in memory",
                  rates["all", load, hot], best, 0.3, 0.5, unit=" /s")
        yield Row(f"{load}, the same, any key", rates["all", load, keys], best, unit=" /s")


# ---- memory ----


def peak_mib(options, server, keys):
    """The most that the server had resident while small keys were loaded, read and overwritten."""
    with server:
        server.start()
        fill(options, server.port, keys, SMALL_VALUE)
        for test in ("get", "set"):
            perdure_bench(options, server.port, Load(test, 50, 16), "--requests", keys // 2, keys=keys, value_size=SMALL_VALUE,
                          timeout=PATIENCE_S)
        with RespConnection(server.port) as connection:
            found = connection.command("DBSIZE")
        if found != keys:
            raise BenchError(f"{server.name} has {found} keys instead of {keys}")
        return server.status_kib("VmHWM") / 1024


def memory(options):
    keys = min(10_000_000, options.keys_max)
    budget = GIB if keys == 10_000_000 else max(64 * MIB, GIB * keys // 10_000_000)
    perdure = peak_mib(options, perdure_with(options, "keys-memory", ("--memory-budget", str(budget))), keys)
    redis = peak_mib(options, Redis(os.path.join(options.work, "keys-redis"), ["--appendonly", "no"]), keys)
    words = f"{keys:,} keys of 16 B, values of {SMALL_VALUE} B"
    yield Row(f"resident at most, {words}, against the budget", perdure, budget / MIB, 1.1, lower=True, unit=" MiB")
    yield Row(f"resident at most, {words}, against Redis", perdure, redis, lower=True, unit=" MiB")


# ---- restarts ----


def restart(options):
    """Seconds until ready with many keys: after a kill, and after an orderly stop. Redis loads its append-only file."""
    keys = min(10_000_000, options.keys_max)
    servers = {"perdure": perdure_with(options, "keys-restart", ("--memory-budget", "1GiB")),
               "redis": Redis(os.path.join(options.work, "keys-restart-redis"), ["--appendonly", "yes", "--appendfsync", "everysec"])}
    killed, stopped = {}, {}
    for who, server in servers.items():
        with server:
            server.start()
            fill(options, server.port, keys)
            server.kill()
            killed[who] = server.start(timeout=PATIENCE_S)
            server.stop()
            stopped[who] = server.start(timeout=PATIENCE_S)
            with RespConnection(server.port) as connection:
                found = connection.command("DBSIZE")
            if who == "perdure" and found != keys:
                raise BenchError(f"{server.name} came back with {found} keys instead of {keys}")
    yield Row(f"ready after a kill, {keys:,} keys", killed["perdure"], killed["redis"], lower=True, unit=" s")
    yield Row(f"ready after an orderly stop, {keys:,} keys", stopped["perdure"], stopped["redis"], lower=True, unit=" s")


# ---- the section ----

PARTS = {"growth": growth, "larger": larger, "memory": memory, "restart": restart}


def about(options):
    return [f"{options.rounds} rounds of {options.seconds:g} s, medians, by `perdure bench`; strict; at most {options.keys_max:,} keys",
            "memory budget: 1 GiB where nothing else is said; Redis: appendfsync everysec with its own rewriting (restart), no "
            "persistence (memory)"]


def run(options):
    found = []
    for name, part in PARTS.items():
        if options.parts is None or name in options.parts:
            say(name)
            found += list(part(options))
    return [*HEAD, *(row.markdown() for row in found)]
