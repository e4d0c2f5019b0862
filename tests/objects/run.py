#!/usr/bin/python3
"""Object stores against a real service: Swift with its S3 interface, from Debian's packages, started here on loopback; and against a fake
one, for what Swift lacks, and with faults in between.

The last line is `N passed, N failed[, N skipped]`.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fault_proxy  # noqa: E402
import s3_client  # noqa: E402
import test_credentials  # noqa: E402
import test_faults  # noqa: E402
import test_services  # noqa: E402
import test_swift  # noqa: E402
import tool  # noqa: E402

ACCESS_KEY, SECRET_KEY, BUCKET = "test:tester", "testing", "objects"
HERE = os.path.dirname(os.path.abspath(__file__))


class Swift:
    """A server in a directory of its own, as long as the block lasts."""

    def __enter__(self):
        # Metadata of objects are extended attributes, which not every file system of temporary files has.
        self.directory = tempfile.mkdtemp(prefix="perdure-swift-", dir=os.environ.get("TMPDIR", "/var/tmp"))
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "swift_server.py"), self.directory],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            words = self.process.stdout.readline().split()
            if len(words) != 2 or words[0] != "ready":
                raise RuntimeError("swift did not start")
            self.port = int(words[1])
            s3_client.Client(self.port, ACCESS_KEY, SECRET_KEY).make_bucket(BUCKET)
        except BaseException:
            self.__exit__()
            raise
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

    def tests(self, module, only, *arguments):
        for test in module.TESTS:
            if only not in f"{module.__name__}.{test.__name__}":
                continue
            started = time.monotonic()
            try:
                test(*arguments)
            except Exception:  # whatever it is, it is a failure, and the others go on
                self.failed += 1
                print(f"FAILED {module.__name__}.{test.__name__}\n{traceback.format_exc()}", flush=True)
            else:
                self.passed += 1
                print(f"ok {module.__name__}.{test.__name__}, {time.monotonic() - started:.1f} s", flush=True)

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
    parser.add_argument("--only", default="", help="tests whose names have this in them")
    options = parser.parse_args()
    # What was started is ended, and its directory removed, also when somebody loses patience.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    runner = Runner(options.build)
    tool.Tool.build = options.build
    for module in (test_services, test_credentials, test_faults):
        runner.tests(module, options.only)
    if options.only not in "swift":
        print(f"{runner.passed} passed, {runner.failed} failed")
        return 1 if runner.failed else 0
    try:
        import swift  # noqa: F401, pylint: disable=import-outside-toplevel,unused-import
    except ImportError:
        print("skipped: no python3-swift here")
        print(f"{runner.passed} passed, {runner.failed} failed, 1 skipped")
        return 1 if runner.failed else 0
    with Swift() as swift_server:
        runner.tests(test_swift, "", swift_server.port)
        runner.program("contract/test_contract_object_store", "the contract over swift", swift_server.port,
                       PERDURE_S3_LOOK_FIRST="1")
        with fault_proxy.Proxy(swift_server.port) as proxy:
            proxy.cut_every(2500009, 1300003)
            runner.program("contract/test_contract_object_store", "the contract over swift and a line that breaks", proxy.port,
                           PERDURE_S3_LOOK_FIRST="1")
            print(f"the line broke {proxy.cuts} times", flush=True)
            if proxy.cuts < 5:
                runner.failed += 1
    print(f"{runner.passed} passed, {runner.failed} failed")
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main())
