"""What the real service at hand keeps, and what it lacks: the store finds out by itself."""

import time

from fault_proxy import Proxy
from tool import Tool

KEYS = {"PERDURE_S3_ACCESS_KEY": "test:tester", "PERDURE_S3_SECRET_KEY": "testing", "PERDURE_S3_PREFIX": "conditions"}


def conditions(port):
    """It answers 501 to If-None-Match: nothing is put, or only after a look."""
    with Tool(port, **KEYS) as tool:
        for name, size in (("small", 1000), ("large", 200000)):
            answer = tool("put", name, 1, size)
            assert answer.code == "PD_NOT_SUPPORTED" and "If-None-Match" in answer.text, answer
            tool.expect_none(name)
    with Tool(port, PERDURE_S3_LOOK_FIRST="1", **KEYS) as tool:
        for name, size in (("small", 1000), ("large", 200000)):
            tool.put(name, 1, size)
            assert tool("put", name, 2, size).code == "PD_EXISTS"
            tool.expect(name, 1, size)
        assert tool("list", "-", "-", 10).words == ["large=200000", "small=1000"]


def refusals(port):
    with Tool(port, PERDURE_S3_LOOK_FIRST="1", **dict(KEYS, PERDURE_S3_SECRET_KEY="wrong")) as tool:
        answer = tool("list", "-", "-", 10)
        assert answer.code == "PD_PERMISSION" and "secret key" in answer.text, answer
        assert tool("put", "a", 1, 10).code == "PD_PERMISSION"
    with Tool(port, PERDURE_S3_LOOK_FIRST="1", **dict(KEYS, PERDURE_S3_BUCKET="no-such-bucket")) as tool:
        for words in (("put", "a", 1, 10), ("list", "-", "-", 10)):
            answer = tool(*words)
            assert answer.code == "PD_NOT_FOUND", answer
        assert "bucket" in answer.text, answer


def uploads_left_behind(port):
    """A process that dies in the middle: the next one goes on, or a sweep takes it."""
    with Tool(port, PERDURE_S3_LOOK_FIRST="1", **KEYS) as tool:
        tool.put("learned", 1, 200000)
    for resumed in (True, False):
        # The line hangs in the middle of the third part or so.
        with Proxy(port) as proxy:
            tool = Tool(proxy.port, PERDURE_S3_LOOK_FIRST="1", **KEYS)
            proxy.hang_after(200000)
            tool.process.stdin.write(f"put left-{resumed} 1 700000\n")
            tool.process.stdin.flush()
            assert proxy.reached.wait(120)
            tool.kill()
        with Tool(port, PERDURE_S3_LOOK_FIRST="1", **KEYS) as tool:
            if resumed:
                answer = tool("put", f"left-{resumed}", 1, 700000)
                assert answer.code in ("PD_OK", "PD_EXISTS"), answer
                tool.expect(f"left-{resumed}", 1, 700000)
            # What the dead one had on its way may still arrive behind a sweep: the next one takes it.
            for _ in range(20):
                answer = tool("sweep", 0)
                assert answer.code == "PD_OK", answer
                if answer.number == 0:
                    break
                time.sleep(0.5)
            assert answer.number == 0, answer


TESTS = [conditions, refusals, uploads_left_behind]
