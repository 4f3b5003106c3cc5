"""What follows from a source's terms when it states again what it stated before."""

from __future__ import annotations

from datetime import datetime

from schemas.terms import SourceTerms


def until(terms: SourceTerms | None) -> str | None:
    """Until when something may be stored; None: for ever."""
    return None if terms is None else terms.expires_at


def is_over(terms: SourceTerms | None, at: str) -> bool:
    """Whether something may not be stored any longer at a moment (RFC 3339, UTC)."""
    ends = until(terms)
    # Without the Z, the order of the texts is that of the moments however many digits their seconds have.
    return ends is not None and ends.rstrip("Z") <= at.rstrip("Z")


def renews(before: str | None, terms: SourceTerms | None, at: int) -> bool:
    """Whether what may be stored until `before`, stated again at `at` (ms since 1970), gets another term by that.

    Not before half of the time is over, so that a source that is asked daily does not renew everything daily; a repeat
    never shortens a term. Where there was none, or is none any more, the last word holds.
    """
    after = until(terms)
    if before == after:
        return False
    if before is None or after is None:
        return True
    return before < after and 2 * (_milliseconds(before) - at) <= _milliseconds(after) - at


def _milliseconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp() * 1000
