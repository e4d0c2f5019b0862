"""`perdure archive export`: the archive as lines of JSON, read with the tools that everybody has: sha256sum, zcat and a parser of JSON."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "objects"))

import fake_s3  # noqa: E402
from archive import archived, settled, wait_for  # noqa: E402
from processes import wait_until  # noqa: E402
from resp_connection import RespConnection  # noqa: E402

FAILURE, USAGE, DAMAGED = 1, 2, 4
BINARY = bytes(range(256))


def export(world, place, to, *options, check=True):
    status, stdout, stderr = world.perdure("archive", "export", "--archive", place, "--to", to, "--scratch", world.directory, "-o", "json", *options,
                                           check=check, timeout=300)
    return json.loads(stdout) if check else (status, stdout, stderr)


def sound(world, to):
    _, stdout, _ = world.perdure("archive", "check-export", "--to", to, "-o", "json", timeout=300)
    return json.loads(stdout)


def files(to):
    found = []
    for directory, _, names in os.walk(os.path.join(to, "archive")):
        found += [os.path.join(directory, name) for name in names if name.endswith(".jsonl.gz")]
    return sorted(found)


def lines(to, tenant):
    """With sha256sum and zcat, as somebody would do it."""
    found = []
    for path in files(to):
        directory, name = os.path.split(path)
        if os.path.basename(os.path.dirname(directory)) != f"tenant_{tenant}":
            continue
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", name.replace(".jsonl.gz", ".checksum")], cwd=directory, check=True)
        text = subprocess.run(["zcat", name], cwd=directory, check=True, stdout=subprocess.PIPE).stdout
        found += [json.loads(line) for line in text.decode().splitlines()]
        assert os.path.basename(directory) == found[-1]["time"][:10], (path, found[-1]["time"])
    return found


def plain(value):
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value.encode()


def replay(found):
    """The keys of strings that the lines leave there, large ones put together of their parts."""
    keys, parts = {}, {}
    for line in found:
        for effect in line["effects"]:
            if effect["op"] == "PUT" and "chunk" in effect:
                parts[effect["blob"], effect["chunk"]] = plain(effect["value"])
            elif effect["op"] == "PUT" and effect.get("type") in ("string", "large string"):
                keys[effect["actor"], effect["key"]] = effect["blob"] if "blob" in effect else plain(effect["value"])
            elif effect["op"] == "DEL" and "key" in effect:
                keys.pop((effect["actor"], effect["key"]), None)
    return {key: value if isinstance(value, bytes) else b"".join(part for (blob, _), part in sorted(parts.items()) if blob == value)
            for key, value in keys.items()}


def test_everything_that_was_written(world):
    server, place = archived(world, "written", keys=1500)
    to = world.path("written-lines")
    os.makedirs(to)
    large = os.urandom(700000)
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "binary", BINARY)
        connection.expect("OK", "SET", "large", large)
        connection.expect("OK", "PD.IDEMPOTENCY", "order-17")
        connection.expect("OK", "SET", "{shop}once", "a \"quoted\" text\nof two lines, and é")
        connection.expect(1, "DEL", "key0")
        connection.expect("OK", "MULTI")
        connection.expect("QUEUED", "SET", "{shop}a", "1")
        connection.expect("QUEUED", "HSET", "{shop}cart", "apple", "3")
        connection.command("EXEC")
        connection.expect("OK", "PD.USE", "acme & sons/main")
        connection.expect("OK", "SET", "theirs", "2")
    status = wait_for(server, settled)
    done = export(world, place, to)
    assert done["stretches"] > 1 and done["last_lsn"] < status["archived_lsn"], done
    done = export(world, place, to, "--open")
    assert done["last_lsn"] == status["archived_lsn"], (done, status)
    assert export(world, place, to, "--open")["files"] == 0
    verdict = sound(world, to)
    assert verdict["sound"] and (verdict["first_lsn"], verdict["last_lsn"]) == (1, done["last_lsn"]), verdict
    found = lines(to, "default")
    assert [line["lsn"] for line in found] == sorted({line["lsn"] for line in found})
    state = replay(found)
    assert state["main", "binary"] == BINARY and state["main", "large"] == large
    assert state["shop", "once"] == "a \"quoted\" text\nof two lines, and é".encode() and ("main", "key0") not in state
    assert len([key for key in state if key[1].startswith("key")]) == 1499
    once = [line for line in found if line.get("idempotency_key") == "order-17"]
    assert len(once) == 1 and once[0]["tenant"] == "default" and once[0]["actor"] == "shop" and once[0]["epoch"] == 1, once
    assert {"bookmark", "time", "client", "client_text", "level"} <= set(once[0]), once
    both = [line for line in found if len([effect for effect in line["effects"] if effect.get("actor") == "shop"]) > 2]
    assert len(both) == 1, both
    theirs = lines(to, "acme=20=26=20sons")
    assert [effect["key"] for line in theirs for effect in line["effects"] if "key" in effect] == ["theirs"], theirs
    assert all(effect.get("tenant") != "acme & sons" for line in found for effect in line["effects"])
    assert server.stop() == 0


def test_killed_and_gone_on(world):
    """An export that follows is killed again and again while the server writes; the last one ends it."""
    server, place = archived(world, "followed", keys=300)
    to = world.path("followed-lines")
    os.makedirs(to)
    wait_for(server, settled)
    for turn in range(4):
        process = subprocess.Popen([world.binary, "archive", "export", "--archive", place, "--to", to, "--scratch", world.directory, "--every", "50ms", "--open"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        plans = os.path.join(to, "export")
        before = len(os.listdir(plans)) if os.path.isdir(plans) else 0
        with RespConnection(server.port) as connection:
            for i in range(400):
                connection.expect("OK", "SET", f"turn{turn}-{i}", f"{i:08d}" * 40)
        wait_until(lambda: os.path.isdir(plans) and len(os.listdir(plans)) > before, "something more is exported")
        # One at a time.
        status, _, stderr = export(world, place, to, check=False)
        assert status != 0 and str(process.pid) in stderr, stderr
        process.send_signal(signal.SIGKILL)
        process.wait()
    lsn = wait_for(server, settled)["archived_lsn"]
    assert export(world, place, to, "--open")["last_lsn"] == lsn
    assert sound(world, to)["last_lsn"] == lsn
    state = replay(lines(to, "default"))
    assert len([key for key in state if key[1].startswith("turn")]) == 1600
    assert not [name for name in os.listdir(world.directory) if name.startswith("perdure-export-") and not name.endswith(".lock")]


def test_damage_is_found(world):
    server, place = archived(world, "damaged", keys=1500)
    to = world.path("damaged-lines")
    os.makedirs(to)
    wait_for(server, settled)
    export(world, place, to, "--open")
    first = files(to)[0]
    for path in (first, first.replace(".jsonl.gz", ".checksum")):
        shutil.copy(path, path + ".kept")
        content = bytearray(open(path, "rb").read())
        content[len(content) // 2] ^= 1
        with open(path, "wb") as file:
            file.write(content)
        status, stdout, _ = world.perdure("archive", "check-export", "--to", to, check=False)
        assert status == DAMAGED and os.path.relpath(path, to) in stdout, stdout
        os.remove(path)
        status, stdout, _ = world.perdure("archive", "check-export", "--to", to, check=False)
        assert status == DAMAGED and "missing" in stdout, stdout
        os.rename(path + ".kept", path)
    assert sound(world, to)["sound"]
    # What is missing of the last stretch is made again.
    plan = sorted(os.listdir(os.path.join(to, "export")))[-1]
    with open(os.path.join(to, "export", plan), encoding="ascii") as file:
        last = [line.split()[-1] for line in file if line.startswith("file ")][-1]
    os.remove(os.path.join(to, last + ".checksum"))
    os.remove(os.path.join(to, last + ".jsonl.gz"))
    assert export(world, place, to)["files"] >= 1
    assert sound(world, to)["sound"]
    for words, wanted in ((["export", "--archive", place], "--to"), (["check-export"], "--to")):
        status, _, stderr = world.perdure("archive", *words, check=False)
        assert status == USAGE and wanted in stderr, stderr
    # Nothing is not sound, and what is none of its options is refused.
    os.makedirs(world.path("empty"))
    status, stdout, stderr = world.perdure("archive", "check-export", "--to", world.path("empty"), check=False)
    assert status == FAILURE and stdout == "" and "nothing was exported there" in stderr, (stdout, stderr)
    status, _, stderr = world.perdure("archive", "check-export", "--to", to, "--every", "1s", check=False)
    assert status == USAGE and "--every" in stderr, stderr
    status, _, stderr = export(world, place, world.path("nowhere"), check=False)
    assert status == FAILURE and "nowhere" in stderr, stderr


def test_a_bucket(world):
    service = fake_s3.Server()
    try:
        keys = ["env", "AWS_ACCESS_KEY_ID=AKIDTEST", "AWS_SECRET_ACCESS_KEY=secret/of+test"]
        endpoint = ["--s3-endpoint", f"http://127.0.0.1:{service.port}"]
        server = world.new_server("export-bucket", ["--archive", "s3://objects/log", *endpoint, "--archive-interval", "100ms", "--segment-size", "256KiB"], keys)
        server.start()
        with RespConnection(server.port) as connection:
            for i in range(600):
                connection.expect("OK", "SET", f"key{i}", f"{i:08d}" * 40)
        lsn = wait_for(server, settled)["archived_lsn"]
        words = [*keys, world.binary, "archive", "export", "--archive", "s3://objects/log", "--to", "s3://objects/lines", *endpoint, "--open", "--scratch", world.directory]
        # The service goes away in the middle.
        puts = []

        def refuse(request):
            if request.method == "PUT":
                puts.append(request)
                if len(puts) > 2:
                    raise fake_s3.Refused(403, "AccessDenied", "not now")

        service.meddle = refuse
        assert subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == FAILURE
        service.meddle = lambda request: None
        world.run(*words)
        _, stdout, _ = world.run(*keys, world.binary, "archive", "check-export", "--to", "s3://objects/lines", *endpoint, "-o", "json")
        assert json.loads(stdout)["last_lsn"] == lsn, stdout
        assert any(key.startswith("lines/archive/tenant_default/") and key.endswith(".checksum") for key in service.objects)
    finally:
        service.close()
