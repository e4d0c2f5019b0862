"""The module against the library itself."""

import datetime
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import perdure


class OnDisk(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="perdure-python-")
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, "data")
        self.db = perdure.open(self.path, memory_budget=64 << 20)
        self.addCleanup(lambda: self.db.close())


class InMemory(unittest.TestCase):
    def setUp(self):
        self.db = perdure.open(in_memory=True, memory_budget=64 << 20)
        self.addCleanup(self.db.close)


class Past(OnDisk):
    def test_history(self):
        for number in range(5):
            self.db.put("a", "key", str(number))
        told = self.db.history("a", limit=3)
        self.assertEqual(len(told), 3)
        self.assertEqual(len(self.db.history("a")), 5)
        self.assertEqual(self.db.get_at("a", "key", told[1][b"bookmark"]), b"3")
        self.assertEqual(self.db.get_at("a", "nothing", "now"), None)

    def test_replayed(self):
        for number in range(1500):
            self.db.put("again", "key", str(number))
        told = list(self.db.replay("again"))
        self.assertEqual([entry[b"operations"][0][b"value"] for entry in told], [str(number).encode() for number in range(1500)])
        seen = list(self.db.replay("again", after=str(told[2][b"lsn"]), to=str(told[1400][b"lsn"])))
        self.assertEqual([entry[b"lsn"] for entry in seen], [entry[b"lsn"] for entry in told[3:1401]])
        with self.assertRaises(perdure.NotFoundError):
            self.db.history("nobody")
        with self.assertRaises(perdure.InvalidError):
            self.db.past("DESTROY", "a")

    def test_orders(self):
        self.db.put("a", "key", "1")
        then = self.db.history("a")[0][b"bookmark"]
        self.db.put("a", "key", "2")
        self.assertEqual(self.db.fork("a", "copy", at=then)[b"keys"], 1)
        self.assertEqual(self.db.get("copy", "key"), b"1")
        with self.assertRaises(perdure.ExistsError):
            self.db.fork("a", "copy")
        self.assertEqual(self.db.restore("a", then, dry_run=True)[b"put"], 1)
        self.assertEqual(self.db.get("a", "key"), b"2")
        undo = self.db.restore("a", then)[b"undo"]
        self.assertEqual(self.db.get("a", "key"), b"1")
        self.db.restore("a", undo)
        self.assertEqual(self.db.get("a", "key"), b"2")
        self.db.revert("a", self.db.history("a")[0][b"bookmark"])
        self.assertEqual(self.db.get("a", "key"), b"1")
        self.db.drop_actor("copy")
        self.db.undrop("copy")
        self.assertEqual(self.db.get("copy", "key"), b"1")

    def test_export(self):
        self.db.put("a", b"key\xff", b"\x00\xff")
        self.db.put("a", "large", b"\xfe" * 3_000_000)
        pieces = list(self.db.export_actor("a"))
        self.assertGreater(len(pieces), 2)
        self.assertEqual(self.db.import_actor(pieces, "b")[b"keys"], 2)
        self.assertEqual(self.db.get("b", b"key\xff"), b"\x00\xff")
        whole = b"".join(pieces)
        made = self.db.import_actor(iter([whole]), "c")
        self.assertEqual(self.db.get("c", "large"), b"\xfe" * 3_000_000)
        self.assertEqual(made[b"actor"], b"c")
        with self.assertRaises(perdure.ExistsError):
            self.db.import_actor(pieces)
        with self.assertRaises(perdure.CorruptError):
            self.db.import_actor([whole[:-1]], "d")
        with self.assertRaises(perdure.CorruptError):
            self.db.import_actor([whole.replace(b'"size":3000000', b'"size":2999999')], "d")
        with self.assertRaises(perdure.NotThenError) as raised:
            list(self.db.export_actor("nobody"))
        self.assertIsInstance(raised.exception, perdure.NotFoundError)
        with self.assertRaises(perdure.InvalidError):
            self.db.import_actor(pieces, "other/d")
        # One that nobody goes on with holds nobody up; nor does one that fails in the middle.
        begun = self.db.export_actor("a")
        next(begun)

        def failing():
            yield whole[:1000]
            raise KeyError("no more")

        for _ in range(6):
            with self.assertRaises(KeyError):
                self.db.import_actor(failing(), "d")
        begun.close()
        self.assertEqual(len(list(self.db.export_actor("a"))), len(pieces))

    def test_export_of_relations(self):
        for actor in ("a", "b"):
            self.db.put(actor, "key", "1")
        self.db.relate("a", "b")
        pieces = list(self.db.export_actor("a"))
        made = self.db.import_actor(pieces, "c")
        self.assertEqual((made[b"related"], made[b"missing"]), (1, []))
        self.assertEqual(self.db.relations("c")[0][b"actor"], b"b")
        self.db.import_actor(pieces, "d", relations=False)
        self.db.import_actor(self.db.export_actor("a", relations=False), "e")
        self.assertEqual(self.db.relations("d") + self.db.relations("e"), [])
        self.db.drop_actor("b")
        self.assertEqual(self.db.import_actor(pieces, "f")[b"missing"], [{b"direction": b"out", b"kind": b"related", b"actor": b"b"}])

    def test_snapshots(self):
        self.db.put("a", "key", "1")
        made = self.db.snapshot("a", "s", keep=3600)
        self.assertEqual((made[b"snapshot"], made[b"keys"]), (b"s", 1))
        self.db.snapshot("a")
        with self.assertRaises(perdure.ExistsError):
            self.db.snapshot("a", "s")
        self.db.put("a", "key", "2")
        self.assertEqual(self.db.get_at("a", "key", "snapshot:s"), b"1")
        self.assertEqual([one[b"snapshot"] for one in self.db.snapshots("a")][0], b"s")
        self.assertEqual(len(self.db.snapshots()), 2)
        self.db.restore("a", "snapshot:s")
        self.assertEqual(self.db.get("a", "key"), b"1")
        self.db.remove_snapshot("a", "s")
        with self.assertRaises(perdure.NotFoundError):
            self.db.remove_snapshot("a", "s")


