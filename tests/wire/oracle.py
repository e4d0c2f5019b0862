"""The comparison with a real redis-server, command by command: redis_oracle.py."""

import os
import re
import sys


def test_same_answers_as_redis(world):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "redis_oracle.py")
    assert os.path.exists(script), "tests/wire/redis_oracle.py is not there"
    real = world.real_redis()
    status, stdout, stderr = world.run(sys.executable, script, "--port", world.server.port, "--redis-port", real.port,
                                       timeout=600, check=False)
    counts = re.findall(r"^(\d+) passed, (\d+) failed", stdout, re.MULTILINE)
    failures = [line for line in stdout.splitlines() if line.startswith("FAIL")]
    assert status == 0 and counts and counts[-1][1] == "0", "\n".join(failures[:30]) or (stdout + stderr)[-1500:]
