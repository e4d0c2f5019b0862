"""Settings: from a file, the environment and options; CONFIG and SIGHUP; `perdure config`."""

import json
import os
import signal
import subprocess
import time

from life import USAGE, fails
from processes import free_port
from resp_connection import RespError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def write(world, name, text, mode=0o600):
    path = world.path(name)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def get(connection, name):
    reply = connection.command("CONFIG", "GET", name)
    assert len(reply) == 2, reply
    return reply[1].decode()


def refused(connection, *words):
    reply = connection.command("CONFIG", "SET", *words)
    assert isinstance(reply, RespError), reply
    return str(reply)


def wait_for(server, text, since=0):
    for _ in range(2000):
        if text in server.printed()[since:]:
            return
        time.sleep(0.01)
    raise AssertionError(f"{text!r} was not said: {server.printed()[since:]}")


def test_page_is_made_from_the_table(world):
    with open(os.path.join(ROOT, "docs", "configuration.md")) as file:
        page = file.read()
    _, stdout, _ = world.perdure("config", "docs")
    assert page == stdout, "docs/configuration.md is old: perdure config docs > docs/configuration.md"


def test_server_runs_with_a_file(world):
    path = write(world, "c.toml", '[server]\nmax-clients = 77\n[retention]\ntime = "2h"\nview-age = "10m"\n[slowlog]\nmax-length = 5\n')
    server = world.new_server("by-file", ["--config", path])
    server.start()
    connection = world.connect(server)
    assert get(connection, "maxclients") == "77"
    assert get(connection, "perdure-retention-time") == "2h"
    assert get(connection, "perdure-view-age") == "10m"
    connection.expect("OK", "CONFIG", "SET", "perdure-view-age", "0")
    assert get(connection, "slowlog-max-len") == "5"
    assert get(connection, "dir") == server.directory


def test_option_wins_over_environment_over_file(world):
    path = write(world, "c.json", '{"retention": {"time": "1h", "size": "1GiB"},\n "server": {"max-clients": 9}}')
    environment = dict(os.environ, PERDURE_CONFIG=path, PERDURE_RETENTION_SIZE="2GiB", PERDURE_MAX_CLIENTS="8")
    done = subprocess.run([world.binary, "config", "show", "-o", "json", "--max-clients", "7"], env=environment,
                          capture_output=True, timeout=30, check=True)
    settings = {row["setting"]: row for row in json.loads(done.stdout)["settings"]}
    seen = {name: (settings[name]["value"], settings[name]["origin"])
            for name in ("retention.time", "retention.size", "server.max-clients", "server.resp")}
    assert seen == {"retention.time": ("1h", f"{path}:1"), "retention.size": ("2GiB", "PERDURE_RETENTION_SIZE"),
                    "server.max-clients": ("7", "--max-clients"), "server.resp": ("7379", "default")}, seen


def test_show_prints_a_file_that_means_the_same(world):
    _, first, _ = world.perdure("config", "show", "--data", '/tmp/a "b" \\c', "--retention-time", "90s", "--memory-budget", "1GiB")
    path = write(world, "shown.toml", first)
    _, stdout, _ = world.perdure("config", "check", path)
    assert "0 errors" in stdout, stdout
    _, second, _ = world.perdure("config", "show", "--config", path)
    assert first == second, (first, second)


def test_wrong_file_is_refused_with_all_that_is_wrong(world):
    path = write(world, "wrong.toml", '[server]\nrsep = 1\nmax-clients = 0\n[durability]\nlevel = "stict"\n')
    fails(world, "server", "--data", world.path("never"), "--config", path, status_wanted=USAGE, texts=(
        f"{path}:2: error: there is no setting server.rsep; did you mean server.resp?",
        f"{path}:3: error: server.max-clients 0 is out of range: 1 to 1000000",
        f"{path}:5: error: durability.level is none, performance, standard, strict or full, not \"stict\"; did you mean strict?"))
    assert not os.path.exists(world.path("never"))
    status, stdout, _ = world.perdure("config", "check", path, check=False)
    assert status == USAGE and "3 errors, 0 warnings" in stdout, stdout
    status, stdout, _ = world.perdure("config", "check", "-o", "json", path, check=False)
    report = json.loads(stdout)
    assert report["errors"] == 3 and [problem["line"] for problem in report["problems"]] == [2, 3, 5], report
    fails(world, "server", "--config", world.path("not-there.toml"), status_wanted=USAGE, texts=("there is no file", "config show"))
    fails(world, "server", "--resp", "x", "--bind", "nowhere", status_wanted=USAGE, texts=(
        "--resp is a number", "--bind is a numeric address"))


