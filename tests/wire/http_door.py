"""The HTTP door: who lives, who is ready, how healthy it is, and what it counts."""

import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import exposition
from processes import HOST, free_port, need_program
from resp_connection import RespConnection, RespError
from tls import Papers, files
from users import add

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def with_http(world, name, options=(), prefix=()):
    server = world.new_server(name, ["--http", "0", *options], prefix)
    server.http_port = free_port()
    server.options[1] = str(server.http_port)
    return server


def started(world, name="served", options=()):
    server = with_http(world, name, options)
    server.start()
    return server


def get(server, path, method="GET", accept=None, timeout=30):
    """(status, headers, body)"""
    connection = http.client.HTTPConnection(HOST, server.http_port, timeout=timeout)
    try:
        connection.request(method, path, headers={"Accept": accept} if accept else {})
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()


def metrics(server, accept=None):
    status, headers, body = get(server, "/metrics", accept=accept)
    assert status == 200, body
    return exposition.read(body, headers["Content-Type"] == OPENMETRICS)


# ---- pages ----


def test_pages(world):
    server = started(world)
    assert get(server, "/livez")[0::2] == (200, "ok\n")
    assert get(server, "/readyz")[0::2] == (200, "ready\n")
    assert get(server, "/readyz?writes")[0::2] == (200, "ready\n")
    status, headers, body = get(server, "/health")
    health = json.loads(body)
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert health["status"] == "healthy" and health["components"] == {"wal": "connected", "store": "ok", "disk": "ok"}, health
    assert health["applier_lag_ms"] == 0 and health["last_snapshot"] is None, health
    status, headers, body = get(server, "/nowhere")
    problem = json.loads(body)
    assert status == 404 and headers["Content-Type"] == "application/problem+json", headers
    assert problem["status"] == 404 and problem["title"] == "Not Found" and "/metrics" in problem["detail"], problem
    assert get(server, "/metrics", "PUT")[0] == 405
    status, headers, body = get(server, "/metrics", "HEAD")
    assert status == 200 and body == "" and int(headers["Content-Length"]) > 10000


def test_snapshot_is_told(world):
    server = started(world)
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "a", "1")
    world.perdure("store", "checkpoint", "--data", server.directory)
    moment = json.loads(get(server, "/health")[2])["last_snapshot"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", moment), moment
    assert exposition.value(metrics(server), "perdure_checkpoints") == 1


def test_connection_is_kept(world):
    server = started(world)
    connection = http.client.HTTPConnection(HOST, server.http_port, timeout=30)
    for _ in range(50):
        connection.request("GET", "/livez")
        assert connection.getresponse().read() == b"ok\n"
    families = metrics(server)
    assert exposition.value(families, "perdure_connections", door="http") == 2
    assert exposition.value(families, "perdure_http_requests", result="ok") >= 50
    connection.close()


def test_off(world):
    server = with_http(world, "off")
    server.options[1] = "0"
    server.start()
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, server.http_port)) != 0


def test_address_of_its_own(world):
    server = with_http(world, "bound", ["--http-bind", "127.0.0.7"])
    server.start()
    assert f"on 127.0.0.7:{server.http_port}" in server.printed(), server.printed()
    with socket.create_connection(("127.0.0.7", server.http_port), timeout=30) as connection:
        connection.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, server.http_port)) != 0
    status, _, stderr = world.perdure("server", "--http-bind", "localhost", check=False)
    assert status == 2 and "numeric address" in stderr, stderr


def test_taken_port_is_told(world):
    first = started(world, "first")
    second = with_http(world, "second")
    second.options[1] = str(first.http_port)
    second.port = free_port()
    second.launch()
    assert second.process.wait(30) == 1
    assert "--http" in second.printed() and str(first.http_port) in second.printed(), second.printed()


# ---- metrics ----


def test_metrics_are_well_formed(world):
    server = started(world)
    with RespConnection(server.port) as connection:
        for i in range(100):
            connection.expect("OK", "SET", f"k{i}", "v")
        status, headers, body = get(server, "/metrics", accept="application/openmetrics-text;version=1.0.0;q=0.9,text/plain;q=0.5,*/*;q=0.1")
        assert status == 200 and headers["Content-Type"] == OPENMETRICS
        families = exposition.read(body, True)
        for accept in (None, "*/*", "text/html,*/*;q=0.8", "text/plain;version=0.0.4"):
            status, headers, body = get(server, "/metrics", accept=accept)
            assert status == 200 and headers["Content-Type"] == TEXT, accept
            plain = exposition.read(body, False)
        assert list(plain) == list(families)
        assert [family.kind for family in plain.values()] == [family.kind for family in families.values()]
        promtool(world, body)


