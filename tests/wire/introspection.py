"""What the server tells of itself and lets an operator see: COMMAND, CLIENT, MONITOR, SLOWLOG, MEMORY, DEBUG, WAITAOF; beside
a real redis-server where it has the same."""

import re
import time

from resp_connection import Closed, RespError

# Commands whose arguments are fewer here, or whose category Redis gives by hand.
OTHER_ARGUMENTS = {"acl|genpass", "client|tracking", "shutdown"}
OTHER_ARITY = {"acl|genpass"}
OTHER_CATEGORIES = {"wait", "role", "debug", "object"}


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


def documents(connection):
    """Name -> COMMAND DOCS, subcommands as well."""
    found = {}
    for name, fields in pairs(connection.command("COMMAND", "DOCS")).items():
        found[name.decode()] = pairs(fields)
        for sub, more in pairs(found[name.decode()].get(b"subcommands", [])).items():
            found[sub.decode()] = pairs(more)
    return found


def descriptions(connection):
    """Name -> COMMAND INFO, subcommands as well."""
    found = {}
    for info in connection.command("COMMAND"):
        found[info[0].decode()] = info
        for sub in info[9]:
            found[sub[0].decode()] = sub
    return found


def test_arguments_are_those_of_redis(world):
    mine, real = documents(world.connect()), documents(world.connect(world.real_redis()))
    compared = 0
    for name in sorted(set(mine) & set(real) - OTHER_ARGUMENTS):
        assert mine[name].get(b"arguments") == real[name].get(b"arguments"), \
            f"{name}: {mine[name].get(b'arguments')} instead of {real[name].get(b'arguments')}"
        assert mine[name][b"group"] == real[name][b"group"], name
        assert b"subcommands" in mine[name] or mine[name][b"since"] == real[name][b"since"], name
        compared += b"arguments" in mine[name]
    assert compared > 90, compared
    # Every command that takes any says which.
    infos = descriptions(world.connect())
    silent = [name for name, info in infos.items() if not name.startswith("command|getkeys")
              and b"arguments" not in mine[name] and not info[9] and info[1] not in (1, 2 if "|" in name else 1, -1, -2)]
    assert not silent, silent


def without_notes(specs):
    return [[item for key, value in zip(spec[::2], spec[1::2]) if key != b"notes" for item in (key, value)] for spec in specs]


def test_keys_arity_and_categories_are_those_of_redis(world):
    mine, real = descriptions(world.connect()), descriptions(world.connect(world.real_redis()))
    for name in sorted(set(mine) & set(real)):
        ours, theirs = mine[name], real[name]
        assert name in OTHER_ARITY or ours[1] == theirs[1], f"{name}: arity {ours[1]} instead of {theirs[1]}"
        assert ours[3:6] == theirs[3:6], f"{name}: keys {ours[3:6]} instead of {theirs[3:6]}"
        assert without_notes(ours[8]) == without_notes(theirs[8]), f"{name}: {ours[8]} instead of {theirs[8]}"
        for flag in ("write", "readonly", "denyoom", "admin", "pubsub", "fast"):
            assert name in OTHER_CATEGORIES or (flag in ours[2]) == (flag in theirs[2]), f"{name}: {flag}"
        if name not in OTHER_CATEGORIES and not name.startswith("command"):
            assert set(ours[6]) == set(theirs[6]), f"{name}: {ours[6]} instead of {theirs[6]}"


GETKEYS = ("GET a", "SET a b", "SET a b EX 1 GET", "MSET a 1 b 2", "MGET a b c", "DEL a b", "BITOP AND d a b c", "COPY a b", "RENAME a b",
           "OBJECT ENCODING a", "MEMORY USAGE a", "BITFIELD a GET u8 0", "BITFIELD a SET u8 0 1", "LCS a b", "HSET h f v", "EXISTS a",
           "PING", "GET", "NONSENSE a", "SUBSCRIBE a", "SSUBSCRIBE a", "CONFIG GET a", "WATCH a b", "OBJECT NONSENSE a", "TOUCH a a")


