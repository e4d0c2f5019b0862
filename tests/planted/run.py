#!/usr/bin/python3
"""Let the planted bugs of src/base/plant.h loose, one after the other, and see that something notices each.

One build has them all (meson's option `planted`); PERDURE_PLANT chooses. Each is put before one oracle after the
other, from the cheapest on, until one complains. A program that does not compile, aborts, crashes or hangs has noticed
nothing: a bug is caught when an oracle says what is wrong. Without any plant every oracle must be silent.

The last lines are `N planted bugs: N caught (so many by each), M missed, …` and `N passed, N failed`.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
from plant_names import names_of  # noqa: E402

HEADER = os.path.join(ROOT, "src", "base", "plant.h")
VARIABLE = "PERDURE_PLANT"

# What a program says of itself when it ends without an answer: no complaint.
NO_ANSWER = re.compile(r"ended with status|killed by signal|took longer than|Test failed with exception")


class Oracle:
    """A program, and the words in which it complains: `pattern`'s last group."""

    def __init__(self, name, pattern, *command, seconds=600):
        self.name, self.pattern, self.command, self.seconds = name, re.compile(pattern, re.MULTILINE), command, seconds

    def argv(self, given):
        return [part.format(**given) for part in self.command]


def unit(name, path):
    # What a test prints may be cut off in the middle of a line, where the complaint comes through another stream.
    return Oracle(name, r"(?:\[  ERROR   \] ---|^ERROR:) (?P<said>.+)", "{build}/tests/" + path, seconds=120)


def simulation(name, *more):
    return Oracle(name, r"^(seed \d+) FAILED: (?P<said>.*)", "{build}/tests/sim/sim", "--seeds", "{seeds}",
                  "--jobs", "1", "--until-failure", *more)


# From the cheapest on.
SIMULATION = simulation("simulation")
# The same with one plague in every seed, which else has one of nine.
PLAGUES = [simulation(f"simulation of {what}", "--plague", plague)
           for plague, what in (("errors", "errors"), ("rot", "rot"), ("drive", "bad drives"), ("full", "full disks"))]


def exhaustive(name, *more):
    return Oracle(name, r"^('.*') FAILED: (?P<said>.*)", "{build}/tests/sim/exhaustive", "--variants", "1",
                  "--numbers", "8", "--chances", "1", "--jobs", "1", "--once", "--until-failure", *more)


EXHAUSTIVE = exhaustive("exhaustive")
STATES = [Oracle("states of " + workload, r"^VIOLATION: (?P<said>.*)", "{build}/tests/crash/states", workload,
                 "--count", "300", "--jobs", "1", "--traces", "{scratch}")
          for workload in ("engine-plain", "engine", "levels-plain", "levels")]
HISTORIES = Oracle("histories", r"^FAIL (?P<said>.*)", "{python}", "{root}/tests/histories/run.py", "--binary",
                   "{build}/perdure", "--histories", "12", "--seed", "1", "--work", "{scratch}")
ROUNDS = Oracle("kill rounds", r"^FAIL round.*: Wrong: (?P<said>.*)", "{python}", "{root}/tests/crash/run.py",
                "--binary", "{build}/perdure", "--rounds", "4", "--seed", "1", "--work", "{scratch}")
ORACLES = [SIMULATION, *PLAGUES, EXHAUSTIVE, *STATES, HISTORIES, ROUNDS]

