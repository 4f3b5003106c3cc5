"""What the services that search Google for pictures answer, and the pictures in it."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from app.connectors.answers import Answer, decoded
from app.connectors.base import PersonTarget, Refused
from app.connectors.elements import Each, Raws
from app.connectors.errors import AuthFailedError, QuotaExhaustedError, RetryableError, SourceError
from schemas.pictures import ImageFound

SPENT: Final = frozenset({"dailyLimitExceeded", "quotaExceeded"})
TOO_FAST: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
NO_RESULTS: Final = "hasn't returned any results"


class Page(NamedTuple):
    """Pictures of one page of results, what in it has no sense, and where the next one begins; None at the end."""

    found: list[ImageFound]
    refused: list[Refused]
    next: int | None


class _Image(msgspec.Struct):
    contextLink: str | None = None  # noqa: N815
    width: int | None = None
    height: int | None = None


class _Item(msgspec.Struct):
    link: str
    image: _Image | None = None


class _Query(msgspec.Struct):
    startIndex: int | None = None  # noqa: N815


class _Queries(msgspec.Struct):
    nextPage: list[_Query] | None = None  # noqa: N815


class _Cse(msgspec.Struct):
    items: Raws | None = None
    queries: _Queries | None = None


class _Result(msgspec.Struct):
    original: str | None = None
    link: str | None = None
    original_width: int | None = None
    original_height: int | None = None


class _SerpApi(msgspec.Struct):
    images_results: Raws | None = None
    error: str | None = None


_items: Final = Each(_Item, "a result")
_results: Final = Each(_Result, "a result")


def parse_cse(body: bytes, target: PersonTarget, source: str) -> Page:
    """A page of the Custom Search JSON API. Raises MalformedError or IncompleteError."""
    said = decoded(body, _Cse)
    items, refused = _items(said.items)
    images = ((item, item.image or _Image()) for item in items)
    found = {
        item.link: ImageFound(
            celebrity_id=target.celebrity_id,
            source=source,
            url=item.link,
            width=image.width,
            height=image.height,
            context_url=image.contextLink,
        )
        for item, image in images
        if item.link.startswith(("http://", "https://"))
    }
    following = said.queries.nextPage if said.queries else None
    return Page(list(found.values()), refused, next((query.startIndex for query in following or ()), None))


def parse_serpapi(body: bytes, target: PersonTarget, source: str) -> Page:
    """A page of SerpApi's engine google_images, all there is. Raises MalformedError or IncompleteError."""
    results, refused = _results(decoded(body, _SerpApi).images_results)
    found = {
        result.original: ImageFound(
            celebrity_id=target.celebrity_id,
            source=source,
            url=result.original,
            width=result.original_width,
            height=result.original_height,
            context_url=result.link,
        )
        for result in results
        if result.original is not None and result.original.startswith(("http://", "https://"))
    }
    # One page holds a hundred, which is all that anybody may ask for here.
    return Page(list(found.values()), refused, None)


def cse_fault(answer: Answer) -> SourceError | None:
    """What Google means: a quota of the day, one of the minute, or a key that is no good."""
    try:
        error = msgspec.json.decode(answer.body).get("error")
        reasons = {str(each.get("reason")) for each in error.get("errors", [])}
        details = {str(each.get("reason")) for each in error.get("details", [])}
    except (msgspec.DecodeError, AttributeError):
        return None
    message = str(error.get("message", "no reason given"))
    text = f"{answer.url}: {message}"
    # The minute's and the day's limit have one reason; only the sentence says which of them it was.
    if reasons & SPENT or "per day" in message:
        return QuotaExhaustedError(text)
    if reasons & TOO_FAST or error.get("status") == "RESOURCE_EXHAUSTED":
        return RetryableError(text)
    if "API_KEY_INVALID" in details or answer.status in (401, 403):
        return AuthFailedError(text)
    return SourceError(text) if answer.status < 500 else None


def serpapi_fault(answer: Answer) -> SourceError | None:
    """What SerpApi means by `error`, which also stands in answers of status 200, and for no results at all."""
    try:
        message = msgspec.json.decode(answer.body).get("error")
    except (msgspec.DecodeError, AttributeError):
        return None
    if message is None or NO_RESULTS in str(message):
        return None
    text = f"{answer.url}: {message}"
    if answer.status == 429:
        return QuotaExhaustedError(text) if "run out of searches" in str(message) else RetryableError(text)
    if answer.status in (401, 403):
        return AuthFailedError(text)
    return SourceError(text) if answer.status < 500 else None
