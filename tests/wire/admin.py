"""The admin socket, and the commands that go through it: perdure store, perdure memory, perdure log compact."""

import json
import os
import socket
import stat
import threading
import time

from resp_connection import RespConnection, RespError

USAGE, FAILURE, DAMAGED = 2, 1, 4


def socket_of(server):
    return os.path.join(server.directory, "admin.sock")


# ---- the socket ----


def test_socket_is_there_and_private(world):
    info = os.lstat(socket_of(world.server))
    assert stat.S_ISSOCK(info.st_mode) and stat.S_IMODE(info.st_mode) == 0o600, oct(info.st_mode)
    with RespConnection(socket_of(world.server)) as connection:
        connection.expect("OK", "SET", "k", "v")
        assert b" addr=admin " in connection.command("CLIENT", "INFO")
    world.connect().expect(b"v", "GET", "k")


def test_socket_goes_with_the_server(world):
    world.server.stop()
    assert not os.path.lexists(socket_of(world.server))


def test_socket_of_a_killed_server_is_replaced(world):
    world.server.kill()
    assert os.path.lexists(socket_of(world.server))
    status, _, stderr = world.perdure("memory", "--data", world.server.directory, check=False)
    assert status == FAILURE and "no server is running" in stderr, stderr
    world.server.start()
    world.perdure("memory", "--data", world.server.directory)


def test_no_socket_in_memory(world):
    server = world.new_server("in-memory", ["--memory"])
    server.start()
    assert not os.path.lexists(server.directory)
    with RespConnection(server.port) as connection:
        reply = connection.command("PD.STORE", "COMPACT")
        assert isinstance(reply, RespError) and "memory" in str(reply), reply


def test_path_that_is_too_long_for_a_socket(world):
    server = world.new_server("long-" + "x" * 120)
    server.start()
    assert "no admin socket" in server.printed() and "shorter path" in server.printed(), server.printed()
    status, _, stderr = world.perdure("store", "stats", "--data", server.directory, check=False)
    assert status == FAILURE and "shorter path" in stderr, stderr
    with RespConnection(server.port) as connection:
        assert connection.command("PD.STORE", "STATUS")[:2] == [b"job", b"none"]
    assert server.stop() == 0


def test_operator_gets_in_when_all_places_are_taken(world):
    server = world.new_server("full", ["--max-clients", "3"])
    server.start()
    taken = [world.connect(server) for _ in range(3)]
    for connection in taken:
        connection.expect("PONG", "PING")
    more = world.connect(server)
    assert isinstance(more.read(), RespError)
    world.perdure("memory", "--data", server.directory)


# ---- commands that look ----


def test_memory(world):
    world.connect().expect("OK", "SET", "k", "v" * 100_000)
    _, stdout, _ = world.perdure("memory", "--data", world.server.directory)
    assert "memtables" in stdout and "MiB" in stdout and "process" in stdout, stdout
    _, stdout, _ = world.perdure("memory", "--data", world.server.directory, "-o", "json")
    report = json.loads(stdout)
    parts = {part["name"]: part for part in report["parts"]}
    assert parts["memtables"]["bytes"] >= 100_000, report
    assert report["used"] == sum(part["bytes"] for part in parts.values()), report
    flat = world.connect().command("PD.MEMORY")
    assert flat[::2] == [b"budget", b"used", b"resident", b"parts"], flat


def test_memory_in_resp3(world):
    connection = world.connect()
    connection.command("HELLO", "3")
    reply = connection.command("PD.MEMORY")
    assert reply[b"parts"][b"memtables"][b"bytes"] >= 0 and reply[b"used"] >= 0, reply


def test_store_stats(world):
    connection = world.connect()
    connection.expect("OK", "MSET", "a", "1", "b", "2")
    _, stdout, _ = world.perdure("store", "stats", "--data", world.server.directory, "-o", "json")
    assert json.loads(stdout)["keys"] == 2, stdout
    _, stdout, _ = world.perdure("store", "stats", "--data", world.server.directory)
    assert "keys " in stdout, stdout


def test_store_status_of_a_new_server(world):
    world.server.stop()
    world.server.start()
    _, stdout, _ = world.perdure("store", "status", "--data", world.server.directory, "-o", "json")
    assert json.loads(stdout)["state"] == "none", stdout
    _, stdout, _ = world.perdure("store", "status", "--data", world.server.directory)
    assert "nothing is going on" in stdout, stdout


def test_no_server(world):
    nowhere = world.path("nowhere")
    empty = world.path("empty")
    os.makedirs(empty)
    for words in (("store", "verify"), ("store", "compact"), ("store", "checkpoint"), ("store", "stats"), ("store", "status"),
                  ("log", "compact"), ("memory",)):
        status, _, stderr = world.perdure(*words, "--data", nowhere, check=False)
        assert status == FAILURE and nowhere in stderr and "no directory" in stderr, stderr
        status, _, stderr = world.perdure(*words, "--data", empty, check=False)
        assert status == FAILURE and "no server is running" in stderr and "perdure log verify" in stderr, stderr
    assert os.listdir(empty) == []


