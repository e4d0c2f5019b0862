#!/usr/bin/python3
"""Makes the golden data directories of the running format: what every later build must still open.

    tools/make_golden.py build/perdure tests/golden/format-1

Run once for each format version, by whoever freezes it, and never over an existing directory: what is in the tree
was written by the version that had that format, and stays as it is.
"""

import json
import os
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


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2])
