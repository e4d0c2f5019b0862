"""The same data saved and had back by everybody: Perdure's backups, Redis's snapshot and append-only file, PostgreSQL's base backup with
recovery to a moment. Each is told to write all of it, then as much as it writes for changes; what is had back is looked at."""

import glob
import json
import os
import shlex
import shutil
import subprocess
import time

import postgres
from history_tools import ask, backup, change, drop_cache, fill, now, settle, user_bytes
from measuring import BenchError, KEY_SIZE, Row, perdure_with, say
from processes import Perdure, Redis
from resp_connection import RespConnection

VALUE = 1000
START_S = 600
NAME = "bench_moment"


def command_json(options, *words):
    """The last line of JSON that a command prints: it succeeds, or the benchmark ends."""
    command = [options.binary, *words, "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode != 0:
        raise BenchError(f"{shlex.join(command)}: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def timed(function, *arguments):
    began = time.monotonic()
    function(*arguments)
    return time.monotonic() - began


def count_is(server, expected):
    with RespConnection(server.port, timeout=300) as connection:
        found = ask(connection, "DBSIZE")
    if found != expected:
        raise BenchError(f"{server.name} came back with {found} keys instead of {expected}")


# ---- Perdure ----


def perdure(options, keys):
    """Seconds: a full backup; that restored and served; a moment in the log behind it restored and served."""
    vault, again = os.path.join(options.work, "peers-vault"), os.path.join(options.work, "peers-again")
    server = perdure_with(options, "peers-perdure", ("--memory-budget", "1GiB"))
    with server:
        server.start()
        fill(options, server.port, keys, VALUE)
        settle(server)
        drop_cache(server.directory)
        with RespConnection(server.port, timeout=600) as connection:
            full = backup(connection, "FULL", vault)
            change(options, server.port, keys, VALUE, keys // 100, 1)
            ask(connection, "SET", "the moment", "1")
            moment, hashed = now(connection), ask(connection, "PD.STATEHASH")
            change(options, server.port, keys, VALUE, keys // 100, 2)
            ask(connection, "DEL", "the moment")
            backup(connection, "LOG", vault)
        server.stop()
    shutil.rmtree(server.directory)

    def restore(*words):
        drop_cache(vault)
        began = time.monotonic()
        command_json(options, "backup", "restore", *words, "--repository", vault, "--data", again)
        with Perdure(options.binary, again, ["--memory-budget", "1GiB"]) as copy:
            copy.start(timeout=START_S)
            taken = time.monotonic() - began
            with RespConnection(copy.port, timeout=600) as connection:
                found = ask(connection, "DBSIZE"), ask(connection, "PD.STATEHASH")
        shutil.rmtree(again)
        return taken, found

    whole, found = restore(full["id"].decode())
    if found != (keys, full["hash"]):
        raise BenchError(f"a restored backup has {found}")
    at, found = restore("--at", moment)
    if found != (keys + 1, hashed):
        raise BenchError(f"a moment restored has {found}")
    return {"save": full["seconds"], "restore": whole, "moment": at}


# ---- Redis ----


def redis(options, keys):
    """Seconds: a snapshot; a start from it; a start from the append-only file of the same writes. There are no moments."""
    found = {}
    options_of = {"rdb": ["--appendonly", "no"],
                  "aof": ["--appendonly", "yes", "--appendfsync", "everysec", "--aof-use-rdb-preamble", "no", "--auto-aof-rewrite-percentage", "0"]}
    for name, words in options_of.items():
        server = Redis(os.path.join(options.work, f"peers-redis-{name}"), words)
        with server:
            server.start()
            fill(options, server.port, keys, VALUE)
            change(options, server.port, keys, VALUE, keys // 100, 1)
            if name == "rdb":
                with RespConnection(server.port, timeout=START_S) as connection:
                    found["save"] = timed(ask, connection, "SAVE")
            else:
                server.stop()  # a killed one would lack what was not yet synced
            server.kill()
            drop_cache(server.directory)
            found[name] = server.start(timeout=START_S)
            count_is(server, keys)
        shutil.rmtree(server.directory)
    return found


# ---- PostgreSQL ----


def fill_postgres(server, keys):
    """Values that do not compress, as everybody else's: bytea of random bytes, one statement for each 100,000 rows."""
    server.ask("CREATE EXTENSION IF NOT EXISTS pgcrypto")
    server.ask("CREATE UNLOGGED TABLE kv (k text PRIMARY KEY, v bytea NOT NULL)")
    server.ask("ALTER TABLE kv ALTER COLUMN v SET STORAGE PLAIN")
    for first in range(0, keys, 100_000):
        last = min(first + 100_000, keys) - 1
        server.ask(f"INSERT INTO kv SELECT lpad(i::text, {KEY_SIZE}, '0'), gen_random_bytes({VALUE}) FROM generate_series({first}, {last}) i")
    server.ask("ALTER TABLE kv SET LOGGED")
    server.ask("CHECKPOINT")


def change_postgres(server, keys, count):
    server.ask(f"UPDATE kv SET v = gen_random_bytes({VALUE}) WHERE k IN "
               f"(SELECT lpad((random() * {keys - 1})::int::text, {KEY_SIZE}, '0') FROM generate_series(1, {count}))")


def recovered_postgres(options, base, archive, name, wanted, keys):
    """Seconds from a base backup to a cluster that serves, as of the moment."""
    directory = postgres.give(os.path.join(options.work, name))
    drop_cache(base)
    began = time.monotonic()
    postgres.copy(base, directory)
    settings = [f"restore_command=cp {archive}/%f %p", "recovery_target_action=promote", *wanted]
    with open(os.path.join(directory, "recovery.signal"), "w", encoding="utf-8"):
        pass
    postgres.give(directory)
    with postgres.Postgres(directory, settings) as server:
        server.start(timeout=START_S)
        taken = time.monotonic() - began
        found = server.ask("SELECT count(*) FROM kv")
    shutil.rmtree(directory)
    if found != str(keys):
        raise BenchError(f"PostgreSQL came back with {found} rows instead of {keys}")
    return taken


def postgresql(options, keys):
    """Seconds: pg_basebackup; a copy of it that serves; the same at a moment in the archived log behind it."""
    base, archive = os.path.join(options.work, "peers-base"), postgres.give(os.path.join(options.work, "peers-wal"))
    server = postgres.Postgres(os.path.join(options.work, "peers-postgres"),
                               ["archive_mode=on", f"archive_command=test ! -f {archive}/%f && cp %p {archive}/%f"])
    server.create()
    found = {}
    with server:
        server.start(timeout=START_S)
        fill_postgres(server, keys)
        server.ask("SELECT pg_switch_wal()")
        wait_archived(server)
        drop_cache(server.directory)
        postgres.give(base)
        found["save"] = timed(lambda: postgres.run("pg_basebackup", "-D", base, "-X", "none", "-c", "fast", "--no-manifest", "-h",
                                                   server.sockets, "-p", server.port, "-U", postgres.USER))
        change_postgres(server, keys, keys // 100)
        server.ask(f"SELECT pg_create_restore_point('{NAME}')")
        change_postgres(server, keys, keys // 100)
        server.ask("SELECT pg_switch_wal()")
        wait_archived(server)
        server.stop()
    shutil.rmtree(server.directory)
    found["restore"] = recovered_postgres(options, base, archive, "peers-base-again", ["recovery_target=immediate"], keys)
    found["moment"] = recovered_postgres(options, base, archive, "peers-pitr", [f"recovery_target_name={NAME}"], keys)
    return found


def wait_archived(server, seconds=300):
    """Until all of the log that is full is in the archive."""
    end = time.monotonic() + seconds
    last = server.ask("SELECT pg_walfile_name(pg_switch_wal())")
    while time.monotonic() < end:
        archived = server.ask("SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver")
        if archived >= last or not glob.glob(os.path.join(server.directory, "pg_wal", "archive_status", "*.ready")):
            return
        time.sleep(0.1)
    raise BenchError("PostgreSQL did not archive its log in time")


# ---- the table ----


def rows(options):
    keys = max(1000, int(options.history_gb * 1e9) // user_bytes(1, VALUE))
    say("Perdure")
    mine = perdure(options, keys)
    say("Redis")
    rdb = redis(options, keys)
    say("PostgreSQL")
    other = postgresql(options, keys)
    words = f"{options.history_gb:g} GB"
    for work, name, peer, seconds in (
            ("a full backup", "save", "Redis SAVE", rdb["save"]),
            ("a full backup", "save", "pg_basebackup", other["save"]),
            ("restored from it and serving", "restore", "Redis's start from its snapshot", rdb["rdb"]),
            ("restored from it and serving", "restore", "PostgreSQL from its base backup", other["restore"]),
            ("restored to a moment in the log behind it and serving", "moment", "Redis's start from its append-only file, all of it", rdb["aof"]),
            ("restored to a moment in the log behind it and serving", "moment", "PostgreSQL, to a restore point", other["moment"])):
        yield Row(f"{words}: {work}, against {peer}", mine[name], seconds, lower=True, unit=" s")
