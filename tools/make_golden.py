#!/usr/bin/python3
"""Makes the golden data directories of the running formats: what every later build must still open.

    tools/make_golden.py build/perdure tests/golden/format-1          of the log: directories of which the log has everything
    tools/make_golden.py build/perdure tests/golden/state-1 --state   of the state on disk: levels, checkpoints, a trimmed log

Run once for each format version, by whoever freezes it, and never over an existing directory: what is in the tree
was written by the version that had that format, and stays as it is.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "wire"))

from processes import Perdure, free_port  # noqa: E402
from resp_connection import RespConnection  # noqa: E402

OPTIONS = ["--segment-size", "64k", "--queue-depth", "1"]
FAR = 4102444800000  # 2100-01-01, in ms
# Not the whole state: idempotency keys expire, and go.
ACTORS = ["main", "user:42", "a", "b", "other/actor"] + [f"fill:{number}" for number in range(7)]


def first_life(connection):
    connection.expect("OK", "SET", "text", "golden")
    connection.expect("OK", "SET", "bytes", bytes(range(256)))
    connection.expect("OK", "SET", "empty", "")
    connection.expect("OK", "SET", "large", b"0123456789abcdef" * 12800)  # 200 KiB: frames over several segments
    connection.expect("OK", "SET", "later", "x", "PXAT", FAR)
    connection.expect(3, "HSET", "hash", "a", "1", "b", "2", "", "empty name")
    connection.expect("OK", "SET", "{user:42}:cart", "4 apples")
    connection.expect("OK", "SET", "gone", "x")
    connection.expect(1, "DEL", "gone")
    for number in range(300):
        connection.expect("OK", "SET", f"{{fill:{number % 7}}}key:{number}", f"value {number}" * 20)
    connection.expect(True, "HDEL", "hash", "b")


def second_life(connection):
    connection.expect("OK", "MULTI")
    connection.expect("QUEUED", "SET", "{a}x", "both")
    connection.expect("QUEUED", "SET", "{b}x", "both")
    connection.command("EXEC")
    connection.expect("OK", "PD.IDEMPOTENCY", "golden-key")
    connection.expect(1, "INCR", "once")
    connection.expect("OK", "PD.PROFILE", "ACTOR", "b", "standard")
    connection.expect("OK", "PD.USE", "other/actor")
    connection.expect("OK", "SET", "of another tenant", "1")
    connection.expect("OK", "PD.USE")


def make(binary, directory):
    os.makedirs(directory)
    for name, killed in (("closed", False), ("killed", True)):
        server = Perdure(binary, os.path.join(directory, name), OPTIONS)
        server.start(free_port())
        with RespConnection(server.port) as connection:
            first_life(connection)
        server.stop()
        server.start(free_port())
        with RespConnection(server.port) as connection:
            second_life(connection)
            hashes = {name: connection.command("PD.STATEHASH", name).decode() for name in ACTORS}
        if killed:
            server.kill()
        else:
            server.stop()
        os.unlink(os.path.join(directory, name, "LOCK"))
        with open(os.path.join(directory, f"{name}.json"), "w") as file:
            json.dump(hashes, file, indent=1)
            file.write("\n")
        os.unlink(os.path.join(directory, f"{name}.log"))
    subprocess.run(["du", "-sh", directory], check=True)


# ---- state ----


def settle(server, *words):
    subprocess.run([server.binary, *words, "--data", server.directory], check=True, stdout=subprocess.DEVNULL)


def make_state(binary, directory):
    """A state that the log alone could not give: its oldest part was trimmed. In levels, in a checkpoint, and behind both
    some log that they do not have. Packed, since RocksDB's files are mostly air."""
    os.makedirs(directory)
    server = Perdure(binary, os.path.join(directory, "trimmed"), [*OPTIONS, "--retention-time", "0", "--retention-size", "0"])
    server.start(free_port())
    with RespConnection(server.port) as connection:
        first_life(connection)
        settle(server, "store", "checkpoint")
        for number in range(0, 300, 3):
            connection.expect(1, "DEL", f"{{fill:{number % 7}}}key:{number}")
        connection.expect("OK", "SET", "large", b"0123456789abcdef" * 12800)
        settle(server, "log", "compact")
        settle(server, "store", "checkpoint")
    server.stop()
    server.start(free_port())
    with RespConnection(server.port) as connection:
        second_life(connection)
        facts = {"hashes": {name: connection.command("PD.STATEHASH", name).decode() for name in ACTORS},
                 "keys": connection.command("DBSIZE")}
    server.kill()
    for name in ("LOCK", "admin.sock"):
        os.unlink(os.path.join(server.directory, name))
    with open(os.path.join(directory, "trimmed.json"), "w") as file:
        json.dump(facts, file, indent=1)
        file.write("\n")
    subprocess.run(["tar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=", "-C", directory, "--sparse", "-cJf",
                    os.path.join(directory, "trimmed.tar.xz"), "trimmed"], check=True)
    shutil.rmtree(server.directory)
    os.unlink(server.log_path)
    subprocess.run(["du", "-sh", directory], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("directory")
    parser.add_argument("--state", action="store_true")
    options = parser.parse_args()
    (make_state if options.state else make)(options.binary, options.directory)
