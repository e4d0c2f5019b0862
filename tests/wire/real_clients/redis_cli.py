#!/usr/bin/python3
"""redis-cli. redis_cli.py PORT: prints what tests/wire/compat.py reads."""

import subprocess
import sys
import time

PORT = sys.argv[1]


def run(*words, text=None, options=()):
    done = subprocess.run(["redis-cli", "-p", PORT, *options, *words], input=text, capture_output=True, timeout=60, check=False,
                          stdin=None if text is not None else subprocess.DEVNULL)
    return (done.stdout + done.stderr).decode(errors="replace").strip()


def check(got, wanted):
    if got != wanted:
        raise AssertionError(got)


def connect():
    check(run("PING"), "PONG")


def strings():
    check(run("SET", "a", "1 2"), "OK")
    check(run("GET", "a"), "1 2")
    check(run("MSET", "b", "1", "c", "2"), "OK")
    check(run("--no-raw", "MGET", "b", "none"), '1) "1"\n2) (nil)')


def numbers():
    check(run("--no-raw", "INCR", "n"), "(integer) 1")
    check(run("-r", "3", "INCR", "n"), "2\n3\n4")


def expiry():
    check(run("SET", "e", "1", "EX", "100"), "OK")
    check(run("TTL", "e"), "100")


def bits():
    check(run("SETBIT", "bits", "7", "1"), "0")
    check(run("BITCOUNT", "bits"), "1")


def hashes():
    check(run("HSET", "h", "f", "1", "g", "2"), "2")
    check(run("--csv", "HGETALL", "h"), '"f","1","g","2"')


def scan():
    run(text=b"".join(b"SET scan:%d v\r\n" % number for number in range(1000)), options=("--pipe",))
    check(len(set(run("--scan", "--pattern", "scan:*").split())), 1000)


def pipeline():
    printed = run(text=b"".join(b"SET p%d v\r\n" % number for number in range(10000)), options=("--pipe",))
    check(printed.splitlines()[-1], "errors: 0, replies: 10000")


def transaction():
    check(run(text=b"MULTI\nSET t 1\nINCR t\nEXEC\n"), "OK\nQUEUED\nQUEUED\nOK\n2")


def publish():
    listener = subprocess.Popen(["redis-cli", "-p", PORT, "SUBSCRIBE", "news"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while run("PUBLISH", "news", "hello") != "1":
            assert time.monotonic() < deadline, "nobody listens"
        lines = [listener.stdout.readline().decode().strip() for _ in range(6)]
        check(lines, ["subscribe", "news", "1", "message", "news", "hello"])
    finally:
        listener.kill()
        listener.wait()


def errors():
    run("SET", "s", "text")
    check(run("HGET", "s", "f"), "WRONGTYPE Operation against a key holding the wrong kind of value")
    check(run("-e", "GET", "s"), "text")


def large():
    check(run("SET", "large", text=b"x" * (1 << 20), options=("-x",)), "OK")
    check(run("STRLEN", "large"), str(1 << 20))


def server():
    assert f"tcp_port:{PORT}" in run("INFO") and int(run("DBSIZE")) > 0 and "summary" in run("COMMAND", "DOCS", "get")


def resp3():
    run("HSET", "h3", "f", "1")
    check(run("-3", "--no-raw", "HGETALL", "h3"), '1# "f" => "1"')


def own():
    check(run(text=b"PD.USE alice\nSET k hers\nPD.USE\nGET {alice}k\n"), "OK\nOK\nOK\nhers")


def lists():
    check(run("RPUSH", "l", "a", "b"), "2")


def scripts():
    check(run("EVAL", "return 1", "0"), "1")


def main():
    version = subprocess.run(["redis-cli", "--version"], capture_output=True, check=True).stdout.decode().split()[1]
    print(f"version\t{version}")
    for feature in (connect, strings, numbers, expiry, bits, hashes, scan, pipeline, transaction, publish, errors, large, server, resp3,
                    own, lists, scripts):
        try:
            feature()
            print(f"{feature.__name__}\tok")
        except Exception as error:  # whatever it is, it is this feature's
            print(f"{feature.__name__}\tfail\t{error}".replace("\n", " "))


main()
