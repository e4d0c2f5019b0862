"""One client under whose hands the server dies: a thread with a plain socket, pipelining as it likes."""

import random
import socket
import threading
import time

from model import Generator
from resp_connection import Closed, RespConnection, RespError, encode


class Writer:
    """Its `operations` of the running round, of which the first `acknowledged` were answered (and rightly so). What
    lies behind them may have been applied or not."""

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

    def survives_kill(self):
        """Does this writer's level promise that kill -9 takes nothing that was acknowledged?"""
        return self.level in (None, "standard", "strict", "full")

    def begin_round(self, state):
        self.generator.state = state.copy()
        self.start_state = state
        self.operations = []
        self.acknowledged = 0
        self.complaint = None

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
                while self.complaint is None:
                    self._batch(connection)
        except (Closed, ConnectionError):
            pass  # as expected: the server was killed
        except (socket.timeout, TimeoutError):
            self.complaint = "no reply within 20 s"
        except Exception as error:  # a thread's exception would only be printed: make it the round's failure
            self.complaint = f"{type(error).__name__}: {error}"

    def _batch(self, connection):
        depth = self.random.choice([1, 1, 1, 4, self.pipeline_max])
        batch = [self.generator.next() for _ in range(depth)]
        self.operations += batch
        connection.send_raw(b"".join(encode(*command) for operation in batch for command in operation.commands))
        for operation in batch:
            replies = [connection.read() for _ in operation.commands]
            if replies != operation.replies:
                self._judge(operation, replies)
                return
            operation.acked_at = time.monotonic()
            self.acknowledged += 1

    def _judge(self, operation, replies):
        errors = [reply for reply in replies if isinstance(reply, RespError)]
        what = b" | ".join(b" ".join(command)[:60] for command in operation.commands)
        self.complaint = f"{what!r} was answered {str(errors or replies)[:300]} instead of {str(operation.replies)[:200]}"

    def least_applied(self, killed_at, weak_margin_s):
        """How many operations must have survived the kill."""
        if self.survives_kill():
            return self.acknowledged
        if self.level == "none":
            return 0
        horizon = killed_at - weak_margin_s
        return sum(operation.acked_at <= horizon for operation in self.operations[:self.acknowledged])
