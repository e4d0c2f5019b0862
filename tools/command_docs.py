#!/usr/bin/python3
"""Writes docs/commands.md: what a server says of its commands (COMMAND DOCS, COMMAND INFO, PD.HELP) as a page.

    tools/command_docs.py                   start build/perdure, ask it, write the page
    tools/command_docs.py --port P --check  ask the server on port P, and say whether the page is as it should be
"""

import argparse
import os
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "wire"))

from processes import Perdure  # noqa: E402
from resp_connection import RespConnection  # noqa: E402

PAGE = os.path.join(ROOT, "docs", "commands.md")

# (COMMAND DOCS' group, heading), in the order of the page; a group that is not here fails.
GROUPS = (
    ("string", "Strings"),
    ("bitmap", "Bits"),
    ("hash", "Hashes"),
    ("generic", "Keys"),
    ("transactions", "Transactions"),
    ("pubsub", "Publish and subscribe"),
    ("perdure", "Perdure's own"),
    ("connection", "Connections"),
    ("server", "Server"),
    ("cluster", "Cluster"),
)

HEAD = """# Commands

Written by `tools/command_docs.py` from what the server says of itself (`COMMAND DOCS`); a test compares the two.

The commands are those of Redis 7.0, with its replies and errors, compared with a real redis-server by
`tests/wire/redis_oracle.py`; what differs is said in [Differences](#differences). A command of Redis that is not in this list is not built
yet, and its error says so. *w* marks commands that write: their reply waits for the log, at the durability level asked for.
"""

TAIL = """
## Differences

- A key that begins with `{name}` belongs to the actor `name`: in Redis `{…}` only chooses a hash slot. `PD.USE` chooses an actor for a
  whole connection. SCAN, KEYS, DBSIZE, RANDOMKEY and FLUSHALL see all actors of the tenant, or after `PD.USE` that one alone.
- There is one database: `SELECT 0` is taken, others are refused.
- SCAN: a cursor from before a restart, or one that 65,536 younger ones have followed, is an error and no silent new beginning.
- Expiry times end in the year 294247. What RANDOMKEY and HRANDFIELD choose is not quite even among many.
- OBJECT ENCODING tells what Redis would do with the value; FREQ and IDLETIME are not tracked.
- Nothing is ever evicted: `maxmemory` is the memory budget (`--memory-budget`), and what does not fit waits or is refused with `-OOM`.
- A message waits until everything that was written before it has settled, and one that was published between MULTI and EXEC goes out when the
  transaction has settled. Channels are a tenant's own. SUBSCRIBE and its kind are refused inside MULTI. There is one shard: SSUBSCRIBE and
  SPUBLISH are channels with names of their own. A client may subscribe to 65,536 channels of up to 64 KiB and to 1,024 patterns of up to 1 KiB.
- Events of keys (`notify-keyspace-events`) go out when their write has settled; keys are named as a connection without `PD.USE` writes them. A key that
  has expired is told of within about 100 ms, or when it is overwritten.
- MONITOR shows the first 128 words of a request and the first 1,024 bytes of each, no operator's commands and no secrets; 16 clients may watch.
  MEMORY USAGE is what a key takes as it is stored. DEBUG SLEEP holds up its own connection alone. WAIT and WAITAOF never wait for replicas:
  there are none. CLIENT TRACKING is always off.
- DUMP writes the plainest form of the RDB format, which every Redis from 2.6 on reads; RESTORE takes strings and hashes in all forms that Redis writes.
- LATENCY: events are `command`, `fast-command`, `log-write`, `log-sync`, `flush` and `checkpoint`; of writes and syncs the upper bound of a power of
  two is told, and percentiles in INFO are such bounds, too.
- A NUL byte in a request's header is a byte like any other (Redis waits for ever).
- A reply can be `-FENCED outcome unknown: …` (a disk failed), `-DISKFULL …`, `-CORRUPT …` (an actor is quarantined) or
  `-LOADING …`: see [operating.md](operating.md).
"""


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def rows_of(name, docs, arity):
    """(name, what is said of it): one row a command, and one a subcommand. Most containers mean nothing alone."""
    subcommands = docs.get(b"subcommands")
    rows = [] if subcommands and arity < -1 else [(name, docs)]
    return rows + [(text(sub).replace("|", " "), pairs(fields)) for sub, fields in pairs(subcommands or []).items()]


def page_of(connection):
    docs = {text(name): pairs(fields) for name, fields in pairs(connection.command("COMMAND", "DOCS")).items()}
    infos = {text(info[0]): info for info in connection.command("COMMAND")}
    groups = {}
    for name, fields in sorted(docs.items()):
        groups.setdefault(text(fields[b"group"]), []).extend(rows_of(name, fields, infos[name][1]))
    unknown = set(groups) - {group for group, _ in GROUPS}
    if unknown:
        sys.exit(f"command_docs: add the group {', '.join(sorted(unknown))} to GROUPS")
    parts = [HEAD]
    for group, heading in GROUPS:
        parts.append(f"\n## {heading}\n")
        if group == "perdure":
            parts.append("\n```\n" + "\n".join(connection.command("PD.HELP")) + "\n```\n")
        parts.append("\n| command | | does | time |\n|---|---|---|---|\n")
        for name, fields in groups[group]:
            mark = " w " if name in infos and "write" in infos[name][2] else " "
            parts.append(f"| `{name.upper()}` |{mark}| {text(fields[b'summary'])} | {text(fields[b'complexity'])} |\n")
    parts.append(TAIL)
    return "".join(parts)


def ask(options):
    if options.port:
        with RespConnection(options.port) as connection:
            return page_of(connection)
    with tempfile.TemporaryDirectory(prefix="perdure-docs-") as directory:
        with Perdure(options.binary, os.path.join(directory, "data"), ["--memory"]) as server:
            server.start()
            with RespConnection(server.port) as connection:
                return page_of(connection)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(ROOT, "build", "perdure"))
    parser.add_argument("--port", type=int, help="of a running server (default: start one)")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if the page is not up to date")
    options = parser.parse_args()
    page = ask(options)
    if not options.check:
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(page)
        return 0
    with open(PAGE, encoding="utf-8") as file:
        if file.read() == page:
            return 0
    print("docs/commands.md is not what this server says: run tools/command_docs.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