def promtool(world, page):
    """The real checker, where Debian's package prometheus is installed."""
    program = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if program is None:
        print("note  http_door: promtool (package prometheus) is not installed; the strict reader of exposition.py ran alone")
        return
    status, stdout, stderr = world.run(program, "check", "metrics", input=page.encode(), check=False)
    assert status == 0 and not stdout and not stderr, stdout + stderr
    print("note  http_door: promtool check metrics ran")


def test_documentation_is_the_table(world):
    _, page, _ = world.perdure("metrics", "docs")
    with open(os.path.join(ROOT, "docs", "metrics.md")) as file:
        assert file.read() == page, "docs/metrics.md is not what `perdure metrics docs` prints"
    documented = set(re.findall(r"^\| `([a-z_0-9]+)` \|", page, re.MULTILINE))
    told = set()
    for family in metrics(started(world)).values():
        told.add(family.name + {"counter": "_total", "info": "_info"}.get(family.kind, ""))
    assert documented == told, documented ^ told


def test_dashboards_and_alerts_ask_for_what_there_is(world):
    """Every series that contrib/ names is one that a server tells, with labels that it has."""
    families = metrics(started(world))
    known = {name: set(labels) for family in families.values() for name, labels, _ in family.samples}
    texts = []
    with open(os.path.join(ROOT, "contrib/grafana/perdure.json")) as file:
        dashboard = json.load(file)
    for panel in dashboard["panels"]:
        texts += [target["expr"] for target in panel["targets"]]
    rules = os.path.join(ROOT, "contrib/prometheus/perdure.rules.yml")
    with open(rules) as file:
        texts += re.findall(r"^ +expr: (.*)$", file.read(), re.MULTILINE)
    assert len(texts) > 30
    for text in texts:
        names = re.findall(r"\b(?:perdure|process)_[a-z_0-9]+", text)
        assert names and all(name in known for name in names), (text, [name for name in names if name not in known])
        for by in re.findall(r"sum by \(([^)]*)\)", text):
            assert all(set(by.replace(" ", "").split(",")) <= known[name] for name in names), text
    program = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if program is not None:
        world.run(program, "check", "rules", rules)
        print("note  http_door: promtool check rules ran")


def test_logins_are_counted(world):
    server = with_http(world, "guarded")
    world.run(world.binary, "user", "add", "ann", "--role", "admin", "--data", server.directory, input=b"secret\n")
    server.start()
    with RespConnection(server.port) as connection:
        assert isinstance(connection.command("AUTH", "ann", "wrong"), RespError)
        connection.expect("OK", "AUTH", "ann", "secret")
    families = metrics(server)  # and the pages ask nobody who he is
    assert exposition.value(families, "perdure_logins", result="accepted") == 1
    assert exposition.value(families, "perdure_logins", result="refused") == 1


def test_counters_count(world):
    server = started(world)
    before = metrics(server)
    with RespConnection(server.port) as connection:
        for i in range(20):
            connection.expect("OK", "SET", "k", str(i))
        for _ in range(30):
            connection.command("GET", "k")
        assert isinstance(connection.command("INCR", "k", "too", "many"), RespError)
        connection.expect(b"19", "GET", "k")
        assert isinstance(connection.command("HGET", "k", "f"), RespError)
        connection.expect("OK", "CONFIG", "RESETSTAT")
        time.sleep(0.2)
        after = metrics(server)

        def grew(name, **labels):
            return exposition.value(after, name, **labels) - exposition.value(before, name, **labels)

        assert grew("perdure_commands", **{"class": "write", "result": "ok"}) == 20
        assert grew("perdure_commands", **{"class": "write", "result": "rejected"}) == 1
        assert grew("perdure_commands", **{"class": "read", "result": "ok"}) == 31
        assert grew("perdure_commands", **{"class": "read", "result": "error"}) == 1
        assert grew("perdure_command_evaluation_seconds_count", **{"class": "write"}) == 20
        assert grew("perdure_reply_settling_seconds_count") >= 20
        assert 0 < grew("perdure_reply_settling_seconds_sum") < 600
        assert grew("perdure_transactions") >= 20 and grew("perdure_log_records") >= 20
        assert 0 < grew("perdure_log_group_write_seconds_count") <= grew("perdure_log_groups")
        assert grew("perdure_log_group_records_sum") == grew("perdure_log_records")
        assert exposition.value(after, "perdure_connections", door="resp") == 1
        assert exposition.value(after, "perdure_keys") >= 1
        assert exposition.value(after, "process_open_fds") > 5
        assert exposition.value(after, "process_resident_memory_bytes") > 1 << 20
        assert abs(exposition.value(after, "process_start_time_seconds") - time.time()) < 600
        assert grew("process_cpu_seconds") >= 0 and exposition.value(after, "perdure_disk_free_bytes") > 0


