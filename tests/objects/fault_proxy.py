"""A line between the store and its service that can be cut at any byte, slowed down, or left dangling."""

import socket
import threading
import time


class Proxy:
    def __init__(self, port):
        self.upstream = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.left = {"up": None, "down": None}  # bytes until the cut
        self.again = {"up": None, "down": None}  # and from each to the next
        self.cuts = 0
        self.came = False
        self.delay, self.piece, self.hanging = 0, 0, False
        self.until_hang, self.reached = None, threading.Event()
        self.connections = set()
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.drop()

    def drop(self):
        with self.lock:
            connections, self.connections = self.connections, set()
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self, direction, after):
        """The connections end when so many bytes more have gone that way, once."""
        with self.lock:
            self.left = {"up": None, "down": None, direction: after}
            self.came = False

    def cut_every(self, up, down):
        with self.lock:
            self.left, self.again = {"up": up, "down": down}, {"up": up, "down": down}

    def cut_came(self):
        with self.lock:
            came, self.came = self.came, False
            self.left = {"up": None, "down": None}
            return came

    def slow(self, delay, piece):
        self.delay, self.piece = delay, piece

    def hang_after(self, up):
        """Nothing goes any more when so many bytes have gone up; `reached` is set then."""
        with self.lock:
            self.until_hang = up

    def count_to_hang(self, size):
        with self.lock:
            if self.until_hang is None:
                return
            self.until_hang -= size
            if self.until_hang <= 0:
                self.until_hang, self.hanging = None, True
                self.reached.set()

    def hang(self, hanging):
        self.hanging = hanging
        if not hanging:
            self.drop()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.upstream))
            for connection in (client, server):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections |= {client, server}
            threading.Thread(target=self.pump, args=("up", client, server), daemon=True).start()
            threading.Thread(target=self.pump, args=("down", server, client), daemon=True).start()

    def allowed(self, direction, size):
        """How many bytes of them may pass, and whether the line is cut behind them."""
        with self.lock:
            left = self.left[direction]
            if left is None:
                return size, False
            self.left[direction] = left - size
            if left > size:
                return size, False
            self.left[direction], self.came = self.again[direction], True
            self.cuts += 1
            return left, True

    def pump(self, direction, source, target):
        try:
            while True:
                data = source.recv(self.piece or 65536)
                if direction == "up":
                    self.count_to_hang(len(data))
                while self.hanging:
                    time.sleep(0.05)
                    if source not in self.connections:
                        return
                if self.delay:
                    time.sleep(self.delay)
                size, is_cut = self.allowed(direction, len(data))
                target.sendall(data[:size])
                if is_cut or not data:
                    return
        except OSError:
            pass
        finally:
            for end in (source, target):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            with self.lock:
                self.connections -= {source, target}
