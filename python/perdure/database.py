"""An open directory, and transactions."""

from __future__ import annotations

import ctypes
import datetime
import enum
import math
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

from . import _library as lib
from .errors import ConflictError, CorruptError, EndError, InvalidError, ReadOnlyError
from .operations import TYPES, Operations, Receipt, Span, Text, read_reply, seconds_of, to_bytes, wrap

T = TypeVar("T")
EVERYTHING = 2**64 - 1  # how the C interface says: no window at all
SESSIONS_KEPT = 32  # those of more threads at once are made and freed


class Level(enum.IntEnum):
    """When a write is acknowledged."""
    DEFAULT = 0
    NONE = 1  #: evaluated; never synced for its own sake
    PERFORMANCE = 2  #: in the log's memory, synced within the sync interval
    STANDARD = 3  #: handed to the kernel, synced within the sync interval
    STRICT = 4  #: on stable storage
    FULL = 5  #: and in the state on disk, too


class Progress(NamedTuple):
    """How far recovery has come."""
    records: int
    bytes: int
    total_bytes: int  #: 0: not known
    elapsed: float  #: seconds


class ActorInfo(NamedTuple):
    """What is known of an actor."""
    id: int  #: never given to another
    keys: int
    expiring_keys: int
    created_epoch: int
    created_lsn: int
    level: Level  #: of writes that ask for none themselves
    quarantined: bool  #: damage has taken records of it, with these LSNs
    lost_first_lsn: int
    lost_last_lsn: int
    bytes: int  #: of all its keys and values, with what is kept beside them
    bytes_known: str  #: "exact"; "at most" and "not yet" while they are counted anew
    last_write: float | None  #: seconds since 1970; None: not known


class TenantInfo(NamedTuple):
    """What is known of a tenant."""
    actors: int
    keys: int
    bytes: int
    bytes_known: str  #: as in ActorInfo


class Profile(NamedTuple):
    """What holds for an actor, or for all actors of a tenant together, whoever writes."""
    level: Level  #: DEFAULT: none of its own
    quota_keys: int  #: 0: no quota
    quota_bytes: int
    quota_ops: int  #: operations a second
    expire_after: int  #: seconds without a write, after which an actor is dropped; 0: never


class Effect(NamedTuple):
    """One thing that a transaction did."""
    kind: str  #: "put", "delete" or "delete range"
    place: str  #: "key", "field", "chunk", "actor" (all that it has) or "other" (a range of keys as they are stored)
    type: str  #: of a key that is put: "string", "hash" or "other"
    tenant: bytes
    actor: bytes  #: b"": it has been dropped by now
    actor_id: int
    key: bytes
    field: bytes
    value: bytes  #: of a string, a field or a chunk
    expires_at: float | None
    size: int  #: of the value; of a hash: its fields; of a large string: its bytes
    blob: int  #: of a large string and its chunks
    chunk: int


class LogRecord(NamedTuple):
    """A transaction as the directory's own log has it."""
    bookmark: str  #: to read on behind it
    epoch: int
    lsn: int
    time: float  #: seconds since 1970
    level: Level
    client: int  #: 0: the engine itself
    request_id: bytes
    idempotency_key: bytes
    effects: tuple[Effect, ...]  #: in order; none when the directory was opened, and of what the engine keeps for itself


EFFECT_KINDS = {1: "put", 2: "delete", 3: "delete range"}
EFFECT_PLACES = {1: "key", 2: "field", 3: "chunk", 4: "actor", 5: "other"}
IMPORT_PIECE = 256 * 1024  # bytes at a time
BYTES_KNOWN = ("exact", "at most", "not yet")


class Lease(NamedTuple):
    """Who owns an actor."""
    epoch: int  #: 0: it was never leased
    owner: bytes  #: b"": nobody
    left: float  #: seconds; 0: it is not held
    exclusive: bool


class Status(NamedTuple):
    """Figures of an open directory, as the C header explains them."""
    epoch: int
    lsn: int
    durable_lsn: int
    keys: int
    actors: int
    tenants: int
    transactions: int
    conflicts: int
    duplicates: int
    groups: int
    records: int
    memory_bytes: int
    memory_budget_bytes: int
    recovered_records: int
    recovery_us: int
    damage_count: int
    quarantined_actors: int
    trouble: str  #: what is wrong now; "" while all is well


