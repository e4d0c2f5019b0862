"""perdure cli: one command, commands from standard input, and the shell at a terminal."""

import json
import os
import signal
import socket
import stat
import subprocess
import threading

from processes import free_port
from terminal import Terminal

OK, FAILURE, USAGE, REFUSED = 0, 1, 2, 5


def cli(world, *words, input=None, server=None):
    """(status, stdout, stderr), through the admin socket."""
    directory = (server or world.server).directory
    return world.run(world.binary, "cli", "--data", directory, *words, input=input, check=False)


class FakeServer:
    """Answers HELLO as a server of RESP3 does, and then each request with the next of `replies`; None: hang up."""

    def __init__(self, *replies, knows_hello=True):
        self.replies = list(replies)
        self.knows_hello = knows_hello
        self.requests = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                connection, _ = self.listener.accept()
                with connection:
                    self.talk(connection)
        except OSError:
            pass

    def talk(self, connection):
        while True:
            data = connection.recv(65536)
            if not data:
                return
            if b"HELLO" in data:
                connection.sendall(b"%1\r\n+proto\r\n:3\r\n" if self.knows_hello else b"-ERR unknown command 'HELLO'\r\n")
                continue
            self.requests.append(data)
            reply = self.replies.pop(0) if self.replies else b"+OK\r\n"
            if reply is None:
                return
            connection.sendall(reply)

    def close(self):
        self.listener.close()


def show(world, reply, *options):
    """What is printed of one reply."""
    fake = FakeServer(reply)
    world.opened.append(fake)
    return world.run(world.binary, "cli", "--port", fake.port, *options, "X", check=False)


# ---- one command ----


def test_one_command(world):
    assert cli(world, "SET", "a", "1") == (OK, "OK\n", "")
    assert cli(world, "GET", "a") == (OK, "1\n", "")
    assert cli(world, "GET", "none") == (OK, "\n", "")
    assert world.perdure("cli", "--port", world.server.port, "INCR", "a")[1] == "2\n"
    assert world.perdure("cli", "--host", "localhost", "-p", world.server.port, "--pretty", "INCR", "a")[1] == "(integer) 3\n"


def test_error_reply(world):
    cli(world, "SET", "a", "word")
    status, stdout, stderr = cli(world, "INCR", "a")
    assert status == REFUSED and stdout == "" and "not an integer" in stderr, (status, stdout, stderr)
    status, stdout, _ = cli(world, "--pretty", "INCR", "a")
    assert status == REFUSED and stdout.startswith("(error) ERR "), stdout
    status, stdout, _ = cli(world, "--json", "INCR", "a")
    assert status == REFUSED and json.loads(stdout)["error"].startswith("ERR "), stdout


def test_help_without_a_terminal(world):
    status, stdout, stderr = cli(world, "help", "hset")
    assert status == OK and "HSET key field value" in stdout and stderr == "", (status, stdout, stderr)
    assert "perdure cli help COMMAND" in cli(world, "help")[1]
    assert "@hash" in cli(world, "help", "@")[1]
    status, stdout, stderr = cli(world, "help", "setx")
    assert status == FAILURE and stdout == "" and "did you mean SET" in stderr, (status, stdout, stderr)
    status, stdout, stderr = cli(world, "GET")
    assert status == REFUSED and "'perdure cli help GET' tells how it is written" in stderr, stderr
    status, stdout, stderr = cli(world, "NONSENSE")
    assert status == REFUSED and "'perdure cli help @' lists the groups of commands" in stderr, stderr


def test_actor(world):
    cli(world, "--actor", "user:42", "SET", "cart", "apples")
    assert cli(world, "GET", "{user:42}:cart")[1] == "\n"
    assert cli(world, "GET", "{user:42}cart")[1] == "apples\n"


def test_options_of_a_command_are_its_own(world):
    assert cli(world, "SET", "--help", "-h")[0] == OK
    assert cli(world, "GET", "--help")[1] == "-h\n"


def test_repeat(world):
    assert cli(world, "-r", "3", "-i", "0.01", "INCR", "n")[1] == "1\n2\n3\n"


