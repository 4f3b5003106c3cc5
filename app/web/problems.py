"""Errors as RFC 9457 problem documents that say what to do, and never what is inside."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

CONTENT_TYPE: Final = "application/problem+json"


class Problem(Exception):  # noqa: N818  an answer, not a fault of the program
    """An answer other than the asked one; `retry_after` in seconds where trying again may help."""

    def __init__(
        self, status: int, detail: str, *, retry_after: int | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)


class ProblemDocument(msgspec.Struct, kw_only=True):
    """An error. `detail` says what to do about it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def not_found(what: str) -> Problem:
    """404 with a sentence."""
    return Problem(404, what)


def unavailable(why: str, retry_after: int = 2) -> Problem:
    """503: the same request will work once something is back."""
    return Problem(503, why, retry_after=retry_after)


def respond(problem: Problem) -> web.Response:
    """The problem as a response."""
    document = ProblemDocument(title=HTTPStatus(problem.status).phrase, status=problem.status, detail=problem.detail)
    return json_response(document, problem.status, headers=problem.headers, content_type=CONTENT_TYPE)


def json_response(
    data: Any,
    status: int = 200,
    *,
    headers: dict[str, str] | None = None,
    content_type: str = "application/json",
) -> web.Response:
    """Anything msgspec encodes, as JSON. A number that JSON has no word for becomes null."""
    return web.Response(
        body=msgspec.json.encode(data), status=status, headers=headers, content_type=content_type, charset="utf-8"
    )
