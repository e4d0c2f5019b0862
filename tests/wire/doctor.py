"""perdure doctor: what it finds on sane and on bad directories, and what it says to do."""

import ctypes
import json
import os

from broken_disk import LIBC, fill_up
from faults import small_disk

MS_RDONLY, MS_REMOUNT = 1, 32
SOUND, WARNINGS, DANGER = 0, 1, 2


def examine(world, directory):
    """(exit status, findings by check; of several of one check the worst)"""
    status, stdout, stderr = world.perdure("doctor", "--data", directory, "-o", "json", check=False)
    assert stderr == "", stderr
    report = json.loads(stdout)
    order = ["ok", "note", "warning", "danger"]
    worst = max((order.index(finding["severity"]) for finding in report["findings"]), default=0)
    assert report["worst"] == order[worst] and status == report["exit_status"] == (0, 0, 1, 2)[worst], report
    found = {}
    for finding in sorted(report["findings"], key=lambda finding: order.index(finding["severity"])):
        found[finding["check"]] = finding
        assert finding["severity"] not in ("warning", "danger") or finding.get("fix"), finding
    return status, found


def severity(found, check):
    return found.get(check, {}).get("severity")


def new_directory(world, name):
    directory = world.path(name)
    os.makedirs(directory, mode=0o700)
    return directory


# ---- sane ----


def test_directory_of_a_running_server(world):
    before = sorted(os.listdir(world.server.directory))
    _, found = examine(world, world.server.directory)
    for check in ("directory.mode", "directory.format", "server", "settings.durability", "settings.listeners", "disk.sync",
                  "disk.room", "memory.budget"):
        assert severity(found, check) in ("ok", "warning"), found
    assert not [check for check, finding in found.items() if finding["severity"] == "danger"], found
    assert str(world.server.pid) in found["server"]["text"], found
    assert "ms (p50)" in found["disk.sync"]["text"], found
    assert sorted(os.listdir(world.server.directory)) == before, "it left something behind"


def test_text(world):
    status, stdout, _ = world.perdure("doctor", "--data", world.server.directory, check=False)
    assert status in (SOUND, WARNINGS) and "directory.format" in stdout and "0 dangers" in stdout.splitlines()[-1], stdout
    assert "\x1b" not in stdout, stdout
    _, problems, _ = world.perdure("doctor", "--data", world.server.directory, "--problems", check=False)
    assert "directory.format" not in problems and "0 dangers" in problems, problems


def test_directory_of_a_killed_server(world):
    world.server.kill()
    _, found = examine(world, world.server.directory)
    assert severity(found, "directory.lock") == "note" and severity(found, "server") == "note", found
    assert severity(found, "directory.format") == "ok", found


def test_directory_that_is_not_there(world):
    directory = world.path("not/yet/there")
    _, found = examine(world, directory)
    assert severity(found, "directory") == "note" and severity(found, "disk.sync") in ("ok", "warning"), found
    assert not os.path.exists(world.path("not")), "it made something"


# ---- bad ----


def test_modes(world):
    directory = new_directory(world, "modes")
    assert severity(examine(world, directory)[1], "directory.mode") == "ok"
    os.chmod(directory, 0o755)
    assert severity(examine(world, directory)[1], "directory.mode") == "warning"
    os.chmod(directory, 0o770)
    status, found = examine(world, directory)
    assert status == DANGER and severity(found, "directory.mode") == "danger" and "chmod 0700" in found["directory.mode"]["fix"], found


def test_files_of_somebody_else(world):
    directory = new_directory(world, "owners")
    with open(os.path.join(directory, "MANIFEST"), "w"):
        pass
    os.chown(os.path.join(directory, "MANIFEST"), 12345, 12345)
    _, found = examine(world, directory)
    assert severity(found, "directory.owner") == "danger" and "12345" in found["directory.owner"]["text"], found
    assert "chown" in found["directory.owner"]["fix"], found


def test_foreign_files(world):
    directory = new_directory(world, "foreign")
    with open(os.path.join(directory, "photo\x1b[31m.jpg"), "w"):
        pass
    status, found = examine(world, directory)
    assert status == DANGER and "photo" in found["directory.files"]["text"] and "--data" in found["directory.files"]["fix"], found
    _, stdout, _ = world.perdure("doctor", "--data", directory, check=False)
    assert "\x1b" not in stdout, stdout
    status, _, stderr = world.perdure("server", "--data", directory, "--resp", "0", check=False)
    assert status != 0 and "photo" in stderr, "a server does start in it"


