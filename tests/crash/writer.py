"""One client under whose hands the server dies: a thread with a plain socket, pipelining as it likes."""

import random
import socket
import threading
import time

from model import Generator
from resp_connection import Closed, RespConnection, RespError, encode


# What begins like this was refused before it changed anything; FENCED alone leaves open what became of it.
REFUSALS = ("DISKFULL", "IOERR")
PAUSE_S = 0.005


class Writer:
    """Its `operations` of the running round, of which the first `acknowledged` were answered (and rightly so). What
    lies behind them may have been applied or not. What was refused is not among them."""

    def __init__(self, number, seed, level, idempotency, pipeline_max):
        self.number = number
        self.random = random.Random(f"{seed}/{number}")
        self.level = level  # None: the server's default, strict
        self.idempotency = idempotency
        self.pipeline_max = pipeline_max
        self.generator = Generator(number, self.random, idempotency)
        self.start_state = self.generator.state.copy()
        self.operations = []
        self.acknowledged = 0
        self.tokens = []  # operations of earlier rounds, acknowledged, to be asked again
        self.complaint = None
        self.thread = None
        self._forget_trouble()

    def _forget_trouble(self):
        self.one_by_one = False  # set by others, before writes may be refused
        self.batches = self.refusals = 0
        self.fenced = False

    def survives_kill(self):
        """Does this writer's level promise that kill -9 takes nothing that was acknowledged?"""
        return self.level in (None, "standard", "strict", "full")

    def begin_round(self, state):
        self.generator.state = state.copy()
        self.start_state = state
        self.operations = []
        self.acknowledged = 0
        self.complaint = None
        self._forget_trouble()

    def start(self, port):
        self.thread = threading.Thread(target=self._run, args=(port,), daemon=True)
        self.thread.start()

    def join(self):
        self.thread.join(60)
        if self.thread.is_alive():
            self.complaint = "the writer did not end within 60 s of the server's death"

    def _run(self, port):
        try:
            with RespConnection(port, timeout=20) as connection:
                if self.level is not None:
                    connection.expect("OK", "PD.DURABILITY", self.level)
                while self.complaint is None and not self.fenced:
                    self._batch(connection)
        except (Closed, ConnectionError):
            pass  # as expected: the server was killed
        except (socket.timeout, TimeoutError):
            self.complaint = "no reply within 20 s"
        except Exception as error:  # a thread's exception would only be printed: make it the round's failure
            self.complaint = f"{type(error).__name__}: {error}"

    def _batch(self, connection):
        self.batches += 1
        depth = 1 if self.one_by_one else self.random.choice([1, 1, 1, 4, self.pipeline_max])
        before = self.generator.state.copy()
        batch = [self.generator.next() for _ in range(depth)]
        self.operations += batch
        connection.send_raw(b"".join(encode(*command) for operation in batch for command in operation.commands))
        for operation in batch:
            replies = [connection.read() for _ in operation.commands]
            if replies != operation.replies:
                self._not_done(operation, replies, before)
                return
            operation.acked_at = time.monotonic()
            self.acknowledged += 1

    def _not_done(self, operation, replies, before):
        """Where the disk fails, an operation may be refused; if it was the only one on its way, it is as if never asked for."""
        code = str(replies[-1]).split(" ", 1)[0] if isinstance(replies[-1], RespError) else ""
        if self.one_by_one and code == "FENCED":
            self.fenced = True
        elif self.one_by_one and code in REFUSALS and replies[:-1] == operation.replies[:-1]:
            self.operations.pop()
            self.generator.state = before
            self.refusals += 1
            time.sleep(PAUSE_S)
        else:
            self._judge(operation, replies)

    def _judge(self, operation, replies):
        errors = [reply for reply in replies if isinstance(reply, RespError)]
        what = b" | ".join(b" ".join(command)[:60] for command in operation.commands)
        self.complaint = f"{what!r} was answered {str(errors or replies)[:300]} instead of {str(operation.replies)[:200]}"

    def least_applied(self, struck_at, weak_margin_s):
        """How many operations must have survived what struck the server then, and its end."""
        if self.survives_kill():
            return self.acknowledged
        if self.level == "none":
            return 0
        horizon = struck_at - weak_margin_s
        return sum(operation.acked_at <= horizon for operation in self.operations[:self.acknowledged])
