"""A program at a terminal of its own: what it prints, what is typed."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]|\r")


class Terminal:
    def __init__(self, words, rows=24, columns=100, environment=None, directory=None):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            if directory is not None:
                os.chdir(directory)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "LC_ALL")}
            os.execvpe(words[0], [str(word) for word in words],
                       {**inherited, "TERM": "xterm-256color", "LANG": "C.UTF-8", **(environment or {})})
        self.status = None
        self.raw = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.descriptor, text.encode() if isinstance(text, str) else text)

    def read_some(self, seconds):
        """Whether anything came within so long."""
        ready, _, _ = select.select([self.descriptor], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:
            return False
        self.raw += data
        return bool(data)

    def text(self):
        """What was printed since the last expect(), without what only moves or colours."""
        return CONTROL.sub(b"", self.raw).decode(errors="replace")

    def expect(self, wanted, seconds=30):
        """Wait until `wanted` is printed; returns all up to there, and forgets it."""
        end = time.monotonic() + seconds
        while wanted not in self.text():
            if time.monotonic() > end or (not self.read_some(0.2) and self.has_ended()):
                raise AssertionError(f"{wanted!r} was not printed within {seconds} s, but {self.text()[-1500:]!r}")
        seen = self.text()
        self.raw = seen[seen.index(wanted) + len(wanted):].encode()
        return seen[:seen.index(wanted) + len(wanted)]

    def has_ended(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid == self.pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def wait(self, seconds=30):
        """Its exit status."""
        end = time.monotonic() + seconds
        while not self.has_ended():
            self.read_some(0.05)
            if time.monotonic() > end:
                raise AssertionError(f"it did not end within {seconds} s: {self.text()[-1500:]!r}")
        while self.read_some(0.05):
            pass
        return self.status

    def kill(self):
        if not self.has_ended():
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        os.close(self.descriptor)
