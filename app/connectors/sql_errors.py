"""What databases say when they refuse or fail, by what the runner does next."""

from __future__ import annotations

from typing import Any, Final

from app.connectors.errors import AuthFailedError, NotFoundError, RetryableError, SourceError

# Classes of SQLSTATE, the standard's code for what went wrong.
PASSING: Final = ("08", "40", "53", "55", "57", "58")
"""Connection lost, transaction rolled back, too busy, in use, shut down, system error."""
REFUSED: Final = ("28", "42501")
"""No such login, or it may not read this."""
ABSENT: Final = ("3D", "42P01", "42S02")
"""No such database or table."""
PASSING_WORDS: Final = ("is locked", "is busy", "timed out", "timeout", "connection", "too many clients")
REFUSED_WORDS: Final = ("access denied", "authentication failed", "permission denied")
ABSENT_WORDS: Final = ("no such table", "unable to open database file", "unknown database", "doesn't exist")


def as_source_error(place: str, error: BaseException) -> SourceError:
    """The error of a driver, of SQLAlchemy or of the network as one of ours; its text holds no statement."""
    cause: Any = getattr(error, "orig", None) or error
    cause = cause.__cause__ if cause.__cause__ is not None and not _state(cause) else cause
    text = f"{place}: {' '.join(str(cause).split()) or type(cause).__name__}"
    state, words = _state(cause), str(cause).lower()
    if state.startswith(REFUSED) or (not state and any(word in words for word in REFUSED_WORDS)):
        return AuthFailedError(f"{text}; check the login and what it may read")
    if state.startswith(ABSENT) or (not state and any(word in words for word in ABSENT_WORDS)):
        return NotFoundError(text)
    passing = isinstance(cause, (OSError, TimeoutError)) or bool(getattr(error, "connection_invalidated", False))
    if passing or state.startswith(PASSING) or (not state and any(word in words for word in PASSING_WORDS)):
        return RetryableError(text)
    return SourceError(text)


def _state(error: Any) -> str:
    return str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or "")
