"""The store that is tested, as a process that is worked by lines (object_tool.c), and its content as Python knows it."""

import os
import subprocess


def content(number, size):
    return bytes((number * 101 + at + at // 251 + at // 65536) & 255 for at in range(size))


class Answer:
    def __init__(self, line):
        words, _, self.text = line.rstrip("\n").partition(" |")
        self.code, *self.words = words.split(" ")

    def __repr__(self):
        return f"{self.code} {' '.join(self.words)} |{self.text}"

    @property
    def number(self):
        return int(self.words[0])


class Tool:
    """`environment`: on top of what it takes to reach `port`; None takes something away."""

    build = None

    def __init__(self, port, scheme="http", **environment):
        settings = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PERDURE_"))}
        settings.update({"PERDURE_S3_ENDPOINT": f"{scheme}://127.0.0.1:{port}", "PERDURE_S3_BUCKET": "objects",
                         "PERDURE_S3_PREFIX": "p", "PERDURE_S3_ACCESS_KEY": "AKIDTEST", "PERDURE_S3_SECRET_KEY": "secret/of+test",
                         "PERDURE_S3_PART_SIZE": "65536", "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent",
                         "NO_PROXY": "*", "no_proxy": "*"})
        settings.update(environment)
        settings = {name: value for name, value in settings.items() if value is not None}
        self.process = subprocess.Popen([os.path.join(self.build, "tests/objects/object_tool")], env=settings,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.opened = Answer(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            status = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        assert status == 0 or self.opened.code != "PD_OK", f"the tool ended with {status}"

    def __call__(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the tool is gone"
        return Answer(line)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.opened.code = "killed"

    # ---- what must go well ----

    def put(self, name, number, size, *more):
        answer = self("put", name, number, size, *more)
        assert answer.code == "PD_OK" and answer.number == size, answer

    def expect(self, name, number, size):
        answer = self("get", name, number, 0, 2**64 - 1)
        assert answer.code == "PD_OK" and answer.words == [str(size)], answer
        answer = self("head", name)
        assert answer.code == "PD_OK" and answer.number == size, answer

    def expect_none(self, name):
        answer = self("head", name)
        assert answer.code == "PD_NOT_FOUND" and name in answer.text, answer
        answer = self("get", name, 1, 0, 10)
        assert answer.code == "PD_NOT_FOUND" and name in answer.text, answer
