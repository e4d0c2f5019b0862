"""A small memory budget: what clients ask for together has to wait, is refused, or goes; nothing else suffers."""

import select
import signal
import socket
import threading
import time

from processes import wait_until
from resp_connection import Closed, RespConnection, RespError, encode

MIB = 1024 * 1024
PART = 5.7  # MiB: what the clients of a budget of 64 MiB have together


def small(world, *options):
    server = world.new_server("small", ["--memory-budget", "64MiB", *options])
    server.start()
    with RespConnection(server.port) as connection:
        connection.expect("OK", "FLUSHALL")
    return server


def info(server, section="memory"):
    with RespConnection(server.port) as connection:
        text = connection.command("INFO", section).decode()
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)


def is_oom(reply, text=""):
    assert isinstance(reply, RespError) and str(reply).startswith("OOM ") and text in str(reply), f"{str(reply)[:200]!r}"


def test_budget_is_told(world):
    server = small(world)
    assert "a budget of 64 MiB" in server.printed(), server.printed()
    facts = info(server)
    assert facts["maxmemory"] == str(64 * MIB) and int(facts["used_memory"]) > 0, facts
    assert int(facts["used_memory_rss"]) > MIB and int(facts["perdure_memory_connections"]) > 0, facts
    connection = world.connect(server)
    connection.expect([b"maxmemory", b"%d" % (64 * MIB)], "CONFIG", "GET", "maxmemory")
    assert isinstance(connection.command("CONFIG", "SET", "maxmemory", "1"), RespError)


def test_default_budget_and_retention(world):
    connection = world.connect()
    name, budget = connection.command("CONFIG", "GET", "maxmemory")
    with open("/proc/meminfo") as file:
        machine = int(file.readline().split()[1]) * 1024
    assert 64 * MIB <= int(budget) <= machine / 3, (name, budget)
    connection.expect([b"perdure-retention-time", b"24h"], "CONFIG", "GET", "perdure-retention-time")
    connection.expect([b"perdure-retention-size", b"%d" % (10 << 30)], "CONFIG", "GET", "perdure-retention-size")
    connection.expect([b"perdure-compaction-rate", b"0"], "CONFIG", "GET", "perdure-compaction-rate")


def test_options_are_taken(world):
    server = small(world, "--retention-time", "2h", "--retention-size", "0", "--compaction-rate", "16MiB")
    connection = world.connect(server)
    connection.expect([b"perdure-retention-time", b"2h"], "CONFIG", "GET", "perdure-retention-time")
    connection.expect([b"perdure-retention-size", b"0"], "CONFIG", "GET", "perdure-retention-size")
    connection.expect([b"perdure-compaction-rate", b"%d" % (16 * MIB)], "CONFIG", "GET", "perdure-compaction-rate")
    status, _, stderr = world.perdure("server", "--memory-budget", "10MiB", check=False)
    assert status == 2 and "at least 64MiB" in stderr, stderr


def parts(connection):
    """The budget, and each part's bytes and limit."""
    reply = connection.command("PD.MEMORY")
    facts = dict(zip(reply[::2], reply[1::2]))
    listed = facts[b"parts"]
    return facts[b"budget"], {name.decode(): dict(zip(part[::2], part[1::2])) for name, part in zip(listed[::2], listed[1::2])}


