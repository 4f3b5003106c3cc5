"""What a service answered, whole, and what its status means by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar, overload

import msgspec

from app.connectors.errors import (
    AuthFailedError,
    BlockedError,
    IncompleteError,
    MalformedError,
    NotFoundError,
    RetryableError,
    SourceError,
)

T = TypeVar("T")
SHOWN: Final = 200
_ESCAPES: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)


class Answer(msgspec.Struct, frozen=True):
    """Status, headers (any case) and the plain bytes of an answer; `url` has no secrets, `next` is Link: rel=next.

    `not_modified`: the source has nothing newer than what was kept of the last time. With status 304 the body is empty
    then, and with 200 it is the one that was kept.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    next: str | None = None
    not_modified: bool = False

    @property
    def content_type(self) -> str:
        """The media type in small letters, without parameters; empty where there is none."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @overload
    def json(self) -> Any: ...
    @overload
    def json(self, shape: type[T]) -> T: ...
    def json(self, shape: Any = Any) -> Any:
        """The body, decoded and held to a shape. Raises IncompleteError where it ends early, else MalformedError."""
        if self.body[:1] == b"<":
            raise self.malformed("JSON")
        return decoded(self.body, shape, self.url)

    def text(self) -> str:
        """The body as text, in the charset that the answer names, else UTF-8; what is wrong in it is replaced."""
        charset = self.headers.get("Content-Type", "").partition("charset=")[2].partition(";")[0].strip(" \"'")
        try:
            return self.body.decode(charset or "utf-8", "replace")
        except LookupError:
            return self.body.decode("utf-8", "replace")

    def malformed(self, due: str) -> MalformedError:
        """The error that says what came where something else was due."""
        began = self.body[:SHOWN].decode("utf-8", "replace").strip()
        what = self.content_type or "something without a type"
        return MalformedError(f"{self.url}: answered {what} where {due} is due: {began!r}", self.body)


@overload
def decoded(body: bytes, shape: type[T], place: str = ...) -> T: ...
@overload
def decoded(body: bytes, shape: Any, place: str = ...) -> Any: ...
def decoded(body: bytes, shape: Any, place: str = "the answer") -> Any:
    """JSON held to a shape. Raises IncompleteError where it ends in the middle, else MalformedError.

    Half a letter, which is where services in JavaScript cut a text, becomes a replacement character.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise MalformedError(f"{place}: {error}", body) from error
    except RecursionError as error:
        raise MalformedError(f"{place}: JSON nested too deep", body) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        whole = _ESCAPES.sub(lambda found: rb"\ufffd" if found[1] else found[0], body)
        if whole != body:
            return decoded(whole, shape, place)
        if "truncated" in str(error) and body.strip():
            raise IncompleteError(f"{place}: the JSON ends in the middle") from error
        began = body[:SHOWN].decode("utf-8", "replace").strip()
        raise MalformedError(f"{place}: no JSON but {began!r}", body) from error


def judge(answer: Answer, after: float | None, known: bool) -> SourceError | None:
    """The error that fits a status of failure; `after` is its Retry-After, `known` whether a credential went along."""
    status, url = answer.status, answer.url
    if status in (200, 206, 304, 416):
        return None
    if status in (404, 410):
        return NotFoundError(f"{url}: not there ({status}); check the address")
    if status == 401 or (status == 403 and known):
        return AuthFailedError(f"{url}: access refused ({status}); check the credential")
    if status in (202, 403, 451):
        # 202 with an empty page is how a well-known firewall sends programs away.
        return BlockedError(f"{url}: access refused ({status})")
    if status in (408, 425, 429) or status >= 500:
        # Who has asked too often has so everywhere.
        return RetryableError(f"{url}: the server answered {status}", after, only_here=status != 429)
    said = answer.body[:SHOWN].decode("utf-8", "replace").strip()
    return SourceError(f"{url}: the server answered {status}{f' and {said!r}' if said else ''}", only_here=True)
