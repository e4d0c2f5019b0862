#!/usr/bin/python3
"""The rules of the house that a machine can check. `./dev tidy` runs it.

Each check prints `file:line: what is wrong; what to do` for every breach and counts as one test: the last line
is `N passed, N failed[, N skipped]`, and the exit status is 1 on any breach. Warnings fail nothing.

Work that needs a compiler or clang-format is done in parallel and remembered under build/tidy/ by a hash of
everything that could change its result.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

# ---- the tables ----

# Mirrors the table of rooms in ARCHITECTURE.md, from the top down. A room may use only rooms above it.
ROOMS = ("include", "base", "os", "crypto", "wire", "provider", "log", "store", "model", "sql", "engine",
         "history", "restore", "archive", "backup", "cluster", "security", "config", "embed", "net", "front", "server", "cli")

# Rooms that are held tighter than the order alone would.
MAY_USE = {
    "include": (),
    "base": (),
    "os": ("base",),
    "crypto": ("base",),
    "wire": ("base",),
    "provider": ("base", "os", "crypto"),
    "log": ("base", "os"),
    "store": ("base", "os", "log"),
    "model": ("base", "wire", "store", "log"),
    "net": ("base", "os"),
}

# A vendor's header is included in one room only: (pattern, folders, the vendor).
VENDORS = (
    (r"liburing\.h|liburing/.*", ("src/os/",), "liburing"),
    (r"event2/.*|event\.h|evhttp\.h|evdns\.h", ("src/net/",), "libevent"),
    (r"xxhash\.h|xxh3\.h", ("src/base/",), "xxHash"),
    (r"rocksdb/.*", ("src/store/rocks/", "bench/peers/"), "RocksDB"),
    (r"histedit\.h|editline/.*", ("src/cli/",), "libedit"),
    (r"lmdb\.h", ("bench/peers/",), "LMDB"),
    (r"sqlite3(ext)?\.h", ("src/sql/",), "SQLite"),
    (r"openssl/(ssl|tls1|dtls1|bio|err|x509|asn1)\.h", ("src/crypto/", "src/net/", "tests/unit/net/", "tests/fuzz/"), "OpenSSL's TLS"),
    (r"openssl/.*", ("src/crypto/",), "OpenSSL"),
    (r"argon2\.h", ("src/crypto/",), "libargon2"),
    (r"liblzf/.*|lzf\.h", ("src/model/",), "LibLZF"),
    (r"jansson\.h", ("src/config/",), "jansson"),
    (r"toml\+\+/.*|toml\.hpp", ("src/config/",), "toml++"),
    (r"zstd.*\.h|zdict\.h", ("src/base/",), "zstd"),
    (r"zlib\.h|zconf\.h", ("src/cli/",), "zlib"),
    (r"curl/.*", ("src/provider/",), "libcurl"),
    (r"expat.*\.h", ("src/provider/",), "expat"),
    (r"cmocka.*\.h", ("tests/",), "cmocka"),
    (r"hiredis/.*|hiredis\.h", ("tests/", "bench/"), "hiredis"),
)

# System calls that belong behind src/os, which has a simulated twin: whoever goes past it escapes the simulation.
SYSTEM_CALLS = {
    "file": """open open64 openat openat2 creat fopen fopen64 freopen fdopen close read write readv writev pread
        pread64 pwrite pwrite64 preadv pwritev preadv2 pwritev2 fsync fdatasync sync syncfs sync_file_range rename
        renameat renameat2 unlink unlinkat remove rmdir mkdir mkdirat link linkat symlink symlinkat opendir
        fdopendir readdir scandir nftw stat fstat lstat fstatat statx access faccessat truncate ftruncate fallocate
        posix_fallocate flock lockf fcntl lseek sendfile copy_file_range tmpfile mkstemp mkostemp mkdtemp chmod
        fchmod chown dup dup2 statfs fstatfs statvfs fstatvfs""",
    "clock": """clock_gettime clock_getres gettimeofday time clock ftime timespec_get nanosleep clock_nanosleep
        sleep usleep timerfd_create timer_create""",
    "chance": """getrandom getentropy random srandom random_r drand48 lrand48 mrand48 erand48 srand48
        arc4random""",
    "thread": "pthread_create thrd_create clone clone3",
    "process": """fork vfork execv execve execvp execvpe execl execlp execle posix_spawn posix_spawnp system
        popen""",
}

# (folder or file, names, why). src/os itself is the door.
SYSTEM_CALLS_ALLOWED = (
    ("src/os/", "*", "it is the door"),
    ("src/net/", "read write readv writev close fcntl fchmod unlink", "on sockets, which only src/net holds"),
    ("src/cli/", "read write close", "on the terminal and on sockets to a server"),
    ("src/embed/", "close", "of the descriptor that wakes the driving thread"),
)

# Functions that are never called: (names, what to use instead).
BANNED = (
    ("strcpy stpcpy strcat strncpy strncat", "use struct pd_slice or struct pd_buffer"),
    ("sprintf vsprintf", "use snprintf, pd_asprintf or struct pd_buffer"),
    ("gets", "read with a size"),
    ("strtok", "split with struct pd_slice"),
    ("atoi atol atoll atof", "parse with a range check and report what is not a number"),
    ("scanf fscanf sscanf vscanf vfscanf vsscanf", "parse with a range check"),
    ("alloca", "the stack has no error to return: use pd_malloc"),
    ("rand srand rand_r", "use pd_os_random"),
)

# Allocation passes the one fault point of src/base/memory.c, so that tests can make each one fail.
ALLOCATION = "malloc calloc realloc reallocarray free aligned_alloc posix_memalign strdup strndup asprintf vasprintf"
# (folder or file, names, why)
ALLOCATION_ALLOWED = (
    ("src/base/memory.c", ALLOCATION, "it is the fault point"),
    ("tests/", ALLOCATION, "tests may"),
    ("bench/", ALLOCATION, "benchmarks may"),
)

# Variables that outlive a call and may change: (file, symbol, why).
GLOBALS_ALLOWED = (
    ("src/base/memory.c", "fail_countdown", "the fault point of allocation, for tests"),
    ("src/base/memory.c", "fail_for_good", "the fault point of allocation, for tests"),
    ("src/base/memory.c", "watched", "the fault point of allocation, for tests"),
    ("src/base/memory.c", "live", "what was allocated and not freed, for tests"),
)

VISIBLE_NAME = "pd_|perdure_|main$"  # what a symbol begins with that other files see
BAD_NAMES = ("util", "utils", "common", "misc", "helper", "helpers")
CLANG_FORMAT_MAJOR = 14  # Debian 12's; others lay out the same style a little differently
LONG_FILE = 800  # lines; a warning
LONG_FUNCTION = 100  # lines; a warning

# ---- the tree ----


class Source:
    """One file of C, or of C++ behind a C header: its text as it is, without comments, and without comments and literals; lines stay put."""

    LITERAL = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
    INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"\n]+)[>\"]", re.MULTILINE)

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            self.text = file.read()
        without_comments = self.LITERAL.sub(
            lambda match: blank(match.group()) if match.group().startswith("/") else match.group(), self.text)
        self.code = self.LITERAL.sub(lambda match: blank(match.group()), self.text)
        self.includes = [(without_comments.count("\n", 0, match.start(1)) + 1, match.group(1) == "<", match.group(2))
                         for match in self.INCLUDE.finditer(without_comments)]

    def calls(self, names):
        """(line, name) of every call of one of the names; a member or a declared pointer of that name is none."""
        pattern = re.compile(r"(?<![\w.>])(" + "|".join(sorted(names)) + r")[ \t]*\(")
        for match in pattern.finditer(self.code):
            yield self.code.count("\n", 0, match.start()) + 1, match.group(1)

    def room(self):
        if self.path.startswith("include/"):
            return "include"
        parts = self.path.split("/")
        return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def blank(text):
    return re.sub(r"[^\n]", " ", text)


class Tree:
    def __init__(self, root):
        self.root = root
        self.sources = {}
        for folder in ("include", "src", "tests", "bench"):
            for directory, _, names in os.walk(os.path.join(root, folder)):
                for name in names:
                    if name.endswith((".c", ".cc", ".h", ".hh")):
                        path = os.path.relpath(os.path.join(directory, name), root)
                        self.sources[path] = None
        for path in sorted(self.sources):
            self.sources[path] = Source(root, path)
        self.hashes = {}

    def __iter__(self):
        return iter(sorted(self.sources.values(), key=lambda source: source.path))

    def resolve(self, source, name):
        """The file of this tree that the #include means, or None."""
        for base in (os.path.dirname(source.path), "src", "include", "tests", "bench"):
            path = os.path.normpath(os.path.join(base, name))
            if path in self.sources:
                return path
        return None

    def closure_hash(self, path):
        """A hash of the file and of all files of this tree that it includes, directly or not."""
        if path not in self.hashes:
            seen, todo = set(), [path]
            while todo:
                current = todo.pop()
                if current in seen:
                    continue
                seen.add(current)
                source = self.sources[current]
                found = (self.resolve(source, name) for _, _, name in source.includes)
                todo.extend(other for other in found if other is not None)
            parts = [name + "\0" + self.sources[name].text for name in sorted(seen)]
            self.hashes[path] = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        return self.hashes[path]


