"""Asks the worker's web server, which knows films, people and models; answers are the contract's JSON."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import quote, urlencode

from app.cli.call import CliError
from app.embedded.lock import is_locked
from app.settings import Settings

SECONDS: Final = 15.0


class NoMarqueeError(CliError):
    """Nobody answers where a worker should; some commands have another way then."""


def get(settings: Settings, *path: str, **query: str | int | None) -> Any:
    """The JSON at a path, whose parts are quoted. Raises CliError with the server's own words."""
    asked = urlencode({name: value for name, value in query.items() if value is not None})
    return _ask(settings, path, f"?{asked}" if asked else "")


def post(settings: Settings, *path: str, body: bytes) -> Any:
    """The JSON that answers bytes sent to a path. Raises CliError with the server's own words."""
    return _ask(settings, path, body=body)


def say(settings: Settings, *path: str, words: Any) -> Any:
    """The JSON that answers JSON sent to a path. Raises CliError with the server's own words."""
    return _ask(settings, path, body=json.dumps(words).encode(), kind="application/json")


def delete(settings: Settings, *path: str) -> Any:
    """The JSON that answers the wish that what is at a path be gone. Raises CliError with the server's own words."""
    return _ask(settings, path, method="DELETE")


def _ask(
    settings: Settings,
    path: tuple[str, ...],
    query: str = "",
    body: bytes | None = None,
    kind: str = "application/octet-stream",
    method: str | None = None,
) -> Any:
    if settings.web.port == 0:
        raise NoMarqueeError(_portless(settings))
    base = f"http://{settings.web.host}:{settings.web.port}"
    url = "/".join([base, *(quote(part, safe="") for part in path)]) + query
    headers = {"Accept": "application/json", **_credentials()}
    if body is not None:
        headers["Content-Type"] = kind
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    # A worker is never behind a proxy, whatever the environment says of the web.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise CliError(f"{_problem(error)} ({url})") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise NoMarqueeError(
            f"no Marquee answers at {base} ({reason}): start one (`marquee up --embedded`), name its directory with "
            "--data-dir, or set [web] host and port"
        ) from error


def _portless(settings: Settings) -> str:
    if is_locked(settings.data_dir):
        return f"the Marquee in {settings.data_dir} starts or stops, nobody answers there yet: try again in a moment"
    return "nobody knows which port Marquee's web server took: name its directory with --data-dir, or set [web] port"


def _credentials() -> dict[str, str]:
    token = os.environ.get("MARQUEE_API_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _problem(error: urllib.error.HTTPError) -> str:
    try:
        told = json.load(error)
        return str(told.get("detail") or told["title"])
    except (ValueError, KeyError, AttributeError):
        return f"the worker answered {error.code} {error.reason}"
