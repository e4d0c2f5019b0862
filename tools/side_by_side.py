#!/usr/bin/python3
"""Run suites side by side: `./dev test` and its kin.

    side_by_side.py --scratch DIRECTORY --command COMMAND... --beside SUITE... --alone SUITE...

Each suite is `COMMAND... SUITE`, a process that ends in `N passed, N failed[, N skipped]`. Three run at a time, since
some wait more than they compute; what is to be alone comes when these are through. What suites print is shown one suite
after the other, never mixed: that of the first one as it comes, that of the others when it is their turn. At the end:
the seconds of each, those that failed, and the sum, which is the last line.

Whatever was started is ended when this ends, by Ctrl-C or otherwise: also what has left its process group, and what has
lost its parent, for this is where orphans go.
"""

import argparse
import collections
import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
RESULT = re.compile(rb"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?")
GRACE_S = 5  # between asking and killing


class Suite:
    """One suite: its output in a file, from which it is shown, and what came of it."""

    def __init__(self, name, command, scratch):
        self.name, self.command = name, [*command, name]
        self.path = os.path.join(scratch, name + ".out")
        self.seconds = self.computing = 0.0
        self.status = None
        self.begun, self.ended = threading.Event(), threading.Event()
        open(self.path, "wb").close()

    def run(self, starter):
        """To its end, in whatever thread."""
        started = time.monotonic()
        self.begun.set()
        try:
            with open(self.path, "wb") as output:
                process = starter(self.command, output)
                if process is not None:
                    _, status, usage = os.wait4(process.pid, 0)
                    self.status = process.returncode = os.waitstatus_to_exitcode(status)
                    self.computing = usage.ru_utime + usage.ru_stime
        except OSError as error:
            with open(self.path, "ab") as output:
                output.write(f"{self.command[0]} cannot be run: {error}\n".encode())
        self.seconds = time.monotonic() - started
        self.ended.set()

    def results(self):
        """(passed, failed, skipped): the sum of its lines. Its exit status must agree: a suite that ends badly without
        counting a failure, or without counting at all, is one failure."""
        sums, counted = [0, 0, 0], False
        with open(self.path, "rb") as file:
            for line in file:
                match = RESULT.fullmatch(line.rstrip(b"\n"))
                if match:
                    counted = True
                    sums = [total + int(part or 0) for total, part in zip(sums, match.groups())]
        if sums[1] == 0 and (self.status != 0 or not counted):
            sums[1] = 1
        return sums


class Starter:
    """Starts processes, until told that there shall be no more."""

    def __init__(self):
        self.lock, self.closed = threading.Lock(), False

    def __call__(self, command, output):
        with self.lock:
            if self.closed:
                return None
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                    start_new_session=True)

    def close(self):
        with self.lock:
            self.closed = True


# ---- ending everything ----

def descendants():
    """Every process below this one, parents before their children."""
    children = collections.defaultdict(list)
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{entry}/stat", "rb") as file:
            words = file.read().rpartition(b")")[2].split()
            if words[0] != b"Z":
                children[int(words[1])].append(int(entry))
    found = [os.getpid()]
    for process in found:
        found += children[process]
    return found[1:]


def end_everything():
    """First asked, since some clean up after themselves; then killed, until there is nobody."""
    for process in descendants():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while descendants() and time.monotonic() < deadline:
        time.sleep(0.05)
    for _ in range(100):
        left = descendants()
        if not left:
            return
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.02)


# ---- showing ----

def show(suite):
    """All that it prints, while it prints it."""
    out = sys.stdout.buffer
    with open(suite.path, "rb") as file:
        while True:
            ended = suite.ended.is_set()
            text = file.read()
            if text:
                out.write(text)
                out.flush()
            elif ended:
                return
            else:
                suite.ended.wait(0.1)


def show_all(suites):
    """One after the other, in order."""
    for suite in suites:
        suite.begun.wait()
        print(f"== {suite.name}", file=sys.stderr, flush=True)
        show(suite)
        print(f"   {suite.name}: {suite.seconds:.0f} s", file=sys.stderr, flush=True)


def show_times(suites, seconds):
    """With the processors' time in brackets, which tells computing from waiting."""
    slowest = sorted(suites, key=lambda suite: -suite.seconds)
    print("seconds (processor): " + ", ".join(f"{suite.name} {suite.seconds:.0f} ({suite.computing:.0f})" for suite in slowest)
          + f"; together {seconds:.0f} ({sum(suite.computing for suite in suites):.0f})")


def summary(suites):
    """The last lines; true if nothing failed."""
    totals, failures = [0, 0, 0], []
    for suite in suites:
        results = suite.results()
        totals = [total + part for total, part in zip(totals, results)]
        if results[1]:
            failures.append(suite.name)
    if failures:
        print("FAILED: " + " ".join(failures))
    print(f"{totals[0]} passed, {totals[1]} failed" + (f", {totals[2]} skipped" if totals[2] else ""), flush=True)
    return totals[1] == 0


def run_beside(suites, jobs, starter):
    """So many at a time, in order."""
    waiting = collections.deque(suites)

    def work():
        while True:
            try:
                suite = waiting.popleft()
            except IndexError:
                return
            suite.run(starter)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run_all(beside, alone, first, jobs, starter):
    run_beside(sorted(beside, key=lambda suite: suite.name not in first), jobs, starter)
    run_beside(alone, 1, starter)


def stop(number, _frame):
    raise SystemExit(128 + number)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--scratch", required=True, help="where the output goes")
    parser.add_argument("--jobs", type=int, default=3, help="suites at a time")
    parser.add_argument("--beside", nargs="*", default=[], metavar="SUITE")
    parser.add_argument("--first", nargs="*", default=[], metavar="SUITE", help="of those beside others: begun first, since they take longest")
    parser.add_argument("--alone", nargs="*", default=[], metavar="SUITE", help="with nothing beside it, when all others are through")
    parser.add_argument("--command", nargs="+", required=True, help="what runs a suite: its name comes behind this")
    arguments = parser.parse_args()

    # To be asked to end is to end everything; and so it is when whoever started this is gone.
    libc = ctypes.CDLL(None, use_errno=True)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 or libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        sys.exit("side_by_side: the kernel does not let it look after its children")
    beside, alone = ([Suite(name, arguments.command, arguments.scratch) for name in names]
                     for names in (arguments.beside, arguments.alone))
    starter, started = Starter(), time.monotonic()
    runner = threading.Thread(target=run_all, args=(beside, alone, arguments.first, arguments.jobs, starter), daemon=True)
    try:
        runner.start()
        show_all(beside + alone)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        starter.close()
        end_everything()
    show_times(beside + alone, time.monotonic() - started)
    return 0 if summary(beside + alone) else 1


if __name__ == "__main__":
    sys.exit(main())
