"""What goes wrong, as exceptions: one class for each code of the library."""

from __future__ import annotations


class PerdureError(Exception):
    """The base of all. `code` is the library's number, `name` its name; the text says what failed, on what, and what to do."""

    code = 0
    name = "unknown"
    retryable = False  #: the same request may succeed later, and trying it again is safe

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        if code is not None:
            self.code = code

    def __str__(self) -> str:  # KeyError would show the text's repr
        return str(self.args[0])


class InvalidError(PerdureError, ValueError):
    """An argument is wrong, a handle is closed, or a call does not fit here."""
    code, name = -1, "PERDURE_INVALID"


class NoMemoryError(PerdureError, MemoryError):
    """Nothing was changed."""
    code, name, retryable = -2, "PERDURE_NO_MEMORY", True


class InputOutputError(PerdureError):
    """The system could not read or write."""
    code, name = -3, "PERDURE_IO"


class NoSpaceError(PerdureError):
    """The disk is full: nothing was changed, reads go on."""
    code, name, retryable = -4, "PERDURE_NO_SPACE", True


class NotFoundError(PerdureError, KeyError):
    """There is no such key, field, actor or directory."""
    code, name = -5, "PERDURE_NOT_FOUND"


class ExistsError(PerdureError):
    """There is already; an idempotency key was used for another request."""
    code, name = -6, "PERDURE_EXISTS"


class BusyError(PerdureError):
    """Another process has the directory; the text has its process id."""
    code, name, retryable = -7, "PERDURE_BUSY", True


class CorruptError(PerdureError):
    """What is stored is damaged; the text names the actor and the LSNs."""
    code, name = -8, "PERDURE_CORRUPT"


class FencedError(PerdureError):
    """A write to the disk failed: the outcome is unknown, and nothing more is written until the directory is opened again."""
    code, name = -9, "PERDURE_FENCED"


class TooLargeError(PerdureError):
    """Over a maximum, which the text names."""
    code, name = -10, "PERDURE_TOO_LARGE"


class NotSupportedError(PerdureError):
    """Not possible here; the text says what is."""
    code, name = -11, "PERDURE_NOT_SUPPORTED"


class NewerFormatError(PerdureError):
    """Written by a newer version of Perdure."""
    code, name = -12, "PERDURE_NEWER_FORMAT"


class PermissionDeniedError(PerdureError):
    """The system does not allow it."""
    code, name = -13, "PERDURE_PERMISSION"


class ReadOnlyError(PerdureError):
    """Opened to be read only, or the file system is."""
    code, name = -14, "PERDURE_READ_ONLY"


class ConflictError(PerdureError):
    """What was read has changed, or a precondition does not hold: nothing was changed; do the transaction again."""
    code, name, retryable = -15, "PERDURE_CONFLICT", True


class WrongTypeError(PerdureError, TypeError):
    """The key has a value of another kind."""
    code, name = -16, "PERDURE_WRONG_TYPE"


class AgainError(PerdureError):
    """Not now: the same call may succeed later."""
    code, name, retryable = -17, "PERDURE_AGAIN", True


class LostError(PerdureError):
    """This moment was lost in a crash."""
    code, name = -18, "PERDURE_LOST"


class EndError(PerdureError):
    """No more items. The module turns it into the end of an iteration."""
    code, name = -19, "PERDURE_END"


class CancelledError(PerdureError):
    """The caller said so."""
    code, name, retryable = -20, "PERDURE_CANCELLED", True


class ViewTooOldError(PerdureError):
    """What a view of an earlier moment needs is gone."""
    code, name, retryable = -21, "PERDURE_VIEW_TOO_OLD", True


class StaleEpochError(PerdureError):
    """The actor has another owner by now, or belongs to one alone: nothing was changed."""
    code, name = -22, "PERDURE_STALE_EPOCH"


class QuotaError(PerdureError):
    """An actor or a tenant may have no more: nothing was changed."""
    code, name = -23, "PERDURE_QUOTA"


class NotThenError(NotFoundError):
    """The actor was not there at the moment that was asked for."""
    code, name = -24, "PERDURE_NOT_THEN"


BY_CODE = {kind.code: kind for base in PerdureError.__subclasses__() for kind in (base, *base.__subclasses__())}


def of_code(code: int, text: str) -> PerdureError:
    """The exception for a code of the library."""
    return BY_CODE.get(code, PerdureError)(text, code)
