"""The archive: the log followed into a directory, looked at, and had back, by the server and by perdure archive."""

import json
import os
import re
import shutil
import sys
import time
import urllib.request

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "objects"))

import fake_s3  # noqa: E402
from processes import free_port  # noqa: E402
from resp_connection import RespConnection  # noqa: E402

FAILURE, USAGE, BUSY, DAMAGED = 1, 2, 3, 4


def as_map(reply):
    return {key.decode(): value for key, value in zip(reply[::2], reply[1::2])}


def status_of(server):
    with RespConnection(server.port) as connection:
        return as_map(connection.command("PD.ARCHIVE", "STATUS"))


def wait_for(server, what, seconds=60):
    end = time.monotonic() + seconds
    while True:
        status = status_of(server)
        if what(status):
            return status
        assert time.monotonic() < end, status
        time.sleep(0.05)


def settled(status):
    return status["state"] == b"following" and status["archived_lsn"] == status["durable_lsn"]


def archived(world, name, *options, keys=2000):
    """A server with an archive and something in it."""
    place = world.path(name + "-archive")
    os.makedirs(place)
    server = world.new_server(name, ["--archive", place, "--archive-interval", "100ms", "--segment-size", "256KiB", *options])
    server.start()
    with RespConnection(server.port) as connection:
        for i in range(keys):
            connection.expect("OK", "SET", f"key{i}", f"{i:08d}" * 40)
    return server, place


def objects(place):
    found = []
    for directory, _, names in os.walk(place):
        found += [os.path.join(directory, name) for name in names if name.endswith((".whole", ".piece", ".last"))]
    return sorted(found)


def state_hash(server):
    with RespConnection(server.port) as connection:
        return connection.command("PD.STATEHASH")


def test_a_lost_directory_comes_back(world):
    server, place = archived(world, "lost")
    hash_before = state_hash(server)
    status = wait_for(server, settled)
    assert status["base_lsn"] == 1 and status["gaps"] == 0 and status["failures"] == 0 and status["bytes"] > 256 * 1024, status
    server.kill()
    shutil.rmtree(server.directory)
    again = world.path("lost-again")
    _, stdout, _ = world.perdure("archive", "fetch", "--archive", place, "--to", again, "-o", "json")
    fetched = json.loads(stdout)
    assert fetched["first_lsn"] == 1 and fetched["last_lsn"] == status["archived_lsn"], fetched
    world.perdure("log", "verify", "--data", again)
    # It takes the place of the first, with the same archive.
    other = world.new_server("lost-again", ["--archive", place, "--archive-interval", "100ms"])
    other.start()
    assert state_hash(other) == hash_before
    with RespConnection(other.port) as connection:
        connection.expect("OK", "SET", "more", "1")
    status = wait_for(other, settled)
    assert status["gaps"] == 0 and status["base_lsn"] == 1, status
    assert other.stop() == 0
    world.perdure("archive", "verify", "--archive", place)


def test_looking(world):
    server, place = archived(world, "looked-at")
    status = wait_for(server, settled)
    _, stdout, _ = world.perdure("archive", "status", "--data", server.directory, "-o", "json")
    told = json.loads(stdout)
    assert told["state"] == "following" and told["address"] == place and told["base_lsn"] == 1, told
    _, stdout, _ = world.perdure("archive", "status", "--data", server.directory)
    assert "following" in stdout and place in stdout and "0 gaps" in stdout, stdout
    _, stdout, _ = world.perdure("archive", "ls", "--archive", place, "-o", "json")
    bases = json.loads(stdout)["bases"]
    assert len(bases) == 1 and bases[0]["base_lsn"] == 1 and bases[0]["last_lsn"] >= status["archived_lsn"], bases
    _, stdout, _ = world.perdure("archive", "verify", "--archive", place, "-o", "json")
    checked = json.loads(stdout)
    assert checked["sound"] and checked["damage"] == [] and checked["objects"] == bases[0]["objects"], checked
    with RespConnection(server.port) as connection:
        info = connection.command("INFO", "archive").decode()
    assert "archive_state:following" in info and f"archive_address:{place}" in info, info
    assert server.stop() == 0
    assert "are not archived yet" not in server.printed(), server.printed()


def test_without_one(world):
    assert status_of(world.server) == {"state": b"off"}
    status, stdout, _ = world.perdure("archive", "status", "--data", world.server.directory, check=False)
    assert status == FAILURE and "off" in stdout
    status, _, stderr = world.perdure("archive", "ls", check=False)
    assert status == USAGE and "--archive" in stderr, stderr
    status, _, stderr = world.perdure("archive", "ls", "--archive", world.path("nowhere"), check=False)
    assert status == FAILURE and "nowhere" in stderr, stderr
    empty = world.path("empty")
    os.makedirs(empty)
    status, _, stderr = world.perdure("archive", "verify", "--archive", empty, check=False)
    assert status == FAILURE and "there is no archive" in stderr, stderr


