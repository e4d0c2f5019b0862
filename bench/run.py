#!/usr/bin/python3
"""Perdure beside its peers: the same load, in one run, on one machine, in turns; medians, as ratios.

    bench/run.py                   redis, and a look at store with little data
    bench/run.py store redis       the sections that are named, in full
    bench/run.py growth restart    parts of the section keys
    bench/run.py rewind archived   parts of the section history

Prints Markdown tables and, except with --quick, replaces the same sections of docs/benchmarks.md: whole ones only.
"""

import argparse
import datetime
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys

from measuring import BenchError, Disk, ROOT, commit, first_line, machine, say
from processes import ServerError

import section_crowd
import section_history
import section_keys
import section_redis
import section_store

SECTIONS = {"redis": section_redis, "store": section_store, "keys": section_keys, "history": section_history,
            "crowd": section_crowd}
# Some consist of parts that can be run alone.
PARTS = {part: name for name, section in SECTIONS.items() for part in getattr(section, "PARTS", {})}
DEFAULT = ("redis", "store")
STORE_GB, STORE_GB_SMALL = 5.0, 0.25

HEAD = """# Benchmarks

Written by `./dev bench`; do not edit. Ratios count: absolute figures are this machine's, on this day. Each section says
which command made it.
"""
NOT_RUN = """Not run, because it is not built yet: SQL and TPC-B against PostgreSQL.
"""


# ---- the document ----


def section_lines(options, name):
    section = SECTIONS[name]
    body = section.run(options)
    return [f"## {section.TITLE}", "",
            f"- command: `{shlex.join(['./dev', 'bench', *sys.argv[1:]])}`",
            f"- date: {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC",
            f"- machine: {machine()}; Linux {platform.release()}",
            f"- disk: {options.disk}",
            f"- versions: {first_line([options.binary, '--version'])}, commit {commit()}; {first_line(['redis-server', '--version'])}",
            *(f"- {line}" for line in section.about(options)), "", *body, ""]


def marked(name, text):
    return f"<!-- section {name} -->\n{text.strip()}\n\n<!-- end {name} -->\n"


def document(old, new):
    """The document with the new sections ({name: text}) in their places; those that were not run stay."""
    parts = [HEAD]
    for name in SECTIONS:
        there = re.search(rf"<!-- section {name} -->\n(.*?)<!-- end {name} -->\n", old, re.DOTALL)
        if name in new:
            parts.append(marked(name, new[name]))
        elif there:
            parts.append(there.group(0))
    return "\n".join([*parts, NOT_RUN])


def write_document(path, new):
    try:
        with open(path, encoding="utf-8") as file:
            old = file.read()
    except FileNotFoundError:
        old = ""
    with open(path, "w", encoding="utf-8") as file:
        file.write(document(old, new))
    say(f"written: {path}")


# ---- the run ----


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="SECTION",
                        help=f"of {', '.join([*SECTIONS, *PARTS])} (default: {' '.join(DEFAULT)}, which is short)")
    parser.add_argument("--binary", default=os.path.join(ROOT, "build", "perdure"))
    parser.add_argument("--quick", action="store_true", help="about a minute; says little, writes no document")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, help="length of one measurement (default 3, quick 0.5)")
    parser.add_argument("--store-gb", type=float, help=f"data of the section store, in 10^9 bytes (default {STORE_GB:g} when it is "
                        f"named, else {STORE_GB_SMALL:g})")
    parser.add_argument("--keys-max", type=int, help="of the section keys (default 50 million, quick 100,000)")
    section_history.add_options(parser)
    parser.add_argument("--work", help="where the data goes, on a real disk (default: bench-work beside the binary)")
    parser.add_argument("--document", help="where to write (default docs/benchmarks.md)")
    return complete(parser, parser.parse_args())


def complete(parser, options):
    unknown = [name for name in options.names if name not in SECTIONS and name not in PARTS]
    if unknown:
        parser.error(f"no section {unknown[0]}; there are {', '.join([*SECTIONS, *PARTS])}")
    # Of each section the parts that are named; all, where the section is.
    options.parts_of = {section: [part for part in options.names if PARTS.get(part) == section] for section in SECTIONS
                        if section not in options.names}
    asked = {PARTS.get(name, name) for name in options.names or DEFAULT}
    options.sections = [name for name in SECTIONS if name in asked]
    options.binary = os.path.abspath(options.binary)
    options.work = os.path.abspath(options.work or os.path.join(os.path.dirname(options.binary), "bench-work"))
    options.seconds = options.seconds or (0.5 if options.quick else 3.0)
    options.keys = 100_000 if options.quick else 500_000
    options.recovery_operations = 200_000 if options.quick else 1_000_000
    options.store_gb = options.store_gb or (0.02 if options.quick else STORE_GB if "store" in options.names else STORE_GB_SMALL)
    options.keys_max = options.keys_max or (100_000 if options.quick else section_keys.KEYS_MAX)
    section_history.complete(options)
    if options.document is None and not options.quick:
        options.document = os.path.join(ROOT, "docs", "benchmarks.md")
    # What is less than a section replaces none.
    options.partial = {name for name, parts in options.parts_of.items() if parts} | (set() if options.names else {"store"})
    return options


def run(options):
    if not os.access(options.binary, os.X_OK):
        raise BenchError(f"{options.binary} is not there: ./dev build")
    new = {}
    for name in options.sections:
        shutil.rmtree(options.work, ignore_errors=True)
        os.makedirs(options.work)
        options.disk = Disk(options.work)
        options.parts = options.parts_of.get(name) or None
        say(f"section {name}, data on {options.disk}")
        try:
            new[name] = "\n".join(section_lines(options, name))
        finally:
            shutil.rmtree(options.work, ignore_errors=True)
        print(new[name])
        if options.document and name not in options.partial:
            write_document(options.document, {name: new[name]})
    return 0


def main():
    try:
        return run(parse_options())
    except (BenchError, ServerError, subprocess.SubprocessError) as error:
        say(f"bench: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
