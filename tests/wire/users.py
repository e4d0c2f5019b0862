"""Users: logging in, roles over every command there is, floods of wrong passwords; `perdure user`."""

import json
import os
import socket
import subprocess
import threading
import time

from life import USAGE, fails
from processes import HOST, ServerError, free_port
from resp_connection import Closed, RespConnection, RespError, encode

# What a read-only user may run of the commands that are not flagged as reading, writing or administering. A new command has to be
# put here on purpose, or flagged.
HARMLESS = set("""
    acl acl|cat acl|genpass acl|help acl|whoami auth client client|caching client|getname client|getredir client|help client|id
    client|info client|no-touch client|reply client|setinfo client|setname client|tracking client|trackinginfo cluster command
    command|count command|docs command|getkeys command|getkeysandflags command|help command|info command|list config config|help
    debug debug|help discard echo exec hello info latency latency|help memory memory|doctor memory|help memory|malloc-stats
    memory|purge memory|stats module module|help multi object object|help pd.actor pd.actor|blame pd.actor|diff pd.actor|export pd.actor|get pd.actor|help pd.actor|history pd.actor|replay
    pd.actor|hot pd.actor|info pd.actor|jobs pd.actor|list pd.actor|moment pd.actor|snapshots pd.actor|verify
    pd.actor|owner pd.epoch pd.tenant pd.tenant|help pd.tenant|info
    pd.archive pd.archive|help pd.backup pd.backup|help pd.bookmark pd.durability pd.help
    pd.idempotency pd.log pd.log|help pd.readlevel pd.receipt pd.request pd.statehash pd.store pd.store|help pd.use ping psubscribe publish
    pubsub pubsub|channels pubsub|help pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub punsubscribe quit reset
    role select slowlog slowlog|help spublish ssubscribe subscribe sunsubscribe time unsubscribe unwatch wait waitaof watch
    """.split())

# Whatever their flags say, these are refused: the flags would have to be wrong.
WRITES = "set del incr append hset hdel expire persist rename copy flushall flushdb setbit bitop getdel getex msetnx".split()
ADMINS = "shutdown config|set config|get acl|setuser acl|list client|kill client|list slowlog|reset pd.store|compact debug|sleep".split()


def add(world, server, name, password, *options, check=True):
    return world.run(world.binary, "user", "add", name, *options, "--data", server.directory,
                     input=(password + "\n").encode(), check=check)


def guarded(world, name, *options):
    """A server with the users ann (admin), rita (read-write) and rob (read-only)."""
    server = world.new_server(name, options)
    add(world, server, "ann", "secret", "--role", "admin")
    add(world, server, "rita", "rita's", "--role", "read-write")
    add(world, server, "rob", "rob's", "--role", "read-only")
    server.start()
    return server


def login(world, server, name, password):
    connection = world.connect(server)
    connection.expect("OK", "AUTH", name, password)
    return connection


def error(connection, *words):
    reply = connection.command(*words)
    assert isinstance(reply, RespError), (words, reply)
    return str(reply)


def figure(connection, name):
    for line in connection.command("INFO", "perdure").decode().splitlines():
        if line.startswith(name + ":"):
            return int(line.split(":")[1])
    raise AssertionError(f"INFO has no {name}")


# ---- who logs in again ----


def test_logging_in_again_as_oneself(world):
    """A client that renews its login is where it was, with all that it had asked for; one that becomes another user begins anew."""
    server = world.new_server("again")
    add(world, server, "ann", "secret", "--role", "admin")
    add(world, server, "bob", "other", "--role", "read-write")
    server.start()
    connection = world.connect(server)
    connection.expect("OK", "AUTH", "ann", "secret")
    connection.expect("OK", "PD.USE", "mine")
    connection.expect("OK", "PD.DURABILITY", "standard")
    connection.expect("OK", "WATCH", "watched")
    connection.expect("OK", "AUTH", "ann", "secret")
    connection.expect("OK", "SET", "k", "here")
    connection.expect(b"here", "GET", "{mine}k")
    connection.expect(b"standard", "PD.DURABILITY")
    connection.expect("OK", "SET", "watched", "by itself")
    connection.expect("OK", "MULTI")
    connection.expect("QUEUED", "SET", "k", "not this")
    connection.expect(None, "EXEC")
    assert error(connection, "AUTH", "ann", "wrong").startswith("WRONGPASS")
    connection.expect(b"here", "GET", "k")
    connection.expect("OK", "AUTH", "bob", "other")
    connection.expect(None, "GET", "k")
    connection.expect(b"default", "PD.DURABILITY")


