#!/usr/bin/env python3
"""The memory of an agent that does its work step by step, and survives whatever happens to it.

    python3 agent_memory.py DIRECTORY [STEPS]

Kill it at any moment (kill -9) and start it again: it goes on where it was. What a step did, what it saw and how far the agent has come
are one transaction under an idempotency key: a step is done once, and none is missing. Each step is told in a line when it is on
stable storage.
"""

import json
import sys

import perdure

AGENT = "agent:7"


def think(step):
    """What the agent does; here it is a quick one."""
    return {"command": f"look behind door {step}", "output": f"there is door {step + 1}"}


def check_history(db, head):
    """Every step up to the head is there, in order."""
    steps = [item.key.decode() for item in db.scan(AGENT, prefix="step:", keys_only=True)]
    wanted = [f"step:{step:012}" for step in range(1, head + 1)]
    if steps != wanted:
        sys.exit(f"the memory has {len(steps)} steps, {head} are wanted")


def live(db, steps):
    memory = db.actor(AGENT)
    head = int(memory.get("head", b"0"))
    check_history(db, head)
    print(f"at step {head}, nothing is missing", flush=True)
    while steps > 0:
        head, steps = head + 1, steps - 1
        seen = think(head)
        with db.transaction(idempotency_key=f"{AGENT}:{head}", idempotency_request=seen["command"]) as txn:
            txn.put(AGENT, f"step:{head:012}", json.dumps(seen))
            txn.put(AGENT, "head", str(head))
        print(f"step {head} {txn.receipt.bookmark}", flush=True)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with perdure.open(sys.argv[1]) as db:
        live(db, int(sys.argv[2]) if len(sys.argv) > 2 else 10**9)


if __name__ == "__main__":
    main()