class Relations(InMemory):
    def test_both_sides(self):
        self.db.put("a", "key", "1")
        self.db.put("b", "key", "1")
        self.assertTrue(self.db.relate("a", "b", "friend", "hi"))
        self.assertFalse(self.db.relate("a", "b", "friend", "hi"))
        self.assertEqual(self.db.relations("a"), [{b"direction": b"out", b"kind": b"friend", b"actor": b"b", b"data": b"hi"}])
        self.assertEqual(self.db.relations("b", "in", "friend")[0][b"actor"], b"a")
        self.assertEqual(self.db.relations("b", "out"), [])
        self.assertTrue(self.db.unrelate("a", "b", "friend"))
        self.assertFalse(self.db.unrelate("a", "b"))
        with self.assertRaises(perdure.NotFoundError):
            self.db.relate("a", "nobody")
        with self.assertRaises(ValueError):
            self.db.relations("a", "up")


class Strings(InMemory):
    def test_put_and_get(self):
        self.db.put("a", "key", "value")
        self.db.put("a", b"\0\xff", b"\0\1")
        self.db.put("a", "", "")
        self.assertEqual(self.db.get("a", "key"), b"value")
        self.assertEqual(self.db.get(b"a", b"\0\xff"), b"\0\1")
        self.assertEqual(self.db.get("a", ""), b"")
        self.assertEqual(self.db.get("a", "schlüssel"), None)
        self.assertEqual(self.db.get("nobody", "key", "default"), "default")
        self.db.put("a", "schlüssel", memoryview(b"wert"))
        self.assertEqual(self.db.get("a", "schlüssel".encode()), b"wert")

    def test_numbers_are_refused(self):
        with self.assertRaisesRegex(TypeError, "int"):
            self.db.put("a", "key", 1)

    def test_value_and_look(self):
        self.db.put("a", "key", "value")
        value = self.db.value("a", "key")
        self.assertGreater(value.version, 0)
        self.assertIsNone(value.expires_at)
        info = self.db.look("a", "key")
        self.assertEqual((info.type, info.count, info.version), ("string", 5, value.version))
        self.assertIsNone(self.db.look("a", "none"))
        self.assertTrue(self.db.exists("a", "key"))
        self.assertTrue(self.db.delete("a", "key"))
        self.assertFalse(self.db.delete("a", "key"))
        with self.assertRaises(perdure.NotFoundError) as caught:
            self.db.value("a", "key")
        self.assertEqual(str(caught.exception), "there is no such key")
        self.assertIsInstance(caught.exception, KeyError)

    def test_expiry(self):
        self.db.put("a", "key", "value", ttl=3600)
        self.assertAlmostEqual(self.db.value("a", "key").expires_at, time.time() + 3600, delta=600)
        self.assertTrue(self.db.expire("a", "key"))
        self.assertIsNone(self.db.value("a", "key").expires_at)
        self.assertTrue(self.db.expire("a", "key", expires_at=datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc)))
        self.assertEqual(self.db.value("a", "key").expires_at, 4102444800.0)
        self.assertTrue(self.db.expire("a", "key", ttl=datetime.timedelta(seconds=-1)))
        self.assertFalse(self.db.exists("a", "key"))
        self.assertFalse(self.db.expire("a", "key", ttl=1))
        with self.assertRaises(ValueError):
            self.db.put("a", "key", "value", ttl=1, expires_at=1)

    def test_tenants(self):
        with tempfile.TemporaryDirectory() as directory:
            with perdure.open(directory, tenant="acme") as db:
                db.put("a", "key", "acme's")
            with perdure.open(directory) as db:
                self.assertIsNone(db.get("a", "key"))
            with perdure.open(directory, tenant="acme") as db:
                self.assertEqual(db.get("a", "key"), b"acme's")