def test_getkeys(world):
    mine, real = world.connect(), world.connect(world.real_redis())
    for line in GETKEYS:
        for sub in ("GETKEYS", "GETKEYSANDFLAGS"):
            replies = [connection.command("COMMAND", sub, *line.split()) for connection in (mine, real)]
            assert replies[0] == replies[1], f"{sub} {line}: {replies[0]} instead of {replies[1]}"


def test_command_list(world):
    connection, real = world.connect(), world.connect(world.real_redis())
    for filters in (("PATTERN", "xa*"), ("PATTERN", "h?et"), ("ACLCAT", "hash"), ("ACLCAT", "bitmap"), ("ACLCAT", "pubsub"),
                    ("ACLCAT", "transaction"), ("MODULE", "none")):
        mine, theirs = (set(server.command("COMMAND", "LIST", "FILTERBY", *filters)) for server in (connection, real))
        theirs = {name for name in theirs if connection.command("COMMAND", "INFO", name) != [None]}
        assert mine == theirs, f"{filters}: {mine ^ theirs}"
    assert connection.command("COMMAND", "COUNT") == len(connection.command("COMMAND", "LIST"))
    assert len(connection.command("COMMAND", "INFO")) == connection.command("COMMAND", "COUNT")
    connection.expect([None], "COMMAND", "INFO", "nonsense")


# What both answer alike: nothing is stored, nothing is changed.
SAME = """
CLIENT GETREDIR|CLIENT TRACKINGINFO|CLIENT TRACKING off|CLIENT TRACKING|CLIENT TRACKING x|CLIENT CACHING yes|CLIENT UNBLOCK 1
CLIENT UNBLOCK 1 TIMEOUT|CLIENT UNBLOCK 1 x|CLIENT UNBLOCK x|CLIENT UNBLOCK 1 ERROR x|CLIENT NO-EVICT on|CLIENT NO-EVICT x|CLIENT SETNAME a|CLIENT GETNAME
CLIENT SETNAME ab|CLIENT REPLY x|CLIENT PAUSE x|CLIENT PAUSE -1|CLIENT PAUSE 1 x|CLIENT UNPAUSE|CLIENT KILL 1|CLIENT KILL ID 0
CLIENT KILL ID x|CLIENT KILL ID 1000000|CLIENT KILL TYPE x|CLIENT KILL TYPE pubsub|CLIENT KILL USER nobody|CLIENT KILL ADDR 1:1 LADDR 2:2|CLIENT KILL ID 1 x
CLIENT LIST TYPE x|CLIENT LIST ID x|CLIENT LIST x|CLIENT NONSENSE|MEMORY USAGE none|MEMORY USAGE none SAMPLES|MEMORY USAGE none SAMPLES -1
MEMORY USAGE none x 1|MEMORY NONSENSE|MEMORY|MEMORY PURGE|MEMORY USAGE|OBJECT FREQ none|OBJECT ENCODING none|OBJECT REFCOUNT none
OBJECT NONSENSE none|WAIT 0 0|WAIT x 0|WAIT 0 x|WAIT 0 -1|SLOWLOG LEN x|SLOWLOG GET -2|SLOWLOG GET x|SLOWLOG NONSENSE|SLOWLOG RESET|CONFIG SET|CONFIG RESETSTAT x
CONFIG SET maxclients|CONFIG SET nonsense 1|CONFIG GET|CONFIG GET nonsense|SELECT 0|SELECT x|SWAPDB|ECHO a|PING a|RESET
LATENCY RESET|LATENCY HISTORY none|LATENCY LATEST|LATENCY NONSENSE|LATENCY GRAPH none|LATENCY RESET a b|LATENCY HISTOGRAM nonsense|COMMAND GETKEYS|COMMAND LIST x
COMMAND LIST FILTERBY x y|COMMAND DOCS nonsense|COMMAND NONSENSE|MODULE LIST|MODULE NONSENSE|CLUSTER INFO|HELLO 4|HELLO x|HELLO 2 x|HELLO 3 SETNAME|DEBUG NONSENSE
MONITOR x|TIME x|ROLE x|LOLWUT VERSION 5|SHUTDOWN x|INFO nonsense|DBSIZE x|RANDOMKEY x|TOUCH none|UNLINK none|TOUCH|UNLINK|QUIT
"""


