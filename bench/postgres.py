"""PostgreSQL as a child process, from its Debian package: a cluster of its own in a directory of the benchmark, on a socket there, with
everything synced as it is by default. It does not run as root, so root lends it a user."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

from measuring import BenchError
from processes import Server, ServerError, STOP_TIMEOUT_S, die_with_parent

USER = "postgres"
PROGRAMS = "/usr/lib/postgresql/*/bin"
DATABASE = "postgres"
# The size of its cache is a quarter of what is usual; checkpoints come when they are asked for, not in the middle.
SETTINGS = ("listen_addresses=", "shared_buffers=512MB", "max_wal_size=64GB", "checkpoint_timeout=1h", "wal_level=replica",
            "max_wal_senders=2", "log_min_messages=warning")


def program(name):
    """The path of one of its programs: those that serve are on nobody's PATH."""
    places = sorted(glob.glob(os.path.join(PROGRAMS, name)), key=lambda path: float(path.split("/")[4]))
    path = places[-1] if places else shutil.which(name)
    if path is None:
        raise ServerError(f"{name} is not installed: apt-get install postgresql")
    return path


def lender():
    """Whose name it runs under: nobody else's than ours, unless that is root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        raise ServerError(f"there is no user {USER}: apt-get install postgresql") from None


def give(path):
    """A directory that it may write to."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    user = lender()
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)
    return path


def run(*words, text=None, timeout=600):
    """A program of it to its end, under its user; returns what it printed."""
    user = lender()
    rights = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user is not None else {}
    done = subprocess.run([program(words[0]), *map(str, words[1:])], input=text, capture_output=True, text=True, timeout=timeout,
                          cwd="/", check=False, **rights)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(map(str, words))[:300]}: {(done.stderr or done.stdout)[-500:]}")
    return done.stdout


def copy(origin, target):
    """A directory's content, owners and all."""
    subprocess.run(["cp", "-a", f"{origin}/.", target], check=True, timeout=1800)


class Postgres(Server):
    """A cluster in `directory`; `options` are settings such as "archive_mode=on"."""

    name = "postgres"

    def __init__(self, directory, options=()):
        super().__init__(directory)
        self.options = list(options)
        # A socket's path has to be short, and its place one that both sides reach.
        self.sockets = give(tempfile.mkdtemp(prefix="perdure-bench-"))

    def create(self):
        give(self.directory)
        run("initdb", "--pgdata", self.directory, "--auth", "trust", "--username", USER, "--no-locale", "--encoding", "UTF8")

    def command(self):
        words = [program("postgres"), "-D", self.directory, "-k", self.sockets, "-p", str(self.port)]
        for setting in (*SETTINGS, *self.options):
            words += ["-c", setting]
        return words

    def launch(self):
        user = lender()
        rights = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user is not None else {}
        with open(self.log_path, "ab") as log:
            self.log_start = log.tell()
            self.started_at = time.monotonic()
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                            preexec_fn=die_with_parent, cwd="/", **rights)

    def is_ready(self, printed):
        """It takes writes: after a recovery to a moment that comes later than connections do."""
        try:
            return self.ask("SELECT pg_is_in_recovery()") == "f"
        except BenchError:
            return False

    def ask(self, statement, timeout=600):
        return run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.sockets, "-p", self.port, "-U", USER, DATABASE,
                   text=statement + ";\n", timeout=timeout).strip()

    def stop(self):
        """Fast: who is connected is sent away, and a checkpoint is made."""
        if not self.is_running():
            return self.process.returncode if self.process else None
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(4 * STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError("postgres did not end in time") from None

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.sockets, ignore_errors=True)
