"""What can be done with data, in a transaction or outside of any; actors and hashes as mappings."""

from __future__ import annotations

import ctypes
import datetime
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeVar, Union

from . import _library as lib
from .errors import EndError, NotFoundError

Text = Union[bytes, str, bytearray, memoryview]  #: str is taken as UTF-8
When = Union[datetime.datetime, float, int]  #: a time; a number is seconds since 1970
Span = Union[datetime.timedelta, float, int]  #: a number is seconds
T = TypeVar("T")

TYPES = {0: "none", 1: "string", 2: "hash"}


class Value(NamedTuple):
    """A value with what is known of its key."""
    data: bytes
    version: int  #: the LSN of the transaction that wrote the key last
    expires_at: float | None  #: seconds since 1970


class KeyInfo(NamedTuple):
    """What is at a key."""
    type: str  #: "string", "hash" or "other"
    version: int
    expires_at: float | None
    count: int  #: bytes of a string, fields of a hash


class Item(NamedTuple):
    """What a scan comes by."""
    key: bytes
    value: bytes  #: b"" for a hash, and when only keys were asked for
    type: str
    version: int
    expires_at: float | None


class Record(NamedTuple):
    """One of an append log's."""
    number: int  #: 1, 2, 3, … without a gap
    data: bytes


class Receipt(NamedTuple):
    """What a transaction got."""
    epoch: int
    lsn: int  #: 0: nothing was written
    time: float  #: seconds since 1970
    level: int
    duplicate: bool  #: it had been done before, under the same idempotency key
    bookmark: str  #: the moment in a printable form that sorts as time does


def to_bytes(given: Text) -> bytes:
    if isinstance(given, bytes):
        return given
    if isinstance(given, str):
        return given.encode()
    if isinstance(given, (bytearray, memoryview)):
        return bytes(given)
    raise TypeError(f"bytes or str is needed, not {type(given).__name__}: say how it is to be written")


def wrap(given: Text | None) -> lib.Bytes:
    data = to_bytes(given) if given is not None else b""
    return lib.Bytes(data, len(data))


def expiry_us(ttl: Span | None, expires_at: When | None) -> int:
    """Microseconds since 1970; 0: never."""
    if ttl is not None and expires_at is not None:
        raise ValueError("either ttl or expires_at, not both")
    if ttl is not None:
        seconds = ttl.total_seconds() if isinstance(ttl, datetime.timedelta) else float(ttl)
        return max(1, int((time.time() + seconds) * 1e6))
    if expires_at is not None:
        seconds = expires_at.timestamp() if isinstance(expires_at, datetime.datetime) else float(expires_at)
        return max(1, int(seconds * 1e6))
    return 0


def seconds_of(us: int) -> float | None:
    return us / 1e6 if us else None


def take_value(value: lib.Value) -> Value:
    try:
        data = ctypes.string_at(value.data, value.size) if value.size else b""
    finally:
        lib.LIBRARY.perdure_free(value.data)
    return Value(data, value.version, seconds_of(value.expires_us))


def take_item(item: lib.Item) -> Item:
    return Item(item.key.copy(), item.value.copy(), TYPES.get(item.type, "other"), item.version, seconds_of(item.expires_us))


def read_reply(reply: lib.Reply) -> Any:
    """None, bytes, int, a list, or a dict."""
    if reply.kind == 1:
        return reply.text.copy()
    if reply.kind == 2:
        return reply.integer
    items = [read_reply(reply.items[i]) for i in range(reply.count)]
    if reply.kind == 4:
        return dict(zip(items[::2], items[1::2]))
    return items if reply.kind == 3 else None


def range_of(start: Text | None, stop: Text | None, prefix: Text | None, limit: int | None, keys_only: bool) -> lib.Range:
    if limit is not None and limit < 0:
        raise ValueError("a limit is not negative")
    return lib.Range(ctypes.sizeof(lib.Range), wrap(start), wrap(stop), wrap(prefix), limit or 0, int(keys_only))