def test_wrong_command_lines(world):
    for words, text in ((("store",), "usage"), (("store", "verfy"), "did you mean \"verify\""), (("store", "verify", "x"), "unexpected"),
                        (("memory", "--dta", "x"), "--data"), (("log", "compct"), "compact"), (("store", "stats", "--no-wait"), "no option")):
        status, _, stderr = world.perdure(*words, check=False)
        assert status == USAGE and text in stderr, f"{words}: {status} {stderr}"


def test_help_pages(world):
    for words in (("store",), ("store", "verify"), ("store", "compact"), ("store", "checkpoint"), ("store", "stats"), ("store", "status"),
                  ("memory",), ("log", "compact")):
        _, stdout, _ = world.perdure(*words, "--help")
        assert stdout.startswith(f"usage: perdure {' '.join(words)}"), stdout
        assert "Exit status:" in stdout, stdout


# ---- commands that work, through a server that says what a test wants ----


class Script(threading.Thread):
    """A server at the admin socket of a directory of its own: answers each command with the next of its replies."""

    def __init__(self, directory, replies):
        super().__init__(daemon=True)
        os.makedirs(directory)
        self.directory = directory
        self.replies = replies
        self.asked = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(os.path.join(directory, "admin.sock"))
        self.socket.listen()
        self.start()

    def run(self):
        connection, _ = self.socket.accept()
        with connection:
            for reply in self.replies:
                data = connection.recv(65536)
                if not data:
                    return
                self.asked.append(" ".join(data.decode().split("\r\n")[2::2]).strip())
                connection.sendall(reply)

    def kill(self):
        self.socket.close()


def bulk(text):
    return b"$%d\r\n%s\r\n" % (len(text), text.encode())


def state(job, state, done=0, total=0, started=1, ended=0, result="OK", text="", damage=()):
    fields = (("job", bulk(job)), ("state", bulk(state)), ("done_bytes", b":%d\r\n" % done), ("total_bytes", b":%d\r\n" % total),
              ("started_us", b":%d\r\n" % started), ("ended_us", b":%d\r\n" % ended), ("result", bulk(result)), ("text", bulk(text)),
              ("damage_count", b":%d\r\n" % len(damage)), ("damage", b"*%d\r\n" % len(damage) + b"".join(map(bulk, damage))))
    return b"*%d\r\n" % (2 * len(fields)) + b"".join(bulk(name) + value for name, value in fields)


def with_script(world, name, replies, *words, check=False):
    script = Script(world.path(name), replies)
    world.opened.append(script)
    done = world.perdure(*words, "--data", script.directory, check=check)
    return (script, *done)


def test_work_is_started_and_watched(world):
    script, status, stdout, stderr = with_script(world, "watched", [
        state("compact-store", "running", 0, 100 << 20, started=7),
        state("compact-store", "running", 50 << 20, 100 << 20, started=7),
        state("compact-store", "done", 100 << 20, 100 << 20, started=7, ended=2_500_007, text="12 files became 3"),
    ], "store", "compact")
    assert status == 0 and stdout == "compact-store done after 2.5 s: 12 files became 3\n", stdout
    assert script.asked == ["PD.STORE COMPACT", "PD.STORE STATUS", "PD.STORE STATUS"], script.asked
    assert stderr == "", stderr  # work of a moment shows no progress


def test_log_compact_asks_for_the_log(world):
    script, status, stdout, _ = with_script(world, "log", [state("compact-log", "done", text="4 segments dropped")], "log", "compact")
    assert status == 0 and "4 segments dropped" in stdout and script.asked == ["PD.LOG COMPACT"], stdout


def test_log_compact_waits_for_the_trim(world):
    """What it says has gone is gone when it says so: nothing more goes afterwards."""
    server = world.new_server("trimmed", ["--segment-size", "1MiB", "--retention-time", "0", "--retention-size", "0", "--durability", "standard"])
    server.start()
    with RespConnection(server.port) as connection:
        for number in range(300):
            connection.expect("OK", "SET", f"k{number}", os.urandom(100_000))
    folder = os.path.join(server.directory, "log", "0000")
    before = len([name for name in os.listdir(folder) if name.endswith(".seg")])
    assert before > 20, before
    _, stdout, _ = world.perdure("log", "compact", "--data", server.directory, "-o", "json")
    after = len([name for name in os.listdir(folder) if name.endswith(".seg")])
    report = json.loads(stdout)
    assert report["state"] == "done" and " MiB of the log are gone, it begins at LSN " in report["text"], report
    assert after < 8, f"{after} of {before} segments are left: {report['text']}"


