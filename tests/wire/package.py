"""The Debian package: built from what is tested, unpacked into a scratch root, and its server started from there."""

import glob
import gzip
import os
import re
import shutil
import subprocess
import sys

from processes import Perdure, need_program
from resp_connection import RespConnection

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def built(world):
    """The scratch root with all packages unpacked, and their paths."""
    output, root = world.path("packages"), world.path("root")
    if not os.path.isdir(output):
        world.run(sys.executable, os.path.join(ROOT, "tools/package.py"), "--build", os.path.dirname(os.path.abspath(world.binary)),
                  "--output", output, timeout=600)
        for package in glob.glob(output + "/*.deb"):
            world.run(need_program("dpkg", "dpkg"), "-x", package, root)
    return root, sorted(glob.glob(output + "/*.deb"))


def main_package(packages):
    return next(path for path in packages if os.path.basename(path).startswith("perdure_"))


def test_what_is_in_it(world):
    root, packages = built(world)
    _, control, _ = world.run("dpkg-deb", "-f", main_package(packages))
    fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", control, re.MULTILINE))
    assert fields["Package"] == "perdure" and fields["Section"] == "database", control
    for library in ("libc6", "librocksdb", "libevent", "liburing", "adduser"):
        assert library in fields["Depends"], control
    for path in ("usr/bin/perdure", "lib/systemd/system/perdure.service", "etc/perdure/perdure.toml",
                 "usr/share/doc/perdure/copyright", "usr/share/doc/perdure/changelog.gz", "usr/share/doc/perdure/operating.md"):
        assert os.path.isfile(os.path.join(root, path)), path
    assert gzip.open(os.path.join(root, "usr/share/doc/perdure/changelog.gz")).read().startswith(b"perdure (")
    for directory, _, names in os.walk(root):
        for name in names:
            mode = os.lstat(os.path.join(directory, name)).st_mode
            assert mode & 0o022 == 0 or os.path.islink(os.path.join(directory, name)), (directory, name)
    # Manual pages, where there are any, can be opened.
    for page in glob.glob(root + "/usr/share/man/man*/*.gz"):
        assert b".TH " in gzip.open(page).read(), page


def test_same_tree_same_bytes(world):
    _, packages = built(world)
    again = world.path("again")
    world.run(sys.executable, os.path.join(ROOT, "tools/package.py"), "--build", os.path.dirname(os.path.abspath(world.binary)),
              "--output", again, timeout=600)
    for package in packages:
        with open(package, "rb") as first, open(os.path.join(again, os.path.basename(package)), "rb") as second:
            assert first.read() == second.read(), os.path.basename(package)


def test_server_from_the_root(world):
    """As the service starts it, but for the places of configuration and data."""
    root, _ = built(world)
    with open(os.path.join(root, "lib/systemd/system/perdure.service")) as file:
        command = re.search(r"^ExecStart=(.*)$", file.read(), re.MULTILINE).group(1).split()
    assert command == ["/usr/bin/perdure", "server", "--config", "/etc/perdure/perdure.toml", "--data", "/var/lib/perdure"]
    world.run(os.path.join(root, "usr/bin/perdure"), "config", "check", os.path.join(root, "etc/perdure/perdure.toml"))
    server = Perdure(os.path.join(root, "usr/bin/perdure"), world.path("installed"),
                     ["--config", os.path.join(root, "etc/perdure/perdure.toml")])
    world.opened.append(server)
    server.start()
    with RespConnection(server.port) as connection:
        connection.expect("OK", "SET", "a", "1")
    assert server.stop() == 0
    server.start()
    with RespConnection(server.port) as connection:
        connection.expect(b"1", "GET", "a")
    assert server.stop() == 0


