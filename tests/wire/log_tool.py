"""`perdure log` in depth: what each record looks like, figures that add up, and damage of every kind named."""

import base64
import glob
import hashlib
import json
import os
import random
import re
import shutil
import threading
import time

FAILURE, USAGE, DAMAGED = 1, 2, 4  # exit statuses: see src/server/server.h
FLIPS = 200
SEGMENT = 64 * 1024


def dump(world, directory, *options, status=0):
    got, stdout, stderr = world.perdure("log", "dump", "--data", directory, "-o", "json", *options, check=False)
    assert got == status, f"{options}: {got} {stderr}"
    return [json.loads(line) for line in stdout.splitlines()]


def records(world, directory, *options):
    return [item for item in dump(world, directory, *options) if item["kind"] == "record"]


def verify(world, directory, status=0):
    got, stdout, stderr = world.perdure("log", "verify", "--data", directory, "-o", "json", check=False)
    assert got == status, f"{got} instead of {status}: {stdout[-1500:]} {stderr}"
    return json.loads(stdout)


def fresh(world, name, *options):
    shutil.rmtree(world.path(name), ignore_errors=True)
    server = world.new_server(name, [str(option) for option in options])
    server.start()
    return server


def closed_log(world, name, *options, keys=100):
    """A directory of a stopped server, with records of three actors."""
    server = fresh(world, name, *options)
    connection = world.connect(server)
    for number in range(keys):
        connection.expect("OK", "SET", f"{{actor-{number % 3}}}key:{number}", f"value-{number}" * (1 + number % 7))
    connection.close()
    assert server.stop() == 0
    return server.directory


def segments(directory):
    return sorted(glob.glob(os.path.join(directory, "log", "0000", "*.seg")))


def fingerprint(directory):
    """Every file: its name, content and time of change."""
    result = {}
    for base, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(base, name)
            with open(path, "rb") as file:
                result[path] = (hashlib.sha256(file.read()).hexdigest(), os.stat(path).st_mtime_ns)
    return result


