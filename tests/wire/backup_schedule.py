"""Backups that a server makes by itself: what is due at the start, by the second, and when the repository comes back; what is proven; what is
changed while it runs; what is told of it."""

import json
import os
import re
import signal
import time
import urllib.request

from processes import free_port
from resp_connection import RespConnection, RespError

PATIENCE_S = 200  # of a slow machine


def listed(world, vault, *options):
    _, stdout, _ = world.perdure("backup", "ls", "--repository", vault, "-o", "json", *options)
    return [json.loads(line) for line in stdout.splitlines()]


def information(server):
    with RespConnection(server.port) as connection:
        lines = connection.command("INFO", "backup").decode().split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


def wait_for(server, what):
    end = time.monotonic() + PATIENCE_S
    while True:
        found = information(server)
        if what(found):
            return found
        assert time.monotonic() < end, (found, server.printed())
        time.sleep(0.2)


def fields(text):
    return dict(field.split("=", 1) for field in text.split(","))


def metric(server, port, name):
    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60).read().decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, flags=re.MULTILINE)
    assert found, (name, page)
    return float(found.group(1))


def test_due_at_the_start(world):
    """An empty repository gets a full one at once, under its key; a restart makes nothing; a drill is heard of."""
    vault, key = world.path("start-vault"), world.path("start-key")
    os.mkdir(vault)
    with open(key, "wb") as file:
        file.write(os.urandom(32))
    http = free_port()
    server = world.new_server("start", ["--backup-repository", vault, "--backup-key-file", key, "--backup-full", "0 3 1 1 *",
                                        "--backup-log", "@yearly", "--http", str(http)])
    server.start()
    found = wait_for(server, lambda found: "made=1" in found.get("backup_full", ""))
    full = fields(found["backup_full"])
    assert found["backup_failure"] == "" and found["backup_state"] == "scheduled", found
    assert [line["id"] for line in listed(world, vault, "--key-file", key)] == [full["id"]]
    assert metric(server, http, "perdure_backup_configured") == 1
    assert metric(server, http, 'perdure_backup_lsn{kind="full"}') == int(full["lsn"])
    assert metric(server, http, 'perdure_backups_total{kind="full",result="made"}') == 1
    assert metric(server, http, 'perdure_backup_age_seconds{kind="full"}') < PATIENCE_S
    assert metric(server, http, "perdure_backup_proven_lsn") == 0
    assert "keep a copy of it" in server.printed()
    world.perdure("backup", "drill", "--repository", vault, "--key-file", key, timeout=300)
    server.stop()
    server.start()
    found = wait_for(server, lambda found: found["backup_state"] == "scheduled")
    assert fields(found["backup_full"])["id"] == full["id"] and fields(found["backup_full"])["made"] == "0", found
    assert found["backup_proven_lsn"] == full["lsn"] and found["backup_count"] == "1", found
    assert metric(server, http, "perdure_backup_proven_lsn") == int(full["lsn"])
    assert metric(server, http, "perdure_backup_proven_age_seconds") < PATIENCE_S


def test_by_the_second(world):
    """Incremental each two seconds, and what is old goes; beside it a server whose repository is not there, and comes."""
    vault, away = world.path("second-vault"), world.path("away-vault")
    os.mkdir(vault)
    server = world.new_server("second", ["--backup-repository", vault, "--backup-incremental", "*/2 * * * * *", "--backup-expire", "* * * * * *",
                                         "--backup-keep", "1"])
    other = world.new_server("away", ["--backup-repository", away, "--backup-full", "@daily"])
    server.start()
    other.start()
    found = wait_for(other, lambda found: found["backup_state"] == "failing")
    assert "there is no directory" in found["backup_failure"], found
    assert "tried again in" in other.printed() and not os.path.exists(away)
    with RespConnection(other.port) as connection:
        connection.expect("OK", "SET", "a", "b")
    os.mkdir(away)
    wait_for(server, lambda found: "made=1" in found["backup_full"])
    assert "a full one is made instead of incremental" in server.printed()
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "a", "b")
    wait_for(server, lambda found: "made=0" not in found["backup_incremental"] and int(found["backup_expired"]) > 0)
    left = listed(world, vault)
    assert left and all(line["id"].endswith("-incremental") for line in left), left
    # It would be tried again within a minute: with changed settings that is at once.
    with RespConnection(other.port) as connection:
        connection.expect("OK", "CONFIG", "SET", "perdure-backup-full", "@hourly")
    found = wait_for(other, lambda found: "made=1" in found["backup_full"])
    assert found["backup_state"] == "scheduled", found
    assert len(listed(world, away)) == 1


