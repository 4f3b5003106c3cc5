"""The OpenAPI 3.1 document, made of the route table and the types that the handlers answer with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web

from app.version import VERSION
from app.web.guard import SAFE_METHODS, Handler
from app.web.problems import CONTENT_TYPE, ProblemDocument

Json = dict[str, Any]
PROBLEMS: Final = {
    400: "The request cannot be read; `detail` says where it is wrong.",
    401: "A token is set and was not sent.",
    403: "The request comes from another site's page, or asks for another host's name.",
    404: "Unknown here.",
    408: "The body took too long.",
    409: "Not as things stand; `detail` says what there is to do instead.",
    413: "The body is too large (JSON: 1 MB).",
    415: "The body is of another kind or encoding than is read here; JSON has to be in UTF-8.",
    422: "Readable, but not what is asked for; `detail` says why.",
    500: "A mistake of this worker.",
    503: "Not now: `Retry-After` says when to ask again.",
}
DOCUMENT: Final = web.AppKey("openapi", dict[str, Any])
BODY_PROBLEMS: Final = (400, 401, 403, 408, 413, 415, 422, 503)


@dataclass(frozen=True)
class Parameter:
    """A word of the address (`where` is path) or of the query."""

    name: str
    told: str
    schema: Json
    where: str = "query"
    example: Any = None


@dataclass(frozen=True)
class Route:
    """One address: `path` as OpenAPI writes it, `answer` and `body` a type for JSON or a media type."""

    method: str
    path: str
    run: Handler
    summary: str
    tag: str
    answer: Any
    status: int = 200
    body: Any = None
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[int, ...] = ()
    also: tuple[str, ...] = ()
    """Further media types of the same answer."""
    otherwise: tuple[tuple[int, Any], ...] = ()
    """(status, type) of answers that are neither the usual one nor problems."""

    @property
    def name(self) -> str:
        """The operation's id."""
        return self.run.__name__


def document(routes: Iterable[Route]) -> Json:
    """The whole description."""
    routes = tuple(routes)
    types = [ProblemDocument, *dict.fromkeys(kind for route in routes for kind in _types(route))]
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Marquee",
            "version": VERSION,
            "summary": "Follows films as a stream of events, and predicts where a film's rating goes next.",
            "description": (
                "Times are RFC 3339 in UTC, ratings are on 0-10. Errors are problem documents (RFC 9457). "
                "Any worker answers any request: what another one owns is fetched from it."
            ),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The value of MARQUEE_API_TOKEN, where the worker has one.",
                }
            },
        },
    }


def _types(route: Route) -> list[Any]:
    return [kind for kind in (route.answer, route.body) if kind is not None and not isinstance(kind, str)]


def _operation(route: Route) -> Json:
    operation: Json = {
        "operationId": route.name,
        "summary": route.summary,
        "description": (route.run.__doc__ or route.summary).split("\n\n")[0].strip(),
        "tags": [route.tag],
        "responses": {str(route.status): _answer(route)},
    }
    for status, kind in route.otherwise:
        content = {"application/json": {"schema": _schema(kind)}}
        operation["responses"][str(status)] = {"description": PROBLEMS[status], "content": content}
    if route.parameters:
        operation["parameters"] = [_parameter(each) for each in route.parameters]
    if route.body is not None:
        content = _body(route.body)
        operation["requestBody"] = {"required": True, "content": content}
    if route.method not in SAFE_METHODS:
        operation["security"] = [{"token": []}, {}]
    problems = (*route.problems, *(BODY_PROBLEMS if route.body is not None else ()))
    for status in sorted({*problems, 403, 500}):
        operation["responses"][str(status)] = {
            "description": PROBLEMS[status],
            "content": {CONTENT_TYPE: {"schema": _schema(ProblemDocument)}},
        }
    return operation


def _body(kind: Any) -> Json:
    if isinstance(kind, str):
        # What is not JSON is sent as it is.
        return {kind: {}}
    return {"application/json": {"schema": _schema(kind)}}


def _answer(route: Route) -> Json:
    content: Json = {kind: {"schema": {"type": "string"}} for kind in route.also}
    if isinstance(route.answer, str):
        content[route.answer] = {"schema": {"type": "string"}}
    else:
        content["application/json"] = {"schema": _schema(route.answer)}
    return {"description": route.summary, "content": content}


def _schema(kind: Any) -> Json:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    return schema


def _parameter(parameter: Parameter) -> Json:
    shown: Json = {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.told,
        "required": parameter.where == "path",
        "schema": parameter.schema,
    }
    if parameter.example is not None:
        shown["example"] = parameter.example
    return shown


def pattern(path: str) -> str:
    """The path as aiohttp matches it. A TMDB id holds a slash, which clients may or may not encode."""
    return re.sub(r"^/(films|celebrities)/\{id\}", r"/\1/{id:(?:tmdb:(?:movie|tv|person)/[0-9]+|[^/]+)}", path)