def flip(path, bit):
    with open(path, "r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


# ---- dump ----


def test_records(world):
    server = fresh(world, "records")
    connection = world.connect(server)
    connection.expect("OK", "CLIENT", "SETNAME", "tester")
    connection.expect("OK", "SET", "greeting", "hello")
    connection.expect(2, "HSET", "{alice}cart", "apples", "1", b"\xff\x00", b"\xfe")
    connection.expect("OK", "SET", "session", "x", "PXAT", "4102444800000")
    connection.expect(1, "DEL", "greeting")
    connection.expect(1, "DEL", "{alice}cart")
    connection.expect("OK", "PD.IDEMPOTENCY", "order-7")
    connection.expect(1, "INCR", "n")
    connection.expect("OK", "SET", "long", "a" * 1000)
    all_records = records(world, server.directory)
    effects = [[effect for effect in record["effects"] if "system" not in effect] for record in all_records]
    assert effects[0][0]["op"] == "PUT" and effects[0][0]["key"] == "greeting" and effects[0][0]["value"] == "hello"
    assert effects[0][0]["type"] == "string" and effects[0][0]["size"] == 5 and effects[0][0]["actor"] == "main"
    assert {effect["type"] for effect in effects[1]} == {"hash", "field"}
    fields = {json.dumps(effect["field"]): effect["value"] for effect in effects[1] if "field" in effect}
    raw = json.dumps({"base64": base64.b64encode(b"\xff\x00").decode()})
    assert fields == {'"apples"': "1", raw: {"base64": base64.b64encode(b"\xfe").decode()}}, fields
    assert effects[2][0]["expires"] == "2100-01-01T00:00:00.000000Z"
    assert effects[3] == [{"op": "DEL", "actor_id": effects[0][0]["actor_id"], "tenant": "default", "actor": "main",
                           "key": "greeting"}]
    assert any(effect["op"] == "DELRANGE" and effect.get("all_fields") for effect in effects[4])
    assert all_records[5]["idempotency_key"] == "order-7" and "value" not in effects[6][0]
    assert [record["lsn"] for record in all_records] == list(range(2, 9))
    assert all_records[0]["principal"] == "default" and all_records[0]["level"] == "strict"
    text = world.perdure("log", "dump", "--data", server.directory)[1]
    for part in ("epoch 1 began", ": NOTE ", 'PUT greeting string 5 "hello"', "PUT {alice}cart hash of 2 fields",
                 'PUT {alice}cart[apples] field 1 "1"', '"\\xff\\x00"', "DEL greeting", "DELRANGE {alice}cart[*]",
                 "idempotency=order-7", "expires 2100-01-01", '"' + "a" * 40 + '"…'):
        assert part in text, f"{part!r} is not in {text}"
    assert "a" * 1000 in world.perdure("log", "dump", "--data", server.directory, "--values")[1]


def test_filters(world):
    directory = closed_log(world, "filters", keys=60)
    every = records(world, directory)
    assert len(every) == 60
    mine = records(world, directory, "--actor", "actor-1")
    assert len(mine) == 20 and {effect["actor"] for record in mine for effect in record["effects"]} == {"actor-1"}
    assert mine == records(world, directory, "--actor", "default/actor-1")
    assert records(world, directory, "--actor", "other/actor-1") == []
    keys = [record["effects"][-1]["key"] for record in records(world, directory, "--key", "key:1?")]
    assert keys == [f"key:{number}" for number in range(10, 20)], keys
    assert len(records(world, directory, "--limit", "7")) == 7
    middle = every[10:21]
    assert records(world, directory, "--from", middle[0]["lsn"], "--to", middle[-1]["lsn"]) == middle
    assert records(world, directory, "--from", middle[0]["bookmark"], "--to", middle[-1]["bookmark"]) == middle


def test_epochs(world):
    server = fresh(world, "epochs")
    for number in range(3):
        world.connect(server).expect("OK", "SET", "k", number)
        server.kill() if number == 1 else server.stop()
        server.start()
    server.stop()
    text = world.perdure("log", "dump", "--data", server.directory)[1]
    began = [line for line in text.splitlines() if line.startswith("epoch")]
    assert len(began) == 4, text
    assert "epoch 3 began after epoch 2's LSN 4" in began[2], began
    lines = dump(world, server.directory)
    assert [item["lsn"] for item in lines] == list(range(1, len(lines) + 1))
    assert [item["old_last_lsn"] for item in lines if item["kind"] == "epoch"] == [0, 2, 4, 6]
    assert verify(world, server.directory)["epochs"] == 4


# ---- stats ----


def test_figures_add_up(world):
    server = fresh(world, "figures")
    connection = world.connect(server)
    payload = 0
    for number in range(300):
        connection.expect("OK", "SET", f"key:{number:04}", "v" * number)
        payload += 8 + number
    connection.expect(1, "HSET", "h", "field", "value")
    payload += 1 + 5 + 5
    connection.expect("OK", "PD.DURABILITY", "standard")
    connection.expect("OK", "SET", "weak", "1")
    payload += 5
    figures = json.loads(world.perdure("log", "stats", "--data", server.directory, "-o", "json")[1])
    assert figures["records"] == 302 and figures["payload_bytes"] == payload, figures
    assert figures["group_bytes"] % 512 == 0 and sum(item["groups"] for item in figures["group_sizes"]) == figures["groups"]
    assert figures["levels"] == {"strict": 301, "standard": 1}
    overhead = (figures["group_bytes"] - payload) / 302
    assert abs(figures["overhead_bytes_per_record"] - overhead) < 0.01
    assert figures["actor_count"] == 1 and figures["actors"][0]["records"] == 302
    assert figures["used_bytes"] > figures["group_bytes"] and figures["last_lsn"] == 303
    text = world.perdure("log", "stats", "--data", server.directory)[1]
    assert "302" in text and "default/main" in text


# ---- verify ----


def test_nothing_is_changed(world):
    directory = closed_log(world, "unchanged")
    before = fingerprint(directory)
    for verb in ("dump", "verify", "stats"):
        world.perdure("log", verb, "--data", directory)
    assert fingerprint(directory) == before


def busy(world, name, seconds, *options):
    """The log of a server that writes all the time is never called damaged, and each view of it is whole."""
    server = fresh(world, name, *options)
    stop = threading.Event()

    def write(number):
        connection = world.connect(server)
        while not stop.is_set():
            for level in ("strict", "standard"):
                connection.send("PD.DURABILITY", level)
                for key in range(50):
                    connection.send("SET", f"{{actor-{number}}}{key}", "x" * (key * 20))
            for _ in range(102):
                connection.read()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for writer in writers:
        writer.start()
    try:
        end, seen = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            report = verify(world, server.directory)
            assert report["last_lsn"] >= seen and report["records"] == report["last_lsn"], report
            seen = report["last_lsn"]
            world.perdure("log", "stats", "--data", server.directory)
        dump(world, server.directory, "--limit", 1000)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    server.kill()
    verify(world, server.directory)
    server.start()
    verify(world, server.directory)
    server.stop()
    assert verify(world, server.directory)["segments"] >= 2


def test_beside_a_busy_server(world):
    busy(world, "busy", 2)


def test_beside_rolling_segments(world):
    busy(world, "rolling", 2, "--segment-size", SEGMENT)


def test_beside_writes_in_flight(world):
    busy(world, "flights", 2, "--segment-size", 16 * SEGMENT, "--queue-depth", 8)


def test_every_flip_is_named(world):
    """Bits all over the segments of a stopped server: each is found, where it is, and nothing else is blamed."""
    directory = closed_log(world, "flips", "--segment-size", SEGMENT, keys=130)
    sound = verify(world, directory)
    chance = random.Random(1)
    paths = segments(directory)
    assert len(paths) >= 2
    all_lsns = {item["lsn"] for item in dump(world, directory)}
    for number in range(FLIPS):
        path = chance.choice(paths)
        bit = chance.randrange(8 * os.path.getsize(path))
        flip(path, bit)
        damage = verify(world, directory, status=DAMAGED)["damage"]
        where = f"flip {number}: bit {bit} of {path}: {damage}"
        for item in damage:
            assert item["segment"] == int(os.path.basename(path)[:10]), where
            assert item["offset"] <= bit // 8 < item["offset"] + item["size"], where
            assert item["advice"], where
            if item["records_lost"]:
                assert item["last_lsn"] - item["first_lsn"] <= 2, where
                assert item["actors_known"] and item["actors"], where
        if number % 50 == 0:
            left = {item["lsn"] for item in dump(world, directory, status=DAMAGED) if item["kind"] != "damage"}
            lost = {lsn for item in damage if item["records_lost"]
                    for lsn in range(item["first_lsn"], item["last_lsn"] + 1)}
            assert left | lost == all_lsns and not left & lost, where
        flip(path, bit)
    assert verify(world, directory) == sound


def test_damage_in_words(world):
    directory = closed_log(world, "words")
    path = segments(directory)[0]
    with open(path, "rb") as file:
        place = file.read().find(b"key:50")
    flip(path, 8 * place)
    status, stdout, _ = world.perdure("log", "verify", "--data", directory, check=False)
    line = next(line for line in stdout.splitlines() if line.startswith("DAMAGE"))
    assert status == DAMAGED and re.search(r"segment 0000000001, byte \d+ to \d+: .*LSN 52 cannot be read; "
                                           r"of default/actor-2\. .*backup", line), line
    status, stdout, _ = world.perdure("log", "dump", "--data", directory, check=False)
    lines = stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("DAMAGE"))
    assert status == DAMAGED and "key:49" in lines[at - 1] and "key:51" in lines[at + 1], lines[at - 1:at + 2]


