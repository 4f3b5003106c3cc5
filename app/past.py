"""The outside services of stages that run again over what has happened: documents are written, nobody is asked."""

from __future__ import annotations

from typing import Any

from app.storage.store import Store
from app.topology import Ports


def past_ports(store: Store) -> Ports:
    """For making again what is derived: what the world answered is in the log, and what was to go is gone."""
    past = _Past()
    return Ports(store.projections, past, people=store.pictures, pictures=past, files=past, collecting=store.collecting)


class _Past:
    """Every port that acts on the world or on models."""

    async def obey(self, order: Any) -> None:
        """Models that are made again have obeyed."""

    async def fetch(self, url: str) -> Any:
        """Never called: a stage that asks is told what was answered."""
        raise AssertionError(f"{url} was asked for again")

    async def examine(self, image_id: str, again: str | None = None) -> Any:
        """Never called, like `fetch`."""
        raise AssertionError(f"{image_id} was looked at again")

    async def erase(self, files: Any) -> None:
        """Those that nobody has by now are found by whoever sweeps after a start (`app.pictures.sweep`)."""
