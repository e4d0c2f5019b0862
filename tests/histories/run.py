#!/usr/bin/python3
"""Concurrent clients write down what they asked and what they were told, while the server is killed and stopped under them; then
it is decided whether any order of their transactions explains it.

    ./dev crash --histories N [--seed S] [--workload NAME]
    tests/histories/run.py --check FILE        decide again about a history that was kept
"""

import argparse
import os
import random
import shutil
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))

from history import UNKNOWN, complete, load, save  # noqa: E402
from processes import Perdure, ServerError  # noqa: E402
from resp_connection import Closed, RespConnection, RespError  # noqa: E402
from workloads import WORKLOADS, Unexpected  # noqa: E402

CLIENTS = 6
FAULTS = 3  # in each history
WORTH_OPERATIONS = 300  # fewer that were answered prove too little
STOPPED_S = 0.15
NO_HISTORY = ("--retention-time", "0", "--retention-size", "0")
SERVER_OPTIONS = ((), ("--segment-size", "1MiB", *NO_HISTORY), ("--queue-depth", "4"),
                  ("--segment-size", "256KiB", "--queue-depth", "1", *NO_HISTORY))


class Client:
    """A thread. It takes another connection when one breaks; what was under way then is of unknown outcome."""

    def __init__(self, number, workload, server, over):
        self.number, self.workload, self.server, self.over = number, workload, server, over
        self.chance = workload.random_of(number)
        self.operations = []
        self.complaint = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        unanswered = None
        while not self.over.is_set() or unanswered is not None:
            try:
                with RespConnection(self.server.port, timeout=20) as connection:
                    unanswered = self._talk(connection, unanswered)
            except (Closed, ConnectionError, OSError):
                time.sleep(0.002)
                if self.over.is_set() and not self.server.is_running():
                    return
            except Unexpected as error:
                self.complaint = f"client {self.number}: {error}"
                return
            except Exception as error:  # a thread's exception would only be printed: make it the history's failure
                self.complaint = f"client {self.number}: {type(error).__name__}: {error}"
                return
            if unanswered is None and self.operations and self.operations[-1].outcome == UNKNOWN:
                unanswered = self._again(self.operations[-1])

    def _again(self, operation):
        """Only operations that carry an idempotency key are sent again."""
        return operation if self.workload.name == "counter" else None

    def _talk(self, connection, unanswered):
        if isinstance(connection.command("PING"), RespError):
            raise Closed("still loading")
        while unanswered is not None or not self.over.is_set():
            operation = unanswered
            if operation is None:
                operation = self.workload.operation(self.number, self.chance)
                self.operations.append(operation)
            self.workload.run(connection, operation, self.chance)
            unanswered = None
        return None


def do_fault(server, chance, workload):
    """One of what may happen to a server; returns its name."""
    kind = chance.choice(("kill", "kill", "stop", "checkpoint", "compact"))
    if kind == "kill":
        server.kill()
        port = server.port
        workload.phase += 1
        time.sleep(chance.random() * 0.05)
        server.start(port)
    elif kind == "stop":
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(STOPPED_S * chance.random())
        server.process.send_signal(signal.SIGCONT)
    else:
        with RespConnection(server.port) as connection:
            connection.command("PD.STORE", kind.upper())
    return kind


def run_clients(server, workload, chance, seconds):
    over = threading.Event()
    clients = [Client(number, workload, server, over) for number in range(CLIENTS)]
    for client in clients:
        client.thread.start()
    faults = []
    try:
        for _ in range(FAULTS):
            time.sleep(seconds / (FAULTS + 1) * (0.5 + chance.random()))
            faults.append(do_fault(server, chance, workload))
        time.sleep(seconds / (FAULTS + 1))
    finally:
        over.set()
        for client in clients:
            client.thread.join(60)
    complaints = [client.complaint for client in clients if client.complaint]
    complaints += [f"client {client.number} hangs" for client in clients if client.thread.is_alive()]
    return [operation for client in clients for operation in client.operations], complaints, faults


