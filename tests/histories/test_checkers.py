#!/usr/bin/python3
"""The checkers themselves: histories in order give nothing, and each planted anomaly is found by its name."""

import os
import random
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))

import check_append
import check_others
from history import FAILED, NEVER, OK, Operation, Step, UNKNOWN, complete, load, save


def op(client, begin, end, *steps, outcome=OK):
    return Operation(client, list(steps), begin, NEVER if outcome == UNKNOWN else end, outcome)


def append(key, value):
    return Step("append", key, value)


def read(key, *result):
    return Step("read", key, None, list(result))


def names(check, *operations):
    return [anomaly.name for anomaly in check(complete(list(operations)))]


class AppendTest(unittest.TestCase):
    def found(self, *operations):
        return names(check_append.check, *operations)

    def test_a_history_in_order_has_nothing(self):
        self.assertEqual([], self.found(
            op(0, 0, 1, append("a", 1), read("a", 1), append("b", 2)),
            op(1, 0.5, 1.5, read("b", 2), append("a", 3), read("a", 1, 3)),
            op(2, 2, 3, read("a", 1, 3), read("b", 2)),
            op(3, 0, NEVER, append("a", 9), outcome=UNKNOWN),
            op(4, 3, 4, append("a", 10), outcome=FAILED)))

    def test_an_unknown_append_may_show_at_any_time(self):
        self.assertEqual([], self.found(
            op(0, 0, NEVER, append("a", 1), outcome=UNKNOWN), op(1, 5, 6, read("a")), op(1, 8, 9, read("a", 1))))

    def test_twice(self):
        self.assertEqual(["applied twice"], self.found(op(0, 0, 1, append("a", 1)), op(1, 2, 3, read("a", 1, 1))))

    def test_invented(self):
        self.assertEqual(["invented"], self.found(op(1, 2, 3, read("a", 7))))

    def test_aborted_read(self):
        self.assertEqual(["aborted read (G1a)"], self.found(
            op(0, 0, 1, append("a", 1), outcome=FAILED), op(1, 2, 3, read("a", 1))))

    def test_intermediate_read(self):
        self.assertEqual(["intermediate read (G1b)"], self.found(
            op(0, 0, 4, append("a", 1), append("a", 2)), op(1, 2, 3, read("a", 1))))

    def test_inconsistent_with_itself(self):
        self.assertIn("inconsistent with itself", self.found(op(0, 0, 4, append("a", 1), read("a"))))
        self.assertIn("inconsistent with itself", self.found(
            op(1, 0, 4, append("a", 1)), op(0, 0, 4, read("a"), read("a", 1))))

    def test_incompatible_order(self):
        self.assertEqual(["incompatible order"], self.found(
            op(0, 0, 1, append("a", 1)), op(1, 0, 1, append("a", 2)),
            op(2, 2, 3, read("a", 1, 2)), op(3, 2, 3, read("a", 2))))

    def test_write_cycle(self):
        self.assertEqual(["write cycle (G0)"], self.found(
            op(0, 0, 9, append("a", 1), append("b", 2)), op(1, 0, 9, append("a", 3), append("b", 4)),
            op(2, 0, 9, read("a", 1, 3)), op(3, 0, 9, read("b", 4, 2))))

    def test_circular_information(self):
        self.assertEqual(["circular information flow (G1c)"], self.found(
            op(0, 0, 9, append("a", 1), read("b", 2)), op(1, 0, 9, append("b", 2), read("a", 1))))

    def test_read_skew(self):
        self.assertEqual(["read skew (G-single)"], self.found(
            op(0, 0, 9, append("a", 1), append("b", 2)), op(1, 0, 9, read("a", 1), read("b")),
            op(2, 0, 9, read("b", 2))))

    def test_write_skew(self):
        self.assertEqual(["write skew (G2)"], self.found(
            op(0, 0, 9, read("a"), append("b", 2)), op(1, 0, 9, read("b"), append("a", 1)),
            op(2, 0, 9, read("a", 1), read("b", 2))))

    def test_lost(self):
        """Acknowledged, and gone: what a crash must never do."""
        self.assertEqual(["stale read (against real time)"], self.found(
            op(0, 0, 1, append("a", 1)), op(0, 2, 3, append("a", 2)), op(1, 4, 5, read("a", 1))))
        self.assertEqual(["stale read (against real time)"], self.found(
            op(0, 0, 1, append("a", 1)), op(1, 4, 5, read("a"))))

    def test_seen_and_taken_back(self):
        """A read showed what the crash then lost; the writer was never answered."""
        self.assertEqual(["stale read (against real time)"], self.found(
            op(0, 0, NEVER, append("a", 1), outcome=UNKNOWN), op(1, 2, 3, read("a", 1)), op(2, 4, 5, read("a"))))

    def test_mutations_of_a_long_history(self):
        for seed in range(20):
            history = serial_history(seed)
            self.assertEqual([], check_append.check(history))
            self.assertTrue(check_append.check(mutated(history, random.Random(seed))), f"seed {seed}")

    def test_kept_and_read_again(self):
        history = complete([op(0, 0, 1, append("a", 1)), op(1, 0, NEVER, append("a", 2), outcome=UNKNOWN)])
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "history")
            save(path, "append", history)
            self.assertEqual(("append", history), load(path))


