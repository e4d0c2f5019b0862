"""The state on disk: what a start begins with, what it says about that, and what INFO shows of it."""

import os
import shutil
import time


def info(connection, section="perdure"):
    lines = connection.command("INFO", section).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def state_of(server):
    return os.path.join(server.directory, "store", "0000")


def with_data(world, name):
    """A server of its own, with some keys and a checkpoint, killed."""
    server = world.new_server(name)
    server.start()
    connection = world.connect(server)
    for number in range(20):
        connection.expect("OK", "SET", f"k{number}", "v")
    world.perdure("store", "checkpoint", "--data", server.directory)
    figures = info(connection)
    assert int(figures["checkpoint_lsn"]) == int(figures["applied_lsn"]) >= 20, figures
    assert figures["checkpoints_made"] == "1" and int(figures["flushes"]) >= 1, figures
    connection.expect("OK", "SET", "after", "v")
    server.kill()
    return server


def check(world, server, keys=21):
    connection = world.connect(server)
    connection.expect(keys, "DBSIZE")
    connection.expect(b"v", "GET", "k7")
    return info(connection)


def test_new_directory(world):
    server = world.new_server("new")
    server.start()
    assert "state: from the log alone; replayed 0 records" in server.printed(), server.printed()
    assert "warning" not in server.printed(), server.printed()
    figures = info(world.connect(server))
    assert figures["recovery_rebuilt"] == "0" and figures["recovery_rebuilt_why"] == "", figures
    assert figures["log_first_lsn"] == "1" and figures["checkpoint_lsn"] == "0", figures
    assert figures["state_failures"] == figures["braked_writes"] == "0", figures
    figures = info(world.connect(server), "persistence")
    assert figures["perdure_log_first_lsn"] == "1" and figures["perdure_checkpoint_lsn"] == "0", figures


def test_state_and_what_came_after_it(world):
    server = with_data(world, "left")
    server.start()
    figures = check(world, server)
    assert f"state: up to LSN {figures['recovery_state_lsn']}; replayed the " in server.printed(), server.printed()
    assert "warning" not in server.printed(), server.printed()
    assert int(figures["recovery_state_lsn"]) >= 20 and figures["recovery_checkpoint_lsn"] == "0", figures
    assert int(figures["recovery_records"]) < 5, figures
    assert int(figures["checkpoint_lsn"]) >= 20, "checkpoints of an earlier life are forgotten"


def test_checkpoint_takes_the_place_of_lost_levels(world):
    server = with_data(world, "lost-levels")
    shutil.rmtree(os.path.join(state_of(server), "live"))
    server.start()
    figures = check(world, server)
    assert "warning: the state on disk could not be used" in server.printed(), server.printed()
    assert f"the checkpoint of LSN {figures['recovery_checkpoint_lsn']} took its place" in server.printed()
    assert figures["recovery_rebuilt"] == "1" and figures["recovery_rebuilt_why"] != "", figures


def test_made_anew_from_the_log(world):
    server = with_data(world, "lost-store")
    shutil.rmtree(state_of(server))
    server.start()
    figures = check(world, server)
    assert "made anew from the whole log" in server.printed(), server.printed()
    assert figures["recovery_rebuilt"] == "1" and figures["recovery_state_lsn"] == "0", figures


def rot(path):
    """One bit of a file has flipped."""
    with open(path, "r+b") as file:
        file.seek(20)
        byte = file.read(1)[0]
        file.seek(20)
        file.write(bytes([byte ^ 1]))


def test_damage_met_in_use(world):
    """It is told once; nothing is copied or dropped; the next start takes another state."""
    server = with_data(world, "rotten")
    server.start()
    live = os.path.join(state_of(server), "live")
    for name in os.listdir(live):
        if name.endswith(".sst"):
            rot(os.path.join(live, name))
    status, stdout, _ = world.perdure("store", "verify", "--data", server.directory, check=False)
    assert status == 4 and "DAMAGE " in stdout, stdout
    assert os.path.exists(os.path.join(state_of(server), "DAMAGED"))
    status, _, stderr = world.perdure("store", "checkpoint", "--data", server.directory, check=False)
    assert status != 0 and "restart the server" in stderr, stderr
    connection = world.connect(server)
    deadline = time.monotonic() + 10
    while "warning: the state on disk is damaged" not in server.printed():
        assert time.monotonic() < deadline, server.printed()
        connection.expect("PONG", "PING")
        time.sleep(0.1)
    assert info(connection)["state_damage"] != ""
    assert server.printed().count("warning: the state on disk is damaged") == 1, server.printed()
    server.kill()
    server.start()  # its checkpoint shares the files, but the log is whole
    figures = check(world, server)
    assert "made anew from the whole log" in server.printed(), server.printed()
    assert figures["recovery_rebuilt"] == "1" and figures["state_damage"] == "", figures
    assert not os.path.exists(os.path.join(state_of(server), "DAMAGED"))


def test_nothing_about_state_in_memory(world):
    server = world.new_server("in-memory", ["--memory"])
    server.start()
    assert "state:" not in server.printed(), server.printed()
