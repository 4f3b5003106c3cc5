"""One stage on batches: effects once, gaps closed, failures handled by kind, nothing left half done."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from agents.errors import MustStopError, Unavailable
from agents.messages import Message
from app.delivery import rewritten, stage_worker
from app.delivery.guard import Reader
from app.delivery.membership import Abandoned, Membership
from app.delivery.producer import partition_of
from app.delivery.raw import Raw
from app.delivery.stage_worker import StageWorker
from app.memory import MemoryLog, MemoryTable
from app.observe import metrics
from app.topology import Kind, Stage, TableSpec
from schemas.base import Record, Rejected
from schemas.commands import SubmitFilm
from schemas.entities import FilmTally
from schemas.events import RatingObserved

PARTITIONS = 2
FILMS = [f"tt{n:07d}" for n in range(1, 9)]
Tallies = MutableMapping[str, FilmTally]
Trouble = Callable[[RatingObserved], None]


class Bench:
    """A stage that counts ratings of films, and one that keeps them, over a log in memory."""

    def __init__(self, kind: Kind, attempts: int = 3) -> None:
        self.log = MemoryLog(PARTITIONS)
        self.trouble: Trouble = lambda _: None
        self.outage: list[Exception] = []
        self.kept: list[list[str]] = []
        self.stops = False
        self.end: int | None = None
        self.membership = Membership()
        self.writes = 0
        run: Callable[..., Any] = self.keep if kind is Kind.KEEP else self.count
        sections = {} if kind is Kind.KEEP else {"film|": FilmTally}
        self.spec = TableSpec("tallies", sections)
        self.table = MemoryTable(self.spec)
        stage = Stage(f"bench-{kind}", (RatingObserved,), kind, run, (SubmitFilm,), self.spec)
        self.worker = StageWorker(
            stage,
            self.table,
            [],
            self,
            self.log,
            Reader(stage.reads, PARTITIONS, 1_000_000, placed=bool(sections)),
            attempts,
            stopping=lambda: self.stops,
            membership=self.membership,
            end=lambda topic, partition: self.end,
        )

    async def count(self, message: Message[RatingObserved], tallies: Tallies) -> AsyncIterator[Record]:
        """Count, then meet trouble, then emit: so trouble comes with a row already written."""
        film = message.data.film_id
        tallies[film] = FilmTally(counted=tallies.get(film, FilmTally()).counted + 1)
        self.trouble(message.data)
        yield SubmitFilm(film_id=film, title=message.data.source_record_id)

    async def keep(self, messages: Sequence[Message[RatingObserved]]) -> None:
        """Keep all of a batch or nothing."""
        if self.outage:
            raise self.outage.pop(0)
        for message in messages:
            self.trouble(message.data)
        self.kept.append([message.data.source_record_id for message in messages])

    async def send(self, records: Any) -> None:
        """The way out, which may be shut."""
        if self.outage and self.worker.stage.kind is not Kind.KEEP:
            raise self.outage.pop(0)
        await self.log.send(records)

    def rate(self, *numbers: int, film: str = FILMS[0]) -> list[Raw]:
        """Ratings on the log, numbered."""
        return [
            self.put(
                json.dumps({"film_id": film, "source": "s", "source_record_id": str(n), "value": 1.0}).encode(),
                film.encode(),
            )
            for n in numbers
        ]

    def put(self, value: bytes | None, key: bytes | None = FILMS[0].encode(), **header: bytes) -> Raw:
        """Anything on the log, in the first film's partition unless its key says otherwise."""
        home = partition_of(FILMS[0].encode(), PARTITIONS)
        partition = partition_of(key, PARTITIONS) if key in {f.encode() for f in FILMS} else home
        headers = [(name.replace("_", "-"), content) for name, content in header.items()]
        return self.log.append("ratings", key, value, headers, partition=partition)

    def counted(self, film: str = FILMS[0]) -> int:
        """What the durable table says of a film."""
        rows = self.table.rows(partition_of(film.encode(), PARTITIONS))
        value = rows.get(f"film|{film}".encode())
        return json.loads(value)[0] if value else 0

    def mark(self, film: str = FILMS[0]) -> int | None:
        """The durable mark of the partition that a film belongs to."""
        return self.table.rows(partition_of(film.encode(), PARTITIONS)).mark("ratings")

    def emitted(self) -> list[str]:
        """Numbers of the ratings that made an event."""
        return [json.loads(raw.value or b"")["title"] for raw in self.log.records("film-submissions")]

    def letters(self) -> list[dict[str, Any]]:
        """Dead letters."""
        return [json.loads(raw.value or b"") for raw in self.log.records("dead-letters")]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_worker, "BACKOFF_SECONDS", (0.0,))
    monkeypatch.setattr(rewritten, "LOOK_SECONDS", 0.0)