def open(path: str | os.PathLike[str] | None = None, *, create: bool = True, read_only: bool = False, in_memory: bool = False,
         accept_damage: bool = False, level: Level = Level.DEFAULT, memory_budget: int = 0, sync_interval: float = 0,
         idempotency_keep: float = 0, retention_time: float | None = 0, retention_size: int | None = 0, compaction_rate: int = 0,
         tenant: str = "default", client: str | None = None,
         progress: Callable[[Progress], object] | None = None) -> Database:
    """Open a data directory, made if it is not there, and recover it. Close it with close(), or use it in a `with`.

    One process has a directory at a time: BusyError has the other's id. Times are in seconds, sizes in bytes; 0 is the default; no
    retention window is None. `progress` is called now and then while the log is replayed; what it raises ends the opening."""
    return Database(path, create=create, read_only=read_only, in_memory=in_memory, accept_damage=accept_damage, level=level,
                    memory_budget=memory_budget, sync_interval=sync_interval, idempotency_keep=idempotency_keep,
                    retention_time=retention_time, retention_size=retention_size, compaction_rate=compaction_rate, tenant=tenant,
                    client=client, progress=progress)


class Database(Operations):
    """An open directory. Any number of threads may use it at once. Made by perdure.open()."""

    def __init__(self, path: str | os.PathLike[str] | None, *, create: bool, read_only: bool, in_memory: bool,
                 accept_damage: bool, level: Level, memory_budget: int, sync_interval: float, idempotency_keep: float,
                 retention_time: float | None, retention_size: int | None, compaction_rate: int, tenant: str, client: str | None,
                 progress: Callable[[Progress], object] | None) -> None:
        self._handle: ctypes.c_void_p | None = None
        self._lock = threading.Lock()
        self._unused = threading.Condition(self._lock)
        self._users = 0  # threads that have the handle itself in a call
        self._free: list[ctypes.c_void_p] = []
        self._tenant = tenant.encode()
        raised: list[BaseException] = []

        def tell(_argument: object, at: Any) -> int:
            try:
                if progress is not None:
                    progress(Progress(at.contents.records, at.contents.bytes, at.contents.total_bytes,
                                      at.contents.elapsed_us / 1e6))
                return 0
            except BaseException as why:  # goes on where Python is called from
                raised.append(why)
                return 1

        if path is None and not in_memory:
            raise InvalidError("a path is needed, or in_memory=True")
        callback = lib.ProgressFunction(tell)
        options = lib.Options(ctypes.sizeof(lib.Options),
                              (not create) | read_only << 1 | in_memory << 2 | accept_damage << 3, int(level),
                              lib.check_number("memory_budget", memory_budget),
                              lib.check_number("sync_interval in milliseconds", int(sync_interval * 1000), 32),
                              lib.check_number("idempotency_keep", int(idempotency_keep), 32),
                              EVERYTHING if retention_time is None else lib.check_number("retention_time", int(retention_time)),
                              EVERYTHING if retention_size is None else lib.check_number("retention_size", retention_size),
                              lib.check_number("compaction_rate", compaction_rate), callback, None,
                              lib.check_text(client.encode() if client is not None else None))
        handle = ctypes.c_void_p()
        try:
            lib.call("perdure_open", os.fsencode(path) if path is not None else None, ctypes.byref(options), ctypes.byref(handle))
        except Exception:
            if raised:
                raise raised[0] from None
            raise
        self._handle = handle
        self.path = os.fspath(path) if path is not None else None

    def __repr__(self) -> str:
        return f"<perdure.Database {self.path or 'in memory'}{'' if self._handle else ', closed'}>"

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # nobody is there to be told
            pass

    def close(self) -> None:
        """Sync everything and unlock. What other threads have running is waited for; open transactions are rolled back.
        Closing twice is fine."""
        with self._lock:
            handle, self._handle = self._handle, None
            free, self._free = self._free, []
            while self._users > 0:
                self._unused.wait()
        if handle is None:
            return
        try:
            lib.call("perdure_close", handle)
        finally:
            for session in free:
                lib.LIBRARY.perdure_session_free(session)

    # ---- sessions ----

    def _new_session(self) -> ctypes.c_void_p:
        with self._lock:
            if self._handle is None:
                raise self._closed()
            if self._free:
                return self._free.pop()
            # Under the lock, so that it is not closed meanwhile.
            session = ctypes.c_void_p()
            lib.call("perdure_session_new", self._handle, self._tenant, ctypes.byref(session))
            return session

    def _end_session(self, session: ctypes.c_void_p) -> None:
        with self._lock:
            if self._handle is not None and len(self._free) < SESSIONS_KEPT:
                self._free.append(session)
                return
        lib.LIBRARY.perdure_session_free(session)

    @contextmanager
    def _session(self) -> Iterator[ctypes.c_void_p]:
        session = self._new_session()
        try:
            yield session
        finally:
            self._end_session(session)

    # ---- transactions ----

    def transaction(self, *, level: Level = Level.DEFAULT, idempotency_key: Text | None = None,
                    idempotency_request: Text | None = None, request_id: Text | None = None,
                    claims: Mapping[Text, int] | None = None) -> Transaction:
        """A transaction, for a `with`: committed at its end, rolled back on an exception.

        With an idempotency key it happens once: committed again under the same key, it changes nothing, and `receipt.duplicate` says
        so. `idempotency_request` is what the key stands for: another one under the same key is an ExistsError.

        `claims` are epochs of actors, as acquire() gave them: if one is not the actor's current one any more, writing to that actor
        raises StaleEpochError."""
        return Transaction(self, level, idempotency_key, idempotency_request, request_id, claims or {})

    def transact(self, work: Callable[[Transaction], T], *, attempts: int = 50, **options: Any) -> T:
        """Do work(txn) in a transaction, again if it meets a conflict, and return what it returns. It may run several
        times: it should do nothing that cannot be repeated. After `attempts` the ConflictError is raised."""
        for attempt in range(1, attempts + 1):
            try:
                with self.transaction(**options) as txn:
                    result = work(txn)
                return result
            except ConflictError:
                if attempt == attempts:
                    raise
                time.sleep(random.random() * min(0.1, 0.0005 * 2 ** min(attempt, 8)))
        raise ValueError("attempts is at least 1")

    def view(self) -> View:
        """All of the tenant as it is at this moment, for a `with`: for long reads, which hold nobody up."""
        return View(self)

    # ---- actors ----

    def actors(self) -> Iterator[bytes]:
        """The names of the tenant's actors, in the order in which they came into being."""
        return self._iterate("perdure_actor_scan", [], None, lambda item: item.key.copy())

    def actor_info(self, actor: Text) -> ActorInfo:
        """What is known of an actor. NotFoundError."""
        info = lib.ActorInfo(ctypes.sizeof(lib.ActorInfo))
        with self._session() as session:
            lib.call("perdure_actor_look", session, wrap(actor), ctypes.byref(info))
        return ActorInfo(info.id, info.keys, info.expiring_keys, info.created_epoch, info.created_lsn, Level(info.level),
                         bool(info.quarantined), info.lost_first_lsn, info.lost_last_lsn, info.bytes,
                         BYTES_KNOWN[info.bytes_known], info.last_write_us / 1e6 if info.last_write_us else None)

    def tenant_info(self) -> TenantInfo:
        """What is known of the tenant. All 0 until something has been written to it."""
        info = lib.TenantInfo(ctypes.sizeof(lib.TenantInfo))
        with self._session() as session:
            lib.call("perdure_tenant_look", session, ctypes.byref(info))
        return TenantInfo(info.actors, info.keys, info.bytes, BYTES_KNOWN[info.bytes_known])

    def drop_actor(self, actor: Text) -> None:
        """Drop an actor with all that it has. NotFoundError."""
        with self._session() as session:
            lib.call("perdure_actor_drop", session, wrap(actor))

    # ---- the past of actors: docs/history.md ----

    def past(self, *words: Text) -> Any:
        """What comes behind PD.ACTOR in docs/history.md: past("HISTORY", "user:42", "COUNT", "10"). bytes, int, None, list or dict."""
        with self._session() as session:
            return self._ask_past(session, *words)

    @staticmethod
    def _ask_past(session: ctypes.c_void_p, *words: Text) -> Any:
        given = (lib.Bytes * len(words))(*[wrap(word) for word in words])
        reply = ctypes.POINTER(lib.Reply)()
        lib.call("perdure_past", session, len(words), given, ctypes.byref(reply))
        try:
            return read_reply(reply.contents)
        finally:
            lib.LIBRARY.perdure_reply_free(reply)

    def export_actor(self, actor: Text, *, at: Text = "now", relations: bool = True) -> Iterator[bytes]:
        """What an actor had at a moment as lines of JSON, piece by piece: for a file, or import_actor() elsewhere. relations=False:
        without what it was related to."""
        with self._session() as session:
            try:
                piece = self._ask_past(session, "EXPORT", "BEGIN", actor, "AT", at, *(() if relations else ("NORELATIONS",)))
                while piece:
                    yield piece
                    piece = self._ask_past(session, "EXPORT", "NEXT")
            finally:
                with suppress(InvalidError):  # an error has ended it
                    self._ask_past(session, "EXPORT", "END")

    def import_actor(self, lines: Iterable[bytes], name: Text | None = None, *, relations: bool = True) -> dict[bytes, Any]:
        """Make an actor of what export_actor() gave, cut anywhere, or of a file that is open for reading bytes, as a whole or not at all.
        Without a name: under the one that it had. ExistsError; CorruptError: it is not what was exported. b"missing" in the answer: what it
        was related to and is not, since the other is not there; relations=False: to nobody."""
        with self._session() as session:
            words: tuple[Text, ...] = ("AS", name) if name is not None else ()
            self._ask_past(session, "IMPORT", "BEGIN", *words, *(() if relations else ("NORELATIONS",)))
            try:
                for piece in pieces_of(lines):
                    self._ask_past(session, "IMPORT", "PUT", piece)
                return dict(self._ask_past(session, "IMPORT", "END"))
            except BaseException:
                with suppress(InvalidError):  # an error has ended it
                    self._ask_past(session, "IMPORT", "ABORT")
                raise

    def history(self, actor: Text, *, limit: int = 100) -> list[dict[bytes, Any]]:
        """The transactions that changed an actor, the newest first."""
        entries: list[dict[bytes, Any]] = []
        words: tuple[Text, ...] = ()
        while len(entries) < limit:
            page = self.past("HISTORY", actor, "COUNT", str(min(limit - len(entries), 1000)), *words)
            entries += page[b"entries"]
            if page[b"cursor"] == b"0":
                break
            words = ("CURSOR", page[b"cursor"], "TO", page[b"to_time"])
        return entries

    def replay(self, actor: Text, *, after: Text | None = None, to: Text = "now") -> Iterator[dict[bytes, Any]]:
        """All transactions of an actor, the oldest first, each with all operations and their values whole: so that a program can do
        them again. after: only what came after this moment, such as the LSN that was seen last. NotFoundError: the log does not reach
        back to the actor's beginning. CorruptError: from here on they cannot be told."""
        since: tuple[Text, ...] = () if after is None else ("FROM", after)
        cursor: tuple[Text, ...] = ()
        while True:
            page = self.past("REPLAY", actor, "TO", to, *since, *cursor)
            for entry in page[b"entries"]:
                if b"damage" in entry:
                    raise CorruptError(entry[b"damage"].decode(errors="replace"))
                yield entry
            if page[b"cursor"] == b"0":
                return
            to, cursor = page[b"to_time"], ("CURSOR", page[b"cursor"])

    def get_at(self, actor: Text, key: Text, moment: Text) -> Any:
        """What a key was at a moment: bytes, a dict of fields, or None."""
        return self.past("GET", actor, key, "AT", moment)

    def fork(self, actor: Text, name: Text, *, at: Text = "now") -> dict[bytes, Any]:
        """Make an actor of what another had at a moment. ExistsError."""
        return dict(self.past("FORK", actor, name, "AT", at))

    def restore(self, actor: Text, at: Text, *, dry_run: bool = False) -> dict[bytes, Any]:
        """Make an actor again what it was at a moment; b"undo" is the moment to restore to, to undo it."""
        return dict(self.past("RESTORE", actor, "AT", at, *(("DRYRUN",) if dry_run else ())))

    def revert(self, actor: Text, transaction: Text, *, dry_run: bool = False) -> dict[bytes, Any]:
        """Undo what one transaction, named by its LSN or bookmark, did to an actor. ConflictError."""
        return dict(self.past("REVERT", actor, transaction, *(("DRYRUN",) if dry_run else ())))

    def undrop(self, actor: Text) -> dict[bytes, Any]:
        """Bring back the actor of that name that was dropped last. ExistsError, NotFoundError."""
        return dict(self.past("UNDROP", actor))

    def snapshot(self, actor: Text, name: Text | None = None, *, at: Text = "now", keep: int | None = None) -> dict[bytes, Any]:
        """Keep a moment of an actor under a name (default: the time), for so many seconds (default: until it is removed)."""
        words: list[Text] = ["SNAPSHOT", actor] + ([name] if name is not None else []) + ["AT", at]
        return dict(self.past(*words, *(("KEEP", str(keep)) if keep is not None else ())))

    def snapshots(self, actor: Text | None = None) -> list[dict[bytes, Any]]:
        """The snapshots of an actor, or of all in the tenant."""
        return list(self.past("SNAPSHOTS", *((actor,) if actor is not None else ())))

    def remove_snapshot(self, actor: Text, name: Text) -> None:
        """NotFoundError."""
        self.past("UNSNAPSHOT", actor, name)

    # ---- relations ----

    def relate(self, actor: Text, other: Text, kind: str | None = None, data: Text = b"") -> bool:
        """Relate an actor to another: both know of it, and what it says. Was it not so already? NotFoundError: one of them is not there."""
        answer = ctypes.c_int()
        with self._session() as session:
            lib.call("perdure_actor_relate", session, wrap(actor), wrap(other), kind.encode() if kind is not None else None,
                     wrap(data), ctypes.byref(answer))
        return answer.value == 1

    def unrelate(self, actor: Text, other: Text, kind: str | None = None) -> bool:
        """End a relation, on both sides. Was it there?"""
        answer = ctypes.c_int()
        with self._session() as session:
            lib.call("perdure_actor_unrelate", session, wrap(actor), wrap(other), kind.encode() if kind is not None else None,
                     ctypes.byref(answer))
        return answer.value == 1

    def relations(self, actor: Text, direction: str = "both", kind: str | None = None) -> list[dict[bytes, Any]]:
        """What an actor is related to: direction (b"in": to it, b"out": from it), kind, actor, data. Only those that go "in" or "out"."""
        directions = {"in": 1, "out": 2, "both": 3}
        if direction not in directions:
            raise ValueError(f"{direction!r} is no direction: in, out or both")
        reply = ctypes.POINTER(lib.Reply)()
        with self._session() as session:
            lib.call("perdure_actor_relations", session, wrap(actor), directions[direction],
                     kind.encode() if kind is not None else None, ctypes.byref(reply))
        try:
            return list(read_reply(reply.contents))
        finally:
            lib.LIBRARY.perdure_reply_free(reply)

    def set_actor_level(self, actor: Text, level: Level) -> None:
        """How durable writes to this actor are when they do not say so themselves."""
        with self._session() as session:
            lib.call("perdure_actor_set_level", session, wrap(actor), int(level))

    # ---- profiles ----

    def set_actor_profile(self, actor: Text, *, level: Level | None = None, quota_keys: int | None = None,
                          quota_bytes: int | None = None, quota_ops: int | None = None, expire_after: Span | None = None) -> None:
        """What holds for an actor, whoever writes; what is not named stays. 0: no quota, never to expire. A write that goes beyond a
        quota raises QuotaError. NotFoundError: there is no such actor yet."""
        profile, fields = profile_of(level, quota_keys, quota_bytes, quota_ops, expire_after)
        with self._session() as session:
            lib.call("perdure_actor_set_profile", session, wrap(actor), ctypes.byref(profile), fields)

    def actor_profile(self, actor: Text) -> Profile:
        """The actor's own profile."""
        profile = lib.Profile(ctypes.sizeof(lib.Profile))
        with self._session() as session:
            lib.call("perdure_actor_profile", session, wrap(actor), ctypes.byref(profile))
        return take_profile(profile)

    def set_tenant_profile(self, *, level: Level | None = None, quota_keys: int | None = None, quota_bytes: int | None = None,
                           quota_ops: int | None = None) -> None:
        """What holds for all actors of the tenant together."""
        profile, fields = profile_of(level, quota_keys, quota_bytes, quota_ops, None)
        with self._session() as session:
            lib.call("perdure_tenant_set_profile", session, ctypes.byref(profile), fields)

    def tenant_profile(self) -> Profile:
        """The tenant's own profile."""
        profile = lib.Profile(ctypes.sizeof(lib.Profile))
        with self._session() as session:
            lib.call("perdure_tenant_profile", session, ctypes.byref(profile))
        return take_profile(profile)

    # ---- owner leases ----

    def acquire(self, actor: Text, owner: Text, ttl: float, *, exclusive: bool = False) -> int:
        """Own an actor for some seconds. Gives an epoch, for transaction(claims={actor: epoch}): whoever acquires it after that fences
        those transactions off. BusyError: another owner holds it."""
        epoch = ctypes.c_uint64()
        with self._session() as session:
            lib.call("perdure_lease_acquire", session, wrap(actor), wrap(owner), int(ttl * 1e6), int(exclusive), ctypes.byref(epoch))
        return epoch.value

    def renew(self, actor: Text, owner: Text, epoch: int, ttl: float) -> None:
        """Hold it for some seconds from now on. StaleEpochError: another has it."""
        with self._session() as session:
            lib.call("perdure_lease_renew", session, wrap(actor), wrap(owner), epoch, int(ttl * 1e6))

    def release(self, actor: Text, owner: Text, epoch: int) -> None:
        """Give it back. StaleEpochError: another has it."""
        with self._session() as session:
            lib.call("perdure_lease_release", session, wrap(actor), wrap(owner), epoch)

    def lease(self, actor: Text) -> Lease:
        """Who owns an actor. NotFoundError: there is no such actor."""
        lease = lib.Lease()
        with self._session() as session:
            lib.call("perdure_lease_look", session, wrap(actor), ctypes.byref(lease))
        owner = ctypes.string_at(ctypes.addressof(lease) + lib.Lease.owner.offset, lease.owner_size)
        return Lease(lease.epoch, owner, lease.left_us / 1e6, bool(lease.exclusive))

    # ---- upkeep: returns when it is done, with what it did in words ----

    def checkpoint(self) -> str:
        """Put a copy of the state at this moment beside it, by hard links."""
        return self._upkeep(1)

    def compact_store(self) -> str:
        """Rewrite the state, so that what is dead goes."""
        return self._upkeep(2)

    def compact_log(self) -> str:
        """Checkpoint, then drop what of the log retention does not ask for."""
        return self._upkeep(3)

    def verify(self) -> str:
        """Read all state that is stored and check every checksum. CorruptError says where there is damage."""
        return self._upkeep(4)

    def _upkeep(self, what: int) -> str:
        text = ctypes.create_string_buffer(lib.TEXT_SIZE)
        with self._in_use() as handle:
            lib.call("perdure_upkeep", handle, what, text, lib.TEXT_SIZE)
        return text.value.decode("utf-8", "replace")

    # ---- the directory's own log ----

    def records(self, after: str | None = None) -> Iterator[LogRecord]:
        """What was done, in order, by whoever, from the record behind a bookmark on (None: from the oldest that is there), up to what is
        on stable storage by now. Go on with the last record's bookmark, now or in another life.

        LostError: a crash took that moment; ViewTooOldError: what comes behind it has been trimmed away: start anew from a view().
        CorruptError: records cannot be read; go on behind those that it names."""
        reader, record = ctypes.c_void_p(), ctypes.POINTER(lib.LogRecord)()
        with self._in_use() as handle:
            lib.call("perdure_records_new", handle, after.encode() if after is not None else None, ctypes.byref(reader))
        try:
            while True:
                lib.call("perdure_records_next", reader, ctypes.byref(record))
                yield take_record(record.contents)
        except EndError:
            return
        finally:
            lib.LIBRARY.perdure_records_free(reader)

    # ---- moments and figures ----

    def sync(self) -> None:
        """When it returns, all that was committed before, at whatever level, is on stable storage."""
        with self._in_use() as handle:
            lib.call("perdure_sync", handle)

    def check_bookmark(self, bookmark: str) -> None:
        """Is this moment in the log's history? LostError: a crash took it; AgainError: not reached yet; InvalidError."""
        with self._in_use() as handle:
            lib.call("perdure_bookmark_check", handle, bookmark.encode())

    def status(self) -> Status:
        """Figures."""
        status = lib.Status(ctypes.sizeof(lib.Status))
        with self._in_use() as handle:
            lib.call("perdure_get_status", handle, ctypes.byref(status))
        return Status(*[getattr(status, name) for name, _ in lib.Status._fields_[1:-1]],
                      status.trouble.decode("utf-8", "replace"))

    @contextmanager
    def _in_use(self) -> Iterator[ctypes.c_void_p]:
        """The handle, for one call: close() waits for it."""
        with self._lock:
            handle = self._handle
            if handle is None:
                raise self._closed()
            self._users += 1
        try:
            yield handle
        finally:
            with self._lock:
                self._users -= 1
                self._unused.notify_all()

    def _closed(self) -> InvalidError:
        return InvalidError(f"{self.path or 'what was in memory'} has been closed: open it again")