class Mappings(InMemory):
    def test_actor(self):
        user = self.db.actor("user:42")
        self.assertEqual(len(user), 0)
        user["cart"] = "3 apples"
        user.update({"a": "1", "b": b"2"})
        self.assertEqual(user["cart"], b"3 apples")
        self.assertEqual(list(user), [b"a", b"b", b"cart"])
        self.assertIn("a", user)
        self.assertEqual(dict(user.items()), {b"a": b"1", b"b": b"2", b"cart": b"3 apples"})
        self.assertEqual(user.pop("a"), b"1")
        self.assertEqual(user.get("a"), None)
        self.assertEqual(user.setdefault("a", b"3"), b"3")
        del user["a"]
        with self.assertRaises(KeyError):
            del user["a"]
        with self.assertRaises(KeyError):
            user["a"]
        user.put("gone", "x", ttl=-1)
        self.assertNotIn("gone", user)

    def test_hash(self):
        stock = self.db.actor("shop").hash("stock")
        self.assertEqual(len(stock), 0)
        stock["apples"] = "97"
        stock["pears"] = "3"
        self.assertEqual(dict(stock), {b"apples": b"97", b"pears": b"3"})
        self.assertEqual(len(stock), 2)
        del stock["pears"]
        with self.assertRaises(perdure.NotFoundError):
            stock["pears"]
        with self.assertRaises(perdure.WrongTypeError):
            self.db.actor("shop")["stock"]
        self.db.actor("shop")["text"] = "x"
        with self.assertRaises(TypeError):
            self.db.actor("shop").hash("text")["field"] = "x"


class Scans(InMemory):
    def setUp(self):
        super().setUp()
        for number in range(500):
            self.db.put("a", f"key:{number:03}", str(number))

    def keys(self, **bounds):
        return [item.key.decode() for item in self.db.scan("a", **bounds)]

    def test_bounds(self):
        self.assertEqual(len(self.keys()), 500)
        self.assertEqual(self.keys(start="key:498"), ["key:498", "key:499"])
        self.assertEqual(self.keys(stop="key:002"), ["key:000", "key:001"])
        self.assertEqual(self.keys(prefix="key:00", start="key:008", limit=5), ["key:008", "key:009"])
        self.assertEqual(self.keys(limit=1), ["key:000"])
        self.assertEqual(self.keys(limit=0), [])
        item = next(self.db.scan("a", start="key:042"))
        self.assertEqual((item.value, item.type), (b"42", "string"))
        self.assertEqual(next(self.db.scan("a", keys_only=True)).value, b"")

    def test_unfinished(self):
        walk = self.db.scan("a")
        next(walk)
        self.db.put("a", "key:000x", "")
        walk.close()
        with self.db.transaction() as txn:
            left = txn.scan("a")
            next(left)
        with self.assertRaises(perdure.InvalidError):
            list(left)


