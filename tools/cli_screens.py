#!/usr/bin/python3
"""Writes docs/screens.md: what `perdure cli`, `top` and `doctor` look like, from a real run.

    tools/cli_screens.py [BINARY]        build/perdure without
"""

import os
import re
import subprocess
import sys
import tempfile
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "wire"))

from processes import Perdure  # noqa: E402
from terminal import Terminal  # noqa: E402

PAGE = os.path.join(ROOT, "docs", "screens.md")

HEAD = """# Screens

Written by `tools/cli_screens.py` from a real run. [cli.md](cli.md) has every option.
"""

TYPED = (
    "SET greeting 'hello there'",
    "HSET profile name Ada born 1815",
    "HGETALL profile",
    "PD.USE user:42",
    "MULTI",
    "INCR visits",
    "EXEC",
    "PD.RECEIPT",
    "help EXPIRE",
)


def fence(text, language=""):
    return f"```{language}\n{text.rstrip()}\n```\n"


def without_noise(text):
    return "\n".join(line.rstrip() for line in text.split("\n"))


def shell(binary, directory):
    """A session, and what completion and hints look like."""
    terminal = Terminal([binary, "cli"], columns=100, environment={"PERDURE_HISTORY": "", "PWD": directory}, directory=directory)
    session = terminal.expect("data> ")
    for line in TYPED:
        terminal.type(line + "\r")
        session += terminal.expect("> ") if line != "HGETALL profile" else terminal.expect("data> ")
        while terminal.read_some(0.2):
            pass
        session += terminal.text()
        terminal.raw = b""
    terminal.type("EXPIRE greeting 60 ")
    terminal.read_some(1)
    time.sleep(0.3)
    terminal.read_some(1)
    hint = terminal.text()
    terminal.raw = b""
    terminal.type("\x15CONFIG \t")
    time.sleep(0.5)
    while terminal.read_some(0.2):
        pass
    completion = terminal.text()
    terminal.kill()
    prompt = re.search(r"(\S+ user:42> )", session).group(1)
    return without_noise(session), prompt + hint, prompt + completion[completion.rindex("CONFIG \n"):] if "CONFIG \n" in completion else prompt + completion


def top(binary, directory, port):
    load = subprocess.Popen([binary, "bench", "--port", str(port), "--clients", "20", "--test", "mixed", "--seconds", "8"],
                            stdout=subprocess.DEVNULL)
    terminal = Terminal([binary, "top"], rows=40, columns=100, directory=directory)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        terminal.read_some(0.2)
    screen = terminal.raw.split(b"\x1b[H")[-1]
    if b"\x1b[J" not in screen:
        screen = terminal.raw.split(b"\x1b[H")[-2]
    terminal.raw = screen
    text = terminal.text()
    terminal.type("q")
    terminal.wait()
    lines = subprocess.run([binary, "top", "--count", "3", "--interval", "0.5"], cwd=directory, stdout=subprocess.PIPE, text=True, check=True).stdout
    load.wait()
    return without_noise(text), lines


def doctor(binary, directory, *words):
    done = subprocess.run([binary, "doctor", *words], cwd=directory, stdout=subprocess.PIPE, text=True, check=False)
    return re.sub(r"Linux \S+,", "Linux …,", done.stdout)


def main():
    binary = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build", "perdure"))
    with tempfile.TemporaryDirectory() as work:
        server = Perdure(binary, os.path.join(work, "data"), ["--http", "0"])
        server.start()
        session, hint, completion = shell(binary, work)
        screen, lines = top(binary, work, server.port)
        sound = doctor(binary, work)
        server.kill()
        os.makedirs(os.path.join(work, "photos"), mode=0o755)
        with open(os.path.join(work, "photos", "cat.jpg"), "w"):
            pass
        bad = doctor(binary, work, "--data", "photos", "--problems")
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write("\n".join((
            HEAD, "## perdure cli\n", fence(session),
            "While one types, what may follow stands dimmed behind the cursor:\n", fence(hint),
            "TAB completes, and shows what there is to choose from:\n", fence(completion),
            "## perdure top\n", fence(screen), "With `--lines`, or where there is no terminal:\n", fence(lines),
            "## perdure doctor\n", "A server's directory:\n", fence(sound), "A directory that is none (`--data photos --problems`):\n",
            fence(bad))))
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
