"""What every section of the benchmark uses: the disk, `perdure bench`, rows of a table, what the machine is."""

import json
import os
import platform
import re
import shlex
import subprocess
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "wire"))

from processes import HOST, Perdure  # noqa: E402

KEY_SIZE, VALUE_SIZE = 16, 100
MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs", "devtmpfs")
HEAD = ["| work | Perdure | peer | ratio | must | aim | verdict |", "|---|--:|--:|--:|--:|--:|---|"]
MIB = 1024 * 1024


class BenchError(Exception):
    """The benchmark cannot be run, or what it measured is no answer."""


# ---- where the data lies ----


class Disk:
    """The file system under a directory, and what the kernel counts of its device."""

    def __init__(self, directory):
        self.number = os.stat(directory).st_dev
        self.device = f"{os.major(self.number)}:{os.minor(self.number)}"
        self.source, self.kind, self.options = self._mount(os.path.realpath(directory))
        if self.kind in MEMORY_FILE_SYSTEMS:
            raise BenchError(f"{directory} is on {self.kind}, which keeps nothing: choose a disk with --work DIR")

    @staticmethod
    def _mount(directory):
        best = ("", "?", "?", "?")
        with open("/proc/self/mountinfo") as file:
            for line in file:
                before, after = line.rstrip("\n").split(" - ")
                point, options = before.split()[4:6]
                inside = directory == point or directory.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best[0]):
                    kind, source, more = after.split(" ", 2)
                    best = (point, source, kind, f"{options},{more}")
        return best[1:]

    def counters(self):
        """(writes, flushes) that the device has completed, all processes together; None if it does not say."""
        with open("/proc/diskstats") as file:
            for line in file:
                fields = line.split()
                if f"{fields[0]}:{fields[1]}" == self.device and len(fields) >= 20:
                    return int(fields[7]), int(fields[18])
        return None

    def write_cache(self):
        try:
            with open(f"/sys/dev/block/{self.device}/queue/write_cache") as file:
                return file.read().strip()
        except OSError:
            return "unknown"

    def __str__(self):
        return f"{self.kind} on {self.source} ({self.device}), write cache: {self.write_cache()}, {self.options}"


# ---- servers and loads ----


def perdure_with(options, directory, *wanted):
    """A server with those of the options that this build knows, given as ("--name", value) pairs."""
    known = subprocess.run([options.binary, "server", "--help"], capture_output=True, text=True, check=True).stdout
    missing = [name for name, _ in wanted if f"  {name} " not in known]
    if missing:
        say(f"this build has no {', '.join(missing)}: run without")
    words = [word for name, value in wanted if name not in missing for word in (name, value)]
    return Perdure(options.binary, os.path.join(options.work, directory), words)


class Load:
    """A kind of load, as `perdure bench` takes it."""

    def __init__(self, test, clients, pipeline, level=None, value_size=VALUE_SIZE):
        self.test, self.clients, self.pipeline, self.level, self.value_size = test, clients, pipeline, level, value_size

    def __str__(self):
        pipeline = f", pipeline {self.pipeline}" if self.pipeline > 1 else ""
        return f"{self.test.upper()} {self.value_size:,} B, {self.clients} client{'s' * (self.clients > 1)}{pipeline}"


def perdure_bench(options, port, load, *limits, seed=1, keys=None, value_size=VALUE_SIZE, timeout=300, login=()):
    """What `perdure bench` measured. login: a user's name and password."""
    command = [options.binary, "bench", "--host", HOST, "--port", str(port), "--test", load.test,
               "--clients", str(load.clients), "--pipeline", str(load.pipeline), "--keys", str(keys or options.keys),
               "--key-size", str(KEY_SIZE), "--value-size", str(value_size), "--seed", str(seed), "-o", "json",
               *map(str, limits)]
    if load.level:
        command += ["--durability", load.level]
    environment = {**os.environ, **dict(zip(("PERDURE_USER", "PERDURE_PASSWORD"), login))}
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, check=False)
    if done.returncode != 0:
        raise BenchError(f"{shlex.join(command)}: {done.stderr[-500:]} {done.stdout[-500:]}")
    return json.loads(done.stdout)


# ---- tables ----


class Row:
    """One line: `better` says which way is good for the ratio perdure / peer."""

    def __init__(self, work, mine, peer, must=None, aim=None, lower=False, unit="", note="", value=None):
        self.work, self.mine, self.peer, self.must, self.aim = work, mine, peer, must, aim
        self.lower, self.unit, self.note = lower, unit, note
        self.ratio = value if value is not None else (mine / peer if mine is not None and peer else None)

    def verdict(self):
        if self.mine is None:
            return "**not measured**"
        if self.must is None or self.ratio is None:
            return "—"
        reached = (lambda bound: self.ratio <= bound) if self.lower else (lambda bound: self.ratio >= bound)
        if self.aim is not None and reached(self.aim):
            return "aim"
        return "ok" if reached(self.must) else "**missed**"

    def markdown(self):
        sign = "≤ " if self.lower else ""
        must = "—" if self.must is None else f"{sign}{self.must:g}{self.note}"
        aim = "—" if self.aim is None else f"{sign}{self.aim:g}{self.note}"
        ratio = "—" if self.ratio is None else f"{self.ratio:.2f}"
        mine, peer = (number(value) + (self.unit if value is not None else "") for value in (self.mine, self.peer))
        return f"| {self.work} | {mine} | {peer} | {ratio} | {must} | {aim} | {self.verdict()} |"


def number(value):
    if value is None:
        return "—"
    if value >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


# ---- where and when ----


def first_line(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().split("\n")[0]


def commit():
    done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"^model name\s*:\s*(.*)$", file.read(), re.MULTILINE)
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) / 1024 / 1024
    return f"{os.cpu_count()} x {model.group(1) if model else platform.machine()}, {memory:.0f} GiB memory"


def say(text):
    print(text, file=sys.stderr, flush=True)