class Logs(InMemory):
    def test_numbers_that_are_none(self):
        """C would take -1 for the largest number there is: nothing is trimmed, and nothing is held for ever."""
        log = self.db.actor("user:1").log("events")
        for record in ("a", "b"):
            log.append(record)
        for wrong in (lambda: log.trim(-1), lambda: log.trim(2**64), lambda: list(log.read(-1)), lambda: list(log.read(1, -1)),
                      lambda: self.db.acquire("user:1", "me", -1), lambda: self.db.put("user:1", "k", "v", ttl=1e15),
                      lambda: self.db.expire("user:1", "k", ttl=1e15),
                      lambda: perdure.open("nowhere", memory_budget=-1), lambda: perdure.open("nowhere", retention_size=-1),
                      lambda: perdure.open("nowhere", sync_interval=5e6), lambda: perdure.open("nowhere", retention_time=-1),
                      lambda: perdure.open("no\0where"), lambda: perdure.open(in_memory=True, client="a\0b"),
                      lambda: self.db.check_bookmark("\0")):
            with self.assertRaises(ValueError):
                wrong()
        self.assertEqual(len(log), 2)

    def test_append_read_trim(self):
        log = self.db.actor("agent:7").log("events")
        self.assertEqual(len(log), 0)
        self.assertEqual([log.append("a"), log.append(b"b")], [1, 2])
        with self.db.transaction() as txn:
            mine = txn.actor("agent:7").log("events")
            mine.append_blind("c")
            self.assertEqual(mine.append("d"), 4)
            txn.put("agent:7", "head", "d")
        self.assertEqual(list(log), [perdure.Record(1, b"a"), (2, b"b"), (3, b"c"), (4, b"d")])
        self.assertEqual([record.data for record in log.read(2, limit=2)], [b"b", b"c"])
        log.trim(3)
        self.assertEqual(log.bounds(), range(3, 5))
        with self.assertRaises(perdure.LostError):
            list(log.read(1))
        self.db.put("agent:7", "text", "x")
        with self.assertRaises(perdure.WrongTypeError):
            self.db.actor("agent:7").log("text").append("x")


class Actors(InMemory):
    def test_actors(self):
        self.assertEqual(list(self.db.actors()), [])
        for number in range(3):
            self.db.put(f"actor:{number}", "x", "1")
        self.assertEqual(list(self.db.actors()), [b"actor:0", b"actor:1", b"actor:2"])
        info = self.db.actor_info("actor:1")
        self.assertEqual((info.keys, info.quarantined, info.level), (1, False, perdure.Level.NONE))
        self.db.drop_actor("actor:1")
        with self.assertRaises(perdure.NotFoundError):
            self.db.actor_info("actor:1")
        self.assertEqual(list(self.db.actors()), [b"actor:0", b"actor:2"])
        with self.assertRaises(perdure.NotSupportedError):
            self.db.set_actor_level("actor:0", perdure.Level.STRICT)


class Profiles(InMemory):
    def test_quotas(self):
        with self.assertRaises(perdure.NotFoundError):
            self.db.set_actor_profile("a", quota_keys=1)
        self.db.put("a", "x", "123")
        info = self.db.actor_info("a")
        self.assertEqual((info.bytes, info.bytes_known), (5, "exact"))
        self.assertAlmostEqual(info.last_write, time.time(), delta=600)
        self.db.set_actor_profile("a", quota_keys=2, quota_bytes=12)
        self.db.put("a", "y", "12345")
        for key, value in (("y", "123456"), ("z", "")):
            with self.assertRaisesRegex(perdure.QuotaError, "actor 'a' may have "):
                self.db.put("a", key, value)
        self.db.set_actor_profile("a", quota_bytes=0)
        self.db.put("a", "y", "123456")
        self.assertEqual(self.db.actor_profile("a"), perdure.Profile(perdure.Level.DEFAULT, 2, 0, 0, 0))
        self.db.set_actor_profile("a", quota_keys=0, quota_ops=3)
        with self.assertRaisesRegex(perdure.QuotaError, "operations a second"):
            for _ in range(1000):
                self.db.get("a", "x")
        with self.assertRaises(ValueError):
            self.db.set_actor_profile("a")
        with self.assertRaises(ValueError):
            self.db.set_actor_profile("a", quota_keys=-1)

    def test_tenant(self):
        self.assertEqual(self.db.tenant_info(), perdure.TenantInfo(0, 0, 0, "exact"))
        with self.assertRaises(perdure.NotFoundError):
            self.db.set_tenant_profile(quota_keys=1)
        self.db.put("a", "x", "1")
        self.db.put("b", "x", "1")
        self.assertEqual(self.db.tenant_info(), perdure.TenantInfo(2, 2, 6, "exact"))
        self.db.set_tenant_profile(quota_bytes=6)
        with self.assertRaisesRegex(perdure.QuotaError, "tenant 'default' may have 6 bytes and has 6"):
            self.db.put("c", "x", "")
        self.assertEqual(self.db.tenant_profile().quota_bytes, 6)

    def test_expiry(self):
        self.db.put("a", "x", "1")
        self.db.set_actor_profile("a", expire_after=datetime.timedelta(milliseconds=1))
        self.assertEqual(self.db.actor_profile("a").expire_after, 1)
        deadline = time.monotonic() + 60
        while list(self.db.actors()):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)