def test_what_is_no_directory(world):
    path = world.path("file")
    with open(path, "w"):
        pass
    status, found = examine(world, path)
    assert status == DANGER and "not a directory" in found["directory"]["text"], found


def test_formats(world):
    directory = new_directory(world, "format")
    manifest = os.path.join(directory, "MANIFEST")
    with open(manifest, "w") as file:
        file.write("perdure 99\n")
    _, found = examine(world, directory)
    assert severity(found, "directory.format") == "danger" and "version" in found["directory.format"]["fix"], found
    with open(manifest, "w") as file:
        file.write("nonsense\n")
    _, found = examine(world, directory)
    assert severity(found, "directory.format") == "danger" and "backup" in found["directory.format"]["fix"], found
    os.unlink(manifest)
    os.makedirs(os.path.join(directory, "log"))
    _, found = examine(world, directory)
    assert severity(found, "directory.format") == "danger" and "missing" in found["directory.format"]["text"], found


def test_damaged_state(world):
    directory = new_directory(world, "damaged")
    os.makedirs(os.path.join(directory, "store/0000"))
    with open(os.path.join(directory, "store/0000/DAMAGED"), "w"):
        pass
    _, found = examine(world, directory)
    assert severity(found, "directory.damage") == "danger" and "restart" in found["directory.damage"]["fix"], found


def test_memory_that_looks_like_a_disk(world):
    with small_disk(world, 300) as directory:
        status, found = examine(world, directory)
        assert status == DANGER and "tmpfs" in found["disk.filesystem"]["text"], found
        assert severity(found, "disk.honesty") == "danger" or "asan" in world.binary, found


def test_disk_without_room(world):
    with small_disk(world, 300) as directory:
        os.makedirs(os.path.join(directory, "data"), mode=0o700)
        filler = fill_up(directory, 10)
        status, found = examine(world, os.path.join(directory, "data"))
        assert status == DANGER and severity(found, "disk.room") == "danger" and "make room" in found["disk.room"]["fix"], found
        os.unlink(filler)
        fill_up(directory, 0)
        _, found = examine(world, os.path.join(directory, "data"))
        assert severity(found, "disk.sync") == "danger" and "make room" in found["disk.sync"]["fix"], found


def test_disk_that_cannot_be_written(world):
    with small_disk(world, 300) as directory:
        os.makedirs(os.path.join(directory, "data"), mode=0o700)
        assert LIBC.mount(b"perdure-test", directory.encode(), b"tmpfs", MS_REMOUNT | MS_RDONLY, None) == 0, os.strerror(ctypes.get_errno())
        status, found = examine(world, os.path.join(directory, "data"))
        assert status == DANGER and severity(found, "disk.options") == "danger" and "remount,rw" in found["disk.options"]["fix"], found
        assert severity(found, "disk.sync") == "danger", found


def test_settings(world):
    server = world.new_server("weak", ["--durability", "none", "--memory-budget", "64MiB"])
    server.start()
    status, found = examine(world, server.directory)
    assert status == DANGER and severity(found, "settings.durability") == "danger", found
    assert "--durability strict" in found["settings.durability"]["fix"], found
    assert "64 MiB" in found["memory.budget"]["text"], found
    server.stop()
    server.options = ["--durability", "standard", "--retention-size", "100TiB"]
    server.start()
    _, found = examine(world, server.directory)
    assert severity(found, "settings.durability") == "warning" and severity(found, "disk.room") == "warning", found


def test_open_to_everybody(world):
    server = world.new_server("open", ["--bind", "0.0.0.0", "--allow-open"])
    server.is_ready = lambda printed: f":{server.port}" in printed and "ready" in printed
    server.start()
    status, found = examine(world, server.directory)
    assert status == DANGER and severity(found, "settings.listeners") == "danger", found
    assert "perdure user add" in found["settings.listeners"]["fix"], found
    world.run(world.binary, "user", "add", "ann", "--role", "admin", "--data", server.directory, input=b"ann-secret\n")
    _, found = examine(world, server.directory)
    assert severity(found, "settings.listeners") == "ok", found


def test_few_files(world):
    status, stdout, _ = world.run("/bin/sh", "-c", f"ulimit -n 512 && exec {world.binary} doctor --data {world.path('few')} -o json",
                                  check=False)
    found = {finding["check"]: finding for finding in json.loads(stdout)["findings"]}
    assert status == WARNINGS and found["limits.files"]["severity"] == "warning" and "LimitNOFILE" in found["limits.files"]["fix"], found


def test_wrong_command_line(world):
    status, stdout, stderr = world.perdure("doctor", "--dta", "x", check=False)
    assert status == 2 and stdout == "" and "did you mean --data" in stderr, stderr
