"""perdure cli through TLS: whose certificates it takes, and what it says where it takes none. A proxy ends the TLS in front of
the group's server."""

import os
import socket
import ssl
import subprocess
import threading

from processes import HOST, need_program
from terminal import Terminal

OK, FAILURE, REFUSED = 0, 1, 5


def papers(world):
    """An authority; certificates of this machine, of another, and of a client. Made once."""
    folder = world.path("papers")
    if os.path.isdir(folder):
        return folder
    os.makedirs(folder)
    openssl = need_program("openssl", "openssl")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    world.run(openssl, "req", "-x509", *key, "-days", "30", "-subj", "/CN=authority", "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem")
    for name, names in (("server", f"IP:{HOST},DNS:localhost"), ("other", "DNS:elsewhere.example"), ("client", "DNS:client")):
        world.run(openssl, "req", *key, "-subj", f"/CN={name}", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr")
        with open(f"{folder}/names", "w") as file:
            file.write(f"subjectAltName={names}\n")
        world.run(openssl, "x509", "-req", "-in", f"{folder}/{name}.csr", "-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key", "-CAcreateserial",
                  "-days", "30", "-extfile", f"{folder}/names", "-out", f"{folder}/{name}.pem")
    return folder


class Proxy:
    """TLS at one end, bytes as they are at the other."""

    def __init__(self, folder, port, name="server", ask_client=False):
        self.target = port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
        if ask_client:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(f"{folder}/ca.pem")
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.open = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                plain, _ = self.listener.accept()
                threading.Thread(target=self.carry, args=(plain,), daemon=True).start()
        except OSError:
            pass

    def carry(self, plain):
        try:
            with self.context.wrap_socket(plain, server_side=True) as near, socket.create_connection((HOST, self.target)) as far:
                self.open.append((near, far))
                back = threading.Thread(target=self.copy, args=(far, near), daemon=True)
                back.start()
                self.copy(near, far)
                back.join()
        except OSError:
            pass

    @staticmethod
    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        try:
            target.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self):
        self.listener.close()


def proxy(world, **more):
    folder = papers(world)
    made = Proxy(folder, world.server.port, **more)
    world.opened.append(made)
    return folder, made


def cli(world, made, *words, **more):
    return world.run(world.binary, "cli", "--tls", "-p", made.port, *words, check=False, **more)


def test_one_command(world):
    folder, made = proxy(world)
    assert cli(world, made, "--cacert", f"{folder}/ca.pem", "SET", "k", "v")[:2] == (OK, "OK\n")
    assert cli(world, made, "--cacert", f"{folder}/ca.pem", "--host", "localhost", "GET", "k")[:2] == (OK, "v\n")
    assert cli(world, made, "--insecure", "GET", "k")[:2] == (OK, "v\n")
    assert cli(world, made, "--cacert", f"{folder}/ca.pem", "INCR", "k")[0] == REFUSED


def test_large_values_both_ways(world):
    folder, made = proxy(world)
    value = os.urandom(20_000_000)
    done = subprocess.run([world.binary, "cli", "--tls", "-p", str(made.port), "--cacert", f"{folder}/ca.pem", "-x", "SET", "large"],
                          input=value, capture_output=True, timeout=120, check=True)
    assert done.stdout == b"OK\n", done.stderr
    done = subprocess.run([world.binary, "cli", "--tls", "-p", str(made.port), "--cacert", f"{folder}/ca.pem", "GET", "large"],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=True)
    assert done.stdout == value + b"\n", len(done.stdout)


def test_many_commands(world):
    folder, made = proxy(world)
    text = "".join(f"SET k{number} {number}\n" for number in range(500)).encode()
    status, stdout, stderr = cli(world, made, "--cacert", f"{folder}/ca.pem", input=text)
    assert status == OK and stdout == "OK\n" * 500, stderr
    world.connect().expect(500, "DBSIZE")


def test_certificates_that_are_not_taken(world):
    folder, made = proxy(world)
    status, _, stderr = cli(world, made, "PING")
    assert status == FAILURE and "certificate is not taken" in stderr and "--cacert" in stderr, stderr
    _, other = proxy(world, name="other")
    status, _, stderr = cli(world, other, "--cacert", f"{folder}/ca.pem", "PING")
    assert status == FAILURE and "certificate is not taken" in stderr and "--host" in stderr, stderr
    status, _, stderr = cli(world, other, "--cacert", f"{folder}/ca.pem", "--host", "localhost", "PING")
    assert status == FAILURE and "certificate is not taken" in stderr, stderr