class Memory:
    """What was found clean before, kept from run to run."""

    def __init__(self, root):
        self.path = os.path.join(root, "build", "tidy", "clean.json")
        self.old, self.new = {}, {}
        try:
            with open(self.path, encoding="utf-8") as file:
                self.old = json.load(file)
        except (OSError, ValueError):
            pass

    def knows(self, check, path, key):
        if self.old.get(f"{check} {path}") != key:
            return False
        self.new[f"{check} {path}"] = key
        return True

    def note(self, check, path, key):
        self.new[f"{check} {path}"] = key

    def save(self, checks):
        kept = {name: key for name, key in self.old.items() if name.split(" ")[0] not in checks}
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            temporary = f"{self.path}.{os.getpid()}"
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump({**kept, **self.new}, file)
            os.replace(temporary, self.path)
        except OSError:
            pass  # a tree that cannot be written is checked anew each time


class Skip(Exception):
    """The check cannot be made here; the text says why."""


def run(command, root):
    return subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)


def in_parallel(work, items):
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(work, items))


def allowed(table, path, name):
    for place, names, _ in table:
        inside = path.startswith(place) if place.endswith("/") else path == place
        if inside and (names == "*" or name in names.split()):
            return True
    return False


# ---- the checks: each yields (path, line, what is wrong and what to do) ----