# ---- no users ----


def test_without_users_everybody_on_this_machine_gets_in(world):
    connection = world.connect()
    connection.expect("OK", "SET", "a", "b")
    connection.expect(b"default", "ACL", "WHOAMI")
    connection.expect([], "ACL", "LIST")
    assert "without any password configured" in error(connection, "AUTH", "x")
    assert error(connection, "AUTH", "nobody", "x").startswith("WRONGPASS")


def test_first_user_has_to_be_an_admin(world):
    server = world.new_server("first")
    server.start()
    connection = world.connect(server)
    assert "first user has to be an admin" in error(connection, "ACL", "SETUSER", "rob", "on", ">x")
    status, _, stderr = add(world, server, "rob", "x", "--role", "read-only", check=False)
    assert status == USAGE and "first user has to be an admin" in stderr, stderr
    connection.expect([], "ACL", "USERS")
    connection.expect("OK", "ACL", "SETUSER", "ann", "on", "admin", ">secret")
    # From now on everybody has to say who they are, this connection too.
    assert error(connection, "GET", "a").startswith("NOAUTH")
    connection.expect("OK", "AUTH", "ann", "secret")
    connection.expect(None, "GET", "a")


def test_other_addresses_need_a_user(world):
    directory = world.path("elsewhere")
    fails(world, "server", "--data", directory, "--resp", free_port(), "--http", "0", "--bind", "0.0.0.0", status_wanted=USAGE,
          texts=("there is no user", "perdure user add NAME --role admin", "--allow-open"))
    server = world.new_server("open", ["--bind", "0.0.0.0", "--allow-open"])
    server.is_ready = lambda printed: "ready: RESP on 0.0.0.0" in printed
    server.start()
    assert "may read and change everything" in server.printed(), server.printed()
    world.connect(server).expect("OK", "SET", "a", "b")
    server.stop()
    server = world.new_server("elsewhere", ["--bind", "0.0.0.0"])
    server.is_ready = lambda printed: "ready: RESP on 0.0.0.0" in printed
    add(world, server, "ann", "secret", "--role", "admin")
    server.start()
    connection = world.connect(server)
    assert error(connection, "PING").startswith("NOAUTH")
    connection.expect("OK", "AUTH", "ann", "secret")
    assert "no user" in error(connection, "ACL", "DELUSER", "ann")
    connection.expect([b"ann"], "ACL", "USERS")


# ---- logging in ----


