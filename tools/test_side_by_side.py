#!/usr/bin/python3
"""side_by_side is tested with suites that are a few lines of shell. Ends with `N passed, N failed`."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))

# A suite is a shell function of its name.
SUITES = r"""
good() { echo "good begins"; sleep 0.2; echo "good ends"; echo "3 passed, 0 failed"; }
other() { echo "other begins"; echo "other ends"; echo "2 passed, 0 failed, 1 skipped"; echo "1 passed, 0 failed"; }
bad() { echo "FAIL this"; echo "4 passed, 2 failed"; exit 1; }
silent() { echo "nothing is counted"; }
dies() { echo "5 passed, 0 failed"; kill -9 $BASHPID; }
slow() { touch "$WORK/slow.runs"; sleep 0.5; rm "$WORK/slow.runs"; echo "1 passed, 0 failed"; }
lonely() { [[ ! -e $WORK/slow.runs ]] && echo "1 passed, 0 failed"; }
before() { [[ -e $WORK/after ]] && echo "1 passed, 0 failed"; }
after() { touch "$WORK/after"; echo after; echo "1 passed, 0 failed"; }
first() { touch "$WORK/first"; wait_for second; }
second() { touch "$WORK/second"; wait_for first; }
wait_for() { for ((i = 0; i < 600; i++)); do [[ -e $WORK/$1 ]] && echo "1 passed, 0 failed" && return; sleep 0.1; done; }
endless() { (setsid bash -c 'echo $$ >"$WORK/orphan"; trap "" TERM INT; while :; do sleep 0.1; done' &); echo begun; sleep 1000; }
"$1"
"""


class World:
    def __init__(self, directory):
        self.directory = directory
        self.suites = os.path.join(directory, "suites.sh")
        with open(self.suites, "w", encoding="utf-8") as file:
            file.write(SUITES)

    def start(self, *words):
        return subprocess.Popen([sys.executable, os.path.join(HERE, "side_by_side.py"), "--scratch", self.directory, *words,
                                 "--command", "bash", self.suites], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True, env=dict(os.environ, WORK=self.directory))

    def run(self, *words):
        process = self.start(*words)
        output, _ = process.communicate(timeout=300)
        return process.returncode, output.splitlines()


def test_sums(world):
    status, lines = world.run("--beside", "good", "other")
    assert status == 0 and lines[-1] == "6 passed, 0 failed, 1 skipped", lines
    times = re.fullmatch(r"seconds \(processor\): (\w+ \d+) \(\d+\), (\w+ \d+) \(\d+\); together \d+ \(\d+\)", lines[-2])
    assert times and {part.split()[0] for part in times.groups()} == {"good", "other"}, lines


def test_output_is_not_mixed(world):
    _, lines = world.run("--beside", "good", "other")
    said = [line for line in lines if line.endswith((" begins", " ends"))]
    assert said == ["good begins", "good ends", "other begins", "other ends"], lines


def test_two_run_at_a_time(world):
    status, lines = world.run("--beside", "first", "second")
    assert status == 0 and lines[-1] == "2 passed, 0 failed", lines


def test_what_takes_longest_begins_first(world):
    """Shown in the order given all the same."""
    status, lines = world.run("--jobs", "1", "--beside", "before", "after", "--first", "after")
    assert status == 0 and lines[:2] == ["1 passed, 0 failed", "after"], lines


def test_alone_is_alone(world):
    status, lines = world.run("--beside", "slow", "--alone", "lonely")
    assert status == 0 and lines[-1] == "2 passed, 0 failed", lines


def test_failures_are_counted(world):
    status, lines = world.run("--beside", "good", "bad")
    assert status == 1 and lines[-2:] == ["FAILED: bad", "7 passed, 2 failed"], lines


def test_an_end_without_a_count_is_a_failure(world):
    status, lines = world.run("--beside", "silent", "--alone", "good")
    assert status == 1 and lines[-2:] == ["FAILED: silent", "3 passed, 1 failed"], lines


def test_a_bad_end_is_a_failure(world):
    status, lines = world.run("--beside", "dies")
    assert status == 1 and lines[-2:] == ["FAILED: dies", "5 passed, 1 failed"], lines


def is_alive(process):
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends_everything(world, number):
    """Also a process with a session of its own, without a parent, that does not want to go."""
    orphan = os.path.join(world.directory, "orphan")
    process = world.start("--beside", "endless", "good")
    deadline = time.monotonic() + 60
    while not (os.path.exists(orphan) and os.path.getsize(orphan)) and time.monotonic() < deadline:
        time.sleep(0.02)
    with open(orphan, encoding="utf-8") as file:
        left = int(file.read())
    assert is_alive(left)
    process.send_signal(number)
    process.communicate(timeout=120)
    assert process.returncode == 128 + number and not is_alive(left), (process.returncode, left)


def test_interrupt_ends_everything(world):
    ends_everything(world, signal.SIGINT)


def test_termination_ends_everything(world):
    ends_everything(world, signal.SIGTERM)


def main():
    passed = failed = 0
    for name, test in sorted(globals().items()):
        if not name.startswith("test_"):
            continue
        with tempfile.TemporaryDirectory(prefix="perdure-suites-") as directory:
            try:
                test(World(directory))
                passed += 1
            except (AssertionError, OSError, ValueError, subprocess.TimeoutExpired) as error:
                print(f"FAIL {name[5:]}: {type(error).__name__}: {error}")
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
