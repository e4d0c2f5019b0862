"""`perdure log repair`: what can be healed is healed, what is lost is named, nothing is deleted."""

import glob
import json
import os
import shutil

from log_tool import closed_log, flip, fingerprint, fresh, segments, verify
from resp_connection import RespError

BUSY, DAMAGED, USAGE = 3, 4, 2
SECTOR = 512


def repair(world, directory, *options, status=0):
    got, stdout, stderr = world.perdure("log", "repair", "--data", directory, "-o", "json", *options, check=False)
    assert got == status, f"{options}: {got} instead of {status}: {stdout[-1500:]} {stderr}"
    return json.loads(stdout)


def serve(world, name):
    """A server on the directory as it is."""
    server = world.new_server(name, [])
    server.start()
    return server


def place_of(path, text):
    with open(path, "rb") as file:
        return file.read().find(text)


def content_of(path):
    with open(path, "rb") as file:
        return file.read()


def spoil(path, offset):
    """Garbage in place of a sector's content: more than a bit."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(b"garbage!" * 4)


def expect_values(world, server, but=None, keys=100):
    """Every key of every actor but one, as closed_log() set it."""
    connection = world.connect(server)
    for number in range(keys):
        if number % 3 == but:
            continue
        connection.expect(f"value-{number}".encode() * (1 + number % 7), "GET", f"{{actor-{number % 3}}}key:{number}")
    return connection


def unchanged(directory):
    """Every file but the lock, in which the last process that asked for it is named."""
    return {path: what for path, what in fingerprint(directory).items() if os.path.basename(path) != "LOCK"}


def is_aside(directory, content):
    for path in glob.glob(os.path.join(directory, "set-aside", "*")):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                if file.read() == content:
                    return True
    return False


def test_refused_beside_a_server(world):
    for options in ((), ("--dry-run",)):
        status, _, stderr = world.perdure("log", "repair", "--data", world.server.directory, *options, check=False)
        assert status == BUSY and str(world.server.pid) in stderr, (status, stderr)


def test_nothing_to_do(world):
    directory = closed_log(world, "repair-sound")
    report = repair(world, directory)
    assert report["damage_before"] == 0 and not report["steps"] and not report["lost"], report
    assert not os.path.exists(os.path.join(directory, "set-aside"))


def test_a_flipped_bit(world):
    directory = closed_log(world, "repair-bit")
    path = segments(directory)[0]
    flip(path, 8 * place_of(path, b"key:50"))
    with open(path, "rb") as file:
        damaged = file.read()
    before = unchanged(directory)
    report = repair(world, directory, "--dry-run")
    assert report["dry_run"] and report["damage_after"] == 0 and report["steps"][0]["kind"] == "bit", report
    assert report["steps"][0]["first_lsn"] <= 52 <= report["steps"][0]["last_lsn"], report
    assert unchanged(directory) == before
    status, stdout, _ = world.perdure("log", "repair", "--data", directory)
    assert status == 0 and "put right: segment 0000000001" in stdout and "the log is sound" in stdout, stdout
    assert verify(world, directory)["damage_count"] == 0
    assert is_aside(directory, damaged)
    expect_values(world, serve(world, "repair-bit")).close()


def large_log(world, name):
    """A directory with a record of which no checksum proves a flipped bit, and that bit flipped."""
    server = fresh(world, name)
    connection = world.connect(server)
    for number in (1, 2):
        connection.expect("OK", "SET", f"{{actor-{number}}}before", "1")
    connection.expect("OK", "SET", "{actor-2}large", "a bit of this" + 100000 * "x")
    connection.expect("OK", "SET", "{actor-1}after", "2")
    connection.close()
    assert server.stop() == 0
    path = segments(server.directory)[0]
    flip(path, 8 * place_of(path, b"a bit of this") + 5)
    return server.directory


def test_a_bit_that_nothing_proves(world):
    """It is left as it is, and the state, until somebody decides; then it is told at what risk."""
    directory = large_log(world, "repair-doubt")
    before = unchanged(directory)
    for options in (("--dry-run",), ()):
        report = repair(world, directory, *options, status=DAMAGED)
        [doubt] = report["doubts"]
        assert not doubt["taken"] and 4000 < doubt["one_in"] < 1 << 20 and report["undecided"] == 1, report
        assert [actor["actor"] for actor in doubt["actors"]] == ["actor-2"], report
        assert not report["steps"] and report["damage_after"] == 1, report
        assert unchanged(directory) == before
    status, stdout, _ = world.perdure("log", "repair", "--data", directory, check=False)
    assert status == DAMAGED and "of default/actor-2: it looks like one flipped bit" in stdout, stdout
    assert "--flipped-bits" in stdout and "nothing was done to the state" in stdout, stdout
    status, _, stderr = world.perdure("log", "repair", "--data", directory, "--release", "actor-2", check=False)
    assert status == DAMAGED and "--flipped-bits" in stderr, (status, stderr)
    status, stdout, _ = world.perdure("log", "repair", "--data", directory, "--flipped-bits", "--dry-run", check=False)
    assert status == 0 and "risk: segment 0000000001" in stdout and "was never written" in stdout, stdout
    assert unchanged(directory) == before
    report = repair(world, directory, "--flipped-bits")
    assert report["doubts"][0]["taken"] and report["undecided"] == 0 and report["damage_after"] == 0, report
    server = serve(world, "repair-doubt")
    connection = world.connect(server)
    connection.expect(b"a bit of this" + 100000 * b"x", "GET", "{actor-2}large")
    connection.expect(b"2", "GET", "{actor-1}after")
    connection.close()


def test_a_bit_that_is_given_up(world):
    directory = large_log(world, "repair-given-up")
    report = repair(world, directory, "--accept-damage", status=DAMAGED)
    assert not report["doubts"][0]["taken"] and report["undecided"] == 0, report
    assert [actor["actor"] for actor in report["actors"]] == ["actor-2"] and report["actors"][0]["quarantined"], report
    assert report["damage_after"] == 0 and verify(world, directory)["damage_count"] == 0, report


def footer_of(path):
    """Where the index of a sealed segment begins."""
    with open(path, "rb") as file:
        data = file.read()
    for offset in range(0, len(data), SECTOR):
        if data[offset:offset + 4] == b"PDG1" and data[offset + 56] == 3:
            return offset + 64
    raise AssertionError(f"{path} has no footer")


def test_an_index(world):
    """The groups tell what a segment's index was, whatever stands there now."""
    directory = closed_log(world, "repair-index", "--segment-size", 64 * 1024, keys=400)
    paths = segments(directory)
    before = [content_of(path) for path in paths]
    assert len(paths) > 2, paths
    for path in paths:
        spoil(path, footer_of(path))
    report = repair(world, directory)
    assert [step["kind"] for step in report["steps"]] == ["index"] * len(paths), report
    assert [content_of(path) for path in paths] == before
    assert verify(world, directory)["damage_count"] == 0