def read_at_the_end(server, workload, operations):
    operation = workload.finish(CLIENTS)
    if operation is None:
        return
    with RespConnection(server.port) as connection:
        run = getattr(workload, "run_finish", None)
        if run is not None:
            run(connection, operation)
        else:
            workload.run(connection, operation, random.Random(1))
    operations.append(operation)


def one_history(options, number):
    """(workload's name, history, complaints, faults)"""
    seed = f"{options.seed}/{number}"
    chance = random.Random(seed)
    name = options.workload or sorted(WORKLOADS)[number % len(WORKLOADS)]
    workload = WORKLOADS[name](seed)
    path = os.path.join(options.work, f"history-{number}")
    shutil.rmtree(path, ignore_errors=True)
    server = Perdure(options.binary, path, list(SERVER_OPTIONS[number // len(WORKLOADS) % len(SERVER_OPTIONS)]))
    with server:
        server.start()
        operations, complaints, faults = run_clients(server, workload, chance, options.seconds)
        if not complaints:
            server.kill()
            server.start()
            read_at_the_end(server, workload, operations)
    shutil.rmtree(path, ignore_errors=True)
    os.unlink(server.log_path)
    return name, complete(operations), complaints, faults


class Tally:
    def __init__(self):
        self.passed = self.failed = self.void = self.operations = self.unknown = self.faults = self.anomalies = 0


def judge(options, tally, number, name, history, complaints):
    answered = sum(operation.outcome != UNKNOWN for operation in history)
    tally.operations += answered
    tally.unknown += len(history) - answered
    anomalies = WORKLOADS[name].check(history)
    tally.anomalies += len(anomalies)
    if not complaints and not anomalies:
        tally.passed += answered >= WORTH_OPERATIONS
        tally.void += answered < WORTH_OPERATIONS
        return
    tally.failed += 1
    kept = os.path.join(options.work, f"history-{number}-{name}.jsonl")
    save(kept, name, history)
    for complaint in complaints:
        print(f"FAIL {name}, history {number}: {complaint}")
    for anomaly in anomalies[:5]:
        print(f"FAIL {name}, history {number}: {anomaly}")
    print(f"     {len(anomalies)} anomalies; kept: {sys.argv[0]} --check {kept}")


def run_all(options):
    tally = Tally()
    number = 0
    while tally.passed + tally.failed < options.histories and tally.void <= options.histories:
        try:
            name, history, complaints, faults = one_history(options, number)
        except (ServerError, Closed, OSError, Unexpected) as error:
            name, history, complaints, faults = sorted(WORKLOADS)[number % len(WORKLOADS)], [], [str(error)], []
        tally.faults += len(faults)
        judge(options, tally, number, name, history, complaints)
        number += 1
        if sys.stdout.isatty():
            print(f"\r{tally.passed + tally.failed}/{options.histories}", end="", flush=True)
    print(f"{tally.operations} operations answered, {tally.unknown} of unknown outcome, {tally.faults} faults, "
          f"{tally.void} void, {tally.anomalies} anomalies")
    if tally.void > options.histories:
        print("FAIL too many void histories: the machine is too slow, or the server stalls")
        tally.failed += 1
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


def check_file(path):
    name, history = load(path)
    anomalies = WORKLOADS[name].check(history)
    for anomaly in anomalies:
        print(anomaly)
    print(f"{len(history)} operations, {len(anomalies)} anomalies")
    return 1 if anomalies else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "perdure"))
    parser.add_argument("--histories", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each history")
    parser.add_argument("--seed", default=str(time.time_ns() % 10**9))
    parser.add_argument("--workload", choices=sorted(WORKLOADS))
    parser.add_argument("--work", help="where data directories and histories that failed go")
    parser.add_argument("--check", metavar="FILE")
    options = parser.parse_args()
    if options.check:
        return check_file(options.check)
    if not options.binary or not os.access(options.binary, os.X_OK):
        parser.error("--binary: the perdure program, such as build/perdure")
    options.work = options.work or os.path.join(os.path.dirname(os.path.abspath(options.binary)), "histories-work")
    os.makedirs(options.work, exist_ok=True)
    print(f"seed {options.seed}, data in {options.work}")
    return run_all(options)


if __name__ == "__main__":
    sys.exit(main())