def test_budget_changes_live(world):
    """A smaller one has memtables flushed and the cache cut; a larger one lets them grow. Nothing is lost, nobody is refused."""
    server = world.new_server("live", ["--memory-budget", "512MiB"])
    server.start()
    connection = world.connect(server)
    for number in range(400):
        connection.expect("OK", "SET", f"k{number}", b"v" * 100_000)
    budget, before = parts(connection)
    assert budget == 512 * MIB and before["memtables"][b"bytes"] > 30 * MIB, before
    connection.expect("OK", "CONFIG", "SET", "maxmemory", "64mib")
    connection.expect([b"maxmemory", b"%d" % (64 * MIB)], "CONFIG", "GET", "maxmemory")
    budget, small_parts = parts(connection)
    assert budget == 64 * MIB and small_parts["memtables"][b"limit"] < 14 * MIB, small_parts
    assert small_parts["cache"][b"limit"] < before["cache"][b"limit"], (before, small_parts)
    assert "a budget of 64 MiB" in server.printed(), server.printed()
    # Nobody writes, and yet it goes.
    wait_until(lambda: parts(connection)[1]["memtables"][b"bytes"] < 14 * MIB, "the memtables did not go to the disk")
    for number in range(400, 500):
        connection.expect("OK", "SET", f"k{number}", b"v" * 100_000)
    assert parts(connection)[1]["memtables"][b"bytes"] < 20 * MIB
    is_oom(connection.command("HSET", "large", "f", b"x" * (20 * MIB)), "too large")
    connection = world.connect(server)
    connection.expect("OK", "CONFIG", "SET", "maxmemory", "512MiB", "perdure-compaction-rate", "8mib")
    connection.expect([b"perdure-compaction-rate", b"%d" % (8 * MIB)], "CONFIG", "GET", "perdure-compaction-rate")
    assert parts(connection)[1]["memtables"][b"limit"] == before["memtables"][b"limit"]
    wait_until(lambda: parts(connection)[1]["cache"][b"limit"] >= before["cache"][b"limit"], "the cache did not grow back")
    connection.expect(1, "HSET", "large", "f", b"x" * (20 * MIB))
    connection.expect("OK", "CONFIG", "SET", "maxmemory", "auto", "perdure-compaction-rate", "0")
    for number in range(0, 500, 7):
        connection.expect(b"v" * 100_000, "GET", f"k{number}")
    server.kill()
    server.start()
    world.connect(server).expect(501, "DBSIZE")


def test_budget_changes_with_a_hangup(world):
    path = world.path("memory.toml")
    with open(path, "w") as file:
        file.write('[memory]\nbudget = "256MiB"\n[compaction]\nrate = "1MiB"\n')
    server = world.new_server("hangup", ["--config", path])
    server.start()
    connection = world.connect(server)
    assert parts(connection)[0] == 256 * MIB
    with open(path, "w") as file:
        file.write('[memory]\nbudget = "128MiB"\n[compaction]\nrate = "2MiB"\n')
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: parts(connection)[0] == 128 * MIB, "the budget did not change")
    connection.expect([b"perdure-compaction-rate", b"%d" % (2 * MIB)], "CONFIG", "GET", "perdure-compaction-rate")
    assert "memory.budget is 128MiB now" in server.printed() and "compaction.rate is 2MiB now" in server.printed(), server.printed()


def test_request_that_never_fits(world):
    """It is answered before it has come, dropped as it comes, and what follows it is served."""
    server = small(world)
    connection = world.connect(server)
    before = server.status_kib("VmRSS")
    connection.send_raw(encode("SET", "small", "1") + encode("HSET", "large", "f", b"x" * (20 * MIB)) + encode("GET", "small") + encode("EXISTS", "large"))
    assert connection.read() == "OK"
    is_oom(connection.read(), "too large")
    assert connection.read() == b"1" and connection.read() == 0
    assert server.status_kib("VmRSS") - before < 8 * 1024 * world.memory_slack
    assert info(server)["perdure_requests_refused_for_memory"] == "1"
    words = [word for number in range(100) for word in (f"k{number}", b"v" * 100_000)]
    is_oom(connection.command("MSET", *words), "too large")
    connection.expect(b"1", "GET", "small")


def test_refused_request_ends_its_transaction(world):
    connection = world.connect(small(world))
    connection.expect("OK", "PD.IDEMPOTENCY", "once")
    is_oom(connection.command("HSET", "h", "f", b"x" * (10 * MIB)))
    connection.expect("OK", "SET", "k", "not under that key")
    connection.expect("OK", "PD.IDEMPOTENCY", "once")
    connection.expect("OK", "SET", "k", "but now")
    connection.expect(b"but now", "GET", "k")
    connection.expect("OK", "MULTI")
    connection.expect("QUEUED", "SET", "k", "never")
    is_oom(connection.command("SET", "k", b"x" * (10 * MIB)))
    assert "EXECABORT" in str(connection.command("EXEC"))
    connection.expect(b"but now", "GET", "k")


