"""The examples do what their pages say, also while the server dies under them."""

import os
import subprocess
import sys
import time

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples")
SURVIVED = "nothing that was acknowledged is missing"


def agents(world, name, *words):
    """The agent loop as a child, not waited for. Each test has names of its own: idempotency keys outlive FLUSHALL."""
    command = [sys.executable, os.path.join(EXAMPLES, "agent_loop.py"), "--port", str(world.server.port), "--pause", "0.001",
               "--window", "20", "--agents", "3", "--upkeep-every", "50", "--check", "--journal", world.path("journal"), "--name", name, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process, status=0):
    said, _ = process.communicate(timeout=120)
    assert process.returncode == status, f"status {process.returncode}: {said[-1500:]}"
    return said


def test_agent_loop_survives_its_server(world):
    """Killed three times, once in its recovery."""
    process = agents(world, "server", "--minutes", "0.1")
    port = world.server.port
    for pause in (1.0, 0.02, 1.2):
        time.sleep(pause)
        world.server.kill()
        if pause < 0.1:
            time.sleep(0.2)
        world.server.port = port
        world.server.launch()
        if pause != 1.0:
            world.server.wait_ready()
    said = finish(process)
    assert SURVIVED in said, said
    assert " 1 replays" not in said, f"no agent noticed that the server died: {said}"
    world.connect().expect(3, "EXISTS", "{server:0}:head", "{server:1}:head", "{server:2}:head")


def test_agent_loop_survives_itself(world):
    process = agents(world, "itself", "--minutes", "1")
    time.sleep(2)
    process.kill()
    process.communicate()
    said = finish(agents(world, "itself", "--minutes", "0.02"))
    assert SURVIVED in said, said


def test_agent_loop_keeps_what_it_says(world):
    """As many records as the window says, and the summary of all before them."""
    finish(agents(world, "window", "--minutes", "0.05"))
    connection = world.connect()
    for agent in range(3):
        seq = int(connection.command("HGET", f"{{window:{agent}}}:head", "seq"))
        upto = int(connection.command("HGET", f"{{window:{agent}}}:summary", "upto") or 0)
        connection.expect("OK", "PD.USE", f"window:{agent}")
        assert seq - upto < 40, f"{seq - upto} records are kept"
        connection.expect(2 * (seq - upto) + 1 + (upto > 0), "DBSIZE")
        connection.expect("OK", "PD.USE")


def test_agent_loop_notices_what_is_missing(world):
    """Its check is worth something."""
    finish(agents(world, "missing", "--minutes", "0.02"))
    connection = world.connect()
    seq = int(connection.command("HGET", "{missing:1}:head", "seq"))
    connection.expect(1, "DEL", f"{{missing:1}}:output:{seq:012}")
    said = finish(agents(world, "missing", "--minutes", "0.02"), status=1)
    assert f"record {seq} is not there" in said, said
