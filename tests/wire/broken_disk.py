"""Disks that are too small, and system calls that fail: for the wire tests and the crash rounds."""

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import time

from processes import die_with_parent, need_program

MIB = 1024 * 1024
LIBC = ctypes.CDLL(None, use_errno=True)
ATTACH_TIMEOUT_S = 20
MNT_DETACH = 2


class CannotBreak(Exception):
    """This machine does not let us: the text says what, and why."""


# ---- small disks ----


class SmallDisk:
    """A file system of its own, of this size. On tmpfs, so Perdure falls back from direct I/O."""

    def __init__(self, directory, size_mib):
        self.directory = str(directory)
        os.makedirs(self.directory, exist_ok=True)
        if os.geteuid() != 0:
            raise CannotBreak("mounting a small file system needs root")
        if LIBC.mount(b"perdure-test", self.directory.encode(), b"tmpfs", 0, b"size=%dm" % size_mib) != 0:
            raise CannotBreak(f"cannot mount a tmpfs: {os.strerror(ctypes.get_errno())}")

    def unmount(self):
        """Whoever has a file open on it was ended before; should somebody else look at it, it goes when they do."""
        if LIBC.umount2(self.directory.encode(), 0) != 0:
            LIBC.umount2(self.directory.encode(), MNT_DETACH)


def remove_tree(directory):
    """All of a directory, if it is there, with what a run that was killed has left mounted on it or in it."""
    inside = os.path.join(os.path.abspath(directory), "")
    with open("/proc/self/mounts", encoding="utf-8") as file:
        places = [line.split(" ")[1] for line in file]
    for place in places:
        if (place + "/").startswith(inside):
            LIBC.umount2(place.encode(), MNT_DETACH)
    shutil.rmtree(directory, ignore_errors=True)


def fill_up(directory, leave_mib):
    """A file that takes all room but so much, while others may take some, too."""
    path = os.path.join(directory, "filler")
    with open(path, "wb") as file:
        for _ in range(100):
            state = os.statvfs(directory)
            size = state.f_bavail * state.f_frsize - int(leave_mib * MIB)
            try:
                if size > 0:
                    os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size + size)
                return path
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    raise CannotBreak(f"{directory} cannot be filled up: others are always faster")


# ---- failing calls ----

# Whichever way the log is written, one of these is what makes it durable.
WRITE_CALLS = "pwrite64,pwritev,pwritev2"
SYNC_CALLS = "fdatasync,fsync,sync_file_range"
DURABLE_CALLS = f"{WRITE_CALLS},{SYNC_CALLS},io_uring_enter"


def strace_arguments(output, rules):
    """A rule is strace's: CALLS:error=EIO[:when=N[+]]. It counts the calls of each thread by itself."""
    calls = ",".join(rule.split(":")[0] for rule in rules)
    injections = [word for rule in rules for word in ("-e", f"inject={rule}")]
    return [need_program("strace", "strace"), "-f", "-qq", "-o", output, "-e", f"trace={calls}", *injections]


def injected_prefix(output, rules):
    """What to put before a command so that its calls fail from its start on. -D: the process that is started is the program, and
    strace somebody who looks on, so that it can be killed like any other."""
    return [*strace_arguments(output, rules), "-D", "--seccomp-bpf"]


def injected_count(output):
    """How many calls were made to fail so far."""
    try:
        with open(output, errors="replace") as file:
            return sum("(INJECTED)" in line for line in file)
    except FileNotFoundError:
        return 0


class Injection:
    """From now on the system calls of a process fail as the rules say."""

    def __init__(self, pid, output, rules):
        self.output = output
        self.process = subprocess.Popen([*strace_arguments(output, rules), "-p", str(pid)], stderr=subprocess.PIPE,
                                        preexec_fn=die_with_parent)
        try:
            self._wait_attached(pid)
        except BaseException:
            self.end()
            raise

    def _wait_attached(self, pid):
        """Until every thread of it is being traced."""
        deadline = time.monotonic() + ATTACH_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise CannotBreak(f"strace cannot trace here: {self.process.stderr.read().decode()[-300:].strip()}")
            if self.process.pid in tracers_of(pid) and 0 not in tracers_of(pid):
                return
            time.sleep(0.01)
        raise CannotBreak(f"strace did not attach within {ATTACH_TIMEOUT_S} s")

    def count(self):
        return injected_count(self.output)

    def lost_its_way(self):
        """strace may take the end of a call that it was attached in for the beginning of another, and from then on returned values for
        the numbers of calls: what it does to the process then is anything."""
        with open(self.output, errors="replace") as file:
            return any("syscall_0x" in line for line in file)

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()


def tracers_of(pid):
    """Who traces the threads of a process; 0: nobody. A thread that has just ended has none."""
    tracers = set()
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/status") as file:
                tracers.update(int(line.split()[1]) for line in file if line.startswith("TracerPid"))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return tracers


def why_no_small_disk(directory):
    """"" or why none can be mounted here."""
    try:
        SmallDisk(directory, 1).unmount()
    except CannotBreak as error:
        return str(error)
    finally:
        os.rmdir(directory)
    return ""


def why_no_injection(output):
    """"" or why no process can be traced here."""
    sleeper = subprocess.Popen(["sleep", "60"], preexec_fn=die_with_parent)
    try:
        Injection(sleeper.pid, output, ["fsync:error=EIO"]).end()
    except CannotBreak as error:
        return str(error)
    finally:
        sleeper.send_signal(signal.SIGKILL)
        sleeper.wait()
        if os.path.exists(output):
            os.unlink(output)
    return ""
