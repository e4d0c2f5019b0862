"""Asks a server for checkpoints, compactions and verifications again and again, until it is gone."""

import random
import threading
import time

from resp_connection import Closed, RespConnection

# A checkpoint takes what is in memory to the levels first, so each is a flush, too.
REQUESTS = (("PD.STORE", "CHECKPOINT"), ("PD.STORE", "CHECKPOINT"), ("PD.LOG", "COMPACT"),
            ("PD.STORE", "COMPACT"), ("PD.STORE", "VERIFY"))
COUNTED = ("flushes", "checkpoints_made")


class Upkeep:
    """A thread of its own; `counts` says how often the server has done what since it started."""

    def __init__(self, port, seed):
        self.port = port
        self.chance = random.Random(seed)
        self.counts = dict.fromkeys(COUNTED, 0)
        self.complaint = ""
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            with RespConnection(self.port) as connection:
                while not self.complaint:
                    self.ask(connection)
                    time.sleep(self.chance.uniform(0.002, 0.05))
        except (OSError, Closed):
            pass  # it was killed

    def ask(self, connection):
        connection.command(*self.chance.choice(REQUESTS))  # one at a time: refused while another runs
        stats = connection.command("PD.STORE", "STATS")
        if isinstance(stats, list):
            figures = {bytes(name).decode(): value for name, value in zip(stats[::2], stats[1::2])}
            for name in COUNTED:
                self.counts[name] = max(self.counts[name], int(figures.get(name, 0)))
            if int(figures.get("state_damage", 0)):
                self.complaint = "the server speaks of damage in its state"

    def join(self):
        self.thread.join(10)