# ---- states ----


def four_pages(server):
    """What the pages say at one moment: each (status, body). They are asked for at once, so that they are answered at once."""
    with socket.create_connection((HOST, server.http_port), timeout=30) as connection:
        for path in ("/livez", "/readyz", "/health", "/metrics"):
            last = "close" if path == "/metrics" else "keep-alive"
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: {last}\r\n\r\n".encode())
        data = b"".join(iter(lambda: connection.recv(65536), b""))
    answers = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        size = int(re.search(rb"Content-Length: (\d+)", head).group(1))
        answers.append((int(head.split()[1]), data[:size].decode()))
        data = data[size:]
    return answers


def test_recovery_is_told(world):
    """Alive and not ready while the log is replayed, with progress; ready afterwards."""
    server = started(world, "replayed", ["--memory-budget", "1GiB", "--durability", "standard"])
    with RespConnection(server.port) as connection:
        for start in range(0, 400000, 50000):
            connection.send_raw(b"".join(b"*3\r\n$3\r\nSET\r\n$6\r\n%06d\r\n$3\r\nabc\r\n" % n
                                         for n in range(start, start + 50000)))
            assert [connection.read() for _ in range(50000)] == ["OK"] * 50000
    server.kill()
    seen = []
    for _ in range(10):
        server.launch()
        while server.is_running() and not server.is_ready(server.printed()):
            try:
                seen.append(four_pages(server))
            except OSError:
                continue  # it does not listen yet
        server.wait_ready()
        assert get(server, "/readyz")[0] == 200
        if any(len(answers) == 4 and answers[1][0] == 503 for answers in seen):
            break
        server.kill()
    recovering = [answers for answers in seen if len(answers) == 4 and answers[1][0] == 503]
    assert recovering, seen
    for live, ready, health, figures in recovering:
        assert live == (200, "ok\n")
        assert re.match(r"recovering: .*\(\d+%, \d+ records", json.loads(ready[1])["detail"]), ready
        if health[0] == 503:
            assert json.loads(health[1])["status"] == "unhealthy" and json.loads(health[1])["components"]["wal"] == "recovering"
        families = exposition.read(figures[1], False)
        assert exposition.value(families, "perdure_recovering") in (0, 1)
        assert exposition.value(families, "perdure_ready") == 1 - exposition.value(families, "perdure_recovering")


def test_draining_is_told(world):
    """A client that takes nothing holds up the end: meanwhile /readyz says no, and /livez yes."""
    server = started(world, "draining")
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "large", b"x" * (8 << 20))
        connection.send("GET", "large")
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        for _ in range(1000):
            status, _, body = get(server, "/readyz")
            if status == 503:
                break
            time.sleep(0.01)
        assert status == 503 and "draining" in body, body
        assert get(server, "/livez")[0] == 200
        assert exposition.value(metrics(server), "perdure_draining") == 1
        assert len(connection.read()) == 8 << 20
    assert server.process.wait(30) == 0


# ---- rude clients ----


def test_resp_maximum_leaves_http_open(world):
    server = started(world, "crowded", ["--max-clients", "3"])
    clients = [RespConnection(server.port) for _ in range(3)]
    for client in clients:
        client.expect("PONG", "PING")
    assert exposition.value(metrics(server), "perdure_connections", door="resp") == 3
    for client in clients:
        client.close()