def test_last_argument_from_stdin(world):
    done = subprocess.run([world.binary, "cli", "--data", world.server.directory, "-x", "SET", "bytes"], input=b"a\0\r\n\xff",
                          capture_output=True, timeout=60, check=True)
    assert done.stdout == b"OK\n"
    world.connect().expect(b"a\0\r\n\xff", "GET", "bytes")


def test_wrong_command_lines(world):
    for words, wanted in ((("--prot", "1"), "did you mean --port"), (("--port", "0", "PING"), "1 to 65535"),
                          (("--port", "x", "PING"), "a number"), (("-o", "xml", "PING"), "pretty, raw, json"),
                          (("--json", "--raw", "PING"), "only one of"), (("-i", "never", "PING"), "seconds"),
                          (("-r", "2"), "COMMAND"), (("--actor", "", "PING"), "--actor")):
        status, stdout, stderr = world.perdure("cli", *words, check=False)
        assert status == USAGE and stdout == "" and wanted in stderr, (words, status, stderr)


# ---- no server ----


def test_nobody_listens(world):
    status, _, stderr = world.perdure("cli", "--port", free_port(), "PING", check=False)
    assert status == FAILURE and "nobody listens" in stderr and "perdure server" in stderr, stderr


def test_no_such_host(world):
    status, _, stderr = world.perdure("cli", "--host", "nowhere.invalid", "PING", check=False)
    assert status == FAILURE and "no host" in stderr and "--host" in stderr, stderr


def test_no_directory_and_no_server(world):
    status, _, stderr = world.perdure("cli", "--data", world.path("nowhere"), "PING", check=False)
    assert status == FAILURE and "no directory" in stderr and "--data" in stderr, stderr
    os.makedirs(world.path("empty"))
    status, _, stderr = world.perdure("cli", "--data", world.path("empty"), "PING", check=False)
    assert status == FAILURE and "no server is running" in stderr and "perdure server" in stderr, stderr


def test_another_protocol(world):
    status, _, stderr = show(world, b"HTTP/1.1 400 Bad Request\r\n")
    assert status == FAILURE and "right port" in stderr, stderr


def test_server_hangs_up(world):
    fake = FakeServer(None)
    world.opened.append(fake)
    status, _, stderr = world.run(world.binary, "cli", "--port", fake.port, "INCR", "n", check=False)
    assert status == FAILURE and "whether the command was carried out is not known" in stderr, stderr
    assert len(fake.requests) == 1, "it was sent again"


def test_server_of_protocol_2(world):
    fake = FakeServer(b"*2\r\n$1\r\na\r\n$-1\r\n", knows_hello=False)
    world.opened.append(fake)
    assert world.run(world.binary, "cli", "--port", fake.port, "--json", "X")[1] == '["a", null]\n'


def test_default_is_the_server_of_data(world):
    """./data is tried before the usual port."""
    os.makedirs(world.path("cwd"))
    os.symlink(world.server.directory, world.path("cwd/data"))
    done = subprocess.run([world.binary, "cli", "ECHO", "here"], cwd=world.path("cwd"), capture_output=True, timeout=60, check=True)
    assert done.stdout == b"here\n"


# ---- replies of every kind ----

EVERYTHING = (b"*12\r\n+status\r\n$4\r\na\"\x01b\r\n:-7\r\n,3.25\r\n,inf\r\n(12345678901234567890\r\n#t\r\n_\r\n"
              b"%2\r\n$1\r\nk\r\n*2\r\n:1\r\n:2\r\n:5\r\n~1\r\n$1\r\nx\r\n*0\r\n!5\r\nERR x\r\n=8\r\ntxt:l1\nl\r\n")


def test_pretty(world):
    status, stdout, _ = show(world, EVERYTHING, "--pretty")
    assert status == OK
    assert stdout == r'''
 1) status
 2) "a\"\x01b"
 3) (integer) -7
 4) (double) 3.25
 5) (double) inf
 6) (big number) 12345678901234567890
 7) (true)
 8) (nil)
 9) 1# "k" =>
       1) (integer) 1
       2) (integer) 2
    2# 5 => 1~ "x"
10) (empty array)
11) (error) ERR x
12) l1
l
'''[1:].replace("    2# 5 => 1~", "    2# 5 =>\n       1~"), stdout


