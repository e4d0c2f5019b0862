#!/usr/bin/python3
"""Real, unmodified clients against Perdure, feature by feature: docs/compatibility.md is what this prints.

    compat.py            run every client, and write the page
    compat.py --check    write nothing; 1 if its rows are not what a run gives

As a group of run.py: each client is a test, and so is the page. The programs are in real_clients/, each in its client's language; they
print `version<TAB>…` and for each feature `name<TAB>ok` or `name<TAB>fail<TAB>why`."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
PAGE = os.path.join(ROOT, "docs", "compatibility.md")
PROGRAMS = os.path.join(HERE, "real_clients")
sys.path.insert(0, HERE)

from processes import Perdure, need_program  # noqa: E402
from resp_connection import RespConnection  # noqa: E402

FEATURES = {
    "connect": "connects with its defaults, whatever it says about itself meanwhile; PING",
    "strings": "SET with options, GET, MSET, MGET, bytes of every kind",
    "numbers": "INCR and its kind",
    "expiry": "SET EX, TTL, PERSIST; keys go when their time has come",
    "bits": "SETBIT, BITCOUNT, BITFIELD",
    "hashes": "HSET, HGETALL, HINCRBY",
    "scan": "its iterator over SCAN finds every key once",
    "pipeline": "a thousand commands and more before the first reply",
    "transaction": "MULTI, EXEC, and what it makes of the replies",
    "watch": "WATCH: a conflict is seen and the change is not made",
    "publish": "SUBSCRIBE, PUBLISH, most with patterns",
    "events": "events of keys (`notify-keyspace-events`)",
    "errors": "an error is the error that the client has for it, and the connection goes on",
    "large": "a value of 1 MiB",
    "server": "INFO, CONFIG GET, DBSIZE and what else it parses",
    "resp3": "the same with RESP3",
    "own": "Perdure's own commands, by the client's way to send any",
    "lists": "RPUSH",
    "scripts": "EVAL",
}


class Client:
    def __init__(self, name, language, command, package, optional=False, probe=None, arguments=()):
        self.name, self.language, self.command, self.package = name, language, command, package
        self.optional, self.probe, self.arguments = optional, probe, arguments

    def is_there(self):
        return subprocess.run(self.probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(),
                              check=False).returncode == 0 if shutil.which(self.probe[0]) else False


PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
MODULES = "CLIENT_MODULES names the node_modules that has it"
CLIENTS = (
    Client("redis-cli", "C", [PYTHON, "redis_cli.py"], "redis-tools", probe=["redis-cli", "--version"]),
    Client("redis-benchmark", "C", [PYTHON, "redis_benchmark.py"], "redis-tools", probe=["redis-benchmark", "--version"]),
    Client("hiredis", "C", ["HIREDIS"], "libhiredis-dev", probe=["pkg-config", "hiredis"]),
    Client("redis-py", "Python", [PYTHON, "redis_py.py"], "python3-redis", probe=[PYTHON, "-c", "import redis"]),
    Client("redis-py, asyncio", "Python", [PYTHON, "redis_asyncio.py"], "python3-redis", probe=[PYTHON, "-c", "import redis.asyncio"]),
    Client("redis-py 5, RESP3", "Python", [PYTHON, "redis_py.py"], "redis-py 5 or later (not in Debian 12)", True,
           [PYTHON, "-c", "import redis; assert int(redis.__version__.split('.')[0]) >= 5"], ["3"]),
    Client("node-redis", "JavaScript", ["node", "node_redis.js"], "nodejs node-redis", probe=["node", "-e", "require('redis')"]),
    Client("node-redis 5, RESP3", "JavaScript", ["node", "node_redis_5.js"], f"redis 5 (npm; {MODULES})", True,
           ["node", "-e", "require(process.env.CLIENT_MODULES + '/redis/package.json').version.startsWith('5.') || process.exit(1)"]),
    Client("ioredis", "JavaScript", ["node", "ioredis.js"], f"ioredis (npm; {MODULES})", True,
           ["node", "-e", "require(process.env.CLIENT_MODULES + '/ioredis')"]),
    Client("Redis.pm", "Perl", ["perl", "redis_perl.pl"], "libredis-perl", probe=["perl", "-MRedis", "-e", "1"]),
    Client("redis-lua", "Lua", ["lua5.1", "redis_lua.lua"], "lua5.1 lua-redis", probe=["lua5.1", "-e", "require('redis')"]),
    Client("redis-rb", "Ruby", ["ruby", "redis_rb.rb"], "ruby-redis", True, ["ruby", "-e", "require 'redis'"]),
    Client("phpredis", "PHP", ["php", "php_redis.php"], "php-cli php-redis", True,
           ["php", "-r", "exit(class_exists('Redis') ? 0 : 1);"]),
)

HEAD = """# Real clients