class Records(OnDisk):
    def test_records(self):
        self.db.put("a", "x", "1", expires_at=4102444800)
        with self.db.transaction(request_id="request 7") as txn:
            txn.hash_set("a", "h", "f", "v")
            txn.put("b", "y", b"\0")
        records = [record for record in self.db.records() if record.effects]
        self.db.drop_actor("a")
        records += [record for record in self.db.records(records[-1].bookmark) if record.effects]
        first, second, third = ([(effect.kind, effect.place, effect.actor, effect.key, effect.field, effect.value)
                                 for effect in record.effects] for record in records)
        self.assertEqual(first, [("put", "key", b"a", b"x", b"", b"1")])
        self.assertEqual(second, [("put", "key", b"a", b"h", b"", b""), ("put", "field", b"a", b"h", b"f", b"v"),
                                  ("put", "key", b"b", b"y", b"", b"\0")])
        self.assertEqual(third, [("delete range", "actor", b"a", b"", b"", b"")])
        self.assertEqual((records[0].effects[0].tenant, records[0].effects[0].type), (b"default", "string"))
        self.assertEqual(records[0].effects[0].expires_at, 4102444800)
        self.assertEqual(records[1].request_id, b"request 7")
        self.assertEqual(records[1].effects[0].size, 1)
        self.assertAlmostEqual(records[0].time, time.time(), delta=600)
        behind = [record for record in self.db.records(records[1].bookmark) if record.effects]
        self.assertEqual(behind, records[2:])
        # Names are those of now: what is told of an actor that is gone has only its id.
        gone = next(record for record in self.db.records() if record.effects).effects[0]
        self.assertEqual((gone.actor, gone.actor_id, gone.key), (b"", records[2].effects[0].actor_id, b"x"))

    def test_again(self):
        self.db.put("a", "x", "1")
        last = list(self.db.records())[-1].bookmark
        self.db.close()
        self.db = perdure.open(self.path, memory_budget=64 << 20)
        self.db.put("a", "x", "2")
        told = [effect.value for record in self.db.records(last) for effect in record.effects]
        self.assertEqual(told, [b"2"])
        self.assertEqual(list(self.db.records(list(self.db.records())[-1].bookmark)), [])

    def test_refused(self):
        with self.assertRaises(perdure.InvalidError):
            list(self.db.records("yesterday"))
        with self.assertRaises(perdure.AgainError):
            list(self.db.records("0000-00000000ff-0000000000000001"))
        with perdure.open(in_memory=True, memory_budget=64 << 20) as memory:
            with self.assertRaises(perdure.NotSupportedError):
                list(memory.records())


class Leases(InMemory):
    def test_fence(self):
        first = self.db.acquire("a", "node-1", 60)
        with self.assertRaises(perdure.BusyError):
            self.db.acquire("a", "node-2", 60)
        self.db.renew("a", "node-1", first, 30)
        lease = self.db.lease("a")
        self.assertEqual((lease.epoch, lease.owner, lease.exclusive), (first, b"node-1", False))
        self.assertTrue(0 < lease.left <= 30)
        with self.db.transaction(claims={"a": first}) as txn:
            txn.put("a", "x", "1")
        self.db.release("a", "node-1", first)
        second = self.db.acquire("a", "node-2", 60)
        with self.assertRaises(perdure.StaleEpochError):
            with self.db.transaction(claims={"a": first}) as txn:
                txn.put("a", "x", "late")
        with self.assertRaises(perdure.StaleEpochError):
            self.db.renew("a", "node-1", first, 60)
        with self.db.transaction(claims={"a": second}) as txn:
            txn.put("a", "x", "2")
        self.assertEqual(self.db.get("a", "x"), b"2")


