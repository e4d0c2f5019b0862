"""The shared library: finding it, and its functions as ctypes knows them. Nothing here is public."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_uint, c_uint32, c_uint64, c_void_p

from . import errors

ABI_WANTED = 3
SONAME = "libperdure.so.0"
TEXT_SIZE = 500
BOOKMARK_SIZE = 48


class Error(ctypes.Structure):
    _fields_ = [("code", c_int), ("text", ctypes.c_char * TEXT_SIZE)]


class Bytes(ctypes.Structure):
    """Bytes that go in. The Python object stays alive with it."""
    _fields_ = [("data", c_char_p), ("size", c_size_t)]


class Found(ctypes.Structure):
    """Bytes that come out: the same layout, read by address and size."""
    _fields_ = [("data", c_void_p), ("size", c_size_t)]

    def copy(self) -> bytes:
        return ctypes.string_at(self.data, self.size) if self.size else b""


class Progress(ctypes.Structure):
    _fields_ = [("records", c_uint64), ("bytes", c_uint64), ("total_bytes", c_uint64), ("elapsed_us", c_uint64)]


ProgressFunction = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(Progress))


class Options(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("flags", c_uint), ("level", c_int), ("memory_budget_bytes", c_uint64),
                ("sync_interval_ms", c_uint32), ("idempotency_keep_s", c_uint32), ("retention_s", c_uint64),
                ("retention_bytes", c_uint64), ("compaction_bytes_per_s", c_uint64), ("progress", ProgressFunction),
                ("progress_argument", c_void_p), ("client", c_char_p)]


class TransactionOptions(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("level", c_int), ("idempotency_key", Bytes), ("idempotency_request", Bytes),
                ("request_id", Bytes)]


class Receipt(ctypes.Structure):
    _fields_ = [("epoch", c_uint64), ("lsn", c_uint64), ("time_us", c_uint64), ("level", c_int), ("duplicate", c_int),
                ("bookmark", ctypes.c_char * BOOKMARK_SIZE)]


class Value(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("size", c_size_t), ("version", c_uint64), ("expires_us", c_uint64)]


class KeyInfo(ctypes.Structure):
    _fields_ = [("type", c_int), ("version", c_uint64), ("expires_us", c_uint64), ("count", c_uint64)]


class Range(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("start", Bytes), ("stop", Bytes), ("prefix", Bytes), ("limit", c_uint64),
                ("keys_only", c_int)]


class Item(ctypes.Structure):
    _fields_ = [("key", Found), ("value", Found), ("type", c_int), ("version", c_uint64), ("expires_us", c_uint64),
                ("number", c_uint64)]


class ActorInfo(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("id", c_uint64), ("keys", c_uint64), ("expiring_keys", c_uint64),
                ("created_epoch", c_uint64), ("created_lsn", c_uint64), ("level", c_int), ("quarantined", c_int),
                ("lost_first_lsn", c_uint64), ("lost_last_lsn", c_uint64), ("bytes", c_uint64), ("bytes_known", c_int),
                ("last_write_us", c_uint64)]


class Profile(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("level", c_int), ("quota_keys", c_uint64), ("quota_bytes", c_uint64), ("quota_ops", c_uint64),
                ("expire_after_s", c_uint64)]


class TenantInfo(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("actors", c_uint64), ("keys", c_uint64), ("bytes", c_uint64), ("bytes_known", c_int)]


class Lease(ctypes.Structure):
    _fields_ = [("epoch", c_uint64), ("left_us", c_uint64), ("exclusive", c_int), ("owner_size", c_size_t),
                ("owner", ctypes.c_char * 257)]


class Effect(ctypes.Structure):
    _fields_ = [("kind", c_int), ("place", c_int), ("type", c_int), ("actor_id", c_uint64), ("tenant", Found), ("actor", Found),
                ("key", Found), ("field", Found), ("value", Found), ("expires_us", c_uint64), ("size", c_uint64), ("blob", c_uint64),
                ("chunk", c_uint64)]


class LogRecord(ctypes.Structure):
    _fields_ = [("kind", c_int), ("epoch", c_uint64), ("lsn", c_uint64), ("time_us", c_uint64),
                ("bookmark", ctypes.c_char * BOOKMARK_SIZE), ("level", c_int), ("client", c_uint64), ("request_id", Found),
                ("idempotency_key", Found), ("effect_count", c_size_t), ("effects", POINTER(Effect))]


class Reply(ctypes.Structure):
    pass


Reply._fields_ = [("kind", c_int), ("integer", c_int64), ("text", Found), ("count", c_size_t), ("items", POINTER(Reply))]


class Status(ctypes.Structure):
    _fields_ = [("size", c_size_t)] + [(name, c_uint64) for name in (
        "epoch", "lsn", "durable_lsn", "keys", "actors", "tenants", "transactions", "conflicts", "duplicates", "groups",
        "records", "memory_bytes", "memory_budget_bytes", "recovered_records", "recovery_us", "damage_count",
        "quarantined_actors")] + [("trouble", ctypes.c_char * TEXT_SIZE)]


E = POINTER(Error)
#: name: (result, arguments). Those that return a code end with an error.
FUNCTIONS = {
    "perdure_abi_version": (c_uint32, []),
    "perdure_version": (c_char_p, []),
    "perdure_open": (c_int, [c_char_p, POINTER(Options), POINTER(c_void_p), E]),
    "perdure_close": (c_int, [c_void_p, E]),
    "perdure_session_new": (c_int, [c_void_p, c_char_p, POINTER(c_void_p), E]),
    "perdure_session_free": (None, [c_void_p]),
    "perdure_session_use": (c_int, [c_void_p, Bytes, E]),
    "perdure_begin": (c_int, [c_void_p, POINTER(TransactionOptions), E]),
    "perdure_commit": (c_int, [c_void_p, POINTER(Receipt), E]),
    "perdure_rollback": (None, [c_void_p]),
    "perdure_set_result": (c_int, [c_void_p, Bytes, E]),
    "perdure_result": (Found, [c_void_p]),
    "perdure_require": (c_int, [c_void_p, c_int, Bytes, Bytes, c_uint64, Bytes, E]),
    "perdure_free": (None, [c_void_p]),
    "perdure_get": (c_int, [c_void_p, Bytes, Bytes, POINTER(Value), E]),
    "perdure_put_until": (c_int, [c_void_p, Bytes, Bytes, Bytes, c_uint64, E]),
    "perdure_look": (c_int, [c_void_p, Bytes, Bytes, POINTER(KeyInfo), E]),
    "perdure_delete": (c_int, [c_void_p, Bytes, Bytes, POINTER(c_int), E]),
    "perdure_expire": (c_int, [c_void_p, Bytes, Bytes, c_uint64, POINTER(c_int), E]),
    "perdure_hash_get": (c_int, [c_void_p, Bytes, Bytes, Bytes, POINTER(Value), E]),
    "perdure_hash_set": (c_int, [c_void_p, Bytes, Bytes, Bytes, Bytes, POINTER(c_int), E]),
    "perdure_hash_delete": (c_int, [c_void_p, Bytes, Bytes, Bytes, POINTER(c_int), E]),
    "perdure_scan_keys": (c_int, [c_void_p, Bytes, POINTER(Range), POINTER(c_void_p), E]),
    "perdure_hash_scan": (c_int, [c_void_p, Bytes, Bytes, POINTER(Range), POINTER(c_void_p), E]),
    "perdure_scan_next": (c_int, [c_void_p, POINTER(Item), E]),
    "perdure_scan_free": (None, [c_void_p]),
    "perdure_view_new": (c_int, [c_void_p, POINTER(c_void_p), E]),
    "perdure_view_free": (None, [c_void_p]),
    "perdure_view_moment": (c_int, [c_void_p, POINTER(Receipt), E]),
    "perdure_view_get": (c_int, [c_void_p, Bytes, Bytes, POINTER(Value), E]),
    "perdure_view_hash_get": (c_int, [c_void_p, Bytes, Bytes, Bytes, POINTER(Value), E]),
    "perdure_view_look": (c_int, [c_void_p, Bytes, Bytes, POINTER(KeyInfo), E]),
    "perdure_view_scan_keys": (c_int, [c_void_p, Bytes, POINTER(Range), POINTER(c_void_p), E]),
    "perdure_view_hash_scan": (c_int, [c_void_p, Bytes, Bytes, POINTER(Range), POINTER(c_void_p), E]),
    "perdure_log_append": (c_int, [c_void_p, Bytes, Bytes, Bytes, POINTER(c_uint64), E]),
    "perdure_log_look": (c_int, [c_void_p, Bytes, Bytes, POINTER(c_uint64), POINTER(c_uint64), E]),
    "perdure_log_read": (c_int, [c_void_p, Bytes, Bytes, c_uint64, c_uint64, POINTER(c_void_p), E]),
    "perdure_log_trim": (c_int, [c_void_p, Bytes, Bytes, c_uint64, E]),
    "perdure_actor_look": (c_int, [c_void_p, Bytes, POINTER(ActorInfo), E]),
    "perdure_actor_scan": (c_int, [c_void_p, POINTER(c_void_p), E]),
    "perdure_actor_relate": (c_int, [c_void_p, Bytes, Bytes, c_char_p, Bytes, POINTER(c_int), E]),
    "perdure_actor_unrelate": (c_int, [c_void_p, Bytes, Bytes, c_char_p, POINTER(c_int), E]),
    "perdure_actor_relations": (c_int, [c_void_p, Bytes, c_int, c_char_p, POINTER(POINTER(Reply)), E]),
    "perdure_actor_drop": (c_int, [c_void_p, Bytes, E]),
    "perdure_actor_set_level": (c_int, [c_void_p, Bytes, c_int, E]),
    "perdure_actor_set_profile": (c_int, [c_void_p, Bytes, POINTER(Profile), c_uint, E]),
    "perdure_actor_profile": (c_int, [c_void_p, Bytes, POINTER(Profile), E]),
    "perdure_tenant_set_profile": (c_int, [c_void_p, POINTER(Profile), c_uint, E]),
    "perdure_tenant_profile": (c_int, [c_void_p, POINTER(Profile), E]),
    "perdure_tenant_look": (c_int, [c_void_p, POINTER(TenantInfo), E]),
    "perdure_lease_acquire": (c_int, [c_void_p, Bytes, Bytes, c_uint64, c_int, POINTER(c_uint64), E]),
    "perdure_lease_renew": (c_int, [c_void_p, Bytes, Bytes, c_uint64, c_uint64, E]),
    "perdure_lease_release": (c_int, [c_void_p, Bytes, Bytes, c_uint64, E]),
    "perdure_lease_look": (c_int, [c_void_p, Bytes, POINTER(Lease), E]),
    "perdure_claim": (c_int, [c_void_p, Bytes, c_uint64, E]),
    "perdure_upkeep": (c_int, [c_void_p, c_int, c_char_p, c_size_t, E]),
    "perdure_command": (c_int, [c_void_p, c_size_t, POINTER(Bytes), POINTER(POINTER(Reply)), E]),
    "perdure_past": (c_int, [c_void_p, c_size_t, POINTER(Bytes), POINTER(POINTER(Reply)), E]),
    "perdure_reply_free": (None, [POINTER(Reply)]),
    "perdure_records_new": (c_int, [c_void_p, c_char_p, POINTER(c_void_p), E]),
    "perdure_records_next": (c_int, [c_void_p, POINTER(POINTER(LogRecord)), E]),
    "perdure_records_free": (None, [c_void_p]),
    "perdure_bookmark_check": (c_int, [c_void_p, c_char_p, E]),
    "perdure_sync": (c_int, [c_void_p, E]),
    "perdure_get_status": (c_int, [c_void_p, POINTER(Status), E]),
}


def check_number(what: str, number: int, bits: int = 64) -> int:
    """ctypes would pass on what is left of it: of -1 the largest number there is."""
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{what} is a number from 0 to {(1 << bits) - 1}, not {number}")
    return number


def check_text(text: bytes | None) -> bytes | None:
    """C would take what is before the NUL."""
    if text is not None and b"\0" in text:
        raise ValueError(f"there is a NUL in {text!r}")
    return text


#: name: which of its arguments are numbers, which are texts
NUMBERS, TEXTS = ({name: [at for at, kind in enumerate(arguments) if kind is wanted] for name, (_, arguments) in FUNCTIONS.items()}
                  for wanted in (c_uint64, c_char_p))


def candidates() -> list[str]:
    """Where the library may be, the first first."""
    named = os.environ.get("PERDURE_LIBRARY")
    if named:
        return [named]
    bundled = os.path.join(os.path.dirname(os.path.abspath(__file__)), SONAME)
    found = ctypes.util.find_library("perdure")
    return ([bundled] if os.path.exists(bundled) else []) + [SONAME] + ([found] if found else [])


def load() -> ctypes.CDLL:
    reasons = []
    for name in candidates():
        try:
            library = ctypes.CDLL(name)
            break
        except OSError as why:
            reasons.append(str(why))
    else:
        raise ImportError("the shared library of Perdure was not found: install it (./dev install), or let PERDURE_LIBRARY name "
                          "libperdure.so. " + "; ".join(reasons))
    try:
        library.perdure_abi_version.restype = c_uint32
        there = library.perdure_abi_version()
    except AttributeError:
        raise ImportError(f"{name} is not the library of Perdure") from None
    if there < ABI_WANTED:
        raise ImportError(f"{name} is older than this module (its interface is number {there}, {ABI_WANTED} is needed): install both "
                          "of the same version")
    for function, (result, arguments) in FUNCTIONS.items():
        entry = getattr(library, function)
        entry.restype = result
        entry.argtypes = arguments
    return library


LIBRARY = load()


def call(function: str, *arguments: object) -> None:
    """Call what returns a code; raise what it says. Other Python threads run meanwhile."""
    for at in NUMBERS[function]:
        check_number("this argument", arguments[at])  # type: ignore[arg-type]
    for at in TEXTS[function]:
        if isinstance(arguments[at], bytes):
            check_text(arguments[at])  # type: ignore[arg-type]
    error = Error()
    code = getattr(LIBRARY, function)(*arguments, ctypes.byref(error))
    if code != 0:
        raise errors.of_code(code, error.text.decode("utf-8", "replace"))
