"""Where it runs: Faust, topics, tables, storage, web and the command line."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Make the Faust app on first use, so that `faust -A app` finds it and the command line starts fast."""
    if name == "app":
        from app.worker import faust_app

        return faust_app()
    raise AttributeError(name)
