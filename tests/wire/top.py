"""perdure top: as lines, as JSON, and as a screen."""

import json
import signal
import threading
import time

from processes import free_port
from resp_connection import Closed, RespConnection
from terminal import Terminal

FAILURE, USAGE = 1, 2


class Load:
    """Writes, reads and errors, until it is told to end."""

    def __init__(self, port):
        self.connection = RespConnection(port)
        self.going = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while self.going:
                self.connection.command("SET", "k", "v")
                self.connection.command("GET", "k")
                self.connection.command("INCR", "k")
                self.connection.command("GET", "{ot\x1bher}k")
        except (Closed, OSError):
            pass

    def close(self):
        self.going = False
        self.thread.join()
        self.connection.close()


def test_json(world):
    world.connect().expect("OK", "SET", "{ot\x1bher}k", "v")
    world.opened.append(Load(world.server.port))
    _, stdout, _ = world.perdure("top", "--data", world.server.directory, "-o", "json", "--count", "2", "--interval", "500ms")
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert len(lines) == 2, stdout
    for line in lines:
        assert line["seconds"] > 0.4 and not line["recovering"] and line["trouble"] == "", line
        assert line["commands"]["write"]["per_second"] > 0 and line["commands"]["read"]["per_second"] > 0, line
        assert line["commands"]["write"]["errors_per_second"] > 0 and line["commands"]["read"]["errors_per_second"] == 0, line
        assert 0 < line["commands"]["write"]["p50_us"] <= line["commands"]["write"]["p99_us"], line
        assert line["log"]["replies"]["per_second"] > 0 and line["log"]["replies"]["p99_us"] > 0, line
        assert line["log"]["group_write"]["p50_us"] > 0 and line["log"]["records_per_group"] >= 1, line
        assert {"set", "get", "incr"} <= {item["command"] for item in line["busiest"]}, line
        assert line["clients"]["connected"] >= 2 and line["store"]["keys"] == 2 and line["memory"]["resident"] > 0, line
        assert sum(part["bytes"] for part in line["memory"]["parts"]) == line["memory"]["used"], line
    hot = lines[1]["hot_actors"]
    assert [(actor["tenant"], actor["name"]) for actor in hot] == [("default", "main"), ("default", "ot\x1bher")], hot
    assert hot[0]["per_second"] > hot[1]["per_second"] > 0, hot


def test_idle(world):
    """What did not happen has no time."""
    _, stdout, _ = world.perdure("top", "--data", world.server.directory, "-o", "json", "--count", "1", "--interval", "0.3")
    line = json.loads(stdout)
    assert line["commands"]["write"] == {"per_second": 0, "p50_us": None, "p99_us": None, "errors_per_second": 0}, line


def test_lines(world):
    world.opened.append(Load(world.server.port))
    _, stdout, _ = world.perdure("top", "--port", world.server.port, "--count", "3", "--interval", "0.3")
    lines = stdout.splitlines()
    assert len(lines) == 4 and lines[0].split()[:3] == ["time", "read/s", "write/s"] and "\x1b" not in stdout, stdout
    assert float(lines[1].split()[2].rstrip("k")) > 0, stdout


def test_screen(world):
    world.opened.append(Load(world.server.port))
    terminal = Terminal([world.binary, "top", "--data", world.server.directory, "--interval", "0.3"], rows=45, columns=100)
    world.opened.append(terminal)
    terminal.expect("perdure 0.")
    terminal.expect("serving, strict by default")
    terminal.expect("connections")
    for _ in range(20):
        seen = terminal.expect("connections")
        if " set " in seen:
            break
    assert " set " in seen and "memtables" in seen, seen
    assert "hot actors  main " in seen and "ot\\x1bher" in seen, seen
    terminal.resize(10, 40)
    terminal.raw = b""
    terminal.expect("perdure 0.")
    seen = terminal.expect("perdure 0.")
    lines = seen.split("\n")
    assert len(lines) <= 11 and max(map(len, lines)) <= 40, seen
    terminal.type("q")
    assert terminal.wait() == 0
    assert b"\x1b[?1049l" in terminal.raw and b"\x1b[?25h" in terminal.raw, "the terminal was not put back"


def test_screen_outlives_the_server(world):
    server = world.new_server("restarted")
    server.start()
    port = server.port
    terminal = Terminal([world.binary, "top", "--port", port, "--interval", "0.2"], rows=45, columns=120)
    world.opened.append(terminal)
    terminal.expect("serving, strict")
    server.kill()
    terminal.expect("NO ANSWER, trying again: nobody listens")
    server.start(port)
    terminal.raw = b""
    terminal.expect("serving, strict")
    terminal.type("\x03")
    assert terminal.wait() == 0


def test_silent_server_is_not_waited_for(world):
    """Ctrl-C ends it though the server says nothing."""
    server = world.new_server("silent")
    server.start()
    terminal = Terminal([world.binary, "top", "--port", server.port, "--interval", "0.2"], rows=45, columns=120)
    world.opened.append(terminal)
    terminal.expect("serving, strict")
    server.process.send_signal(signal.SIGSTOP)
    time.sleep(1)
    terminal.type("\x03")
    assert terminal.wait(20) == 0
    server.process.send_signal(signal.SIGCONT)


def test_lines_end_with_the_server(world):
    server = world.new_server("ended")
    server.start()
    timer = threading.Timer(1, server.kill)
    timer.start()
    status, _, stderr = world.perdure("top", "--data", server.directory, "--interval", "0.3", check=False)
    timer.join()
    assert status == FAILURE and any(words in stderr for words in ("has ended", "no server", "lost the server")), stderr


def test_trouble_is_shown(world):
    """During recovery there is no store to ask."""
    connection = world.connect()
    for number in range(30):
        connection.expect("OK", "MSET", *[word for key in range(300) for word in (f"{number}:{key}", "v" * 100)])
    world.server.kill()
    world.server.launch()
    deadline = time.monotonic() + 30
    status = None
    while status != 0 and time.monotonic() < deadline:
        status, stdout, stderr = world.perdure("top", "--data", world.server.directory, "-o", "json", "--count", "1", "--interval",
                                               "0.1", check=False)
    assert status == 0 and json.loads(stdout)["version"], stderr


def test_no_server(world):
    status, _, stderr = world.perdure("top", "--port", free_port(), check=False)
    assert status == FAILURE and "nobody listens" in stderr and "perdure server" in stderr, stderr
    status, _, stderr = world.perdure("top", "--port", world.real_redis().port, check=False)
    assert status == FAILURE and "no Perdure server" in stderr, stderr


def test_wrong_command_lines(world):
    for words, wanted in ((("--interval", "0"), "seconds"), (("--interval", "1ms"), "at least 100"), (("--count", "-1"), "a number"),
                          (("--cuont", "1"), "did you mean --count")):
        status, stdout, stderr = world.perdure("top", *words, check=False)
        assert status == USAGE and stdout == "" and wanted in stderr, (words, stderr)