def test_hundred_connections(world):
    """More than it takes: the oldest idle ones go, the newest are served, and RESP notices nothing."""
    server = started(world)
    held = []
    for _ in range(100):
        client = socket.create_connection((HOST, server.http_port), timeout=30)
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        held.append(client)
    families = metrics(server)
    assert exposition.value(families, "perdure_connections", door="http") <= 32
    with RespConnection(server.port) as connection:
        connection.expect("PONG", "PING")
    for client in held:
        client.close()


def test_hanging_scrapers(world):
    """They ask for the page again and again and never read: bounded memory, and the others are served."""
    server = started(world)
    before = server.status_kib("VmRSS")
    held = []
    for _ in range(100):
        client = socket.create_connection((HOST, server.http_port), timeout=30)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        held.append(client)
        for _ in range(200):
            try:
                client.send(b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n")
            except (BlockingIOError, ConnectionError):
                break
    with RespConnection(server.port) as connection:
        for i in range(100):
            connection.expect("OK", "SET", "k", str(i))
    assert get(server, "/livez")[0] == 200
    assert server.status_kib("VmRSS") - before < 64 * 1024 * world.memory_slack
    for client in held:
        client.close()


def test_requests_that_do_not_end(world):
    """A hundred begin a request and leave it at that: a probe is answered all the same, at any time, and so is a scraper."""
    server = started(world, "unending")
    held = []
    for number in range(100):
        client = socket.create_connection((HOST, server.http_port), timeout=30)
        client.sendall(b"GET /livez HTTP/1.1\r\nHo"[:number % 24])
        held.append(client)
        if number % 10 == 9:
            assert get(server, "/livez")[0] == 200
    families = metrics(server)
    assert exposition.value(families, "perdure_connections", door="http") <= 32
    assert exposition.value(families, "perdure_http_displaced") >= 60
    # The last ones are still there, and may go on.
    held[-1].sendall(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"[len(b"GET /livez HTTP/1.1\r\nHo"[:99 % 24]):])
    assert held[-1].recv(4096).startswith(b"HTTP/1.1 200 ")
    for client in held:
        client.close()


# ---- who may read them ----


def curl(world, *words, check=True):
    """What curl prints of the body, and the status at its end."""
    program = need_program("curl", "curl")
    done = subprocess.run([program, "--silent", "--show-error", "--max-time", "60", "--write-out", "\\n%{http_code}", *map(str, words)],
                          capture_output=True, text=True, timeout=90, check=False)
    assert not check or done.returncode == 0, (done.returncode, done.stderr)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body, done.stderr


def test_login(world):
    server = with_http(world, "login", ["--http-login", "always"])
    server.start()
    page = f"http://{HOST}:{server.http_port}"
    # Without a user this machine may do everything.
    assert curl(world, f"{page}/metrics")[0] == 200
    add(world, server, "ann", "se:cret", "--role", "admin")
    add(world, server, "rob", "r\u00e4tsel", "--role", "read-only")
    for path in ("/livez", "/readyz", "/readyz?writes"):
        assert curl(world, f"{page}{path}")[0] == 200, path
    for path in ("/metrics", "/health"):
        status, body, _ = curl(world, f"{page}{path}")
        assert status == 401 and json.loads(body)["title"] == "Unauthorized" and "perdure_" not in body, (path, body)
        assert curl(world, "--user", "ann:wrong", f"{page}{path}")[0] == 401
        assert curl(world, "--user", "nobody:se:cret", f"{page}{path}")[0] == 401
        for user in ("ann:se:cret", "rob:r\u00e4tsel"):
            assert curl(world, "--user", user, f"{page}{path}")[0] == 200, (path, user)
    assert "WWW-Authenticate: Basic" in curl(world, "--head", f"{page}/metrics")[1]
    # A scraper that keeps its connection is asked by Argon2 once.
    connection = http.client.HTTPConnection(HOST, server.http_port, timeout=30)
    credentials = {"Authorization": "Basic " + base64.b64encode(b"ann:se:cret").decode()}
    for turn in range(30):
        connection.request("GET", "/metrics", headers=credentials)
        response = connection.getresponse()
        families = exposition.read(response.read().decode(), response.headers["Content-Type"] == OPENMETRICS)
        accepted = exposition.value(families, "perdure_logins", result="accepted")
        assert response.status == 200 and (turn == 0 or accepted == before), (turn, accepted)
        before = accepted
    world.perdure("user", "password", "ann", "--data", server.directory, "--password-file", secret(world, "other"))
    connection.request("GET", "/metrics", headers=credentials)
    assert connection.getresponse().status == 401
    connection.close()
    world.perdure("user", "disable", "rob", "--data", server.directory)
    assert curl(world, "--user", "rob:r\u00e4tsel", f"{page}/metrics")[0] == 401
    assert curl(world, "--user", "ann:other", f"{page}/metrics")[0] == 200


def secret(world, text):
    path = world.path("secret.txt")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text + "\n")
    return path


def test_this_machine_is_not_asked(world):
    server = with_http(world, "local")
    server.start()
    add(world, server, "ann", "secret", "--role", "admin")
    assert curl(world, f"http://{HOST}:{server.http_port}/metrics")[0] == 200
    status, _, stderr = world.perdure("server", "--http-login", "sometimes", check=False)
    assert status == 2 and "remote" in stderr and "always" in stderr, stderr


def test_a_flood_of_wrong_passwords(world):
    """Half of the door's places at most wait for passwords, and the rest goes on."""
    server = with_http(world, "flood", ["--http-login", "always"])
    server.start()
    add(world, server, "ann", "secret", "--role", "admin")
    request = b"GET /metrics HTTP/1.1\r\nHost: h\r\nAuthorization: Basic " + base64.b64encode(b"ann:wrong") + b"\r\n\r\n"
    flood = []
    for _ in range(28):
        flood.append(socket.create_connection((HOST, server.http_port), timeout=60))
        flood[-1].sendall(request)
    assert curl(world, f"http://{HOST}:{server.http_port}/livez")[:2] == (200, "ok\n")
    statuses = [connection.recv(12)[9:12] for connection in flood[-8:]]
    assert set(statuses) <= {b"503", b"401"} and b"503" in statuses, statuses
    for connection in flood:
        connection.close()
    assert server.is_running()


def test_tls(world):
    papers = Papers(world, "https-papers")
    papers.sign("server")
    papers.sign("ann", common_name="ann")
    port = free_port()
    server = with_http(world, "https", ["--https", str(port), "--http-login", "always", *files(papers), "--tls-ca-file", papers.path("ca.pem"),
                                        "--tls-auth-clients", "optional", "--tls-certificate-users"])
    server.start()
    assert f"over TLS on {HOST}:{port}" in server.printed(), server.printed()
    add(world, server, "ann", "secret", "--role", "admin")
    page, ca = f"https://localhost:{port}", ("--cacert", papers.path("ca.pem"), "--resolve", f"localhost:{port}:{HOST}")
    assert curl(world, *ca, f"{page}/livez")[:2] == (200, "ok\n")
    assert curl(world, *ca, "--tlsv1.3", "--user", "ann:secret", f"{page}/metrics")[0] == 200
    assert curl(world, *ca, f"{page}/metrics")[0] == 401
    status, body, _ = curl(world, *ca, "--cert", papers.path("ann.pem"), "--key", papers.path("ann.key"), f"{page}/metrics")
    assert status == 200 and len(body) > 10000
    # Neither a stranger's word nor plain text.
    assert curl(world, "--resolve", f"localhost:{port}:{HOST}", f"{page}/livez", check=False)[0] == 0
    assert curl(world, f"http://{HOST}:{port}/livez", check=False)[0] == 0
    assert curl(world, f"http://{HOST}:{server.http_port}/livez")[:2] == (200, "ok\n")
    # SIGHUP reads the certificate again.
    other = Papers(world, "https-other-papers")
    other.sign("server")
    for name in ("server.pem", "server.key"):
        shutil.copyfile(other.path(name), papers.path(name))
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 60
    while curl(world, "--cacert", other.path("ca.pem"), *ca[2:], f"{page}/livez", check=False)[0] != 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert curl(world, "--cacert", other.path("ca.pem"), *ca[2:], f"{page}/livez")[:2] == (200, "ok\n")
    server.stop()
    for words, wanted in ((("--https", str(port)), "--tls-cert-file"), (("--http", str(port), "--https", str(port), *files(papers)), "--http's port")):
        status, _, stderr = world.perdure("server", "--data", server.directory, "--resp", "0", *words, check=False)
        assert status == 2 and wanted in stderr, stderr