def test_answers_of_redis(world):
    differences = []
    for protocol in ("2", "3"):
        mine, real = world.connect(), world.connect(world.real_redis())
        for connection in (mine, real):
            connection.command("HELLO", protocol)
        for line in re.split(r"[|\n]", SAME):
            words = line.split()
            if not words or words[0] in ("LOLWUT", "INFO") or words[:2] in (["SWAPDB"], ["DEBUG", "NONSENSE"]):
                continue
            replies = [connection.command(*words) for connection in (mine, real)]
            if replies[0] != replies[1]:
                differences.append(f"RESP{protocol} {line}: {replies[0]!r} instead of {replies[1]!r}")
            for connection in (mine, real):
                if words == ["RESET"]:
                    connection.command("HELLO", protocol)
    assert not differences, "\n".join(differences)


def test_monitor(world):
    watcher, writer = world.connect(), world.connect()
    watcher.expect("OK", "MONITOR")
    address = next(line for line in world.connect().command("CLIENT", "LIST").decode().splitlines() if " flags=O " in line)
    assert "cmd=monitor" in address, address
    writer.command("SET", "k", b"\x00\xff\r\n\"\\\x07")
    writer.command("GET")                           # refused: not shown
    writer.command("CONFIG", "GET", "maxclients")   # an operator's: not shown
    writer.command("AUTH", "secret")
    writer.command("AUTH", "default", "secret")
    writer.command("HELLO", "2", "AUTH", "nobody", "secret", "SETNAME", "me")
    for words in (("MULTI",), ("INCR", "n"), ("PING",), ("EXEC",), ("MULTI",), ("INCR", "n"), ("DISCARD",)):
        writer.command(*words)
    writer.command("SET", "large", b"x" * 5000)
    writer.command("ECHO", "end")
    lines = []
    while not lines or '"end"' not in lines[-1]:
        lines.append(watcher.read())
    assert all(re.fullmatch(r'\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] ".*"', line) for line in lines), lines
    said = [line.split("] ", 1)[1] for line in lines if "CLIENT" not in line]
    large = said.pop(-2)
    assert large.startswith('"SET" "large" "' + "x" * 1024 + '... (3976 more bytes)"'), large
    assert said == [r'"SET" "k" "\x00\xff\r\n\"\\\a"', '"AUTH" "(redacted)"', '"AUTH" "(redacted)" "(redacted)"',
                    '"HELLO" "2" "AUTH" "(redacted)" "(redacted)" "SETNAME" "me"', '"MULTI"', '"INCR" "n"', '"PING"', '"EXEC"',
                    '"MULTI"', '"DISCARD"', '"ECHO" "end"'], said
    # One that watches may go on, and stop watching.
    watcher.send("PING")
    assert watcher.read() == "PONG" and '"PING"' in watcher.read()
    watcher.send("RESET")
    assert watcher.read() == "RESET"
    writer.command("SET", "k", "v")
    watcher.expect("PONG", "PING")
    many = [world.connect() for _ in range(17)]
    replies = [connection.command("MONITOR") for connection in many]
    assert replies[:16] == ["OK"] * 16 and isinstance(replies[16], RespError), replies


def test_monitor_that_does_not_read(world):
    watcher, writer = world.connect(), world.connect()
    watcher.expect("OK", "MONITOR")
    for _ in range(500):
        writer.send_raw((b"*129\r\n$4\r\nMGET\r\n" + b"$1000\r\n" + b"k" * 1000 + b"\r\n") + (b"$1000\r\n" + b"k" * 1000 + b"\r\n") * 127)
    for _ in range(500):
        assert len(writer.read()) == 128
    try:
        for _ in range(1000):
            watcher.read()
        raise AssertionError("still watching")
    except Closed:
        pass