def check_rooms(tree, _):
    for source in tree:
        for line, is_system, name in source.includes:
            if is_system:
                continue
            target = tree.resolve(source, name)
            breach = private_breach(source, name) or room_breach(source, name, target)
            if breach:
                yield source.path, line, breach
        if source.path.startswith("src/") and source.room() not in ROOMS:
            yield source.path, 1, "this folder is no room; add it to ARCHITECTURE.md and to ROOMS in tools/tidy.py"


def private_breach(source, name):
    """A *_private.h stays in its room; the room's own unit tests count as inside."""
    if not name.endswith(("_private.h", "_private.hh")):
        return None
    room = name.split("/")[0] if "/" in name else source.room()
    if source.room() == room or source.path.startswith(f"tests/unit/{room}/"):
        return None
    return f'"{name}" is private to room {room}; use its door {room}/{room}.h'


def room_breach(source, name, target):
    mine = source.room()
    if mine is None:
        return None  # tests and benchmarks may use every room
    if target is None:
        other = name.split("/")[0] if "/" in name else mine
    elif target.startswith("include/"):
        other = "include"
    elif target.startswith("src/"):
        other = target.split("/")[1]
    else:
        return f'"{name}" is not part of the product; src may not include tests or benchmarks'
    if other == mine:
        return None
    if other not in ROOMS or mine not in ROOMS:
        return f'"{name}": room {other} is not in ROOMS of tools/tidy.py'
    may_use = MAY_USE.get(mine, ROOMS[:ROOMS.index(mine)])
    if other in may_use:
        return None
    return (f'room {mine} may not use room {other} ("{name}"): only {", ".join(may_use) or "none"}; '
            "move the code, or meet through a contract header in a room above both")


