"""TLS: real clients, versions, certificates of both sides, what is wrong with files, handshakes that go nowhere."""

import os
import signal
import socket
import ssl
import time

from configuration import wait_for
from life import FAIL_TIMEOUT_S, USAGE, fails
from processes import HOST, free_port, need_program
from resp_connection import Closed, RespConnection, RespError
from users import add


class Papers:
    """An authority and what it has signed, made by the openssl command."""

    def __init__(self, world, name):
        self.world, self.folder = world, world.path(name)
        self.openssl = need_program("openssl", "openssl")
        os.makedirs(self.folder)
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                 "-subj", f"/CN=authority {name}", "-keyout", self.path("ca.key"), "-out", self.path("ca.pem"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *words):
        self.world.run(self.openssl, *words)

    def sign(self, name, common_name="localhost", days=30, kind="ec"):
        """NAME.pem and NAME.key for this machine, or for a client of that name."""
        how = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1") if kind == "ec" else ("rsa:2048",)
        self.run("req", "-newkey", *how, "-nodes", "-subj", f"/CN={common_name}", "-keyout", self.path(f"{name}.key"),
                 "-out", self.path(f"{name}.csr"))
        with open(self.path("names"), "w") as file:
            file.write(f"subjectAltName=IP:{HOST},DNS:localhost\n")
        dates = ("-days", str(days)) if days > 0 else ("-days", str(days))
        self.run("x509", "-req", "-in", self.path(f"{name}.csr"), "-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"),
                 "-CAcreateserial", *dates, "-extfile", self.path("names"), "-out", self.path(f"{name}.pem"))
        os.chmod(self.path(f"{name}.key"), 0o600)
        return self.path(f"{name}.pem"), self.path(f"{name}.key")


def files(papers, name="server"):
    return ["--tls-cert-file", papers.path(f"{name}.pem"), "--tls-key-file", papers.path(f"{name}.key")]


def secured(world, papers, name, *options):
    port = free_port()
    server = world.new_server(name, ["--tls-port", str(port), *files(papers), *options])
    server.tls_port = port
    return server


def started(world, papers, name, *options):
    server = secured(world, papers, name, *options)
    server.start()
    return server


class Encrypted(RespConnection):
    """A RespConnection through TLS."""

    def __init__(self, server, context, timeout=30):
        super().__init__(server.tls_port, timeout=timeout)
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")


def context_of(papers, client=None, **limits):
    context = ssl.create_default_context(cafile=papers.path("ca.pem"))
    if client is not None:
        context.load_cert_chain(papers.path(f"{client}.pem"), papers.path(f"{client}.key"))
    for name, value in limits.items():
        setattr(context, name, value)
    return context


def figure(connection, name):
    for line in connection.command("INFO", "perdure").decode().splitlines():
        if line.startswith(name + ":"):
            return int(line.split(":")[1])
    raise AssertionError(f"INFO has no {name}")


def refused(server, context):
    """No request is ever answered: with TLS 1.3 the client may think that it is in before the server has said no."""
    try:
        with Encrypted(server, context) as connection:
            connection.command("PING")
    except (OSError, Closed):
        return True
    return False


def test_clients(world):
    papers = Papers(world, "clients-ca")
    papers.sign("server", kind="rsa")
    server = started(world, papers, "clients")
    cli = need_program("redis-cli", "redis-tools")
    _, stdout, _ = world.run(cli, "-p", server.tls_port, "--tls", "--cacert", papers.path("ca.pem"), "set", "a", "b")
    assert stdout.strip() == "OK", stdout
    import redis  # noqa: PLC0415

    client = redis.Redis(port=server.tls_port, ssl=True, ssl_ca_certs=papers.path("ca.pem"), ssl_check_hostname=True,
                         host="localhost")
    assert client.get("a") == b"b"
    with client.pipeline() as pipeline:
        for _ in range(1000):
            pipeline.incr("n")
        assert pipeline.execute()[-1] == 1000
    client.close()
    _, stdout, stderr = world.run(papers.openssl, "s_client", "-connect", f"{HOST}:{server.tls_port}", "-CAfile", papers.path("ca.pem"),
                                  "-verify_return_error", "-quiet", "-ign_eof", input=b"GET a\r\nQUIT\r\n")
    assert "$1" in stdout and "b" in stdout, (stdout, stderr)
    # The other door has the same data.
    world.connect(server).expect(b"b", "GET", "a")
    benchmark = need_program("redis-benchmark", "redis-tools")
    _, stdout, _ = world.run(benchmark, "-p", server.tls_port, "--tls", "--cacert", papers.path("ca.pem"), "-t", "get", "-n", "2000", "-q")
    assert "requests per second" in stdout, stdout


