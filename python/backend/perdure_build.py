"""Builds the wheel and the source archive (PEP 517), with Python's own library alone.

A wheel holds the Python files, and the shared library if there is one to take along: the file that PERDURE_LIBRARY names, else what
`./dev build` has left beside this directory. Without any, the module looks for an installed one when it is imported.
"""

import base64
import hashlib
import io
import os
import sysconfig
import tarfile
import tomllib
import zipfile

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
BUILT = os.path.join(ROOT, "..", "build", "src", "embed", "libperdure.so.0")
LIBRARY = "libperdure.so.0"  # as it is called inside the package


def project():
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        return tomllib.load(file)["project"]


def library():
    """The shared library to take along, or None."""
    named = os.environ.get("PERDURE_LIBRARY")
    if named:
        if not os.path.isfile(named):
            raise FileNotFoundError(f"PERDURE_LIBRARY names {named}, which is not there")
        return named
    return BUILT if os.path.isfile(BUILT) else None


def metadata(about):
    lines = ["Metadata-Version: 2.1", f"Name: {about['name']}", f"Version: {about['version']}", f"Summary: {about['description']}",
             f"License: {about['license']['text']}", f"Requires-Python: {about['requires-python']}",
             f"Keywords: {','.join(about['keywords'])}"]
    lines += [f"Classifier: {classifier}" for classifier in about["classifiers"]]
    with open(os.path.join(ROOT, about["readme"]), encoding="utf-8") as file:
        return "\n".join(lines) + "\nDescription-Content-Type: text/markdown\n\n" + file.read()


def module_files():
    package = os.path.join(ROOT, "perdure")
    return [(f"perdure/{name}", os.path.join(package, name)) for name in sorted(os.listdir(package))
            if name.endswith(".py") or name == "py.typed"]


class Wheel:
    """A zip file that remembers what is in it."""

    def __init__(self, path):
        self.zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
        self.record = []

    def add(self, name, data, mode=0o644):
        info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
        info.external_attr = (0o100000 | mode) << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        self.zip.writestr(info, data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        self.record.append(f"{name},sha256={digest},{len(data)}")

    def close(self, record_name):
        self.add(record_name, ("\n".join(self.record) + f"\n{record_name},,\n").encode())
        self.zip.close()


def read(path):
    with open(path, "rb") as file:
        return file.read()


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    about = project()
    taken = library()
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_") if taken else "any"
    tag = f"py3-none-{platform}"
    name = f"{about['name']}-{about['version']}-{tag}.whl"
    info = f"{about['name']}-{about['version']}.dist-info"
    wheel = Wheel(os.path.join(wheel_directory, name))
    for inside, path in module_files():
        wheel.add(inside, read(path))
    if taken:
        wheel.add(f"perdure/{LIBRARY}", read(taken), 0o755)
    wheel.add(f"{info}/METADATA", metadata(about).encode())
    wheel.add(f"{info}/WHEEL", (f"Wheel-Version: 1.0\nGenerator: perdure_build\nRoot-Is-Purelib: {'false' if taken else 'true'}\n"
                                f"Tag: {tag}\n").encode())
    wheel.close(f"{info}/RECORD")
    return name


def build_sdist(sdist_directory, config_settings=None):
    about = project()
    stem = f"{about['name']}-{about['version']}"
    with tarfile.open(os.path.join(sdist_directory, f"{stem}.tar.gz"), "w:gz") as archive:
        for folder, _, names in os.walk(ROOT):
            for name in sorted(names):
                path = os.path.join(folder, name)
                if "__pycache__" not in path:
                    archive.add(path, os.path.join(stem, os.path.relpath(path, ROOT)))
        data = metadata(about).encode()
        entry = tarfile.TarInfo(f"{stem}/PKG-INFO")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return f"{stem}.tar.gz"
