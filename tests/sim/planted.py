#!/usr/bin/python3
"""Build each planted bug of src/base/plant.h and see that the simulation notices it.

A plant that goes unnoticed is a failure, and so is a build without any that the simulation complains about. Ends
with `N passed, N failed`.
"""

import argparse
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEADER = os.path.join(ROOT, "src", "base", "plant.h")


# Bugs that it takes more to meet: damage, and then the one read or flush that matters.
RARE = {"READ_ERROR_IS_NOTHING": 30000, "FLUSH_LOSSY": 100000, "BELIEVE_STATE": 100000}


def plants():
    with open(HEADER, encoding="utf-8") as file:
        names = re.findall(r"^\tPD_PLANT_(\w+),", file.read(), re.MULTILINE)
    return [name for name in names if name != "NONE"]


def build(directory, plant):
    """The simulation alone, with this bug; returns its path."""
    if not os.path.exists(os.path.join(directory, "build.ninja")):
        subprocess.run(["meson", "setup", directory, ROOT, f"-Dplanted={plant}"], check=True,
                       stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", directory, "tests/sim/sim"], check=True, stdout=subprocess.DEVNULL)
    return os.path.join(directory, "tests", "sim", "sim")


def first_complaint(output):
    for line in output.splitlines():
        if "FAILED" in line:
            return line.strip()
    return "nothing"


def check(name, plant, seeds, directory):
    """true: the simulation said what it should."""
    program = build(os.path.join(directory, name), plant)
    result = subprocess.run([program, "--seeds", str(seeds)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            check=False, text=True, errors="replace")
    seen = result.returncode != 0
    good = seen == (plant != "")
    print(f"{'ok    ' if good else 'FAILED'} {name}: {first_complaint(result.stdout)[:150]}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3000, help="as many as the suite runs")
    parser.add_argument("--builds", default=os.path.join(ROOT, "build-planted"), help="where to build")
    parser.add_argument("names", nargs="*", help="of plants; none: all")
    arguments = parser.parse_args()

    unknown = set(arguments.names) - set(plants())
    if unknown:
        print("no such plant:", ", ".join(sorted(unknown)), "- there are", ", ".join(plants()))
        return 2
    results = [check("none", "", arguments.seeds, arguments.builds)]
    for plant in arguments.names or plants():
        results.append(check(plant, plant, max(arguments.seeds, RARE.get(plant, 0)), arguments.builds))
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