def test_what_is_lost(world):
    """No copy: the actor stays quarantined and is named, all others are served, and later starts meet no damage."""
    directory = closed_log(world, "repair-lost")
    path = segments(directory)[0]
    spoil(path, place_of(path, b"key:50"))
    with open(path, "rb") as file:
        damaged = file.read()
    report = repair(world, directory, status=DAMAGED)
    assert [actor["actor"] for actor in report["actors"]] == ["actor-2"] and report["actors"][0]["quarantined"], report
    assert report["actors"][0]["first_lsn"] <= 52 <= report["actors"][0]["last_lsn"], report
    assert report["lost"][0]["first_lsn"] <= 52 and report["damage_after"] == 0, report
    assert verify(world, directory)["damage_count"] == 0
    assert is_aside(directory, damaged)
    server = serve(world, "repair-lost")
    connection = expect_values(world, server, but=2)
    reply = connection.command("GET", "{actor-2}key:2")
    assert isinstance(reply, RespError) and "quarantined" in str(reply), reply
    connection.close()
    assert server.stop() == 0
    status, _, stderr = world.perdure("log", "repair", "--data", directory, "--release", "actor-1", check=False)
    assert status == 1 and "not quarantined" in stderr, (status, stderr)
    report = repair(world, directory, "--release", "actor-2")
    assert report["actors"][0]["released"] and not report["actors"][0]["quarantined"], report
    server = serve(world, "repair-lost")
    connection = expect_values(world, server, but=2)
    connection.expect(b"value-2" * 3, "GET", "{actor-2}key:2")
    connection.expect(None, "GET", "{actor-2}key:50")
    connection.close()


def test_a_copy(world):
    """A server has noted who is quarantined; the copy has what was lost, and everybody is served again."""
    directory = closed_log(world, "repair-copy")
    copy = world.path("repair-copy-of-it")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(directory, copy, symlinks=True)
    path = segments(directory)[0]
    spoil(path, place_of(path, b"key:50"))
    server = serve(world, "repair-copy")
    connection = world.connect(server)
    assert isinstance(connection.command("GET", "{actor-2}key:2"), RespError)
    connection.expect("OK", "SET", "{actor-1}later", "x")
    connection.close()
    world.perdure("store", "checkpoint", "--data", directory)
    assert server.stop() == 0
    report = repair(world, directory, "--from", copy)
    assert any(step["kind"] == "copy" for step in report["steps"]), report
    assert [actor["healed"] for actor in report["actors"]] == [True] and report["state_made_again"], report
    server = serve(world, "repair-copy")
    connection = expect_values(world, server)
    connection.expect(b"x", "GET", "{actor-1}later")
    connection.close()


def test_another_log_is_no_copy(world):
    directory = closed_log(world, "repair-one")
    other = closed_log(world, "repair-other")
    before = unchanged(directory)
    status, _, stderr = world.perdure("log", "repair", "--data", directory, "--from", other, check=False)
    assert status == 1 and "another log" in stderr, (status, stderr)
    assert unchanged(directory) == before


def test_a_missing_file(world):
    directory = closed_log(world, "repair-missing", "--segment-size", 64 * 1024, keys=400)
    paths = segments(directory)
    copy = world.path("repair-missing-copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(os.path.dirname(paths[0]), copy)
    os.unlink(paths[1])
    report = repair(world, directory, "--from", copy)
    assert [step["kind"] for step in report["steps"]] == ["segment"], report
    assert segments(directory)[1] == paths[1]
    expect_values(world, serve(world, "repair-missing"), keys=400).close()


def test_the_manifest(world):
    directory = closed_log(world, "repair-manifest")
    path = os.path.join(directory, "MANIFEST")
    flip(path, 8 * 40)
    report = repair(world, directory)
    assert report["manifest_written"], report
    expect_values(world, serve(world, "repair-manifest")).close()


def test_words(world):
    _, stdout, _ = world.perdure("log", "repair", "--help")
    assert "Examples:" in stdout and "set-aside" in stdout and "Exit status:" in stdout, stdout
    status, _, stderr = world.perdure("log", "repair", "--dry-run", "--release", "x", check=False)
    assert status == USAGE and "--release" in stderr, (status, stderr)
    status, _, stderr = world.perdure("log", "repair", "--data", world.path("nowhere"), check=False)
    assert status == 1 and "--data" in stderr, (status, stderr)
