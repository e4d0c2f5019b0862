"""`perdure backup` in an object store that speaks S3: the same as in a directory, whatever becomes of requests and replies."""

import contextlib
import json
import os
import shutil
import socket
import sys
import threading

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "objects"))

import fake_s3  # noqa: E402
from actor_history import is_error  # noqa: E402
from archive import settled, wait_for  # noqa: E402

KEYS = ["env", "AWS_ACCESS_KEY_ID=AKIDTEST", "AWS_SECRET_ACCESS_KEY=secret/of+test"]
ADDRESS = "s3://objects/deep/vault"
FAILURE, USAGE, DAMAGED = 1, 2, 4
PATIENCE_S = 120


class Bucket:
    def __init__(self, world, **options):
        self.world, self.service = world, fake_s3.Server(**options)
        self.endpoint = ["--s3-endpoint", f"http://127.0.0.1:{self.service.port}"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.service.close()

    def server(self, name):
        server = self.world.new_server(name, self.endpoint, KEYS)
        server.start()
        return server

    def backup(self, *words, check=True, address=ADDRESS, environment=()):
        status, stdout, stderr = self.world.run(*KEYS, *environment, self.world.binary, "backup", *words, "--repository", address, *self.endpoint, "-o",
                                                "json", check=check, timeout=300)
        found = [json.loads(line) for line in stdout.splitlines()]
        return found if check else (status, found, stderr)

    def names(self, part):
        return sorted(key for key in self.service.objects if key.startswith(f"deep/vault/{part}/"))


def fill(connection, seed=b"x"):
    connection.expect("OK", "SET", "{ann}a", "1")
    for number in range(12):
        connection.expect("OK", "SET", f"{{ann}}noise{number}", os.urandom(2_000_000))
    for number in range(300):
        connection.expect("OK", "SET", f"{{bob}}{number}", seed * 3000 + b"%d" % number)


def expect_state(world, bucket, name, state, *words):
    """What is restored has it."""
    copy = world.new_server(name)
    restored = bucket.backup("restore", *words, "--data", copy.directory)[-1]
    copy.start()
    assert world.connect(copy).command("PD.STATEHASH") == state, restored
    assert copy.stop() == 0
    shutil.rmtree(copy.directory)


def test_a_life(world):
    """Full, log, incremental, by the server and without it; any moment; a drill; what expires."""
    with Bucket(world) as bucket:
        server = bucket.server("in-bucket")
        connection = world.connect(server)
        fill(connection)
        first = connection.command("PD.STATEHASH")
        full = bucket.backup("full", "--data", server.directory)[-1]
        assert full["hash"] == first.decode() and full["sent_bytes"] == full["stored_bytes"] < full["bytes"], full
        puts = [request for request in bucket.service.requests("PUT") if "/data/" in request.key]
        assert len(puts) >= 3 and len(puts) == len(bucket.names("data")), len(puts)
        connection.expect("OK", "SET", "{ann}a", "2")
        log = bucket.backup("log", "--data", server.directory)[-1]
        assert log["parent"] == full["id"], log
        connection.expect("OK", "SET", "{ann}a", "3")
        third = connection.command("PD.STATEHASH")
        assert server.stop() == 0
        incremental = bucket.backup("incremental", "--data", server.directory)[-1]
        assert incremental["parent"] == log["id"] and incremental["sent_bytes"] < incremental["stored_bytes"], incremental
        shutil.rmtree(server.directory)
        assert all(key.startswith("deep/vault/") for key in bucket.service.objects), list(bucket.service.objects)[:5]
        listed = bucket.backup("ls")
        assert [line["id"] for line in listed] == [full["id"], log["id"], incremental["id"]], listed
        info = bucket.backup("info", full["id"])[0]
        assert info["stored_bytes"] == full["stored_bytes"] == sum(len(bucket.service.objects[key].data) for key in set(
            request.key for request in puts)) == info["sent_bytes"], info
        expect_state(world, bucket, "from-bucket", third)
        expect_state(world, bucket, "from-bucket-then", first, "--at", full["at"])
        bucket.backup("verify", "--all", "--quick")
        # One that cannot be read hides no other.
        key = f"deep/vault/backup/{log['id']}"
        good, bucket.service.objects[key] = bucket.service.objects[key], fake_s3.Object(b"perdure-backup 1\n", {})
        status, listed, stderr = bucket.backup("ls", check=False)
        assert status == DAMAGED and log["id"] in stderr and [line["id"] for line in listed] == [full["id"], incremental["id"]], listed
        bucket.service.objects[key] = good
        status, _, stderr = bucket.backup("drill", check=False)
        assert status == FAILURE and "--scratch" in stderr, stderr
        drilled = bucket.backup("drill", "--scratch", world.directory)[-1]
        assert drilled["id"] == incremental["id"], drilled
        gone = bucket.backup("expire", "--keep", "1")[-1]
        assert sorted(gone["backups"]) == sorted([full["id"], log["id"]]), gone
        bucket.backup("verify", "--all", "--scratch", world.directory)
        expect_state(world, bucket, "from-bucket-last", third)


def test_with_an_archive(world):
    """The archive is in the same bucket: what was written after the backup comes back, and nothing is lost by a request that fails."""
    archive = "s3://objects/deep/archive"
    with Bucket(world) as bucket:
        server = world.new_server("archived-in-bucket", [*bucket.endpoint, "--archive", archive, "--archive-interval", "100ms", "--segment-size", "256KiB"], KEYS)
        server.start()
        connection = world.connect(server)
        connection.expect("OK", "SET", "{ann}a", "1")
        bucket.backup("full", "--data", server.directory)
        for number in range(20):
            connection.expect("OK", "SET", f"{{ann}}{number}", os.urandom(40_000))
        wait_for(server, settled)
        state = connection.command("PD.STATEHASH")
        server.kill()
        shutil.rmtree(server.directory)
        planned = bucket.backup("restore", "--archive", archive, "--dry-run")
        assert planned[1]["step"] == "archive" and planned[1]["from"].endswith(archive), planned
        expect_state(world, bucket, "again-of-both", state, "--archive", archive)
        parts = sorted(key for key in bucket.service.objects if key.endswith((".whole", ".piece", ".last")))
        del bucket.service.objects[parts[1]]
        target = world.path("not-of-both")
        status, _, stderr = bucket.backup("restore", "--archive", archive, "--data", target, check=False)
        assert status == FAILURE and "are missing" in stderr and not os.path.exists(target), stderr


def test_with_an_archive_at_another_service(world):
    """Which has another region, and knows us by another name."""
    archive, credentials = "s3://objects/deep/archive", world.path("credentials")
    with open(credentials, "w", encoding="utf-8") as file:
        file.write("[other]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = other+secret\n")
    with Bucket(world) as bucket, Bucket(world) as other:
        other.service.keys, other.service.region = {"AKIDOTHER": ("other+secret", None)}, "elsewhere-1"
        server = world.new_server("archived-elsewhere",
                                  [*other.endpoint, "--s3-region", "elsewhere-1", "--archive", archive, "--archive-interval", "100ms"],
                                  ["env", "AWS_ACCESS_KEY_ID=AKIDOTHER", "AWS_SECRET_ACCESS_KEY=other+secret"])
        server.start()
        world.connect(server).expect("OK", "SET", "{ann}a", "1")
        assert server.stop() == 0
        bucket.backup("full", "--data", server.directory)
        server.start()
        connection = world.connect(server)
        connection.expect("OK", "SET", "{ann}b", "2")
        wait_for(server, settled)
        state = connection.command("PD.STATEHASH")
        server.kill()
        shutil.rmtree(server.directory)
        where = ["--archive", archive, "--archive-s3-endpoint", other.endpoint[1], "--archive-s3-region", "elsewhere-1"]
        profile, known = ["--archive-s3-profile", "other"], [f"AWS_SHARED_CREDENTIALS_FILE={credentials}"]
        for words, environment, why in ((["--archive", archive], (), "has no log"), (where, (), "InvalidAccessKeyId"),
                                        ([*where, *profile], ("HOME=/nowhere",), "profile 'other'"),
                                        ([*where, "--archive-s3-profile", "nobody"], known, "profile 'nobody'")):
            status, _, stderr = bucket.backup("restore", *words, "--dry-run", check=False, environment=environment)
            assert status == FAILURE and why in stderr, (words, stderr)
        copy = world.new_server("again-from-elsewhere")
        bucket.backup("restore", *where, *profile, "--data", copy.directory, environment=known)
        copy.start()
        assert world.connect(copy).command("PD.STATEHASH") == state
        assert copy.stop() == 0
        # In the environment, too.
        told = [f"PERDURE_{word[2:].replace('-', '_').upper()}={value}" for word, value in zip([*where, *profile][::2], [*where, *profile][1::2])]
        _, stdout, _ = world.run(*KEYS, *known, *told, world.binary, "backup", "points", "--repository", ADDRESS, *bucket.endpoint)
        assert archive in stdout, stdout


class Silent:
    """A service that takes what comes and never says a word."""

    def __init__(self):
        self.socket, self.asked, self.connections = socket.create_server(("127.0.0.1", 0)), threading.Event(), []
        self.endpoint = ["--s3-endpoint", f"http://127.0.0.1:{self.socket.getsockname()[1]}"]
        threading.Thread(target=self.let_in, daemon=True).start()

    def let_in(self):
        with contextlib.suppress(OSError):
            while True:
                self.connections.append(self.socket.accept()[0])
                threading.Thread(target=self.hear, args=self.connections[-1:], daemon=True).start()

    def hear(self, connection):
        with contextlib.suppress(OSError):
            while connection.recv(65536):
                self.asked.set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in (self.socket, *self.connections):
            each.close()


def test_the_end_does_not_wait_for_a_service(world):
    """Whoever is told to end does, though it has asked a service that never answers."""
    scheduled = ["--backup-repository", ADDRESS, "--backup-full", "@yearly"]
    for name, words, order in (("archive", ["--archive", ADDRESS], ()), ("order", [], ("PD.BACKUP", "FULL", ADDRESS)), ("schedule", scheduled, ())):
        with Silent() as service:
            server = world.new_server(f"unanswered-{name}", [*service.endpoint, *words], KEYS)
            server.start()
            connection = world.connect(server)
            connection.expect("OK", "SET", "a", "1")
            if order:
                connection.command(*order)
            assert service.asked.wait(PATIENCE_S), "the service was never asked"
            assert server.stop() == 0, name


def test_several_at_once(world):
    """Pieces come over several connections, which one thread of the service each answers."""
    with Bucket(world) as bucket:
        server = bucket.server("crowd")
        fill(world.connect(server))
        state = world.connect(server).command("PD.STATEHASH")
        seen = {"PUT": set(), "GET": set()}

        def meddle(request):
            if "/data/" in request.path and request.method in seen:
                seen[request.method].add(threading.get_ident())

        bucket.service.meddle = meddle
        bucket.backup("full", "--data", server.directory)
        assert len(seen["PUT"]) > 1 and not seen["GET"], seen
        expect_state(world, bucket, "crowd-again", state)
        assert len(seen["GET"]) > 1, seen


def test_under_a_key(world):
    """As in a directory; and what one object holds is good for no other."""
    with Bucket(world) as bucket:
        server = bucket.server("bucket-key")
        connection = world.connect(server)
        fill(connection)
        state = connection.command("PD.STATEHASH")
        with open(world.path("bucket.key"), "wb") as file:
            file.write(os.urandom(32))
        key = ["--key-file", world.path("bucket.key")]
        done = bucket.backup("full", "--data", server.directory, *key)[-1]
        connection.expect("OK", "SET", "{ann}a", "2")
        log = bucket.backup("log", "--data", server.directory, *key)[-1]
        expect_state(world, bucket, "bucket-key-then", state, done["id"], *key)
        objects = bucket.service.objects
        one, other = f"deep/vault/backup/{done['id']}", f"deep/vault/backup/{log['id']}"
        assert b"perdure-backup" not in objects[one].data
        objects[one], objects[other] = objects[other], objects[one]
        status, _, stderr = bucket.backup("restore", done["id"], "--data", world.path("never"), *key, check=False)
        assert status == DAMAGED and "under another name" in stderr, stderr
        status, _, stderr = bucket.backup("ls", check=False)
        assert status == FAILURE and "--key-file" in stderr, stderr


def test_lost_replies_and_refusals(world):
    """Each third request fails once, in one of several ways; nothing of it is seen."""
    with Bucket(world) as bucket:
        server = bucket.server("shaken")
        fill(world.connect(server))
        state = world.connect(server).command("PD.STATEHASH")
        count = 0

        def meddle(_):
            nonlocal count
            count += 1
            if count % 3 == 0:
                raise (fake_s3.LoseReply(), fake_s3.Refused(503, "SlowDown"), fake_s3.Cut(5))[count // 3 % 3]

        bucket.service.meddle = meddle
        bucket.backup("full", "--data", server.directory)
        bucket.service.meddle = lambda request: None
        assert count > 20
        assert all(made.writes == 1 for key, made in bucket.service.objects.items() if "/data/" in key or "/backup/" in key)
        bucket.backup("verify", "--all", "--quick")
        expect_state(world, bucket, "unshaken", state)


def test_an_end_in_the_middle_is_gone_on_from(world):
    with Bucket(world) as bucket:
        server = bucket.server("halted")
        fill(world.connect(server))
        puts = 0

        def meddle(request):
            nonlocal puts
            is_put = request.method == "PUT"
            puts += is_put and "/data/" in request.path
            if is_put and puts > 2:
                raise fake_s3.Refused(403, "AccessDenied", "not now")

        bucket.service.meddle = meddle
        status, _, stderr = bucket.backup("full", "--data", server.directory, check=False)
        assert status == FAILURE and "not now" in stderr, stderr
        assert bucket.names("backup") == []
        sent = len(bucket.names("data"))
        assert sent >= 1
        bucket.service.meddle = lambda request: None
        # Nobody has said that it has ended: its place is taken after a while.
        done = bucket.backup("full", "--data", server.directory)[-1]
        assert done["sent_bytes"] < done["stored_bytes"], done
        bucket.backup("verify", "--all", "--quick")


def test_damage_is_found(world):
    """Each object gone, cut off, flipped, and as another's: found, and named."""
    with Bucket(world) as bucket:
        server = world.new_server("rotting")
        server.start()
        connection = world.connect(server)
        connection.expect("OK", "SET", "{ann}a", "1")
        connection.expect("OK", "SET", "{bob}a", b"text " * 1000)
        assert server.stop() == 0
        done = bucket.backup("full", "--data", server.directory)[-1]
        target = world.path("rotting-copy")
        objects = bucket.service.objects
        pieces = bucket.names("data")
        for number, key in enumerate(pieces):
            good = objects[key]
            other = objects[pieces[number - 1]]
            half = bytearray(good.data)
            half[len(half) // 2] ^= 4
            for bad in (None, good.data[:-1], bytes(half), other.data, b""):
                del objects[key]
                if bad is not None:
                    objects[key] = fake_s3.Object(bad, {})
                status, _, stderr = bucket.backup("verify", done["id"], "--quick", check=False)
                assert status == DAMAGED and key.rpartition("/")[2] in stderr, (key, bad, stderr)
                assert not os.path.exists(target)
                objects[key] = good
        for key in (f"deep/vault/backup/{done['id']}", "deep/vault/repository"):
            good = objects[key]
            objects[key] = fake_s3.Object(good.data[:-2] + (b"1\n" if good.data.endswith(b"0\n") else b"0\n"), {})
            status, _, stderr = bucket.backup("restore", done["id"], "--data", target, check=False)
            assert status == DAMAGED and "damaged" in stderr and not os.path.exists(target), stderr
            objects[key] = good
        bucket.backup("verify", done["id"], "--quick")


def test_a_service_that_overwrites(world):
    """One writer at a time takes a service that creates only where there is none: without, it is refused at the start, in words."""
    with Bucket(world, conditional_put=False) as bucket:
        server = world.new_server("careless")
        server.start()
        world.connect(server).expect("OK", "SET", "a", "b")
        assert server.stop() == 0
        status, _, stderr = bucket.backup("full", "--data", server.directory, check=False)
        assert status == FAILURE and "If-None-Match" in stderr, stderr
        assert bucket.names("data") == [] and bucket.names("lease") == []
        done = bucket.backup("full", "--data", server.directory, "--s3-look-first")[-1]
        bucket.backup("verify", done["id"], "--quick")


def test_refused(world):
    with Bucket(world) as bucket:
        status, _, stderr = bucket.backup("ls", check=False)
        assert status == FAILURE and "is no repository" in stderr, stderr
        status, _, stderr = bucket.backup("ls", address="s3://", check=False)
        assert status == FAILURE and "names no bucket" in stderr, stderr
        status, _, stderr = bucket.backup("ls", address="ftp://x/y", check=False)
        assert status == FAILURE and "no address" in stderr, stderr
        bucket.service.objects["deep/vault/somebody-elses"] = fake_s3.Object(b"", {})
        server = bucket.server("stranger")
        world.connect(server).expect("OK", "SET", "a", "b")
        status, _, stderr = bucket.backup("full", "--data", server.directory, check=False)
        assert status == FAILURE and "no repository" in stderr and "not empty" in stderr, stderr
        is_error(world.connect(server).command("PD.BACKUP", "FULL", "vault"), "s3://BUCKET")
