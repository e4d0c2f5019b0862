"""What may happen to a server under load, and to one that is just starting. Each ends with kill -9; what was acknowledged until
then is compared afterwards, whatever it was.

A trouble's `strike()` begins when the writers have done enough. It raises `Wrong` for a promise that was broken on the spot, and
`Missed` when the fault did not come about: such a round shows nothing.
"""

import os
import signal
import time

from broken_disk import WRITE_CALLS, CannotBreak, Injection, fill_up, injected_count, injected_prefix
from compare import Wrong
from processes import ServerError
from resp_connection import Closed, RespConnection, RespError

PATIENCE_S = 60  # for what must happen soon, on a machine that may be loaded
SMALL_DISK_MIB = 96
SYNC_CALLS = "fdatasync,fsync"  # RocksDB's assertions end the process when sync_file_range fails in a way it does not know
NO_SPACE_WORDS = ("no space", "no room", "disk is full", "diskfull")


class Missed(Exception):
    """The fault did not come about."""


class Spoiled(Exception):
    """What was to make the fault has done something else to the server: nothing of it can be judged any more."""


def wait_until(condition, what, error=Wrong):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise error(f"{what} within {PATIENCE_S} s")
        time.sleep(0.005)


def expect_progress(writers, after):
    """Everybody's writes go on: each has had a reply that counts since."""
    before = [writer.acknowledged for writer in writers]
    wait_until(lambda: all(writer.acknowledged > count or writer.complaint for writer, count in zip(writers, before)),
               f"{after}, somebody's writes did not go on")


class Kill:
    """kill -9 while everybody writes."""

    name = "kill"
    server_options = ()

    def strike(self, directory, chance):
        directory.strike_now()


class Stop:
    """SIGSTOP: all threads stand still, as on a machine that swaps or migrates. Then it goes on, or is killed as it stands."""

    name = "stop"
    server_options = ()

    def strike(self, directory, chance):
        directory.strike_now()
        stop(directory.server)
        time.sleep(chance.choice([0.02, 0.2, 1.0]) * chance.random())
        if chance.random() < 0.5:
            return
        directory.server.process.send_signal(signal.SIGCONT)
        expect_progress(directory.writers, "after SIGSTOP and SIGCONT")
        directory.strike_now()


def stop(server):
    server.process.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + PATIENCE_S
    while process_state(server.pid) not in "TZX":
        if time.monotonic() > deadline:
            raise Missed("the process does not stand still")
        time.sleep(0.001)


def process_state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


class Full:
    """A small file system of its own, filled up under load: writes are refused and change nothing. Then there is room again and
    they go on, or the server is killed, and started, while there is none."""

    name = "full"
    server_options = ()

    def strike(self, directory, chance):
        expect_refusals(directory.writers)
        refusals = sum(writer.refusals for writer in directory.writers)
        fill_up(directory.home, chance.choice([0, 0.1, 1, 3]))
        wait_until(lambda: sum(writer.refusals for writer in directory.writers) > refusals,
                   "no write was refused on a full disk", Missed)
        time.sleep(0.3 * chance.random())
        if chance.random() < 0.5:
            make_room(directory.home)
            expect_progress(directory.writers, "with room on the disk again")
        directory.strike_now()


def make_room(home):
    filler = os.path.join(home, "filler")
    if os.path.exists(filler):
        os.unlink(filler)


def expect_refusals(writers):
    """From now on one operation after the other, so that each that is refused is known to be; wait for what is on its way."""
    for writer in writers:
        writer.one_by_one = True
    begun = [writer.batches for writer in writers]
    wait_until(lambda: all(writer.batches > count or writer.complaint for writer, count in zip(writers, begun)),
               "a writer had no reply")


