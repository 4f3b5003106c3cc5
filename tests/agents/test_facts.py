"""What several sources say of a film becomes one statement that fits into one record."""

from __future__ import annotations

from typing import Any

from agents.facts import MOST_GENRES, merge_facts
from agents.messages import Message
from schemas.catalogue import encode
from schemas.entities import FilmFacts
from schemas.envelope import Envelope
from schemas.events import FactsObserved

FILM = "tt1375666"
LARGEST_VALUE = 1_000_000
"""Bytes that a record may have by default (`delivery.max_value`), a little less than brokers take."""


async def merged(*said: dict[str, Any]) -> FilmFacts:
    """What is known of the film after these statements."""
    known: dict[str, FilmFacts] = {}
    for n, fields in enumerate(said):
        facts = FactsObserved(film_id=FILM, source=f"s{n}", **fields)
        assert len(encode(facts)) <= LARGEST_VALUE, "a statement that is read at all"
        async for _ in merge_facts(Message(facts, Envelope(f"id-{n}", f"id-{n}"), "facts", 0, n, 0), known):
            pass
    return known[FILM]


async def test_each_source_adds_what_the_others_lack() -> None:
    known = await merged({"title": "Inception", "year": 2010}, {"genres": ("Heist",), "plot": "A thief."})
    assert (known.facts.title, known.facts.year, known.facts.genres) == ("Inception", 2010, ("Heist",))
    assert known.facts.plot == "A thief."


async def test_two_statements_that_a_broker_takes_become_none_that_it_refuses() -> None:
    many = tuple(f"genre {n} ".ljust(64, "x") for n in range(14_000))
    known = await merged({"plot": "𝄞" * 200_000}, {"genres": many})
    assert known.facts.genres == many[:MOST_GENRES]
    assert known.facts.plot == "𝄞" * 200_000
    assert len(encode(known.facts)) < LARGEST_VALUE
