"""The contract for sources that are no HTTP service: a subclass names the kind and its keys, and inherits the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from app.connectors.base import Connector, Request
from app.connectors.errors import SourceError
from app.connectors.fetch import Fetcher
from app.connectors.registry import config_of, make
from app.connectors.runner import CursorStore, Report, run_connector
from schemas.catalogue import decode
from tests.connectors.suite import FILMS, NAME, READ_BY, Broker, DyingStore, FakeClock, KilledError, Sent

__all__ = ["LocalSuite", "read"]


@asynccontextmanager
async def opened(
    keys: dict[str, Any], environ: Mapping[str, str] | None = None, clock: FakeClock | None = None
) -> AsyncIterator[Connector[Any]]:
    """The connector of a table."""
    async with Fetcher(clock=(clock or FakeClock()).clock) as fetcher:
        yield make(config_of(NAME, keys), fetcher, environ or {})


async def read(
    keys: dict[str, Any],
    folder: Path,
    broker: Broker | None = None,
    *,
    store: CursorStore | None = None,
    environ: Mapping[str, str] | None = None,
    clock: FakeClock | None = None,
    request: Request | None = None,
) -> tuple[Report, Broker]:
    """One run of a connector with a table's keys."""
    broker = broker or Broker()
    async with opened(keys, environ, clock) as connector:
        asked = request or Request(NAME, FILMS)
        return await run_connector(NAME, connector, broker, store or CursorStore(folder), request=asked), broker


class LocalSuite:
    """The contract. A subclass is called Test…, sets what follows and overrides the fixture `keys`."""

    records: ClassVar[int]
    topics: ClassVar[set[str]]
    variables: ClassVar[dict[str, str]] = {}

    @pytest.fixture
    def keys(self, tmp_path: Path) -> dict[str, Any]:
        """The connector's table; the source it names is there."""
        raise NotImplementedError

    @pytest.fixture
    def environ(self) -> dict[str, str]:
        """The environment."""
        return dict(self.variables)

    async def straight(self, keys: dict[str, Any], folder: Path, environ: Mapping[str, str]) -> list[Sent]:
        """What an undisturbed run sends."""
        report, broker = await read(keys, folder, environ=environ)
        assert (report.status, report.error) == ("success", None), report
        return broker.sent()

    async def test_a_run_brings_everything(self, keys: dict[str, Any], environ: dict[str, str], tmp_path: Path) -> None:
        sent = await self.straight(keys, tmp_path / "s", environ)
        assert len(sent) == self.records
        assert {topic for topic, _, _ in sent} == self.topics
        assert len({event_id for _, event_id, _ in sent}) == len(sent)
        for topic, _, value in sent:
            assert decode(value, (READ_BY[topic],), None).key

    async def test_ids_are_the_same_in_every_run(
        self, keys: dict[str, Any], environ: dict[str, str], tmp_path: Path
    ) -> None:
        first = await self.straight(keys, tmp_path / "a", environ)
        assert first == await self.straight(keys, tmp_path / "b", environ)

    async def test_a_run_after_the_end_brings_nothing(
        self, keys: dict[str, Any], environ: dict[str, str], tmp_path: Path
    ) -> None:
        assert await self.straight(keys, tmp_path / "s", environ)
        for _ in range(2):
            report, broker = await read(keys, tmp_path / "s", environ=environ)
            assert (report.status, report.records, broker.sent(), report.notes) == ("success", 0, [], [])

    async def test_a_killed_run_is_gone_on_with_where_it_stood(
        self, keys: dict[str, Any], environ: dict[str, str], tmp_path: Path
    ) -> None:
        expected = await self.straight(keys, tmp_path / "s", environ)
        killed = 0
        for batch in range(50):
            first, folder = Broker(dies_at=batch), tmp_path / str(batch)
            try:
                await read(keys, folder, first, environ=environ)
            except KilledError:
                killed += 1
                _, rest = await read(keys, folder, environ=environ)
                assert first.sent() + rest.sent() == expected
            else:
                break
        assert killed > 1

    async def test_what_was_sent_but_not_kept_is_sent_again_under_the_same_ids(
        self, keys: dict[str, Any], environ: dict[str, str], tmp_path: Path
    ) -> None:
        expected = await self.straight(keys, tmp_path / "s", environ)
        killed = 0
        for save in range(50):
            first, folder = Broker(), tmp_path / str(save)
            try:
                await read(keys, folder, first, store=DyingStore(folder, save), environ=environ)
            except KilledError:
                killed += 1
                _, rest = await read(keys, folder, environ=environ)
                both = first.sent() + rest.sent()
                assert set(both) == set(expected)
                assert len({event_id for _, event_id, _ in both}) == len(expected)
            else:
                break
        assert killed > 1

    async def test_another_configuration_reads_everything_again_and_says_so(
        self, keys: dict[str, Any], environ: dict[str, str], tmp_path: Path
    ) -> None:
        await self.straight(keys, tmp_path / "s", environ)
        report, broker = await read({**keys, "source": "elsewhere"}, tmp_path / "s", environ=environ)
        assert len(broker.sent()) == self.records
        assert "another than last time" in report.notes[0]

    async def test_a_cursor_that_means_nothing_is_not_trusted(
        self, keys: dict[str, Any], environ: dict[str, str], tmp_path: Path
    ) -> None:
        expected = await self.straight(keys, tmp_path / "s", environ)
        store = CursorStore(tmp_path / "s")
        state = store.load(NAME)
        state.cursor = {"records": "many", "after": [["list", "x"]], "place": 7}
        store.save(NAME, state)
        _, broker = await read(keys, tmp_path / "s", environ=environ)
        assert broker.sent() == expected

    async def test_films_that_nobody_follows_can_be_left_out(
        self, keys: dict[str, Any], environ: dict[str, str], tmp_path: Path
    ) -> None:
        followed = {**keys, "films": "followed"}
        _, some = await read(followed, tmp_path / "s", environ=environ)
        assert 0 < len(some.sent()) < self.records
        report, none = await read(followed, tmp_path / "n", environ=environ, request=Request(NAME))
        assert none.sent() == []
        assert "no film is followed" in report.notes[0]
        _, then = await read(followed, tmp_path / "n", environ=environ)
        assert set(then.sent()) == set(some.sent())

    async def test_a_check_says_what_is_there(self, keys: dict[str, Any], environ: dict[str, str]) -> None:
        async with opened(keys, environ) as connector:
            assert await connector.check()


async def fault_of(keys: dict[str, Any], environ: Mapping[str, str] | None = None) -> SourceError:
    """How the check of a connector fails."""
    async with opened(keys, environ) as connector:
        with pytest.raises(SourceError) as caught:
            await connector.check()
        return caught.value
