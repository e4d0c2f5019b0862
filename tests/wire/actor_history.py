"""An actor's past: PD.ACTOR HISTORY, REPLAY, BLAME, DIFF and GET, and `perdure actor` over a server and over a directory."""

import base64
import json
import os
import re
import shlex
import subprocess

from resp_connection import RespConnection, RespError

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "history.md")


def is_error(reply, text=""):
    assert isinstance(reply, RespError) and text in str(reply), f"{reply!r} instead of an error with {text!r}"


def as_map(reply):
    if isinstance(reply, dict):
        return {key.decode(): value for key, value in reply.items()}
    assert isinstance(reply, list), reply
    return {key.decode(): value for key, value in zip(reply[::2], reply[1::2])}


def page_of(connection, *words):
    page = as_map(connection.command("PD.ACTOR", *words))
    page["entries"] = [as_map(entry) for entry in page["entries"]]
    return page


def operations_of(entry):
    return [as_map(operation) for operation in entry["operations"]]


def now(connection):
    return connection.command("PD.BOOKMARK").decode()


def test_history(world):
    connection = world.connect()
    connection.expect("OK", "SET", "{h}a", "1")
    connection.expect(2, "HSET", "{h}f", "x", "1", "y", "2")
    connection.expect("OK", "SET", "{other}a", "1")
    connection.expect(1, "DEL", "{h}a")
    page = page_of(connection, "HISTORY", "h")
    assert page["cursor"] == b"0" and len(page["entries"]) == 3, page
    gone, fields, put = page["entries"]
    assert [operation["op"] for operation in operations_of(gone)] == [b"delete"], gone
    assert [(operation["key"], operation["field"], operation["value"]) for operation in operations_of(fields)] == \
        [(b"f", b"x", b"1"), (b"f", b"y", b"2")], fields
    assert operations_of(put)[0]["value"] == b"1" and put["lsn"] < fields["lsn"] < gone["lsn"], page
    assert all(entry["connection"] > 0 and entry["time"].endswith(b"Z") and entry["client"] for entry in page["entries"]), page
    assert connection.command("PD.BOOKMARK", put["bookmark"]) == b"reached"
    # Pages.
    first = page_of(connection, "HISTORY", "h", "COUNT", "2")
    assert len(first["entries"]) == 2 and first["cursor"] != b"0", first
    second = page_of(connection, "HISTORY", "h", "COUNT", "2", "CURSOR", first["cursor"], "TO", first["to_time"])
    assert [entry["lsn"] for entry in first["entries"] + second["entries"]] == [entry["lsn"] for entry in page["entries"]]
    assert second["cursor"] == b"0", second
    # Between moments.
    between = page_of(connection, "HISTORY", "h", "FROM", put["bookmark"], "TO", fields["lsn"])
    assert [entry["lsn"] for entry in between["entries"]] == [fields["lsn"]], between
    assert page_of(connection, "HISTORY", "h", "FROM", "now")["entries"] == []
    assert len(page_of(connection, "HISTORY", "h", "FROM", "-1d")["entries"]) == 3