class Inject:
    """Writes or syncs of the server fail, one or all from then on (strace's -e inject). A ring's writes are no system calls of their
    own, so this server writes without one."""

    server_options = ("--queue-depth", "1")

    def __init__(self, error, for_good):
        self.error, self.for_good = error, for_good
        self.name = f"{error.lower()}-{'on' if for_good else 'once'}"

    def rules(self, chance):
        """Each thread's calls are counted by themselves, so `once` is once for each."""
        calls = chance.choice([WRITE_CALLS, SYNC_CALLS, f"{WRITE_CALLS},{SYNC_CALLS}"])
        # Where every write is synced, syncs are few: of the state's files, and of weak writes.
        nth = chance.choice([1, 2, 5, 20] if calls != SYNC_CALLS else [1, 2])
        return [f"{calls}:error={self.error}:when={nth}{'+' if self.for_good else ''}"]

    def strike(self, directory, chance):
        expect_refusals(directory.writers)
        directory.strike_now()
        try:
            injection = Injection(directory.server.pid, directory.trace_path, self.rules(chance))
        except (CannotBreak, OSError) as error:
            raise Missed(str(error)) from None
        try:
            wait_until(lambda: injection.count() > 0, "no call met the fault", Missed)
            time.sleep(0.5 * chance.random())
        finally:
            injection.end()
            if injection.lost_its_way():
                raise Spoiled("strace lost its way")
        if not directory.server.is_running():
            raise Wrong(f"the server ended by itself, with status {directory.server.process.returncode}: "
                        f"{directory.server.printed()[-500:]}")
        if any(writer.fenced for writer in directory.writers):
            expect_fenced(directory.server)
            directory.fences += 1


def expect_fenced(server):
    """Fenced is fenced: the disk is whole again, and still nothing is taken."""
    try:
        with RespConnection(server.port, timeout=20) as connection:
            reply = connection.command("SET", "after-the-fence", "1")
    except (Closed, ConnectionError):
        return
    if not isinstance(reply, RespError) or not str(reply).startswith("FENCED"):
        raise Wrong(f"the log is fenced, and a write is answered {reply!r:.200}")


INJECTIONS = tuple(Inject(error, for_good) for error in ("EIO", "ENOSPC") for for_good in (False, True))


# ---- while it starts ----


def kill_start(server, chance):
    server.launch()
    time.sleep(moment(chance))
    server.kill()


def stop_start(server, chance):
    """Killed as it stands, or a moment after it went on."""
    server.launch()
    time.sleep(moment(chance))
    if server.is_running():
        stop(server)
        time.sleep(0.05 * chance.random())
    if chance.random() < 0.5:
        server.process.send_signal(signal.SIGCONT)
        time.sleep(moment(chance))
    server.kill()


def inject_start(server, chance, trace_path):
    """It starts all the same, or says why it does not; it never breaks down."""
    trouble = chance.choice(INJECTIONS)
    calls = chance.choice([WRITE_CALLS, SYNC_CALLS])
    rule = f"{calls}:error={trouble.error}:when={chance.choice([1, 2, 3, 5, 10, 30, 70])}{'+' if trouble.for_good else ''}"
    plain, server.prefix = server.prefix, injected_prefix(trace_path, [rule])
    try:
        server.launch()
        ready = None
        try:
            server.wait_ready(timeout=PATIENCE_S)
            ready = True
        except ServerError:
            ready = False
    finally:
        server.prefix = plain
    status, said = server.process.poll(), server.printed()
    server.kill()
    if not ready and status is None:
        raise Wrong(f"with {rule} it neither started nor ended within {PATIENCE_S} s: {said[-500:]}")
    if status is not None and (status <= 0 or "error" not in said.lower()):
        raise Wrong(f"with {rule} it ended with status {status}: {said[-500:]}")
    return injected_count(trace_path) > 0


def moment(chance):
    return chance.choice([0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.15]) * chance.random()


def start_on_full_disk(server, home):
    """With what room there is, or it says that there is none; then there is room, and it starts."""
    try:
        server.start()
        make_room(home)
    except ServerError as error:
        if not any(word in str(error).lower() for word in NO_SPACE_WORDS):
            raise Wrong(f"on a full disk it does not say so: {error}") from None
        make_room(home)
        server.start()