def check_vendors(tree, _):
    for source in tree:
        for line, _is_system, name in source.includes:
            for pattern, folders, vendor in VENDORS:
                if re.fullmatch(pattern, name):
                    if not source.path.startswith(folders):
                        yield (source.path, line, f"<{name}>: {vendor} belongs to {' and '.join(folders)} only; "
                               "go through that room's door")
                    break


def check_system_calls(tree, _):
    kinds = {name: kind for kind, names in SYSTEM_CALLS.items() for name in names.split()}
    for source in tree:
        if not source.path.startswith(("src/", "include/")):
            continue
        for line, name in source.calls(kinds):
            if not allowed(SYSTEM_CALLS_ALLOWED, source.path, name):
                yield (source.path, line, f"{name}(): {kinds[name]} calls belong to src/os; use pd_os_*, "
                       "so that the simulation sees it")


def check_banned(tree, _):
    advice = {name: text for names, text in BANNED for name in names.split()}
    for source in tree:
        for line, name in source.calls(advice):
            yield source.path, line, f"{name}() is banned; {advice[name]}"
        for line, name in source.calls(ALLOCATION.split()):
            if not allowed(ALLOCATION_ALLOWED, source.path, name):
                yield (source.path, line, f"{name}(): allocation goes through pd_{name.replace('reallocarray', 'realloc')}"
                       " and its fault point in src/base/memory.c")


def check_names(tree, _):
    for source in tree:
        stem = os.path.splitext(os.path.basename(source.path))[0]
        if stem in BAD_NAMES or stem.endswith(tuple("_" + bad for bad in BAD_NAMES)):
            yield source.path, 1, f"'{stem}' says nothing; name the file after the noun or the phase it holds"


def compiler():
    path = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    if path is None:
        raise Skip("there is no C compiler")
    return path.split()


def compile_flags(*more):
    return ["-std=gnu17", "-D_GNU_SOURCE", '-DPD_VERSION="tidy"', "-Isrc", "-Iinclude", *more]


def first_error(output, path):
    """(line, text) of a compiler's first error; its place may be in another file."""
    match = re.search(r"^([^:\n]+):(\d+):(?:\d+:)? (?:fatal )?error: (.*)$", output, re.MULTILINE)
    if match is None:
        return 1, output.strip().splitlines()[-1] if output.strip() else "the compiler failed"
    if os.path.normpath(match.group(1)) == path:
        return int(match.group(2)), match.group(3)
    return 1, f"{match.group(1)}:{match.group(2)}: {match.group(3)}"


def check_headers(tree, memory):
    """Each header compiles alone, and twice in one file; a public one in C++ as well, one of C++ in C++ only."""
    cc = compiler()
    version = run(cc + ["--version"], tree.root).stdout.split("\n")[0]

    def alone(source):
        key = version + tree.closure_hash(source.path)
        if memory.knows("headers", source.path, key):
            return None
        breach = header_breach(tree.root, cc, source.path)
        if breach is None:
            memory.note("headers", source.path, key)
        return breach

    headers = [source for source in tree if source.path.endswith((".h", ".hh"))]
    yield from filter(None, in_parallel(alone, headers))


