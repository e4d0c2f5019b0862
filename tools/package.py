#!/usr/bin/python3
"""Debian packages from what has been built: `./dev package` runs it.

It takes what Meson would install, with /usr in the place of the prefix, and what a service needs around it, and calls
dpkg-deb. Nothing is downloaded, and the same tree gives the same bytes. Packages:

    perdure          the program, its service, manual pages, completions, documentation
    libperdure0      the shared library          } when this tree builds them
    libperdure-dev   what programs are built with }
    python3-perdure  the Python module, over libperdure0
"""

import argparse
import gzip
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
MAINTAINER = "The Perdure authors <perdure@localhost>"

# name, section, which installed files are its (first match wins), summary, description
PACKAGES = (
    ("python3-perdure", "python", r"usr/lib/python3/|usr/share/doc/python3-perdure/", "Python module of the durable store Perdure",
     "Perdure keeps key-values of actors durably behind one log. This is its library\nfor Python programs, which hold an engine themselves."),
    ("libperdure-dev", "libdevel", r"usr/include/|.*\.pc$|.*/libperdure\.(so|a)$|.*/examples/.*\.c$", "development files of the durable store Perdure",
     "Perdure keeps key-values of actors durably behind one log. These are the header\nand the static library for programs that hold an engine themselves."),
    ("libperdure0", "libs", r".*/libperdure\.so\.", "library of the durable store Perdure",
     "Perdure keeps key-values of actors durably behind one log. This is the library\nfor programs that hold an engine themselves."),
    ("perdure", "database", r"", "durable multi-model store with one log",
     "Perdure keeps everything an actor, an agent or a tenant knows. One log makes all\nof it durable, in one transaction; clients speak the Redis protocol."),
)


# As dh_python3 has them.
BYTE_COMPILE = """#!/bin/sh
set -e

if command -v py3compile >/dev/null 2>&1; then
	py3compile -p python3-perdure
fi
"""
BYTE_CLEAN = """#!/bin/sh
set -e

if command -v py3clean >/dev/null 2>&1; then
	py3clean -p python3-perdure
fi
"""


def run(*words, **options):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"package: {' '.join(words)} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def put(stage, path, data, mode=0o644):
    target = os.path.join(stage, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())
    os.chmod(target, mode)


def put_file(stage, path, source, mode=0o644):
    with open(source, "rb") as file:
        put(stage, path, file.read(), mode)


def compressed(data):
    return gzip.compress(data if isinstance(data, bytes) else data.encode(), 9, mtime=0)


# ---- what is installed ----


# Where Debian has what Meson's defaults put elsewhere.
MOVED = ((r"lib/python3(\.\d+)?/(site|dist)-packages/", "lib/python3/dist-packages/"),
         (r"share/zsh/site-functions/", "share/zsh/vendor-completions/"))


def take_installed(build, everything):
    """What Meson installs, with /usr for the prefix."""
    options = {row["name"]: row["value"] for row in json.loads(run("meson", "introspect", "--buildoptions", build))}
    with tempfile.TemporaryDirectory(prefix="perdure-installed-") as destination:
        run("meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", destination)
        prefix = os.path.join(destination, options["prefix"].strip("/"))
        for directory, _, names in os.walk(prefix):
            for name in names:
                source = os.path.join(directory, name)
                path = os.path.relpath(source, prefix)
                for pattern, place in MOVED:
                    path = re.sub("^" + pattern, place, path)
                target = os.path.join(everything, "usr", path)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.move(source, target)
                if target.endswith(".pc"):
                    with open(target) as file:
                        text = file.read()
                    put("/", target.lstrip("/"), re.sub(r"(?m)^prefix=.*$", "prefix=/usr", text))
    if not os.access(os.path.join(everything, "usr/bin/perdure"), os.X_OK):
        sys.exit(f"package: {build} has no perdure; run ./dev build")