def test_missing_segment(world):
    directory = closed_log(world, "missing", "--segment-size", SEGMENT, keys=400)
    paths = segments(directory)
    assert len(paths) >= 3
    os.unlink(paths[1])
    report = verify(world, directory, status=DAMAGED)
    assert report["damage_count"] == 1 and "0000000002" in report["damage"][0]["what"], report
    last = segments(directory)[-1]
    os.rename(last, last[:-3] + "old")
    report = verify(world, directory, status=DAMAGED)
    assert any(".old" in note["what"] for note in report["notes"]), report


def test_cut_off_segment(world):
    directory = closed_log(world, "cut", "--segment-size", SEGMENT, keys=400)
    path = segments(directory)[0]
    with open(path, "r+b") as file:
        file.truncate(SEGMENT // 2)
    report = verify(world, directory, status=DAMAGED)
    assert report["damage"][0]["records_lost"] or report["damage_count"] > 1, report


def test_manifest(world):
    """A damaged or missing manifest is named, and the log is verified all the same."""
    directory = closed_log(world, "manifest")
    path = os.path.join(directory, "MANIFEST")
    with open(path, "rb") as file:
        good = file.read()
    sound = verify(world, directory)
    for bit in range(0, 8 * len(good), 3):
        flip(path, bit)
        status, stdout, stderr = world.perdure("log", "verify", "--data", directory, "-o", "json", check=False)
        assert status == DAMAGED and "MANIFEST" in stderr, (bit, status, stderr)
        flip(path, bit)
        if not stdout:  # the version itself: whoever wrote it may have meant it
            assert "newer" in stderr, (bit, stderr)
            continue
        report = json.loads(stdout)
        assert report["damage"][0]["file"] == "MANIFEST" and report["records"] == sound["records"], (bit, report)
    os.unlink(path)
    report = verify(world, directory, status=DAMAGED)
    assert "missing" in report["damage"][0]["what"] and report["records"] == sound["records"], report
    assert len(dump(world, directory, status=DAMAGED)) == sound["records"]


def test_lost_epoch(world):
    """The manifest knows of an epoch whose segments are gone."""
    server = fresh(world, "lost-epoch")
    server.stop()
    server.start()
    server.stop()
    os.unlink(segments(server.directory)[-1])
    report = verify(world, server.directory, status=DAMAGED)
    assert "missing" in report["damage"][0]["what"], report


# ---- the command line ----


def test_help(world):
    for words in (("log",), ("log", "dump"), ("log", "verify"), ("log", "stats")):
        _, stdout, _ = world.perdure(*words, "--help")
        assert "Examples:" in stdout and "Exit status:" in stdout and "perdure log" in stdout, stdout
    assert " log " in world.perdure("--help")[1]


def test_wrong_words(world):
    directory = world.server.directory
    for words, text in ((("log",), "Subcommands"), (("log", "vrify"), "verify"), (("log", "dump", "--actr", "x"), "--actor"),
                        (("log", "stats", "--data", directory, "-o", "xml"), "json"),
                        (("log", "stats", "-x", "1"), "-x"), (("log", "verify", "-o"), "-o"),
                        (("log", "dump", "--data", directory, "--from", "yesterday"), "bookmark"),
                        (("log", "dump", "--limit", "many"), "number"), (("log", "verify", "here"), "here")):
        status, _, stderr = world.perdure(*words, check=False)
        assert status == USAGE and text in stderr, f"{words}: {status} {stderr}"


def test_no_data_directory(world):
    empty = world.path("empty")
    strange = world.path("strange")
    for path in (empty, strange):
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
    with open(os.path.join(strange, "file"), "w") as file:
        file.write("x")
    for verb in ("dump", "verify", "stats"):
        for directory, text in ((empty, "empty"), (strange, "no data directory"), (os.path.join(strange, "file"), ""),
                                (world.path("nowhere"), "--data")):
            status, stdout, stderr = world.perdure("log", verb, "--data", directory, check=False)
            assert status == FAILURE and text in stderr and not stdout, f"{verb} {directory}: {status} {stderr}"
    assert os.listdir(empty) == [] and os.listdir(strange) == ["file"]
