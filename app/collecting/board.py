"""What a worker sees of its connectors: which it owns, and how far each is, from the table that follows their runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from app.delivery.producer import partition_of
from app.delivery.table import PartitionRows, Section
from schemas.entities import ScrapeState


class Board(Protocol):
    """The connectors that this worker is responsible for."""

    def owns(self, connector: str) -> bool:
        """Whether this worker may start the connector's runs now."""

    def state(self, connector: str) -> ScrapeState:
        """How far the connector is, by the events that this worker has folded. Only for what it owns."""

    def states(self) -> dict[str, ScrapeState]:
        """Every connector that this worker owns and of which anything was told, configured or not."""


class TableBoard:
    """`Board` over the table of the stage that follows runs: who owns its partition owns the connector."""

    def __init__(self, partitions: int, owned: Callable[[], set[int]], rows: Callable[[int], PartitionRows]) -> None:
        self._partitions = partitions
        self._owned = owned
        self._rows = rows

    def owns(self, connector: str) -> bool:
        """Whether the connector's partition is assigned here, and its table is whole."""
        return partition_of(connector.encode(), self._partitions) in self._owned()

    def state(self, connector: str) -> ScrapeState:
        """The row of the connector, an empty one where nothing was ever asked of it."""
        rows = self._rows(partition_of(connector.encode(), self._partitions))
        section: Section[ScrapeState] = Section(rows, "", ScrapeState)
        state: ScrapeState | None = section.get(connector)
        return state if state is not None else ScrapeState()

    def states(self) -> dict[str, ScrapeState]:
        """The rows of the partitions that are assigned here."""
        sections = (Section(self._rows(partition), "", ScrapeState) for partition in sorted(self._owned()))
        return {name: state for section in sections for name, state in section.under("")}
