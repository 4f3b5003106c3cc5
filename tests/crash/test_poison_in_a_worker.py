"""A real worker swallows every poison, goes on, and takes what was mended from the dead letters back in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer

from app.delivery.producer import MAX_REQUEST_BYTES
from schemas.catalogue import SOURCE_TOPICS
from schemas.ids import position_id
from tests.crash.good import FILM, GOOD
from tests.crash.judge import drained
from tests.crash.poison import Poison, poisons
from tests.crash.servers import Servers
from tests.crash.worker import WorkerProcess, marquee

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]

LARGE: Final = 1_000_000
"""A larger poison goes to the source topics alone: others refuse it at the broker."""

Report = Callable[[str], None]


class Client:
    """Sends what nobody should send, to the one partition of its topic."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, max_request_size=MAX_REQUEST_BYTES, max_batch_size=MAX_REQUEST_BYTES
        )

    async def __aenter__(self) -> Client:
        await self._producer.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._producer.stop()

    async def send(self, poison: Poison) -> str:
        """The position that it has now."""
        # As a batch: `send` refuses a record that has neither key nor value.
        batch = self._producer.create_batch()
        batch.append(key=poison.key, value=poison.value, timestamp=None, headers=list(poison.headers))
        sent = await (await self._producer.send_batch(batch, poison.topic, partition=0))
        return position_id(poison.topic, 0, sent.offset)

    async def rate(self, record: str) -> str:
        """A good rating; its position."""
        return await self.send(rating(record))


def rating(record: str, padding: int = 0, headers: tuple[tuple[str, bytes], ...] = ()) -> Poison:
    """A good rating, with so many spaces in front."""
    value = b" " * padding + json.dumps({**GOOD["ratings"][0].value, "source_record_id": record}).encode()
    return Poison(record, "ratings", value, headers=headers)


async def letters(servers: Servers) -> list[dict[str, Any]]:
    """Every dead letter."""
    return [json.loads(raw.value) for raw in await servers.log().read("dead-letters", 1) if raw.value]


async def causes(servers: Servers) -> Counter[str]:
    """How many predictions each cause has."""
    records = await servers.log().read("rating-predictions", 1)
    return Counter(json.loads(raw.value or b"")["cause_id"] for raw in records if _is_ours(raw.value))


def _is_ours(value: bytes | None) -> bool:
    try:
        return json.loads(value or b"").get("model") == "future-rating"
    except (ValueError, AttributeError, RecursionError):
        return False


def position(letter: dict[str, Any]) -> str:
    """Where the record of a dead letter stands."""
    return position_id(letter["origin_topic"], letter["origin_partition"], letter["origin_offset"])


async def test_every_poison_is_put_aside_and_the_ratings_around_it_are_predicted(
    on_embedded: Servers, report: Report
) -> None:
    worker = WorkerProcess(on_embedded, "crash-poison", partitions=1, broker__session_timeout=3)
    worker.start()
    await worker.ready()
    pid = worker.pid
    expected: Counter[tuple[str, str]] = Counter()
    good: list[str] = []
    async with Client(on_embedded.bootstrap) as client:
        for n, poison in enumerate(_affordable()):
            if n % 5 == 0:
                good.append(await client.rate(f"good-{n}"))
            place = await client.send(poison)
            expected.update((place, stage) for stage in poison.stages)
        good.append(await client.rate("last"))
    await drained(on_embedded, worker)
    assert (worker.pid, (await worker.get("/readyz"))[0]) == (pid, 200)
    found = await letters(on_embedded)
    report(
        f"poison: {len(expected)} dead letters expected, {len(found)} found, {len(good)} good ratings between; "
        f"by reason {dict(Counter(letter['reason'] for letter in found))}"
    )
    got = Counter((position(letter), letter["stage"]) for letter in found)
    assert got - expected == {}
    assert expected - got == {}
    assert all(letter["error"] for letter in found)
    assert await causes(on_embedded) == Counter(good)
    assert await worker.stop() == 0


def _affordable() -> Iterable[Poison]:
    return [one for one in poisons() if len(one.value or b"") < LARGE or one.topic in SOURCE_TOPICS]


async def test_what_was_mended_is_replayed_and_counts_once(
    on_embedded: Servers, tmp_path: Path, report: Report
) -> None:
    worker = WorkerProcess(on_embedded, "crash-replay", partitions=1, broker__session_timeout=3)
    worker.start()
    await worker.ready()
    async with Client(on_embedded.bootstrap) as client:
        large = await client.send(rating("large", padding=5 << 20))
        huge = await client.send(rating("huge", padding=7 << 20))
        future = await client.send(rating("future", headers=(("ce_dataschema", b"/schemas/ratings/99"),)))
        torn = await client.send(Poison("torn", "ratings", b'{"film_id": "tt13', FILM.encode()))
        await client.rate("fine")
    await drained(on_embedded, worker)
    by_place = {position(letter): letter for letter in await marquee(worker, "dlq", "list")}
    assert by_place.keys() == {large, huge, future, torn}
    assert await worker.stop() == 0

    mended = WorkerProcess(
        on_embedded, "crash-replay", partitions=1, broker__session_timeout=3, delivery__max_value=10_000_000
    )
    mended.start()
    await mended.ready()
    whole = tmp_path / "whole.json"
    whole.write_text(json.dumps({**GOOD["ratings"][0].value, "source_record_id": "torn"}))
    await marquee(mended, "dlq", "replay", by_place[large]["id"], by_place[huge]["id"])
    await marquee(mended, "dlq", "replay", by_place[future]["id"], "--drop-header", "ce_dataschema")
    await marquee(mended, "dlq", "replay", by_place[torn]["id"], "--value", str(whole))
    await drained(on_embedded, mended)
    assert await causes(on_embedded) >= Counter([large, huge, future, torn])
    assert await marquee(mended, "dlq", "list") == []

    before = await causes(on_embedded)
    await marquee(mended, "dlq", "replay", by_place[large]["id"], "--again")
    await drained(on_embedded, mended)
    assert await causes(on_embedded) == before
    report("dlq replay: 4 letters mended and replayed, each predicted once, one replayed twice without effect")
    assert await mended.stop() == 0