@pytest.fixture
def decide() -> Bench:
    return Bench(Kind.DECIDE)


@pytest.fixture
def reach() -> Bench:
    return Bench(Kind.REACH)


@pytest.fixture
def keep() -> Bench:
    return Bench(Kind.KEEP)


def only(number: str, error: Exception, times: int = 1_000_000) -> Trouble:
    """Trouble with one rating, so many times."""
    left = [times]

    def trouble(rating: RatingObserved) -> None:
        if rating.source_record_id == number and left[0] > 0:
            left[0] -= 1
            raise error

    return trouble


async def test_each_event_of_a_batch_sees_what_those_before_it_wrote(decide: Bench) -> None:
    await decide.worker.process(decide.rate(0, 1, 2))
    assert decide.counted() == 3
    assert decide.mark() == 2
    assert decide.emitted() == ["0", "1", "2"]


async def test_a_redelivered_batch_changes_nothing(decide: Bench) -> None:
    batch = decide.rate(0, 1, 2)
    await decide.worker.process(batch)
    table = {partition: dict(rows) for partition, rows in decide.table.stored.items()}
    await decide.worker.process(batch)
    await decide.worker.process(batch[1:])
    assert decide.table.stored == table
    assert decide.emitted() == ["0", "1", "2"]


async def test_a_batch_that_is_partly_known_applies_the_rest(decide: Bench) -> None:
    first, second = decide.rate(0, 1), decide.rate(2, 3)
    await decide.worker.process(first)
    await decide.worker.process([*first, *second])
    assert decide.counted() == 4
    assert decide.emitted() == ["0", "1", "2", "3"]


async def test_an_event_that_stands_twice_in_a_batch_counts_once(decide: Bench) -> None:
    batch = decide.rate(0, 1)
    await decide.worker.process([batch[0], batch[0], batch[1], batch[0], batch[1]])
    assert decide.counted() == 2


async def test_what_delivery_skipped_is_read_again_and_applied_in_order(decide: Bench) -> None:
    batch = decide.rate(*range(10))
    before = metrics.GAP_EVENTS.labels(decide.worker.stage.name)._value.get()
    await decide.worker.process(batch[:2])
    await decide.worker.process([batch[5], batch[6], batch[9]])
    assert decide.emitted() == [str(n) for n in range(10)]
    assert (decide.counted(), decide.mark()) == (10, 9)
    assert metrics.GAP_EVENTS.labels(decide.worker.stage.name)._value.get() - before == 5