def test_an_address_that_is_none(world):
    for place, words in (("ftp://host/there", "no address"), ("s3://", "names no bucket")):
        status, _, stderr = world.perdure("server", "--data", world.path("no-place"), "--resp", "0", "--http", "0", "--archive", place,
                                          check=False)
        assert status == FAILURE and words in stderr and "--archive" in stderr, stderr


def test_a_directory_that_is_not_mounted_yet(world):
    place = world.path("mounted-later")
    server = world.new_server("early", ["--archive", place, "--archive-interval", "100ms"])
    server.start()
    status = wait_for(server, lambda status: status["state"] == b"failing")
    assert b"make it, or mount it" in status["failure"], status
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "k", "v")
    os.makedirs(place)
    assert wait_for(server, settled)["gaps"] == 0
    assert server.stop() == 0


def test_damage_is_found(world):
    server, place = archived(world, "damaged")
    lsn = wait_for(server, settled)["archived_lsn"]
    assert server.stop() == 0
    paths = objects(place)
    for path in sorted({*paths[::len(paths) // 6 + 1], paths[-1]}):
        with open(path, "rb") as file:
            good = file.read()
        for way, bad in (("flipped", good[:len(good) // 2] + bytes([good[len(good) // 2] ^ 4]) + good[len(good) // 2 + 1:]),
                         ("cut off", good[:-1]), ("missing", None)):
            os.unlink(path)
            if bad is not None:
                with open(path, "wb") as file:
                    file.write(bad)
            status, stdout, stderr = world.perdure("archive", "verify", "--archive", place, check=False)
            # That the last one is gone only those know who know how far it should reach.
            last = way == "missing" and path > objects(place)[-1]
            assert status == DAMAGED and "LSN" in stdout or last, (path, way, status, stdout, stderr)
            to = world.path("from-damage")
            status, _, stderr = world.perdure("archive", "fetch", "--archive", place, "--to", to, "--to-lsn", lsn, check=False)
            assert status != 0 and "LSN" in stderr and not os.path.exists(to), (path, way, stderr)
            if bad is not None:
                os.unlink(path)
            with open(path, "wb") as file:
                file.write(good)
    world.perdure("archive", "verify", "--archive", place)


def test_a_copy_is_refused(world):
    server, place = archived(world, "original", keys=300)
    wait_for(server, settled)
    assert server.stop() == 0
    shutil.copytree(server.directory, world.path("copy"))
    server.start()
    wait_for(server, settled)
    copy = world.new_server("copy", ["--archive", place, "--archive-interval", "100ms"])
    copy.start()
    with RespConnection(copy.port) as connection:
        connection.expect("OK", "SET", "other", "1")
    status = wait_for(copy, lambda status: status["state"] == b"refused")
    assert b"address of its own" in status["failure"], status
    assert "nothing is archived" in copy.printed(), copy.printed()
    code, stdout, _ = world.perdure("archive", "status", "--data", copy.directory, check=False)
    assert code == FAILURE and "refused" in stdout, stdout
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "more", "1")
    wait_for(server, settled)
    world.perdure("archive", "verify", "--archive", place)


def test_an_archive_that_is_away(world):
    http_port = free_port()
    server, place = archived(world, "away", "--retention-time", "0", "--retention-size", "0", "--http", str(http_port), keys=200)
    before = wait_for(server, settled)
    os.rename(place, place + ".away")
    with RespConnection(server.port) as connection:
        for i in range(2000):
            connection.expect("OK", "SET", f"key{i}", "x" * 300)
    status = wait_for(server, lambda status: status["state"] == b"failing")
    assert status["archived_lsn"] >= before["archived_lsn"] and status["lag_bytes"] > 0, status
    world.perdure("log", "compact", "--data", server.directory)
    with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/metrics", timeout=30) as answer:
        page = answer.read().decode()
    assert re.search(r"^perdure_archive_failing 1$", page, re.M) and "perdure_archive_lag_seconds" in page, page[-3000:]
    os.rename(place + ".away", place)
    status = wait_for(server, settled)
    assert status["gaps"] == 0, status
    assert "archiving fails" in server.printed() and "archived again" in server.printed(), server.printed()
    world.perdure("archive", "verify", "--archive", place)
    assert server.stop() == 0


def test_expire_and_hold(world):
    server, place = archived(world, "old")
    wait_for(server, settled)
    assert server.stop() == 0
    before = objects(place)
    assert len(before) > 4
    world.perdure("archive", "hold", "case-1", "--why", "ask \"legal\"", "--archive", place)
    status, stdout, _ = world.perdure("archive", "expire", "--archive", place, "--older-than", "1ms", check=False)
    assert status == FAILURE and "case-1" in stdout and objects(place) == before, stdout
    _, stdout, _ = world.perdure("archive", "holds", "--archive", place, "-o", "json")
    assert json.loads(stdout) == [{"name": "case-1", "why": "ask \"legal\""}], stdout
    status, _, stderr = world.perdure("archive", "hold", "case-1", "--why", "x", "--archive", place, check=False)
    assert status == FAILURE and "already" in stderr, stderr
    world.perdure("archive", "release", "case-1", "--archive", place)
    status, _, stderr = world.perdure("archive", "release", "case-1", "--archive", place, check=False)
    assert status == FAILURE and "no hold" in stderr, stderr
    _, stdout, _ = world.perdure("archive", "expire", "--archive", place, "--older-than", "1ms", "--dry-run", "-o", "json")
    planned = json.loads(stdout)
    assert planned["objects"] > 0 and objects(place) == before, planned
    _, stdout, _ = world.perdure("archive", "expire", "--archive", place, "--older-than", "1ms", "-o", "json")
    gone = json.loads(stdout)
    assert gone["objects"] == planned["objects"] == len(before) - len(objects(place)) and gone["first_lsn"] > 1, (planned, gone)
    world.perdure("archive", "verify", "--archive", place)
    status, _, stderr = world.perdure("archive", "fetch", "--archive", place, "--to", world.path("too-old"), check=False)
    assert status == FAILURE and f"LSN {gone['first_lsn']}" in stderr and not os.path.exists(world.path("too-old")), stderr
    server.start()
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "more", "1")
    assert wait_for(server, settled)["gaps"] == 0
    world.perdure("archive", "verify", "--archive", place)


def test_a_bucket(world):
    service = fake_s3.Server()
    try:
        keys = ["env", "AWS_ACCESS_KEY_ID=AKIDTEST", "AWS_SECRET_ACCESS_KEY=secret/of+test"]
        address = ["--archive", "s3://objects/deep/place", "--s3-endpoint", f"http://127.0.0.1:{service.port}"]
        server = world.new_server("in-a-bucket", [*address, "--archive-interval", "100ms", "--segment-size", "256KiB"], keys)
        server.start()
        with RespConnection(server.port) as connection:
            for i in range(500):
                connection.expect("OK", "SET", f"key{i}", f"{i:08d}" * 40)
        status = wait_for(server, settled)
        assert status["address"] == b"s3://objects/deep/place" and status["failures"] == 0, status
        hash_before = state_hash(server)
        # The service is away for a while.
        service.meddle = lambda request: (_ for _ in ()).throw(fake_s3.Refused(403, "AccessDenied", "not now"))
        with RespConnection(server.port) as connection:
            connection.expect("OK", "SET", "while-away", "1")
        assert b"not now" in wait_for(server, lambda status: status["state"] == b"failing")["failure"]
        service.meddle = lambda request: None
        with RespConnection(server.port) as connection:
            connection.expect(1, "DEL", "while-away")
        lsn = wait_for(server, settled)["archived_lsn"]
        server.kill()
        assert all(key.startswith("deep/place/") for key in service.objects), list(service.objects)[:5]
        world.run(*keys, world.binary, "archive", "verify", *address)
        again = world.path("from-a-bucket")
        _, stdout, _ = world.run(*keys, world.binary, "archive", "fetch", *address, "--to", again, "-o", "json")
        assert json.loads(stdout)["last_lsn"] == lsn, stdout
        other = world.new_server("from-a-bucket")
        other.start()
        assert state_hash(other) == hash_before
    finally:
        service.close()


def test_an_older_copy_gets_the_rest(world):
    server, place = archived(world, "newer", keys=300)
    wait_for(server, settled)
    assert server.stop() == 0
    copy = world.path("older")
    shutil.copytree(server.directory, copy)
    server.start()
    with RespConnection(server.port) as connection:
        for i in range(1500):
            connection.expect("OK", "SET", f"later{i}", f"{i:08d}" * 40)
    lsn = wait_for(server, settled)["archived_lsn"]
    hash_before = state_hash(server)
    status, _, stderr = world.perdure("archive", "fetch", "--archive", place, "--onto", server.directory, check=False)
    assert status == BUSY and "in use by process" in stderr, stderr
    server.kill()
    shutil.rmtree(server.directory)
    _, stdout, _ = world.perdure("archive", "fetch", "--archive", place, "--onto", copy, "-o", "json")
    fetched = json.loads(stdout)
    assert fetched["before_lsn"] < lsn == fetched["last_lsn"], fetched
    other = world.new_server("older", ["--archive", place, "--archive-interval", "100ms"])
    other.start()
    assert state_hash(other) == hash_before
    assert wait_for(other, settled)["gaps"] == 0
    assert other.stop() == 0
    world.perdure("log", "verify", "--data", copy)