def test_slow_log_shows_no_secrets(world):
    connection = world.connect()
    connection.expect("OK", "CONFIG", "SET", "slowlog-log-slower-than", "0")
    connection.command("SLOWLOG", "RESET")
    connection.command("AUTH", "default", "secret")
    connection.command("HELLO", "2", "AUTH", "default", "secret")
    connection.command("SET", "k", "v" * 300)
    refused = connection.command("CONFIG", "SET", "timeout", "0", "TLS-key-file-pass", "secret")
    assert "configuration file" in str(refused) and "--tls-key-password" not in str(refused), refused
    connection.command("CONFIG", "SET", "slowlog-log-slower-than", "10000")
    entries = connection.command("SLOWLOG", "GET", "-1")
    assert b"secret" not in repr(entries).encode(), entries
    shown = [entry[3] for entry in entries]
    assert [b"AUTH", b"(redacted)", b"(redacted)"] in shown and [b"HELLO", b"2", b"AUTH", b"(redacted)", b"(redacted)"] in shown
    assert [b"CONFIG", b"SET", b"timeout", b"0", b"TLS-key-file-pass", b"(redacted)"] in shown
    identifiers = [entry[0] for entry in entries]
    assert identifiers == sorted(identifiers, reverse=True)
    assert connection.command("SLOWLOG", "LEN") == len(entries)
    assert all(entry[4].startswith(b"127.0.0.1:") and entry[2] >= 0 and abs(entry[1] - time.time()) < 3600 for entry in entries)
    connection.expect("OK", "SLOWLOG", "RESET")
    connection.expect(0, "SLOWLOG", "LEN")


def test_memory(world):
    connection = world.connect()
    connection.command("SET", "s", "x" * 1000)
    small, large = connection.command("MEMORY", "USAGE", "s"), 0
    assert 1000 < small < 1100, small
    connection.send("HSET", "h", *[text for number in range(1000) for text in (f"field-{number:04}", "v" * 100)])
    connection.read()
    large = connection.command("MEMORY", "USAGE", "h", "SAMPLES", "0")
    assert 100 * 1000 < large < 200 * 1000, large
    assert abs(connection.command("MEMORY", "USAGE", "h") - large) < large / 10
    stats = pairs(connection.command("MEMORY", "STATS"))
    assert stats[b"keys.count"] == 2 and stats[b"total.allocated"] > 0 and stats[b"resident"] > 0, stats
    memory = pairs(connection.command("PD.MEMORY"))
    assert stats[b"budget"] == memory[b"budget"]
    assert b" MiB" in connection.command("MEMORY", "DOCTOR")
    assert "PURGE" in " ".join(connection.command("MEMORY", "HELP"))


def test_latency(world):
    connection = world.connect()
    assert b"Nothing is watched" in connection.command("LATENCY", "DOCTOR")
    connection.expect("OK", "CONFIG", "SET", "latency-monitor-threshold", "1")
    connection.send("MSET", *[text for number in range(200000) for text in (f"key-{number}", "v")])
    connection.read()
    for _ in range(3):
        connection.command("KEYS", "*")
    latest = {entry[0]: entry[1:] for entry in connection.command("LATENCY", "LATEST")}
    when, last, worst = latest[b"command"]
    assert abs(when - time.time()) < 3600 and 1 <= last <= worst, latest
    history = connection.command("LATENCY", "HISTORY", "command")
    assert history[-1] == [when, last] and max(entry[1] for entry in history) == worst, history
    assert b"command - high " in connection.command("LATENCY", "GRAPH", "command")
    assert b"SLOWLOG GET" in connection.command("LATENCY", "DOCTOR")
    assert connection.command("LATENCY", "RESET") >= 1
    connection.expect([], "LATENCY", "LATEST")
    for wrong in ("x", "-1", "99999999999"):
        assert isinstance(connection.command("CONFIG", "SET", "latency-monitor-threshold", wrong), RespError), wrong
    connection.expect("OK", "CONFIG", "SET", "latency-monitor-threshold", "0")


