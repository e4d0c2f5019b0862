#!/usr/bin/python3
"""tidy is tested as it tests others: in a temporary copy of a small tree, a breach of each kind is planted and
must be found at its file and line; the clean copy must pass. Ends with `N passed, N failed`."""

import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)

GUARD = "#ifndef PD_PLANTED_H\n#define PD_PLANTED_H\n\n{}\n#endif\n"

# (what, check, {file: text}, where it must be found)
BREACHES = (
    ("a room uses one below it", "rooms",
     {"src/base/planted.c": '#include "os/planted.h"\n', "src/os/planted.h": GUARD.format("")},
     "src/base/planted.c:1:"),
    ("a room uses a sibling that its row does not name", "rooms",
     {"src/net/planted.c": '\n#include "log/planted.h"\n', "src/log/planted.h": GUARD.format("")},
     "src/net/planted.c:2:"),
    ("a way around the order with ..", "rooms",
     {"src/base/planted.c": '#include "../os/planted.h"\n', "src/os/planted.h": GUARD.format("")},
     "src/base/planted.c:1:"),
    ("a private header outside its room", "rooms",
     {"src/engine/planted.c": '#include "log/planted_private.h"\n', "src/log/planted_private.h": GUARD.format("")},
     "src/engine/planted.c:1:"),
    ("a private header in another room's unit test", "rooms",
     {"tests/unit/os/planted.c": '#include "log/planted_private.h"\n',
      "src/log/planted_private.h": GUARD.format("")},
     "tests/unit/os/planted.c:1:"),
    ("the product includes a test's header", "rooms",
     {"src/base/planted.c": '#include "lib/planted.h"\n', "tests/lib/planted.h": GUARD.format("")},
     "src/base/planted.c:1:"),
    ("a folder that is no room", "rooms", {"src/attic/planted.c": "\n"}, "src/attic/planted.c:1:"),
    ("liburing outside src/os", "vendors", {"src/log/planted.c": "#include <liburing.h>\n"}, "src/log/planted.c:1:"),
    ("libevent outside src/net", "vendors",
     {"src/server/planted.c": "#include <event2/event.h>\n"}, "src/server/planted.c:1:"),
    ("xxHash outside src/base", "vendors", {"src/log/planted.c": "#include <xxhash.h>\n"}, "src/log/planted.c:1:"),
    ("RocksDB outside src/store", "vendors",
     {"src/engine/planted.c": "#include <rocksdb/c.h>\n"}, "src/engine/planted.c:1:"),
    ("LMDB outside bench/peers", "vendors", {"bench/planted.c": "#include <lmdb.h>\n"}, "bench/planted.c:1:"),
    ("SQLite outside src/sql", "vendors", {"src/store/planted.c": "#include <sqlite3.h>\n"}, "src/store/planted.c:1:"),
    ("OpenSSL's EVP outside src/crypto", "vendors",
     {"src/net/planted.c": "#include <openssl/evp.h>\n"}, "src/net/planted.c:1:"),
    ("zstd outside src/log", "vendors", {"src/store/planted.c": "#include <zstd.h>\n"}, "src/store/planted.c:1:"),
    ("cmocka in the product", "vendors", {"src/base/planted.c": "#include <cmocka.h>\n"}, "src/base/planted.c:1:"),
    ("hiredis in the product", "vendors",
     {"src/net/planted.c": "#include <hiredis/hiredis.h>\n"}, "src/net/planted.c:1:"),
    ("a file is synced past src/os", "system-calls",
     {"src/log/planted.c": "void f(int d)\n{\n\tfdatasync(d);\n}\n"}, "src/log/planted.c:3:"),
    ("the clock is read past src/os", "system-calls",
     {"src/engine/planted.c": "long f(void)\n{\n\treturn time(0);\n}\n"}, "src/engine/planted.c:3:"),
    ("randomness past src/os", "system-calls",
     {"src/base/planted.c": "void f(void)\n{\n\tgetrandom(0, 0, 0);\n}\n"}, "src/base/planted.c:3:"),
    ("a thread past src/os", "system-calls",
     {"src/store/planted.c": "void f(void)\n{\n\tpthread_create(0, 0, 0, 0);\n}\n"}, "src/store/planted.c:3:"),
    ("a file is synced in src/net, which may only hold sockets", "system-calls",
     {"src/net/planted.c": "void f(int d)\n{\n\tfsync(d);\n}\n"}, "src/net/planted.c:3:"),
    ("strcpy", "banned", {"tests/lib/planted.c": "void f(char *a)\n{\n\tstrcpy(a, a);\n}\n"}, "tests/lib/planted.c:3:"),
    ("sprintf", "banned", {"bench/planted.c": 'void f(char *a)\n{\n\tsprintf(a, "");\n}\n'}, "bench/planted.c:3:"),
    ("atoi", "banned", {"src/cli/planted.c": "int f(char *a)\n{\n\treturn atoi(a);\n}\n"}, "src/cli/planted.c:3:"),
    ("sscanf", "banned", {"src/cli/planted.c": 'void f(char *a)\n{\n\tsscanf(a, "");\n}\n'}, "src/cli/planted.c:3:"),
    ("malloc", "banned", {"src/os/planted.c": "void *f(void)\n{\n\treturn malloc(1);\n}\n"}, "src/os/planted.c:3:"),
    ("free", "banned", {"src/base/planted.c": "void f(void *a)\n{\n\tfree(a);\n}\n"}, "src/base/planted.c:3:"),
    ("a file name that says nothing", "names", {"src/base/string_utils.c": "\n"}, "src/base/string_utils.c:1:"),
    ("a header that leans on others", "headers",
     {"src/base/planted.h": GUARD.format("size_t pd_planted(void);\n")}, "src/base/planted.h:4:"),
    ("a header without a guard", "headers", {"src/base/planted.h": "struct planted {\n\tint a;\n};\n"},
     "src/base/planted.h:1:"),
    ("a header broken by another that changed", "headers",
     {"src/base/planted.h": GUARD.format('#include "base/other.h"\n\nstatic inline int f(void)\n{\n\treturn g;\n}\n'),
      "src/base/other.h": "#ifndef PD_OTHER_H\n#define PD_OTHER_H\n#endif\n"}, "src/base/planted.h:8:"),
    ("a public header that C++ cannot read", "headers",
     {"include/planted.h": GUARD.format("int pd_planted(int class);\n")}, "include/planted.h:4:"),
    ("a layout of one's own", "formatting", {"src/base/planted.c": "int  a( void );\n"}, "src/base/planted.c:1:"),
    ("a static variable", "globals",
     {"src/base/planted.c": "static int count;\n\nint pd_f(void)\n{\n\treturn count++;\n}\n"}, "src/base/planted.c:1:"),
    ("a static variable inside a function", "globals",
     {"src/base/planted.c": "int pd_f(void)\n{\n\tstatic int count = 1;\n\n\treturn count++;\n}\n"},
     "src/base/planted.c:3:"),
    ("a thread-local variable", "globals",
     {"src/base/planted.c": "_Thread_local int pd_count;\n"}, "src/base/planted.c:1:"),
    ("a table of strings whose pointers may change", "globals",
     {"src/base/planted.c": 'const char *pd_names[] = { "a" };\n'}, "src/base/planted.c:1:"),
    ("a function that other files see, named like one that they do not", "globals",
     {"src/base/planted.c": "\nint f(void)\n{\n\treturn 1;\n}\n"}, "src/base/planted.c:2:"),
)