def test_logging_in(world):
    server = guarded(world, "login")
    connection = world.connect(server)
    for words in (("GET", "a"), ("PING",), ("INFO",), ("CONFIG", "GET", "*"), ("SHUTDOWN",), ("SUBSCRIBE", "c"), ("MONITOR",),
                  ("ACL", "WHOAMI"), ("COMMAND", "COUNT"), ("HELLO",), ("HELLO", "3")):
        assert error(connection, *words).startswith("NOAUTH"), words
    assert error(connection, "AUTH", "ann", "wrong").startswith("WRONGPASS")
    assert error(connection, "AUTH", "nobody", "secret").startswith("WRONGPASS")
    assert error(connection, "AUTH", "secret").startswith("WRONGPASS")
    connection.expect("OK", "AUTH", "ann", "secret")
    connection.expect(b"ann", "ACL", "WHOAMI")
    assert b" user=ann " in connection.command("CLIENT", "INFO")
    # A failed login changes nothing; RESET forgets who it was.
    assert error(connection, "AUTH", "rob", "wrong").startswith("WRONGPASS")
    connection.expect(b"ann", "ACL", "WHOAMI")
    connection.expect("RESET", "RESET")
    assert error(connection, "GET", "a").startswith("NOAUTH")
    other = world.connect(server)
    assert error(other, "HELLO", "3", "AUTH", "rob", "wrong").startswith("WRONGPASS")
    reply = other.command("HELLO", "3", "AUTH", "rob", "rob's", "SETNAME", "reader")
    assert reply[b"proto"] == 3, reply
    other.expect(b"rob", "ACL", "WHOAMI")
    other.expect(b"reader", "CLIENT", "GETNAME")
    # Pipelined behind a login, requests wait for it.
    third = world.connect(server)
    third.send_raw(b"*3\r\n$4\r\nAUTH\r\n$4\r\nrita\r\n$6\r\nrita's\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n")
    assert [third.read() for _ in range(3)] == ["OK", "OK", b"v"]


def test_default_user(world):
    server = world.new_server("default-user")
    add(world, server, "default", "secret", "--role", "admin")
    server.start()
    connection = world.connect(server)
    assert error(connection, "AUTH", "wrong").startswith("WRONGPASS")
    connection.expect("OK", "AUTH", "secret")
    connection.expect(b"default", "ACL", "WHOAMI")


def test_users_are_state(world):
    """They are in the log and come back with it, also after a kill and from a checkpoint; a password is nowhere."""
    server = guarded(world, "state")
    connection = login(world, server, "ann", "secret")
    connection.expect("OK", "ACL", "SETUSER", "zoe", "on", ">fromthewire", "read-write", "tenant=shop")
    connection.expect("OK", "SET", "k", "v")
    server.kill()
    server.start()
    login(world, server, "zoe", "fromthewire").expect(b"zoe", "ACL", "WHOAMI")
    world.perdure("store", "checkpoint", "--data", server.directory)
    assert server.stop() == 0
    server.start()
    connection = login(world, server, "ann", "secret")
    assert connection.command("ACL", "LIST")[-1] == b"user zoe on password read-write tenant=shop"
    server.stop()
    for folder, _, names in os.walk(server.directory):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            assert b"fromthewire" not in data, f"the password is in {name}"


def test_passwords_are_not_shown(world):
    server = guarded(world, "shown")
    connection = login(world, server, "ann", "secret")
    connection.expect("OK", "CONFIG", "SET", "slowlog-log-slower-than", "0")
    connection.expect("OK", "ACL", "SETUSER", "zoe", "on", ">hidden1")
    login(world, server, "zoe", "hidden1")
    world.connect(server).command("HELLO", "3", "AUTH", "zoe", "hidden1")
    assert "hidden1" not in error(connection, "ACL", "SETUSER", "zoe", "hidden1")
    assert "hidden1" not in str(connection.command("SLOWLOG", "GET", "100"))
    assert "hidden1" not in str(connection.command("ACL", "GETUSER", "zoe"))
    assert "hidden1" not in server.printed()


def test_strangers_are_bounded(world):
    server = guarded(world, "strangers")
    connection = world.connect(server)
    connection.send_raw(b"*2\r\n$3\r\nGET\r\n$500000000\r\n" + b"x" * 20000)
    reply = connection.read()
    assert isinstance(reply, RespError) and str(reply).startswith("NOAUTH"), reply
    login(world, server, "ann", "secret").expect("OK", "SET", "k", "x" * 100_000)


# ---- roles ----


def table_of(connection):
    """Every command and subcommand: name -> flags."""
    table = {}

    def walk(rows):
        for row in rows:
            table[row[0].decode()] = {flag.decode() if isinstance(flag, bytes) else str(flag) for flag in row[2]}, row[1]
            if len(row) > 9:
                walk(row[9])

    walk(connection.command("COMMAND"))
    return table


def attempt(connection, name, arity):
    words = name.upper().split("|")
    return connection.command(*words, *["1"] * (abs(arity) - len(words)))


