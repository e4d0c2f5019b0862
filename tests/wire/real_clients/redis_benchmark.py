#!/usr/bin/python3
"""redis-benchmark. redis_benchmark.py PORT: prints what tests/wire/compat.py reads."""

import subprocess
import sys

PORT = sys.argv[1]
LOADS = (
    ("connect", ("-t", "ping")),
    ("strings", ("-t", "set,get,mset", "-r", "1000", "-d", "100")),
    ("numbers", ("-t", "incr")),
    ("hashes", ("-t", "hset")),
    ("pipeline", ("-t", "set,get", "-P", "16")),
    ("resp3", ("-3", "-t", "set,get")),
    ("lists", ("-t", "lpush")),
)


def main():
    version = subprocess.run(["redis-benchmark", "--version"], capture_output=True, check=True).stdout.decode().split()[1]
    print(f"version\t{version}")
    for feature, words in LOADS:
        done = subprocess.run(["redis-benchmark", "-h", "127.0.0.1", "-p", PORT, "-q", "-n", "5000", "-c", "20", *words],
                              capture_output=True, timeout=120, check=False)
        printed = (done.stdout + done.stderr).decode(errors="replace").replace("\r", "\n")
        problems = [line for line in printed.split("\n") if "rror" in line or "WARN" in line]
        if done.returncode == 0 and "requests per second" in printed and not problems:
            print(f"{feature}\tok")
        else:
            print(f"{feature}\tfail\t{(problems or [printed])[-1].strip()[:300]}")


main()
