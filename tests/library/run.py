#!/usr/bin/python3
"""The library as strangers get it: what it exports, its header in C and C++, an installation, the examples, and the Python
module in an environment of its own.

Each function test_* of the files named in GROUPS is one test: it gets a World and raises to fail. The last line is
`N passed, N failed`.
"""

import argparse
import importlib
import inspect
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

GROUPS = ("interface", "examples", "python_module")


class World:
    """Where things are, and a directory that is removed after each test."""

    def __init__(self, build):
        self.root = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
        self.build = os.path.abspath(build)
        self.binary = os.path.join(self.build, "perdure")
        self.library = os.path.join(self.build, "src", "embed", "libperdure.so")
        self.header = os.path.join(self.root, "include", "perdure.h")
        self.directory = None

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def example(self, name):
        return os.path.join(self.build, "examples", "example_" + name)

    def is_sanitized(self):
        """Then the library wants the sanitizer's own first, and a stranger's program cannot load it."""
        symbols = subprocess.run(["nm", "-D", self.library], stdout=subprocess.PIPE, text=True, check=True).stdout
        return "__asan_init" in symbols or "__tsan_init" in symbols

    def run(self, *command, status=0, timeout=120, **more):
        """What it says on both outputs. It must end with this status."""
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=timeout, check=False, **more)
        assert done.returncode == status, f"{' '.join(command)}: status {done.returncode}\n{done.stdout[-3000:]}"
        return done.stdout


def run_test(world, name, test):
    world.directory = tempfile.mkdtemp(prefix="perdure-library-")
    started = time.monotonic()
    try:
        test(world)
        print(f"ok      {name} ({time.monotonic() - started:.1f} s)", flush=True)
        return True
    except Exception:  # a test may fail in any way
        print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
        return False
    finally:
        shutil.rmtree(world.directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description="Test the library as strangers get it.")
    parser.add_argument("--build", default="build")
    parser.add_argument("names", nargs="*", help="only tests whose name contains one of these")
    arguments = parser.parse_args()
    world = World(arguments.build)
    passed = failed = 0
    for group in GROUPS:
        module = importlib.import_module(group)
        for name, test in inspect.getmembers(module, inspect.isfunction):
            full = f"{group}.{name}"
            if not name.startswith("test_") or (arguments.names and not any(part in full for part in arguments.names)):
                continue
            if run_test(world, full, test):
                passed += 1
            else:
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
