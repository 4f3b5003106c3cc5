"""What every wiki's Action API has in common: errors inside a 200, and a continuation that says where to go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from app.connectors.answers import Answer
from app.connectors.elements import Each, Raws
from app.connectors.errors import AuthFailedError, NotFoundError, RetryableError, SourceError

API: Final = "w/api.php"
FORMAT: Final[dict[str, str | int]] = {"format": "json", "formatversion": 2, "action": "query"}
"""What each question carries besides its own parameters."""
IN_TROUBLE: Final = frozenset({"maxlag", "ratelimited", "readonly", "timeouterror", "cirrussearch-too-busy-error"})
NO_CREDENTIAL: Final = frozenset({"readapidenied", "permissiondenied", "assertuserfailed"})
MISSING: Final = frozenset({"missingtitle", "nosuchpageid", "no-such-entity", "invalidcategory"})

Claims = dict[str, Raws] | list[Any] | None
"""An item's statements by their property; an object without any is written as an empty list there."""


class _Data(msgspec.Struct):
    value: Any = None


class _Snak(msgspec.Struct):
    datavalue: _Data | None = None


class _Claim(msgspec.Struct):
    mainsnak: _Snak
    rank: str = "normal"


# An item has hundreds of statements for each one that is asked for.
_claims: Final = Each(_Claim, "a statement")


def values_of(claims: Claims, of: str) -> Iterator[Any]:
    """What is stated of an item and not deprecated; a statement that has no sense says nothing of it."""
    for claim in _claims(claims.get(of) if isinstance(claims, dict) else None).good:
        if claim.rank != "deprecated" and claim.mainsnak.datavalue is not None:
            yield claim.mainsnak.datavalue.value


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