def test_changed_while_it_runs(world):
    """What is made where is changed by CONFIG SET and by the file; what makes no sense is refused, and changes nothing."""
    first, second, path = world.path("first-vault"), world.path("second-place"), world.path("changed.toml")
    os.mkdir(first)
    os.mkdir(second)

    def write(*lines):
        with open(path, "w", encoding="utf-8") as file:
            file.write("[backup]\n" + "".join(f"{line}\n" for line in lines))

    write()
    server = world.new_server("changed", ["--config", path])
    server.start()
    assert information(server)["backup_state"] == "off"
    with RespConnection(server.port) as connection:
        for name, value, says in (("full", "0 3 * *", "has five fields"), ("repository", "here", "a path from / on"),
                                  ("drill-directory", "here", "a path from / on"), ("keep", "-1", "")):
            reply = connection.command("CONFIG", "SET", f"perdure-backup-{name}", value)
            assert isinstance(reply, RespError) and says in str(reply), (name, reply)
        connection.expect("OK", "CONFIG", "SET", "perdure-backup-repository", first, "perdure-backup-full", "@yearly")
        wait_for(server, lambda found: "made=1" in found.get("backup_full", ""))
        connection.expect("OK", "CONFIG", "SET", "perdure-backup-repository", second)
        found = wait_for(server, lambda found: "made=2" in found.get("backup_full", ""))
        assert found["backup_repository"] == second, found
        assert len(listed(world, first)) == len(listed(world, second)) == 1
        connection.expect("OK", "SET", "a", "b")
        write(f'repository = "{second}"', 'log = "* * * * * *"', 'expire = "* * * * * *"', "keep = 1")
        server.process.send_signal(signal.SIGHUP)
        wait_for(server, lambda found: "made=0" not in found["backup_log"] and found["backup_next"] in ("log", "expire"))
        write()
        server.process.send_signal(signal.SIGHUP)
        wait_for(server, lambda found: found["backup_state"] == "off")
        connection.expect("OK", "SET", "a", "c")
    assert "no backups are made by schedule any more" in server.printed()


def test_by_profile(world):
    """What is written to an actor is in a backup soon, as its durability profile says; what waits is told of each profile."""
    vault, http = world.path("profile-vault"), free_port()
    os.mkdir(vault)
    server = world.new_server("profile", ["--backup-repository", vault, "--backup-full", "@yearly", "--backup-every-critical", "1s",
                                          "--http", str(http)])
    server.start()
    found = wait_for(server, lambda found: "made=1" in found.get("backup_full", ""))
    with RespConnection(server.port) as connection:
        connection.expect("OK", "PD.USE", "fast")
        connection.expect("OK", "SET", "a", "b")
        connection.expect("OK", "PD.PROFILE", "ACTOR", "fast", "performance")
        wait_for(server, lambda found: "made=0" not in found["backup_log"] and fields(found["backup_waiting"])["critical_us"] == "0")
        connection.expect("OK", "SET", "a", "c")
        waits = metric(server, http, 'perdure_backup_waiting_seconds{profile="performance"}')
        assert waits > 0 and metric(server, http, 'perdure_backup_waiting_seconds{profile="critical"}') == 0, waits
        made = int(fields(information(server)["backup_log"])["made"])
        connection.expect("OK", "PD.USE", "main")
        connection.expect("OK", "SET", "a", "b")
        found = wait_for(server, lambda found: int(fields(found["backup_log"])["made"]) > made)
        # It is of the log, which has everybody's writes.
        wait_for(server, lambda found: fields(found["backup_waiting"]) == {"critical_us": "0", "standard_us": "0", "performance_us": "0"})
    status, stdout, stderr = world.perdure("server", "--data", world.path("none"), "--backup-every-standard", "5m", check=False)
    assert status == 2 and "needs --backup-repository" in stdout + stderr, (status, stdout, stderr)


