"""Crowds, and clients that are slow, rude or gone: counts and bytes stay within bounds, and everybody else is served.

How many there can be depends on the limit of open files; what is asserted does not."""

import fcntl
import json
import os
import re
import resource
import signal
import socket
import subprocess
import time

import exposition
from http_door import get, metrics, with_http
from processes import HOST, die_with_parent, free_port
from resp_connection import Closed, RespConnection, RespError, encode

MIB = 1024 * 1024
IDLE_CLIENT_KIB = 8  # what one may take that has run a command, with all that the kernel does not count


def crowd_size(wanted):
    """As many as this process may open, with room for others."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(wanted, soft - 200)


def started(world, name, options=()):
    server = with_http(world, name, options)
    server.start()
    return server


def connect_raw(server, count):
    held = []
    for _ in range(count):
        client = socket.create_connection((HOST, server.port), timeout=60)
        held.append(client)
    return held


def counted(server, what="perdure_connections", **labels):
    return exposition.value(metrics(server), what, **(labels or {"door": "resp"}))


def wait_for_count(server, wanted):
    for _ in range(600):
        count = counted(server)
        if count == wanted:
            return
        time.sleep(0.05)
    raise AssertionError(f"{count} connections, not {wanted}")


def check_others(server, rounds=200):
    """Somebody who behaves is served."""
    with RespConnection(server.port, timeout=60) as connection:
        for number in range(rounds):
            connection.expect("OK", "SET", "others", str(number))
            connection.expect(str(number).encode(), "GET", "others")


def test_ten_thousand_idle(world):
    server = started(world, "idle", ["--memory-budget", "512MiB"])
    count = crowd_size(9900)
    before = server.status_kib("VmRSS")
    held = connect_raw(server, count)
    for client in held:
        client.sendall(b"PING\r\n")
    for client in held:
        assert client.recv(64) == b"+PONG\r\n"
    wait_for_count(server, count)
    assert server.descriptor_count() < count + 160
    grown = server.status_kib("VmRSS") - before
    assert grown < count * IDLE_CLIENT_KIB * world.memory_slack, f"{grown} KiB for {count} idle clients"
    check_others(server)
    # All of them are still there, and each may go on.
    for client in held[::97]:
        client.sendall(b"PING\r\n")
        assert client.recv(64) == b"+PONG\r\n"
    assert get(server, "/readyz")[0] == 200
    for client in held:
        client.close()
    wait_for_count(server, 0)
    print(f"note  crowd: {count} idle clients took {grown / count:.1f} KiB each")


def test_thousand_slow(world):
    """Requests that come a byte at a time, from a thousand: each is answered in the end, nobody waits for them."""
    server = started(world, "slow")
    before = server.status_kib("VmRSS")
    request = encode("SET", "slow", "x" * 20)
    held = connect_raw(server, crowd_size(1000))
    for at in range(len(request) - 1):
        for client in held:
            client.sendall(request[at:at + 1])
        if at % 10 == 0:
            check_others(server, 10)
    assert counted(server) == len(held)
    grown = server.status_kib("VmRSS") - before
    assert grown < len(held) * 16 * world.memory_slack + 8192, f"{grown} KiB"
    for client in held:
        client.sendall(request[-1:])
    for client in held:
        assert client.recv(64) == b"+OK\r\n"
        client.close()
    wait_for_count(server, 0)


def test_half_closed(world):
    """They have said all they will: what they asked is answered, then the connection ends, read or not."""
    server = started(world, "half")
    held = connect_raw(server, crowd_size(500))
    for client in held:
        client.sendall(encode("SET", "half", "x") + encode("GET", "half"))
        client.shutdown(socket.SHUT_WR)
    for client in held:
        data = b"".join(iter(lambda: client.recv(4096), b""))
        assert data == b"+OK\r\n$1\r\nx\r\n", data
        client.close()
    # In the middle of a request.
    held = connect_raw(server, crowd_size(500))
    for client in held:
        client.sendall(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$100\r\nabc")
        client.shutdown(socket.SHUT_WR)
    for client in held:
        assert client.recv(64) == b""
        client.close()
    wait_for_count(server, 0)
    with RespConnection(server.port) as connection:
        connection.expect(b"x", "GET", "half")


def test_reset_in_the_middle(world):
    """Connections that break while replies are on their way, again and again."""
    server = started(world, "reset")
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "big", "x" * MIB)
    before = server.descriptor_count()
    for _ in range(20):
        held = connect_raw(server, 50)
        for client in held:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall(encode("GET", "big") * 8 + b"*3\r\n$3\r\nSET")
        for client in held:
            client.close()
    wait_for_count(server, 0)
    assert server.descriptor_count() <= before + 4, "descriptors are left open"
    check_others(server)


def test_nobody_reads(world):
    """Five hundred ask for much and take nothing: what they hold stays within their part of the budget."""
    server = started(world, "unread", ["--memory-budget", f"{128 * world.memory_slack}MiB"])
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "big", "x" * 100_000)
    held = connect_raw(server, crowd_size(500))
    for client in held:
        client.setblocking(False)
        try:
            client.send(encode("GET", "big") * 200)
        except BlockingIOError:
            pass
    for _ in range(50):
        check_others(server, 4)
        families = metrics(server)
        held_bytes = exposition.value(families, "perdure_clients_memory_bytes")
        assert held_bytes <= exposition.value(families, "perdure_clients_memory_limit_bytes"), held_bytes
    waiting = sum(exposition.value(families, "perdure_clients_waiting", reason=reason) for reason in ("unread_replies", "memory"))
    closed = exposition.value(families, "perdure_memory_refusals", what="closed")
    assert waiting + closed > 0, "nobody waits, and nobody was closed"
    assert server.status_kib("VmRSS") < 160 * 1024 * world.memory_slack
    for client in held:
        client.close()
    wait_for_count(server, 0)


def test_oversized_lines(world):
    """Lines and counts beyond what the protocol allows: one error, the end, and nothing is kept."""
    server = started(world, "oversized")
    before = server.status_kib("VmRSS")
    for data in (b"x" * 200_000, b"*" + b"1" * 100_000, b"*2147483648\r\n", b"*1\r\n$99999999999\r\n",
                 b"*1\r\n$" + b"9" * 70_000):
        for client in connect_raw(server, 100):
            try:
                client.sendall(data)
                answer = client.recv(4096)
                assert answer.startswith(b"-ERR Protocol error"), answer
                assert b"".join(iter(lambda: client.recv(4096), b"")) == b""
            except ConnectionError:
                pass  # closed over what was not read
            client.close()
    wait_for_count(server, 0)
    grown = server.status_kib("VmRSS") - before
    assert grown < 32 * 1024 * world.memory_slack, f"{grown} KiB"
    check_others(server)


def test_passwords_guessed_in_a_flood(world):
    """Wrong passwords, as fast as they come: each is refused, the log is not flooded."""
    server = started(world, "guessed")
    refused = 0
    for _ in range(20):
        with RespConnection(server.port, timeout=60) as connection:
            connection.send_raw(b"".join(encode("AUTH", "admin", f"guess {number}") for number in range(50)))
            try:
                for _ in range(50):
                    assert isinstance(connection.read(), RespError)
                    refused += 1
            except Closed:
                pass  # fine, too: who guesses is sent away
    assert refused >= 20
    check_others(server)
    assert len(server.printed().splitlines()) < 100, server.printed()[-2000:]
    assert "guess 7" not in server.printed(), "a password is in the log"


def test_names_that_would_command_a_terminal(world):
    """Whatever a client calls things, a message stays on its line, and a terminal obeys none of it."""
    server = started(world, "named", ["--log-level", "debug", "--log-format", "text"])
    names = (b"a\nlog: error: forged", b"\x1b[2J\x1b]0;title\x07", b"\xff\xfe\xc3(", b"\xc2\x9b31m", b"x\x00y", b"\r\rz")
    with RespConnection(server.port) as connection:
        for name in names:
            connection.command("CLIENT", "SETNAME", name)
            connection.command("PD.USE", name)
            connection.command("SET", b"{" + name + b"}k", "v")
            connection.command("PD.PROFILE", "ACTOR", name, "standard")
            connection.command("CONFIG", "SET", name, name)
            connection.command("AUTH", name, name)
            connection.command(name, name)
    server.kill()
    server.start()
    server.stop()
    with open(server.log_path, "rb") as file:
        said = file.read()
    assert said.endswith(b"\n")
    for line in said[:-1].split(b"\n"):
        text = line.decode()  # valid UTF-8
        assert re.match(r"20\d\d-\d\d-\d\dT[0-9:.]+Z [a-z]+: ", text), line
        assert not re.search("[\x00-\x1f\x7f-\x9f]", text), line


def launched_with(server, standard_error):
    """Not in a file as other servers' are, but there: whether it is ready only a connection tells."""
    server.port = free_port()
    server.process = subprocess.Popen(server.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=standard_error,
                                      preexec_fn=die_with_parent)
    for _ in range(1200):
        try:
            with RespConnection(server.port, timeout=60) as connection:
                if connection.command("PING") == "PONG":
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("nobody answers")


