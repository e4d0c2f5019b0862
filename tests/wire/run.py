#!/usr/bin/python3
"""Black-box tests: the built server, seen through real, unmodified clients and through raw sockets.

Each function test_* of the groups below is one test: it gets a World and raises to fail. A group shares one server on
a data directory of its own, and with another group nothing: several can run at a time. A client or a peer that is not
installed is a failure. The last line is `N passed, N failed`.
"""

import argparse
import concurrent.futures
import importlib
import inspect
import os
import re
import resource
import signal
import subprocess
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from broken_disk import remove_tree  # noqa: E402
from processes import Perdure, Redis, ServerError, need_program  # noqa: E402
from resp_connection import RespConnection  # noqa: E402

GROUPS = (
    "clients",
    "redis_py",
    "protocol",
    "pubsub",
    "notifications",
    "introspection",
    "dump",
    "compat",
    "perdure_commands",
    "actors",
    "actor_bulk",
    "actor_history",
    "actor_restore",
    "actor_snapshot",
    "actor_relations",
    "actor_transfer",
    "archive",
    "archive_export",
    "backup",
    "backup_actors",
    "backup_bucket",
    "backup_further",
    "backup_key",
    "backup_schedule",
    "backup_select",
    "recovery",
    "log_command",
    "log_tool",
    "log_repair",
    "admin",
    "http_door",
    "service",
    "package",
    "shell",
    "shell_tls",
    "doctor",
    "top",
    "demo",
    "errors",
    "pages",
    "life",
    "configuration",
    "users",
    "tls",
    "state",
    "golden",
    "bounds",
    "crowd",
    "large",
    "memory_budget",
    "faults",
    "examples",
    "oracle",
)

# These measure time, or take much memory: they run with nothing else beside them. `./dev test` sees to it.
ALONE = ("bounds", "crowd", "large")

# These take longest, some by waiting. With several at a time they are begun first, so that none is left over at the end.
LONG = ("package", "backup_schedule", "users", "backup_bucket", "memory_budget", "actors", "log_tool", "archive", "backup_key")


class World:
    """What a test may use: the group's server, directories, connections. Everything is cleaned up after it."""

    def __init__(self, binary, work, group, on_redis):
        self.binary = binary
        self.group = group
        self.directory = os.path.join(work, group)
        remove_tree(self.directory)
        os.makedirs(self.directory)
        data = os.path.join(self.directory, "data")
        self.server = Redis(data, ["--appendonly", "yes"]) if on_redis else Perdure(binary, data)
        self.redis = None
        self.opened = []
        sanitized = not on_redis and is_sanitized(binary)
        self.memory_slack = 6 if sanitized else 1  # sanitizers keep what is freed, and shadows of it
        self.patience = 4 if sanitized else 1

    def prepare(self):
        """The group's server runs, whatever the last test did to it, and holds nothing."""
        if not self.server.is_running():
            try:
                self.server.start()
            except ServerError:
                self.set_aside()
                self.server.start()
        for server in filter(None, (self.server, self.redis)):
            with RespConnection(server.port) as connection:
                connection.expect("OK", "FLUSHALL")

    def set_aside(self):
        """The last test has failed with a directory that does not start: keep it, and let the others be tested."""
        number = 1
        while os.path.exists(f"{self.server.directory}.bad-{number}"):
            number += 1
        os.rename(self.server.directory, f"{self.server.directory}.bad-{number}")

    def connect(self, server=None, timeout=None):
        connection = RespConnection((server or self.server).port, timeout=timeout or 30 * self.patience)
        self.opened.append(connection)
        return connection

    def path(self, name):
        return os.path.join(self.directory, name)

    def new_server(self, name, options=(), prefix=()):
        """Another server, not started, on a directory of its own."""
        server = Perdure(self.binary, self.path(name), options, prefix)
        self.opened.append(server)
        return server

    def real_redis(self):
        """A real redis-server beside the group's server, for answers to compare with."""
        if self.redis is None:
            self.redis = Redis(self.path("redis"), ["--databases", "1"])
            self.redis.start()
        return self.redis

    def run(self, *words, timeout=60, input=None, check=True):
        """Run a program to its end: (status, what it printed to stdout, to stderr)."""
        done = subprocess.run([str(word) for word in words], input=input, capture_output=True, timeout=timeout,
                              check=False, stdin=None if input is not None else subprocess.DEVNULL)
        stdout, stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if check and done.returncode != 0:
            raise AssertionError(f"{words[0]} … ended with {done.returncode}: {stdout[-500:]} {stderr[-1000:]}")
        return done.returncode, stdout, stderr

    def perdure(self, *words, timeout=60, check=True):
        return self.run(self.binary, *words, timeout=timeout, check=check)

    def redis_cli(self, *words, input=None, check=True, timeout=60):
        """What redis-cli prints."""
        program = need_program("redis-cli", "redis-tools")
        _, stdout, stderr = self.run(program, "-p", self.server.port, *words, input=input, check=check,
                                     timeout=timeout)
        return stdout + stderr

    def clean_up(self):
        for thing in reversed(self.opened):
            thing.kill() if hasattr(thing, "kill") else thing.close()
        self.opened.clear()

    def end(self, keep):
        self.clean_up()
        self.server.kill()
        if self.redis is not None:
            self.redis.kill()
        if not keep:
            remove_tree(self.directory)


