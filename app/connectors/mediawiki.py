"""What every wiki's Action API has in common: errors inside a 200, and a continuation that says where to go on."""

from __future__ import annotations

from typing import Final

import msgspec

from app.connectors.answers import Answer
from app.connectors.errors import AuthFailedError, NotFoundError, RetryableError, SourceError

API: Final = "w/api.php"
FORMAT: Final[dict[str, str | int]] = {"format": "json", "formatversion": 2, "action": "query"}
"""What each question carries besides its own parameters."""
IN_TROUBLE: Final = frozenset({"maxlag", "ratelimited", "readonly", "timeouterror", "cirrussearch-too-busy-error"})
NO_CREDENTIAL: Final = frozenset({"readapidenied", "permissiondenied", "assertuserfailed"})
MISSING: Final = frozenset({"missingtitle", "nosuchpageid", "no-such-entity", "invalidcategory"})


def mediawiki_fault(answer: Answer) -> SourceError | None:
    """The error that a wiki states in its answer, whose status is 200 all the same."""
    if "json" not in answer.content_type or b'"error"' not in answer.body[:4096]:
        return None
    try:
        error = msgspec.json.decode(answer.body).get("error")
        code = error["code"]
    except (msgspec.DecodeError, AttributeError, TypeError, KeyError):
        return None
    text = f"{answer.url}: {error.get('info', 'no reason given')} ({code})"
    if code in IN_TROUBLE:
        return RetryableError(text)
    if code in NO_CREDENTIAL:
        return AuthFailedError(text)
    if code in MISSING:
        return NotFoundError(text)
    # What nobody knows by name is judged by the status, unless that says that all is well.
    return SourceError(text) if answer.status == 200 else None
