"""A small RESP client on a plain socket, for what the real clients hide: raw bytes, pipelines cut in the middle,
replies read one by one. Speed matters here: the crash rounds write through it."""

import socket

from processes import HOST


class RespError(Exception):
    """An error reply. It is returned like any other reply: who asks decides whether it is a failure."""

    def __eq__(self, other):
        return isinstance(other, RespError) and self.args == other.args

    def __hash__(self):
        return hash(self.args)


class Push(list):
    """An out-of-band message of RESP3."""


class Closed(Exception):
    """The server closed or reset the connection."""


def encode(*words):
    """One request as an array of bulk strings."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        if isinstance(word, str):
            word = word.encode()
        elif isinstance(word, int):
            word = b"%d" % word
        parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(parts)


class RespConnection:
    def __init__(self, port, timeout=30):
        """`port` of this machine; a text is the path of a Unix socket."""
        if isinstance(port, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(port)
        else:
            self.socket = socket.create_connection((HOST, port), timeout=timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.position = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send_raw(self, data):
        try:
            self.socket.sendall(data)
        except (ConnectionError, BrokenPipeError) as error:
            raise Closed(str(error)) from None

    def send(self, *words):
        self.send_raw(encode(*words))

    def command(self, *words):
        """Send one request, return its reply (a RespError for an error)."""
        self.send(*words)
        return self.read()

    def expect(self, expected, *words):
        reply = self.command(*words)
        if reply != expected:
            raise AssertionError(f"{' '.join(map(str, words))[:200]}: {reply!r} instead of {expected!r}")

    # ---- reading ----

    def _fill(self):
        if self.position > 1 << 20 or self.position == len(self.buffer):
            del self.buffer[:self.position]
            self.position = 0
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError as error:
            raise Closed(str(error)) from None
        if not data:
            raise Closed("the server closed the connection")
        self.buffer += data

    def _line(self):
        while True:
            end = self.buffer.find(b"\r\n", self.position)
            if end >= 0:
                line = bytes(self.buffer[self.position:end])
                self.position = end + 2
                return line
            self._fill()

    def _exactly(self, size):
        while len(self.buffer) - self.position < size + 2:
            self._fill()
        data = bytes(self.buffer[self.position:self.position + size])
        assert self.buffer[self.position + size:self.position + size + 2] == b"\r\n", "a bulk does not end in CRLF"
        self.position += size + 2
        return data

    def read(self):
        """The next reply. Statuses are str, bulks bytes, errors RespError."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return RespError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind in b"$=":
            return None if rest == b"-1" else self._exactly(int(rest))
        return self._read_compound(kind, rest)

    def _read_compound(self, kind, rest):
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        if kind == b"_":
            return None
        if kind == b",":
            return float(rest)
        if kind == b"#":
            return rest == b"t"
        if kind == b"(":
            return int(rest)
        if kind == b"!":
            return RespError(self._exactly(int(rest)).decode(errors="replace"))
        if kind == b"%":
            return {_hashable(self.read()): self.read() for _ in range(int(rest))}
        if kind == b"~":
            return {_hashable(self.read()) for _ in range(int(rest))}
        if kind == b">":
            return Push(self.read() for _ in range(int(rest)))
        raise AssertionError(f"a reply begins with {kind + rest[:40]!r}")

    def read_some(self, seconds):
        """(raw bytes that are there or come within so long, has the server closed)."""
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(1 << 18)
        except TimeoutError:
            return b"", False
        except ConnectionError:
            return b"", True
        return data, not data

    def read_all(self, seconds):
        """(raw bytes until the server closes or falls silent for so long, has it closed)."""
        data = bytes(self.buffer[self.position:])
        while True:
            more, closed = self.read_some(seconds)
            data += more
            if closed or not more:
                return data, closed


def _hashable(reply):
    return tuple(reply) if isinstance(reply, list) else reply
