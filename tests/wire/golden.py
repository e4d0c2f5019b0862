"""Golden data directories: what an earlier build wrote, this one opens, and finds as it was.

tests/golden/format-N/NAME is a data directory of which the log has everything (tools/make_golden.py wrote it once), NAME.json the
hashes of its actors. tests/golden/state-N/NAME.tar.xz is one whose log was trimmed behind a checkpoint.
"""

import glob
import json
import os
import shutil
import time

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


# ---- state ----


def unpacked_states(world, name):
    """(directory, what is known of it) of each; a fresh copy."""
    packed = sorted(glob.glob(os.path.join(GOLDEN, "state-*", "*.tar.xz")))
    assert packed, f"no golden states in {GOLDEN}"
    for path in packed:
        place = world.path(f"{name}-{os.path.basename(os.path.dirname(path))}")
        shutil.rmtree(place, ignore_errors=True)
        os.makedirs(place)
        world.run("tar", "-xJf", path, "-C", place)
        with open(path[:-len(".tar.xz")] + ".json") as file:
            yield os.path.join(place, os.path.basename(path)[:-len(".tar.xz")]), json.load(file)


def check_state(world, server, facts):
    connection = world.connect(server)
    for actor, wanted in facts["hashes"].items():
        connection.expect(wanted.encode(), "PD.STATEHASH", actor)
    connection.expect(facts["keys"], "DBSIZE")
    connection.expect(b"golden", "GET", "text")
    connection.expect(bytes(range(256)), "GET", "bytes")
    connection.expect(b"0123456789abcdef" * 12800, "GET", "large")
    connection.expect(4102444800, "EXPIRETIME", "later")
    connection.expect(0, "EXISTS", "gone", "{fill:0}key:0")
    connection.expect(b"value 1" * 20, "GET", "{fill:1}key:1")
    connection.expect(b"1", "GET", "once")


def bytes_of(connection, names):
    """What the actors' keys and values take; counted beside the serving where the directory does not say."""
    found = {}
    for name in names:
        for _ in range(600):
            reply = connection.command("PD.ACTOR", "INFO", name)
            info = dict(zip(reply[::2], reply[1::2]))
            if info[b"bytes_counted"] == b"exact":
                break
            time.sleep(0.05)
        else:
            raise AssertionError(f"the bytes of {name} are never counted")
        found[name] = info[b"bytes"]
    return found


def test_bytes_are_counted(world):
    """The directory knows nothing of bytes: they are counted, once; from the log alone they come out the same as from levels."""
    for directory, facts in unpacked_states(world, "bytes"):
        names = [name for name in facts["hashes"] if name]
        server = Perdure(world.binary, directory)
        world.opened.append(server)
        server.start()
        connection = world.connect(server)
        found = bytes_of(connection, names)
        assert all(found.values()), found
        connection.expect("OK", "SET", "{new}key", "1")
        world.run(world.binary, "store", "checkpoint", "--data", directory)
        assert server.stop() == 0
        server.start()
        connection = world.connect(server)
        for name in names:
            reply = connection.command("PD.ACTOR", "INFO", name)
            info = dict(zip(reply[::2], reply[1::2]))
            assert (info[b"bytes_counted"], info[b"bytes"]) == (b"exact", found[name]), info
        assert server.stop() == 0


def test_state_is_opened(world):
    """With its levels; and without them, from the checkpoint and the log behind it: the log alone would not do."""
    for name in ("levels", "checkpoint"):
        for directory, facts in unpacked_states(world, name):
            world.run(world.binary, "log", "verify", "--data", directory)
            if name == "checkpoint":
                shutil.rmtree(os.path.join(directory, "store", "0000", "live"))
            server = Perdure(world.binary, directory)
            world.opened.append(server)
            server.start()
            said = "took its place" if name == "checkpoint" else "state: up to LSN "
            assert said in server.printed(), server.printed()
            check_state(world, server, facts)
            world.run(world.binary, "store", "verify", "--data", directory)
            connection = world.connect(server)
            connection.expect("OK", "SET", "{new}key", "1")
            world.run(world.binary, "store", "checkpoint", "--data", directory)
            assert server.stop() == 0
            server.start()
            check_state(world, server, {**facts, "keys": facts["keys"] + 1})


def test_state_without_its_beginning(world):
    """Neither levels nor checkpoint, and a log that begins later: nothing can be served, and nothing is changed."""
    for directory, _ in unpacked_states(world, "neither"):
        shutil.rmtree(os.path.join(directory, "store"))
        before = sorted(os.listdir(os.path.join(directory, "log", "0000")))
        status, _, stderr = world.perdure("server", "--data", directory, "--resp", "0", "--http", "0", check=False)
        assert status == 4, (status, stderr)
        assert sorted(os.listdir(os.path.join(directory, "log", "0000"))) == before
