"""What clients saw: every operation with when it was asked, when it was answered, and how.

An operation is one transaction of one client. Its outcome is
    ok        answered; `steps` has what it read
    failed    certainly without effect: refused, or discarded by the client
    unknown   the connection broke after it was sent: it may have happened at any moment after it was asked, or never
"""

import json
import time
from dataclasses import asdict, dataclass, field

OK, FAILED, UNKNOWN = "ok", "failed", "unknown"
NEVER = float("inf")


@dataclass
class Step:
    """`kind` append, read, add, list, cas, write, credit. `value` is what was written (of cas: [old, new]), `result`
    what was read."""
    kind: str
    key: str
    value: object = None
    result: object = None


@dataclass
class Operation:
    client: int
    steps: list
    invoked: float = 0.0
    completed: float = NEVER
    outcome: str = UNKNOWN
    number: int = -1  # in the history, once it is complete
    note: str = field(default="", compare=False)

    def begin(self):
        self.invoked = time.monotonic()

    def end(self, outcome, note=""):
        self.outcome = outcome
        self.note = note
        if outcome != UNKNOWN:
            self.completed = time.monotonic()

    def reads(self, kind="read"):
        return [step for step in self.steps if step.kind == kind] if self.outcome == OK else []

    def __str__(self):
        steps = ", ".join(describe(step, self.outcome) for step in self.steps)
        until = "…" if self.completed == NEVER else f"{self.completed:.6f}"
        return f"#{self.number} client {self.client} [{self.invoked:.6f}, {until}] {self.outcome}: {steps}"


def describe(step, outcome):
    if step.kind in ("read", "list"):
        result = step.result if outcome == OK else "?"
        if isinstance(result, list) and len(result) > 12:
            result = f"[… {', '.join(map(str, result[-12:]))}] ({len(result)})"
        return f"{step.kind} {step.key} -> {result}"
    return f"{step.kind} {step.key} {step.value}"


def complete(operations):
    """A history: in the order of asking, numbered."""
    ordered = sorted(operations, key=lambda operation: operation.invoked)
    for number, operation in enumerate(ordered):
        operation.number = number
    return ordered


def save(path, workload, history):
    with open(path, "w") as file:
        for operation in history:
            line = asdict(operation)
            line["workload"] = workload
            if line["completed"] == NEVER:
                line["completed"] = None
            file.write(json.dumps(line) + "\n")


def load(path):
    """(workload, history)"""
    history, workload = [], None
    with open(path) as file:
        for text in file:
            line = json.loads(text)
            workload = line.pop("workload")
            steps = [Step(**step) for step in line.pop("steps")]
            completed = line.pop("completed")
            history.append(Operation(steps=steps, completed=NEVER if completed is None else completed, **line))
    return workload, complete(history)


@dataclass
class Anomaly:
    name: str
    text: str
    operations: list = field(default_factory=list)

    def __str__(self):
        return "\n".join([f"{self.name}: {self.text}"] + [f"    {operation}" for operation in self.operations])