Written by `./dev compat` from runs of real, unmodified clients against a server with its defaults; `./dev test wire` makes the same runs and fails
where this page says something else. What is not in the table has not been tried.

✓ does what it does with Redis · ✗ does not, see below · – the client has no such thing, or it was not tried

"""

TAIL = """
## Not run

- go-redis, Jedis, Lettuce, redis-rs: Debian 12 has no package of them. ioredis and node-redis 5 are from npm, and run where `CLIENT_MODULES` names the
  `node_modules` that has them.
- Celery, RQ, Sidekiq and other queues: they need lists and scripts, which are not built yet.

## What is not there

- Client side caching (`CLIENT TRACKING ON`) is refused with an error that says so, and `CLIENT TRACKINGINFO` tells that it is off. A client that is told to use its cache
  fails when it connects; none does by itself.
- `SORT` and `SORT_RO` are refused as unknown commands, "not built yet", like lists, sets, sorted sets, streams and scripts: `COMMAND` lists none of them.
"""


# ---- running ----

def environment():
    return {**os.environ, "NODE_PATH": "/usr/share/nodejs"}


def program_of(client, work):
    """The command line; a C program is compiled first."""
    if client.command != ["HIREDIS"]:
        return [*client.command[:1], os.path.join(PROGRAMS, client.command[1])]
    binary = os.path.join(work, "hiredis_client")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "hiredis"], capture_output=True, check=True).stdout.decode().split()
    subprocess.run(["cc", "-O1", "-Wall", "-Wextra", "-Werror", os.path.join(PROGRAMS, "hiredis_client.c"), "-o", binary, *flags],
                   check=True, capture_output=True)
    return [binary]


def reason_of(text):
    """Why it fails, without what differs from client to client."""
    text = "".join(c for c in text if c.isprintable()).strip()
    match = re.search(r"unknown command '[^']*': (.*?)(, at .*)?$", text)
    return match.group(1) if match else text[:160]


def run_client(client, port, work):
    """(version, {feature: None or why it fails})"""
    with RespConnection(port) as connection:
        connection.expect("OK", "FLUSHALL")
        connection.expect("OK", "CONFIG", "SET", "notify-keyspace-events", "")
    done = subprocess.run([*program_of(client, work), str(port), *client.arguments], capture_output=True, timeout=300, env=environment(),
                          stdin=subprocess.DEVNULL, check=False)
    printed = done.stdout.decode(errors="replace")
    rows = [line.split("\t") for line in printed.splitlines()]
    if done.returncode != 0 or not rows or rows[0][0] != "version":
        raise AssertionError(f"{client.name} ended with {done.returncode}: {printed[-500:]} {done.stderr.decode()[-1000:]}")
    results = {row[0]: None if row[1] == "ok" else reason_of(row[2]) for row in rows[1:]}
    unknown = set(results) - set(FEATURES)
    if unknown or len(results) != len(rows) - 1:
        raise AssertionError(f"{client.name} tells of {unknown or 'something twice'}")
    return rows[0][1], results


# ---- the page ----

def line_not_run(client):
    return f"| {client.name} | not run | {client.language} | {' | '.join('–' for _ in FEATURES)} |"


def line_of(client, version, results):
    marks = ["–" if feature not in results else "✓" if results[feature] is None else "✗" for feature in FEATURES]
    return f"| {client.name} | {version} | {client.language} | {' | '.join(marks)} |"


def page_of(lines, failures):
    head = f"| client | version | language | {' | '.join(FEATURES)} |"
    parts = [HEAD, head, "\n|" + "---|" * (len(FEATURES) + 3) + "\n", "\n".join(lines), "\n\n"]
    parts += [f"- *{feature}*: {text}\n" for feature, text in FEATURES.items()]
    parts += ["\n## What fails\n\n", *failures, TAIL]
    return "".join(parts)


def failures_of(found):
    """One line a feature and reason, with the clients that meet it."""
    lines = []
    for feature in FEATURES:
        reasons = {}
        for name, (_, results) in found.items():
            if results.get(feature) is not None:
                reasons.setdefault(results[feature], []).append(name)
        lines += [f"- *{feature}* ({', '.join(names)}): {reason}\n" for reason, names in reasons.items()]
    return lines or ["Nothing.\n"]


def rows_of_page():
    """Client -> its marks on the committed page."""
    with open(PAGE, encoding="utf-8") as file:
        cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in file if line.startswith("| ")]
    return {row[0]: row[2:] for row in cells[1:]}, cells[0][3:]


def differences(found):
    """What the committed page says otherwise, of the clients that were run."""
    rows, features = rows_of_page()
    wrong = [] if features == list(FEATURES) else ["its features are others"]
    for client in CLIENTS:
        if client.name not in rows:
            wrong.append(f"{client.name} is not on it")
        elif client.name in found:
            wanted = [cell.strip() for cell in line_of(client, *found[client.name]).split("|")[1:-1]][2:]
            if rows[client.name] != wanted:
                wrong.append(f"{client.name}: {' '.join(rows[client.name])} instead of {' '.join(wanted)}")
    return wrong


# ---- as tests ----

FOUND = {}  # what this process has run


def make_test(client):
    def test(world):
        if client.optional and not client.is_there():
            print(f"     {client.name} is not run: {client.package} is not installed")
            return
        assert client.is_there(), f"{client.name} is not installed: apt-get install {client.package}"
        FOUND[client.name] = run_client(client, world.server.port, world.directory)
        unexpected = {feature: why for feature, why in FOUND[client.name][1].items() if why and "not built yet" not in why}
        assert not unexpected, unexpected
    return test


for _number, _client in enumerate(CLIENTS):
    _name = "test_" + re.sub(r"[^a-z]+", "_", _client.name.lower())
    globals()[_name] = make_test(_client)
    globals()[_name].__name__ = _name


def test_the_page_is_current(world):
    for client in CLIENTS:
        if client.name not in FOUND and client.is_there():
            FOUND[client.name] = run_client(client, world.server.port, world.directory)
    wrong = differences(FOUND)
    assert not wrong, "docs/compatibility.md is not what a run gives; ./dev compat writes it: " + "; ".join(wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(ROOT, "build", "perdure"))
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if the page is not up to date")
    options = parser.parse_args()
    need_program(options.binary, "./dev build")
    found = {}
    with tempfile.TemporaryDirectory(prefix="perdure-compat-") as work:
        with Perdure(options.binary, os.path.join(work, "data")) as server:
            server.start()
            for client in CLIENTS:
                if client.is_there():
                    found[client.name] = run_client(client, server.port, work)
                    print(f"{client.name}: {sum(why is None for why in found[client.name][1].values())} of "
                          f"{len(found[client.name][1])}", file=sys.stderr)
                elif not client.optional:
                    sys.exit(f"compat: {client.name} is not installed: apt-get install {client.package}")
    if options.check:
        wrong = differences(found)
        print("\n".join(wrong), file=sys.stderr)
        return 1 if wrong else 0
    lines = [line_of(client, *found[client.name]) if client.name in found else line_not_run(client) for client in CLIENTS]
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(page_of(lines, failures_of(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
