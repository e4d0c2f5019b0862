"""How long those who behave wait while others do not: p99 of a plain load alone, and beside each kind of crowd.

The crowd is held by this process, on the machine that everybody else is on, with the least priority: it stands for others on
machines of their own. What it costs the kernel and the server is in the figures. What is bounded, and that everybody is served, is what tests/wire/crowd.py and http_door.py show."""

import contextlib
import os
import resource
import socket
import statistics
import subprocess
import threading
import time

from measuring import BenchError, HEAD, Load, Row, perdure_bench, say
from processes import HOST, Perdure, free_port
from resp_connection import encode

TITLE = "Beside a crowd"
MUST = 2.0  # times what it is alone
LOADS = (Load("get", 50, 1), Load("set", 50, 1))
LARGE = 100_000
LOGIN = ("rita", "rita's password")


# ---- the crowds: each holds its connections until it is told to stop ----


def connected(port, count, receive_bytes=None, address=None):
    held = []
    for _ in range(count):
        client = socket.socket()
        if address is not None:
            client.bind((address, 0))
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
    """A byte of a request twenty times a second; they do not do it in step."""
    request = encode("SET", "slow", "x" * 200)
    held = connected(server.port, 1000)
    number = 0
    while not stop.is_set():
        for client in held[number % 20::20]:
            client.sendall(request[number // 20 % len(request):][:1])
        number += 1
        stop.wait(0.05 / 20)
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


def guessing(server, stop):
    """They try passwords, of users that are there and of others, from an address of their own: whoever shares it waits with them."""
    held = connected(server.port, 30, address="127.0.0.2")
    for client in held:
        client.setblocking(False)
    until(stop, held, lambda client, number: client.send(encode("AUTH", LOGIN[number % 2], f"guess {number}")), 0.05)
    return held


OPEN_CROWDS = {"9,000 idle": idle, "1,000 slow": slow, "200 that read nothing": unread, "some that come and go": coming_and_going,
               "some that send rubbish": rubbish, "30 scrapers that hang": scrapers}
GUARDED_CROWDS = {"30 that guess passwords": guessing}  # beside users who have logged in


@contextlib.contextmanager
def crowd(server, kind):
    stop, held = threading.Event(), []

    def hold():
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        held.extend(kind(server, stop))

    thread = threading.Thread(target=hold, daemon=True)
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


def started(options, name, login=()):
    port = free_port()
    server = Perdure(options.binary, os.path.join(options.work, name), ["--http", str(port), "--memory-budget", "512MiB"])
    server.http_port = port
    if login:
        subprocess.run([options.binary, "user", "add", login[0], "--role", "admin", "--data", server.directory],
                       input=login[1] + "\n", text=True, stdout=subprocess.DEVNULL, check=True)
    server.start()
    perdure_bench(options, server.port, Load("set", 50, 64), "--requests", options.keys, "--in-order", login=login)
    with socket.create_connection((HOST, server.port)) as client:
        for words in (("AUTH", *login),) * bool(login) + (("SET", "large", "x" * LARGE),):
            client.sendall(encode(*words))
            if client.recv(64) != b"+OK\r\n":
                raise BenchError(f"{words[0]} was refused")
    return server


def p99_us(options, server, load, seed, login):
    result = perdure_bench(options, server.port, load, "--seconds", options.seconds, seed=seed, login=login)
    return result["operations"][load.test]["p99_us"]


def about(options):
    return [f"{options.rounds} rounds of {options.seconds:g} s, medians, by `perdure bench`; strict; 50 clients, p99 beside a crowd and alone"]


def measured(options, name, crowds, login=()):
    alone, beside = {}, {}
    with started(options, name, login) as server:
        for number in range(options.rounds):
            say(f"{name}: round {number + 1} of {options.rounds}")
            for load in LOADS:
                alone.setdefault(load, []).append(p99_us(options, server, load, number, login))
            for words, kind in crowds.items():
                with crowd(server, kind):
                    for load in LOADS:
                        beside.setdefault((words, load), []).append(p99_us(options, server, load, number, login))
    for words in crowds:
        for load in LOADS:
            yield Row(f"p99, {load}, beside {words}", statistics.median(beside[words, load]), statistics.median(alone[load]),
                      MUST, lower=True, unit=" µs")


def run(options):
    raise_descriptor_limit()
    rows = [*measured(options, "crowd", OPEN_CROWDS), *measured(options, "crowd-guarded", GUARDED_CROWDS, LOGIN)]
    return [*HEAD, *(row.markdown() for row in rows)]
