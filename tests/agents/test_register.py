"""Who is registered, whatever order pushes and forgettings come round in."""

from __future__ import annotations

from itertools import combinations

import pytest

from agents.messages import Message, rfc3339
from agents.register import is_gone, register_celebrity, register_film
from schemas.base import Record
from schemas.commands import EraseCelebrity, SubmitCelebrity, SubmitFilm
from schemas.entities import Celebrity, Film, Pushed
from schemas.envelope import Envelope
from schemas.events import FilmRegistered
from schemas.pictures import CelebrityRegistered

TILDA = "Q200534"


async def told(people: dict[str, Celebrity], data: Record, asked_at: int) -> list[Record]:
    """What the stage says to a record that follows from something asked for at that second."""
    envelope = Envelope("e", "e", "cause", rfc3339(asked_at * 1000))
    message = Message(data, envelope, data.topic, 0, 0, 10_000_000)
    return [event async for event in register_celebrity(message, people)]


def push(name: str | None = None, **fields: object) -> SubmitCelebrity:
    return SubmitCelebrity(celebrity_id=TILDA, name=name, pushed=True, **fields)  # type: ignore[arg-type]


async def test_an_id_that_says_what_a_film_is_corrects_what_was_presumed() -> None:
    known = {"tmdb:tv/1399": Film(film_id="tmdb:tv/1399", title="Game of Thrones")}
    command = SubmitFilm(film_id="tmdb:tv/1399")
    said = Message(command, Envelope("e", "e"), command.topic, 0, 0, 0)
    (registered,) = [event async for event in register_film(said, known)]
    assert registered == FilmRegistered(film_id="tmdb:tv/1399", title="Game of Thrones", kind="tv")
    assert [event async for event in register_film(said, known)] == []


EARLY = [(push("An old name", imdb="nm0000001"), 10), (SubmitCelebrity(celebrity_id=TILDA, tmdb=7), 20)]
LATE = [(push("Tilda Swinton"), 40), (push(wikidata=TILDA), 50), (push("Somebody else", tmdb=9), 60)]
FORGET = (EraseCelebrity(celebrity_id=TILDA, order=5), 30)


@pytest.mark.parametrize("places", list(combinations(range(6), 3)))
async def test_what_was_pushed_after_a_forgetting_stays_however_late_the_erasure_comes(places: tuple[int, ...]) -> None:
    # Submissions keep their order, since they come by one way; the erasure and what is old come at any moment.
    late, others = iter(LATE), iter([EARLY[0], FORGET, EARLY[1]])
    people: dict[str, Celebrity] = {}
    last: list[Record] = []
    for n in range(6):
        last = await told(people, *next(late if n in places else others)) or last
    found = people[TILDA]
    assert (found.name, found.wikidata, found.tmdb, found.imdb) == ("Tilda Swinton", TILDA, 9, None)
    assert (found.era, found.gone_order) == (1, 5)
    expected = CelebrityRegistered(celebrity_id=TILDA, name="Tilda Swinton", wikidata=TILDA, tmdb=9, life=5)
    assert last == [expected]


async def test_nothing_of_what_was_there_before_a_forgetting_is_left() -> None:
    people: dict[str, Celebrity] = {}
    for submission in EARLY:
        await told(people, *submission)
    assert await told(people, *FORGET) == []
    assert is_gone(people[TILDA])
    assert await told(people, SubmitCelebrity(celebrity_id=TILDA, name="heard of"), 70) == []
    assert is_gone(people[TILDA])


@pytest.mark.parametrize("number", [-4, 0, 10**10])
async def test_whoever_stands_there_with_a_tmdb_number_that_is_none_is_mended_by_a_correct_push(number: int) -> None:
    bad = Pushed(at=rfc3339(10_000), name="Neg", tmdb=number)
    people = {TILDA: Celebrity(celebrity_id=TILDA, name="Neg", wikidata=TILDA, tmdb=number, pushes=(bad,))}
    (mended,) = await told(people, push("Neg", wikidata=TILDA, tmdb=7), 20)
    assert mended == CelebrityRegistered(celebrity_id=TILDA, name="Neg", wikidata=TILDA, tmdb=7)
    assert people[TILDA].tmdb == 7


@pytest.mark.parametrize("number", [-4, 0, 10**10])
async def test_a_tmdb_number_that_is_none_is_no_part_of_what_is_registered(number: int) -> None:
    people: dict[str, Celebrity] = {}
    (found,) = await told(people, push("Neg", wikidata=TILDA, tmdb=number), 20)
    assert found == CelebrityRegistered(celebrity_id=TILDA, name="Neg", wikidata=TILDA)
    (again,) = await told(people, EraseCelebrity(celebrity_id=TILDA, order=5), 15)
    assert again == CelebrityRegistered(celebrity_id=TILDA, name="Neg", wikidata=TILDA, life=5)


@pytest.mark.parametrize("number", [-4, 0, 10**10])
async def test_a_film_with_a_tmdb_number_that_is_none_is_registered_without_and_mended_alike(number: int) -> None:
    films = {"Q1": Film(film_id="Q1", title="Heat", tmdb=number)}
    for said, expected in ((None, None), (number, None), (949, 949)):
        command = SubmitFilm(film_id="Q1", title="Heat", tmdb=said)
        message = Message(command, Envelope("e", "e", "cause", rfc3339(0)), command.topic, 0, 0, 0)
        found = [event async for event in register_film(message, films)]
        assert films["Q1"].tmdb == expected
        assert all(isinstance(event, FilmRegistered) and event.tmdb == expected for event in found)


async def test_pushing_the_same_again_and_again_keeps_one_of_it_and_its_last_moment() -> None:
    people: dict[str, Celebrity] = {}
    assert len(await told(people, push("Tilda Swinton"), 10)) == 1
    for second in (20, 40):
        assert await told(people, push("Tilda Swinton"), second) == []
    assert [each.at for each in people[TILDA].pushes] == [rfc3339(40_000)]
    (again,) = await told(people, *FORGET)
    assert again == CelebrityRegistered(celebrity_id=TILDA, name="Tilda Swinton", life=5)
