"""What is written about the command: docs/cli.md, manual pages, completion, and the tour of README as it stands there."""

import json
import os
import re
import shutil
import subprocess
import sys

from processes import need_program

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PAGES = os.path.join(ROOT, "tools", "cli_pages.py")


def pages(world, *words, check=True):
    return world.run(sys.executable, PAGES, words[0], world.binary, *words[1:], check=check)


def subcommands(world):
    return [row["name"] for row in json.loads(world.perdure("--describe")[1])["subcommands"]]


# ---- --help and --describe ----


def test_every_page_describes_itself(world):
    for name in subcommands(world):
        page = json.loads(world.perdure(name, "--describe")[1])
        words = [[name]] + [[name, verb["name"]] for verb in page.get("verbs", ())]
        for command in words:
            described = json.loads(world.perdure(*command, "--describe")[1])
            helped = world.perdure(*command, "--help")[1]
            assert described["command"] == "perdure " + " ".join(command), described
            assert described["synopsis"] in helped and described["about"] in helped, command
            for option in described.get("options", ()):
                assert option["help"], f"{command} {option['name']} is not explained"
            assert "verbs" in described or "Exit status:\n" in helped or command == ["metrics", "docs"] or command == ["config", "docs"], \
                f"{command} does not say what it ends with"


def test_wrong_words(world):
    for words, wanted in ((("sever",), "did you mean \"server\""), (("--hlp",), "did you mean --help"), (("--data", "x"), "behind the subcommand"),
                          (("log", "dmup"), "did you mean \"dump\""), (("help", "sevrer"), "did you mean"), (("log",), "usage:"), ((), "usage:")):
        status, stdout, stderr = world.perdure(*words, check=False)
        assert status == 2 and stdout == "" and wanted in stderr, (words, stderr)


def test_exit_statuses_have_one_table(world):
    rows = json.loads(world.perdure("--describe")[1])["exit_statuses"]
    assert [row["status"] for row in rows] == [0, 1, 2, 3, 4, 5], rows
    assert all(f"  {row['status']}  {row['text']}" in world.perdure("--help")[1] for row in rows)


# ---- docs/cli.md, manual pages ----


def test_docs_are_up_to_date(world):
    status, _, stderr = pages(world, "docs", "--check", check=False)
    assert status == 0, stderr


def test_manual_pages(world):
    groff = need_program("groff", "groff-base")
    directory = world.path("man1")
    pages(world, "man", directory)
    names = sorted(os.listdir(directory))
    assert {"perdure.1"} | {f"perdure-{name}.1" for name in subcommands(world)} <= set(names), names
    for name in names:
        _, stdout, stderr = world.run(groff, "-man", "-Tutf8", "-ww", "-P-cbou", os.path.join(directory, name))
        assert stderr == "", f"{name}: {stderr}"
        assert "EXIT STATUS" in stdout or name.endswith("-docs.1") or "SUBCOMMANDS" in stdout, name
    _, stdout, _ = world.run(groff, "-man", "-Tascii", "-P-cbou", os.path.join(directory, "perdure-cli.1"))
    assert "--ask-password" in stdout and "perdure cli -x SET picture < picture.png" in stdout, stdout


# ---- completion ----


def complete(world, script, *words):
    """What bash would offer for the last word."""
    quoted = " ".join(f"'{word}'" for word in words)
    line = f"source '{script}'; COMP_WORDS=(perdure {quoted}); COMP_CWORD={len(words)}; _perdure; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    _, stdout, stderr = world.run(need_program("bash", "bash"), "--norc", "-c", line)
    assert stderr == "", stderr
    return stdout.split()


def test_bash_completion(world):
    bash, zsh, fish = world.path("bash"), world.path("zsh"), world.path("fish")
    pages(world, "completion", bash, zsh, fish)
    script = os.path.join(bash, "perdure")
    assert complete(world, script, "do") == ["doctor"]
    assert set(subcommands(world)) <= set(complete(world, script, ""))
    assert complete(world, script, "log", "ve") == ["verify"]
    assert complete(world, script, "help", "to") == ["top"]
    assert complete(world, script, "top", "--inter") == ["--interval"]
    assert complete(world, script, "log", "dump", "--act") == ["--actor"]
    assert complete(world, script, "memory", "-o", "j") == ["json"]
    assert complete(world, script, "server", "--durability", "st") == ["standard", "strict"]
    assert complete(world, script, "server", "--durability", "=", "st") == ["standard", "strict"]
    assert complete(world, script, "cli", "--port", "7") == []
    os.makedirs(world.path("somewhere"))
    assert complete(world, script, "doctor", "--data", world.path("somew")) == [world.path("somewhere")]
    _, stdout, _ = world.run("bash", "--norc", "-c", f"source {script}; complete -p perdure")
    assert "_perdure" in stdout, stdout
    for shell, path in (("bash", script), ("zsh", os.path.join(zsh, "_perdure")), ("fish", os.path.join(fish, "perdure.fish"))):
        with open(path) as file:
            text = file.read()
        assert all(name in text for name in subcommands(world)) and "interval" in text, path
        if shutil.which(shell) is None:
            print(f"note  pages: {shell} is not installed, and has not read its completion")
            continue
        _, stdout, stderr = world.run(shell, "-n", path)
        assert stdout + stderr == "", (path, stdout + stderr)


# ---- the tour of README ----


def tour():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        text = file.read().split("\n## A tour\n")[1].split("\n## ")[0].split("\n### ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)


def promises(block):
    """What lines say in a comment behind them that they print."""
    return [text for text in re.findall(r"^perdure cli (?:--json )?(?:GET|HGETALL) .*?# (.*)$", block, re.M)]


def test_tour(world):
    """As it is written, but for the port; `./dev run` in the other terminal is done here."""
    directory = world.path("tour")
    os.makedirs(os.path.join(directory, "build"))
    os.symlink(world.binary, os.path.join(directory, "build", "perdure"))
    server = world.new_server("tour/data")
    server.log_path = world.path("tour.log")
    server.start()
    environment = {**os.environ, "PATH": f"{directory}/build:{os.environ['PATH']}"}
    blocks = tour()
    assert len(blocks) >= 5, blocks
    promised = 0
    for block in blocks:
        for number, part in enumerate(re.split(r"^\./dev run.*$", block, flags=re.M)):
            if number > 0:
                server.kill()
                server.start()
            script = part.replace("-p 7379", f"-p {server.port}")
            done = subprocess.run(["bash", "-e", "-c", script], cwd=directory, env=environment, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, f"{script}\nended with {done.returncode}: {done.stdout[-800:]} {done.stderr[-800:]}"
            assert "error" not in done.stdout.lower(), done.stdout
            for text in promises(part):
                assert text in done.stdout.splitlines(), f"{text} was promised, and this came: {done.stdout[-800:]}"
                promised += 1
    assert promised >= 4, promised
