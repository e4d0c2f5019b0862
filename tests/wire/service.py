"""The server as a service: what it tells its manager, what it logs, how it ends, what it keeps to itself."""

import json
import os
import re
import signal
import socket
import subprocess
import time

from processes import HOST, die_with_parent, free_port
from resp_connection import Closed, RespConnection


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(60)
        self.heard = []

    def wait(self, wanted):
        while not any(wanted in text for text in self.heard):
            self.heard.append(self.socket.recv(4096).decode())
        return self

    def close(self):
        self.socket.close()


def launch(server, **environment):
    """Start it with these variables, without waiting."""
    server.port = free_port()
    with open(server.log_path, "ab") as log:
        server.log_start = log.tell()
        server.started_at = time.monotonic()
        server.process = subprocess.Popen(server.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                          preexec_fn=die_with_parent, env={**os.environ, **environment})


# ---- the manager ----


def test_manager_is_told(world):
    server = world.new_server("told", ["--durability", "standard"])
    manager = Manager(world.path("notify"))
    launch(server, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="200000")
    manager.wait("READY=1\nSTATUS=serving, RESP on port %d" % server.port)
    with RespConnection(server.port) as connection:  # what is ready is served
        connection.send_raw(b"".join(b"*3\r\n$3\r\nSET\r\n$6\r\n%06d\r\n$1\r\na\r\n" % n for n in range(60000)))
        assert [connection.read() for _ in range(60000)] == ["OK"] * 60000
    # An idle loop wakes up for it, too.
    before = sum("WATCHDOG=1" in text for text in manager.heard)
    while sum("WATCHDOG=1" in text for text in manager.heard) < before + 5:
        manager.heard.append(manager.socket.recv(4096).decode())
    server.process.terminate()
    manager.wait("STOPPING=1\nSTATUS=")
    assert server.process.wait(30) == 0

    # A replay tells how far it is, and asks for the time that it needs.
    manager.heard.clear()
    server.start()
    with RespConnection(server.port) as connection:
        connection.send_raw(b"".join(b"*3\r\n$3\r\nSET\r\n$6\r\n%06d\r\n$1\r\na\r\n" % n for n in range(60000)))
        assert [connection.read() for _ in range(60000)] == ["OK"] * 60000
    server.kill()
    launch(server, NOTIFY_SOCKET=manager.path)
    manager.wait("READY=1")
    texts = "\n".join(manager.heard)
    assert re.search(r"STATUS=recovering: \d+%, \d+ records", texts) and "EXTEND_TIMEOUT_USEC=60000000" in texts, texts
    assert "WATCHDOG=1" not in texts, texts
    server.stop()
    manager.close()


def test_manager_in_the_abstract_space(world):
    name = f"perdure-{os.getpid()}-{free_port()}"
    manager = Manager("\0" + name)
    server = world.new_server("abstract")
    launch(server, NOTIFY_SOCKET="@" + name)
    manager.wait("READY=1")
    server.stop()
    manager.close()


def test_manager_that_is_not_there(world):
    """Nobody listens, or nothing sensible is said where: the server does not mind."""
    for path in (world.path("nobody"), "", "relative", "/" + "x" * 200):
        server = world.new_server("unheard")
        launch(server, NOTIFY_SOCKET=path, WATCHDOG_USEC="rubbish")
        server.wait_ready()
        assert server.stop() == 0


# ---- messages ----


def test_text_has_the_time(world):
    server = world.new_server("text")
    server.start()
    server.stop()
    for line in server.printed().splitlines():
        assert re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [a-z]+: ", line), line


def test_json_is_json(world):
    server = world.new_server("json", ["--log-format", "json", "--log-level", "debug"])
    server.start()
    with RespConnection(server.port) as connection:
        connection.expect("PONG", "PING")
    server.stop()
    rows = [json.loads(line) for line in server.printed().splitlines()]
    assert all({"time", "level", "room", "message"} <= set(row) for row in rows), rows
    assert any(row["message"].startswith("ready: RESP on") for row in rows), rows
    accepted = [row for row in rows if row["level"] == "debug" and row["message"].startswith("accepted ")]
    assert accepted and accepted[0]["room"] == "resp" and accepted[0]["connection"] > 0, rows