def test_json(world):
    _, stdout, _ = show(world, EVERYTHING, "--json")
    assert json.loads(stdout) == ["status", 'a"\x01b', -7, 3.25, "inf", 12345678901234567890, True, None,
                                  {"k": [1, 2], "5": ["x"]}, [], {"error": "ERR x"}, "l1\nl"], stdout
    _, stdout, _ = show(world, b"%1\r\n$2\r\n\xff\"\r\n$1\r\n\xff\r\n", "--json")
    assert json.loads(stdout) == {"\xff\"": {"base64": "/w=="}}, stdout
    _, stdout, _ = show(world, b"%1\r\n*1\r\n:1\r\n:2\r\n", "--json")
    assert json.loads(stdout) == [[1], 2], stdout
    for number in (b"1.", b".5", b"0x10", b"nan", b"-inf"):
        _, stdout, _ = show(world, b"," + number + b"\r\n", "--json")
        assert json.loads(stdout) == number.decode(), stdout


def test_raw(world):
    _, stdout, _ = show(world, EVERYTHING, "--raw")
    assert stdout == 'status\na"\x01b\n-7\n3.25\ninf\n12345678901234567890\ntrue\n\nk\n1\n2\n5\nx\nERR x\nl1\nl\n', repr(stdout)


def test_terminal_escapes_are_not_obeyed(world):
    for reply in (b"$5\r\n\x1b[31m\r\n", b"+\x1b[31m\r\n", b"-ERR \x1b[31m\r\n", b"=9\r\ntxt:\x1b[31m\r\n", b"%1\r\n+\x1b[31m\r\n:1\r\n"):
        _, stdout, _ = show(world, reply, "--pretty")
        assert "\x1b" not in stdout and r"\x1b[31m" in stdout, repr(stdout)


def test_words_of_a_server_are_not_obeyed(world):
    """What it refuses with, and what it says of its commands."""
    fake = FakeServer(b"-ERR \x1b[31mno\xc2\x9b\r\n")
    world.opened.append(fake)
    status, _, stderr = world.run(world.binary, "cli", "--port", fake.port, "--actor", "x", "PING", check=False)
    assert status == FAILURE and "\x1b" not in stderr and "\x9b" not in stderr and r"\x1b[31mno" in stderr, repr(stderr)
    docs = b"%1\r\n+evil\r\n%2\r\n+summary\r\n$8\r\n\x1b[31mbad\r\n+arguments\r\n*1\r\n%2\r\n+name\r\n+k\x1b[1my\r\n+type\r\n+string\r\n"
    fake = FakeServer(docs)
    world.opened.append(fake)
    terminal = Terminal([world.binary, "cli", "--port", fake.port], environment={"PERDURE_HISTORY": "", "NO_COLOR": "1"})
    world.opened.append(terminal)
    terminal.expect("> ")
    terminal.type("help evil\r")
    seen = terminal.expect("since")
    assert r"\x1b[31mbad" in seen and r"k\x1b[1my" in seen and "EVIL" in seen, repr(seen)


def test_nested_too_deep(world):
    for form in ("--pretty", "--json", "--raw"):
        status, _, _ = show(world, b"*1\r\n" * 200_000 + b":1\r\n", form)
        assert status == OK


def test_attributes_and_pushes(world):
    _, stdout, _ = show(world, b">2\r\n+invalidate\r\n*1\r\n+k\r\n|1\r\n+ttl\r\n:3\r\n$1\r\nv\r\n", "--pretty")
    assert stdout == '1> invalidate\n2> 1) k\n"v"\n', stdout


def test_what_cannot_be_written(world):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([world.binary, "cli", "--data", world.server.directory, "PING"], stdout=full, stderr=subprocess.PIPE,
                              timeout=60, check=False)
    assert done.returncode == FAILURE and b"No space left" in done.stderr and b"its answer is lost" in done.stderr, done.stderr


