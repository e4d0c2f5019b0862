"""`perdure backup` under a key: nothing in clear in the repository, the wrong key told at once, and the same state again."""

import json
import os
import secrets
import shutil

from actor_history import as_map, is_error

FAILURE, USAGE, DAMAGED = 1, 2, 4
MARK = b"a text that nobody else is to read"


def backup(world, *words, repository, check=True, cwd=None):
    before = os.getcwd()
    try:
        if cwd is not None:
            os.chdir(cwd)
        status, stdout, stderr = world.perdure("backup", *words, "--repository", repository, "-o", "json", check=check, timeout=300)
    finally:
        os.chdir(before)
    found = [json.loads(line) for line in stdout.splitlines()]
    return found if check else (status, found, stderr)


def key_file(world, name):
    path = world.path(name)
    with open(path, "wb") as file:
        file.write(secrets.token_bytes(32))
    return path


def filled(world, name, *options):
    server = world.new_server(name, list(options))
    server.start()
    connection = world.connect(server)
    for number in range(300):
        connection.expect("OK", "SET", f"{{secret-actor}}{number}", MARK * 20)
    return server, connection


def expect_nothing_in_clear(repository):
    seen = 0
    for directory, _, names in os.walk(repository):
        for name in names:
            with open(os.path.join(directory, name), "rb") as file:
                content = file.read()
            assert MARK not in content and b"secret-actor" not in content and b"log/0000" not in content, name
            seen += 1
    assert seen > 5


def test_a_life_under_a_key(world):
    server, connection = filled(world, "keyed")
    vault, key = world.path("keyed-vault"), key_file(world, "keyed.key")
    # Named as whoever is in that directory names it: the server finds it.
    full = backup(world, "full", "--data", server.directory, "--key-file", "keyed.key", repository=vault, cwd=world.directory)[-1]
    assert "Without it nobody can restore" in full["notice"], full
    connection.expect("OK", "SET", "{secret-actor}0", "after")
    log = backup(world, "log", "--data", server.directory, "--key-file", key, repository=vault)[-1]
    assert "notice" not in log, log
    state = connection.command("PD.STATEHASH").decode()
    assert server.stop() == 0
    incremental = backup(world, "incremental", "--data", server.directory, "--key-file", key, repository=vault)[-1]
    assert incremental["hash"] == state and incremental["sent_bytes"] < incremental["stored_bytes"], incremental
    expect_nothing_in_clear(vault)
    shutil.rmtree(server.directory)
    assert [line["id"] for line in backup(world, "ls", "--key-file", key, repository=vault)] == [full["id"], log["id"], incremental["id"]]
    backup(world, "verify", "--all", "--key-file", key, repository=vault)
    backup(world, "drill", "--key-file", key, repository=vault)
    gone = backup(world, "expire", "--keep", "1", "--key-file", key, repository=vault)[-1]
    assert len(gone["backups"]) == 2, gone
    restored = backup(world, "restore", "--data", server.directory, "--key-file", key, repository=vault)[-1]
    assert restored["hash"] == state and restored["compared"], restored


def test_wrong_keys(world):
    server, connection = filled(world, "locked")
    vault, key, other = world.path("locked-vault"), key_file(world, "locked.key"), key_file(world, "other.key")
    done = backup(world, "full", "--data", server.directory, "--key-file", key, repository=vault)[-1]
    objects = sorted(os.listdir(os.path.join(vault, "backup")))
    words = world.path("locked.words")
    with open(words, "w", encoding="ascii") as file:
        file.write("one two three four\n")
    for given, wanted in (([], "--key-file FILE"), (["--key-file", other], "is not the key"),
                          (["--passphrase-file", words], "--key-file FILE"), (["--key-file", world.path("no-such")], "there is no file"),
                          (["--key-file", words], "32 random bytes"), (["--key-file", key, "--passphrase-file", words], "one key")):
        # By the server, and by the command.
        status, _, stderr = backup(world, "full", "--data", server.directory, *given, repository=vault, check=False)
        assert status == FAILURE and wanted in stderr, (given, stderr)
        for command in (["ls"], ["verify", done["id"], "--quick"], ["restore", "--data", world.path("never")]):
            status, _, stderr = backup(world, *command, *given, repository=vault, check=False)
            assert status == FAILURE and wanted in stderr and not os.path.exists(world.path("never")), (command, given, stderr)
    assert sorted(os.listdir(os.path.join(vault, "backup"))) == objects
    # A key where there is none is as wrong: nobody is to believe that it counts.
    plain = world.path("plain-vault")
    backup(world, "full", "--data", server.directory, repository=plain)
    status, _, stderr = backup(world, "full", "--data", server.directory, "--key-file", key, repository=plain, check=False)
    assert status == FAILURE and "is not encrypted" in stderr, stderr
    for words in (["KEYFILE"], ["KEYFILE", ""], ["NONSENSE"]):
        is_error(connection.command("PD.BACKUP", "FULL", vault, *words), "ERR")


def test_a_passphrase(world):
    server, _ = filled(world, "phrased")
    vault, words = world.path("phrased-vault"), world.path("phrase")
    with open(words, "w", encoding="ascii") as file:
        file.write("correct horse battery staple\n")
    done = backup(world, "full", "--data", server.directory, "--passphrase-file", words, repository=vault)[-1]
    assert "the passphrase in" in done["notice"], done
    expect_nothing_in_clear(vault)
    with open(os.path.join(vault, "repository"), encoding="ascii") as file:
        assert "\nkey argon2id 65536 3 1 " in file.read()
    verified = backup(world, "verify", done["id"], "--passphrase-file", words, repository=vault)[-1]
    assert verified["sound"] and verified["hash"] == done["hash"], verified
    with open(words, "w", encoding="ascii") as file:
        file.write("correct horse battery stable\n")
    status, _, stderr = backup(world, "verify", done["id"], "--passphrase-file", words, repository=vault, check=False)
    assert status == FAILURE and "is not the passphrase" in stderr, stderr


def test_the_servers_own(world):
    """With settings of its own a server encrypts what nobody names a key for."""
    key = key_file(world, "server.key")
    server, connection = filled(world, "settled", "--backup-key-file", key)
    vault = world.path("settled-vault")
    reply = as_map(connection.command("PD.BACKUP", "FULL", vault))
    for _ in range(300):
        if reply["state"] != b"running":
            break
        world.run("sleep", "0.1")
        reply = as_map(connection.command("PD.BACKUP", "STATUS"))
    assert reply["state"] == b"done" and b"server.key" in reply["notice"], reply
    expect_nothing_in_clear(vault)
    status, _, stderr = backup(world, "ls", repository=vault, check=False)
    assert status == FAILURE and "is encrypted" in stderr, stderr
    assert len(backup(world, "ls", "--key-file", key, repository=vault)) == 1
