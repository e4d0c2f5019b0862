"""Data larger than memory: Perdure's engine in one process with RocksDB's and LMDB's, the same rows, the same memory, groups of
the same size, each durable before the next (bench/store_bench.c)."""

import json
import os
import shlex
import subprocess

from measuring import BenchError, HEAD, MIB, Row, say

TITLE = "Data larger than memory"
BUDGET_BYTES = 256 * MIB
BUDGET_BYTES_MIN = 64 * MIB  # Perdure's own least


def budget_bytes(options):
    """A quarter of a GiB, but never more than a tenth of the data."""
    return max(BUDGET_BYTES_MIN, min(BUDGET_BYTES, int(options.store_gb * 1e8)))


def command(options, directory, figures):
    """What is run. A peer that would take hours is given as long as Perdure might need, and the rest without syncs."""
    program = os.path.join(os.path.dirname(options.binary), "bench", "store_bench")
    return [program, "--directory", directory, "--gb", f"{options.store_gb:g}", "--budget", str(budget_bytes(options)),
            "--read-time", f"{max(1, round(options.seconds * 1000))}ms", "--peer-time", f"{max(10, options.store_gb * 30):.0f}s",
            "--growth-rows", str(max(10_000, int(options.store_gb * 200_000))),
            "--growth-time", f"{max(5, options.store_gb * 12):.0f}s", "--json", figures]


def rows(figures):
    stores = figures["stores"]
    mine, memory, rocks, lmdb = (stores.get(name, {}) for name in ("perdure", "memory", "rocksdb", "lmdb"))
    budget = figures["budget_bytes"] / MIB

    for peer, name in ((rocks, "RocksDB"), (lmdb, "LMDB")):
        yield Row(f"durable puts, sustained, against {name}", mine.get("load_rate"), peer.get("load_rate"), unit=" /s")
        yield Row(f"gets of any row, page cache dropped, against {name}", mine.get("cold_rate"), peer.get("cold_rate"), unit=" /s")
        yield Row(f"gets of any row, warm, against {name}", mine.get("any_rate"), peer.get("any_rate"), unit=" /s")
        yield Row(f"rows of everything in order, against {name}", mine.get("scan_all_rate"), peer.get("scan_all_rate"), unit=" /s")
        yield Row(f"disk to a byte of data, against {name}", mine.get("settled_disk_ratio"), peer.get("settled_disk_ratio"), lower=True)
    for which, words in (("hot_actors", "a tenth of the actors"), ("hot_rows", "a tenth of the rows, scattered")):
        yield Row(f"gets of {words}, against as many rows all in memory", mine.get(f"{which}_rate"), memory.get("any_rate"),
                  0.3, 0.5, unit=" /s")
    yield Row("p99 of a group of puts while compaction ran, against the median", mine.get("load_compacting_p99_us"),
              mine.get("load_p50_us"), lower=True, unit=" µs")
    most = [value for value in (mine.get("load_resident_mib"), mine.get("read_resident_mib")) if value is not None]
    yield Row("work of a checkpoint after 60 s of quiet and 2 s of overwrites, against 1 s", mine.get("checkpoint_work_s"), 1, 1,
              lower=True, unit=" s")
    yield Row("work of a checkpoint right after the load, against 1 s", mine.get("load_checkpoint_s"), 1, lower=True, unit=" s")
    yield Row("resident memory, loading and reading, against the budget", max(most) if most else None, budget, 1.1, lower=True,
              unit=" MiB")
    yield Row("disk after overwrites, expiry and deletes, last against first", mine.get("growth_last_mib"),
              mine.get("growth_first_mib"), 1.15, lower=True, unit=" MiB")


def about(options):
    return [f"{options.store_gb:g} GB of keys (16 to 24 B) and values (100 B, random) over 1,000 actors; budget "
            f"{budget_bytes(options) / MIB:.0f} MiB for each store, half of RocksDB's for its block cache, half for its memtables; LMDB has "
            "the page cache",
            "Perdure through its engine: commands are parsed, evaluated and answered, without a network; the others are called "
            "directly. A put's latency is its group's (128 puts)",
            "a peer's load is measured for a limited time and goes on without syncs then"]


def run(options):
    directory = os.path.join(options.work, "store")
    figures = os.path.join(options.work, "store.json")
    os.makedirs(directory)
    words = command(options, directory, figures)
    say(shlex.join(words))
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"store_bench ended with status {done.returncode}")
    with open(figures, encoding="utf-8") as file:
        found = json.load(file)
    return [*HEAD, *(row.markdown() for row in rows(found)), "", "### Everything that was measured", "", *done.stdout.splitlines()]