def test_large_requests_take_turns(world):
    """Together they are more than there is: each waits, and none is refused."""
    server = small(world)
    before = server.status_kib("VmRSS")
    results = []

    def write(number):
        with RespConnection(server.port, timeout=60) as connection:
            for _ in range(3):
                results.append(connection.command("HMSET", f"k{number}", "f", bytes([number]) * MIB))
                reply = connection.command("HGET", f"k{number}", "f")
                results.append(MIB if reply == bytes([number]) * MIB else reply)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count("OK") == 60 and results.count(MIB) == 60, [str(result)[:100] for result in results]
    data = 20 * 1024  # KiB that are stored, and as much in the log's memory
    assert server.status_kib("VmRSS") - before < (3 * data + 16 * 1024) * world.memory_slack


def test_promises_that_are_not_kept(world):
    """Who has announced a large request and does not send it keeps others waiting for a moment only."""
    server = small(world)
    liars = [world.connect(server) for _ in range(10)]
    for liar in liars:
        liar.send_raw(b"*4\r\n$4\r\nHSET\r\n$1\r\nk\r\n$1\r\nf\r\n$3000000\r\nabc" + b"x" * 10_000)
    connection = world.connect(server, timeout=60)
    connection.expect("PONG", "PING")
    connection.expect("OK", "SET", "small", "x" * 1000)
    assert not select.select([liar.socket for liar in liars], [], [], 0)[0], "small requests wait until the others are refused"
    connection.expect(1, "HSET", "honest", "f", "x" * 3_000_000)
    refused = [liar for liar in liars if liar.read_some(0.1)[0].startswith(b"-OOM ")]
    assert refused, "nobody was refused"
    # The connection of a refused request goes on where that ends.
    refused[0].socket.settimeout(30)
    refused[0].send_raw(b"x" * 2_989_997 + b"\r\n" + encode("GET", "small"))
    assert refused[0].read() == b"x" * 1000


def test_replies_that_nobody_takes(world):
    server = small(world)
    other = world.connect(server)
    other.expect("OK", "SET", "big", "x" * 100_000)
    before = server.status_kib("VmRSS")
    slow = [world.connect(server) for _ in range(20)]
    for connection in slow:
        connection.socket.settimeout(0.05)
        try:
            connection.socket.sendall(encode("GET", "big") * 2000)
        except (TimeoutError, socket.timeout):
            pass
    time.sleep(0.5)
    grown = server.status_kib("VmRSS") - before
    assert grown < 12 * 1024 * world.memory_slack, f"{grown} KiB"
    other.expect("PONG", "PING")
    other.expect(b"x" * 100_000, "GET", "big")
    # Nobody has waited for memory, so nobody was closed: whoever begins to read gets all of it.
    slow[0].socket.settimeout(30)
    for _ in range(100):
        assert slow[0].read() == b"x" * 100_000


def test_who_takes_nothing_is_closed(world):
    """When others wait for the memory that its replies take, and with a reason."""
    server = small(world)
    other = world.connect(server, timeout=60)
    other.expect("OK", "HMSET", "big", "f", "x" * 2_500_000)
    slow = [world.connect(server) for _ in range(4)]
    for connection in slow:
        connection.send_raw(encode("HGET", "big", "f") * 4)
        time.sleep(0.1)
    for _ in range(5):
        other.expect("OK", "HMSET", "large", "f", "y" * 3_000_000)
    assert int(info_of(server)["perdure_clients_closed_for_memory"]) > 0
    assert "was closed: it has not taken its replies" in server.printed(), server.printed()


def test_reply_that_does_not_fit(world):
    connection = world.connect(small(world), timeout=60)
    for number in range(5):
        connection.expect(1, "HSET", "h", f"f{number}", "x" * 2_000_000)
    reply = connection.command("HVALS", "h")
    assert isinstance(reply, RespError), str(reply)[:100]
    assert len(connection.command("HGET", "h", "f0")) == 2_000_000
    connection.expect("OK", "SET", "k", "1")


def test_transaction_that_does_not_fit(world):
    connection = world.connect(small(world), timeout=60)
    connection.expect("OK", "MULTI")
    replies = [connection.command("SET", f"k{number}", "x" * 200_000) for number in range(40)]
    assert replies[0] == "QUEUED"
    refused = [reply for reply in replies if reply != "QUEUED"]
    is_oom(refused[0], "queue less")
    assert "EXECABORT" in str(connection.command("EXEC"))
    connection.expect(0, "DBSIZE")
    connection.expect("OK", "SET", "k", "x" * 1_000_000)


