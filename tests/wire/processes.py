"""Servers as child processes: started on free loopback ports, stopped by their own process id, never left behind.

Used by the wire tests, the crash rounds and the benchmark, so that all of them drive Perdure and Redis alike.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time

HOST = "127.0.0.1"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
PR_SET_PDEATHSIG = 1

LIBC = ctypes.CDLL(None, use_errno=True)

# What is started here has the settings that its test gives it, and no others.
for variable in [name for name in os.environ if name.startswith("PERDURE_")]:
    del os.environ[variable]


class ServerError(Exception):
    """The server did not start, or did not stop; the text carries what it said."""


def free_port():
    """A port that nobody listens on now. Another process may take it before we do: start() tries again."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def die_with_parent():
    """Runs in the child: a driver that is killed must leave no server behind."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def need_program(name, package):
    """The path of a program that must be there: its absence is a failure, never a skip."""
    path = shutil.which(name)
    if path is None:
        raise ServerError(f"{name} is not installed: apt-get install {package}")
    return path


def wait_until(holds, what, seconds=90):
    """Until it holds, however slow the machine is; `what`: is wrong when it never does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Server:
    """One server process and the file that collects what it prints."""

    name = "server"

    def __init__(self, directory):
        self.directory = str(directory)
        self.log_path = self.directory.rstrip("/") + ".log"
        self.port = 0
        self.process = None
        self.started_at = 0.0

    # To be said by the kinds of servers below.
    def command(self):
        raise NotImplementedError

    def is_ready(self, printed):
        raise NotImplementedError

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def printed(self):
        """What this process (not an earlier one on the same directory) has printed so far."""
        try:
            with open(self.log_path, errors="replace") as file:
                file.seek(self.log_start)
                return file.read()
        except OSError:
            return ""

    def launch(self):
        """Start the process without waiting for it."""
        with open(self.log_path, "ab") as log:
            self.log_start = log.tell()
            self.started_at = time.monotonic()
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, preexec_fn=die_with_parent)

    def wait_ready(self, timeout=START_TIMEOUT_S):
        """Seconds from launch() to its being ready."""
        deadline = self.started_at + timeout
        while time.monotonic() < deadline:
            if self.is_ready(self.printed()):
                return time.monotonic() - self.started_at
            if not self.is_running():
                raise ServerError(f"{self.name} ended with status {self.process.returncode}: {self.printed()[-2000:]}")
            time.sleep(0.001)
        self.kill()
        raise ServerError(f"{self.name} was not ready within {timeout} s: {self.printed()[-2000:]}")

    def start(self, port=None, timeout=START_TIMEOUT_S):
        """Start on the port given, or on any free one; returns the seconds until it was ready."""
        for attempt in range(3):
            self.port = port or free_port()
            self.launch()
            try:
                return self.wait_ready(timeout)
            except ServerError as error:
                taken = any(words in str(error).lower() for words in ("in use", "is taken"))
                if port is not None or attempt == 2 or not taken:
                    raise
        raise ServerError("not reached")

    def kill(self):
        """kill -9, and wait for its end."""
        if self.is_running():
            self.process.send_signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def stop(self):
        """Ask it to end as an operator would, and return its exit status."""
        if not self.is_running():
            return self.process.returncode if self.process else None
        self.process.terminate()
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"{self.name} did not end within {STOP_TIMEOUT_S} s of SIGTERM") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    # ---- what the kernel counts ----

    def status_kib(self, field):
        """A line of /proc/PID/status in KiB, such as VmRSS."""
        with open(f"/proc/{self.pid}/status") as file:
            for line in file:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        raise KeyError(field)

    def cpu_seconds(self):
        """User and system time of all its threads so far."""
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def io_counters(self):
        """/proc/PID/io as a dictionary."""
        with open(f"/proc/{self.pid}/io") as file:
            return {name: int(value) for name, value in (line.split(": ") for line in file)}

    def descriptor_count(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Perdure(Server):
    name = "perdure"

    def __init__(self, binary, directory, options=(), prefix=()):
        super().__init__(directory)
        self.binary = str(binary)
        self.options = list(options)
        self.prefix = list(prefix)

    def command(self):
        # Its pages are of use to few tests, and their default port is one for all servers.
        http = [] if "--http" in self.options else ["--http", "0"]
        return [*self.prefix, self.binary, "server", "--data", self.directory, "--resp", str(self.port), *http,
                *self.options]

    def is_ready(self, printed):
        return f"ready: RESP on {HOST}:{self.port}" in printed


class Redis(Server):
    """The real peer. `options` are redis-server's own, such as ["--appendonly", "yes"]."""

    name = "redis-server"

    def __init__(self, directory, options=()):
        super().__init__(directory)
        self.binary = need_program("redis-server", "redis-server")
        self.options = list(options)
        os.makedirs(self.directory, exist_ok=True)

    def command(self):
        return [self.binary, "--port", str(self.port), "--bind", HOST, "--dir", self.directory, "--daemonize", "no",
                "--save", "", *self.options]

    def is_ready(self, printed):
        return "Ready to accept connections" in printed