class Commands(InMemory):
    def test_replies(self):
        self.assertEqual(self.db.command("SET", "{a}key", "1"), b"OK")
        self.assertEqual(self.db.command("INCR", "{a}key"), 2)
        self.assertIsNone(self.db.command("GET", "{a}none"))
        self.assertEqual(self.db.command("MGET", "{a}key", "{a}none"), [b"2", None])
        self.assertEqual(self.db.command("HSET", "{a}h", "x", "1", "y", "2"), 2)
        self.assertEqual(self.db.command("HGETALL", "{a}h"), {b"x": b"1", b"y": b"2"})
        with self.assertRaises(perdure.WrongTypeError):
            self.db.command("INCR", "{a}h")
        with self.assertRaises(perdure.NotSupportedError):
            self.db.command("SUBSCRIBE", "x")
        with self.assertRaises(perdure.InvalidError):
            self.db.command()


class Transactions(InMemory):
    def test_commit_and_rollback(self):
        with self.db.transaction() as txn:
            txn.put("a", "x", "1")
            txn.actor("b")["y"] = "2"
            self.assertEqual(txn.get("a", "x"), b"1")
            self.assertIsNone(self.db.get("a", "x"))
        self.assertGreater(txn.receipt.lsn, 0)
        self.db.check_bookmark(txn.receipt.bookmark)
        with self.assertRaises(RuntimeError):
            with self.db.transaction() as txn:
                txn.put("a", "x", "3")
                raise RuntimeError("no")
        self.assertIsNone(txn.receipt)
        self.assertEqual(self.db.get("a", "x"), b"1")
        with self.assertRaises(perdure.InvalidError):
            txn.get("a", "x")

    def test_early_end(self):
        with self.db.transaction() as txn:
            txn.put("a", "x", "1")
            self.assertFalse(txn.commit().duplicate)
        with self.db.transaction() as txn:
            txn.put("a", "x", "2")
            txn.rollback()
        self.assertEqual(self.db.get("a", "x"), b"1")

    def test_conflict(self):
        self.db.put("a", "n", "1")
        with self.assertRaises(perdure.ConflictError) as caught:
            with self.db.transaction() as txn:
                txn.put("a", "n", str(int(txn.get("a", "n")) + 1))
                self.db.put("a", "n", "10")
        self.assertTrue(caught.exception.retryable)
        self.assertEqual(self.db.get("a", "n"), b"10")

    def test_require(self):
        self.db.put("a", "x", "1")
        version = self.db.value("a", "x").version
        with self.db.transaction() as txn:
            txn.require("a", "x", version=version)
            txn.require("a", "x", value="1")
            txn.require("a", "x", exists=True)
            txn.require("a", "y", exists=False)
            txn.put("a", "x", "2")
        with self.assertRaises(perdure.ConflictError):
            with self.db.transaction() as txn:
                txn.require("a", "x", version=version)
                txn.put("a", "x", "3")
        with self.assertRaises(ValueError):
            with self.db.transaction() as txn:
                txn.require("a", "x")

    def test_transact(self):
        self.db.put("a", "n", "0")

        def add(txn):
            number = int(txn.get("a", "n")) + 1
            txn.put("a", "n", str(number))
            return number

        def work():
            for _ in range(50):
                self.db.transact(add, attempts=1000)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.db.get("a", "n"), b"200")

    def test_once(self):
        for attempt in range(3):
            with self.db.transaction(idempotency_key="order-1", idempotency_request="3 apples") as txn:
                txn.command("INCR", "{shop}orders")
                txn.set_result(f"number {attempt}")
            self.assertEqual(txn.receipt.duplicate, attempt > 0)
            self.assertEqual(txn.result, b"number 0")
        self.assertEqual(self.db.get("shop", "orders"), b"1")
        with self.assertRaises(perdure.ExistsError):
            with self.db.transaction(idempotency_key="order-1", idempotency_request="4 pears"):
                pass