class Transaction(Operations):
    """Reads and writes that happen all together or not at all. One thread at a time. Made by Database.transaction().

    Reads see the transaction's own writes. If what was read has changed, a read or the commit raises ConflictError: nothing was
    changed, and all of it is to be done again (Database.transact() does that)."""

    def __init__(self, database: Database, level: Level, idempotency_key: Text | None, idempotency_request: Text | None,
                 request_id: Text | None, claims: Mapping[Text, int]) -> None:
        self._database = database
        self._claims = claims
        self._options = lib.TransactionOptions(ctypes.sizeof(lib.TransactionOptions), int(level), wrap(idempotency_key),
                                               wrap(idempotency_request), wrap(request_id))
        self._own: ctypes.c_void_p | None = None
        self._iterating = 0  # scans that are not at their end
        self.receipt: Receipt | None = None  #: after the commit
        self.result: bytes = b""  #: after the commit: what set_result() was given, the first time

    def __enter__(self) -> Transaction:
        if self._own is not None:
            raise InvalidError("this transaction is open already")
        self.receipt, self.result = None, b""
        session = self._database._new_session()
        try:
            for actor, epoch in self._claims.items():
                lib.call("perdure_claim", session, wrap(actor), epoch)
            lib.call("perdure_begin", session, ctypes.byref(self._options))
        except BaseException:
            lib.LIBRARY.perdure_session_free(session)  # with the claims that it has by now
            raise
        self._own = session
        return self

    def __exit__(self, kind: object, why: object, trace: object) -> None:
        if self._own is None:
            return
        if kind is not None:
            self.rollback()
        else:
            self.commit()

    def commit(self) -> Receipt:
        """End it, before the end of the `with`. When it returns, it is as durable as its level says."""
        session, receipt = self._session_of_its_own(), lib.Receipt()
        try:
            lib.call("perdure_commit", session, ctypes.byref(receipt))
            self.result = lib.LIBRARY.perdure_result(session).copy()
        finally:
            self._leave(session)
        self.receipt = take_receipt(receipt)
        return self.receipt

    def rollback(self) -> None:
        """Forget it, before the end of the `with`."""
        session = self._session_of_its_own()
        lib.LIBRARY.perdure_rollback(session)
        self._leave(session)

    def _leave(self, session: ctypes.c_void_p) -> None:
        self._own = None
        # Somebody may come back with a scan, and a claim stays a session's: nobody else is to have it then.
        if self._iterating > 0 or self._claims:
            lib.LIBRARY.perdure_session_free(session)
        else:
            self._database._end_session(session)

    def set_result(self, result: Text) -> None:
        """What is to be kept with the idempotency key, for whoever commits with it again."""
        lib.call("perdure_set_result", self._session_of_its_own(), wrap(result))

    def require(self, actor: Text, key: Text, *, exists: bool | None = None, version: int | None = None,
                value: Text | None = None) -> None:
        """The commit raises ConflictError unless this holds then: exists=True or False, a version, or a string's value."""
        if (exists is not None) + (version is not None) + (value is not None) != 1:
            raise ValueError("exactly one of exists, version and value")
        kind = (0 if exists else 1) if exists is not None else 2 if version is not None else 3
        lib.call("perdure_require", self._session_of_its_own(), kind, wrap(actor), wrap(key), version or 0,
                 wrap(to_bytes(value) if value is not None else None))

    def _session_of_its_own(self) -> ctypes.c_void_p:
        if self._own is None:
            raise InvalidError("this transaction is not open: use it in a `with`")
        return self._own

    @contextmanager
    def _session(self) -> Iterator[ctypes.c_void_p]:
        yield self._session_of_its_own()

    def _iterate(self, function: str, arguments: list[Any], limit: int | None, take: Callable[[Any], T]) -> Iterator[T]:
        self._iterating += 1
        try:
            yield from super()._iterate(function, arguments, limit, take)
        finally:
            self._iterating -= 1


