"""perdure demo: it shows what it says, leaves nothing behind, and takes its server along."""

import json
import os
import re
import signal
import subprocess
import time

from terminal import Terminal

FAILURE, USAGE = 1, 2


def scratch(world, name):
    """A TMPDIR of its own, with a path short enough for a socket."""
    directory = world.path(name)
    os.makedirs(directory)
    return directory


def run(world, *words, **environment):
    done = subprocess.run([world.binary, "demo", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
                          env={**os.environ, **environment}, check=False)
    return done.returncode, done.stdout, done.stderr


def test_all_of_it(world):
    """Also where the environment would have a server do something else."""
    directory = scratch(world, "tmp")
    status, stdout, stderr = run(world, TMPDIR=directory, PERDURE_MEMORY="yes", PERDURE_DURABILITY="none", PERDURE_RESP="1",
                                 PERDURE_CONFIG="/nowhere/at/all.toml")
    assert status == 0 and stderr == "", (status, stderr, stdout[-500:])
    acknowledged = int(re.search(r"acknowledged before the kill: (\d+)", stdout).group(1))
    found = int(re.search(r"found after the restart: +(\d+)", stdout).group(1))
    again = int(re.search(r"sent again under its key: (\d+)", stdout).group(1))
    assert acknowledged > 0 and acknowledged <= found <= acknowledged + 1 == again, stdout
    assert "no damage" in stdout and '"level" => "strict"' in stdout and "\x1b" not in stdout, stdout
    assert os.listdir(directory) == [], os.listdir(directory)


def test_keep(world):
    directory = os.path.join(scratch(world, "kept"), "demo")
    status, stdout, _ = run(world, "--yes", "--keep", "--data", directory)
    assert status == 0 and directory in stdout, stdout
    assert "MANIFEST" in os.listdir(directory) and os.path.exists(directory + ".log")
    _, stdout, _ = world.perdure("log", "dump", "--data", directory)
    assert "greeting" in stdout, stdout
    status, _, stderr = run(world, "--yes", "--data", directory)
    assert status == FAILURE and "is there already" in stderr and "--data" in stderr, stderr
    assert "MANIFEST" in os.listdir(directory), "what was there is gone"


def test_at_a_terminal(world):
    directory = scratch(world, "terminal")
    terminal = Terminal([world.binary, "demo"], environment={"TMPDIR": directory}, columns=120)
    world.opened.append(terminal)
    terminal.expect("Enter goes on")
    terminal.type("\r")
    terminal.expect('"hello there"')
    terminal.expect("Enter goes on")
    terminal.type("q\r")
    assert terminal.wait(60) == 0
    assert os.listdir(directory) == [], os.listdir(directory)


def test_its_server_goes_with_it(world):
    directory = scratch(world, "killed")
    terminal = Terminal([world.binary, "demo"], environment={"TMPDIR": directory}, columns=120)
    terminal.expect("Enter goes on")
    data = [name for name in os.listdir(directory) if not name.endswith(".log")][0]
    with open(os.path.join(directory, data, "LOCK")) as file:
        server = int(file.read())
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.wait()
    deadline = time.monotonic() + 30
    while os.path.exists(f"/proc/{server}") and time.monotonic() < deadline:
        with open(f"/proc/{server}/stat") as file:
            if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                break
        time.sleep(0.05)
    else:
        assert not os.path.exists(f"/proc/{server}"), "the server runs on"
    os.close(terminal.descriptor)


def test_no_room_for_it(world):
    status, _, stderr = run(world, "--yes", "--data", os.path.join(scratch(world, "deep"), "x" * 200, "demo"))
    assert status == FAILURE and "x" * 50 in stderr, stderr
    status, _, stderr = run(world, "--yes", "--data", "")
    assert status == USAGE and "--data" in stderr, stderr


def test_crash(world):
    directory = scratch(world, "crash")
    status, stdout, stderr = run(world, "crash", "--rounds", "3", TMPDIR=directory, PERDURE_DURABILITY="none")
    assert status == 0, (stdout, stderr)
    present, acknowledged = map(int, re.search(r"3/3 rounds: (\d+)/(\d+) acknowledged writes present", stdout).groups())
    assert present == acknowledged > 0 and "(6 kills;" in stdout, stdout
    assert os.listdir(directory) == [], os.listdir(directory)


def test_crash_that_must_be_noticed(world):
    directory = scratch(world, "planted")
    status, stdout, stderr = run(world, "crash", "--rounds", "3", "--planted", TMPDIR=directory)
    assert status == FAILURE and "an acknowledged write is missing" in stderr and "round 1 of 3" in stdout, (stdout, stderr)
    assert len(os.listdir(directory)) == 2, "the data are kept for a look"
    status, stdout, _ = run(world, "crash", "--rounds", "2", "--planted", "-o", "json", TMPDIR=directory)
    result = json.loads(stdout)
    assert status == FAILURE and not result["good"] and "missing" in result["violation"], result
