"""What the section history is measured with: loads of a shape, the processor's and the disk's own rates, backups by a running server."""

import concurrent.futures
import ctypes
import os
import time

from measuring import BenchError, KEY_SIZE, Load, MIB, perdure_bench
from resp_connection import RespConnection, RespError, encode

PATIENCE_S = 1800
PIECE = 8 * MIB
LOOK_S = 0.002
FILL = Load("set", 50, 64)


# ---- replies ----


def as_map(reply):
    if isinstance(reply, RespError):
        raise BenchError(str(reply))
    return {key.decode(): value for key, value in zip(reply[::2], reply[1::2])}


def ask(connection, *words):
    reply = connection.command(*words)
    if isinstance(reply, RespError):
        raise BenchError(f"{' '.join(map(str, words))[:200]}: {reply}")
    return reply


def now(connection):
    """The moment behind this connection's last write."""
    return as_map(ask(connection, "PD.RECEIPT"))["bookmark"].decode()


# ---- loads ----


def write_all(port, requests, together=2000):
    """Encoded requests, each answered with OK, in pipelines: who writes so is never what is measured."""
    with RespConnection(port, timeout=300) as connection:
        batch = []

        def flush():
            connection.send_raw(b"".join(batch))
            for _ in batch:
                reply = connection.read()
                if reply != "OK":
                    raise BenchError(f"a write was answered with {reply!r}")
            batch.clear()

        for request in requests:
            batch.append(request)
            if len(batch) == together:
                flush()
        flush()


def fill(options, port, keys, value_size):
    """That many keys, each an actor of its own, with random values."""
    perdure_bench(options, port, FILL, "--in-order", "--requests", keys, keys=keys, value_size=value_size, timeout=PATIENCE_S)


def change(options, port, keys, value_size, count, seed):
    """Some of them, anywhere."""
    perdure_bench(options, port, FILL, "--requests", count, keys=keys, value_size=value_size, seed=seed, timeout=PATIENCE_S)


def set_request(key, value):
    return encode("SET", key, value)


# ---- the machine's own rates ----


def process_seconds(pid):
    """CPU time of a process, finer than /proc/PID/stat has it (see clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def settle(server, seconds=60):
    """Until what the server still has to do with what was loaded is done."""
    end = time.monotonic() + seconds
    before = process_seconds(server.pid)
    while time.monotonic() < end:
        time.sleep(0.5)
        after = process_seconds(server.pid)
        if after - before < 0.02:
            return
        before = after


def files_under(directory):
    for base, _, names in os.walk(directory):
        for name in names:
            yield os.path.join(base, name)


def drop_cache(directory):
    """What the page cache has of its files."""
    for path in files_under(directory):
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:  # a socket, or gone by now
            continue
        try:
            os.fdatasync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def disk_rate(directory, size):
    """Bytes a second that the disk takes in order, synced at the end."""
    path = os.path.join(directory, "disk-rate")
    content = os.urandom(PIECE)
    began = time.monotonic()
    with open(path, "wb", buffering=0) as file:
        for _ in range(max(1, size // PIECE)):
            file.write(content)
        os.fdatasync(file.fileno())
    taken = time.monotonic() - began
    os.unlink(path)
    return max(1, size // PIECE) * PIECE / taken


def zstd_rate(directory, most=256 * MIB):
    """Bytes a second that zstd, at the level that backups use, compresses of a directory's files on two cores."""
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_compressBound.restype = library.ZSTD_compress.restype = ctypes.c_size_t
    library.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
    library.ZSTD_compress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
    pieces, size = [], 0
    for path in sorted(path for path in files_under(directory) if path.endswith(".sst")):
        with open(path, "rb") as file:
            while size < most and (piece := file.read(PIECE)):
                pieces.append(piece)
                size += len(piece)
    if not pieces:
        raise BenchError(f"{directory} has no files of the state")
    rooms = [ctypes.create_string_buffer(library.ZSTD_compressBound(PIECE)) for _ in range(2)]

    def work(part):
        for piece in pieces[part::2]:
            library.ZSTD_compress(rooms[part], len(rooms[part]), piece, len(piece), 1)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        began = time.monotonic()
        list(pool.map(work, range(2)))
        return size / (time.monotonic() - began)


# ---- backups by a running server ----


def backup(connection, kind, repository, *words):
    """A backup from its order to its end, as the server says: PD.BACKUP STATUS, with the seconds that it took."""
    status = as_map(ask(connection, "PD.BACKUP", kind, repository, *words))
    started = status["started_us"]
    while status["state"] == b"running":
        time.sleep(LOOK_S)
        status = as_map(ask(connection, "PD.BACKUP", "STATUS"))
    if status["started_us"] != started or status["state"] != b"done" or not status["id"]:
        raise BenchError(f"backup {kind} into {repository}: {status}")
    status["seconds"] = (status["ended_us"] - started) / 1e6
    return status


def user_bytes(keys, value_size):
    return keys * (KEY_SIZE + value_size)