def test_levels(world):
    server = world.new_server("quiet", ["--log-level", "error"])
    server.port = free_port()
    server.launch()
    for _ in range(3000):
        try:
            with RespConnection(server.port) as connection:
                connection.expect("OK", "CONFIG", "SET", "perdure-log-level", "info")
                break
        except OSError:
            time.sleep(0.01)
    assert server.printed() == "", server.printed()
    assert server.stop() == 0
    assert "stopped: everything is on stable storage" in server.printed(), server.printed()
    status, _, stderr = world.perdure("server", "--log-format", "xml", check=False)
    assert status == 2 and "json" in stderr, stderr


def test_journal_gets_priorities(world):
    server = world.new_server("journal")
    with open(server.log_path, "ab") as file:
        info = os.fstat(file.fileno())
    launch(server, JOURNAL_STREAM=f"{info.st_dev}:{info.st_ino}")
    server.wait_ready()
    server.stop()
    lines = server.printed().splitlines()
    assert lines and all(re.match(r"<[0-7]>[a-z]+: ", line) for line in lines), lines
    # The variable of somebody else: what we write into is not the journal.
    launch(server, JOURNAL_STREAM=f"{info.st_dev}:{info.st_ino + 1}")
    server.wait_ready()
    server.stop()
    assert "<6>" not in server.printed(), server.printed()


# ---- the end ----


def test_replies_in_flight_go_out(world):
    """What was asked for before the signal is answered, whole, by a server that takes nothing new."""
    server = world.new_server("drained")
    server.start()
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "large", b"x" * (8 << 20))
        connection.send("GET", "large")
        time.sleep(0.5)
        server.process.terminate()
        for _ in range(3000):
            try:
                socket.create_connection((HOST, server.port), timeout=5).close()
                time.sleep(0.01)
            except ConnectionRefusedError:
                break
        else:
            raise AssertionError("it still takes connections")
        assert len(connection.read()) == 8 << 20
        try:
            raise AssertionError(f"answered while it drains: {connection.command('PING')}")
        except (Closed, OSError):
            pass
    assert server.process.wait(30) == 0


def test_reload_while_it_ends(world):
    """SIGHUP is no order to end at once."""
    server = world.new_server("reloaded")
    server.start()
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "large", b"x" * (8 << 20))
        connection.send("GET", "large")
        time.sleep(0.5)
        server.process.terminate()
        while "stopping" not in server.printed():
            time.sleep(0.01)
        server.process.send_signal(signal.SIGHUP)
        assert len(connection.read()) == 8 << 20
    assert server.process.wait(30) == 0


def test_second_signal_ends_at_once(world):
    server = world.new_server("twice")
    server.start()
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "large", b"x" * (8 << 20))
        connection.send("GET", "large")  # and never read: that holds up the end
        time.sleep(0.5)
        server.process.terminate()
        while "stopping" not in server.printed():
            time.sleep(0.01)
        server.process.terminate()
        assert server.process.wait(30) == -signal.SIGTERM
    server.start()
    with RespConnection(server.port) as connection:
        connection.expect(8 << 20, "STRLEN", "large")


# ---- what is kept private ----


def test_private(world):
    server = world.new_server("private", ["--no-core-dumps"])
    server.start()
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "a", "1")
    world.perdure("store", "checkpoint", "--data", server.directory)
    with open(f"/proc/{server.pid}/limits") as file:
        limits = re.search(r"^Max core file size +(\d+) +(\d+)", file.read(), re.MULTILINE)
    assert limits and limits.groups() == ("0", "0"), limits
    with open(f"/proc/{server.pid}/status") as file:
        assert "Umask:\t0077" in file.read()
    for directory, names, files in os.walk(server.directory):
        for name in names + files:
            mode = os.lstat(os.path.join(directory, name)).st_mode
            assert mode & 0o077 == 0, (directory, name, oct(mode))