# ---- commands from standard input ----


def test_lines(world):
    status, stdout, stderr = cli(world, input=b'SET a "x\\x41\\n y"\n\n# a comment\nGET a\nMULTI\nINCR n\nEXEC')
    assert (status, stdout, stderr) == (OK, "OK\nxA\n y\nOK\nQUEUED\n1\n", ""), (status, stdout, stderr)


def test_lines_with_errors(world):
    text = b"SET a word\nINCR a\nNOSUCH\nGET a\n"
    status, stdout, stderr = cli(world, input=text)
    assert status == REFUSED and stdout == "OK\nword\n", stdout
    assert "line 2: ERR value is not an integer" in stderr and "line 3: ERR unknown command" in stderr, stderr
    status, stdout, stderr = cli(world, "--stop-on-error", input=text)
    assert status == REFUSED and stdout == "OK\n" and "stopped at line 2" in stderr and "line 3" not in stderr, stderr
    status, stdout, stderr = cli(world, "--json", input=text)
    assert status == REFUSED and "line 2:" in stderr and len(stdout.splitlines()) == 4, stdout


def test_line_that_cannot_be_read(world):
    status, stdout, stderr = cli(world, input=b"SET a 1\n\nGET 'a\nGET a\n")
    assert status == USAGE and stdout == "OK\n" and "line 3: the quote that begins at character 5" in stderr, stderr


# ---- streams ----


