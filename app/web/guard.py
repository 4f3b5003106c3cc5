"""What stands before every handler: who may call, for how long, and how errors leave."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware
from yarl import URL

from agents.errors import Unavailable
from app.settings import ConfigError
from app.web.problems import Problem, respond, unavailable

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TOKEN_VARIABLE: Final = "MARQUEE_API_TOKEN"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
ENDLESS: Final = frozenset({"/events"})
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether `host` can be reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposure(host: str, token: str) -> None:
    """Raises ConfigError where others could reach a worker that asks nobody for a token."""
    if not is_loopback(host) and not token:
        raise ConfigError(
            f"web.host: {host} can be reached from other machines and MARQUEE_API_TOKEN is not set: "
            "set it, or listen on 127.0.0.1"
        )


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Tell browsers what they must not do with an answer; a signal, so that it reaches streams too."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as a problem document."""
    try:
        return await handler(request)
    except Problem as problem:
        return respond(problem)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return respond(_told(error))
    except Unavailable as error:
        log.warning("%s %s: %s", request.method, request.path, error)
        return respond(unavailable("The document store does not answer: try again in a moment."))
    except Exception:
        log.exception("%s %s", request.method, request.path)
        return respond(Problem(500, "This worker made a mistake; its log says which. The request may be repeated."))


def _told(error: web.HTTPException) -> Problem:
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return Problem(405, f"Use {allowed} here.", headers={"Allow": allowed})
    if isinstance(error, web.HTTPNotFound):
        return Problem(404, "There is nothing at this address; /openapi.json lists all there is.")
    return Problem(error.status, error.reason)


def deadline(seconds: float) -> Middleware:
    """Give up a request that takes longer, be it a slow store or a client that sends a byte at a time."""

    @web.middleware
    async def within(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in ENDLESS:
            return await handler(request)
        try:
            async with asyncio.timeout(seconds):
                return await handler(request)
        except TimeoutError as error:
            if request.can_read_body and not request.content.is_eof():
                raise Problem(408, f"The body did not arrive within {seconds:g} s.") from error
            raise unavailable(f"No answer within {seconds:g} s: try again in a moment.") from error

    return within


def same_site(loopback: bool, own_hosts: frozenset[str]) -> Middleware:
    """Keep pages of other sites out: they can reach loopback, and rebind a name of theirs to it."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = URL(f"http://{request.host}").host if _is_authority(request.host) else None
        if host is None or (loopback and not is_loopback(host) and host not in own_hosts):
            raise Problem(403, "This worker answers to its own name only: ask for it by web.host or localhost.")
        if request.method not in SAFE_METHODS and _foreign(request):
            raise Problem(403, "Pages of other sites may not change anything here.")
        return await handler(request)

    return check


def _is_authority(text: str) -> bool:
    try:
        url = URL(f"http://{text}")
    except ValueError:
        return False
    return bool(url.host) and url.path == "/" and not url.query_string and not url.fragment and url.user is None


def _foreign(request: web.Request) -> bool:
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        return True
    origin = request.headers.get("Origin")
    return origin is not None and origin.partition("://")[2] != request.host


def bearer(token: str) -> Middleware:
    """Ask for the token where something would be changed; an empty token asks nobody."""
    expected = token.encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if expected and request.method not in SAFE_METHODS:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            offered = given.strip().encode("utf-8", "surrogateescape")
            if scheme.lower() != "bearer" or not hmac.compare_digest(offered, expected):
                raise Problem(
                    401,
                    "Send the header `Authorization: Bearer …` with the value of MARQUEE_API_TOKEN.",
                    headers={"WWW-Authenticate": 'Bearer realm="marquee"'},
                )
        return await handler(request)

    return check
