"""Random commands to a real redis-server and to Perdure: redis_oracle.py, with a few fixed seeds."""

import os
import sys

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "redis_oracle.py")
COUNT = 10_000


def same_answers(world, seed, *options):
    assert os.path.exists(SCRIPT), f"{SCRIPT} is not there"
    status, stdout, stderr = world.run(sys.executable, SCRIPT, "--perdure", world.server.port, "--redis",
                                       world.real_redis().port, "--seed", seed, "--count", COUNT, *options,
                                       timeout=300, check=False)
    assert status == 0, (stdout + stderr)[-3000:]


def test_same_answers_seed_1(world):
    same_answers(world, 1)


def test_same_answers_seed_2(world):
    same_answers(world, 2)


def test_same_answers_without_transactions(world):
    same_answers(world, 3, "--skip", "multi")