def test_roles_over_the_whole_table(world):
    server = guarded(world, "roles")
    admin = login(world, server, "ann", "secret")
    table = table_of(admin)
    for name in WRITES + ADMINS:
        assert table[name][0] & {"write", "admin"}, f"{name} is flagged {table[name][0]}"
    for name, (flags, arity) in sorted(table.items()):
        kinds = flags & {"write", "readonly", "admin"}
        assert kinds or name in HARMLESS, \
            f"{name} says neither that it reads, writes nor administers: flag it, or put it into HARMLESS of {__file__}"
        assert not {"write", "readonly"} <= flags, name
        if any(other.startswith(name + "|") for other in table):
            continue  # a container: its subcommands count
        if name not in ("auth", "hello", "quit", "reset"):
            with RespConnection(server.port) as connection:
                reply = attempt(connection, name, arity)
                assert isinstance(reply, RespError) and str(reply).startswith("NOAUTH"), (name, reply)
        for user, password, refused in (("rob", "rob's", {"write", "admin"}), ("rita", "rita's", {"admin"})):
            if not flags & refused:
                continue
            with RespConnection(server.port) as connection:
                connection.expect("OK", "AUTH", user, password)
                reply = attempt(connection, name, arity)
                assert isinstance(reply, RespError) and str(reply).startswith("NOPERM"), (user, name, reply)
    # And what is allowed is run.
    reader = login(world, server, "rob", "rob's")
    reader.expect(None, "GET", "a")
    reader.expect("PONG", "PING")
    assert isinstance(reader.command("INFO"), bytes)
    writer = login(world, server, "rita", "rita's")
    writer.expect("OK", "SET", "a", "b")
    reader.expect(b"b", "GET", "a")
    assert server.is_running()


def test_roles_inside_multi(world):
    server = guarded(world, "multi")
    admin, reader = login(world, server, "ann", "secret"), login(world, server, "rob", "rob's")
    reader.expect("OK", "MULTI")
    reader.expect("QUEUED", "GET", "a")
    assert error(reader, "SET", "a", "b").startswith("NOPERM")
    assert error(reader, "EXEC").startswith("EXECABORT")
    admin.expect(None, "GET", "a")


def test_tenants_are_apart(world):
    server = guarded(world, "tenants")
    admin = login(world, server, "ann", "secret")
    admin.expect("OK", "SET", "k", "default's")
    for tenant in ("shop", "bank"):
        admin.expect("OK", "ACL", "SETUSER", tenant, "on", f">{tenant}", "read-write", f"tenant={tenant}")
    shop, bank = login(world, server, "shop", "shop"), login(world, server, "bank", "bank")
    for user, own in ((shop, b"shop's"), (bank, b"bank's")):
        user.expect(None, "GET", "k")
        user.expect("OK", "SET", "k", own)
    shop.expect(b"shop's", "GET", "k")
    assert error(shop, "PD.USE", "bank/main").startswith("NOPERM")
    assert error(shop, "PD.USE", "default/main").startswith("NOPERM")
    assert "bank" not in error(shop, "PD.STATEHASH", "bank/main") or "no actor" in error(shop, "PD.STATEHASH", "bank/main")
    shop.expect("OK", "PD.USE", "basket")
    shop.expect("OK", "SET", "k", "basket's")
    shop.expect("OK", "PD.USE")
    shop.expect(b"shop's", "GET", "k")
    shop.expect(b"basket's", "GET", "{basket}k")
    shop.expect("OK", "FLUSHALL")
    bank.expect(b"bank's", "GET", "k")
    admin.expect(b"default's", "GET", "k")
    # Messages stay in the tenant, too.
    shop.command("SUBSCRIBE", "news")
    bank.expect(0, "PUBLISH", "news", "x")
    # An admin goes everywhere.
    admin.expect("OK", "PD.USE", "bank/main")
    admin.expect(b"bank's", "GET", "k")