class Again:
    """What a program makes of what is replayed: keys, hashes, and when they expire."""

    def __init__(self):
        self.strings, self.hashes, self.expiry, self.chunks = {}, {}, {}, {}

    def do(self, operation):
        key = operation.get("key")
        if operation["op"] == b"put-chunk":
            self.chunks[operation["blob"], operation["chunk"]] = operation["value"]
            return
        if operation["op"] in (b"clear", b"drop", b"replace"):
            self.__init__()
        elif operation["op"] == b"delete-fields":
            self.hashes.pop(key, None)
        elif operation["op"] == b"delete" and "field" in operation:
            self.hashes[key].pop(operation["field"])
        elif operation["op"] == b"delete":
            self.strings.pop(key, None)
            self.hashes.pop(key, None)
        elif "field" in operation:
            self.hashes.setdefault(key, {})[operation["field"]] = operation["value"]
        elif operation["type"] == b"string":
            self.strings[key] = operation["value"] if "blob" not in operation else self.joined(operation)
        if operation["op"] == b"put" and "field" not in operation:
            self.expiry[key] = operation.get("expires_us", 0)

    def joined(self, operation):
        count = -(-operation["size"] // operation["chunk_size"])
        whole = b"".join(self.chunks[operation["blob"], number] for number in range(count))
        assert len(whole) == operation["size"], operation
        return whole


def replayed(connection, name, *words, count=7):
    """All entries, page by page."""
    entries, more = [], ()
    while True:
        page = page_of(connection, "REPLAY", name, "COUNT", str(count), *words, *more)
        entries += page["entries"]
        if page["cursor"] == b"0":
            return entries
        assert 0 < len(page["entries"]) <= count, page
        more = ("CURSOR", page["cursor"], "TO", page["to_time"])


def done_again(entries):
    again = Again()
    for entry in entries:
        operations = operations_of(entry)
        assert len(operations) == entry["operation_count"] > 0, entry
        for operation in operations:
            again.do(operation)
    return again


def test_replay(world):
    """A program that does again what it is told has in the end what the actor has."""
    connection = world.connect()
    long, large = os.urandom(5000), os.urandom(700001)
    connection.expect("OK", "SET", "{r}long", long)
    connection.expect("OK", "SET", "{r}large", large)
    connection.expect("OK", "SET", "{elsewhere}k", "1")
    connection.expect(3, "HSET", "{r}h", "a", "1", "b", "2", "c", long)
    connection.expect(1, "HDEL", "{r}h", "b")
    connection.expect(1, "PEXPIREAT", "{r}h", "4102444800000")
    connection.expect("OK", "MSET", *(word for number in range(100) for word in (f"{{r}}{number}", f"value {number}")))
    connection.expect(1, "DEL", "{r}5")
    connection.expect(1, "INCR", "{r}count")
    connection.expect(700004, "APPEND", "{r}large", "end")
    entries = replayed(connection, "r")
    lsns = [entry["lsn"] for entry in entries]
    assert lsns == sorted(set(lsns)) and len(lsns) >= 8, lsns
    again = done_again(entries)
    assert again.strings[b"large"] == large + b"end" and again.strings[b"long"] == long and again.strings[b"count"] == b"1"
    assert again.hashes == {b"h": {b"a": b"1", b"c": long}} and again.expiry[b"h"] == 4102444800000000, again.hashes
    assert len(again.strings) == 102 and b"5" not in again.strings and again.strings[b"99"] == b"value 99"
    # From a moment on, and up to one.
    assert [entry["lsn"] for entry in replayed(connection, "r", "FROM", str(lsns[3]))] == lsns[4:]
    assert [entry["lsn"] for entry in replayed(connection, "r", "TO", str(lsns[3]))] == lsns[:4]
    # The command: an object a line, oldest first.
    _, stdout, _ = world.perdure("actor", "replay", "--data", world.server.directory, "r")
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert [line["lsn"] for line in lines] == lsns
    assert lines[0]["operations"][0]["value"] == {"base64": base64.b64encode(long).decode()}, lines[0]
    _, stdout, _ = world.perdure("actor", "replay", "--data", world.server.directory, "--from", lsns[0], "--limit", "2", "r")
    assert [json.loads(line)["lsn"] for line in stdout.splitlines()] == lsns[1:3], stdout


def test_replay_of_one_that_was_filled(world):
    """A fork has what it was filled with, as if somebody had written it."""
    connection = world.connect()
    connection.expect("OK", "MSET", *(word for number in range(300) for word in (f"{{first}}{number}", "x" * number)))
    connection.command("PD.ACTOR", "FORK", "first", "second")
    connection.expect("OK", "SET", "{second}0", "own")
    again = done_again(replayed(connection, "second"))
    assert again.strings == {str(number).encode(): b"own" if number == 0 else b"x" * number for number in range(300)}, again.strings


def test_replay_of_one_that_does_not_fit(world):
    """A transaction that no answer has room for: what comes before it is told, then it is said, and one can go on behind it."""
    connection = world.connect()
    connection.expect("OK", "SET", "{wide}first", "1")
    connection.expect("OK", "MSET", *(word for number in range(280) for word in (f"{{wide}}{number}", b"x" * 260000)))
    connection.expect("OK", "SET", "{wide}last", "1")
    first = page_of(connection, "REPLAY", "wide")
    assert [operations_of(entry)[0]["key"] for entry in first["entries"]] == [b"first"] and first["cursor"] != b"0", first
    lsn = first["entries"][0]["lsn"] + 1
    is_error(connection.command("PD.ACTOR", "REPLAY", "wide", "CURSOR", first["cursor"]), f"LSN {lsn} has more than fits")
    rest = page_of(connection, "REPLAY", "wide", "FROM", str(lsn))
    assert [operations_of(entry)[0]["key"] for entry in rest["entries"]] == [b"last"] and rest["cursor"] == b"0", rest
    status, stdout, stderr = world.perdure("actor", "replay", "--data", world.server.directory, "wide", check=False)
    assert status == 1 and [json.loads(line)["lsn"] for line in stdout.splitlines()] == [lsn - 1] and "more than fits" in stderr, stderr


def test_replay_of_what_the_log_has_not(world):
    """The log of its beginning is gone: it is said, and from when on it can be had."""
    server = world.new_server("trimmed", ["--retention-time", "0", "--retention-size", "0", "--segment-size", "256KiB"])
    server.start()
    connection = world.connect(server)
    connection.expect("OK", "SET", "{old}k", "1")
    for _ in range(60):
        connection.expect("OK", "SET", "{others}k", os.urandom(20000))
    world.perdure("log", "compact", "--data", server.directory)
    connection.expect("OK", "SET", "{old}k", "2")
    connection.expect("OK", "SET", "{new}k", "1")
    is_error(connection.command("PD.ACTOR", "REPLAY", "old"), "does not reach back")
    assert [operations_of(entry)[0]["value"] for entry in replayed(connection, "new")] == [b"1"]
    status, stdout, stderr = world.perdure("actor", "replay", "--data", server.directory, "old", check=False)
    assert status == 1 and stdout == "" and "does not reach back" in stderr, stderr


def test_blame(world):
    connection = world.connect()
    for value in ("one", "two", "three"):
        connection.expect("OK", "SET", "{b}k", value)
        connection.expect("OK", "SET", "{b}other", value)
    page = page_of(connection, "BLAME", "b", "k")
    assert [operations_of(entry)[0]["value"] for entry in page["entries"]] == [b"three", b"two", b"one"], page
    assert page_of(connection, "BLAME", "b", "nothing")["entries"] == []
    connection.expect(1, "DEL", "{b}k")
    newest = page_of(connection, "BLAME", "b", "k", "COUNT", "1")
    assert operations_of(newest["entries"][0])[0]["op"] == b"delete" and newest["cursor"] != b"0", newest


def test_diff_and_get(world):
    connection = world.connect()
    connection.expect("OK", "MSET", "{d}stays", "1", "{d}changes", "old", "{d}goes", "x")
    connection.expect(2, "HSET", "{d}h", "kept", "1", "lost", "2")
    before = now(connection)
    connection.expect("OK", "MSET", "{d}changes", "new", "{d}comes", "y", "{d}stays", "1")
    connection.expect(1, "DEL", "{d}goes")
    connection.expect(1, "HDEL", "{d}h", "lost")
    page = page_of(connection, "DIFF", "d", "FROM", before)
    told = {(entry["key"], entry.get("field")): (entry["change"], entry.get("old"), entry.get("new")) for entry in page["entries"]}
    assert told == {(b"changes", None): (b"changed", b"old", b"new"), (b"comes", None): (b"put", None, b"y"),
                    (b"goes", None): (b"deleted", b"x", None), (b"h", b"lost"): (b"deleted", b"2", None)}, told
    assert page_of(connection, "DIFF", "d", "FROM", "now")["entries"] == []
    one = page_of(connection, "DIFF", "d", "FROM", before, "COUNT", "1")
    keys = [one["entries"][0]["key"]]
    while one["cursor"] != b"0":
        one = page_of(connection, "DIFF", "d", "FROM", one["from_time"], "TO", one["to_time"], "COUNT", "1", "CURSOR", one["cursor"])
        keys += [entry["key"] for entry in one["entries"]]
    assert keys == [entry["key"] for entry in page["entries"]], keys
    connection.expect(b"old", "PD.ACTOR", "GET", "d", "changes", "AT", before)
    connection.expect(b"new", "PD.ACTOR", "GET", "d", "changes")
    connection.expect(b"x", "PD.ACTOR", "GET", "d", "goes", "AT", before)
    connection.expect(None, "PD.ACTOR", "GET", "d", "comes", "AT", before)
    assert as_map(connection.command("PD.ACTOR", "GET", "d", "h", "AT", before)) == {"kept": b"1", "lost": b"2"}


def test_large_values(world):
    connection = world.connect()
    old, new = os.urandom(700000), os.urandom(600001)
    connection.expect("OK", "SET", "{l}k", old)
    before = now(connection)
    connection.expect("OK", "SET", "{l}k", new)
    connection.expect(old, "PD.ACTOR", "GET", "l", "k", "AT", before)
    connection.expect(new, "PD.ACTOR", "GET", "l", "k")
    entry, = page_of(connection, "DIFF", "l", "FROM", before)["entries"]
    assert (entry["old_size"], entry["new_size"], entry["old"], entry["new"]) == (700000, 600001, old[:128], new[:128])


def test_dropped_actor(world):
    connection = world.connect()
    connection.expect("OK", "SET", "{gone}k", "1")
    before = now(connection)
    connection.expect(1, "PD.ACTOR", "DROP", "gone")
    is_error(connection.command("PD.ACTOR", "GET", "gone", "k"), "there was no actor 'gone'")
    connection.expect(b"1", "PD.ACTOR", "GET", "gone", "k", "AT", before)
    connection.expect("OK", "SET", "{gone}k", "2")
    assert len(page_of(connection, "HISTORY", "gone")["entries"]) == 1
    connection.expect(b"1", "PD.ACTOR", "GET", "gone", "k", "AT", before)
    connection.expect(b"2", "PD.ACTOR", "GET", "gone", "k")


def test_wrong_words(world):
    connection = world.connect()
    connection.expect("OK", "SET", "{w}k", "1")
    for words, text in ((("HISTORY", "w", "FROM"), "syntax error"), (("HISTORY", "w", "NONSENSE", "1"), "syntax error"),
                        (("HISTORY", ""), "not empty"), (("HISTORY", "w", "COUNT", "0"), "COUNT is a number"),
                        (("HISTORY", "w", "CURSOR", "x"), "no cursor"), (("HISTORY", "w", "FROM", "yesterday"), "names no moment"),
                        (("DIFF", "w", "TO", "now"), "syntax error"), (("DIFF", "w", "FROM", "0", "CURSOR", "xyz"), "no cursor"),
                        (("GET", "w", "k", "AT", "999999999"), "after the newest"), (("GET", "w", "k", "AT", "1980-01-01"), "names no moment"),
                        (("HISTORY", "nobody"), "there was no actor 'nobody'"), (("HISTORY", "acme/w"), "there was no actor"),
                        (("DIFF", "w", "FROM", "now", "TO", "1"), "is after the second")):
        is_error(connection.command("PD.ACTOR", *words), text)
    is_error(connection.command("PD.ACTOR", "HISTORY"), "wrong number of arguments")
    connection.expect("PONG", "PING")


def test_many_at_once(world):
    """Questions of many connections, some of which go away in the middle; the server goes on."""
    connection = world.connect()
    for number in range(50):
        connection.expect("OK", "SET", "{m}k", str(number))
    asking = [RespConnection(world.server.port) for _ in range(12)]
    for one in asking:
        one.send("PD.ACTOR", "HISTORY", "m")
    for one in asking[::3]:
        one.close()
    for number, one in enumerate(asking):
        if number % 3 != 0:
            assert len(as_map(one.read())["entries"]) == 50
            one.close()
    connection.expect("PONG", "PING")


def test_command_line(world):
    server = world.new_server("lines")
    server.start()
    connection = world.connect(server)
    connection.expect("OK", "SET", "{c}k", "old")
    before = now(connection)
    connection.expect("OK", "SET", "{c}k", "new")
    for number in range(300):
        connection.expect("OK", "SET", f"{{c}}n{number:03}", "x")
    for running in (True, False):
        if not running:
            connection.close()
            server.stop()
        data = ("--data", server.directory)
        _, said, _ = world.perdure("actor", "get", *data, "--at", before, "c", "k")
        assert said == "old\n", said
        _, said, _ = world.perdure("actor", "blame", *data, "c", "k")
        assert [line.split(": ", 1)[1] for line in said.splitlines()] == ['put k "new"', 'put k "old"'], said
        assert re.match(r"\d+ \d{4}-\d\d-\d\dT[0-9:.]+Z \S+#\d+: ", said), said
        _, said, _ = world.perdure("actor", "diff", *data, "--from", before, "--limit", "1000", "c")
        lines = said.splitlines()
        assert lines[0] == '~ k "old" -> "new"' and lines[-1] == '+ n299 "x"' and len(lines) == 301, lines[:3]
        _, said, _ = world.perdure("actor", "history", *data, "--limit", "7", "-o", "json", "c")
        entries = [json.loads(line) for line in said.splitlines()]
        assert len(entries) == 7 and entries[0]["operations"][0]["key"] == "n299", entries[0]
        assert [entry["lsn"] for entry in entries] == sorted((entry["lsn"] for entry in entries), reverse=True)
        status, _, problem = world.perdure("actor", "get", *data, "--at", "0", "c", "k", check=False)
        assert status == 1 and "there was no actor 'c'" in problem, (status, problem)
        status, _, problem = world.perdure("actor", "get", *data, "c", "nothing", check=False)
        assert status == 1 and "was not there" in problem, (status, problem)
        status, _, problem = world.perdure("actor", "history", *data, "--from", "later", "c", check=False)
        assert status == 1 and "names no moment" in problem, (status, problem)
    status, _, problem = world.perdure("actor", "history", "--data", world.path("nowhere"), "c", check=False)
    assert status == 1 and "data directory" in problem, (status, problem)
    for words in ((), ("a", "b"), ("",)):
        assert world.perdure("actor", "history", *words, check=False)[0] == 2, words
    assert world.perdure("actor", "blame", "a", check=False)[0] == 2
    assert world.perdure("actor", "diff", "a", check=False)[0] == 2


def test_after_a_restart_and_a_checkpoint(world):
    """The same answers from a checkpoint as from the log alone, after kill -9 too."""
    server = world.new_server("again")
    server.start()
    connection = world.connect(server)
    connection.expect("OK", "PD.DURABILITY", "standard")
    bookmarks = []
    for number in range(60):
        connection.expect("OK", "SET", "{r}k", str(number))
        connection.expect("OK", "SET", f"{{r}}n{number}", "x" * 100)
        bookmarks.append(now(connection))
        if number % 20 == 10:
            connection.command("PD.STORE", "CHECKPOINT")
        if number == 40:
            connection.close()
            server.kill()
            server.start()
            connection = world.connect(server)
            connection.expect("OK", "PD.DURABILITY", "standard")
    for number, bookmark in enumerate(bookmarks):
        connection.expect(str(number).encode(), "PD.ACTOR", "GET", "r", "k", "AT", bookmark)
    assert len(page_of(connection, "DIFF", "r", "FROM", bookmarks[9])["entries"]) == 51
    assert len(page_of(connection, "HISTORY", "r", "COUNT", "1000")["entries"]) == 120
    server.stop()


def run_line(world, server, line):
    """One command of the page, in a shell: `perdure` is the binary, and finds the directory in its environment."""
    binary = os.path.abspath(world.binary)
    environment = dict(os.environ, PERDURE_DATA=os.path.abspath(server.directory),
                       PATH=os.path.dirname(binary) + ":" + os.environ["PATH"])
    done = subprocess.run(["bash", "-c", line + " 2>&1"], env=environment, cwd=world.directory, capture_output=True,
                          timeout=60, check=False)
    return done.stdout.decode().splitlines()


def test_page_is_true(world):
    """docs/history.md: what begins with "> " is said to the server, with "$ " to the shell, in the order of the page."""
    with open(PAGE, encoding="utf-8") as file:
        blocks = re.findall(r"^```\n([>$] .*?)^```$", file.read(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    server = world.new_server("page")
    server.start()
    for block in blocks:
        told, wanted = [], []
        for line in block.splitlines():
            if line.startswith("> "):
                _, said, problems = world.run("redis-cli", "-p", server.port, "--no-raw", *shlex.split(line[2:]))
                assert not problems, problems
                told += said.splitlines()
            elif line.startswith("$ "):
                told += run_line(world, server, line[2:])
            else:
                wanted.append(line)
        assert len(told) == len(wanted), (told, wanted)
        for one, other in zip(told, wanted):
            assert re.fullmatch(re.escape(other).replace("…", ".+"), one), f"{one!r} instead of {other!r}"
    server.stop()