def test_messages_that_nobody_takes(world):
    """Standard error is a disk without room, or a pipe whose reader has stopped: messages are lost, and nothing waits."""
    with open("/dev/full", "wb") as full:
        server = with_http(world, "unwritten", ["--log-level", "debug"])
        launched_with(server, full)
        check_others(server)
        assert get(server, "/livez")[0] == 200
        assert server.stop() == 0
    reading, writing = os.pipe()
    size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"x" * size)
    server = with_http(world, "unheard", ["--log-level", "debug"])
    launched_with(server, writing)
    check_others(server)
    assert get(server, "/readyz")[0] == 200
    assert os.read(reading, size) == b"x" * size
    # There is room again, and what is said from now on arrives.
    assert server.stop() == 0
    os.close(writing)
    said = b"".join(iter(lambda: os.read(reading, 65536), b""))
    os.close(reading)
    assert b"stop" in said, said


def vanish(client):
    """The other side hears nothing of it, as if the machine were gone."""
    client.setsockopt(socket.IPPROTO_TCP, 19, 1)  # TCP_REPAIR
    client.close()


def test_half_open(world):
    """Clients that have gone without a word: they cost what an idle one does, and go when something is sent to them."""
    if os.geteuid() != 0:
        raise AssertionError("to end a connection without a word needs root")
    server = started(world, "half-open")
    held = connect_raw(server, crowd_size(500))
    for client in held:
        client.sendall(encode("SUBSCRIBE", "news") + b"*3\r\n$3\r\nSET\r\n$4\r\nhalf")
    for client in held:
        assert client.recv(256).startswith(b"*3\r\n$9\r\nsubscribe")
    before = server.status_kib("VmRSS")
    for client in held:
        vanish(client)
    check_others(server)
    wait_for_count(server, len(held))  # it has heard nothing of it
    with RespConnection(server.port, timeout=60) as connection:
        for _ in range(600):
            if counted(server) == 1:
                break
            connection.command("PUBLISH", "news", "x")
            time.sleep(0.05)
    wait_for_count(server, 0)
    grown = server.status_kib("VmRSS") - before
    assert grown < 32 * 1024 * world.memory_slack, f"{grown} KiB"