def test_changes_close_connections(world):
    server = guarded(world, "changes")
    admin = login(world, server, "ann", "secret")
    for rule in ("read-write", "off", ">other"):
        reader = login(world, server, "rob", "rob's")
        admin.expect("OK", "ACL", "SETUSER", "rob", rule)
        try:
            assert isinstance(reader.command("GET", "a"), RespError)
        except (Closed, OSError):
            pass
        admin.expect("OK", "ACL", "SETUSER", "rob", "on", "read-only", ">rob's")
    reader = login(world, server, "rob", "rob's")
    admin.expect(1, "ACL", "DELUSER", "rob", "nobody")
    try:
        assert isinstance(reader.command("GET", "a"), RespError)
    except (Closed, OSError):
        pass
    connection = world.connect(server)
    assert error(connection, "AUTH", "rob", "rob's").startswith("WRONGPASS")
    assert "no admin who could log in" in error(admin, "ACL", "SETUSER", "ann", "off")
    assert "no admin who could log in" in error(admin, "ACL", "DELUSER", "ann")
    assert "no admin who could log in" in error(admin, "ACL", "SETUSER", "ann", "read-only")
    admin.expect(b"ann", "ACL", "WHOAMI")


def test_first_user_ends_what_strangers_listen_to(world):
    server = world.new_server("listening")
    server.start()
    monitor, subscriber, founder = world.connect(server), world.connect(server), world.connect(server)
    monitor.expect("OK", "MONITOR")
    subscriber.command("SUBSCRIBE", "news")
    founder.expect("OK", "ACL", "SETUSER", "ann", "on", "admin", ">secret")
    admin = login(world, server, "ann", "secret")
    admin.expect("OK", "SET", "private", "matter")
    admin.expect(0, "PUBLISH", "news", "private")
    for listener in (monitor, subscriber):
        try:
            while True:
                assert b"private" not in str(listener.read()).encode()
        except (Closed, OSError):
            pass


def test_nothing_is_left_of_who_was_there_before(world):
    server = guarded(world, "successor")
    connection = login(world, server, "rita", "rita's")
    connection.expect("OK", "PD.IDEMPOTENCY", "once")
    connection.expect(1, "INCR", "n")
    assert connection.command("PD.RECEIPT") is not None
    connection.expect("OK", "PD.IDEMPOTENCY", "once")
    connection.expect("OK", "AUTH", "ann", "secret")
    assert connection.command("PD.RECEIPT") is None
    connection.expect(2, "INCR", "n")


def test_password_that_was_made_for_nothing(world):
    """Two strangers make the first user at once. Whoever comes second is refused, and nobody is let in by that password."""
    server = world.new_server("founders")
    server.start()
    founders = {name: world.connect(server) for name in ("ann", "ben")}
    for name, connection in founders.items():
        connection.send("ACL", "SETUSER", name, "on", "admin", f">{name}'s")
    replies = {name: connection.read() for name, connection in founders.items()}
    first = [name for name, reply in replies.items() if reply == "OK"]
    assert len(first) == 1, replies
    second = next(connection for name, connection in founders.items() if name not in first)
    assert error(second, "AUTH", first[0], "wrong").startswith("WRONGPASS")
    assert error(second, "GET", "a").startswith("NOAUTH")


def test_password_that_changes_while_a_login_waits(world):
    server = guarded(world, "waiting")
    admin = login(world, server, "ann", "secret")
    guessers = [world.connect(server) for _ in range(9)]
    for guesser in guessers:  # so many that the next one from this address has to wait for seconds
        guesser.send("AUTH", "rob", "wrong")
    late = world.connect(server)
    late.send("AUTH", "rob", "rob's")
    while figure(admin, "logins_waiting") < 2:
        time.sleep(0.01)
    admin.expect("OK", "ACL", "SETUSER", "rob", ">another")
    assert str(late.read()).startswith("WRONGPASS")
    assert error(late, "GET", "a").startswith("NOAUTH")


