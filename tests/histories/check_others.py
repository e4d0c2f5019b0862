"""Checks of the other workloads: sets under a pattern, registers with compare-and-set, accounts, counters."""

from collections import defaultdict

from history import Anomaly, FAILED, OK, UNKNOWN


# ---- sets: keys come under a pattern, and are listed ----


def check_set(history):
    """Listings grow one out of the other, and have all that was acknowledged before they were asked for: no phantoms, no
    long forks."""
    adders = {step.value: operation for operation in history for step in operation.steps if step.kind == "add"}
    acknowledged = [(operation.completed, value) for value, operation in adders.items() if operation.outcome == OK]
    listings = [(operation, set(step.result)) for operation in history for step in operation.reads("list")]
    anomalies = []
    for operation, seen in listings:
        for element in seen:
            adder = adders.get(element)
            if adder is None:
                anomalies.append(Anomaly("invented", f"{element} was never added", [operation]))
            elif adder.outcome == FAILED:
                anomalies.append(Anomaly("aborted read (G1a)", f"{element} was never committed", [operation, adder]))
            elif adder.invoked > operation.completed:
                anomalies.append(Anomaly("from the future", f"{element} was listed before it was added",
                                         [operation, adder]))
        for completed, value in acknowledged:
            if completed < operation.invoked and value not in seen:
                anomalies.append(Anomaly("lost or stale", f"{value} had been acknowledged and is not listed",
                                         [adders[value], operation]))
        torn = [adder for adder in {id(adders[e]): adders[e] for e in seen if e in adders}.values()
                if any(step.kind == "add" and step.value not in seen for step in adder.steps)]
        for adder in torn:
            anomalies.append(Anomaly("half a transaction", "some of what it added is listed", [operation, adder]))
    listings.sort(key=lambda listing: len(listing[1]))
    for (one, smaller), (other, larger) in zip(listings, listings[1:]):
        if not smaller <= larger:
            anomalies.append(Anomaly("phantom (long fork)", "two listings each have something that the other lacks",
                                     [one, other]))
    return anomalies


# ---- registers ----


def check_register(history):
    """Is each register linearizable?"""
    by_key = defaultdict(list)
    for operation in history:
        if operation.outcome != FAILED:
            by_key[operation.steps[0].key].append(operation)
    anomalies = []
    for key, operations in sorted(by_key.items()):
        anomalies += lost_updates(key, operations)
        if not linearizable(operations):
            anomalies.append(Anomaly("not linearizable", f"no order of the operations on {key} explains what was answered",
                                     operations[-20:]))
    return anomalies


def lost_updates(key, operations):
    """Values are written once, so each can be replaced by one compare-and-set only."""
    replaced = {}
    for operation in operations:
        step = operation.steps[0]
        if step.kind != "cas" or operation.outcome != OK:
            continue
        old = step.value[0]
        if old in replaced:
            yield Anomaly("lost update", f"{key}: two transactions both replaced {old}", [replaced[old], operation])
        replaced[old] = operation


def apply(step, value):
    """(may it happen with this value there, the value after it)"""
    if step.kind == "read":
        return step.result == value, value
    if step.kind == "write":
        return True, step.value
    return step.value[0] == value, step.value[1]


def linearizable(operations):
    """The search of Wing and Gong (1993) with Lowe's memory of what was tried (2017). Reads and compare-and-sets whose outcome is
    unknown may be left out; writes of unknown outcome may come at any time, or never."""
    pending = [operation for operation in operations
               if not (operation.outcome == UNKNOWN and operation.steps[0].kind == "read")]
    pending.sort(key=lambda operation: operation.invoked)
    must = sum(1 << n for n, operation in enumerate(pending) if operation.outcome != UNKNOWN)
    tried = set()
    stack = [(0, None)]  # (what is done, the value)
    while stack:
        done, value = stack.pop()
        if done & must == must:
            return True
        if (done, value) in tried:
            continue
        tried.add((done, value))
        first_end = min(operation.completed for n, operation in enumerate(pending)
                        if not done >> n & 1 and must >> n & 1)
        for n, operation in enumerate(pending):
            if operation.invoked > first_end:
                break
            if done >> n & 1:
                continue
            possible, after = apply(operation.steps[0], value)
            if possible:
                stack.append((done | 1 << n, after))
    return False


# ---- accounts ----


def check_bank(history):
    """Transfers move money and make none; whoever reads all accounts at once finds all of it."""
    anomalies = []
    for operation in history:
        reads = operation.reads()
        if not reads:
            continue
        total = sum(int(step.result) for step in reads)
        if total != 0:
            anomalies.append(Anomaly("money made or lost", f"the accounts are {total} together, not 0", [operation]))
    return anomalies


# ---- counters with idempotency keys ----


def check_counter(history):
    """Each increment was sent again and again with its key until it was answered: it counts once. Answers are sums, so no two
    are equal, and a later increment's is larger."""
    anomalies, by_key = [], defaultdict(list)
    for operation in history:
        step = operation.steps[0]
        if step.kind == "credit" and operation.outcome == OK:
            by_key[step.key].append(operation)
    for key, operations in sorted(by_key.items()):
        answers = {}
        for operation in operations:
            result = operation.steps[0].result
            if result in answers:
                anomalies.append(Anomaly("lost update", f"{key}: two increments were both told {result}",
                                         [answers[result], operation]))
            answers[result] = operation
        anomalies += counter_order(key, operations)
        final = [step.result for operation in history for step in operation.reads() if step.key == key]
        wanted = sum(operation.steps[0].value for operation in operations)
        unknown = any(operation.outcome == UNKNOWN and operation.steps[0].key == key for operation in history)
        if final and not unknown and final[-1] != wanted:
            anomalies.append(Anomaly("applied twice or lost", f"{key} is {final[-1]}, not {wanted}", []))
    return anomalies


def counter_order(key, operations):
    answered = sorted(operations, key=lambda operation: operation.completed)
    highest, at = None, 0
    for operation in sorted(operations, key=lambda operation: operation.invoked):
        while at < len(answered) and answered[at].completed < operation.invoked:
            if highest is None or answered[at].steps[0].result > highest.steps[0].result:
                highest = answered[at]
            at += 1
        if highest is not None and operation.steps[0].result <= highest.steps[0].result:
            yield Anomaly("against real time", f"{key} went back", [highest, operation])