def serial_history(seed):
    """What one transaction after the other would give, asked a little early and answered a little late."""
    chance, lists, operations, value = random.Random(seed), {"a": [], "b": [], "c": []}, [], 0
    for n in range(300):
        steps = []
        for _ in range(chance.randrange(1, 4)):
            key = chance.choice("abc")
            if chance.random() < 0.5:
                value += 1
                lists[key].append(value)
                steps.append(append(key, value))
            else:
                steps.append(read(key, *lists[key]))
        operations.append(op(n % 5, n - 2 * chance.random(), n + 2 * chance.random(), *steps))
    operations.append(op(9, 310, 311, *[read(key, *lists[key]) for key in "abc"]))
    return complete(operations)


def mutated(history, chance):
    """An acknowledged element goes from every read; or an old read shows at the end."""
    if chance.random() < 0.5:
        key = chance.choice("abc")
        writers = [step.value for operation in history for step in operation.steps
                   if step.kind == "append" and step.key == key]
        gone = chance.choice(writers)
        for operation in history:
            for step in operation.steps:
                if step.kind == "read" and step.key == key and gone in step.result:
                    step.result.remove(gone)
    else:
        step = chance.choice(history[-1].steps)
        del step.result[len(step.result) // 2:]
    return history


class OthersTest(unittest.TestCase):
    def test_set(self):
        def add(client, begin, end, *values, outcome=OK):
            return op(client, begin, end, *[Step("add", "m", value) for value in values], outcome=outcome)

        def listing(begin, end, *values):
            return op(8, begin, end, Step("list", "m", None, list(values)))

        def found(*operations):
            return names(check_others.check_set, *operations)

        self.assertEqual([], found(add(0, 0, 1, 1, 2), listing(0, 1, 1, 2), listing(0, 1), add(0, 2, 3, 3),
                                   listing(4, 5, 1, 2, 3), add(1, 0, 1, 9, outcome=UNKNOWN)))
        self.assertEqual(["lost or stale"], found(add(0, 0, 1, 1), listing(2, 3)))
        self.assertEqual(["invented"], found(listing(2, 3, 1)))
        self.assertEqual(["from the future"], found(listing(2, 3, 1), add(0, 4, 5, 1)))
        self.assertEqual(["aborted read (G1a)"], found(add(0, 0, 1, 1, outcome=FAILED), listing(2, 3, 1)))
        self.assertEqual(["half a transaction"], found(add(0, 0, 9, 1, 2), listing(2, 3, 1)))
        self.assertEqual(["phantom (long fork)"], found(add(0, 0, 9, 1), add(1, 0, 9, 2), listing(2, 3, 1),
                                                        listing(2, 3, 2)))

    def test_register(self):
        def step(client, begin, end, kind, value=None, result=None, outcome=OK):
            return op(client, begin, end, Step(kind, "r", value, result), outcome=outcome)

        def found(*operations):
            return names(check_others.check_register, *operations)

        self.assertEqual([], found(step(0, 0, 1, "write", 1), step(1, 0.5, 2, "read", None, 1),
                                   step(2, 3, 4, "cas", [1, 2]), step(3, 3, 9, "cas", [1, 3], outcome=FAILED),
                                   step(4, 5, NEVER, "write", 4, outcome=UNKNOWN), step(1, 6, 7, "read", None, 2),
                                   step(1, 8, 9, "read", None, 4)))
        self.assertEqual(["not linearizable"], found(step(0, 0, 1, "write", 1), step(1, 2, 3, "read")))
        self.assertEqual(["not linearizable"], found(step(0, 0, 1, "write", 1), step(0, 2, 3, "write", 2),
                                                     step(1, 4, 5, "read", None, 1)))
        self.assertEqual(["not linearizable"], found(  # seen, and not seen later
            step(0, 0, NEVER, "write", 1, outcome=UNKNOWN), step(1, 2, 3, "read", None, 1), step(1, 4, 5, "read")))
        self.assertIn("lost update", found(step(0, 0, 1, "write", 1), step(1, 2, 5, "cas", [1, 2]),
                                           step(2, 2, 5, "cas", [1, 3])))

    def test_bank(self):
        def reads(*results):
            return op(0, 0, 1, *[Step("read", f"a{n}", None, result) for n, result in enumerate(results)])

        self.assertEqual([], names(check_others.check_bank, reads(5, -5), reads(0, 0)))
        self.assertEqual(["money made or lost"], names(check_others.check_bank, reads(5, -4)))

    def test_counter(self):
        def credit(client, begin, end, value, result, outcome=OK):
            return op(client, begin, end, Step("credit", "c", value, result), outcome=outcome)

        def final(result):
            return op(9, 90, 91, Step("read", "c", None, result))

        def found(*operations):
            return names(check_others.check_counter, *operations)

        self.assertEqual([], found(credit(0, 0, 1, 5, 5), credit(1, 0, 2, 6, 11), final(11)))
        self.assertEqual(["applied twice or lost"], found(credit(0, 0, 1, 5, 5), final(10)))
        self.assertEqual(["lost update"], found(credit(0, 0, 3, 5, 5), credit(1, 0, 3, 5, 5), final(10)))
        self.assertEqual(["against real time"], found(credit(0, 0, 1, 5, 11), credit(1, 2, 3, 6, 6), final(11)))


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
