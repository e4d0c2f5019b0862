#!/usr/bin/python3
"""Run one suite of meson's test programs and end with `N passed, N failed[, N skipped]`.

A suite is a folder under tests/. A program that names no such folder belongs to `unit`, so that none is ever
left out. Results come from meson's own testlog.json, one JSON object a line.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import uuid

SUITES = ("unit", "contract", "sim", "fuzz", "crash")


def suite_of(command):
    for word in command:
        match = re.search(r"(?:^|/)tests/(\w+)/", word)
        if match and match.group(1) in SUITES:
            return match.group(1)
    return "unit"


def program_of(test, build):
    """As ninja calls it."""
    return os.path.relpath(test["cmd"][0], os.path.abspath(build))


def chosen_tests(build, suite, names, programs):
    """The tests of the suite (`named`: of all suites) whose name is, or contains, one of the names, and whose program's
    path begins like `programs` say."""
    with open(os.path.join(build, "meson-info", "intro-tests.json"), encoding="utf-8") as file:
        tests = json.load(file)
    if suite != "named":
        tests = [test for test in tests if suite_of(test["cmd"]) == suite]
    if names:
        tests = [test for test in tests if any(name in test["name"] for name in names)]
    return [test for test in tests if re.match(programs, program_of(test, build))]


# Simulated machines come and go by the thousand. What they give back stays with the process: to have each page zeroed once
# more by the kernel takes longer than the tests.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}


def run(build, tests, multiplier):
    """Run them and return meson's records."""
    base = "dev-" + uuid.uuid4().hex[:8]
    log = os.path.join(build, "meson-logs", base)
    command = ["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", "--logbase", base,
               "--timeout-multiplier", str(multiplier)] + sorted({test["name"] for test in tests})
    try:
        status = subprocess.run(command, stdin=subprocess.DEVNULL, env=dict(os.environ, **KEEP_MEMORY), check=False).returncode
        with open(log + ".json", encoding="utf-8") as file:
            records = [json.loads(line) for line in file if line.strip()]
    except OSError as error:
        print(f"meson test left no log: {error}")
        return 1, []
    finally:
        for end in (".json", ".txt", ".junit.xml"):
            if os.path.exists(log + end):
                os.unlink(log + end)
    wanted = {tuple(test["cmd"]) for test in tests}
    return status, [record for record in records if tuple(record["command"]) in wanted]


def reason_to_skip(record):
    lines = (record.get("stdout", "") + "\n" + record.get("stderr", "")).strip().splitlines()
    return lines[-1].strip() if lines else ""


def count(tests, records):
    passed = failed = skipped = 0
    for record in records:
        result = record["result"]
        if result in ("OK", "EXPECTEDFAIL"):
            passed += 1
        elif result == "SKIP" and reason_to_skip(record):
            print(f"skipped {record['name']}: {reason_to_skip(record)}")
            skipped += 1
        else:
            why = "skipped without saying why" if result == "SKIP" else result
            print(f"FAILED {record['name']}: {why}")
            failed += 1
    # A program that never ran (an interrupted run) has not passed.
    missing = len(tests) - len(records)
    if missing > 0:
        print(f"FAILED: {missing} programs did not run")
        failed += missing
    return passed, failed, skipped


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--suite", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--timeout-multiplier", default="1")
    parser.add_argument("--programs", default="", help="only programs whose path in the build directory fits")
    parser.add_argument("--list", action="store_true", help="only say which programs these are, for ninja")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()

    tests = chosen_tests(arguments.build, arguments.suite, arguments.names, arguments.programs)
    if arguments.list:
        print("\n".join(sorted({program_of(test, arguments.build) for test in tests})))
        return 0
    if not tests and arguments.names:
        print("no test program is named like " + " or ".join(arguments.names))
        return 1
    if not tests:
        print("0 passed, 0 failed")
        return 0
    status, records = run(arguments.build, tests, arguments.timeout_multiplier)
    passed, failed, skipped = count(tests, records)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or (status != 0 and not records) else 0


if __name__ == "__main__":
    sys.exit(main())