# Bugs in what none of these runs: a suite of their own is the one that has to notice.
REAL_OS = unit("test of the real machine", "unit/os/test_os_real")
LOCAL_CRASH = unit("crashes of a directory of objects", "unit/provider/test_provider_local_crash")
HOLD = unit("test of held replies", "unit/front/test_front_hold")
LOG_DAMAGE = unit("test of damaged logs", "unit/log/test_log_damage")
STATE = unit("test of states", "unit/engine/test_engine_state")
ARCHIVE = unit("test of archives", "unit/archive/test_archive")
ARCHIVE_KILLED = unit("test of archives of killed processes", "unit/archive/test_archive_killed")
BACKED_UP = exhaustive("exhaustive, of a backup", "--script", "a backup")
BACKUP_CRASH = unit("crashes of backups", "unit/backup/test_backup_crash")
BACKUP_KILLED = unit("test of backups of killed processes", "unit/backup/test_backup_killed")
BACKUP_EXPIRE = unit("test of backups that expire", "unit/backup/test_backup_expire")
BACKUP_POINTS = unit("test of chains of backups", "unit/backup/test_backup_points")
SUITES = {
    "SHORT_WRITE_IS_WHOLE": [REAL_OS],
    "REPLY_OVERTAKES": [HOLD],
    "TURN_WAITS_FOR_FIRST": [HOLD],
    "BRAKE_FORGETS_KEY": [unit("test of the brake at the door", "unit/front/test_front_brake")],
    "CHAIN_UNCHECKED": [LOG_DAMAGE],
    "FOOTER_UNCHECKED": [LOG_DAMAGE],
    "EPOCH_UNCHECKED": [LOG_DAMAGE],
    "JOIN_BY_LSN": [STATE],
    "OBJECT_UNSYNCED": [LOCAL_CRASH],
    "OBJECT_NAME_UNSYNCED": [LOCAL_CRASH],
    "HEIR_UNRELATED": [exhaustive("exhaustive, of an heir", "--script", "another takes its place, and its relations")],
    "RELATIONS_ENDED_HALF": [exhaustive("exhaustive, of relations", "--script", "relations are made again what they were")],
    "BIT_UNPROVEN": [unit("test of flipped bits", "unit/log/test_log_repair_bits")],
    "EPOCH_NOT_NOTED": [unit("test of opening", "unit/engine/test_engine_open")],
    "ARCHIVE_NOT_READ_BACK": [ARCHIVE],
    "ARCHIVE_HOLDS_NOTHING": [ARCHIVE],
    "ARCHIVE_AHEAD": [ARCHIVE],
    "ARCHIVE_PIECES_FIRST": [ARCHIVE_KILLED],
    "ARCHIVE_UNCLAIMED": [unit("test of archives of copies", "unit/archive/test_archive_copies")],
    "ARCHIVE_UNSETTLED": [ARCHIVE_KILLED],
    "ARCHIVE_EXPIRES_FIRST": [unit("test of archives that expire", "unit/archive/test_archive_expire")],
    "FETCHED_UNSYNCED": [ARCHIVE_KILLED],
    "PIECE_BELIEVED": [BACKUP_CRASH],
    "LEASE_IGNORED": [unit("test of who writes backups", "unit/backup/test_backup_lease")],
    "REPOSITORY_UNSETTLED": [BACKUP_KILLED],
    "EXPIRE_FORGETS_PIECE": [BACKUP_EXPIRE],
    "EXPIRE_PIECES_FIRST": [BACKUP_EXPIRE],
    "BACKUP_HASH_UNCHECKED": [unit("test of damaged backups", "unit/backup/test_backup_damage")],
    "BACKUP_JOINS_BY_LSN": [BACKUP_POINTS],
    "PLAN_CUTS_RECORD": [BACKUP_POINTS],
    "RESTORED_EPOCH": [BACKED_UP],
    "RESTORED_UNSYNCED": [BACKUP_CRASH],
    "GO_ON_BY_LSN": [unit("test of restores with further log", "unit/backup/test_backup_further")],
    "GO_ON_OVER_HOLE": [unit("test of restores of damaged sources", "unit/backup/test_backup_further_damage")],
}

# Bugs that it takes more to meet: damage or a failure, and then the one read, flush or start that matters.
RARE = {"CHECKPOINT_UNVERIFIED": 5, "INDEX_ONE_ACTOR": 3, "QUARANTINE_NOT_NOTED": 3}