def test_versions(world):
    papers = Papers(world, "versions-ca")
    papers.sign("server")
    server = started(world, papers, "versions")
    with Encrypted(server, context_of(papers)) as connection:
        assert connection.socket.version() == "TLSv1.3"
        connection.expect("PONG", "PING")
    with Encrypted(server, context_of(papers, maximum_version=ssl.TLSVersion.TLSv1_2)) as connection:
        assert connection.socket.version() == "TLSv1.2" and "GCM" in connection.socket.cipher()[0]
        connection.expect("PONG", "PING")
    status, stdout, stderr = world.run(papers.openssl, "s_client", "-connect", f"{HOST}:{server.tls_port}", "-tls1_1", "-cipher",
                                       "ALL:@SECLEVEL=0", input=b"", check=False)
    assert status != 0, (stdout, stderr)


def test_bytes_of_all_sizes(world):
    """Records are of 16 KiB: requests and replies that end anywhere in one, and many in one."""
    papers = Papers(world, "sizes-ca")
    papers.sign("server")
    server = started(world, papers, "sizes")
    with Encrypted(server, context_of(papers), timeout=60) as connection:
        for size in (0, 1, 16383, 16384, 16385, 100_000, 262_144, 1_000_000, 20_000_000):
            value = os.urandom(size)
            connection.expect("OK", "SET", "k", value)
            connection.expect(value, "GET", "k")
        count = 50_000
        connection.send_raw(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n" * count)
        for wanted in range(1, count + 1):
            assert connection.read() == wanted
        # A client that is not read for a while, since it does not take its replies, loses nothing of what it has sent.
        connection.command("SET", "big", b"x" * 1_000_000)
        connection.send_raw(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n" * 30 + b"*1\r\n$4\r\nPING\r\n")
        time.sleep(0.5)
        for _ in range(30):
            assert len(connection.read()) == 1_000_000
        assert connection.read() == "PONG"


def test_client_certificates(world):
    papers, strangers = Papers(world, "certificates-ca"), Papers(world, "strangers-ca")
    papers.sign("server")
    papers.sign("ann", "ann")
    strangers.sign("ann", "ann")
    ca = ["--tls-ca-file", papers.path("ca.pem")]
    good, none = context_of(papers, "ann"), context_of(papers)
    bad = context_of(papers)
    bad.load_cert_chain(strangers.path("ann.pem"), strangers.path("ann.key"))
    server = started(world, papers, "required", *ca, "--tls-auth-clients", "yes")
    with Encrypted(server, good) as connection:
        connection.expect("PONG", "PING")
    assert refused(server, none) and refused(server, bad)
    assert figure(world.connect(server), "tls_failures") >= 2
    wait_for(server, "handshakes have failed")
    server.stop()
    server = started(world, papers, "optional", *ca, "--tls-auth-clients", "optional")
    for context in (good, none):
        with Encrypted(server, context) as connection:
            connection.expect("PONG", "PING")
    assert refused(server, bad)


def test_certificates_that_are_users(world):
    papers = Papers(world, "users-ca")
    papers.sign("server")
    papers.sign("rob", "rob")
    papers.sign("nobody", "nobody")
    server = secured(world, papers, "certificate-users", "--tls-ca-file", papers.path("ca.pem"), "--tls-auth-clients", "optional",
                     "--tls-certificate-users")
    add(world, server, "ann", "secret", "--role", "admin")
    add(world, server, "rob", "unused", "--role", "read-only")
    server.start()
    with Encrypted(server, context_of(papers, "rob")) as connection:
        connection.expect(b"rob", "ACL", "WHOAMI")
        assert str(connection.command("SET", "a", "b")).startswith("NOPERM")
        connection.expect("OK", "AUTH", "ann", "secret")
        connection.expect("OK", "SET", "a", "b")
    for client in ("nobody", None):
        with Encrypted(server, context_of(papers, client)) as connection:
            reply = connection.command("GET", "a")
            assert isinstance(reply, RespError) and str(reply).startswith("NOAUTH"), reply
    world.perdure("user", "disable", "rob", "--data", server.directory)
    with Encrypted(server, context_of(papers, "rob")) as connection:
        assert str(connection.command("GET", "a")).startswith("NOAUTH")


def test_becoming_a_user_in_the_middle(world):
    """The user of a certificate is made while its client is inside MULTI, or between WATCH and MULTI: EXEC says that nothing was done."""
    papers = Papers(world, "becoming-ca")
    papers.sign("server")
    papers.sign("rob", "rob")
    server = started(world, papers, "becoming", "--tls-ca-file", papers.path("ca.pem"), "--tls-auth-clients", "optional",
                     "--tls-certificate-users")
    queueing, watching, other = (Encrypted(server, context_of(papers, "rob")) for _ in range(3))
    queueing.expect("OK", "MULTI")
    queueing.expect("QUEUED", "SET", "queued", "1")
    watching.expect("OK", "WATCH", "watched")
    other.expect("OK", "SET", "watched", "another's")
    add(world, server, "ann", "secret", "--role", "admin")
    add(world, server, "rob", "unused", "--role", "read-write")
    queueing.expect("QUEUED", "SET", "later", "1")
    reply = queueing.command("EXEC")
    assert isinstance(reply, RespError) and str(reply).startswith("EXECABORT ") and "become another user's" in str(reply), reply
    watching.expect("OK", "MULTI")
    watching.expect("QUEUED", "SET", "watched", "overwritten")
    reply = watching.command("EXEC")
    assert isinstance(reply, RespError) and "WATCH and MULTI again" in str(reply), reply
    for connection in (queueing, watching, other):
        connection.expect(b"rob", "ACL", "WHOAMI")
        connection.expect(0, "EXISTS", "queued", "later")
        connection.expect(b"another's", "GET", "watched")
        connection.expect("OK", "MULTI")
        connection.expect("QUEUED", "SET", "again", "1")
        connection.expect(["OK"], "EXEC")


def test_becoming_a_user_takes_nothing_away_unsaid(world):
    """A client had asked for an actor, a level, an epoch, before its certificate was a user's: it is told, and nothing of it goes elsewhere."""
    papers = Papers(world, "unsaid-ca")
    papers.sign("server")
    papers.sign("rob", "rob")
    server = started(world, papers, "unsaid", "--tls-ca-file", papers.path("ca.pem"), "--tls-auth-clients", "optional",
                     "--tls-certificate-users")
    asked = (("PD.USE", "mine"), ("PD.DURABILITY", "standard"), ("PD.READLEVEL", "strict"), ("PD.EPOCH", "main", "7"),
             ("PD.IDEMPOTENCY", "once"), ("PD.REQUEST", "r-1"))
    connections = [Encrypted(server, context_of(papers, "rob")) for _ in asked]
    for connection, words in zip(connections, asked):
        connection.expect("OK", *words)
    add(world, server, "ann", "secret", "--role", "admin")
    add(world, server, "rob", "unused", "--role", "read-write")
    for connection, words in zip(connections, asked):
        reply = connection.command("SET", "k", words[0])
        assert isinstance(reply, RespError) and "Connect again" in str(reply), (words, reply)
        try:
            reply = connection.command("PING")
        except Closed:
            continue
        raise AssertionError(f"{words}: it goes on: {reply}")
    with Encrypted(server, context_of(papers, "rob")) as connection:
        connection.expect(b"rob", "ACL", "WHOAMI")
        connection.expect(0, "EXISTS", "k", "{mine}k")


def test_new_certificate(world):
    papers = Papers(world, "renewal-ca")
    papers.sign("server")
    server = started(world, papers, "renewal")
    old = Encrypted(server, context_of(papers))
    first = old.socket.getpeercert()["serialNumber"]
    papers.sign("server")
    server.process.send_signal(signal.SIGHUP)
    wait_for(server, "new connections get the certificate")
    with Encrypted(server, context_of(papers)) as connection:
        assert connection.socket.getpeercert()["serialNumber"] != first
        second = connection.socket.getpeercert()["serialNumber"]
    old.expect("PONG", "PING")
    # One that is no good leaves the one there was.
    with open(papers.path("server.pem"), "w") as file:
        file.write("nonsense\n")
    server.process.send_signal(signal.SIGHUP)
    wait_for(server, "the certificate stays the one there was")
    with Encrypted(server, context_of(papers)) as connection:
        assert connection.socket.getpeercert()["serialNumber"] == second
    old.expect("PONG", "PING")
    old.close()


def test_files_that_are_no_good(world):
    papers = Papers(world, "bad-ca")
    papers.sign("server")
    papers.sign("other")
    papers.sign("old", days=-1)
    port = ["--tls-port", str(free_port())]

    def start_fails(*options, texts, status=None):
        fails(world, "server", "--data", world.path("bad"), "--resp", free_port(), "--http", "0", *options, texts=texts, status_wanted=status)

    certificate, key = files(papers)[1::2]
    start_fails(*port, texts=("needs a certificate and its key",), status=USAGE)
    start_fails("--tls-auth-clients", "yes", texts=("needs --tls-ca-file",), status=USAGE)
    start_fails("--tls-certificate-users", texts=("needs --tls-auth-clients",), status=USAGE)
    start_fails("--tls-key-password", "x", texts=("would be seen by everybody",), status=USAGE)
    start_fails(*port, "--tls-cert-file", papers.path("not-there.pem"), "--tls-key-file", key, texts=("not-there.pem", "No such file"))
    start_fails(*port, "--tls-cert-file", certificate, "--tls-key-file", papers.path("not-there.key"), texts=("not-there.key",))
    start_fails(*port, "--tls-cert-file", certificate, "--tls-key-file", papers.path("other.key"), texts=("does not belong to the certificate",))
    start_fails(*port, "--tls-cert-file", key, "--tls-key-file", key, texts=("cannot be used",))
    with open(certificate) as file, open(papers.path("nonsense.key"), "w") as copy:
        copy.write(file.read())
    os.chmod(papers.path("nonsense.key"), 0o600)
    start_fails(*port, "--tls-cert-file", certificate, "--tls-key-file", papers.path("nonsense.key"), texts=("cannot be used",))
    start_fails(*port, *files(papers), "--tls-auth-clients", "yes", "--tls-ca-file", key, texts=("vouch for clients",))
    os.chmod(papers.path("other.key"), 0o644)
    start_fails(*port, *files(papers, "other"), texts=("everybody on this machine can read",))
    taken = started(world, papers, "taken")
    start_fails("--tls-port", taken.tls_port, *files(papers), texts=("is taken", "--tls-port"))
    taken.stop()
    server = world.new_server("expired", [*port, *files(papers, "old")])
    server.start()
    assert "has expired" in server.printed(), server.printed()


def test_encrypted_key(world):
    papers = Papers(world, "locked-ca")
    papers.sign("server")
    papers.run("pkcs8", "-topk8", "-v2", "aes256", "-passout", "pass:sesame", "-in", papers.path("server.key"), "-out", papers.path("locked.key"))
    os.chmod(papers.path("locked.key"), 0o600)
    config = world.path("locked.toml")
    words = f'[tls]\nport = {free_port()}\ncert-file = "{papers.path("server.pem")}"\nkey-file = "{papers.path("locked.key")}"\n'

    def write(password, mode=0o600):
        with open(config, "w") as file:
            file.write(words + (f'key-password = "{password}"\n' if password else ""))
        os.chmod(config, mode)

    write(None)
    how = ("server", "--data", world.path("locked"), "--resp", free_port(), "--http", "0", "--config", config)
    fails(world, *how, texts=("locked.key", "tls.key-password has to have its password"))
    write("wrong")
    fails(world, *how, texts=("locked.key", "is tls.key-password its password?"))
    write("sesame", 0o644)
    fails(world, *how, texts=("there is a secret in it",), status_wanted=USAGE)
    write("sesame")
    server = world.new_server("locked", ["--config", config])
    server.start()
    connection = world.connect(server)
    connection.expect([b"tls-key-file-pass", b"(set)"], "CONFIG", "GET", "tls-key-file-pass")
    _, stdout, _ = world.perdure("config", "show", "--config", config)
    assert "sesame" not in stdout + server.printed(), stdout


def test_plain_words_on_an_encrypted_port(world):
    papers = Papers(world, "plain-ca")
    papers.sign("server")
    server = started(world, papers, "plain")
    with RespConnection(server.tls_port) as connection:
        connection.send_raw(b"*1\r\n$4\r\nPING\r\n")
        try:
            reply = connection.read()
        except (OSError, Closed, AssertionError, ValueError):
            reply = None
        assert reply != "PONG"
    wait_for(server, "handshakes have failed")
    # And the other way round: no harm either.
    server.tls_port, plain = server.port, server.tls_port
    assert refused(server, context_of(papers))
    server.tls_port = plain
    with Encrypted(server, context_of(papers)) as connection:
        connection.expect("PONG", "PING")


def test_handshakes_that_go_nowhere(world):
    """Two hundred clients connect and say nothing, or a little: others are served, and these are closed in time."""
    papers = Papers(world, "slow-ca")
    papers.sign("server")
    server = started(world, papers, "slow", "--tls-handshake-timeout", "1s")
    silent = [socket.create_connection((HOST, server.tls_port)) for _ in range(200)]
    for client in silent[::2]:
        client.sendall(b"\x16\x03\x01\x02")
    with Encrypted(server, context_of(papers)) as connection:
        for index in range(50):
            connection.expect("OK", "SET", "k", str(index))
        for client in silent:
            client.settimeout(FAIL_TIMEOUT_S)
            assert client.recv(1) == b"", "a silent client was told something"
        assert figure(connection, "tls_failures") == 200
        assert b"\r\nconnected_clients:1\r\n" in connection.command("INFO", "clients")
    for client in silent:
        client.close()


def shake_hands(raw, context):
    """TLS by hand over a socket: the bytes are ours to send."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    while True:
        try:
            secure.do_handshake()
            raw.sendall(outgoing.read())
            return secure, incoming, outgoing
        except ssl.SSLWantReadError:
            raw.sendall(outgoing.read())
            incoming.write(raw.recv(65536))


def test_request_and_farewell_in_one_piece(world):
    """The client says that it will say no more, and waits for the server to say so, too."""
    papers = Papers(world, "farewell-ca")
    papers.sign("server")
    server = started(world, papers, "farewell")
    for request, reply in ((b"PING\r\n", b"+PONG\r\n"), (b"", b"")):
        with socket.create_connection((HOST, server.tls_port), timeout=FAIL_TIMEOUT_S) as raw:
            secure, incoming, outgoing = shake_hands(raw, context_of(papers))
            if request:
                secure.write(request)
            try:
                secure.unwrap()
            except ssl.SSLWantReadError:
                pass
            raw.sendall(outgoing.read())
            while data := raw.recv(65536):
                incoming.write(data)
            assert (secure.read(100) if reply else b"") == reply


def test_handshake_that_ends_while_the_server_does(world):
    papers = Papers(world, "late-ca")
    papers.sign("server")
    server = started(world, papers, "late")
    slow = world.connect(server)
    slow.expect("OK", "SET", "large", b"x" * (8 << 20))
    slow.send("GET", "large")  # and never read: that holds up the end
    with socket.create_connection((HOST, server.tls_port), timeout=FAIL_TIMEOUT_S) as raw:
        with Encrypted(server, context_of(papers)) as connection:
            connection.expect("PONG", "PING")  # the one before it has been accepted as well
        server.process.send_signal(signal.SIGTERM)
        wait_for(server, "stopping")
        try:
            with context_of(papers).wrap_socket(raw, server_hostname="localhost") as late:
                late.sendall(b"PING\r\n")
                assert late.recv(100) == b"", "a server that ends takes another client"
        except OSError:
            pass
    slow.close()
    assert server.process.wait(30) == 0


def test_only_encrypted(world):
    papers = Papers(world, "only-ca")
    papers.sign("server")
    server = secured(world, papers, "only")
    command = server.command

    def without_plain():
        words = command()
        words[words.index("--resp") + 1] = "0"
        return words

    server.command = without_plain
    server.is_ready = lambda printed: "no plain listener" in printed
    server.start()
    with Encrypted(server, context_of(papers)) as connection:
        connection.expect("OK", "SET", "a", "b")
    assert server.stop() == 0
