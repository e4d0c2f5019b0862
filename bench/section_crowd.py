"""How long those who behave wait while others do not: p99 of a plain load alone, and beside each kind of crowd.

The crowd is held by this process: what its threads take of the processor is taken from everybody, so the figures say the
worst. What is bounded, and that everybody is served, is what tests/wire/crowd.py and http_door.py show."""

import contextlib
import os
import resource
import socket
import statistics
import threading
import time

from measuring import HEAD, Load, Row, perdure_bench, say
from processes import HOST, Perdure, free_port
from resp_connection import encode

TITLE = "Beside a crowd"
MUST = 2.0  # times what it is alone
LOADS = (Load("get", 50, 1), Load("set", 50, 1))
LARGE = 100_000


# ---- the crowds: each holds its connections until it is told to stop ----


def connected(port, count, receive_bytes=None):
    held = []
    for _ in range(count):
        client = socket.socket()
        if receive_bytes is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        client.connect((HOST, port))
        held.append(client)
    return held


def until(stop, clients, each, pause=0.0):
    """each(client, number) for all of them, again and again."""
    number = 0
    while not stop.is_set():
        for client in clients:
            with contextlib.suppress(OSError):
                each(client, number)
        number += 1
        stop.wait(pause)


def idle(server, stop):
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = connected(server.port, min(9000, soft - 300))
    for client in held:
        client.sendall(b"PING\r\n")
    for client in held:
        client.recv(64)
    stop.wait()
    return held


def slow(server, stop):
    """A byte of a request now and then."""
    request = encode("SET", "slow", "x" * 200)
    held = connected(server.port, 1000)
    until(stop, held, lambda client, number: client.sendall(request[number % len(request):][:1]), 0.05)
    return held


def unread(server, stop):
    """They ask for large values and take none."""
    held = connected(server.port, 200, 4096)
    for client in held:
        client.setblocking(False)
    until(stop, held, lambda client, _: client.send(encode("GET", "large") * 10), 0.05)
    return held


def coming_and_going(server, stop):
    """They connect, ask for much, and break off."""
    while not stop.is_set():
        for client in connected(server.port, 20):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall(encode("GET", "large") * 4 + b"*3\r\n$3\r\nSET")
            client.close()
        time.sleep(0.01)
    return []


def rubbish(server, stop):
    """Lines without an end, counts without a sense."""
    while not stop.is_set():
        for client in connected(server.port, 20):
            with contextlib.suppress(OSError):
                client.sendall(b"x" * 70_000)
            client.close()
        time.sleep(0.01)
    return []


def scrapers(server, stop):
    """They want /metrics again and again, and read nothing of it."""
    held = connected(server.http_port, 30, 4096)
    for client in held:
        client.setblocking(False)
    until(stop, held, lambda client, _: client.send(b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"), 0.05)
    return held


CROWDS = {"9,000 idle": idle, "1,000 slow": slow, "200 that read nothing": unread, "some that come and go": coming_and_going,
          "some that send rubbish": rubbish, "30 scrapers that hang": scrapers}


@contextlib.contextmanager
def crowd(server, kind):
    stop, held = threading.Event(), []
    thread = threading.Thread(target=lambda: held.extend(kind(server, stop)), daemon=True)
    thread.start()
    time.sleep(1)
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        for client in held:
            client.close()


# ---- the section ----


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(16384, hard) if hard != resource.RLIM_INFINITY else 16384, hard))


def started(options):
    port = free_port()
    server = Perdure(options.binary, os.path.join(options.work, "crowd"), ["--http", str(port), "--memory-budget", "512MiB"])
    server.http_port = port
    server.start()
    perdure_bench(options, server.port, Load("set", 50, 64), "--requests", options.keys, "--in-order")
    with socket.create_connection((HOST, server.port)) as client:
        client.sendall(encode("SET", "large", "x" * LARGE))
        client.recv(64)
    return server


def p99_us(options, server, load, seed):
    result = perdure_bench(options, server.port, load, "--seconds", options.seconds, seed=seed)
    return result["operations"][load.test]["p99_us"]


def about(options):
    return [f"{options.rounds} rounds of {options.seconds:g} s, medians, by `perdure bench`; strict; 50 clients, p99 beside a crowd and alone"]


def run(options):
    raise_descriptor_limit()
    alone, beside = {}, {}
    with started(options) as server:
        for number in range(options.rounds):
            say(f"round {number + 1} of {options.rounds}")
            for load in LOADS:
                alone.setdefault(str(load), []).append(p99_us(options, server, load, number))
            for words, kind in CROWDS.items():
                with crowd(server, kind):
                    for load in LOADS:
                        beside.setdefault((words, str(load)), []).append(p99_us(options, server, load, number))
    rows = [Row(f"p99, {load}, beside {words}", statistics.median(beside[words, str(load)]), statistics.median(alone[str(load)]),
                MUST, lower=True, unit=" µs")
            for words in CROWDS for load in LOADS]
    return [*HEAD, *(row.markdown() for row in rows)]