# Where to look first, for bugs that the cheapest oracle meets late or never.
FIRST = {
    "READ_ERROR_IS_NOTHING": "simulation of rot", "FLUSH_LOSSY": "simulation of rot",
    "CHECKPOINT_UNVERIFIED": "simulation of rot", "UNKNOWN_LOSS_IGNORED": "simulation of rot",
    "EPOCH_OF_RECORD_ONLY": "simulation of rot", "NO_DOUBT": "simulation of errors",
    "BELIEVE_STATE": "simulation of bad drives", "FORGET_LAST_DELETE": "simulation of errors",
    "IGNORE_SYNC_ERROR": "simulation of errors", "READ_ERROR_IS_END": "simulation of errors",
    "STATE_NAMES_UNSYNCED": "exhaustive",
}

# A few of each kind, which the simulation meets early.
SLICE = ("SKIP_SYNC", "SKIP_DIRECTORY_SYNC", "SKIP_HARDEN", "REPLY_EARLY", "IDEMPOTENCY_SEPARATE", "KEEP_REFUSED",
         "FORGET_TOMBSTONES", "TRIM_EARLY")


def plants():
    return [name for name in names_of(HEADER) if name != "NONE"]


def run(argv, environment, seconds):
    """(status, output), or (None, why there is none). Nothing that it has started outlives it."""
    try:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors="replace", env=environment, start_new_session=True)
    except OSError as error:
        return None, str(error)
    try:
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        return None, "it took too long"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        process.wait()


def ask(oracle, plant, options):
    """(what it complains of or None, what else is to be said of it or None)"""
    with tempfile.TemporaryDirectory(prefix="planted-", dir=options.scratch) as scratch:
        given = {"build": options.build, "root": ROOT, "python": sys.executable, "scratch": scratch,
                 "seeds": str(options.seeds * RARE.get(plant, 1))}
        environment = dict(os.environ, TMPDIR=scratch)
        environment.pop(VARIABLE, None)
        if plant:
            environment[VARIABLE] = plant
        status, output = run(oracle.argv(given), environment, oracle.seconds * options.patience)
    if status is None:
        return None, output
    for match in oracle.pattern.finditer(output):
        said = match.group("said").strip()
        if not NO_ANSWER.search(said):
            place = match.group(1) + ": " if match.lastindex > 1 else ""
            return place + said, None
    if status == 0:
        return None, None
    last = output.strip().splitlines()[-1:] or ["nothing"]
    return None, f"no answer (status {status}; {last[0][:120]})"


def oracles_of(plant):
    """A suite that is a plant's own is as cheap as the simulation. Without a plant: all there are."""
    if not plant:
        suites = {suite.name: suite for suites in SUITES.values() for suite in suites}
        return ORACLES + [suites[name] for name in sorted(suites)]
    oracles = [*SUITES.get(plant, []), *ORACLES]
    return sorted(oracles, key=lambda oracle: oracle.name != FIRST.get(plant, oracles[0].name))


def check(plant, options):
    """The name of the oracle that has noticed it, or None. Without a plant: whether nothing has complained."""
    started, notes = time.monotonic(), []
    oracles = [oracle for oracle in oracles_of(plant) if options.only in ("", oracle.name)]
    for oracle in oracles:
        if plant and time.monotonic() - started > options.seconds:
            notes.append(f"more than {options.seconds} s")
            break
        said, note = ask(oracle, plant, options)
        if said and plant:
            print(f"ok {plant}: caught by {oracle.name} in {time.monotonic() - started:.0f} s: {said[:200]}", flush=True)
            return oracle.name
        if said:
            notes.append(f"{oracle.name}: {said[:200]}")
        if note:
            notes.append(f"{oracle.name}: {note}")
    if not plant and not notes:
        print(f"ok no plant: silent are {', '.join(oracle.name for oracle in oracles)}", flush=True)
        return True
    text = "; ".join(notes)
    print(f"FAILED {plant or 'no plant'}: {'missed' if plant else 'a complaint'}{': ' + text if text else ''}", flush=True)
    return None if plant else False