def header_breach(root, cc, path):
    flags = compile_flags("-Itests", "-Ibench", "-I.", "-fsyntax-only", "-Wall", "-Wno-unused")
    languages = [] if path.endswith(".hh") else [("c", cc)]
    if path.startswith("include/") or path.endswith(".hh"):
        if shutil.which("g++"):
            languages.append(("c++", ["g++"]))
    for language, command in languages:
        language_flags = [flag for flag in flags if language == "c" or not flag.startswith("-std=")]
        with tempfile.NamedTemporaryFile("w", suffix=".c", prefix="tidy-") as file:
            file.write(f'#include "{path}"\n#include "{path}"\n')
            file.flush()
            done = run(command + ["-x", language] + language_flags + [file.name], root)
        if done.returncode != 0:
            line, text = first_error(done.stdout, path)
            return path, line, f"does not compile alone as {language}: {text}; include what it uses"
    return None


def find_clang_format():
    """(program, its major version) of the version wanted, else of any, else (None, 0)."""
    best = (None, 0)
    for name in (f"clang-format-{CLANG_FORMAT_MAJOR}", "clang-format"):
        program = shutil.which(name)
        if program is None:
            continue
        match = re.search(r"version (\d+)", run([program, "--version"], ".").stdout)
        major = int(match.group(1)) if match else 0
        if major == CLANG_FORMAT_MAJOR:
            return program, major
        best = (program, major)
    return best


def check_formatting(tree, memory):
    program, major = find_clang_format()
    if program is None:
        raise Skip("clang-format is not installed")
    if major != CLANG_FORMAT_MAJOR:
        raise Skip(f"clang-format is version {major}, the style is that of {CLANG_FORMAT_MAJOR}")
    with open(os.path.join(tree.root, ".clang-format"), encoding="utf-8") as file:
        style = file.read()
    keys = {source.path: hashlib.sha256((style + source.text).encode()).hexdigest() for source in tree}
    todo = [path for path in sorted(keys) if not memory.knows("formatting", path, keys[path])]
    workers = os.cpu_count() or 1
    batches = [batch for batch in (todo[start::workers] for start in range(workers)) if batch]
    command = [program, "--dry-run", "-Werror", "--style=file"]
    output = "\n".join(done.stdout for done in in_parallel(lambda batch: run(command + batch, tree.root), batches))
    first = {}
    for match in re.finditer(r"^([^:\n]+):(\d+):\d+: error: ", output, re.MULTILINE):
        first.setdefault(match.group(1), int(match.group(2)))
    for path in todo:
        if path in first:
            yield path, first[path], "is not laid out as .clang-format says; run ./dev format"
        else:
            memory.note("formatting", path, keys[path])


def check_globals(tree, memory):
    """Mutable variables with static storage, as the compiler sees them: symbols in .data, .bss and their
    thread-local twins. And what other files see: its name says whose it is. Compiled here and without
    optimization, so that nothing is left out."""
    cc = compiler()
    if shutil.which("nm") is None:
        raise Skip("nm (binutils) is not installed")
    version = run(cc + ["--version"], tree.root).stdout.split("\n")[0] + str(GLOBALS_ALLOWED) + VISIBLE_NAME

    def of_file(source):
        key = version + tree.closure_hash(source.path)
        if memory.knows("globals", source.path, key):
            return []
        breaches = list(globals_of(tree.root, cc, source))
        if not breaches:
            memory.note("globals", source.path, key)
        return breaches

    files = [source for source in tree if source.path.startswith("src/") and source.path.endswith(".c")]
    for breaches in in_parallel(of_file, files):
        yield from breaches


def line_of(source, symbol):
    match = re.search(rf"\b{re.escape(symbol)}\b", source.code)
    return source.code.count("\n", 0, match.start()) + 1 if match else 1


