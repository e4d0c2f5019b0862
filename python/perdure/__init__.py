"""Perdure in your own process: durable, transactional, no server.

    import perdure

    with perdure.open("data") as db:
        user = db.actor("user:42")
        user["cart"] = "3 apples"                   # on stable storage when it returns
        with db.transaction() as txn:               # all of it, or nothing
            txn.actor("user:42")["cart"] = "4 apples"
            txn.actor("shop").hash("stock")["apples"] = "96"
        print(user["cart"])                         # b'4 apples'

Text and bytes. Wherever bytes go in, `str` is taken too, as UTF-8. What comes out is always `bytes`. Numbers are refused: say
how they are to be written.

Threads. A Database may be used by any number of threads at once; a Transaction, and an iteration, by one. Calls let other Python threads
run. After os.fork() the child must not use what its parent opened.

Errors are exceptions, one class for each code; all derive from PerdureError. See `perdure.errors`.
"""

from __future__ import annotations

from . import errors
from ._library import LIBRARY as _shared
from .database import (ActorInfo, Database, Effect, Lease, Level, LogRecord, Profile, Progress, Status, TenantInfo,
                       Transaction, View, open)
from .errors import (AgainError, BusyError, CancelledError, ConflictError, CorruptError, ExistsError, FencedError,
                     InputOutputError, InvalidError, LostError, NewerFormatError, NoMemoryError, NoSpaceError,
                     NotFoundError, NotSupportedError, NotThenError, PerdureError, PermissionDeniedError, ReadOnlyError, TooLargeError,
                     QuotaError, StaleEpochError, ViewTooOldError, WrongTypeError)
from .operations import Actor, Hash, Item, KeyInfo, Log, Receipt, Record, Value

__version__ = _shared.perdure_version().decode()

__all__ = ["Actor", "ActorInfo", "AgainError", "BusyError", "CancelledError", "ConflictError", "CorruptError", "Database", "Effect", "ExistsError",
           "FencedError", "Hash", "InputOutputError", "InvalidError", "Item", "KeyInfo", "Lease", "Level", "Log", "LogRecord", "LostError", "NewerFormatError",
           "NoMemoryError", "NoSpaceError", "NotFoundError", "NotSupportedError", "NotThenError", "PerdureError", "PermissionDeniedError",
           "Profile", "Progress", "QuotaError", "ReadOnlyError", "Receipt", "Record", "StaleEpochError", "Status", "TenantInfo",
           "TooLargeError", "Transaction",
           "Value", "View", "ViewTooOldError", "WrongTypeError", "errors",
           "open"]
