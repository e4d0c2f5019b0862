"""What the library shows, and that a stranger's compiler takes it."""

import os
import re
import shutil

STRICT = ["-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Wshadow", "-Werror", "-fsyntax-only"]


def declared(world):
    """Names of the functions that the header exports."""
    with open(world.header, encoding="utf-8") as file:
        return set(re.findall(r"PERDURE_API [^;]*?\b(perdure_\w+)\(", file.read()))


def exported(world):
    rows = world.run("nm", "-D", "--defined-only", world.library).splitlines()
    return {row.split()[2].split("@")[0]: row.split()[1] for row in rows}


def test_exports_are_what_the_header_says(world):
    there = exported(world)
    versions = {name for name, kind in there.items() if kind == "A"}
    assert versions == {"PERDURE_0"}, versions
    functions = set(there) - versions
    wanted = declared(world)
    assert len(wanted) > 30, wanted
    assert functions == wanted, f"only in the library: {functions - wanted}; only in the header: {wanted - functions}"


def test_soname(world):
    assert re.search(r"SONAME.*\[libperdure\.so\.0\]", world.run("readelf", "-d", world.library))


def test_header_is_plain_c_and_cpp(world):
    source = world.path("alone.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write("#include <perdure.h>\n#include <perdure.h>\n"
                   "int f(void);\nint f(void)\n{\n"
                   "\tstruct perdure_options options = PERDURE_OPTIONS_INIT;\n"
                   "\tstruct perdure_transaction_options transaction = PERDURE_TRANSACTION_OPTIONS_INIT;\n"
                   "\tstruct perdure_range range = PERDURE_RANGE_INIT;\n"
                   "\tstruct perdure_status status = PERDURE_STATUS_INIT;\n"
                   "\tstruct perdure_bytes bytes = perdure_text(\"text\");\n"
                   "\treturn options.size > 0 && transaction.size > 0 && range.size > 0 && status.size > 0 && bytes.size == 4;\n}\n")
    include = "-I" + os.path.dirname(world.header)
    for compiler in filter(shutil.which, ("gcc", "clang")):
        for standard in ("c99", "c11", "c17"):
            world.run(compiler, f"-std={standard}", *STRICT, include, source)
    for compiler in filter(shutil.which, ("g++", "clang++")):
        for standard in ("c++11", "c++17", "c++20"):
            world.run(compiler, "-x", "c++", f"-std={standard}", *STRICT, include, source)


def test_installation(world):
    """The header, both libraries and pkg-config in a directory of one's own, and a program built with what is there."""
    if world.is_sanitized():
        return
    prefix = world.path("prefix")
    world.run("meson", "install", "-C", world.build, "--no-rebuild", "--quiet", "--destdir", prefix, timeout=300)
    found = world.run("find", prefix, "-name", "perdure.pc").split()
    assert len(found) == 1, found
    libraries = os.path.dirname(os.path.dirname(found[0]))
    for name in ("libperdure.so", "libperdure.so.0", "libperdure.a"):
        assert os.path.exists(os.path.join(libraries, name)), name
    example = world.run("find", prefix, "-name", "hello.c").strip()
    where = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(found[0]), PKG_CONFIG_SYSROOT_DIR=prefix)
    flags = world.run("pkg-config", "--cflags", "--libs", "perdure", env=where).split()
    world.run("cc", "-std=c99", example, *flags, "-o", world.path("shared"))
    assert "3 apples" in world.run(world.path("shared"), world.path("data"), env=dict(os.environ, LD_LIBRARY_PATH=libraries))
    # Without the shared one beside it, the linker takes the other.
    for name in os.listdir(libraries):
        if ".so" in name:
            os.unlink(os.path.join(libraries, name))
    flags = world.run("pkg-config", "--static", "--cflags", "--libs", "perdure", env=where).split()
    world.run("cc", "-std=c99", example, *flags, "-o", world.path("static"))
    assert "3 apples" in world.run(world.path("static"), world.path("data"))
