"""What Guardian, NewsAPI and GDELT say when something is wrong, often with a status of success."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from app.connectors.answers import Answer
from app.connectors.errors import (
    AuthFailedError,
    NotFoundError,
    QuotaExhaustedError,
    RetryableError,
    SourceError,
)

GDELT_PAUSE: Final = 6.0
"""Seconds to wait where GDELT says that five have to lie between two requests."""


class EndOfResultsError(SourceError):
    """The plan shows no more results of this search: what came is all there is."""


def guardian_fault(answer: Answer) -> SourceError | None:
    """A spent day is told from too much haste by a header; errors stand inside `response`."""
    if answer.status == 429 and answer.headers.get("X-RateLimit-Remaining-day", "").strip() == "0":
        return QuotaExhaustedError(f"{answer.url}: the key's requests of the day are used up")
    said = _object(answer).get("response")
    if not isinstance(said, dict) or said.get("status") != "error":
        return None
    text = f"{answer.url}: {said.get('message') or 'no reason given'}"
    if answer.status in (401, 403):
        return AuthFailedError(text)
    if "beyond the number of available pages" in text:
        return EndOfResultsError(text)
    return None if answer.status >= 429 else SourceError(text)


def newsapi_fault(answer: Answer) -> SourceError | None:
    """NewsAPI's own codes, whatever the HTTP status is."""
    said = _object(answer)
    if said.get("status") != "error":
        return None
    code, text = said.get("code"), f"{answer.url}: {said.get('message') or 'no reason given'} ({said.get('code')})"
    if code in ("apiKeyInvalid", "apiKeyMissing", "apiKeyDisabled"):
        return AuthFailedError(text)
    if code == "apiKeyExhausted" or (code == "rateLimited" and "24 hour" in text):
        return QuotaExhaustedError(text)
    if code in ("rateLimited", "unexpectedError"):
        return RetryableError(text)
    return EndOfResultsError(text) if code == "maximumResultsReached" else SourceError(text)


def gdelt_fault(answer: Answer) -> SourceError | None:
    """GDELT writes a sentence where JSON is due, mostly with status 200."""
    said = answer.body[:300].decode("utf-8", "replace").strip()
    text = f"{answer.url}: {said}"
    if "limit requests to one every" in said:
        return RetryableError(text, None if "Retry-After" in answer.headers else GDELT_PAUSE)
    if answer.status != 200 or not said or said[0] in "{<" or not answer.content_type.startswith("text/"):
        return None
    # It refuses the titles of some films as too short or too common, which is not the others' fault.
    return NotFoundError(text) if "too short" in said or "too common" in said else SourceError(text)


def _object(answer: Answer) -> dict[str, Any]:
    """A small body that is a JSON object, empty for all else."""
    if answer.body[:1] != b"{" or len(answer.body) > 4096:
        return {}
    try:
        found = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}