class View(Operations):
    """One moment. Strings, hashes and scans as a Database has them; all else is a ReadOnlyError. One thread at a time. Made by
    Database.view().

    What it keeps is limited: one that is open for long while much is written raises ViewTooOldError; begin again with another."""

    _READS = {f"perdure_{name}": f"perdure_view_{name}" for name in ("get", "look", "hash_get", "scan_keys", "hash_scan")}

    def __init__(self, database: Database) -> None:
        self._database = database
        self._view: ctypes.c_void_p | None = None

    def __enter__(self) -> View:
        if self._view is not None:
            raise InvalidError("this view is open already")
        view = ctypes.c_void_p()
        with self._database._session() as session:
            lib.call("perdure_view_new", session, ctypes.byref(view))
        self._view = view
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it, before the end of the `with`. Closing twice is fine."""
        view, self._view = self._view, None
        if view is not None:
            lib.LIBRARY.perdure_view_free(view)

    def moment(self) -> Receipt:
        """Its place in the log, as a receipt."""
        moment = lib.Receipt()
        with self._session() as view:
            lib.call("perdure_view_moment", view, ctypes.byref(moment))
        return take_receipt(moment)

    def _function(self, name: str) -> str:
        try:
            return self._READS[name]
        except KeyError:
            raise ReadOnlyError("a view can be read with get(), look(), hash_get(), scan() and hash_scan(), and what is made of "
                                "them") from None

    @contextmanager
    def _session(self) -> Iterator[ctypes.c_void_p]:
        if self._view is None:
            raise InvalidError("this view is not open: use it in a `with`")
        yield self._view


def take_effect(effect: lib.Effect) -> Effect:
    return Effect(EFFECT_KINDS[effect.kind], EFFECT_PLACES[effect.place], TYPES.get(effect.type, "other"), effect.tenant.copy(),
                  effect.actor.copy(), effect.actor_id, effect.key.copy(), effect.field.copy(), effect.value.copy(),
                  seconds_of(effect.expires_us), effect.size, effect.blob, effect.chunk)


def take_record(record: lib.LogRecord) -> LogRecord:
    return LogRecord(record.bookmark.decode(), record.epoch, record.lsn, record.time_us / 1e6, Level(record.level), record.client,
                     record.request_id.copy(), record.idempotency_key.copy(),
                     tuple(take_effect(record.effects[at]) for at in range(record.effect_count)))


def pieces_of(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that an import takes, none of them much smaller than it need be."""
    waiting = bytearray()
    for line in lines:
        waiting += line
        while len(waiting) >= IMPORT_PIECE:
            yield bytes(waiting[:IMPORT_PIECE])
            del waiting[:IMPORT_PIECE]
    if waiting:
        yield bytes(waiting)


def profile_of(level: Level | None, quota_keys: int | None, quota_bytes: int | None, quota_ops: int | None,
               expire_after: Span | None) -> tuple[lib.Profile, int]:
    """And a bit for each field that was given."""
    seconds = expire_after.total_seconds() if isinstance(expire_after, datetime.timedelta) else expire_after
    given = (level, quota_keys, quota_bytes, quota_ops, math.ceil(seconds) if seconds is not None else None)
    fields = sum(1 << bit for bit, value in enumerate(given) if value is not None)
    if fields == 0:
        raise ValueError("nothing is to change: name a level, a quota or a time")
    numbers = [lib.check_number("a quota, or a time in seconds,", value or 0) for value in given[1:]]
    return lib.Profile(ctypes.sizeof(lib.Profile), int(level or 0), *numbers), fields


def take_profile(profile: lib.Profile) -> Profile:
    return Profile(Level(profile.level), profile.quota_keys, profile.quota_bytes, profile.quota_ops, profile.expire_after_s)


def take_receipt(receipt: lib.Receipt) -> Receipt:
    return Receipt(receipt.epoch, receipt.lsn, receipt.time_us / 1e6, receipt.level, bool(receipt.duplicate),
                   receipt.bookmark.decode())