async def test_a_gap_in_which_the_broker_had_nothing_is_not_read_again(
    decide: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _, *rest = decide.rate(0, 1, 2, 3, 4)
    asked: list[tuple[int, int]] = []
    read = decide.log.read

    async def tell(topic: str, partition: int, start: int, stop: int) -> Sequence[Raw]:
        asked.append((start, stop))
        return await read(topic, partition, start, stop)

    monkeypatch.setattr(decide.log, "read", tell)
    await decide.worker.process([first, replace(rest[0], nothing_from=1)])
    assert asked == []
    # What was delivered last is behind what the broker told of, so that something was lost on the way.
    await decide.worker.process([replace(rest[2], nothing_from=4)])
    assert asked == [(3, 4)]
    assert decide.emitted() == ["0", "2", "3", "4"]


async def test_a_gap_is_closed_in_each_partition_by_itself(decide: Bench) -> None:
    other = next(film for film in FILMS if partition_of(film.encode(), 2) != partition_of(FILMS[0].encode(), 2))
    here, there = decide.rate(*range(5)), decide.rate(*range(5), film=other)
    await decide.worker.process([here[0], there[3], here[4], there[4]])
    assert (decide.counted(), decide.counted(other)) == (5, 5)
    assert (decide.mark(), decide.mark(other)) == (4, 4)


async def test_the_first_event_of_a_fresh_group_need_not_be_the_beginning(decide: Bench) -> None:
    batch = decide.rate(*range(6))
    await decide.worker.process(batch[4:])
    assert decide.emitted() == [str(n) for n in range(6)]


async def test_a_log_that_begins_later_has_no_gap_before_its_beginning(
    decide: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def beginning(topic: str, partition: int) -> int:
        return 3

    monkeypatch.setattr(decide.log, "beginning", beginning)
    await decide.worker.process(decide.rate(*range(6))[4:])
    assert decide.emitted() == ["3", "4", "5"]


async def test_offsets_that_hold_no_record_are_passed_over(decide: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = decide.rate(*range(6))
    read = decide.log.read

    async def compacted(topic: str, partition: int, start: int, stop: int) -> Sequence[Raw]:
        return [raw for raw in await read(topic, partition, start, stop) if raw.offset not in {2, 3}]

    monkeypatch.setattr(decide.log, "read", compacted)
    await decide.worker.process([batch[0], batch[5]])
    assert decide.emitted() == ["0", "1", "4", "5"]


async def test_a_store_that_is_away_is_waited_for(decide: Bench) -> None:
    decide.trouble = only("1", Unavailable("away"), times=20)
    await decide.worker.process(decide.rate(0, 1, 2))
    assert decide.counted() == 3
    assert decide.letters() == []


async def test_an_event_that_fails_on_its_way_outside_is_tried_again(reach: Bench) -> None:
    reach.trouble = only("1", ValueError("now and then"), times=2)
    await reach.worker.process(reach.rate(0, 1, 2))
    assert reach.counted() == 3
    assert reach.letters() == []


@pytest.mark.parametrize(("kind", "attempts"), [(Kind.DECIDE, 1), (Kind.REACH, 3)])
async def test_an_event_that_keeps_failing_becomes_a_dead_letter_and_leaves_no_row(kind: Kind, attempts: int) -> None:
    bench = Bench(kind)
    bench.trouble = only("1", ValueError("always"))
    await bench.worker.process(bench.rate(0, 1, 2))
    assert bench.counted() == 2
    assert bench.emitted() == ["0", "2"]
    (letter,) = bench.letters()
    assert (letter["reason"], letter["error"], letter["attempts"]) == ("failed", "ValueError: always", attempts)
    assert letter["origin_offset"] == 1
    assert bench.mark() == 2


async def test_a_refused_event_becomes_a_dead_letter_at_once(decide: Bench) -> None:
    decide.trouble = only("1", Rejected("nonsense"))
    await decide.worker.process(decide.rate(0, 1, 2))
    (letter,) = decide.letters()
    assert (letter["reason"], letter["error"], letter["attempts"]) == ("rejected", "Rejected: nonsense", 1)
    assert decide.counted() == 2


POISON: dict[str, Callable[[Bench], Raw]] = {
    "invalid JSON": lambda bench: bench.put(b"{"),
    "wrong type": lambda bench: bench.put(b'{"film_id":1}'),
    "missing field": lambda bench: bench.put(b'{"film_id":"x"}'),
    "NaN": lambda bench: bench.put(b'{"film_id":"x","source":"s","source_record_id":"1","value":NaN}'),
    "infinity": lambda bench: bench.put(b'{"film_id":"x","source":"s","source_record_id":"1","value":Infinity}'),
    "5 MB": lambda bench: bench.put(b"x" * 5_000_000),
    "tombstone": lambda bench: bench.put(None),
    "empty key": lambda bench: bench.put(b"{}", b""),
    "key that is no text": lambda bench: bench.put(b"{}", b"\xff"),
    "deep nesting": lambda bench: bench.put(b"[" * 100_000),
}


@pytest.mark.parametrize("kind", [Kind.DECIDE, Kind.KEEP])
@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
async def test_poison_becomes_a_dead_letter_and_its_neighbours_are_processed(
    kind: Kind, poison: Callable[[Bench], Raw]
) -> None:
    bench = Bench(kind)
    batch = [*bench.rate(0), poison(bench), *bench.rate(1)]
    await bench.worker.process(batch)
    (letter,) = bench.letters()
    assert (letter["reason"], letter["origin_offset"]) == ("rejected", 1)
    assert (bench.emitted() or bench.kept[0]) == ["0", "1"]
    assert bench.mark() == 2


@pytest.mark.parametrize("kind", [Kind.DECIDE, Kind.KEEP])
async def test_a_batch_of_nothing_but_poison_moves_the_mark(kind: Kind) -> None:
    bench = Bench(kind)
    await bench.worker.process([bench.put(None), bench.put(b"?")])
    assert len(bench.letters()) == 2
    assert bench.mark() == 1


@pytest.mark.parametrize("kind", [Kind.DECIDE, Kind.KEEP])
async def test_fillers_are_passed_over_and_marked(kind: Kind) -> None:
    bench = Bench(kind)
    fillers = [bench.put(None, None, marquee_filler=b"") for _ in range(3)]
    await bench.worker.process([*fillers, *bench.rate(0)])
    assert bench.letters() == []
    assert (bench.emitted() or bench.kept[0]) == ["0"]
    assert bench.mark() == 3


async def test_a_misplaced_record_that_is_sent_on_again_after_a_crash_is_counted_once(decide: Bench) -> None:
    home = partition_of(FILMS[0].encode(), PARTITIONS)
    elsewhere = next(film for film in FILMS if partition_of(film.encode(), PARTITIONS) != home)
    value = {"film_id": elsewhere, "source": "s", "source_record_id": "7", "value": 1.0}
    lost = decide.put(json.dumps(value).encode(), key=None)
    # The crash comes between the event and the row that says that it was made.
    await decide.send((await decide.worker.work([lost])).out)
    [changed] = decide.rate(8, film=elsewhere)
    await decide.worker.process([lost])
    copies = [raw for raw in decide.log.records("ratings") if raw.partition == changed.partition]
    assert [raw.offset for raw in copies] == [0, 1, 2]
    await decide.worker.process(copies[:2])
    await decide.worker.process(copies[2:])
    assert decide.emitted() == ["7", "8"]
    assert (decide.counted(elsewhere), decide.mark(elsewhere)) == (2, 2)


async def test_a_misplaced_record_is_counted_once_where_it_belongs(decide: Bench) -> None:
    other = next(film for film in FILMS if partition_of(film.encode(), 2) != partition_of(FILMS[0].encode(), 2))
    value = json.dumps({"film_id": other, "source": "s", "source_record_id": "1", "value": 1.0}).encode()
    lost = decide.put(value, None)
    await decide.worker.process([lost])
    assert (decide.counted(other), decide.mark(), decide.mark(other)) == (0, 0, None)
    (home,) = decide.log.topics["ratings"][partition_of(other.encode(), 2)]
    await decide.worker.process([home])
    assert decide.counted(other) == 1
    assert dict(home.headers)["ce_id"] == lost.position.encode()


@pytest.mark.parametrize("kind", [Kind.DECIDE, Kind.KEEP])
async def test_records_of_a_topic_that_was_made_anew_are_dead_letters_and_not_dropped(kind: Kind) -> None:
    bench = Bench(kind)
    await bench.worker.process(bench.rate(0, 1, 2, 3))
    bench.log.topics["ratings"][bench.rate(9)[0].partition].clear()
    bench.end = 2
    await bench.worker.process(bench.rate(4, 5))
    assert [letter["origin_offset"] for letter in bench.letters()] == [0, 1]
    assert "was made anew or cut off" in bench.letters()[0]["error"]
    # What stands beyond the mark now is new, what came with it before the mark is not.
    bench.end = 5
    await bench.worker.process(bench.rate(6, 7, 8))
    assert [letter["origin_offset"] for letter in bench.letters()] == [0, 1, 2, 3]
    assert (bench.emitted() or [number for batch in bench.kept for number in batch]) == ["0", "1", "2", "3", "8"]
    assert bench.mark() == 4


async def test_what_comes_again_is_no_dead_letter_where_the_end_is_known_late(decide: Bench) -> None:
    ends = iter([3, 3, 4])
    batch = decide.rate(0, 1, 2, 3)
    decide.worker._rewritten = rewritten.Rewritten(lambda topic, partition: next(ends))
    await decide.worker.process(batch)
    await decide.worker.process(batch)
    assert (decide.letters(), decide.counted(), list(ends)) == ([], 4, [])


@pytest.mark.parametrize("kind", [Kind.DECIDE, Kind.KEEP])
async def test_an_abandoned_batch_leaves_no_row_no_mark_and_no_event(kind: Kind) -> None:
    bench = Bench(kind)
    bench.trouble = only("1", Unavailable("away"))
    bench.stops = True
    batch = bench.rate(0, 1, 2)
    with pytest.raises(Abandoned):
        await bench.worker.process(batch)
    assert bench.table.stored in ({}, {batch[0].partition: {}})
    assert bench.emitted() == []
    bench.trouble, bench.stops = lambda _: None, False
    await bench.worker.process(batch)
    assert bench.mark() == 2
    assert (bench.emitted() or bench.kept[-1]) == ["0", "1", "2"]


async def test_a_worker_that_was_put_out_of_the_group_writes_nothing_of_what_it_had_begun() -> None:
    bench = Bench(Kind.DECIDE)
    batch = bench.rate(0, 1)
    made = await bench.worker.work(batch)
    bench.membership.lose()
    for step in (bench.worker.send(made), bench.worker.write(made), bench.worker.work(batch)):
        with pytest.raises(Abandoned):
            await step
    assert bench.emitted() == []
    assert bench.mark() is None
    keep = Bench(Kind.KEEP)
    keep.membership.lose()
    with pytest.raises(Abandoned):
        await keep.worker.process(keep.rate(0))
    assert keep.kept == []


async def test_no_record_is_blamed_for_what_a_worker_may_not_write_any_more() -> None:
    bench = Bench(Kind.KEEP, attempts=1)

    def put_out(_: RatingObserved) -> None:
        bench.membership.lose()
        raise ValueError("one of these cannot be kept")

    bench.trouble = put_out
    with pytest.raises(Abandoned):
        await bench.worker.work(bench.rate(0, 1))


@pytest.mark.parametrize("kind", [Kind.DECIDE, Kind.KEEP])
async def test_what_says_that_the_worker_must_stop_is_not_handled(kind: Kind) -> None:
    bench = Bench(kind)
    bench.trouble = only("1", MustStopError("the log was cut"))
    with pytest.raises(MustStopError):
        await bench.worker.process(bench.rate(0, 1, 2))
    assert bench.mark() is None
    assert bench.letters() == []


async def test_a_batch_whose_events_could_not_be_sent_leaves_no_mark_and_makes_the_same_events_again(
    decide: Bench,
) -> None:
    batch = decide.rate(0, 1)
    decide.outage = [ConnectionError("no broker")]
    with pytest.raises(ConnectionError):
        await decide.worker.process(batch)
    assert (decide.counted(), decide.mark()) == (0, None)
    await decide.worker.process(batch)
    assert decide.counted() == 2


async def test_a_crash_between_events_and_table_repeats_the_events_with_their_ids(
    decide: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = decide.rate(0, 1)
    write = decide.table.write

    async def crash(*_: Any) -> None:
        raise ConnectionError("killed")

    monkeypatch.setattr(decide.table, "write", crash)
    with pytest.raises(ConnectionError):
        await decide.worker.process(batch)
    monkeypatch.setattr(decide.table, "write", write)
    await decide.worker.process(batch)
    ids = [dict(raw.headers)["ce_id"] for raw in decide.log.records("film-submissions")]
    assert ids[:2] == ids[2:]
    assert decide.counted() == 2


async def test_a_batch_is_kept_in_one_go(keep: Bench) -> None:
    await keep.worker.process(keep.rate(*range(8)))
    assert keep.kept == [[str(n) for n in range(8)]]


async def test_a_store_that_is_away_gets_the_whole_batch_again(keep: Bench) -> None:
    keep.outage = [Unavailable("away")] * 10
    await keep.worker.process(keep.rate(*range(8)))
    assert keep.kept == [[str(n) for n in range(8)]]
    assert keep.letters() == []


async def test_the_culprit_of_a_batch_that_cannot_be_kept_is_found_and_the_others_are_kept(keep: Bench) -> None:
    keep.trouble = only("5", ValueError("too long for the index"))
    await keep.worker.process(keep.rate(*range(8)))
    assert sorted(number for batch in keep.kept for number in batch) == ["0", "1", "2", "3", "4", "6", "7"]
    (letter,) = keep.letters()
    assert (letter["origin_offset"], letter["reason"], letter["attempts"]) == (5, "failed", 3)
    assert keep.mark() == 7


async def test_several_culprits_are_found(keep: Bench) -> None:
    def trouble(rating: RatingObserved) -> None:
        if rating.source_record_id in {"0", "3", "6"}:
            raise ValueError("no")

    keep.trouble = trouble
    await keep.worker.process(keep.rate(*range(8)))
    assert sorted(letter["origin_offset"] for letter in keep.letters()) == [0, 3, 6]
    assert sorted(number for batch in keep.kept for number in batch) == ["1", "2", "4", "5", "7"]


async def test_a_stage_without_a_function_or_a_table_is_refused() -> None:
    stage = Stage("learn", (RatingObserved,), Kind.LEARN)
    nothing: Any = None
    with pytest.raises(ValueError, match="nothing to run"):
        StageWorker(stage, nothing, [], nothing, nothing, nothing, 1, stopping=lambda: False)


async def test_a_stage_looks_up_rows_of_another_table_in_its_own_partition() -> None:
    log, facts = MemoryLog(PARTITIONS), MemoryTable(TableSpec("facts", {"": FilmTally}))
    home = partition_of(FILMS[0].encode(), PARTITIONS)
    facts.stored[home] = {FILMS[0].encode(): b'[42,""]'}
    facts.stored[1 - home] = {FILMS[0].encode(): b'[-1,""]'}

    async def look(message: Message[RatingObserved], mine: Tallies, others: Tallies) -> AsyncIterator[Record]:
        yield SubmitFilm(film_id=message.data.film_id, title=str(others[message.data.film_id].counted))

    spec = TableSpec("mine", {"": FilmTally})
    run: Callable[..., Awaitable[None]] | Any = look
    stage = Stage("look", (RatingObserved,), Kind.DECIDE, run, table=spec, looks_up=(facts.spec,))
    reader = Reader(stage.reads, PARTITIONS, 1_000_000, placed=True)
    worker = StageWorker(stage, MemoryTable(spec), [facts], log, log, reader, 1, stopping=lambda: False)
    value = json.dumps({"film_id": FILMS[0], "source": "s", "source_record_id": "1", "value": 1.0}).encode()
    await worker.process([log.append("ratings", FILMS[0].encode(), value, [])])
    (made,) = log.records("film-submissions")
    assert json.loads(made.value or b"")["title"] == "42"