def is_sanitized(binary):
    with open(binary, "rb") as file:
        data = file.read()
    return b"__asan_init" in data or b"__tsan_init" in data


def tests_of(module):
    return [function for name, function in inspect.getmembers(module, inspect.isfunction)
            if name.startswith("test_") and function.__module__ == module.__name__]


def run_test(world, function):
    """None, or what went wrong."""
    try:
        world.prepare()
        function(world)
    except (Exception, SystemExit) as error:
        place = traceback.extract_tb(error.__traceback__)
        inside = [frame for frame in place if frame.filename == inspect.getsourcefile(function)]
        where = f"{os.path.basename(inside[-1].filename)}:{inside[-1].lineno}" if inside else "preparing"
        return f"{where}: {type(error).__name__}: {str(error)[:1500]}"
    finally:
        world.clean_up()
    return None


def run_group(name, options):
    """(passed, failed)"""
    module = importlib.import_module(name)
    functions = sorted(tests_of(module), key=lambda function: function.__code__.co_firstlineno)
    functions = [function for function in functions if options.only in function.__name__]
    if not functions:
        return 0, 0
    world = World(options.binary, options.work, name, options.redis)
    passed = failed = 0
    for function in functions:
        start = time.monotonic()
        problem = run_test(world, function)
        seconds = time.monotonic() - start
        label = f"{name}.{function.__name__[5:]}"
        print(f"ok   {label} ({seconds:.1f} s)" if problem is None else f"FAIL {label}: {problem}", flush=True)
        passed += problem is None
        failed += problem is not None
    if failed:
        print(f"     the server's words, and its data: {world.server.log_path}, {world.directory}")
    world.end(keep=failed > 0)
    return passed, failed


def run_apart(name, options):
    """The same in a process of its own: what it printed, and its counts."""
    command = [sys.executable, os.path.abspath(__file__), "--binary", options.binary, "--work", options.work, "--only", options.only, name]
    done = subprocess.run(command + ["--redis"] * options.redis, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    output, _, last = done.stdout.decode(errors="replace").rstrip("\n").rpartition("\n")
    counts = re.fullmatch(r"(\d+) passed, (\d+) failed", last)
    if counts is None or (done.returncode != 0 and counts.group(2) == "0"):
        return f"{output}\n{last}\nFAIL {name}: its process ended with {done.returncode}", (0, 1)
    return output, (int(counts.group(1)), int(counts.group(2)))


def run_here(name, options):
    try:
        return run_group(name, options)
    except (ImportError, SyntaxError, ServerError, OSError) as error:
        print(f"FAIL {name}: {type(error).__name__}: {error}", flush=True)
        return 0, 1


def run_groups(names, options):
    """(passed, failed) of each, in order. With several jobs, what a group prints comes when all before it are through."""
    if options.jobs == 1:
        for name in names:
            yield run_here(name, options)
        return
    names = sorted(names, key=lambda name: name not in LONG)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for output, counts in pool.map(lambda name: run_apart(name, options), names):
            if output:
                print(output, flush=True)
            yield counts


def raise_descriptor_limit():
    """A thousand connections at both ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16384 if hard == resource.RLIM_INFINITY else min(16384, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def parse_options():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--binary", default=os.path.join(root, "build", "perdure"))
    parser.add_argument("--work", help="where servers keep their data (default: wire-work beside the binary)")
    parser.add_argument("--only", default="", help="only tests with this in their names")
    parser.add_argument("--redis", action="store_true",
                        help="run against a real redis-server instead: tests these tests (clients redis_py protocol)")
    parser.add_argument("--jobs", type=int, default=1, help="so many groups at a time, each in a process of its own")
    parser.add_argument("--alone", action="store_true", help=f"only the groups that want nothing beside them: {' '.join(ALONE)}")
    parser.add_argument("--beside", action="store_true", help="only the others")
    parser.add_argument("groups", nargs="*", help=f"of: {' '.join(GROUPS)}")
    options = parser.parse_args()
    if options.alone or options.beside:
        options.groups = [name for name in options.groups or GROUPS if (name in ALONE) == options.alone]
    options.binary = os.path.abspath(options.binary)
    options.work = os.path.abspath(options.work or os.path.join(os.path.dirname(options.binary), "wire-work"))
    return options


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # tests clean up after themselves, however they are ended
    if not options.redis and not os.access(options.binary, os.X_OK):
        print(f"FAIL {options.binary} is not there: ./dev build")
        print("0 passed, 1 failed")
        return 1
    raise_descriptor_limit()
    passed = failed = 0
    for group in run_groups(options.groups or GROUPS, options):
        passed += group[0]
        failed += group[1]
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
