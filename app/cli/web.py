"""Asks the worker's web server, which knows films and models; answers are the contract's JSON."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import quote, urlencode

from app.cli.call import CliError
from app.settings import Settings

SECONDS: Final = 15.0


def get(settings: Settings, *path: str, **query: str | int | None) -> Any:
    """The JSON at a path, whose parts are quoted. Raises CliError with the server's own words."""
    base = f"http://{settings.web.host}:{settings.web.port}"
    asked = urlencode({name: value for name, value in query.items() if value is not None})
    url = "/".join([base, *(quote(part, safe="") for part in path)]) + (f"?{asked}" if asked else "")
    request = urllib.request.Request(url, headers={"Accept": "application/json", **_credentials()})
    # A worker is never behind a proxy, whatever the environment says of the web.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise CliError(f"{_problem(error)} ({url})") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise CliError(
            f"no Marquee answers at {base} ({reason}): start one (`marquee up --embedded`), name its directory with "
            "--data-dir, or set [web] host and port"
        ) from error


def _credentials() -> dict[str, str]:
    token = os.environ.get("MARQUEE_API_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _problem(error: urllib.error.HTTPError) -> str:
    try:
        told = json.load(error)
        return str(told.get("detail") or told["title"])
    except (ValueError, KeyError, AttributeError):
        return f"the worker answered {error.code} {error.reason}"