class Operations:
    """What a Database, a Transaction and a View have in common. Of a Database each call is a transaction of its own; a View refuses
    what is not in its interface with ReadOnlyError."""

    def _session(self) -> AbstractContextManager[ctypes.c_void_p]:
        """A session for one call, or one iteration."""
        raise NotImplementedError

    def _function(self, name: str) -> str:
        """The library's function for this kind of operations."""
        return name

    # ---- strings ----

    def get(self, actor: Text, key: Text, default: T | None = None) -> bytes | T | None:
        """The string at a key, or `default`."""
        try:
            return self.value(actor, key).data
        except NotFoundError:
            return default

    def value(self, actor: Text, key: Text) -> Value:
        """The string at a key with its version and expiry. NotFoundError, WrongTypeError."""
        found = lib.Value()
        with self._session() as session:
            lib.call(self._function("perdure_get"), session, wrap(actor), wrap(key), ctypes.byref(found))
        return take_value(found)

    def put(self, actor: Text, key: Text, value: Text, *, ttl: Span | None = None, expires_at: When | None = None) -> None:
        """Put a string, whatever was there. Without an expiry, it never expires."""
        with self._session() as session:
            lib.call(self._function("perdure_put_until"), session, wrap(actor), wrap(key), wrap(value), expiry_us(ttl, expires_at))

    # ---- keys of any kind ----

    def look(self, actor: Text, key: Text) -> KeyInfo | None:
        """What is at a key; None: nothing."""
        info = lib.KeyInfo()
        with self._session() as session:
            lib.call(self._function("perdure_look"), session, wrap(actor), wrap(key), ctypes.byref(info))
        if info.type == 0:
            return None
        return KeyInfo(TYPES.get(info.type, "other"), info.version, seconds_of(info.expires_us), info.count)

    def exists(self, actor: Text, key: Text) -> bool:
        """Is there anything at this key?"""
        return self.look(actor, key) is not None

    def delete(self, actor: Text, key: Text) -> bool:
        """Was there anything to delete? In a transaction, that counts as reading."""
        deleted = ctypes.c_int()
        with self._session() as session:
            lib.call(self._function("perdure_delete"), session, wrap(actor), wrap(key), ctypes.byref(deleted))
        return bool(deleted.value)

    def expire(self, actor: Text, key: Text, *, ttl: Span | None = None, expires_at: When | None = None) -> bool:
        """Say when a key is gone; with neither: never. False: nothing has changed, mostly for want of a key."""
        changed = ctypes.c_int()
        with self._session() as session:
            lib.call(self._function("perdure_expire"), session, wrap(actor), wrap(key), expiry_us(ttl, expires_at), ctypes.byref(changed))
        return bool(changed.value)

    # ---- hashes ----

    def hash_get(self, actor: Text, key: Text, field: Text, default: T | None = None) -> bytes | T | None:
        """A field's value, or `default`."""
        found = lib.Value()
        try:
            with self._session() as session:
                lib.call(self._function("perdure_hash_get"), session, wrap(actor), wrap(key), wrap(field), ctypes.byref(found))
        except NotFoundError:
            return default
        return take_value(found).data

    def hash_set(self, actor: Text, key: Text, field: Text, value: Text) -> None:
        """Put a field."""
        with self._session() as session:
            lib.call(self._function("perdure_hash_set"), session, wrap(actor), wrap(key), wrap(field), wrap(value), None)

    def hash_delete(self, actor: Text, key: Text, field: Text) -> bool:
        """Was the field there?"""
        deleted = ctypes.c_int()
        with self._session() as session:
            lib.call(self._function("perdure_hash_delete"), session, wrap(actor), wrap(key), wrap(field), ctypes.byref(deleted))
        return bool(deleted.value)

    # ---- scans ----

    def scan(self, actor: Text, *, start: Text | None = None, stop: Text | None = None, prefix: Text | None = None,
             limit: int | None = None, keys_only: bool = False) -> Iterator[Item]:
        """The keys of an actor in the order of their bytes, from `start`, up to but not including `stop`.

        In a transaction all of it is of one moment. Outside, items come in portions, each of one moment."""
        bounds = range_of(start, stop, prefix, limit, keys_only)
        return self._iterate("perdure_scan_keys", [wrap(actor), ctypes.byref(bounds)], limit, take_item)

    def hash_scan(self, actor: Text, key: Text, *, start: Text | None = None, stop: Text | None = None,
                  prefix: Text | None = None, limit: int | None = None, keys_only: bool = False) -> Iterator[Item]:
        """The fields of a hash in the order of their bytes; none if there is no such key."""
        bounds = range_of(start, stop, prefix, limit, keys_only)
        return self._iterate("perdure_hash_scan", [wrap(actor), wrap(key), ctypes.byref(bounds)], limit, take_item)

    def _iterate(self, function: str, arguments: list[Any], limit: int | None, take: Callable[[Any], T]) -> Iterator[T]:
        if limit == 0:
            return
        with self._session() as session:
            scan, item = ctypes.c_void_p(), lib.Item()
            lib.call(self._function(function), session, *arguments, ctypes.byref(scan))
            try:
                while True:
                    lib.call("perdure_scan_next", scan, ctypes.byref(item))
                    yield take(item)
            except EndError:
                return
            finally:
                lib.LIBRARY.perdure_scan_free(scan)

    # ---- append logs ----

    def log_append(self, actor: Text, key: Text, record: Text) -> int:
        """Append a record to the log at this key and give its number. In a transaction that counts as reading: where many append at
        once, log_append_blind() does not."""
        number = ctypes.c_uint64()
        with self._session() as session:
            lib.call(self._function("perdure_log_append"), session, wrap(actor), wrap(key), wrap(record), ctypes.byref(number))
        return number.value

    def log_append_blind(self, actor: Text, key: Text, record: Text) -> None:
        """The same, without asking for the number."""
        with self._session() as session:
            lib.call(self._function("perdure_log_append"), session, wrap(actor), wrap(key), wrap(record), None)

    def log_bounds(self, actor: Text, key: Text) -> range:
        """The numbers of the records that there are."""
        first, following = ctypes.c_uint64(), ctypes.c_uint64()
        with self._session() as session:
            lib.call(self._function("perdure_log_look"), session, wrap(actor), wrap(key), ctypes.byref(first), ctypes.byref(following))
        return range(first.value, following.value)

    def log_read(self, actor: Text, key: Text, start: int = 0, limit: int | None = None) -> Iterator[Record]:
        """Records from a number on (0: from the first that is kept). LostError: trimmed away; CorruptError: one is missing."""
        arguments = [wrap(actor), wrap(key), start, limit or 0]
        return self._iterate("perdure_log_read", arguments, limit, lambda item: Record(item.number, item.value.copy()))

    def log_trim(self, actor: Text, key: Text, before: int) -> None:
        """Drop the records before this number."""
        with self._session() as session:
            lib.call(self._function("perdure_log_trim"), session, wrap(actor), wrap(key), before)

    # ---- any command ----

    def command(self, *words: Text) -> Any:
        """Run one command on data: command("HINCRBY", "{shop}stock", "apples", "-1"). bytes, int, None, list or dict."""
        given = (lib.Bytes * len(words))(*[wrap(word) for word in words])
        reply = ctypes.POINTER(lib.Reply)()
        with self._session() as session:
            lib.call(self._function("perdure_command"), session, len(words), given, ctypes.byref(reply))
        try:
            return read_reply(reply.contents)
        finally:
            lib.LIBRARY.perdure_reply_free(reply)

    # ---- as mappings ----

    def actor(self, name: Text) -> Actor:
        """The keys of an actor as a mapping. Nothing is written by asking for it."""
        return Actor(self, to_bytes(name))


