"""Libraries that only some kinds need: where one is missing, the error says how to get it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from app.connectors.errors import SourceError


def extra(module: str, kind: str) -> Any:
    """A module of the extra `sources`. Raises SourceError where it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise SourceError(
            f"kind `{kind}` needs {error.name or module}: install marquee with its extra [sources]"
        ) from error