def test_checkpoint(world):
    script, status, _, _ = with_script(world, "checkpoint", [state("checkpoint", "done")], "store", "checkpoint")
    assert status == 0 and script.asked == ["PD.STORE CHECKPOINT"]


def test_progress_of_long_work(world):
    """On no terminal: a line now and then."""
    replies = [state("verify-store", "running", number << 20, 40 << 20) for number in range(40)]
    replies.append(state("verify-store", "done", 40 << 20, 40 << 20, ended=9_000_001))
    _, status, stdout, stderr = with_script(world, "progress", replies, "store", "verify")
    assert status == 0 and stdout.endswith("no damage\n"), stdout
    assert "verifying: " in stderr and "of 40 MiB" in stderr and "s left" in stderr, stderr


def test_damage_is_named(world):
    damage = ["file 000012.sst: block at 4096; keys of default/shop", "file 000013.sst: a \"quote\""]
    replies = [state("verify-store", "done", text="2 files are damaged", damage=damage, ended=1_000_001)]
    _, status, stdout, _ = with_script(world, "damaged", replies, "store", "verify")
    assert status == DAMAGED, status
    assert "DAMAGE file 000012.sst" in stdout and "2 places are damaged" in stdout and "no damage" not in stdout, stdout
    _, status, stdout, _ = with_script(world, "damaged-json", replies, "store", "verify", "-o", "json")
    report = json.loads(stdout)
    assert status == DAMAGED and report["damage"] == damage and report["exit_status"] == DAMAGED, report


def test_failed_work(world):
    replies = [state("compact-store", "failed", result="DISKFULL", text="no room for the new files")]
    _, status, stdout, _ = with_script(world, "failed", replies, "store", "compact")
    assert status == FAILURE and "failed" in stdout and "no room" in stdout, stdout


def test_other_work_is_going_on(world):
    _, status, _, stderr = with_script(world, "other", [
        b"-BUSY a checkpoint is being written: wait for its end\r\n",
        state("checkpoint", "running", 1, 2),
    ], "store", "compact")
    assert status == FAILURE and "a checkpoint is being written" in stderr, stderr


def test_the_same_work_is_going_on(world):
    _, status, stdout, stderr = with_script(world, "same", [
        b"-BUSY the store is being compacted\r\n",
        state("compact-store", "running", 1, 2),
        state("compact-store", "done", 2, 2, text="by somebody else"),
    ], "store", "compact")
    assert status == 0 and "going on already" in stderr and "by somebody else" in stdout, stderr


def test_its_result_is_overtaken(world):
    _, status, _, stderr = with_script(world, "overtaken", [
        state("compact-store", "running", 1, 2, started=5),
        state("checkpoint", "running", 1, 2, started=9),
    ], "store", "compact")
    assert status == FAILURE and "other work has begun" in stderr, stderr


def test_no_wait(world):
    script, status, stdout, _ = with_script(world, "no-wait", [state("compact-store", "running", 25 << 20, 100 << 20)],
                                            "store", "compact", "--no-wait")
    assert status == 0 and "25%" in stdout and script.asked == ["PD.STORE COMPACT"], stdout


def test_server_that_ends_meanwhile(world):
    _, status, _, stderr = with_script(world, "ended", [state("compact-store", "running", 1, 2)], "store", "compact")
    assert status == FAILURE and "has ended" in stderr, stderr


def test_server_that_talks_nonsense(world):
    for number, reply in enumerate((b"hello\r\n", b"*2\r\n:1\r\nx\r\n")):
        _, status, _, stderr = with_script(world, f"nonsense-{number}", [reply], "store", "stats")
        assert status == FAILURE and "no reply" in stderr, stderr
    # Well-formed, and not what was asked for: nothing is made up, nothing crashes.
    for number, reply in enumerate((b"+OK\r\n", b"*0\r\n", b"$-1\r\n", b"*2\r\n+parts\r\n+none\r\n", b"*3\r\n+parts\r\n*1\r\n+x\r\n+y\r\n")):
        for words in (("memory",), ("store", "stats"), ("store", "status")):
            _, status, _, stderr = with_script(world, f"strange-{number}-{'-'.join(words)}", [reply], *words)
            assert status in (0, FAILURE), stderr


def test_server_in_recovery_answers(world):
    """What takes memory can be seen while the log is replayed."""
    connection = world.connect()
    for number in range(40):
        connection.expect("OK", "MSET", *[word for key in range(500) for word in (f"{number}:{key}", "v" * 100)])
    world.server.kill()
    world.server.launch()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status, stdout, _ = world.perdure("memory", "--data", world.server.directory, check=False)
        if status == 0:
            break
    assert "memtables" in stdout, stdout
    world.server.wait_ready()