# What looks like a breach and is none: (what, check, {file: text}).
CLEAN = (
    ("words in comments and strings", "banned",
     {"src/base/planted.c": '/* strcpy(a) */\n// free(b)\nconst char *const a = "malloc(1) sprintf(";\n'}),
    ("members and pointers of a banned name", "banned",
     {"src/base/planted.c": "struct a {\n\tvoid (*free)(void *);\n};\nvoid f(struct a *a)\n{\n\ta->free(a);\n}\n"}),
    ("includes in comments", "rooms", {"src/base/planted.c": '/*\n#include "os/os.h"\n*/\n'}),
    ("system calls in src/os and sockets in src/net", "system-calls",
     {"src/os/planted.c": "void f(int d)\n{\n\tfdatasync(d);\n}\n",
      "src/net/planted.c": "void f(int d)\n{\n\tclose(d);\n}\n"}),
    ("constant tables, also of pointers", "globals",
     {"src/base/planted.c": "static int g(void)\n{\n\treturn 1;\n}\n\nint (*const pd_table[])(void) = { g };\n"
      "const char *const pd_names[] = { \"a\" };\nconst int pd_numbers[] = { 1 };\n"}),
    ("a private header in its own room and its own unit test", "rooms",
     {"src/log/planted_private.h": GUARD.format(""), "src/log/planted.c": '#include "log/planted_private.h"\n',
      "tests/unit/log/planted.c": '#include "log/planted_private.h"\n'}),
)


def plant(directory, files):
    for path, text in files.items():
        full = os.path.join(directory, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)


def tidy(directory, check):
    command = [sys.executable, os.path.join(HERE, "tidy.py"), "--root", directory, "--only", check]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    return done.returncode, done.stdout


def skipped(output):
    return output.startswith("skipped ")


def fresh_copy(directory):
    """A small tree that is clean by itself; copied without its build directory."""
    shutil.copy(os.path.join(ROOT, ".clang-format"), directory)
    plant(directory, {"src/base/clean.h": "#ifndef PD_CLEAN_H\n#define PD_CLEAN_H\n\nint pd_clean(void);\n\n#endif\n",
                      "src/base/clean.c": '#include "base/clean.h"\n\nint pd_clean(void)\n{\n\treturn 0;\n}\n'})


def case(check, files, expected):
    """None when all is well, '-' when the check cannot be made here, else what went wrong."""
    with tempfile.TemporaryDirectory(prefix="perdure-tidy-") as directory:
        fresh_copy(directory)
        status, output = tidy(directory, check)
        if skipped(output):
            return "-"
        if status != 0:
            return f"the clean tree fails:\n{output}"
        plant(directory, files)
        # Twice: a breach must not be remembered as clean.
        for _ in range(2):
            status, output = tidy(directory, check)
            if expected is None and status != 0:
                return f"a false alarm:\n{output}"
            if expected is not None and (status != 1 or not any(
                    line.startswith(expected) for line in output.splitlines())):
                return f"not found at {expected}\n{output}"
    return None


def main():
    passed, failed, left_out = 0, 0, set()
    for what, check, files, expected in BREACHES + tuple(row + (None,) for row in CLEAN):
        wrong = case(check, files, expected)
        if wrong == "-":
            left_out.add(check)
        elif wrong:
            print(f"FAILED tidy on {what}: {wrong}")
            failed += 1
        else:
            passed += 1
    for check in sorted(left_out):
        print(f"skipped the cases of tidy {check}: it cannot be made here (tidy says why)")
    print(f"{passed} passed, {failed} failed" + (f", {len(left_out)} skipped" if left_out else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