def test_client_certificates(world):
    folder, made = proxy(world, ask_client=True)
    ca = ("--cacert", f"{folder}/ca.pem")
    assert cli(world, made, *ca, "--cert", f"{folder}/client.pem", "--key", f"{folder}/client.key", "PING")[:2] == (OK, "PONG\n")
    status, _, stderr = cli(world, made, *ca, "PING")
    assert status == FAILURE and ("--cert" in stderr or "has ended" in stderr), stderr
    status, _, stderr = cli(world, made, *ca, "--cert", f"{folder}/client.pem", "PING")
    assert status == FAILURE and "go together" in stderr, stderr


def test_files_that_are_no_good(world):
    folder, made = proxy(world)
    for words, wanted in ((("--cacert", f"{folder}/none"), "No such file"), (("--cacert", f"{folder}/ca.key"), "PEM"),
                          (("--cert", f"{folder}/client.pem", "--key", f"{folder}/server.key"), "the key of --cert")):
        status, _, stderr = cli(world, made, *words, "PING")
        assert status == FAILURE and wanted in stderr and words[0] in stderr, stderr


def test_no_tls_there(world):
    status, _, stderr = world.run(world.binary, "cli", "--tls", "-p", world.server.port, "--insecure", "PING", check=False)
    assert status == FAILURE and "is that the TLS port" in stderr, stderr


def test_no_tls_asked_for(world):
    _, made = proxy(world)
    status, _, stderr = world.run(world.binary, "cli", "-p", made.port, "PING", check=False)
    assert status == FAILURE and "--tls" in stderr, stderr


def test_bench(world):
    """Through TLS, with values larger than its records, and as a user with a certificate and a password."""
    folder, made = proxy(world, ask_client=True)
    words = ("bench", "--tls", "--port", made.port, "--cacert", f"{folder}/ca.pem", "--cert", f"{folder}/client.pem", "--key",
             f"{folder}/client.key", "--clients", "4", "--keys", "50")
    for more in (("--pipeline", "8", "--test", "mixed", "--requests", "2000"),
                 ("--test", "get", "--fill", "--value-size", "100k", "--requests", "200"),
                 ("--durability", "standard", "--requests", "200")):
        _, stdout, _ = world.run(world.binary, *words, *more)
        assert "0 errors, 0 wrong replies" in stdout, stdout
    status, _, stderr = world.run(world.binary, "bench", "--tls", "--port", made.port, "--requests", "10", check=False)
    assert status == FAILURE and "certificate is not taken" in stderr and "--cacert" in stderr, stderr
    status, _, stderr = world.run(world.binary, *words, "--durability", "nonsense", "--requests", "10", check=False)
    assert status == FAILURE and "refused PD.DURABILITY nonsense" in stderr, stderr


def test_bench_as_a_user(world):
    server = world.new_server("users")
    world.run(world.binary, "user", "add", "ann", "--role", "admin", "--data", server.directory, input=b"secret\n")
    server.start()
    words = [world.binary, "bench", "--port", str(server.port), "--clients", "3", "--requests", "300"]
    done = subprocess.run([*words, "--user", "ann"], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "PERDURE_PASSWORD": "secret"}, stdin=subprocess.DEVNULL)
    assert done.returncode == OK and "0 errors, 0 wrong replies" in done.stdout, done
    done = subprocess.run([*words, "--user", "ann"], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "PERDURE_PASSWORD": "wrong"}, stdin=subprocess.DEVNULL)
    assert done.returncode == FAILURE and 'does not take user "ann"' in done.stderr, done
    status, _, stderr = world.run(*words, check=False)
    assert status == FAILURE and "NOAUTH" in stderr, stderr


def test_shell(world):
    """The connection is lost without a goodbye, and made again."""
    folder, made = proxy(world)
    terminal = Terminal([world.binary, "cli", "--tls", "-p", made.port, "--cacert", f"{folder}/ca.pem"], environment={"PERDURE_HISTORY": ""})
    world.opened.append(terminal)
    terminal.expect("> ")
    terminal.type("SET k v\r")
    terminal.expect("OK")
    for near, far in made.open:
        far.shutdown(socket.SHUT_RDWR)
    # Whether it is noticed before the next command or with it is a matter of moments.
    for _ in range(20):
        terminal.type("GET k\r")
        seen = terminal.expect("> ")
        while terminal.read_some(0.2):
            pass
        if '"v"' in seen + terminal.text():
            break
    else:
        raise AssertionError(f"it did not come back: {terminal.text()}")
    terminal.type("\x04")
    assert terminal.wait() == OK