def take_surroundings(everything):
    put_file(everything, "lib/systemd/system/perdure.service", os.path.join(ROOT, "contrib/systemd/perdure.service"))
    put_file(everything, "etc/perdure/perdure.toml", os.path.join(ROOT, "contrib/debian/perdure.toml"))
    with open(os.path.join(ROOT, "README.md")) as file:
        put(everything, "usr/share/doc/perdure/README.md", file.read().replace("](docs/", "]("))
    for folder in ("", "format"):
        for name in sorted(os.listdir(os.path.join(ROOT, "docs", folder))):
            if name.endswith(".md"):
                put_file(everything, os.path.join("usr/share/doc/perdure", folder, name), os.path.join(ROOT, "docs", folder, name))
    for example in ("container/Dockerfile", "prometheus/perdure.rules.yml", "grafana/perdure.json"):
        put_file(everything, f"usr/share/doc/perdure/examples/{os.path.basename(example)}", os.path.join(ROOT, "contrib", example))
    for directory, _, names in os.walk(os.path.join(everything, "usr/share/man")):
        for name in names:
            path = os.path.join(directory, name)
            if not name.endswith(".gz"):
                with open(path, "rb") as file:
                    put("/", path.lstrip("/") + ".gz", compressed(file.read()))
                os.unlink(path)


def take_python(everything):
    """The module as its wheel has it, without a library of its own: that is another package's."""
    spec = importlib.util.spec_from_file_location("perdure_build", os.path.join(ROOT, "python/backend/perdure_build.py"))
    backend = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(backend)
    backend.BUILT = os.path.join(ROOT, "python/no-library")
    os.environ.pop("PERDURE_LIBRARY", None)
    with tempfile.TemporaryDirectory(prefix="perdure-wheel-") as directory:
        with zipfile.ZipFile(os.path.join(directory, backend.build_wheel(directory))) as wheel:
            for name in wheel.namelist():
                if not name.endswith("/RECORD"):  # dpkg's list is the one that counts, and pip must not remove anything by it
                    put(everything, f"usr/lib/python3/dist-packages/{name}", wheel.read(name))
    info = next(name for name in os.listdir(os.path.join(everything, "usr/lib/python3/dist-packages")) if name.endswith(".dist-info"))
    put(everything, f"usr/lib/python3/dist-packages/{info}/INSTALLER", "debian\n")
    put_file(everything, "usr/share/doc/python3-perdure/README.md", os.path.join(ROOT, "python/README.md"))
    put_file(everything, "usr/share/doc/python3-perdure/examples/agent_memory.py", os.path.join(ROOT, "python/examples/agent_memory.py"))


def package_of(path):
    return next(row[0] for row in PACKAGES if re.match(row[2], path))


def split(everything, stages):
    for directory, _, names in os.walk(everything):
        for name in names:
            path = os.path.relpath(os.path.join(directory, name), everything)
            target = os.path.join(stages, package_of(path), path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.rename(os.path.join(everything, path), target)


# ---- one package ----


def is_elf(path):
    if os.path.islink(path):
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def strip_symbols(stage):
    """As dh_strip does: what is needed to run and to link stays."""
    for directory, _, names in os.walk(stage):
        for name in names:
            path = os.path.join(directory, name)
            if name.endswith(".a"):
                run("strip", "--strip-debug", "--enable-deterministic-archives", path)
            elif is_elf(path):
                run("strip", *(["--strip-unneeded"] if ".so" in name else []), "--remove-section=.comment",
                    "--remove-section=.note", path)


def dependencies(stage):
    """What the programs of the package are linked with, as dpkg-shlibdeps knows it."""
    programs = [os.path.join(directory, name) for directory, _, names in os.walk(stage) for name in names
                if is_elf(os.path.join(directory, name))]
    if not programs:
        return []
    with tempfile.TemporaryDirectory() as scratch:
        os.mkdir(os.path.join(scratch, "debian"))
        with open(os.path.join(scratch, "debian/control"), "w") as file:
            file.write("Source: perdure\n\nPackage: perdure\nArchitecture: any\n")
        output = run("dpkg-shlibdeps", "-O", "--ignore-missing-info", *programs, cwd=scratch)
    match = re.search(r"^shlibs:Depends=(.*)$", output, re.MULTILINE)
    return match.group(1).split(", ") if match else []


def write_control(stage, row, version, architecture, extra):
    name, section, _, summary, description = row
    size = sum(os.lstat(os.path.join(directory, file)).st_size for directory, _, files in os.walk(stage) for file in files)
    lines = [f"Package: {name}", "Source: perdure" if name != "perdure" else None, f"Version: {version}",
             f"Architecture: {architecture}", f"Maintainer: {MAINTAINER}", f"Installed-Size: {(size + 1023) // 1024}",
             f"Depends: {', '.join(extra)}" if extra else None, f"Section: {section}", "Priority: optional",
             "Multi-Arch: same" if name.startswith("lib") else None, f"Description: {summary}",
             *(" " + line for line in description.split("\n"))]
    put(stage, "DEBIAN/control", "\n".join(line for line in lines if line is not None) + "\n")


def write_scripts(stage, name, version):
    if name == "libperdure0":
        put(stage, "DEBIAN/triggers", "activate-noawait ldconfig\n")
        put(stage, "DEBIAN/shlibs", f"libperdure 0 libperdure0 (>= {version})\n")
    if name == "python3-perdure":
        put(stage, "DEBIAN/postinst", BYTE_COMPILE, 0o755)
        put(stage, "DEBIAN/prerm", BYTE_CLEAN, 0o755)
    if name != "perdure":
        return
    for script in ("postinst", "prerm", "postrm"):
        put_file(stage, f"DEBIAN/{script}", os.path.join(ROOT, "contrib/debian", script), 0o755)
    put(stage, "DEBIAN/conffiles", "/etc/perdure/perdure.toml\n")


def write_sums(stage):
    sums = []
    for directory, names, files in os.walk(stage):
        names[:] = sorted(name for name in names if name != "DEBIAN")
        for name in sorted(files):
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, stage)
            if not os.path.islink(path) and not relative.startswith("etc/"):
                sums.append(run("md5sum", path).split()[0] + "  " + relative)
    put(stage, "DEBIAN/md5sums", "\n".join(sorted(sums, key=lambda row: row[34:])) + "\n")


