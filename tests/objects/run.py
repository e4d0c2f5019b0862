#!/usr/bin/python3
"""Object stores against a real service: Swift with its S3 interface, from Debian's packages, started here on loopback.

The last line is `N passed, N failed[, N skipped]`.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import s3_client  # noqa: E402

ACCESS_KEY, SECRET_KEY, BUCKET = "test:tester", "testing", "objects"
HERE = os.path.dirname(os.path.abspath(__file__))


class Swift:
    """A server in a directory of its own, as long as the block lasts."""

    def __enter__(self):
        # Metadata of objects are extended attributes, which not every file system of temporary files has.
        self.directory = tempfile.mkdtemp(prefix="perdure-swift-", dir=os.environ.get("TMPDIR", "/var/tmp"))
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "swift_server.py"), self.directory],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        if len(words) != 2 or words[0] != "ready":
            self.__exit__()
            raise RuntimeError("swift did not start")
        self.port = int(words[1])
        self.client = s3_client.Client(self.port, ACCESS_KEY, SECRET_KEY)
        self.client.make_bucket(BUCKET)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class Runner:
    def __init__(self, build):
        self.build, self.passed, self.failed = build, 0, 0

    def program(self, name, what, port, seconds=600, **more):
        """Run a program of cmocka tests over the service at the port, and count its tests."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PERDURE_"))}
        environment.update(PERDURE_S3_ENDPOINT=f"http://127.0.0.1:{port}", PERDURE_S3_BUCKET=BUCKET,
                           PERDURE_S3_ACCESS_KEY=ACCESS_KEY, PERDURE_S3_SECRET_KEY=SECRET_KEY,
                           NO_PROXY="127.0.0.1", no_proxy="127.0.0.1", **more)
        started = time.monotonic()
        try:
            done = subprocess.run([os.path.join(self.build, "tests", name)], env=environment, timeout=seconds,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
            output, status = done.stdout, done.returncode
        except subprocess.TimeoutExpired as expired:
            output, status = (expired.stdout or b"").decode(errors="replace"), "too slow"
        passed = len(re.findall(r"^\[       OK \]", output, re.MULTILINE))
        failed = len(re.findall(r"^\[  FAILED  \] (?!\d+ test)", output, re.MULTILINE)) // 2
        if status != 0 or passed == 0:
            failed = max(failed, 1)
            print("\n".join(line for line in output.splitlines() if "RUN" not in line and " OK " not in line), flush=True)
        print(f"{'ok' if failed == 0 else 'FAILED'} {what}: {passed} tests, {time.monotonic() - started:.1f} s", flush=True)
        self.passed += passed
        self.failed += failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    options = parser.parse_args()
    runner = Runner(options.build)
    try:
        import swift  # noqa: F401, pylint: disable=import-outside-toplevel,unused-import
    except ImportError:
        print("skipped: no python3-swift here")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    with Swift() as swift_server:
        runner.program("contract/test_contract_object_store", "the contract over swift", swift_server.port,
                       PERDURE_S3_LOOK_FIRST="1")
    print(f"{runner.passed} passed, {runner.failed} failed")
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main())
