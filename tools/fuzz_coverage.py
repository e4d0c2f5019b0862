#!/usr/bin/python3
"""Lines of what each fuzz target is about that its inputs reach, as llvm-cov counts them.

The profiles lie in the build folder, TARGET.profraw, written by its replay_TARGET. Whose lines count says tests/fuzz/subjects. The last
line has the counts of all.
"""

import argparse
import glob
import json
import os
import shutil
import subprocess
import sys

SUBJECTS = "tests/fuzz/subjects"


def read_subjects():
    """What each target is about: files, by its name."""
    subjects = {}
    with open(SUBJECTS, encoding="utf-8") as file:
        for line in file:
            if line.startswith("#") or not line.strip():
                continue
            target, _, patterns = line.partition(":")
            subjects[target] = []
            for pattern in patterns.split():
                files = sorted(glob.glob(pattern))
                if not files:
                    raise SystemExit(f"fuzz_coverage: {SUBJECTS}: {target}: there is no {pattern}")
                subjects[target] += files
    return subjects


def tool(name):
    """Debian's clang brings llvm-cov-14 where there is no llvm-cov."""
    for version in ("", *(f"-{number}" for number in range(30, 13, -1))):
        if shutil.which(name + version):
            return name + version
    raise SystemExit(f"fuzz_coverage: there is no {name}: install llvm")


def measure(build, target, files):
    """(lines reached, lines) by file."""
    profile = os.path.join(build, target + ".profdata")
    subprocess.run([tool("llvm-profdata"), "merge", "-sparse", "-o", profile, os.path.join(build, target + ".profraw")], check=True)
    exported = subprocess.run(
        [tool("llvm-cov"), "export", "-summary-only", f"-instr-profile={profile}", os.path.join(build, "tests/fuzz/replay_" + target), *files],
        check=True, stdout=subprocess.PIPE).stdout
    found = {}
    for entry in json.loads(exported)["data"][0]["files"]:
        name = os.path.relpath(os.path.realpath(entry["filename"]))
        found[name] = (entry["summary"]["lines"]["covered"], entry["summary"]["lines"]["count"])
    missing = [file for file in files if file not in found]
    if missing:
        raise SystemExit(f"fuzz_coverage: nothing of {', '.join(missing)} is linked into the target {target}")
    return {file: found[file] for file in files}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--files", action="store_true", help="each file, too")
    parser.add_argument("targets", nargs="+")
    arguments = parser.parse_args()
    subjects = read_subjects()
    reached, lines, failed = 0, 0, 0
    for target in arguments.targets:
        if target not in subjects:
            print(f"{target}: {SUBJECTS} does not say what it is about", file=sys.stderr)
            failed += 1
            continue
        if not os.path.exists(os.path.join(arguments.build, target + ".profraw")):
            print(f"{target}: its inputs could not be played", file=sys.stderr)
            failed += 1
            continue
        found = measure(arguments.build, target, subjects[target])
        covered, count = (sum(pair[side] for pair in found.values()) for side in (0, 1))
        print(f"{target:<12} {covered:6d} of {count:6d} lines  {100 * covered / count:5.1f} %  in {len(found)} files")
        for file, (part, whole) in found.items() if arguments.files else ():
            print(f"  {file:<40} {part:6d} of {whole:6d}  {100 * part / max(whole, 1):5.1f} %")
        reached += covered
        lines += count
    share = 100 * reached / lines if lines else 0
    print(f"{len(arguments.targets) - failed} targets, {reached} of {lines} lines, {share:.1f} %" + (f", {failed} FAILED" if failed else ""))
    return 1 if failed or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