def test_rules_that_are_none(world):
    connection = world.connect()
    for words, text in ((("a b", "on"), "user's name"), (("x" * 65, "on"), "user's name"), (("x", "+@all"), "there are the rules"),
                        (("x", ">"), "a password has"), (("x", ">" + "y" * 1025), "a password has"),
                        (("x", "tenant=a/b"), "tenant's name"), (("x", "tenant="), "tenant's name")):
        assert text in error(connection, "ACL", "SETUSER", *words), words
    assert len(connection.command("ACL", "GENPASS")) == 64
    assert b"write" in connection.command("ACL", "CAT")
    assert b"set" in connection.command("ACL", "CAT", "write")
    assert "Unknown category" in error(connection, "ACL", "CAT", "nonsense")


# ---- floods ----


def test_flood_of_wrong_passwords(world):
    """Many clients guess at once. Whoever is logged in is served meanwhile, and the server says what goes on."""
    server = guarded(world, "flood")
    bystander = login(world, server, "rita", "rita's")
    accepted = figure(bystander, "logins_accepted")
    stop = threading.Event()
    refused = [0] * 30

    def guess(index):
        while not stop.is_set():
            try:
                with RespConnection(server.port, timeout=60) as connection:
                    while not stop.is_set():
                        reply = connection.command("AUTH", "ann", f"guess {index}")
                        assert isinstance(reply, RespError), "a guess was right"
                        refused[index] += 1
            except (OSError, Closed):
                pass

    threads = [threading.Thread(target=guess, args=(index,), daemon=True) for index in range(len(refused))]
    for thread in threads:
        thread.start()
    served, until = 0, time.monotonic() + 3
    while time.monotonic() < until:
        bystander.expect("OK", "SET", "k", str(served))
        served += 1
    rate = figure(bystander, "logins_refused")
    waiting = figure(bystander, "logins_waiting")
    delayed = figure(bystander, "logins_delayed")
    stop.set()
    server.kill()
    for thread in threads:
        thread.join(30)
    assert rate <= 20, f"{rate} guesses were tried in 3 s"
    assert waiting >= 5 and delayed >= 5, (waiting, delayed)
    assert accepted >= 1
    # One write after the other through a disk that syncs: far fewer than without the flood would be a stall.
    assert served >= 5, f"only {served} writes in 3 s beside the flood"


def ask_from(server, address, data):
    """A connection from this address of the machine, with these bytes sent."""
    client = socket.create_connection((HOST, server.port), timeout=60, source_address=(address, 0))
    client.sendall(data)
    return client


def test_those_who_leave_do_not_wait(world):
    """Who guesses and hangs up has no place among those who wait; who has only said all it will, gets its answer."""
    server = guarded(world, "leavers")
    bystander = login(world, server, "rita", "rita's")
    for number in range(300):
        ask_from(server, "127.0.0.2", encode("AUTH", "ann", f"guess {number}")).close()
    for _ in range(1200):
        waiting = figure(bystander, "logins_waiting")
        if waiting <= 8:
            break
        time.sleep(0.05)
    assert waiting <= 8, f"{waiting} wait, and nobody is there"
    with ask_from(server, "127.0.0.3", encode("AUTH", "rob", "rob's") + encode("ACL", "WHOAMI")) as client:
        client.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: client.recv(4096), b"")) == b"+OK\r\n$3\r\nrob\r\n"


def test_many_at_one_address(world):
    """Hundreds behind one address log in at once: somebody from another does not wait for them, and all of them get in."""
    server = guarded(world, "many")
    bystander = login(world, server, "rita", "rita's")
    crowd = [ask_from(server, f"127.0.0.{2 + number % 2}", encode("AUTH", "rob", "rob's")) for number in range(250)]
    while figure(bystander, "logins_waiting") < 100:
        time.sleep(0.01)
    with ask_from(server, "127.0.0.9", encode("AUTH", "rita", "rita's")) as client:
        assert client.recv(64) == b"+OK\r\n"
    assert figure(bystander, "logins_waiting") > 0, "it has waited for all of them"
    for client in crowd:
        assert client.recv(64) == b"+OK\r\n"
        client.close()


