"""Cycles among transactions.

Nodes are operations; an edge says that one must come before the other: `ww` it overwrote what the other wrote, `wr` it
read what the other wrote, `rw` it did not see what the other wrote, `time` it was asked after the other was answered. A
history is strictly serializable if and only if nothing forbids an order of all, so a cycle is an anomaly, and its kind says
which (Adya, Weak Consistency, 1999; Kingsbury and Alvaro, Elle, VLDB 2020).

The edges of time would be as many as pairs of operations. So time is a chain of its own nodes, one for each answer: an
answered operation leads to the node of its answer, and the last node before an operation was asked leads to it.
"""

from collections import defaultdict, deque

from history import Anomaly, NEVER, OK, FAILED

WW, WR, RW, TIME = "ww", "wr", "rw", "time"


class Graph:
    def __init__(self):
        self.edges = defaultdict(dict)  # node -> node -> kind; an operation's number, or ("t", n)

    def add(self, kind, before, after):
        if before is not after:
            self.edges[before.number].setdefault(after.number, kind)

    def add_time(self, history):
        answers = sorted((operation.completed, operation.number) for operation in history
                         if operation.outcome == OK and operation.completed != NEVER)
        for n, (_, number) in enumerate(answers):
            self.edges[number][("t", n)] = TIME
            if n > 0:
                self.edges[("t", n - 1)][("t", n)] = TIME
        at = 0
        for operation in sorted(history, key=lambda operation: operation.invoked):
            if operation.outcome == FAILED:
                continue
            while at < len(answers) and answers[at][0] < operation.invoked:
                at += 1
            if at > 0:
                self.edges[("t", at - 1)][operation.number] = TIME

    def components(self, kinds):
        """The strongly connected components with more than one node (Tarjan 1972, without recursion)."""
        index, low, on_stack, stack, found = {}, {}, set(), [], []
        for root in list(self.edges):
            if root in index:
                continue
            work = [(root, iter(self._next(root, kinds)))]
            index[root] = low[root] = len(index)
            stack.append(root)
            on_stack.add(root)
            while work:
                node, rest = work[-1]
                deeper = None
                for other in rest:
                    if other not in index:
                        deeper = other
                        break
                    if other in on_stack:
                        low[node] = min(low[node], index[other])
                if deeper is not None:
                    index[deeper] = low[deeper] = len(index)
                    stack.append(deeper)
                    on_stack.add(deeper)
                    work.append((deeper, iter(self._next(deeper, kinds))))
                    continue
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = []
                    while True:
                        other = stack.pop()
                        on_stack.discard(other)
                        component.append(other)
                        if other == node:
                            break
                    if len(component) > 1:
                        found.append(component)
        return found

    def _next(self, node, kinds):
        return [other for other, kind in self.edges.get(node, {}).items() if kind in kinds]

    def shortest_cycle(self, component, kinds):
        """[(node, kind of the edge to the next)], through the operation from which it is shortest."""
        inside = set(component)
        best = None
        for start in sorted((node for node in component if isinstance(node, int)))[:200]:
            before = {start: None}
            queue = deque([start])
            end = None
            while queue and end is None:
                node = queue.popleft()
                for other in self._next(node, kinds):
                    if other == start:
                        end = node
                        break
                    if other in inside and other not in before:
                        before[other] = node
                        queue.append(other)
            if end is None:
                continue
            path = [end]
            while before[path[-1]] is not None:
                path.append(before[path[-1]])
            path.reverse()
            if best is None or len(path) < len(best):
                best = path
        return [(node, self.edges[node][best[(n + 1) % len(best)]]) for n, node in enumerate(best)]


LEVELS = (({WW}, "write cycle (G0)"), ({WW, WR}, "circular information flow (G1c)"),
          ({WW, WR, RW}, None), ({WW, WR, RW, TIME}, None))


def name_of(cycle):
    kinds = [kind for _, kind in cycle]
    skews = kinds.count(RW)
    if TIME in kinds:
        if skews == 0:
            return "against real time"
        return "stale read (against real time)" if skews == 1 else "not strictly serializable (against real time)"
    return "read skew (G-single)" if skews == 1 else "write skew (G2)"


def find_cycles(graph, history):
    """Anomalies, the strongest kind first; a component tells of one only."""
    by_number = {operation.number: operation for operation in history}
    anomalies, told = [], set()
    for kinds, name in LEVELS:
        for component in graph.components(kinds):
            members = {node for node in component if isinstance(node, int)}
            if members & told:
                continue
            told |= members
            cycle = graph.shortest_cycle(component, kinds)
            text = " ".join(f"#{node} -{kind}->" for node, kind in cycle if isinstance(node, int))
            anomalies.append(Anomaly(name or name_of(cycle), f"{text} #{cycle[0][0]}",
                                     [by_number[node] for node, _ in cycle if isinstance(node, int)]))
    return anomalies
