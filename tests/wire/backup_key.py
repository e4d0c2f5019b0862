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
    for name in ("000001-1", "000001-2"):
        with open(os.path.join(vault, "key", name), encoding="ascii") as file:
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


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)
    return path


def test_a_change_of_keys(world):
    """What was backed up before and what comes after are restored with the new key; the old one opens nothing; the server goes on when its file has the new one."""
    old, new = key_file(world, "change-old.key"), key_file(world, "change-new.key")
    used = write(world.path("change-used.key"), open(old, "rb").read())
    server, connection = filled(world, "changed", "--backup-key-file", used)
    vault = world.path("changed-vault")
    full = backup(world, "full", "--data", server.directory, "--key-file", old, repository=vault)[-1]
    sizes = {name: os.path.getmtime(os.path.join(directory, name)) for directory, _, names in os.walk(os.path.join(vault, "data")) for name in names}
    done = backup(world, "key", "change", "--key-file", old, "--new-key-file", new, repository=vault)[-1]
    assert (done["added"], done["removed"], done["was_there"]) == (2, 1, False) and "another repository" in done["notice"], done
    assert sizes == {name: os.path.getmtime(os.path.join(directory, name)) for directory, _, names in os.walk(os.path.join(vault, "data")) for name in names}
    status, _, stderr = backup(world, "ls", "--key-file", old, repository=vault, check=False)
    assert status == FAILURE and "is not the key" in stderr, stderr
    # Once more: it is said that it is done.
    status, _, stderr = backup(world, "key", "change", "--key-file", old, "--new-key-file", new, repository=vault, check=False)
    assert status == FAILURE and "opens the repository already" in stderr, stderr
    # The server's file is replaced, as the page says.
    write(used, open(new, "rb").read())
    connection.expect("OK", "SET", "{secret-actor}0", "after")
    log = backup(world, "log", "--data", server.directory, repository=vault)[-1]
    state = connection.command("PD.STATEHASH").decode()
    assert server.stop() == 0
    shutil.rmtree(server.directory)
    assert [line["id"] for line in backup(world, "ls", "--key-file", new, repository=vault)] == [full["id"], log["id"]]
    restored = backup(world, "restore", "--data", server.directory, "--key-file", new, repository=vault)[-1]
    assert restored["hash"] == state, restored


def test_several_keys(world):
    server, _ = filled(world, "several")
    vault, key, words = world.path("several-vault"), key_file(world, "several.key"), write(world.path("several.words"), b"one two three four\n")
    backup(world, "full", "--data", server.directory, "--key-file", key, repository=vault)
    added = backup(world, "key", "add", "--key-file", key, "--new-passphrase-file", words, repository=vault)[-1]
    assert added["added"] == 2 and "removed" not in added, added
    listed = backup(world, "key", "ls", "--passphrase-file", words, repository=vault)
    assert [(line["number"], line["kind"], line["given"], line["copies"]) for line in listed] == [(1, "file", False, 2), (2, "passphrase", True, 2)], listed
    status, _, stderr = backup(world, "key", "remove", "2", "--passphrase-file", words, repository=vault, check=False)
    assert status == FAILURE and "is the one that is given" in stderr, stderr
    removed = backup(world, "key", "remove", "1", "--passphrase-file", words, repository=vault)[-1]
    assert removed["removed"] == 1, removed
    status, _, stderr = backup(world, "ls", "--key-file", key, repository=vault, check=False)
    assert status == FAILURE and "--passphrase-file FILE" in stderr, stderr
    # One copy has rotted: it opens all the same, it is said, and the next change puts it right.
    copy = os.path.join(vault, "key", "000002-1")
    write(copy, b"rotten")
    status, found, stderr = backup(world, "key", "ls", "--passphrase-file", words, repository=vault, check=False)
    assert status == DAMAGED and found[0]["copies"] == 1 and "key/000002-1" in stderr, (status, found, stderr)
    status, _, stderr = backup(world, "verify", "--all", "--quick", "--passphrase-file", words, repository=vault, check=False)
    assert status == DAMAGED and "key/000002-1" in stderr and "key mend" in stderr, (status, stderr)
    backup(world, "key", "mend", "--passphrase-file", words, repository=vault)
    backup(world, "verify", "--all", "--quick", "--passphrase-file", words, repository=vault)
    backup(world, "key", "add", "--passphrase-file", words, "--new-key-file", key, repository=vault)
    assert open(copy, "rb").read() == open(copy[:-1] + "2", "rb").read()
    assert [line["copies"] for line in backup(world, "key", "ls", "--key-file", key, repository=vault)] == [2, 2]
    for command, wanted in ((["key"], "ls, add, change, remove"), (["key", "change", "--key-file", key], "--new-key-file"),
                            (["key", "remove", "--key-file", key], "which key"), (["key", "ls", "--key-file", key, "--new-key-file", key], "add and change"),
                            (["key", "turn", "--key-file", key], "ls, add, change, remove")):
        status, _, stderr = backup(world, *command, repository=vault, check=False)
        assert status == USAGE and wanted in stderr, (command, stderr)
    plain = world.path("several-plain")
    backup(world, "full", "--data", server.directory, repository=plain)
    for command in (["key", "ls"], ["key", "change", "--new-key-file", key]):
        status, _, stderr = backup(world, *command, repository=plain, check=False)
        assert status == FAILURE and "not encrypted" in stderr, stderr