def test_latency_of_each_command(world):
    connection = world.connect()
    connection.expect("OK", "CONFIG", "RESETSTAT")
    for _ in range(100):
        connection.command("GET", "k")
    histogram = pairs(connection.command("LATENCY", "HISTOGRAM", "get", "CONFIG"))
    assert set(histogram) == {b"get", b"config|resetstat"}, histogram
    figures = pairs(histogram[b"get"])
    counts = pairs(figures[b"histogram_usec"])
    assert figures[b"calls"] == 100 and max(counts.values()) == 100 and sorted(counts.values()) == list(counts.values()), figures
    assert all(bound & (bound - 1) == 0 for bound in counts)
    connection.command("HELLO", "3")
    assert connection.command("LATENCY", "HISTOGRAM", "get")[b"get"][b"calls"] == 100
    connection.command("GET")
    connection.command("SET", "s", "x")
    connection.command("HGET", "s", "f")
    info = connection.command("INFO", "latencystats", "errorstats", "stats").decode()
    assert re.search(r"latency_percentiles_usec_get:p50=\d+,p99=\d+,p99\.9=\d+\r\n", info), info
    assert "errorstat_ERR:count=1\r\n" in info and "errorstat_WRONGTYPE:count=1\r\n" in info and "total_error_replies:2\r\n" in info, info


def test_debug_sleep_holds_up_nobody_else(world):
    sleeper, other = world.connect(), world.connect()
    begun = time.monotonic()
    sleeper.send("DEBUG", "SLEEP", "0.5")
    sleeper.send("PING")
    other.expect("PONG", "PING")
    assert sleeper.read() == "OK" and time.monotonic() - begun >= 0.5
    assert sleeper.read() == "PONG"
    for wrong in ("x", "-1", "61", "nan", "inf"):
        assert "0 to 60" in str(sleeper.command("DEBUG", "SLEEP", wrong)), wrong
    assert "unknown subcommand" in str(sleeper.command("DEBUG", "SEGFAULT"))
    # One that goes away while it sleeps.
    sleeper.send("DEBUG", "SLEEP", "1")
    sleeper.close()
    other.expect("PONG", "PING")


def test_waitaof(world):
    connection = world.connect()
    connection.expect([1, 0], "WAITAOF", "1", "0", "0")
    for level in ("none", "performance", "standard", "strict"):
        connection.expect("OK", "PD.DURABILITY", level)
        connection.expect("OK", "SET", "k", level)
        connection.expect([1, 0], "WAITAOF", "1", "0", "1000")
        assert pairs(connection.command("PD.RECEIPT"))[b"durable"] == 1, level
    connection.expect([1, 0], "WAITAOF", "0", "3", "10")
    for words in (("2", "0", "0"), ("-1", "0", "0"), ("1", "-1", "0"), ("1", "0", "-1"), ("x", "0", "0"), ("1", "0", "x")):
        assert isinstance(connection.command("WAITAOF", *words), RespError), words
    memory = world.new_server("memory", ["--memory"])
    memory.start()
    asker = world.connect(memory)
    assert "no files" in str(asker.command("WAITAOF", "1", "0", "0"))
    asker.expect([0, 0], "WAITAOF", "0", "0", "0")


def test_reset_forgets_everything(world):
    connection = world.connect()
    connection.command("HELLO", "3", "SETNAME", "me")
    for words in (("SUBSCRIBE", "c"), ("MULTI",), ("PD.IDEMPOTENCY", "k"), ("CLIENT", "NO-EVICT", "on")):
        connection.command(*words)
    connection.expect("RESET", "RESET")
    connection.expect(None, "CLIENT", "GETNAME")
    line = connection.command("CLIENT", "INFO").decode()
    assert " resp=2 " in line and " sub=0 " in line and " multi=-1 " in line and " flags=N " in line, line