def test_few_words_that_make_many_bytes(world):
    """What commands make of little is bounded like what is sent: by an error in words, while the server takes no more than its budget."""
    server = small(world)
    connection = world.connect(server)
    connection.socket.settimeout(120)
    before = int(info(server)["used_memory_rss"])
    for words in (("SETRANGE", "k", str(100 * MIB), "x"), ("SETBIT", "k", str(800 * MIB), "1"),
                  ("BITFIELD", "k", "SET", "u8", str(800 * MIB), "1")):
        is_oom(connection.command(*words), "--memory-budget")
        connection.expect(0, "EXISTS", "k")
    connection.expect("OK", "SET", "a", "x" * 4000)
    connection.expect("OK", "SET", "b", "y" * 4000)
    is_oom(connection.command("LCS", "a", "b"), "LCS of strings of 4000 and 4000 bytes")
    # Each is small; all of them together, in one transaction, are not.
    for number in range(40):
        connection.expect(1, "HSET", "h", f"f{number}", b"x" * 500_000)
    is_oom(connection.command("COPY", "h", "i"), "what this transaction writes")
    is_oom(connection.command("RENAME", "h", "i"), "what this transaction writes")
    connection.expect(40, "HLEN", "h")
    for request in (lambda number: encode("SETRANGE", f"s{number}", "200000", "x"), lambda number: encode("COPY", "a", f"c{number}")):
        connection.expect("OK", "MULTI")
        connection.send_raw(b"".join(request(number) for number in range(5000)))
        for _ in range(5000):
            assert connection.read() == "QUEUED"
        is_oom(connection.command("EXEC"), "what this transaction writes")
        connection.expect(0, "EXISTS", "s0", "c0")
    after = int(info(server)["used_memory_rss"])
    assert after < before + 64 * MIB * world.memory_slack, (before, after)
    connection.expect("OK", "SET", "small", "1")
    connection.expect(b"1", "GET", "small")


def test_more_clients_than_fit(world):
    server = small(world)
    clients, refused = [], None
    try:
        while refused is None and len(clients) < 6000:
            clients.append(RespConnection(server.port))
            clients[-1].send("PING")
            reply = clients[-1].read()
            refused = reply if reply != "PONG" else None
        is_oom(refused, "another client")
        assert len(clients) > 1000, len(clients)
        clients[0].expect("OK", "SET", "k", "v")
        clients[-2].expect(b"v", "GET", "k")
        _, stdout, _ = world.perdure("memory", "--data", server.directory)
        assert "connections" in stdout, stdout
    finally:
        for client in clients:
            client.close()
    wait_until(lambda: "a client was refused" in server.printed(), "nothing is said of who was refused")
    with RespConnection(server.port) as connection:
        connection.expect("PONG", "PING")


def test_idle_clients_cost_little(world):
    """Also those that have been busy."""
    before = world.server.status_kib("VmRSS")
    clients = [world.connect() for _ in range(2000)]
    for client in clients:
        client.send_raw(encode("SET", "k", "v" * 10_000) + encode("GET", "k") * 3)
    for client in clients:
        assert [client.read() for _ in range(4)] == ["OK"] + 3 * [b"v" * 10_000]
    most = 8_000 if world.memory_slack == 1 else 200_000  # sanitizers keep what is freed

    def cost():
        clients[0].expect("OK", "MEMORY", "PURGE")  # holes in the heap are no client's, and stay where there is room
        return (world.server.status_kib("VmRSS") - before) * 1024 // len(clients)

    wait_until(lambda: cost() < most, f"{most} B for each idle client, or more")


def test_operator_is_not_held_up(world):
    """What looks at a server works when its clients have taken all that there is."""
    server = small(world)
    other = world.connect(server)
    other.expect(1, "HSET", "big", "f", "x" * 1_000_000)
    slow = [world.connect(server) for _ in range(20)]
    for connection in slow:
        connection.send_raw(encode("HGET", "big", "f") * 20)
    wait_until(lambda: int(info_of(server)["perdure_memory_connections"]) > 4 * MIB, "the clients take nothing")
    _, stdout, _ = world.perdure("store", "stats", "--data", server.directory)
    assert "keys" in stdout


def info_of(server):
    with RespConnection(f"{server.directory}/admin.sock") as connection:
        text = connection.command("INFO", "memory").decode()
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)
