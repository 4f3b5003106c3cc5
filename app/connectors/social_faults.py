"""How Mastodon, Bluesky and Reddit say no, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from app.connectors.answers import Answer
from app.connectors.errors import AuthFailedError, MalformedError, NotFoundError, RetryableError, SourceError

T = TypeVar("T")
Now = Callable[[], float]


class ExpiredError(AuthFailedError):
    """The session is over; a new one may be good."""


def mastodon_fault(answer: Answer, now: Now) -> SourceError | None:
    """The end of a limit is a moment in a header."""
    reset = answer.headers.get("X-RateLimit-Reset")
    if answer.status != 429 or "Retry-After" in answer.headers or not reset:
        return None
    try:
        after = datetime.fromisoformat(reset).timestamp() - now()
    except ValueError:
        return None
    return RetryableError(f"{answer.url}: asked too often", max(0.0, after))


def bluesky_fault(answer: Answer, now: Now) -> SourceError | None:
    """Errors have names; a spent session is a 400, and the end of a limit is in seconds since 1970."""
    said = said_by(answer)
    error, text = said.get("error"), f"{answer.url}: {said.get('message') or said.get('error')}"
    reset = answer.headers.get("ratelimit-reset", "")
    if answer.status == 429 and "Retry-After" not in answer.headers and reset.isdecimal():
        return RetryableError(text, max(0.0, float(reset) - now()))
    if error == "ExpiredToken":
        return ExpiredError(text)
    if error in ("AuthenticationRequired", "AuthMissing", "InvalidToken", "AccountTakedown", "AuthFactorTokenRequired"):
        return AuthFailedError(text)
    return SourceError(text) if answer.status == 200 and isinstance(error, str) else None


def reddit_fault(answer: Answer, now: Now) -> SourceError | None:
    """The end of a limit is in seconds from now; a forum that is private is no matter of the credential."""
    said = said_by(answer)
    text = f"{answer.url}: {said.get('message') or said.get('error') or 'no reason given'}"
    reset = answer.headers.get("X-Ratelimit-Reset", "")
    if answer.status == 429 and "Retry-After" not in answer.headers and reset.replace(".", "", 1).isdigit():
        return RetryableError(text, float(reset))
    if answer.status in (403, 404) and said.get("reason") in ("private", "banned", "quarantined", "gold_only"):
        return NotFoundError(f"{answer.url}: the forum is {said['reason']}")
    if answer.status != 200 or "error" not in said:
        return None
    # A log-in that fails is a 200.
    refused = said["error"] in ("invalid_grant", "invalid_client", "unauthorized_client", 401)
    return AuthFailedError(text) if refused else SourceError(text)


def said_by(answer: Answer) -> dict[str, Any]:
    """A small body that is a JSON object, empty for all else."""
    if answer.body[:1] != b"{" or len(answer.body) > 4096:
        return {}
    try:
        found = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def confidential(answer: Answer, shape: type[T]) -> T:
    """The answer to a log-in, which must not be shown where it is malformed. Raises IncompleteError, MalformedError."""
    try:
        return answer.json(shape)
    except MalformedError:
        raise MalformedError(f"{answer.url}: the answer to a log-in is not of the documented form") from None