def test_subscribed(world):
    fake = FakeServer(b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n")
    world.opened.append(fake)
    # Who runs the tests behind an & has SIGINT ignored, and so has what they start.
    process = subprocess.Popen([world.binary, "cli", "--port", str(fake.port), "--json", "SUBSCRIBE", "c"],
                               stdout=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert json.loads(process.stdout.readline()) == ["subscribe", "c", 1]
    assert json.loads(process.stdout.readline()) == ["message", "c", "hello"]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) in (-signal.SIGINT, OK)


# ---- at a terminal ----


def shell(world, *words, server=None, history=""):
    terminal = Terminal([world.binary, "cli", "--data", (server or world.server).directory, *words],
                        environment={"PERDURE_HISTORY": history})
    world.opened.append(terminal)
    return terminal


def test_typing(world):
    terminal = shell(world)
    terminal.expect("data> ")
    terminal.type("SET größe 'drei Äpfel'\r")
    terminal.expect("OK")
    terminal.type("GET größe\r")
    terminal.expect('"drei Äpfel"')
    terminal.type("HSET h name Ada\r")
    terminal.expect("(integer) 1")
    terminal.type("HGETALL h\r")
    terminal.expect('1# "name" => "Ada"')
    terminal.type("\x04")
    assert terminal.wait() == OK


def test_hint_and_completion(world):
    terminal = shell(world)
    terminal.expect("data> ")
    terminal.type("getr")
    terminal.type("\t")
    terminal.expect("getrange key start end")
    terminal.type("\x15CONFIG \t")
    terminal.expect("RESETSTAT")
    terminal.type("\x15PD.DUR\t")
    terminal.expect("PD.DURABILITY [level]")
    terminal.type("\x15SET k v NX ")
    seen = terminal.expect("[GET] [EX seconds")
    assert "[NX|XX]" not in seen.split("NX ")[-1], seen


def test_prompt_tells_where_one_is(world):
    terminal = shell(world)
    terminal.expect("data> ")
    terminal.type("PD.USE user:42\r")
    terminal.expect("data user:42> ")
    terminal.type("MULTI\r")
    terminal.expect("(MULTI, 0 queued)> ")
    terminal.type("INCR n\r")
    terminal.expect("(MULTI, 1 queued)> ")
    terminal.type("EXEC\r")
    terminal.expect("1) (integer) 1")
    terminal.expect("data user:42> ")
    terminal.type("RESET\r")
    terminal.expect("data> ")


def test_history(world):
    path = world.path("history")
    terminal = shell(world, history=path)
    terminal.expect("data> ")
    for line in ("ECHO first", "AUTH user secret1", "HELLO 3 AUTH default secret2", "CONFIG SET requirepass secret3", " ECHO hidden",
                 "ECHO last"):
        terminal.type(line + "\r")
        terminal.expect("data> ")
    terminal.type("\x04")
    terminal.wait()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with open(path) as file:
        assert file.read().splitlines() == ["ECHO first", "ECHO last"]
    terminal = shell(world, history=path)
    terminal.expect("data> ")
    terminal.type("\x1b[A\x1b[A\r")
    terminal.expect('"first"')


def test_history_is_cut(world):
    path = world.path("history-cut")
    with open(path, "w") as file:
        file.writelines(f"ECHO {number}\n" for number in range(5000))
    terminal = shell(world, history=path)
    terminal.expect("data> ")
    terminal.type("\x04")
    terminal.wait()
    with open(path) as file:
        lines = file.read().splitlines()
    assert len(lines) == 2000 and lines[-1] == "ECHO 4999", (len(lines), lines[-1])
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_end_typed_ahead(world):
    """Ctrl-D while the last command is still going on."""
    fake = FakeServer(b"*0\r\n", b"")
    world.opened.append(fake)
    terminal = Terminal([world.binary, "cli", "--port", fake.port], environment={"PERDURE_HISTORY": ""})
    world.opened.append(terminal)
    terminal.expect("> ")
    terminal.type("BLPOP l 0\r")
    while len(fake.requests) < 2:
        terminal.read_some(0.05)
    terminal.type("\x04")
    terminal.read_some(0.2)
    os.kill(terminal.pid, signal.SIGINT)
    assert terminal.wait() == OK


def test_interrupt_gives_the_line_up(world):
    terminal = shell(world)
    terminal.expect("data> ")
    terminal.type("SET half")
    terminal.expect("SET half")
    terminal.type("\x03")
    terminal.expect("^C")
    terminal.expect("data> ")  # the terminal throws away what is typed before
    terminal.type("ECHO on\r")
    terminal.expect('"on"')
    terminal.type("exit\r")
    assert terminal.wait() == OK


def test_watch_and_repeat(world):
    terminal = shell(world)
    terminal.expect("data> ")
    terminal.type("INCR n\r")
    terminal.expect("(integer) 1")
    terminal.type("\\watch 0.05\r")
    terminal.expect("(integer) 4")
    terminal.type("\x03")
    terminal.expect("data> ")
    terminal.type("3 INCRBY m 10\r")
    terminal.expect("(integer) 30")
    terminal.type("\\format json\rPD.RECEIPT\r")
    terminal.expect('"level": "strict"')


def test_help(world):
    terminal = shell(world)
    terminal.expect("data> ")
    terminal.type("help\r")
    terminal.expect("\\watch")
    terminal.type("help setx\r")
    terminal.expect("did you mean SET")
    terminal.type("help pd.receipt\r")
    terminal.expect("Gives the receipt")
    terminal.type("help @hash\r")
    terminal.expect("HSETNX key field value")


def test_reconnect(world):
    """It comes back, as the actor that it was; an open transaction does not."""
    server = world.new_server("again")
    server.start()
    port = server.port
    terminal = shell(world, "--actor", "bob", server=server)
    terminal.expect("again bob> ")
    server.kill()
    terminal.type("SET k v\r")
    terminal.expect("no server is running")
    server.start(port)
    terminal.type("SET k v\r")
    terminal.expect("again\n")
    terminal.expect("OK")
    with_key = world.connect(server)
    with_key.expect(b"v", "GET", "{bob}k")
    terminal.type("MULTI\r")
    terminal.expect("(MULTI, 0 queued)> ")
    server.kill()
    server.start(port)
    terminal.type("SET k w\r")
    terminal.expect("the open transaction with it")
    terminal.type("EXEC\r")
    terminal.expect("EXEC without MULTI")
    with_key = world.connect(server)
    with_key.expect(b"v", "GET", "{bob}k")


def test_interrupt_of_a_waiting_command(world):
    fake = FakeServer(b"*0\r\n", b"")
    world.opened.append(fake)
    terminal = Terminal([world.binary, "cli", "--port", fake.port], environment={"PERDURE_HISTORY": ""})
    world.opened.append(terminal)
    terminal.expect("> ")
    terminal.type("BLPOP l 0\r")
    while len(fake.requests) < 2:
        terminal.read_some(0.05)
    terminal.type("\x03")
    terminal.expect("interrupted; whether the command was carried out is not known")
    terminal.expect("not connected> ")


def test_stream_at_a_terminal(world):
    fake = FakeServer(b"*0\r\n", b"+OK\r\n+1700000000.1 [0 127.0.0.1:1] \"SET\" \"a\" \"1\"\r\n")
    world.opened.append(fake)
    terminal = Terminal([world.binary, "cli", "--port", fake.port], environment={"PERDURE_HISTORY": ""})
    world.opened.append(terminal)
    terminal.expect("> ")
    terminal.type("MONITOR\r")
    terminal.expect("Ctrl-C ends it")
    terminal.expect('"SET" "a" "1"')
    terminal.type("\x03")
    terminal.expect("> ")


def test_shell_without_a_server(world):
    os.makedirs(world.path("later"))
    terminal = Terminal([world.binary, "cli", "--data", world.path("later")], environment={"PERDURE_HISTORY": ""})
    world.opened.append(terminal)
    terminal.expect("no server is running")
    terminal.expect("not connected> ")
    server = world.new_server("later")
    server.start()
    terminal.type("PING\r")
    terminal.expect("PONG")
    terminal.expect("later> ")


# ---- users ----


def test_users(world):
    """A server that asks who comes: through its port, not through its directory."""
    server = world.new_server("users")
    server.start()
    for name, role in (("ann", "admin"), ("reader", "read-only")):
        world.run(world.binary, "user", "add", name, "--role", role, "--data", server.directory, input=f"{name}-secret\n".encode())

    def over_tcp(subcommand, *words, password=None):
        environment = {key: value for key, value in os.environ.items() if key != "PERDURE_PASSWORD"}
        if password is not None:
            environment["PERDURE_PASSWORD"] = password
        done = subprocess.run([world.binary, subcommand, "-p", str(server.port), *words], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    assert cli(world, "SET", "k", "v", server=server)[0] == OK
    status, stdout, stderr = over_tcp("cli", "GET", "k")
    assert status == REFUSED and stdout == "" and "NOAUTH" in stderr and "--user NAME" in stderr, stderr
    assert over_tcp("cli", "--user", "ann", "GET", "k", password="ann-secret")[:2] == (OK, "v\n")
    status, _, stderr = over_tcp("cli", "--user", "ann", "GET", "k", password="wrong")
    assert status == FAILURE and "does not take user \"ann\"" in stderr, stderr
    status, _, stderr = over_tcp("cli", "--user", "ann", "GET", "k")
    assert status == FAILURE and "PERDURE_PASSWORD" in stderr, stderr
    status, _, stderr = over_tcp("cli", "--user", "reader", "SET", "k", "w", password="reader-secret")
    assert status == REFUSED and "read-only" in stderr, stderr
    status, stdout, stderr = over_tcp("top", "--user", "reader", "--count", "1", "--interval", "0.1", "-o", "json", password="reader-secret")
    assert status == OK and json.loads(stdout)["version"], stderr
    status, _, stderr = over_tcp("top", "--count", "1")
    assert status == FAILURE and "--user NAME" in stderr, stderr
    terminal = Terminal([world.binary, "cli", "-p", server.port, "--user", "ann"], environment={"PERDURE_HISTORY": "", "PERDURE_PASSWORD": ""})
    world.opened.append(terminal)
    terminal.expect("does not take user")
    assert terminal.wait() == FAILURE
    terminal = Terminal([world.binary, "cli", "-p", server.port, "--user", "ann", "--ask-password"], environment={"PERDURE_HISTORY": ""})
    world.opened.append(terminal)
    terminal.expect("Password of ann: ")
    terminal.type("ann-secret\r")
    seen = terminal.expect("> ")
    assert "ann-secret" not in seen, seen
    terminal.type("ACL WHOAMI\r")
    terminal.expect('"ann"')