def globals_of(root, cc, source):
    with tempfile.TemporaryDirectory(prefix="tidy-") as directory:
        target = os.path.join(directory, "object.o")
        done = run(cc + compile_flags("-O0", "-fPIE", "-fno-common", "-w", "-c", source.path, "-o", target), root)
        if done.returncode != 0:
            line, text = first_error(done.stdout, source.path)
            yield source.path, line, f"does not compile, so its globals are not checked: {text}"
            return
        table = run(["nm", "--format=sysv", target], root).stdout
    for row in table.splitlines():
        fields = [field.strip() for field in row.split("|")]
        if len(fields) == 7 and fields[2] in ("T", "D", "B", "R") and not re.match(VISIBLE_NAME, fields[0]):
            yield (source.path, line_of(source, fields[0]), f"'{fields[0]}' is seen by other files; make it static, "
                   "or begin its name with pd_")
        if len(fields) != 7 or not re.match(r"\.t?(data|bss)\b", fields[6]) or fields[6].startswith(".data.rel.ro"):
            continue
        symbol = fields[0].split(".")[0]
        if not symbol or any(source.path == path and symbol == name for path, name, _ in GLOBALS_ALLOWED):
            continue
        yield (source.path, line_of(source, symbol), f"'{symbol}' is a mutable global; make it const or a member of what the caller "
               "passes (exceptions, with a reason: GLOBALS_ALLOWED in tools/tidy.py)")


CHECKS = (
    ("rooms", check_rooms),
    ("vendors", check_vendors),
    ("system-calls", check_system_calls),
    ("banned", check_banned),
    ("names", check_names),
    ("headers", check_headers),
    ("formatting", check_formatting),
    ("globals", check_globals),
)

# ---- warnings ----


def functions(source):
    """(first line, last line) of every function: in this style its braces stand in the first column."""
    start = None
    lines = source.code.splitlines()
    for number, text in enumerate(lines, 1):
        if text == "{" and number > 1 and lines[number - 2].rstrip().endswith(")"):
            start = number
        elif text.startswith("}") and start is not None:
            yield start, number
            start = None


def warnings(tree):
    for source in tree:
        count = source.text.count("\n")
        if count > LONG_FILE:
            yield source.path, 1, f"{count} lines; a file holds one subject (rarely over {LONG_FILE} lines)"
        for first, last in functions(source):
            if last - first + 1 > LONG_FUNCTION:
                yield source.path, first, f"a function of {last - first + 1} lines; one fits a screen (about 70)"


# ---- the run ----


def run_check(name, check, tree, memory):
    """'passed', 'failed' or 'skipped', with its findings printed."""
    try:
        breaches = sorted(set(check(tree, memory)))
    except Skip as reason:
        print(f"skipped tidy {name}: {reason}")
        return "skipped"
    for path, line, text in breaches:
        print(f"{path}:{line}: {text} [{name}]")
    return "failed" if breaches else "passed"


def main():
    parser = argparse.ArgumentParser(description="Check the rules of the house.")
    parser.add_argument("--root", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    parser.add_argument("--only", action="append", choices=[name for name, _ in CHECKS], help="only this check")
    parser.add_argument("--no-warnings", action="store_true")
    parser.add_argument("--print-clang-format", action="store_true", help="print the program's path and end")
    arguments = parser.parse_args()

    if arguments.print_clang_format:
        program, major = find_clang_format()
        if major != CLANG_FORMAT_MAJOR:
            sys.exit(f"tidy: clang-format {CLANG_FORMAT_MAJOR} is needed, found "
                     + (f"version {major}" if program else "none"))
        print(program)
        return 0

    tree = Tree(os.path.abspath(arguments.root))
    memory = Memory(tree.root)
    chosen = [(name, check) for name, check in CHECKS if not arguments.only or name in arguments.only]
    results = [run_check(name, check, tree, memory) for name, check in chosen]
    memory.save([name for name, _ in chosen])
    if not arguments.no_warnings:
        for path, line, text in warnings(tree):
            print(f"{path}:{line}: warning: {text}")
    line = f"{results.count('passed')} passed, {results.count('failed')} failed"
    print(line + (f", {results.count('skipped')} skipped" if "skipped" in results else ""))
    return 1 if "failed" in results else 0


if __name__ == "__main__":
    sys.exit(main())