def changelog(version, moment):
    date = run("date", "-u", "-R", "-d", f"@{moment}").strip()
    return (f"perdure ({version}) unstable; urgency=medium\n\n  * See CHANGELOG.md for what a user notices.\n\n"
            f" -- {MAINTAINER}  {date}\n")


def even_out(stage, moment):
    """Modes and times that do not depend on who builds, and when."""
    for directory, names, files in os.walk(stage, topdown=False):
        for name in files:
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                runs = os.access(path, os.X_OK) and (directory.endswith(("/bin", "/DEBIAN")))
                os.chmod(path, 0o755 if runs else 0o644)
            os.utime(path, (moment, moment), follow_symlinks=False)
        os.chmod(directory, 0o755)
        os.utime(directory, (moment, moment))


def build_package(row, stage, version, architecture, moment, output):
    name = row[0]
    doc = f"usr/share/doc/{name}"
    put_file(stage, f"{doc}/copyright", os.path.join(ROOT, "contrib/debian/copyright"))
    put(stage, f"{doc}/changelog.gz", compressed(changelog(version, moment)))
    strip_symbols(stage)
    extra = dependencies(stage)
    if name == "perdure":
        extra.append("adduser")
    if name in ("libperdure-dev", "python3-perdure"):
        extra.append(f"libperdure0 (= {version})")
    if name == "python3-perdure":
        extra.append("python3 (>= 3.11)")
        architecture = "all"
    write_control(stage, row, version, architecture, extra)
    write_scripts(stage, name, version)
    write_sums(stage)
    even_out(stage, moment)
    path = os.path.join(output, f"{name}_{version}_{architecture}.deb")
    run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", stage, path, env={**os.environ, "SOURCE_DATE_EPOCH": str(moment)})
    return path


def source_moment():
    """When the tree was last changed: the packages' date."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    git = shutil.which("git")  # neither it nor a repository need be there
    said = git and subprocess.run([git, "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return int(said or 1767225600)


def main():
    parser = argparse.ArgumentParser(description="Make Debian packages of what has been built.")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="Meson's build directory")
    parser.add_argument("--output", help="where packages go (default: package/ in the build directory)")
    options = parser.parse_args()
    output = os.path.abspath(options.output or os.path.join(options.build, "package"))
    shutil.rmtree(output, ignore_errors=True)
    os.makedirs(output)
    version = json.loads(run("meson", "introspect", "--projectinfo", options.build))["version"]
    architecture = run("dpkg", "--print-architecture").strip()
    with tempfile.TemporaryDirectory(prefix="perdure-package-") as scratch:
        everything, stages = os.path.join(scratch, "everything"), os.path.join(scratch, "stages")
        take_installed(os.path.abspath(options.build), everything)
        take_surroundings(everything)
        take_python(everything)
        split(everything, stages)
        for row in reversed(PACKAGES):
            stage = os.path.join(stages, row[0])
            if os.path.isdir(stage):
                print(build_package(row, stage, version, architecture, source_moment(), output))


if __name__ == "__main__":
    main()
