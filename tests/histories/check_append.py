"""Lists to which transactions over several actors append, each element once in all: who reads one knows in what order all that
it shows was written. So everything that must come before something else can be told from the reads alone (Elle)."""

from collections import defaultdict

from dependencies import Graph, RW, WR, WW, find_cycles
from history import Anomaly, FAILED, OK


def collect(history):
    """key -> element -> who appends it"""
    writers = defaultdict(dict)
    for operation in history:
        for step in operation.steps:
            if step.kind == "append":
                assert step.value not in writers[step.key], "the workload appends an element twice"
                writers[step.key][step.value] = operation
    return writers


def last_of(operation, key):
    """The element that its transaction leaves at the end of the list."""
    return [step.value for step in operation.steps if step.kind == "append" and step.key == key][-1]


def check_read(operation, step, writers):
    known, seen = writers[step.key], step.result
    if len(set(seen)) != len(seen):
        twice = [element for element in seen if seen.count(element) > 1][0]
        yield Anomaly("applied twice", f"{step.key} has {twice} twice", [operation])
    for element in seen:
        if element not in known:
            yield Anomaly("invented", f"{step.key} has {element}, which nobody appended", [operation])
        elif known[element].outcome == FAILED:
            yield Anomaly("aborted read (G1a)", f"{step.key} has {element}, which was never committed",
                          [operation, known[element]])
    writer = known.get(seen[-1]) if seen else None
    if writer is not None and writer is not operation and last_of(writer, step.key) != seen[-1]:
        yield Anomaly("intermediate read (G1b)",
                      f"{step.key} ends in {seen[-1]}, in the middle of what its transaction appends", [operation, writer])


def check_own(operation):
    """What a transaction reads after its own appends ends in them, and what it reads twice is the same."""
    known = {}  # key -> what must be there, once it has been read; appended since otherwise
    appended = defaultdict(list)
    for step in operation.steps:
        if step.kind == "append":
            appended[step.key].append(step.value)
            if step.key in known:
                known[step.key] = known[step.key] + [step.value]
        elif step.kind == "read":
            own = appended[step.key]
            right = step.result[len(step.result) - len(own):] == own if own else True
            if step.key in known:
                right = step.result == known[step.key]
            if not right:
                yield Anomaly("inconsistent with itself", f"its read of {step.key}", [operation])
            known[step.key] = list(step.result)


def order_of(key, reads, anomalies):
    """The longest read; all others must be beginnings of it."""
    longest_operation, longest = max(reads, key=lambda read: len(read[1]), default=(None, []))
    for operation, seen in reads:
        if seen != longest[:len(seen)]:
            anomalies.append(Anomaly("incompatible order", f"two reads of {key} disagree about what came first",
                                     [operation, longest_operation]))
    return longest


def check(history):
    writers = collect(history)
    anomalies, graph = [], Graph()
    reads = defaultdict(list)
    for operation in history:
        if operation.outcome != OK:
            continue
        anomalies += check_own(operation)
        for step in operation.reads():
            anomalies += check_read(operation, step, writers)
            reads[step.key].append((operation, step.result))
    if anomalies:
        return anomalies  # the order of the writes cannot be trusted
    for key in set(reads) | set(writers):
        link_key(graph, order_of(key, reads[key], anomalies), reads[key], writers[key])
    if anomalies:
        return anomalies
    graph.add_time(history)
    return find_cycles(graph, history)


def link_key(graph, order, reads, writers):
    chain = [writers[element] for element in order]
    for one, next_one in zip(chain, chain[1:]):
        graph.add(WW, one, next_one)
    # Acknowledged, and in no read: they come after everything that was seen.
    unseen = [writer for element, writer in writers.items() if writer.outcome == OK and element not in set(order)]
    if chain:
        for writer in unseen:
            graph.add(WW, chain[-1], writer)
    for operation, seen in reads:
        # What it appended itself is no news to it.
        count = len(seen)
        if count > 0:
            graph.add(WR, chain[count - 1], operation)
        while count < len(order) and chain[count] is operation:
            count += 1
        if count < len(order):
            graph.add(RW, operation, chain[count])
        else:
            for writer in unseen:
                graph.add(RW, operation, writer)