def test_python_module(world):
    """From where the package puts it, with the library from where its package puts that; no index, no compiler."""
    root, packages = built(world)
    package = next(path for path in packages if os.path.basename(path).startswith("python3-perdure_"))
    assert package.endswith("_all.deb"), package
    _, control, _ = world.run("dpkg-deb", "-f", package)
    fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", control, re.MULTILINE))
    assert re.search(r"libperdure0 \(= [0-9.]+\)", fields["Depends"]) and "python3" in fields["Depends"], control
    places = os.path.join(root, "usr/lib/python3/dist-packages")
    assert not glob.glob(places + "/perdure/*.so*") and os.path.isfile(places + "/perdure/py.typed"), os.listdir(places + "/perdure")
    libraries = {os.path.dirname(path) for path in glob.glob(root + "/usr/lib/*/libperdure.so.0") + glob.glob(root + "/usr/lib/libperdure.so.0")}
    assert len(libraries) == 1, libraries
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": places, "LD_LIBRARY_PATH": libraries.pop(), "PYTHONDONTWRITEBYTECODE": "1"}
    if world.memory_slack != 1:
        return  # a sanitizer's library wants its runtime first
    said = subprocess.run(["/usr/bin/python3", "-c", "import perdure, importlib.metadata as m\nprint(perdure.__file__, m.version('perdure'))"],
                          env=environment, cwd=world.directory, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 0 and said.stdout.startswith(places), said
    example = os.path.join(root, "usr/share/doc/python3-perdure/examples/agent_memory.py")
    done = subprocess.run(["/usr/bin/python3", example, world.path("agent"), "5"], env=environment, cwd=world.directory, capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.returncode == 0 and "step 5 " in done.stdout, done


def test_maintainer_scripts(world):
    """They run where there is no systemd, twice, and keep the data."""
    _, packages = built(world)
    scripts, tools = world.path("control"), world.path("tools")
    shutil.rmtree(scripts, ignore_errors=True)
    world.run("dpkg-deb", "-e", main_package(packages), scripts)
    os.makedirs(tools, exist_ok=True)
    said = world.path("said")
    for name in ("adduser", "getent", "install", "systemctl"):
        with open(os.path.join(tools, name), "w") as file:
            file.write(f'#!/bin/sh\necho {name} "$@" >>"{said}"\n' + ("exit 2\n" if name == "getent" else ""))
        os.chmod(os.path.join(tools, name), 0o755)
    environment = {"PATH": f"{tools}:/usr/bin:/bin"}
    for script, words in (("postinst", ["configure", ""]), ("postinst", ["configure", "0.0.9"]), ("prerm", ["remove"]),
                          ("postrm", ["remove"]), ("postrm", ["purge"])):
        done = subprocess.run(["/bin/sh", "-e", os.path.join(scripts, script), *words], env=environment, capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0, (script, words, done.stderr)
    with open(said) as file:
        text = file.read()
    assert "adduser --system --group" in text and "perdure" in text, text


def test_unit_is_sound(world):
    """What systemd itself says of the unit, where it is installed; it need not run."""
    root, _ = built(world)
    unit = os.path.join(root, "lib/systemd/system/perdure.service")
    with open(unit) as file:
        text = file.read()
    for line in ("Type=notify", "ProtectSystem=strict", "NoNewPrivileges=yes", "SystemCallFilter=@system-service", "UMask=0077"):
        assert line in text, line
    program = shutil.which("systemd-analyze")
    if program is None:
        print("note  package: systemd-analyze is not installed; the unit was read only")
        return
    copy = world.path("perdure.service")
    with open(copy, "w") as file:
        file.write(text.replace("/usr/bin/perdure", os.path.join(root, "usr/bin/perdure")))
    _, stdout, stderr = world.run(program, "verify", "--man=no", copy)
    assert "perdure" not in stdout + stderr, stdout + stderr
    status, stdout, stderr = world.run(program, "security", "--offline=yes", "--threshold=20", copy, check=False)
    assert status == 0, (stdout + stderr)[-300:]
    print("note  package: systemd-analyze verify and security ran")


def test_lintian(world):
    _, packages = built(world)
    program = shutil.which("lintian")
    if program is None:
        print("note  package: lintian is not installed")
        return
    # Whoever builds the packages is their maintainer, and has an address or not.
    status, stdout, stderr = world.run(program, "--fail-on", "error", "--allow-root", "--suppress-tags",
                                       "bogus-mail-host,bogus-mail-host-in-debian-changelog", *packages, timeout=600, check=False)
    assert status == 0 and "E: " not in stdout, stdout + stderr
