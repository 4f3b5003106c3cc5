"""Rounds through films and people: where they go on, what they skip, what they remember."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from app.connectors.base import Checkpoint, Cursor, FilmTarget, Note, Observed, Refused, observed
from app.connectors.errors import (
    BlockedError,
    IncompleteError,
    MalformedError,
    NotFoundError,
    RetryableError,
    SourceError,
)
from app.connectors.targets import At, Keep, each_target
from schemas.events import FactsObserved

FILMS = tuple(FilmTarget(film_id=f"tt{n:07}") for n in (3, 1, 2))


class Reads:
    """Reads films; raises for those of which it is told to."""

    def __init__(self, **faults: Exception) -> None:
        self.faults = faults
        self.seen: list[tuple[str, Cursor, Cursor]] = []

    async def __call__(self, target: FilmTarget, place: Cursor, memory: Cursor) -> AsyncGenerator[Any]:
        self.seen.append((target.id, place, memory))
        if target.id in self.faults:
            raise self.faults[target.id]
        for part in range(place.get("part", 0), 2):
            yield observed(FactsObserved(film_id=target.id, source="s", title=f"part {part}"))
            yield At({"part": part + 1})
        yield Keep({"rounds": memory.get("rounds", 0) + 1})


async def _said(reads: Reads, cursor: Cursor, targets: tuple[FilmTarget, ...] = FILMS) -> list[Any]:
    return [each async for each in each_target(targets, cursor, reads)]


def _last(said: list[Any]) -> Cursor:
    cursor: Cursor = [each for each in said if isinstance(each, Checkpoint)][-1].cursor
    return cursor


async def test_a_round_goes_through_all_targets_by_id_and_the_next_begins_anew() -> None:
    reads = Reads()
    said = await _said(reads, {})
    assert [each[0] for each in reads.seen] == ["tt0000001", "tt0000002", "tt0000003"]
    assert [each.done for each in said if isinstance(each, Checkpoint)][-1] == 3
    again = Reads()
    await _said(again, _last(said))
    assert [each[2] for each in again.seen] == [{"rounds": 1}] * 3


async def test_a_cut_round_is_gone_on_with_in_the_middle_of_its_target() -> None:
    said = await _said(Reads(), {})
    points = [n for n, each in enumerate(said) if isinstance(each, Checkpoint)]
    for point in points:
        rest = await _said(Reads(), said[point].cursor)
        records = [each for each in said[:point] + rest if isinstance(each, Observed)]
        whole = [each for each in said if isinstance(each, Observed)]
        expected = whole if point != points[-1] else whole * 2
        assert records == expected


async def test_films_that_join_are_read_in_the_round_or_in_the_next_one() -> None:
    said = await _said(Reads(), {})
    middle = next(each.cursor for each in said if isinstance(each, Checkpoint) and each.cursor.get("after"))
    reads = Reads()
    more = (*FILMS, FilmTarget(film_id="tt0000000"), FilmTarget(film_id="tt0000009"))
    end = _last(await _said(reads, middle, more))
    assert [each[0] for each in reads.seen] == ["tt0000002", "tt0000003", "tt0000009"]
    reads = Reads()
    await _said(reads, end, more)
    assert len(reads.seen) == 5


async def test_a_film_that_is_not_there_is_noted_and_an_answer_without_sense_put_away() -> None:
    reads = Reads(tt0000001=NotFoundError("gone"), tt0000002=MalformedError("odd", b"raw"))
    cursor = {"memory": {"tt0000002": {"rounds": 7}}}
    said = await _said(reads, cursor)
    assert [each.text for each in said if isinstance(each, Note)] == ["tt0000001: gone"]
    assert [(each.reason, each.raw) for each in said if isinstance(each, Refused)] == [("tt0000002: odd", b"raw")]
    assert _last(said)["memory"] == {"tt0000002": {"rounds": 7}, "tt0000003": {"rounds": 1}}


async def test_a_page_that_robots_txt_names_costs_only_itself() -> None:
    reads = Reads(tt0000001=BlockedError("robots.txt", only_here=True), tt0000003=BlockedError("too", only_here=True))
    said = await _said(reads, {})
    assert [each.text for each in said if isinstance(each, Note)] == ["tt0000001: robots.txt", "tt0000003: too"]
    assert [each[0] for each in reads.seen] == ["tt0000001", "tt0000002", "tt0000003"]
    again = Reads()
    await _said(again, _last(said))
    assert [each[0] for each in again.seen] == ["tt0000001", "tt0000002", "tt0000003"]


async def test_an_address_is_named_once() -> None:
    reads = Reads(tt0000001=NotFoundError("tt0000001: not there (404)"))
    assert [each.text for each in await _said(reads, {}) if isinstance(each, Note)] == ["tt0000001: not there (404)"]


async def test_where_robots_txt_names_all_the_run_fails() -> None:
    with pytest.raises(BlockedError, match="robots"):
        await _said(Reads(**{film.id: BlockedError("robots.txt", only_here=True) for film in FILMS}), {})


async def test_a_wall_before_one_page_keeps_nobody_from_those_behind_it() -> None:
    said: list[Any] = []

    async def read(reads: Reads, cursor: Cursor) -> None:
        async for each in each_target(FILMS, cursor, reads):
            said.append(each)

    wall = {"tt0000002": BlockedError("403")}
    with pytest.raises(BlockedError):
        await read(Reads(**wall), {})
    behind = Reads(**wall)
    await read(behind, _last(said))
    assert [each[0] for each in behind.seen] == ["tt0000003"]


async def test_where_nothing_at_all_is_there_it_is_the_address_that_is_wrong() -> None:
    with pytest.raises(NotFoundError):
        await _said(Reads(**{film.id: NotFoundError("gone") for film in FILMS}), {})


@pytest.mark.parametrize("films", [FILMS, FILMS[:1]])
async def test_where_no_answer_has_any_sense_the_run_fails_and_asks_for_all_again(
    films: tuple[FilmTarget, ...],
) -> None:
    reads = Reads(**{film.id: MalformedError("a page", b"raw") for film in films})
    memory = {film.id: {"rounds": 7} for film in films}
    said: list[Any] = []

    async def read() -> None:
        async for each in each_target(films, {"memory": memory}, reads):
            said.append(each)

    with pytest.raises(MalformedError, match=f"{max(film.id for film in films)}: a page") as caught:
        await read()
    assert caught.value.told
    refused = [each.reason for each in said if isinstance(each, Refused)]
    assert refused == [f"{film}: a page" for film in sorted(memory)]
    again = Reads()
    await _said(again, _last(said), films)
    assert [(film, kept) for film, _, kept in again.seen] == [(film, {"rounds": 7}) for film in sorted(memory)]


async def test_what_was_not_asked_for_is_no_answer_with_sense() -> None:
    class Unknown(Reads):
        async def __call__(self, target: FilmTarget, place: Cursor, memory: Cursor) -> AsyncGenerator[Any]:
            if target.id == "tt0000001":
                raise MalformedError("a page", b"raw")
            yield Note("no address is known")

    with pytest.raises(MalformedError):
        await _said(Unknown(), {})


async def test_what_said_something_before_it_lost_its_sense_does_not_fail_the_run() -> None:
    class Halves(Reads):
        async def __call__(self, target: FilmTarget, place: Cursor, memory: Cursor) -> AsyncGenerator[Any]:
            yield observed(FactsObserved(film_id=target.id, source="s", title="one"))
            raise MalformedError("odd", b"raw")

    said = await _said(Halves(), {})
    assert len([each for each in said if isinstance(each, Refused)]) == len(FILMS)


async def test_other_errors_end_the_run() -> None:
    reads = Reads(tt0000002=RetryableError("busy"))
    with pytest.raises(RetryableError):
        await _said(reads, {})
    assert len(reads.seen) == 2


async def test_without_targets_there_is_nothing_to_do() -> None:
    (note,) = await _said(Reads(), {"after": "tt0000001"}, ())
    assert "nothing to ask for" in note.text


class Rounds:
    """Runs behind one another, each with the cursor that the one before it left."""

    def __init__(self, targets: tuple[FilmTarget, ...] = FILMS) -> None:
        self.targets = targets
        self.cursor: Cursor = {}
        self.notes: list[str] = []

    async def run(self, read: Any) -> None:
        """One run, as far as it gets."""
        self.notes = []
        async for each in each_target(self.targets, self.cursor, read):
            if isinstance(each, Checkpoint):
                self.cursor = each.cursor
            elif isinstance(each, Note):
                self.notes.append(each.text)


BROKEN = [
    RetryableError("the server answered 500", only_here=True),
    IncompleteError("the page ends in the middle"),
    SourceError("more than 5 redirects", only_here=True),
]


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
async def test_an_address_that_stays_broken_keeps_nobody_from_those_behind_it(error: SourceError) -> None:
    rounds, first, again = Rounds(), Reads(tt0000002=error), Reads(tt0000002=error)
    with pytest.raises(type(error)):
        await rounds.run(first)
    assert [each[0] for each in first.seen] == ["tt0000001", "tt0000002", "tt0000003"]
    assert rounds.notes == [f"tt0000002: {error}; asked for once more behind the others"]
    await rounds.run(again)
    assert [each[0] for each in again.seen] == ["tt0000002"]
    assert rounds.notes == [f"tt0000002: {error}; passed over, and asked for again by the next round"]
    # It comes up in the next round, is passed over at once, and is as others are once it answers.
    later = Reads(tt0000002=error)
    await rounds.run(later)
    assert [each[0] for each in later.seen] == ["tt0000001", "tt0000002", "tt0000003"]
    await rounds.run(Reads())
    with pytest.raises(type(error)):
        await rounds.run(Reads(tt0000002=error))


async def test_an_address_that_answers_when_it_is_asked_once_more_is_like_all_others() -> None:
    rounds = Rounds()
    with pytest.raises(RetryableError):
        await rounds.run(Reads(tt0000002=BROKEN[0]))
    await rounds.run(Reads())
    assert (rounds.notes, sorted(rounds.cursor["memory"])) == ([], ["tt0000001", "tt0000002", "tt0000003"])
    assert "trouble" not in rounds.cursor


async def test_many_broken_addresses_cost_one_more_try_and_a_source_that_falls_ill_is_left_after_three() -> None:
    films = tuple(FilmTarget(film_id=f"tt{n:07}") for n in range(1, 12))
    broken = {f"tt{n:07}": BROKEN[0] for n in (3, 4, 6, 8, 9, 11)}
    rounds, again = Rounds(films), Reads(**broken)
    with pytest.raises(RetryableError):
        await rounds.run(Reads(**broken))
    await rounds.run(again)
    assert [each[0] for each in again.seen] == sorted(broken)
    ill = Reads(**{film.id: BROKEN[0] for film in films[1:]})
    with pytest.raises(RetryableError):
        await rounds.run(ill)
    # Four that were well before: two are left for later, and the third says that it is the source.
    assert [each[0] for each in ill.seen] == [film.id for film in films[:7]]
    well = Reads()
    await rounds.run(well)
    assert [each[0] for each in well.seen] == [film.id for film in (*films[6:], films[1], films[4])]


async def test_a_target_that_is_passed_over_keeps_what_is_known_of_it() -> None:
    rounds, error = Rounds(), BROKEN[0]
    await rounds.run(Reads())
    for _ in range(2):
        with contextlib.suppress(SourceError):
            await rounds.run(Reads(tt0000002=error))
    assert rounds.cursor["memory"]["tt0000002"] == {"rounds": 1}
    assert rounds.cursor["memory"]["tt0000003"] == {"rounds": 2}


async def test_a_target_that_breaks_in_its_middle_is_gone_on_with_there_before_it_is_passed_over() -> None:
    class Breaks(Reads):
        def __init__(self, at: int) -> None:
            super().__init__()
            self.at = at

        async def __call__(self, target: FilmTarget, place: Cursor, memory: Cursor) -> AsyncGenerator[Any]:
            self.seen.append((target.id, place, memory))
            for part in range(place.get("part", 0), 4):
                yield At({"part": part})
                if target.id == "tt0000002" and part == self.at:
                    raise BROKEN[0]
                yield observed(FactsObserved(film_id=target.id, source="s", title=f"part {part}"))

    rounds = Rounds()
    for at in (1, 2):  # another place each time: the source goes on
        with pytest.raises(RetryableError):
            await rounds.run(Breaks(at))
    stuck = Breaks(2)
    await rounds.run(stuck)
    assert [each[:2] for each in stuck.seen] == [("tt0000002", {"part": 2})]


async def test_a_source_in_trouble_ends_the_run_though_its_targets_were_so_before() -> None:
    rounds = Rounds()
    reads = {film.id: BROKEN[0] for film in FILMS}
    for _ in FILMS:
        with pytest.raises(RetryableError):
            await rounds.run(Reads(**reads))
    await rounds.run(Reads(tt0000003=BROKEN[0]))
    with pytest.raises(RetryableError):
        await rounds.run(Reads(**reads))


async def test_the_only_target_is_never_passed_over() -> None:
    rounds = Rounds(FILMS[:1])
    for _ in range(3):
        with pytest.raises(RetryableError):
            await rounds.run(Reads(tt0000003=BROKEN[0]))