class Actor(MutableMapping):
    """An actor's strings as a mapping from keys to bytes; its hashes by hash(). len() counts all keys, by going over them."""

    def __init__(self, operations: Operations, name: bytes) -> None:
        self._operations = operations
        self.name = name

    def __repr__(self) -> str:
        return f"<perdure.Actor {self.name!r}>"

    def __getitem__(self, key: Text) -> bytes:
        return self._operations.value(self.name, key).data

    def __setitem__(self, key: Text, value: Text) -> None:
        self._operations.put(self.name, key, value)

    def __delitem__(self, key: Text) -> None:
        if not self._operations.delete(self.name, key):
            raise NotFoundError("there is no such key")

    def __contains__(self, key: object) -> bool:
        return self._operations.exists(self.name, key)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[bytes]:
        return (item.key for item in self.scan(keys_only=True))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __eq__(self, other: object) -> bool:  # a mapping's would read all of both
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def put(self, key: Text, value: Text, *, ttl: Span | None = None, expires_at: When | None = None) -> None:
        """Put a string that expires."""
        self._operations.put(self.name, key, value, ttl=ttl, expires_at=expires_at)

    def scan(self, **bounds: Any) -> Iterator[Item]:
        """As Operations.scan()."""
        return self._operations.scan(self.name, **bounds)

    def hash(self, key: Text) -> Hash:
        """The fields of the hash at this key as a mapping."""
        return Hash(self._operations, self.name, to_bytes(key))

    def log(self, key: Text) -> Log:
        """The append log at this key."""
        return Log(self._operations, self.name, to_bytes(key))


