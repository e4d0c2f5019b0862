"""What is wrong is said with what to do: every subcommand, on directories and servers that are not as they should be."""

import os
import shutil
import socket
import subprocess

from processes import free_port

FAILURE, USAGE, BUSY, DAMAGED = 1, 2, 3, 4
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")

# Of a directory: these read it themselves; these go through its server.
READ_IT = (("log", "verify"), ("log", "dump"), ("log", "stats"))
EITHER = (("actor", "ls"), ("actor", "show", "main"))  # through the server, or without one
ASK_SERVER = (("memory",), ("store", "stats"), ("store", "status"), ("store", "verify"), ("store", "compact"), ("store", "checkpoint"),
              ("log", "compact"))
SHELLS = (("cli", "PING"), ("top", "--count", "1"))


def fails(world, words, status, *wanted, prefix=()):
    ended, stdout, stderr = world.run(*prefix, world.binary, *words, check=False)
    # A server says it on standard error among its other lines.
    assert ended == status, f"{words} ended with {ended}: {stdout[-300:]} {stderr[-600:]}"
    for text in wanted:
        assert text in stderr, f"{words} does not say {text!r}, but: {stderr[-600:]}"


def with_data(words, directory):
    """--data stands before what is no option."""
    at = 2 if words[0] in ("log", "store", "actor") else 1
    return (*words[:at], "--data", directory, *words[at:])


def copy_of_data(world, name):
    world.connect().expect("OK", "SET", "k", "v")
    world.server.stop()
    directory = world.path(name)
    shutil.copytree(world.server.directory, directory)
    return directory


def server_words(directory, *more):
    return ("server", "--data", directory, "--resp", "0", "--http", "0", *more)


def test_no_directory(world):
    for words in (*READ_IT, *EITHER, *ASK_SERVER, *SHELLS):
        fails(world, with_data(words, world.path("nowhere")), FAILURE, "there is no directory", "--data")
    fails(world, server_words(world.path("no/such/parent")), FAILURE, "make the directory above it", "--data")


def test_empty_and_foreign_directories(world):
    for name, words_wanted in (("empty", "is empty"), ("foreign", "no data directory")):
        os.makedirs(world.path(name))
        if name == "foreign":
            with open(world.path("foreign/photo.jpg"), "w"):
                pass
        for words in READ_IT:
            fails(world, with_data(words, world.path(name)), FAILURE, words_wanted, "--data")
        for words in EITHER:
            fails(world, with_data(words, world.path(name)), FAILURE, "is no data directory", "--data")
            assert sorted(os.listdir(world.path(name))) == ([] if name == "empty" else ["photo.jpg"])
        for words in (*ASK_SERVER, *SHELLS):
            fails(world, with_data(words, world.path(name)), FAILURE, "no server is running", "perdure server --data")
    fails(world, server_words(world.path("foreign")), FAILURE, "photo.jpg", "choose another with --data")


def test_no_directory_but_a_file(world):
    with open(world.path("file"), "w"):
        pass
    for words in (*READ_IT, *EITHER, *ASK_SERVER, *SHELLS):
        fails(world, with_data(words, world.path("file")), FAILURE, "is not a directory", "--data")
    fails(world, server_words(world.path("file")), FAILURE, "is not a directory", "--data")


def test_another_format(world):
    directory = copy_of_data(world, "newer")
    with open(os.path.join(directory, "MANIFEST"), "r+") as file:
        file.write("perdure 9")
    for words in READ_IT:
        fails(world, with_data(words, directory), DAMAGED, "format 9", "newer Perdure")
    fails(world, server_words(directory), DAMAGED, "format 9", "newer Perdure")


def test_directory_in_use(world):
    fails(world, server_words(world.server.directory), BUSY, str(world.server.pid), "choose another data directory")


def test_another_user(world):
    """Root's directory, and somebody else."""
    assert os.geteuid() == 0, "this test needs root"
    public = world.path("public")
    shutil.copy2(world.binary, "/tmp/perdure-other-user-%d" % os.getpid())
    binary = "/tmp/perdure-other-user-%d" % os.getpid()
    try:
        for words in READ_IT + ASK_SERVER + SHELLS:
            done = subprocess.run([*NOBODY, binary, *with_data(words, world.server.directory)], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == FAILURE, (words, done.returncode, done.stderr)
            assert "user" in done.stderr, f"{words} does not say who may: {done.stderr}"
        os.makedirs(public, mode=0o755)
        done = subprocess.run([*NOBODY, binary, *server_words(os.path.join(public, "data"))], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == FAILURE and "as the user whose directory" in done.stderr, done.stderr
    finally:
        os.unlink(binary)


def test_taken_ports(world):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        fails(world, ("server", "--data", world.path("port"), "--resp", port, "--http", "0"), FAILURE, port, "--resp PORT")
        fails(world, ("server", "--data", world.path("port"), "--resp", "0", "--http", port), FAILURE, port, "--http PORT")


def test_nobody_listens(world):
    port = str(free_port())
    fails(world, ("bench", "--port", port, "--requests", "1"), FAILURE, "is the server running", "--port")
    fails(world, ("bench", "--host", "nowhere.invalid"), FAILURE, "there is no host", "--host")
    for words in SHELLS:
        fails(world, (words[0], "--port", port, *words[1:]), FAILURE, "nobody listens", "perdure server", "--port")


def test_bad_values(world):
    for words, wanted in ((("server", "--resp", "99999"), "0 to 65535"), (("server", "--memory-budget", "1k"), "at least 64MiB"),
                          (("server", "--durability", "strickt"), "did you mean strict"), (("server", "extra"), "unexpected word"),
                          (("server", "--port", "1"), "there is no option --port; did you mean --resp?"),
                          (("server", "--dir=x"), "did you mean --data?"),
                          (("server", "--resp"), "--resp PORT"), (("bench", "--clients", "0"), "1 to 20000"),
                          (("bench", "--test", "gett"), "set, get, mixed"), (("log", "dump", "--from", "x"), "an LSN or a bookmark"),
                          (("memory", "-o", "xml"), "text or json"), (("store", "compact", "extra"), "unexpected word"),
                          (("store", "verfy"), "did you mean \"verify\""), (("top", "--interval", "never"), "seconds"),
                          (("doctor", "--dat", "x"), "did you mean --data"), (("demo", "--data", ""), "--data is a path")):
        fails(world, words, USAGE, wanted, "--help'")


def test_unknown_subcommands(world):
    fails(world, ("user", "disabel"), USAGE, 'did you mean "disable"?')
    fails(world, ("user", "xx"), USAGE, "there are add, ls, ")
    fails(world, ("user", "xx", "--help"), USAGE, "there are add, ls, ")
    fails(world, ("frobnicate",), USAGE, "there are server, cli, ")


def test_output_that_cannot_be_written(world):
    world.connect().expect("OK", "SET", "k", "v")
    with open("/dev/full", "wb") as full:
        for words in (*(with_data(words, world.server.directory) for words in (*READ_IT, *ASK_SERVER[:3], *SHELLS, ("actor", "ls"))),
                      ("config", "show"), ("bench", "--port", str(world.server.port), "--requests", "10")):
            done = subprocess.run([world.binary, *words], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True,
                                  timeout=60, check=False)
            assert done.returncode == FAILURE and "No space left" in done.stderr, (words, done.returncode, done.stderr)