class Life(OnDisk):
    def test_again(self):
        self.db.put("a", "x", "1")
        with self.db.transaction(level=perdure.Level.PERFORMANCE) as txn:
            txn.put("a", "y", "2")
        self.assertEqual(txn.receipt.level, perdure.Level.PERFORMANCE)
        self.db.sync()
        status = self.db.status()
        self.assertEqual((status.keys, status.trouble), (2, ""))
        self.assertGreaterEqual(status.durable_lsn, txn.receipt.lsn)
        self.db.close()
        self.db.close()
        with self.assertRaisesRegex(perdure.InvalidError, "closed"):
            self.db.get("a", "x")
        with self.assertRaisesRegex(perdure.InvalidError, "closed"):
            self.db.status()
        self.db = perdure.open(self.path, create=False)
        self.assertEqual(self.db.get("a", "y"), b"2")

    def test_view(self):
        user = self.db.actor("user:42")
        for number in range(200):
            user[f"key:{number:03}"] = str(number)
        user.hash("h")["f"] = "x"
        with self.db.view() as view:
            user["key:000"] = "changed"
            user.hash("h")["f"] = "y"
            for number in range(100, 200):
                del user[f"key:{number:03}"]
            still = view.actor("user:42")
            self.assertEqual(still["key:000"], b"0")
            self.assertEqual(len(list(still.scan(prefix="key:"))), 200)
            self.assertEqual(dict(still.hash("h")), {b"f": b"x"})
            self.assertEqual(view.look("user:42", "h").count, 1)
            self.assertLess(view.moment().lsn, self.db.status().lsn)
            for write in (lambda: still.update({"a": "1"}), lambda: view.command("GET", "a"), lambda: view.log_append("a", "b", "c")):
                with self.assertRaises(perdure.ReadOnlyError):
                    write()
            left = view.scan("user:42")
            next(left)
        with self.assertRaises(perdure.InvalidError):
            list(left)
        with self.assertRaises(perdure.InvalidError):
            view.get("user:42", "key:000")
        self.assertEqual(len(list(user)), 101)

    def test_upkeep(self):
        self.db.put("a", "x", "1")
        for work in (self.db.checkpoint, self.db.compact_store, self.db.compact_log, self.db.verify):
            self.assertTrue(work())
        self.db.set_actor_level("a", perdure.Level.STANDARD)
        self.assertEqual(self.db.actor_info("a").level, perdure.Level.STANDARD)

    def test_busy(self):
        with self.assertRaisesRegex(perdure.BusyError, str(os.getpid())):
            perdure.open(self.path)

    def test_not_there(self):
        with self.assertRaises(perdure.NotFoundError):
            perdure.open(self.path + "-none", create=False)
        with self.assertRaises(perdure.InvalidError):
            perdure.open()

    def test_read_only(self):
        self.db.put("a", "x", "1")
        self.db.close()
        self.db = perdure.open(self.path, read_only=True)
        self.assertEqual(self.db.get("a", "x"), b"1")
        with self.assertRaises(perdure.ReadOnlyError):
            self.db.put("a", "x", "2")

    def test_close_under_threads(self):
        failures = []

        def work(number):
            try:
                for count in range(10**6):
                    self.db.put("a", f"{number}:{count}", "x")
                    self.db.status()
            except perdure.InvalidError as why:
                if "closed" not in str(why):
                    failures.append(why)
            except Exception as why:
                failures.append(why)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        while self.db.status().keys < 40:
            pass
        self.db.close()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_fork(self):
        self.db.put("a", "x", "1")
        child = os.fork()
        if child == 0:
            try:
                self.db.get("a", "x")
            except perdure.InvalidError:
                os._exit(0)
            os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(self.db.get("a", "x"), b"1")


class AgentMemory(unittest.TestCase):
    """The example: killed again and again, it forgets nothing that it had told of."""

    def test_survives_kill(self):
        example = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "examples", "agent_memory.py")
        told = 0
        with tempfile.TemporaryDirectory() as directory:
            for life in range(3):
                agent = subprocess.Popen([sys.executable, example, os.path.join(directory, "data")], stdout=subprocess.PIPE, text=True)
                first = agent.stdout.readline()
                self.assertRegex(first, r"^at step \d+, nothing is missing$")
                self.assertIn(int(first.split()[2].rstrip(",")) - told, (0, 1))
                while told < 20 * (life + 1):
                    told = int(agent.stdout.readline().split()[1])
                agent.kill()
                for line in agent.stdout:
                    if line.endswith("\n"):
                        told = int(line.split()[1])
                agent.wait()
                agent.stdout.close()
            with perdure.open(os.path.join(directory, "data"), create=False) as db:
                steps = [item.key for item in db.scan("agent:7", prefix="step:")]
            self.assertIn(len(steps) - told, (0, 1))


if __name__ == "__main__":
    unittest.main()
