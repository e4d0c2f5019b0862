#!/usr/bin/python3
"""How many lines of the rooms that must not lose anything the tests have run: `./dev coverage`.

The counters are gcc's, read with gcovr. What has not been run is listed, file by file. Lines that no test can reach are
explained in tests/not_run.txt, function by function; they count as not run all the same. An explanation that explains
nothing, unless it begins with "by chance: ", is a failure, and so are a line that is neither run nor explained, and a
room below the goal. The last lines name what is not explained, and have the shares.
"""

import argparse
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REASONS = os.path.join(ROOT, "tests", "not_run.txt")
BY_CHANCE = "by chance: "  # so begins why something is run in one run, and not in another
GOAL = 95.0

# What has the goal, and which files it is. Recovery runs across rooms.
PARTS = {
    "log": r"src/log/",
    "recovery": r"src/engine/(recover|state|repair|notes|manifest)\.c|src/log/mend\.c"
                r"|src/log/file/file(_begin|_read\w*|_repair\w*)?\.c",
    "engine": r"src/engine/",
}
ROOMS = ("log", "engine")


def read_counters(build):
    """{path: {line: (times it was run, its function)}}"""
    command = ["gcovr", "--root", ROOT, "--object-directory", build, "-j", str(os.cpu_count() or 1), "--json", "-"]
    for room in ROOMS:
        command += ["--filter", f"src/{room}/"]
    command += [os.path.join(build, "src", room) for room in ROOMS]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"coverage: {command[0]} failed with status {done.returncode}: its words are above")
    files = {}
    for file in json.loads(done.stdout)["files"]:
        begins = sorted((function["lineno"], function["name"]) for function in file["functions"])
        lines = {}
        for line in file["lines"]:
            if line.get("gcovr/noncode"):
                continue
            function = [name for begin, name in begins if begin <= line["line_number"]][-1:] or [""]
            times, _ = lines.get(line["line_number"], (0, ""))
            lines[line["line_number"]] = (times + line["count"], function[0])
        files[file["file"]] = lines
    if not files:
        sys.exit(f"coverage: {build} has no counters: nothing was run there")
    return files


def read_reasons():
    """{(path, function): why}. A line is `path function: why`, continued by lines that are indented."""
    reasons, key = {}, None
    with open(REASONS, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("#") or not line.strip():
                continue
            match = re.fullmatch(r"(\S+) (\w+): (.+)\n", line)
            if match:
                key = match.group(1), match.group(2)
                reasons[key] = match.group(3)
            elif key is not None and line[0].isspace():
                reasons[key] += " " + line.strip()
            else:
                sys.exit(f"{REASONS}:{number}: expected `path function: why`")
    return reasons


def ranges(numbers, lines):
    """`3-5, 9`: what stands between two of them and is no code does not part them."""
    texts, begin, last = [], None, None
    for number in sorted(lines):
        if number in numbers:
            begin, last = number if begin is None else begin, number
        elif begin is not None:
            texts.append((begin, last))
            begin = None
    if begin is not None:
        texts.append((begin, last))
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in texts)


def not_run(lines):
    return {number for number, (times, _) in lines.items() if times == 0}


def share(run, lines):
    """Never rounded up: 94.96 is not the goal."""
    return int(1000 * run / lines) / 10 if lines else 100.0


def find_unexplained(files, reasons):
    """{path: lines that are neither run nor explained}, where there are any."""
    found = {path: {number for number in not_run(lines) if (path, lines[number][1]) not in reasons} for path, lines in files.items()}
    return {path: numbers for path, numbers in found.items() if numbers}


def print_files(files, reasons):
    """Each file with what was not run and is not explained."""
    print(f"{'file':44} {'lines':>6} {'run':>6} {'%':>6}  not run, and not explained")
    unexplained = find_unexplained(files, reasons)
    for path, lines in sorted(files.items()):
        run = len(lines) - len(not_run(lines))
        print(f"{path:44} {len(lines):6} {run:6} {share(run, len(lines)):6.1f}  "
              f"{ranges(unexplained.get(path, ()), lines)}".rstrip())


def print_reasons(files, reasons):
    """What is explained, and the number of lines. Returns (lines explained, explanations without anything to explain)."""
    explained, stale = 0, []
    for (path, function), why in sorted(reasons.items()):
        lines = files.get(path, {})
        numbers = {number for number in not_run(lines) if lines[number][1] == function}
        if numbers:
            print(f"{path}:{ranges(numbers, lines)}: {function}: {why}")
        elif not why.startswith(BY_CHANCE):
            stale.append((path, function))
        explained += len(numbers)
    return explained, stale


def print_source(files, wanted):
    """The lines that were not run, in the words of the source."""
    for path, lines in sorted(files.items()):
        if wanted not in path:
            continue
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            source = file.read().splitlines()
        function = None
        for number in sorted(not_run(lines)):
            if lines[number][1] != function:
                function = lines[number][1]
                print(f"{path}: {function}")
            print(f"{number:6}  {source[number - 1]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", default="build-coverage", help="where the instrumented tests were run")
    parser.add_argument("--source", metavar="PART", help="show the source of what was not run in files with this in their path")
    arguments = parser.parse_args()
    files, reasons = read_counters(os.path.abspath(arguments.build)), read_reasons()
    if arguments.source is not None:
        print_source(files, arguments.source)
        return 0
    print_files(files, reasons)
    explained, stale = print_reasons(files, reasons)
    for path, function in stale:
        print(f"{REASONS}: {path} {function} was run, or is not there: remove the explanation")
    shares = {}
    for part, pattern in PARTS.items():
        chosen = [lines for path, lines in files.items() if re.match(pattern, path)]
        total, missing = sum(map(len, chosen)), sum(len(not_run(lines)) for lines in chosen)
        shares[part] = share(total - missing, total)
        print(f"{part:44} {total:6} {total - missing:6} {shares[part]:6.1f}")
    missing = sum(len(not_run(lines)) for lines in files.values())
    unexplained = find_unexplained(files, reasons)
    for path, lines in sorted(unexplained.items()):
        print(f"{path}:{ranges(lines, files[path])}: not run, and not explained in {os.path.relpath(REASONS, ROOT)}")
    print("lines run: " + ", ".join(f"{part} {value:.1f} %" for part, value in shares.items())
          + f" (goal {GOAL:.1f} %); not run: {missing}, "
          + ("all explained" if not unexplained else f"of them explained {explained}"))
    return 1 if stale or unexplained or min(shares.values()) < GOAL else 0


if __name__ == "__main__":
    sys.exit(main())