def test_full_disk_is_told(world):
    """/readyz, /health and the figures follow what becomes of the disk."""
    from broken_disk import fill_up
    from faults import small_disk, wait_until_writable, write_until_refused

    with small_disk(world, 500) as directory:
        server = with_http(world, "small-disk/data")
        server.log_path = world.path("small-disk-told.log")
        server.start()
        filler = fill_up(directory, 20)
        connection = world.connect(server)
        _, refusal = write_until_refused(connection, 1000)
        assert str(refusal).startswith("DISKFULL"), refusal
        assert get(server, "/readyz")[0] == 200
        status, _, body = get(server, "/readyz?writes")
        assert status == 503 and "disk full" in body, body
        time.sleep(0.2)
        health = json.loads(get(server, "/health")[2])
        assert health["status"] == "degraded" and health["components"]["disk"] == "full", health
        families = metrics(server)
        assert exposition.value(families, "perdure_disk_full") == 1
        assert exposition.value(families, "perdure_writes_refused_disk_full") > 0
        os.unlink(filler)
        # It is seen without anybody trying to write.
        for _ in range(600):
            if get(server, "/readyz?writes")[0] == 200:
                break
            time.sleep(0.05)
        assert get(server, "/readyz?writes")[0] == 200
        assert wait_until_writable(connection)
        assert exposition.value(metrics(server), "perdure_disk_full") == 0


def test_stopped_process_comes_back(world):
    """A server that was stopped for a while (a debugger, a frozen container) goes on where it was."""
    server = started(world, "frozen")
    held = connect_raw(server, 100)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        for client in held:
            client.sendall(encode("INCR", "frozen"))
    finally:
        os.kill(server.pid, signal.SIGCONT)
    answers = sorted(int(client.recv(64)[1:]) for client in held)
    assert answers == list(range(1, 101)), answers
    for client in held:
        client.close()
    wait_for_count(server, 0)