# What a user runs to believe it must not believe everything: with what plant, with what option, and whether it must fail.
DEMOS = [("", [], False), ("", ["--planted"], True), ("REPLY_EARLY", [], True)]
DEMO_NOTICES = "an acknowledged write is missing"


def check_demo(options):
    notes = []
    for plant, more, must_fail in DEMOS:
        with tempfile.TemporaryDirectory(prefix="planted-", dir=options.scratch) as scratch:
            environment = dict(os.environ, TMPDIR=scratch)
            environment.pop(VARIABLE, None)
            if plant:
                environment[VARIABLE] = plant
            status, output = run([os.path.join(options.build, "perdure"), "demo", "crash", "--rounds", "5", *more],
                                 environment, 300 * options.patience)
        if status is None or (status != 0) != must_fail or (DEMO_NOTICES in output) != must_fail:
            notes.append(f"{' '.join([plant, *more]).strip() or 'no plant'}: status {status}: {output[-200:].strip()}")
    print("FAILED demo crash: " + "; ".join(notes) if notes
          else f"ok demo crash: fails with --planted, and with {DEMOS[-1][0]}; else it does not", flush=True)
    return not notes


def traces(binary):
    """What a program has of the plants that no release should have; names in debug information are none of its code."""
    with open(binary, "rb") as file:
        found = [VARIABLE] if VARIABLE.encode() in file.read() else []
    symbols = subprocess.run(["nm", binary], stdout=subprocess.PIPE, check=True, text=True).stdout
    return found + sorted(set(re.findall(r"\b(pd_plant\w*)$", symbols, re.MULTILINE)))


def check_release(options):
    """A build that was made without the option has nothing of all this."""
    found = [f"{os.path.basename(path)} has {word}" for path in options.release for word in traces(path)]
    planted = traces(os.path.join(options.build, "tests", "sim", "sim"))
    if not planted:
        found.append("the planted build has none either, so this says nothing")
    print("FAILED release: " + "; ".join(found) if found else "ok release: no plant in it", flush=True)
    return not found


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build-planted"), help="a build with the plants")
    parser.add_argument("--release", action="append", default=[], help="a program that must have no plant in it")
    parser.add_argument("--seeds", type=int, default=3000, help="of the simulation, as many as the suite runs")
    parser.add_argument("--seconds", type=int, default=1800, help="for one plant, when no further oracle is asked")
    parser.add_argument("--patience", type=float, default=1, help="multiplies the time that an oracle has")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", metavar="ORACLE", help="ask no other")
    parser.add_argument("--slice", action="store_true", help="a few plants, and the simulation alone")
    parser.add_argument("--list", action="store_true", help="print the names, and end")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of plants; none: all")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(plants()))
    if unknown:
        parser.error(f"no such plant: {', '.join(unknown)}; there are {', '.join(plants())}")
    if options.slice:
        options.only = SIMULATION.name
    options.build = os.path.abspath(options.build)
    options.scratch = os.path.join(options.build, "scratch")
    return options


def main():
    options = parse_options()
    if options.list:
        print("\n".join(plants()))
        return 0
    names = options.names or (SLICE if options.slice else plants())
    os.makedirs(options.scratch, exist_ok=True)
    good = [check_release(options)] if options.release else []
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(max_workers=options.jobs) as pool:
        others = [pool.submit(check, "", options)]
        if not options.slice and not options.only and not options.names:
            others.append(pool.submit(check_demo, options))
        caught = list(pool.map(lambda name: check(name, options), names))
        good += [other.result() for other in others]
    by = collections.Counter(oracle for oracle in caught if oracle)
    count = by.total()
    print(f"{len(names)} planted bugs: {count} caught ({', '.join(f'{n} by {oracle}' for oracle, n in by.most_common())}), "
          f"{len(names) - count} missed, in {time.monotonic() - started:.0f} s")
    passed = count + good.count(True)
    failed = len(names) + len(good) - passed
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
