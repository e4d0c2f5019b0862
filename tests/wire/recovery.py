"""docs/recovery.md as it is written: every command block, one after the other, with other paths."""

import os
import re
import shlex
import shutil
import time

from archive import settled, wait_for

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "recovery.md")


def blocks():
    """(heading, its commands)"""
    found, heading = [], ""
    with open(PAGE, encoding="utf-8") as file:
        parts = re.split(r"^```sh\n(.*?)^```$", file.read(), flags=re.MULTILINE | re.DOTALL)
    for number, part in enumerate(parts):
        if number % 2 == 0:
            heading = (re.findall(r"^## (.*)$", part, flags=re.MULTILINE) or [heading])[-1]
        else:
            found.append((heading, part.strip().splitlines()))
    return found


def purpose_of(lines):
    """What a block is for: a server begins, somebody looks, or there has been a disaster."""
    if any(line.startswith("perdure backup restore") for line in lines):
        return "restore"
    return "begin" if lines[-1].startswith("perdure server") else "look"


def carry_out(world, servers, line, moment):
    """One command of the page. A server is started; everything else ends well."""
    for written, here in (("/var/lib/perdure", world.path("lib")), ("/backup/perdure", world.path("vault")), ("/mnt/archive", world.path("archive")),
                          ("2026-01-15T14:30:00Z", moment)):
        line = line.replace(written, here)
    words = shlex.split(line)
    if words[0] == "mv":
        os.rename(words[1], words[2])
        return
    assert words[0] == "perdure", line
    if words[1] == "server":
        assert words[2] == "--data", line
        server = world.new_server(os.path.relpath(words[3], world.directory), words[4:])
        server.start()
        servers[server.directory] = server
        return
    world.perdure(*words[1:], timeout=300)


def test_page(world):
    """A life of disasters, in the order of the page."""
    server = world.new_server("lib")
    server.start()
    servers = {server.directory: server}
    connection = world.connect(server)
    connection.expect("OK", "SET", "{ann}a", "good")
    ran = 0
    moment = before = ""
    os.makedirs(world.path("archive"))
    for heading, lines in blocks():
        archived = heading == "The data directory is gone, and its log was archived"
        dead = heading == "The server is dead, and its disk can still be read"
        if archived and purpose_of(lines) == "begin":
            servers[server.directory].stop()
        elif archived and purpose_of(lines) == "look":
            wait_for(servers[server.directory], settled)
        elif archived and purpose_of(lines) == "restore":
            connection.expect("OK", "SET", "{ann}archived", "yes")
            wait_for(servers[server.directory], settled)
            before = connection.command("PD.STATEHASH")
            servers[server.directory].kill()
            shutil.rmtree(server.directory)
        elif dead:
            connection.expect("OK", "SET", "{ann}last", "yes")
            before = connection.command("PD.STATEHASH")
            servers[server.directory].kill()
        elif heading == "The data directory is gone":
            before = connection.command("PD.STATEHASH")
            servers[server.directory].kill()
            shutil.rmtree(server.directory)
        elif heading.startswith("Something was done"):
            connection.expect("OK", "SET", "{ann}b", "good, too")
            time.sleep(1.1)
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            time.sleep(1.1)
            connection.expect("OK", "SET", "{ann}b", "nonsense")
            world.perdure("backup", "log", "--data", server.directory, "--repository", world.path("vault"))
        for line in lines:
            carry_out(world, servers, line, moment)
            ran += 1
        if heading == "The data directory is gone" or ((archived or dead) and lines[-1].startswith("perdure server")):
            connection = world.connect(servers[server.directory])
            assert before in ("", connection.command("PD.STATEHASH")), heading
            before = ""
        elif heading.startswith("Something was done"):
            looked = world.connect(servers[world.path("lib.before")])
            looked.expect(b"good", "GET", "{ann}a")
            looked.expect(b"good, too", "GET", "{ann}b")
            connection.expect(b"nonsense", "GET", "{ann}b")
        elif heading.startswith("Some actors"):
            connection.expect(b"good, too", "GET", "{ann-before}b")
            connection.expect(b"good, too", "GET", "{ann}b")
    assert ran >= 17, ran
