"""Golden data directories: what an earlier build wrote, this one opens, and finds as it was.

tests/golden/format-N/NAME is a data directory (tools/make_golden.py wrote it once), NAME.json the hashes of its actors.
"""

import glob
import json
import os
import shutil

from processes import Perdure

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden")


def directories():
    found = sorted(path[:-len(".json")] for path in glob.glob(os.path.join(GOLDEN, "format-*", "*.json")))
    assert found, f"no golden directories in {GOLDEN}"
    return found


def copy_of(world, directory):
    """A copy that may be opened; git keeps no modes, and the server wants its files to itself."""
    copy = world.path("golden-" + os.path.basename(os.path.dirname(directory)) + "-" + os.path.basename(directory))
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(directory, copy)
    return copy


def test_verify(world):
    for directory in directories():
        world.run(world.binary, "log", "verify", "--data", copy_of(world, directory))


def test_open(world):
    for directory in directories():
        with open(f"{directory}.json") as file:
            hashes = json.load(file)
        copy = copy_of(world, directory)
        for _ in range(2):  # the second time behind an epoch of this build
            with Perdure(world.binary, copy) as server:
                server.start()
                connection = world.connect(server)
                for actor, wanted in hashes.items():
                    connection.expect(wanted.encode(), "PD.STATEHASH", actor)
                connection.expect(b"golden", "GET", "text")
                connection.expect(b"0123456789abcdef" * 12800, "GET", "large")
                connection.expect(b"4 apples", "GET", "{user:42}:cart")
                connection.expect(0, "EXISTS", "gone")
                connection.expect("OK", "SET", "{new}key", "1")