# ---- the command ----


def test_command_without_a_server(world):
    server = world.new_server("alone")
    add(world, server, "ann", "secret", "--role", "admin")
    assert os.path.isdir(server.directory)
    status, _, stderr = add(world, server, "ann", "again", "--role", "admin", check=False)
    assert status == USAGE and "there is a user ann already" in stderr, stderr
    add(world, server, "rob", "x", "--role", "read-only", "--tenant", "shop")
    _, stdout, _ = world.perdure("user", "ls", "--data", server.directory, "-o", "json")
    users = json.loads(stdout)
    assert [(user["name"], user["role"], user["tenant"]) for user in users] == \
        [("ann", "admin", "default"), ("rob", "read-only", "shop")], users
    world.run(world.binary, "user", "password", "rob", "--data", server.directory, input=b"new\n")
    world.perdure("user", "change", "rob", "--role", "read-write", "--data", server.directory)
    server.start()
    login(world, server, "rob", "new").expect("OK", "SET", "a", "b")
    server.stop()
    world.perdure("user", "drop", "rob", "--data", server.directory)
    _, stdout, _ = world.perdure("user", "ls", "--data", server.directory)
    assert "rob" not in stdout and "ann" in stdout, stdout


def test_command_with_a_server(world):
    server = guarded(world, "running")
    reader = login(world, server, "rob", "rob's")
    reader.expect(None, "GET", "a")
    world.perdure("user", "disable", "rob", "--data", server.directory)
    assert error(world.connect(server), "AUTH", "rob", "rob's").startswith("WRONGPASS")
    world.perdure("user", "enable", "rob", "--data", server.directory)
    login(world, server, "rob", "rob's")
    status, _, stderr = world.perdure("user", "remove", "ann", "--data", server.directory, check=False)
    assert status == USAGE and "no admin who could log in" in stderr, stderr
    status, _, stderr = world.perdure("user", "remove", "nobody", "--data", server.directory, check=False)
    assert status == USAGE and "there is no user nobody" in stderr, stderr
    _, stdout, _ = world.perdure("user", "list", "--data", server.directory)
    assert "rita" in stdout and "read-write" in stdout, stdout


def test_password_file(world):
    server = world.new_server("file")
    path = world.path("password.txt")
    with open(path, "w") as file:
        file.write("from a file\n")
    os.chmod(path, 0o644)
    fails(world, "user", "add", "ann", "--role", "admin", "--password-file", path, "--data", server.directory,
          status_wanted=USAGE, texts=("everybody on this machine can read",))
    os.chmod(path, 0o600)
    with open(path, "wb") as file:
        file.write(b"a\0 secret of bytes\n")
    fails(world, "user", "add", "ann", "--role", "admin", "--password-file", path, "--data", server.directory,
          status_wanted=USAGE, texts=("NUL byte",))
    status, _, stderr = world.run(world.binary, "user", "add", "ann", "--role", "admin", "--data", server.directory, input=b"a\0b\n",
                                  check=False)
    assert status == USAGE and b"NUL byte" in stderr.encode(), stderr
    with open(path, "w") as file:
        file.write("from a file\r\nand more\n")
    world.perdure("user", "add", "ann", "--role", "admin", "--password-file", path, "--data", server.directory)
    server.start()
    login(world, server, "ann", "from a file")


def test_command_line_that_is_wrong(world):
    for words, text in ((("user", "add"), "one NAME"), (("user", "add", "a b", "--role", "admin"), "user's name"),
                        (("user", "add", "ann", "--role", "boss"), "read-only, read-write or admin"),
                        (("user", "add", "ann", "--tenant", "a/b"), "--tenant has"), (("user", "ad"), "did you mean")):
        fails(world, *words, "--data", world.path("never"), status_wanted=USAGE, texts=(text,)) if words[-1] != "ad" else \
            fails(world, *words, status_wanted=USAGE, texts=(text,))
    assert not os.path.exists(world.path("never"))
