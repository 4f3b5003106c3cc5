"""From a page to records: read in three ways, held against the film that was asked for, and told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final, NamedTuple

from app.connectors.answers import Answer
from app.connectors.base import FilmTarget
from app.connectors.errors import IncompleteError, MalformedError
from app.connectors.film_pages import Critique, FilmPage, Subject, parse_things
from app.connectors.markup import document, page_text
from app.connectors.movielens import moment
from app.connectors.page_selectors import Selectors, next_page, parse_selected
from app.connectors.pseudonym import pseudonym
from app.connectors.schema_org import parse_json_ld, parse_microdata
from models.scores_in_text import score_in
from models.titles import YEARS_APART, normal, plain
from schemas.base import Record, Rejected
from schemas.events import FactsObserved, RatingObserved, ReviewObserved
from schemas.ids import fenced

LONGEST_TEXT: Final = 200_000
MOST_GENRES: Final = 20
_OPENED: Final = re.compile(rb"<script[^>]*application/ld\+json[^>]*>", re.I)
_CLOSED: Final = re.compile(rb"</script\s*>", re.I)


class Reading(NamedTuple):
    """How pages of a site are read."""

    selectors: Selectors
    scale: tuple[float, float] | None

    def look_at(self, answer: Answer) -> None:
        """Raises IncompleteError for a page that ends in the middle of its JSON-LD."""
        *_, last = [None, *_OPENED.finditer(answer.body)]
        if last is not None and not _CLOSED.search(answer.body, last.end()):
            raise IncompleteError(f"{answer.url}: the page ends in the middle")


def parse_page(answer: Answer, reading: Reading) -> tuple[FilmPage, str | None]:
    """What a page says, and the address of the next one. Raises MalformedError where it says nothing of any film."""
    tree = document(page_text(answer.body, answer.headers.get("Content-Type", "")), "html")
    things = parse_json_ld(tree)
    read = parse_things(things, answer.url, reading.scale)
    read = read.or_else(parse_things(parse_microdata(tree, answer.url), answer.url, reading.scale))
    read = read.or_else(parse_selected(tree, reading.selectors, answer.url, reading.scale))
    if read.empty:
        why = f"; {things.broken} blocks of JSON-LD are broken" if things.broken else ""
        why += "".join(f"; {complaint}" for complaint in read.complaints)
        raise MalformedError(f"{answer.url}: says nothing of a film that could be read{why}", answer.body)
    return read, next_page(tree, reading.selectors, answer.url)


def mismatch(subject: Subject, film: FilmTarget, certain: bool) -> str | None:
    """Why a page is not about a film; None where it is. `certain`: its address was made from an id of the film's.

    Ids decide where both have one; a page that was found by a title has to say title and year itself.
    """
    for said, known in ((subject.imdb, film.imdb), (subject.wikidata, film.wikidata)):
        if said is not None and known is not None:
            return None if said == known else f"is about {said}"
    if certain:
        return None
    if not subject.titles:
        return "does not say which film it is about"
    wanted = normal(plain(film.title or ""))
    if wanted not in {normal(plain(title)) for title in subject.titles}:
        return f"is about {subject.titles[0]!r}"
    if film.year is not None and subject.year is not None and abs(film.year - subject.year) > YEARS_APART:
        return f"is about a film of {subject.year}"
    if film.year is None or subject.year is None:
        return "does not say of which year its film is, and a title alone may be another film's"
    return None


def records_of(page: FilmPage, film_id: str, source: str, url: str, whole: bool) -> Iterator[Record]:
    """Facts and the mean score where `whole`, and the reviews; `url` is the film's first page at the source."""
    if whole:
        yield from _of_the_film(page, film_id, source, url)
    for review in page.reviews:
        score = review.score
        said = None if score is not None else score_in(review.text)
        whose = f"{fenced(url)}|{fenced(str(review.author))}"
        yield ReviewObserved(
            film_id=film_id,
            source=source,
            source_record_id=_fitting(review.id or _digest(f"{whose}|{review.text}")),
            text=review.text[:LONGEST_TEXT],
            lang=review.lang if review.lang and len(review.lang) <= 35 else None,
            rating=score.value if score else said.value if said else None,
            best=score.best if score else said.best if said else None,
            worst=score.worst if score else said.worst if said else None,
            author=pseudonym(source, review.author),
            observed_at=_when(review),
            url=review.url or url,
        )


def _of_the_film(page: FilmPage, film_id: str, source: str, url: str) -> Iterator[Record]:
    title = next((title for title in page.subject.titles if len(title) <= 500), None)
    genres = tuple(genre for genre in page.genres if 0 < len(genre) <= 64)[:MOST_GENRES]
    if title or genres or page.minutes or page.plot:
        yield FactsObserved(
            film_id=film_id,
            source=source,
            title=title,
            year=page.subject.year,
            genres=genres,
            runtime_minutes=page.minutes,
            plot=page.plot[:LONGEST_TEXT] if page.plot else None,
        )
    if page.score is not None:
        yield RatingObserved(
            film_id=film_id,
            source=source,
            source_record_id=_fitting(url),
            value=page.score.value,
            best=page.score.best,
            worst=page.score.worst,
            votes=page.score.votes,
            kind="mean",
            url=url,
        )


def _when(review: Critique) -> str | None:
    try:
        return moment(review.when) if review.when else None
    except Rejected:
        return None


def _fitting(name: str) -> str:
    return name if len(name) <= 512 else _digest(name)


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
