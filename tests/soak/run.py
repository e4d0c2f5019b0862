#!/usr/bin/python3
"""A server under mixed load for minutes or days: what it takes of disk, memory, descriptors and threads must not grow.

The load keeps a bounded amount of data. Everything is sampled every few seconds; when it is over, the mean of the first tenth
(after warming up) is compared with that of the last: flat is what grew by no more than 15 %, or by no more than a slack that
is said. The last line is `N passed, N failed`.

    ./dev soak --minutes 30
    ./dev soak --minutes 120 --kill 120        # kill -9 about every two minutes, too
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "wire"))

from processes import HOST, Perdure, ServerError, free_port  # noqa: E402
from resp_connection import Closed, RespConnection, RespError  # noqa: E402

try:
    import redis  # noqa: F401
except ImportError:
    sys.exit("soak: redis-py is missing: apt-get install python3-redis, and run this with /usr/bin/python3")

from load import Prober, WORKERS  # noqa: E402

MIB = 1024 * 1024
GROWTH_MAX = 1.15
SAMPLES = 300  # about so many in a run

# Small, so that everything that happens in a year happens in a minute.
SERVER_OPTIONS = {"--memory-budget": "128MiB", "--retention-time": "10s", "--retention-size": "64MiB", "--segment-size": "4MiB"}
TINY_OPTIONS = {"--memory-budget": "64MiB", "--retention-time": "1s", "--retention-size": "8MiB", "--segment-size": "1MiB"}


class Figure:
    """What is sampled: how it is written, how much it may grow whatever its size, and the server's option without which it
    is only told, since nothing bounds it."""

    def __init__(self, name, unit, slack, scale=1, bound=None):
        self.name, self.unit, self.slack, self.scale, self.bound = name, unit, slack, scale, bound


FIGURES = (
    Figure("disk", "MiB", 48, MIB, "--retention-size"), Figure("disk: log", "MiB", 24, MIB, "--retention-size"),
    Figure("disk: live", "MiB", 24, MIB, "--retention-size"),
    Figure("disk: checkpoints and others", "MiB", 24, MIB, "--retention-size"),
    Figure("resident memory", "MiB", 16, MIB, "--memory-budget"), Figure("descriptors", "", 40), Figure("threads", "", 2),
    Figure("keys", "", 2000), Figure("files in level 0", "", 6), Figure("p99 of a strict SET", "ms", 30, 1000),
)
# In so short a time memtables are still being filled, up to the budget, keys up to what the workers keep, and the first
# checkpoints are still to come; what is retained goes to and fro between log and checkpoints; and a busy machine says nothing
# about latency.
TINY_SLACK = {
    "disk": 128, "disk: log": 96, "disk: live": 64, "disk: checkpoints and others": 96, "resident memory": 64, "keys": 8000,
    "p99 of a strict SET": 2000,
}


# ---- samples ----


def disk_usage(directory):
    """{part: bytes} as the file system counts; a file with two names (a checkpoint's) counts once, for the live part."""
    parts, seen = {"log": 0, "live": 0, "others": 0}, set()
    places = sorted(os.walk(directory), key=lambda place: "live" not in place[0].split(os.sep))
    for base, _, names in places:
        inside = os.path.relpath(base, directory).split(os.sep)
        part = "log" if inside[0] == "log" else "live" if "live" in inside else "others"
        for name in names:
            try:
                status = os.lstat(os.path.join(base, name))
            except OSError:
                continue  # it has just gone
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                parts[part] += status.st_blocks * 512
    return parts


def flat_pairs(reply):
    return dict(zip(reply[::2], reply[1::2])) if isinstance(reply, list) else reply


class Sampler:
    """All figures over time."""

    def __init__(self, server, prober):
        self.server, self.prober = server, prober
        self.samples = []
        self.connection = None

    def ask(self, *words):
        if self.connection is None:
            self.connection = RespConnection(self.server.port)
        return self.connection.command(*words)

    def forget(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def take(self, now):
        disk = disk_usage(self.server.directory)
        self.ask("INFO", "everything")
        self.ask("PD.MEMORY")
        store = flat_pairs(self.ask("PD.STORE", "STATS"))
        store = {} if isinstance(store, RespError) else store
        self.samples.append((now, {
            "disk": sum(disk.values()), "disk: log": disk["log"], "disk: live": disk["live"],
            "disk: checkpoints and others": disk["others"],
            "resident memory": self.server.status_kib("VmRSS") * 1024,
            "descriptors": self.server.descriptor_count(),
            "threads": len(os.listdir(f"/proc/{self.server.pid}/task")),
            "keys": self.ask("DBSIZE"),
            "files in level 0": next((value for name, value in store.items() if name.endswith(b"level0_files")), None),
            "p99 of a strict SET": self.prober.p99_us(),
        }))

    def deciles(self, figure, warm_up):
        """(mean of the first tenth after the warm-up, mean of the last, the most); None without enough samples."""
        values = [figures[figure.name] / figure.scale for at, figures in self.samples
                  if at >= warm_up and figures[figure.name] is not None]
        tenth = max(1, len(values) // 10)
        if len(values) < 4:
            return None
        return sum(values[:tenth]) / tenth, sum(values[-tenth:]) / tenth, max(values)


# ---- the run ----


class Soak:
    """What the workers see of it."""

    def __init__(self, options):
        self.seed = options.seed
        self.keys = 2000 if options.tiny else 20_000
        self.window = 200 if options.tiny else 5000
        self.expire_ms = 500 if options.tiny else 5000
        self.large_bytes = MIB if options.tiny else 8 * MIB
        self.stopping = threading.Event()
        self.killing = threading.Event()
        self.port = free_port()

    def may_be_away(self):
        return self.killing.is_set()


def server_options(options):
    """Of what we would like, what this build knows."""
    known = subprocess.run([options.binary, "server", "--help"], capture_output=True, text=True, check=True).stdout
    wanted = dict(TINY_OPTIONS if options.tiny else SERVER_OPTIONS)
    wanted.update(pair.split("=", 1) for pair in options.server_option)
    return [word for name, value in wanted.items() if f"  {name} " in known for word in (name, value)]


class Churn:
    """`perdure bench` in a loop: more bytes than Python could send."""

    def __init__(self, options, soak):
        begin = [options.binary, "bench", "--host", HOST, "--port", str(soak.port), "--keys", str(soak.keys), "--clients", "4",
                 "--pipeline", "4"]
        self.command = [*begin, "--test", "mixed", "--read-share", "30", "--seconds", "2"]
        self.filling = [*begin, "--test", "set", "--in-order", "--requests", str(soak.keys)]
        self.process = None

    def fill(self):
        subprocess.run(self.filling, check=True, stdout=subprocess.DEVNULL)

    def keep_going(self):
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def kill_and_start(server, soak, sampler, prober):
    """kill -9; what was acknowledged before is there after it."""
    soak.killing.set()
    acknowledged = prober.acknowledged
    server.kill()
    sampler.forget()
    seconds = server.start(soak.port)
    found = int(sampler.ask("GET", "probe") or 0)
    soak.killing.clear()
    if found < acknowledged:
        raise ServerError(f"probe {acknowledged} was acknowledged before the kill, {found} is there after it")
    say(f"killed; ready again after {seconds:.2f} s")


def drive(options, soak, server, workers):
    """Until the time is over; the samples."""
    prober, churn = workers[0], Churn(options, soak)
    sampler = Sampler(server, prober)
    churn.fill()
    for worker in workers:
        worker.fill()
    start = time.monotonic()
    every = max(0.25, options.seconds / SAMPLES)
    next_kill = start + options.kill if options.kill else float("inf")
    next_words = start
    for worker in workers:
        worker.thread.start()
    try:
        while time.monotonic() - start < options.seconds and not any(worker.problem for worker in workers):
            churn.keep_going()
            sampler.take(time.monotonic() - start)
            if time.monotonic() >= next_words:
                say_sample(sampler.samples[-1])
                next_words += max(10, options.seconds / 40)
            if time.monotonic() >= next_kill:
                kill_and_start(server, soak, sampler, prober)
                next_kill = time.monotonic() + options.kill
            time.sleep(every)
    finally:
        soak.stopping.set()
        churn.stop()
        for worker in workers:
            worker.thread.join(60)
        sampler.forget()
    return sampler


def run(options):
    """(samples, problems, how the server was started)"""
    soak = Soak(options)
    shutil.rmtree(options.work, ignore_errors=True)
    os.makedirs(options.work)
    words = server_options(options)
    say(f"perdure server {' '.join(words)}; {options.seconds:.0f} s" + (f", killed every {options.kill} s" if options.kill else ""))
    problems = []
    with Perdure(options.binary, os.path.join(options.work, "data"), words) as server:
        server.start(soak.port)
        workers = [Prober(soak, 0), *(kind(soak, 0) for kind in WORKERS)]
        try:
            sampler = drive(options, soak, server, workers)
        except (Closed, OSError, ServerError, RespError) as error:
            return None, [f"{type(error).__name__}: {error}", server.printed()[-1000:]], words
        problems += [worker.problem for worker in workers if worker.problem]
        problems += [f"{type(worker).__name__} did nothing" for worker in workers if worker.turns == 0]
        problems += finish(options, server)
    return sampler, problems, words


def finish(options, server):
    """An orderly stop, a whole log, and a start that finds it all."""
    with RespConnection(server.port) as connection:
        connection.command("PING")
    if server.stop() != 0:
        return [f"the server ended with status {server.process.returncode}: {server.printed()[-500:]}"]
    verified = subprocess.run([options.binary, "log", "verify", "--data", server.directory], capture_output=True, text=True, check=False)
    if verified.returncode != 0:
        return [f"perdure log verify: {verified.stdout[-500:]} {verified.stderr[-500:]}"]
    seconds = server.start()
    say(f"stopped and started again: ready after {seconds:.2f} s")
    return [] if server.stop() == 0 else ["the server did not stop well after its last start"]


# ---- the verdict ----


def warm_up_s(seconds):
    """A tenth, and a minute where there is time for one."""
    return max(seconds / 10, 60 if seconds >= 300 else 0)


def is_flat(means, slack):
    first, last = means
    return last <= first * GROWTH_MAX or last - first <= slack


def judge(options, sampler, words):
    """Prints the table; (passed, failed)."""
    passed = failed = 0
    results = {}
    print(f"{'':32} {'first tenth':>12} {'last tenth':>12} {'most':>12}")
    for figure in FIGURES:
        means = sampler.deciles(figure, warm_up_s(options.seconds))
        if means is None:
            print(f"     {figure.name:27} not told by this server")
            continue
        first, last, most = means
        slack = TINY_SLACK.get(figure.name, figure.slack) if options.tiny else figure.slack
        flat, bounded = is_flat((first, last), slack), figure.bound is None or figure.bound in words
        results[figure.name] = {"first": first, "last": last, "most": most, "unit": figure.unit, "flat": flat}
        why = "" if flat else f": grew by more than 15 % and more than {slack} {figure.unit}" if bounded else \
            f" (this build has no {figure.bound})"
        print(f"{'ok  ' if flat else 'FAIL' if bounded else '    '} {figure.name:27} {first:12.1f} {last:12.1f} {most:12.1f} "
              f"{figure.unit}{why}")
        passed += flat
        failed += bounded and not flat
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"seconds": options.seconds, "server": words, "figures": results}, file, indent=1)
    return passed, failed


def notices_a_leak():
    """The verdict is worth something: steady samples pass, those that grow do not."""
    flat, leaking = Sampler(None, None), Sampler(None, None)
    for second in range(100):
        figures = {figure.name: 100.0 * figure.scale for figure in FIGURES}
        flat.samples.append((second, figures))
        leaking.samples.append((second, {**figures, "resident memory": (100.0 + second) * MIB}))
    grown = [[figure.name for figure in FIGURES if not is_flat(sampler.deciles(figure, 10)[:2], figure.slack)]
             for sampler in (flat, leaking)]
    return grown == [[], ["resident memory"]]


def say(text):
    print(text, file=sys.stderr, flush=True)


def say_sample(sample):
    at, figures = sample
    shown = {figure.name: figures[figure.name] / figure.scale for figure in FIGURES if figures[figure.name] is not None}
    say(f"{at:7.0f} s  " + "  ".join(f"{name} {value:.0f}" for name, value in shown.items()))


def parse_options():
    root = os.path.join(HERE, "..", "..")
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--binary", default=os.path.join(root, "build", "perdure"))
    parser.add_argument("--work", help="where the server keeps its data (default: soak-work beside the binary)")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--kill", type=float, default=0, metavar="SECONDS", help="kill -9 and start again so often (default never)")
    parser.add_argument("--tiny", action="store_true", help="little data and everything small: for runs of some seconds")
    parser.add_argument("--server-option", action="append", default=[], metavar="--NAME=VALUE", help="instead of the small ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="write the table there as well")
    options = parser.parse_args()
    options.seconds = options.minutes * 60
    options.binary = os.path.abspath(options.binary)
    options.work = os.path.abspath(options.work or os.path.join(os.path.dirname(options.binary), "soak-work"))
    return options


def main():
    options = parse_options()
    if not os.access(options.binary, os.X_OK):
        print(f"FAIL {options.binary} is not there: ./dev build")
        print("0 passed, 1 failed")
        return 1
    sampler, problems, words = run(options)
    if not notices_a_leak():
        problems.append("the verdict does not notice what grows")
    passed, failed = judge(options, sampler, words) if sampler else (0, 0)
    for problem in problems:
        print(f"FAIL {problem}")
    if not problems:
        print("ok   every reply was right, the log is whole, and the server starts again")
        shutil.rmtree(options.work, ignore_errors=True)
    print(f"{passed + (not problems)} passed, {failed + len(problems)} failed")
    return 1 if failed or problems else 0


if __name__ == "__main__":
    sys.exit(main())
