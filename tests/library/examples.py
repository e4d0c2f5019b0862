"""The examples do what they say, whatever happens to them."""

import os
import signal
import subprocess
import threading


def test_hello(world):
    for _ in range(2):
        assert world.run(world.example("hello"), world.path("data")) == "user:42 has 3 apples\n"


def test_bank(world):
    for _ in range(2):
        said = world.run(world.example("bank"), world.path("data"), "4", "100")
        assert "there are 4000 in all accounts together" in said, said


def test_changes(world):
    """Each run tells what was done since the one before, by whatever program, and nothing twice."""
    data, kept = world.path("data"), world.path("bookmark")
    said = world.run(world.example("changes"), data, kept, "user:42", "cart", "1 pear")
    assert said.splitlines()[1:] == ["  user:42 cart = 1 pear"], said
    world.run(world.example("hello"), data)
    said = world.run(world.example("changes"), data, kept, "user:43", "cart", "2 plums")
    lines = said.splitlines()
    assert [line for line in lines if line.startswith("  ")] == ["  user:42 cart = 3 apples", "  user:43 cart = 2 plums"], said
    assert lines[0] < lines[2], "bookmarks sort as time does"
    assert world.run(world.example("changes"), data, kept) == ""
    with open(kept, "w", encoding="utf-8") as file:
        file.write("0000-00000000ff-0000000000000001\n")
    assert "PERDURE_AGAIN" in world.run(world.example("changes"), data, kept, status=1)


def start_agent(world, steps):
    return subprocess.Popen([world.example("agent_memory"), world.path("data"), str(steps)], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def test_agent_survives_kill(world):
    """Killed again and again; what it had told of is there, and the next life goes on behind it."""
    told = 0
    for life in range(4):
        agent = start_agent(world, 1000000)
        first = agent.stdout.readline()
        assert first.startswith("at step ") and "nothing is missing" in first, first
        at = int(first.split()[2].rstrip(","))
        assert told <= at <= told + 1, f"life {life} begins at {at}, {told} had been told"
        while told < at + 20 + 10 * life:
            told = int(agent.stdout.readline().split()[1])
        os.kill(agent.pid, signal.SIGKILL)
        for line in agent.stdout:
            if line.endswith("\n"):
                told = int(line.split()[1])
        agent.wait()
        agent.stdout.close()
    said = world.run(world.example("agent_memory"), world.path("data"), "1")
    assert f"at step {told}," in said or f"at step {told + 1}," in said, said


def test_commands_read_beside_it(world):
    """While a program holds the directory, the commands that only read work, and a second one is told whose it is."""
    agent = start_agent(world, 1000000)
    try:
        for _ in range(10):
            agent.stdout.readline()
        assert "agent:7" in world.run(world.binary, "log", "dump", "--data", world.path("data"), "--actor", "agent:7")
        world.run(world.binary, "log", "stats", "--data", world.path("data"))
        assert "no damage" in world.run(world.binary, "log", "verify", "--data", world.path("data"))
        said = world.run(world.example("hello"), world.path("data"), status=1)
        assert "PERDURE_BUSY" in said and str(agent.pid) in said, said
        said = world.run(world.binary, "server", "--data", world.path("data"), "--resp", "0", "--http", "0", status=3)
        assert str(agent.pid) in said, said
    finally:
        agent.kill()
        agent.communicate()


def test_server_takes_over(world):
    """What the library has written, the server serves."""
    world.run(world.example("hello"), world.path("data"))
    server = subprocess.Popen([world.binary, "server", "--data", world.path("data"), "--resp", "0", "--http", "0"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
    try:
        # It says so once it serves; a server that does not come that far ends, and so do its words.
        timer = threading.Timer(60, server.kill)
        timer.start()
        said = ""
        for line in server.stderr:
            said += line
            if "ready:" in line:
                break
        timer.cancel()
        assert "ready:" in said, said
        assert "keys" in world.run(world.binary, "store", "stats", "--data", world.path("data"))
    finally:
        server.terminate()
        server.communicate(timeout=60)
    assert server.returncode == 0
    assert "3 apples" in world.run(world.example("hello"), world.path("data"))
