"""Keyed look-ups that are right from any worker: answered here, or asked of the worker that owns the key."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp
from aiohttp import web
from faust.types import TP
from yarl import URL

from app.delivery.producer import partition_of
from app.delivery.table import Section
from app.topology import TableSpec
from app.web.engine import Engine
from app.web.parts import WorkerParts
from app.web.problems import CONTENT_TYPE, unavailable
from schemas.base import Entity

log = logging.getLogger(__name__)

HOP_HEADER: Final = "Marquee-Hop"
TIMEOUT: Final = aiohttp.ClientTimeout(total=3.0, connect=1.0)
LOOKUP_TIMEOUT: Final = aiohttp.ClientTimeout(total=1.5, connect=1.0)
"""For one row of a table: an owner that takes longer is frozen or overloaded, and whoever asks may ask again."""
RELAYED: Final = frozenset({200, 404, 503})
MAX_ANSWER: Final = 1 << 20


class Elsewhere(Exception):  # noqa: N818  the key's row lies with another worker
    """Another worker owns the key."""

    def __init__(self, url: URL) -> None:
        super().__init__(str(url))
        self.url = url


class Lookups:
    """Rows of this worker's tables, and the way to those of the others."""

    def __init__(self, worker: WorkerParts, engine: Engine, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._worker = worker
        self._engine = engine
        self._session = session

    def find(self, table: TableSpec, prefix: str, key: str, topic: str) -> Entity | None:
        """The row of `key` in a section of a table that is cut like `topic`.

        Raises Elsewhere where another worker owns the key, Problem (503) where nobody can answer now.
        """
        partition = partition_of(key.encode(), self._worker.partitions[topic])
        if not self._worker.prepared:
            raise unavailable("This worker is still starting.")
        here = TP(self._engine.changelog(table.name), partition) in self._engine.actives()
        if not here:
            owner = self._engine.owner(table.name, partition)
            if owner is None:
                raise unavailable("No worker owns this key at the moment: the group is being put together.")
            if _same(owner, self._engine.own_url):
                raise unavailable("This key is on its way to another worker.")
            raise Elsewhere(owner)
        if not self._engine.readable:
            raise unavailable("The table is being recovered.")
        rows = self._worker.tables[table.name].rows(partition)
        section: Section[Entity] = Section(rows, prefix, table.sections[prefix])
        row: Entity | None = section.get(key)
        return row

    async def relay(self, request: web.Request, owner: URL) -> web.Response:
        """The owner's answer to the same request. Raises Problem (503) where it has none."""
        if HOP_HEADER in request.headers:
            # Two workers can point at each other while a rebalance is under way.
            raise unavailable("The key's owner is changing.")
        status, body = await self.ask(
            owner.join(URL(request.rel_url.raw_path_qs, encoded=True)), timeout=LOOKUP_TIMEOUT
        )
        if status not in RELAYED:
            raise unavailable(f"The worker that owns this key answered {status}.")
        headers = {"Retry-After": "2"} if status == 503 else None
        kind = "application/json" if status == 200 else CONTENT_TYPE
        return web.Response(body=body, status=status, content_type=kind, charset="utf-8", headers=headers)

    async def ask(
        self,
        address: URL,
        method: str = "GET",
        credentials: Mapping[str, str] | None = None,
        timeout: aiohttp.ClientTimeout = TIMEOUT,
    ) -> tuple[int, bytes]:
        """What another worker answers, which asks nobody else for it. Raises Problem (503) where it is silent."""
        headers = {HOP_HEADER: "1", "Accept": "application/json", **(credentials or {})}
        try:
            async with self._session().request(
                method, address, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                # One byte more than is allowed tells a long answer from one that just fits.
                body = await response.content.read(MAX_ANSWER + 1)
                while len(body) <= MAX_ANSWER and (more := await response.content.read(MAX_ANSWER)):
                    body += more
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("the worker at %s does not answer: %r", address.origin(), error)
            raise unavailable("The worker that owns this does not answer.") from error
        if len(body) > MAX_ANSWER:
            raise unavailable("The worker that owns this answered at unreasonable length.")
        return status, body


def _same(one: URL, other: URL) -> bool:
    return (one.host, one.port) == (other.host, other.port)
