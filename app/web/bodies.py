"""Reads what a client sent, and tells it what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from app.web.problems import Problem
from app.web.unpacking import read_body
from schemas.ids import FILM_ID_FORMS, PERSON_ID_FORMS, is_celebrity_id, is_film_id
from schemas.numbers import decode_json

T = TypeVar("T")

MAX_BODY: Final = 1_000_000
TOO_LARGE: Final = "The body is too large: 1 MB is allowed."
MAX_QUERY_TEXT: Final = 200
FORM: Final = "application/x-www-form-urlencoded"


async def read_json(request: web.Request, kind: type[T]) -> T:
    """The body as `kind`. Raises Problem (400, 413, 415 or 422)."""
    if request.content_type != "application/json":
        raise Problem(415, "Send JSON, with the header `Content-Type: application/json`.")
    if (request.charset or "utf-8").lower() not in {"utf-8", "utf8"}:
        raise Problem(415, "Send JSON in UTF-8.")
    raw = await read_body(request, MAX_BODY, TOO_LARGE)
    if not raw.strip():
        raise Problem(400, "The body is empty: send a JSON object.")
    try:
        found: T = decode_json(raw, msgspec.json.Decoder(kind))
    except msgspec.ValidationError as error:
        raise Problem(422, f"{error}. {_wanted(kind)}") from error
    except UnicodeDecodeError as error:
        raise Problem(400, f"The body is not UTF-8: byte {error.start} of a text cannot be read.") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem(400, f"The body is not valid JSON: {error}.") from error
    return found


async def read_fields(request: web.Request, kind: type[T]) -> T:
    """The body as `kind`, sent by a program as JSON or by a page as a form. Raises Problem (400, 413, 415 or 422)."""
    if request.content_type != FORM:
        return await read_json(request, kind)
    raw, charset = await read_body(request, MAX_BODY, TOO_LARGE), request.charset or "utf-8"
    if raw.lstrip()[:1] in (b"{", b"["):
        # As curl does with --data; taken for a form it would have no field that is known.
        raise Problem(415, "This is JSON sent as a form: send the header `Content-Type: application/json`.")
    try:
        # What a form leaves empty is as if it were not there.
        given = dict(parse_qsl(raw.rstrip().decode(charset), encoding=charset))
    except (ValueError, LookupError) as error:
        raise Problem(400, "The form cannot be read: send it in UTF-8 and as long as it says.") from error
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise Problem(422, f"{error}. {_wanted(kind)}") from error


def _wanted(kind: type[Any]) -> str:
    fields = msgspec.structs.fields(kind)
    required = [field.encode_name for field in fields if field.required]
    optional = [field.encode_name for field in fields if not field.required]
    parts = {"needed": required, "possible": optional}
    told = "; ".join(f"{what}: {', '.join(names)}" for what, names in parts.items() if names)
    return f"{told[:1].upper()}{told[1:]}."


def film_id(request: web.Request) -> str:
    """The id in the address. Raises Problem (404) where it is none."""
    found = request.match_info["id"]
    if not is_film_id(found):
        raise Problem(404, f"This is no film's id: an id is one of {FILM_ID_FORMS}.")
    return found


def celebrity_id(request: web.Request) -> str:
    """The person's id in the address. Raises Problem (404) where it is none."""
    found = request.match_info["id"]
    if not is_celebrity_id(found):
        raise Problem(404, f"This is no person's id: an id is one of {PERSON_ID_FORMS}.")
    return found


def text(request: web.Request, name: str) -> str | None:
    """A word of the query; None where it is absent or blank. Raises Problem (400) where it is too long."""
    found = request.query.get(name, "").strip()
    if len(found) > MAX_QUERY_TEXT:
        raise Problem(400, f"{name}: at most {MAX_QUERY_TEXT} characters.")
    return found or None


def choice(request: web.Request, name: str, allowed: tuple[str, ...]) -> str:
    """A word out of a few, the first where it is absent. Raises Problem (400) for any other."""
    found = request.query.get(name) or allowed[0]
    if found not in allowed:
        raise Problem(400, f"{name}: one of {', '.join(allowed)}.")
    return found


def number(request: web.Request, name: str, default: int, most: int) -> int:
    """A whole number from 1 to `most`. Raises Problem (400) for anything else."""
    found = request.query.get(name) or str(default)
    if not found.isascii() or not found.isdigit() or len(found) > 6 or not 1 <= int(found) <= most:
        raise Problem(400, f"{name}: a whole number from 1 to {most}.")
    return int(found)


def accepted(wants: str) -> Callable[[web.Request], bool]:
    """Whether a client would rather have this media type than JSON."""

    def check(request: web.Request) -> bool:
        offers = [_offer(part) for part in request.headers.get("Accept", "").split(",")]
        return _best(offers, wants) > _best(offers, "application/json")

    return check


def _offer(part: str) -> tuple[str, float]:
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return media, float(parameter[2:])
            except ValueError:
                return media, 0.0
    return media, 1.0


def _best(offers: list[tuple[str, float]], wanted: str) -> float:
    """How much a type is wanted; what is named counts a shade more than what a wildcard lets through."""
    family = wanted.partition("/")[0]
    exact = [q for media, q in offers if media == wanted]
    if exact:
        return max(exact)
    return max((q - 0.0001 for media, q in offers if media in {"*/*", f"{family}/*"}), default=0.0)


wants_html = accepted("text/html")