def test_file_that_others_can_change_is_warned_of(world):
    path = write(world, "open.toml", "[server]\nresp = 0\n", mode=0o666)
    status, stdout, _ = world.perdure("config", "check", path)
    assert status == 0 and "others than its owner can change" in stdout, stdout


def test_config_set(world):
    connection = world.connect()
    for name, value, seen in (("maxclients", "123", "123"), ("perdure-durability", "standard", "standard"),
                              ("perdure-sync-interval", "50", "50ms"), ("perdure-retention-time", "7200s", "2h"),
                              ("perdure-retention-size", "1gib", str(1 << 30)), ("slowlog-log-slower-than", "-1", "-1"),
                              ("slowlog-max-len", "7", "7")):
        connection.expect("OK", "CONFIG", "SET", name, value)
        assert get(connection, name) == seen, name
    assert get(connection, "appendfsync") == "everysec"
    assert b"durability:standard" in connection.command("INFO", "perdure").replace(b"_", b"").replace(b"defaultdurability", b"durability")
    connection.expect("OK", "CONFIG", "SET", "perdure-durability", "strict", "maxclients", "10000",
                      "perdure-retention-time", "24h", "perdure-retention-size", "10GiB", "slowlog-log-slower-than",
                      "10000", "slowlog-max-len", "128", "perdure-sync-interval", "100ms")
    connection.expect("OK", "CONFIG", "SET", "save", "")


def test_config_set_refuses(world):
    connection = world.connect()
    assert "out of range: 1 to 1000000" in refused(connection, "maxclients", "0")
    assert "needs a restart" in refused(connection, "port", "1")
    assert "needs a restart" in refused(connection, "perdure-segment-size", "1mib")
    assert "at least 64MiB" in refused(connection, "maxmemory", "63mib")
    assert "did you mean strict?" in refused(connection, "perdure-durability", "stict")
    assert "Unknown option" in refused(connection, "no-such-thing", "1")
    assert "immutable" in refused(connection, "databases", "2")
    assert "duplicate" in refused(connection, "maxclients", "10", "MAXCLIENTS", "11")


def test_config_set_is_all_or_nothing(world):
    connection = world.connect()
    before = get(connection, "slowlog-max-len"), get(connection, "maxclients")
    # The range allows it, the limit of open files does not: that is found out when the first is set already.
    reply = refused(connection, "slowlog-max-len", "99", "maxclients", "999999")
    assert "open files" in reply or "maxclients" in reply, reply
    assert (get(connection, "slowlog-max-len"), get(connection, "maxclients")) == before


def test_hangup_loads_the_file_again(world):
    path = write(world, "live.toml", "[server]\nmax-clients = 50\n")
    server = world.new_server("reload", ["--config", path])
    server.start()
    connection = world.connect(server)
    write(world, "live.toml", '[server]\nmax-clients = 60\naccept-damage = true\n[durability]\nlevel = "standard"\n')
    server.process.send_signal(signal.SIGHUP)
    wait_for(server, f"SIGHUP: loaded {path}")
    printed = server.printed()
    assert f"{path}:2: server.max-clients is 60 now" in printed, printed
    assert f"warning: {path}:3: server.accept-damage = yes needs a restart" in printed, printed
    assert f"warning: {path}:5: durability.level standard: a power cut may lose" in printed, printed
    assert get(connection, "maxclients") == "60" and get(connection, "perdure-durability") == "standard"
    since = len(printed)
    write(world, "live.toml", "[server]\nmax-clients = 70\nrsep = 1\n")
    server.process.send_signal(signal.SIGHUP)
    wait_for(server, "was not taken, nothing has changed", since)
    assert get(connection, "maxclients") == "60"
    connection.expect("OK", "SET", "a", "b")
    assert server.stop() == 0


def test_pipe_is_not_waited_for(world):
    """Opening one waits until somebody writes to it: a server would stand still."""
    path = world.path("pipe.toml")
    os.mkfifo(path)
    status, stdout, stderr = world.perdure("config", "check", path, check=False)
    assert status == USAGE and "is a pipe or a device" in stdout + stderr, (status, stdout, stderr)


def test_hangup_without_a_file(world):
    world.server.process.send_signal(signal.SIGHUP)
    wait_for(world.server, "there is no configuration file")
    world.connect().expect("PONG", "PING")


def test_level_that_cannot_be_kept_is_refused_live(world):
    server = world.new_server("in-memory", ["--memory"])
    server.start()
    connection = world.connect(server)
    assert get(connection, "perdure-durability") == "none"
    refused(connection, "perdure-durability", "strict")
    assert get(connection, "perdure-durability") == "none"


def test_port_taken_says_so(world):
    port = free_port()
    first = world.new_server("first", [])
    first.start(port=port)
    fails(world, "server", "--data", world.path("second"), "--resp", port, texts=(f"port {port} is taken",))
