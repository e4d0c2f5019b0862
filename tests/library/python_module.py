"""The Python module in an environment of its own: installed without an index and without a compiler, then its own suite."""

import importlib.util
import os
import re
import sys
import zipfile

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python")


def environment(**more):
    """Nothing of this machine's Python settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV", "PERDURE_"))}
    return dict(kept, PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONDONTWRITEBYTECODE="1", PATH="/usr/bin:/bin", **more)


def make_environment(world):
    """The Python of a fresh virtual environment."""
    place = world.path("environment")
    world.run(sys.executable, "-m", "venv", place, timeout=300, env=environment())
    return os.path.join(place, "bin", "python")


def test_module_in_a_fresh_environment(world):
    """`pip install ./python`, as the README says, with no index; then the suite, and the library that was taken along."""
    if world.is_sanitized():
        return
    python = make_environment(world)
    library = os.path.join(world.build, "src", "embed", "libperdure.so.0")
    world.run(python, "-m", "pip", "install", "--quiet", "--no-index", SOURCE, timeout=300, cwd=world.directory,
              env=environment(PERDURE_LIBRARY=library))
    where = world.run(python, "-c", "import perdure._library as lib; print(lib.LIBRARY._name)", cwd=world.directory,
                      env=environment()).strip()
    assert where.startswith(world.path("environment")), f"the library in use is {where}"
    said = world.run(python, "-W", "error::ResourceWarning", "-m", "unittest", "discover", "-s", os.path.join(SOURCE, "tests"),
                     timeout=300, cwd=world.directory, env=environment())
    assert re.search(r"Ran [1-9]\d* tests", said) and said.rstrip().endswith("OK"), said
    world.run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "perdure", cwd=world.directory, env=environment())
    world.run(python, "-c", "import perdure", status=1, cwd=world.directory, env=environment())


def load_backend():
    spec = importlib.util.spec_from_file_location("perdure_build", os.path.join(SOURCE, "backend", "perdure_build.py"))
    backend = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(backend)
    return backend


def test_wheel_without_a_library(world):
    """Then it is for any machine, and says what to do where no library is installed."""
    backend = load_backend()
    backend.BUILT = world.path("nothing")
    os.environ.pop("PERDURE_LIBRARY", None)
    name = backend.build_wheel(world.directory)
    assert name.endswith("-py3-none-any.whl"), name
    with zipfile.ZipFile(world.path(name)) as wheel:
        names = wheel.namelist()
        assert wheel.testzip() is None
        wheel.extractall(world.path("site"))
    assert "perdure/py.typed" in names and not any(".so" in each for each in names), names
    nowhere = environment(PYTHONPATH=world.path("site"), PERDURE_LIBRARY=world.path("libperdure.so.0"))
    said = world.run(sys.executable, "-c", "import perdure", status=1, cwd=world.directory, env=nowhere)
    assert "PERDURE_LIBRARY" in said and "was not found" in said, said
    assert backend.build_sdist(world.directory).endswith(".tar.gz")


def test_version_is_the_project_s(world):
    with open(os.path.join(world.root, "meson.build"), encoding="utf-8") as file:
        version = re.search(r"version: '([^']+)'", file.read()).group(1)
    assert load_backend().project()["version"] == version


def test_every_code_has_its_exception(world):
    """The header's codes, by number and name, and whether one may try again."""
    with open(world.header, encoding="utf-8") as file:
        codes = dict(re.findall(r"\b(PERDURE_[A-Z_]+)\s*=\s*(-\d+)", file.read()))
    spec = importlib.util.spec_from_file_location("perdure_errors", os.path.join(SOURCE, "perdure", "errors.py"))
    errors = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(errors)
    assert {kind.name: str(kind.code) for kind in errors.BY_CODE.values()} == codes
    if world.is_sanitized():
        return
    import ctypes
    library = ctypes.CDLL(world.library)
    for kind in errors.BY_CODE.values():
        assert bool(library.perdure_code_retryable(kind.code)) == kind.retryable, kind.name
        assert kind.__doc__, kind.name


def test_structs_are_the_header_s(world):
    """The sizes and offsets that the module takes for granted, against a C compiler's."""
    if world.is_sanitized():
        return
    structs = {"Error": "error", "Bytes": "bytes", "Progress": "progress", "Options": "options",
               "TransactionOptions": "transaction_options", "Receipt": "receipt", "Value": "value", "KeyInfo": "key_info",
               "Range": "range", "Item": "item", "ActorInfo": "actor_info", "Lease": "lease", "Reply": "reply", "Status": "status"}
    names = {"Range": {"start": "from", "stop": "to"}}
    script = world.path("layout.py")
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"import ctypes, sys\nsys.path.insert(0, {SOURCE!r})\nimport perdure._library as lib\n"
                   f"structs, names = {structs!r}, {names!r}\n"
                   "for ours, theirs in structs.items():\n"
                   "    kind = getattr(lib, ours)\n"
                   "    print('s', theirs, '', ctypes.sizeof(kind))\n"
                   "    for field, *_ in kind._fields_:\n"
                   "        print('o', theirs, names.get(ours, {}).get(field, field), getattr(kind, field).offset)\n")
    layout = world.run(sys.executable, script, env=environment(PERDURE_LIBRARY=world.library))
    source = world.path("layout.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write("#include <perdure.h>\n")
        for row in layout.splitlines():
            kind, struct, field, number = row.split(" ")
            what = f"sizeof(struct perdure_{struct})" if kind == "s" else f"offsetof(struct perdure_{struct}, {field})"
            file.write(f"_Static_assert({what} == {number}, \"{what}\");\n")
    world.run("cc", "-std=c11", "-fsyntax-only", "-I" + os.path.dirname(world.header), source)