def test_unmounted(world):
    """A place that is empty, where there was a repository, is a disk that is missing: nothing is made there, unless that is said."""
    vault, mounted = world.path("disk"), world.path("mounted")
    os.mkdir(vault)
    server = world.new_server("unmounted", ["--backup-repository", vault, "--backup-full", "@yearly"])
    server.start()
    wait_for(server, lambda found: "made=1" in found.get("backup_full", ""))
    os.rename(vault, mounted)
    os.mkdir(vault)
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "a", "b")
    status, _, stderr = world.perdure("backup", "full", "--data", server.directory, "--repository", vault, check=False)
    assert status == 1 and "is its disk mounted?" in stderr and "--new-repository" in stderr, (status, stderr)
    assert os.listdir(vault) == []
    world.perdure("backup", "full", "--data", server.directory, "--repository", vault, "--new-repository")
    assert len(listed(world, vault)) == len(listed(world, mounted)) == 1
    world.perdure("backup", "full", "--data", server.directory, "--repository", vault)


def test_drill(world):
    """What there is is proven recoverable by the server itself, in its own directory, of which nothing is left; elsewhere nothing is proven, and that is told."""
    vault, http = world.path("drill-vault"), free_port()
    os.mkdir(vault)
    server = world.new_server("drill", ["--backup-repository", vault, "--backup-full", "@yearly", "--backup-drill", "@yearly", "--http", str(http)])
    other = world.new_server("vain", ["--backup-repository", world.path("vain-vault"), "--backup-full", "@yearly", "--backup-drill", "@yearly",
                                      "--backup-drill-directory", world.path("nowhere")])
    os.mkdir(world.path("vain-vault"))
    server.start()
    other.start()
    found = wait_for(server, lambda found: "passed=1" in found.get("backup_drill", ""))
    full, drill = fields(found["backup_full"]), fields(found["backup_drill"])
    assert drill["id"] == full["id"] and drill["lsn"] == full["lsn"] == found["backup_proven_lsn"], found
    assert drill["compared"] == "1" and drill["failing"] == "0" and int(drill["rto_us"]) > 0, found
    assert not [name for name in os.listdir(server.directory) if "drill" in name], os.listdir(server.directory)
    assert f"drill of {full['id']}: recovered in" in server.printed()
    assert metric(server, http, "perdure_backup_proven_lsn") == int(full["lsn"])
    assert metric(server, http, 'perdure_backup_drills_total{result="passed"}') == 1
    assert metric(server, http, "perdure_backup_drill_failing") == 0
    assert metric(server, http, "perdure_backup_drill_rto_seconds") > 0
    assert metric(server, http, "perdure_backup_drill_duration_seconds") > 0
    _, stdout, _ = world.perdure("backup", "schedule", "--data", server.directory, "-o", "json")
    told = json.loads(stdout)
    assert told["proven_lsn"] == int(full["lsn"]) and told["drills_passed"] == 1 and told["full"]["id"] == full["id"], told
    _, stdout, _ = world.perdure("backup", "schedule", "--data", server.directory)
    assert f"to LSN {full['lsn']}" in stdout and "(RTO)" in stdout, stdout
    found = wait_for(other, lambda found: "failed=1" in found.get("backup_drill", "") and found["backup_state"] == "failing")
    assert "recovery is not proven, the drill failed" in found["backup_failure"], found
    status, stdout, _ = world.perdure("backup", "schedule", "--data", other.directory, check=False)
    assert status == 1 and "nothing yet: no drill has passed" in stdout, stdout


def test_refused(world):
    """What cannot be is said before anything starts."""
    for line, says in (('full = "0 3 * *"', "has five fields"), ('full = "0 0 31 2 *"', "is never"), ('log = "@reboot"', "@daily"),
                       ('expire = "@daily"', "needs a rule of what stays"), ('drill-directory = "here"', "is a path from / on")):
        path = world.path("refused.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'[backup]\nrepository = "/nowhere"\n{line}\n')
        status, stdout, stderr = world.perdure("config", "check", path, check=False)
        assert status != 0 and says in stdout + stderr, (line, stdout, stderr)