class Log:
    """Records in the order in which they were appended, with numbers 1, 2, 3, … without a gap. Kept until trimmed."""

    def __init__(self, operations: Operations, actor: bytes, key: bytes) -> None:
        self._operations = operations
        self.actor = actor
        self.key = key

    def __repr__(self) -> str:
        return f"<perdure.Log {self.key!r} of {self.actor!r}>"

    def __iter__(self) -> Iterator[Record]:
        return self.read()

    def __len__(self) -> int:
        return len(self.bounds())

    def append(self, record: Text) -> int:
        """As Operations.log_append()."""
        return self._operations.log_append(self.actor, self.key, record)

    def append_blind(self, record: Text) -> None:
        """As Operations.log_append_blind()."""
        self._operations.log_append_blind(self.actor, self.key, record)

    def bounds(self) -> range:
        """The numbers of the records that there are."""
        return self._operations.log_bounds(self.actor, self.key)

    def read(self, start: int = 0, limit: int | None = None) -> Iterator[Record]:
        """As Operations.log_read()."""
        return self._operations.log_read(self.actor, self.key, start, limit)

    def trim(self, before: int) -> None:
        """As Operations.log_trim()."""
        self._operations.log_trim(self.actor, self.key, before)


class Hash(MutableMapping):
    """The fields of a hash as a mapping from names to bytes. Without any field it is not there."""

    def __init__(self, operations: Operations, actor: bytes, key: bytes) -> None:
        self._operations = operations
        self.actor = actor
        self.key = key

    def __repr__(self) -> str:
        return f"<perdure.Hash {self.key!r} of {self.actor!r}>"

    def __getitem__(self, field: Text) -> bytes:
        found = self._operations.hash_get(self.actor, self.key, field)
        if found is None:
            raise NotFoundError("there is no such field")
        return found

    def __setitem__(self, field: Text, value: Text) -> None:
        self._operations.hash_set(self.actor, self.key, field, value)

    def __delitem__(self, field: Text) -> None:
        if not self._operations.hash_delete(self.actor, self.key, field):
            raise NotFoundError("there is no such field")

    def __iter__(self) -> Iterator[bytes]:
        return (item.key for item in self._operations.hash_scan(self.actor, self.key, keys_only=True))

    def __len__(self) -> int:
        info = self._operations.look(self.actor, self.key)
        return info.count if info is not None else 0

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)
