"""What a page says of a film: facts, a mean score and reviews, in schema.org's terms or where selectors point."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from app.connectors.identifiers import imdb_title, wikidata_item
from app.connectors.markup import web_address
from app.connectors.schema_org import Thing, Things, of_type, text_of, things_in, values_of

FILMS: Final = ("Movie", "Film", "TVSeries", "TVMiniSeries", "CreativeWorkSeries")
SCHEMA_BEST: Final = 5.0
SCHEMA_WORST: Final = 1.0
"""The ends of a scale that a page does not name, by schema.org's own definition of bestRating and worstRating."""
FILM_YEARS: Final = range(1870, 2201)

_IMDB: Final = re.compile(r"imdb\.com/(?:[a-z]{2}/)?title/(tt\d{7,10})\b")
_NUMBER: Final = re.compile(r"^\s*(\d{1,9}(?:[.,]\d{1,4})?)\s*(?:/\s*(\d{1,4})|(%))?\s*$")
_WHOLE: Final = re.compile(r"\d[\d\s.,\u00a0\u202f']*")
_DURATION: Final = re.compile(
    r"^P(?:(\d{1,3})D)?T?(?:(\d{1,4}(?:\.\d+)?)H)?(?:(\d{1,5}(?:\.\d+)?)M)?(?:\d+(?:\.\d+)?S)?$"
)
_HOURS: Final = re.compile(
    r"^\s*(?:(\d{1,2})\s*h(?:ours?|rs?|\.)?\s*)?(?:(\d{1,4})\s*m?(?:in(?:ute)?s?|in\.)?)?\s*$", re.I
)
_YEAR: Final = re.compile(r"(?<!\d)(1[89]\d\d|2[01]\d\d)(?!\d)")


class Score(msgspec.Struct, frozen=True):
    """A score on the page's own scale; `votes` where it is a mean."""

    value: float
    best: float
    worst: float
    votes: int | None = None


class Critique(msgspec.Struct, frozen=True):
    """A review. `id` is the page's own name of it, empty where there is none."""

    text: str
    id: str = ""
    url: str | None = None
    author: str | None = None
    when: str | None = None
    lang: str | None = None
    score: Score | None = None


class Subject(msgspec.Struct, frozen=True):
    """The film that a page is about, as the page itself says."""

    titles: tuple[str, ...] = ()
    year: int | None = None
    imdb: str | None = None
    wikidata: str | None = None


class FilmPage(msgspec.Struct, frozen=True):
    """Everything that was read of a page; `complaints` say what of it has no sense."""

    subject: Subject = Subject()
    score: Score | None = None
    reviews: tuple[Critique, ...] = ()
    genres: tuple[str, ...] = ()
    minutes: float | None = None
    plot: str | None = None
    complaints: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing was found."""
        return not (self.subject.titles or self.score or self.reviews or self.minutes or self.plot)

    def or_else(self, other: FilmPage) -> FilmPage:
        """This page, with what it lacks from another reading of it."""
        mine, theirs = self.subject, other.subject
        return FilmPage(
            Subject(
                mine.titles or theirs.titles,
                mine.year or theirs.year,
                mine.imdb or theirs.imdb,
                mine.wikidata or theirs.wikidata,
            ),
            self.score or other.score,
            self.reviews or other.reviews,
            self.genres or other.genres,
            self.minutes or other.minutes,
            self.plot or other.plot,
            (*self.complaints, *other.complaints),
        )


def parse_things(things: Things, base: str, scale: tuple[float, float] | None = None) -> FilmPage:
    """The film among the things of a page, if it is about one; `scale` are worst and best where the page is silent."""
    reviews = of_type(things.found, "Review", "CriticReview", "UserReview")
    films = of_type(things.found, *FILMS) or [
        film for review in reviews for film in things_in(review, "itemReviewed") if "@type" not in film
    ]
    if not films:
        return FilmPage()
    film: Thing | None = films[0]
    complaints: list[str] = []
    # A page that lists films is about none of them; the same film may stand twice, as a whole and as a name.
    others = {(text_of(each, "name") or "").casefold() for each in films} - {""}
    if len(others) > 1:
        film = _main(films, reviews)
    if film is None:
        return FilmPage(complaints=(f"speaks of {len(others)} films",))
    name = text_of(film, "name")
    own = [each for each in films if text_of(each, "name") in (None, name)]
    means = [mean for each in own for mean in things_in(each, "aggregateRating")]
    critiques = [_critique(each, base, scale, complaints) for each in _of_film(reviews, own)]
    return FilmPage(
        _subject(own),
        next((score for mean in means if (score := _score(mean, scale, complaints)) is not None), None),
        tuple({each.text: each for each in critiques if each is not None}.values()),
        tuple(dict.fromkeys(genre for each in own for genre in _texts(each, "genre"))),
        next((minutes for each in own if (minutes := minutes_of(text_of(each, "duration"))) is not None), None),
        next((plot for each in own if (plot := text_of(each, "description"))), None),
        tuple(complaints),
    )


def score_of(
    value: str | None, best: str | None = None, worst: str | None = None, votes: str | None = None,
    scale: tuple[float, float] | None = None,
) -> Score | None:  # fmt: skip
    """A score from texts such as 8.1, 8,1, 81% or 8/10. Raises ValueError for one that has no sense."""
    found = _NUMBER.match(value or "")
    if not found:
        if value:
            raise ValueError(f"score {value[:100]!r} is no number")
        return None
    said = 100.0 if found[3] else number_of(found[2]) or number_of(best)
    ends = scale or (SCHEMA_WORST, SCHEMA_BEST)
    top = said if said is not None else ends[1]
    stated = number_of(worst)
    bottom = stated if stated is not None else (0.0 if said not in (None, ends[1]) else ends[0])
    number = float(found[1].replace(",", "."))
    if not bottom <= number <= top or top <= 0:
        raise ValueError(f"score {number:g} is outside {bottom:g} to {top:g}")
    return Score(number, top, bottom, whole_of(votes))


def number_of(text: str | None) -> float | None:
    """A number with a point or a comma; None for anything else."""
    try:
        value = float(text.strip().replace(",", ".")) if text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def whole_of(text: str | None) -> int | None:
    """A count such as 2,345,678 or 1 234; None where there is none."""
    found = _WHOLE.search(text or "")
    digits = re.sub(r"\D", "", found[0]) if found else ""
    return int(digits) if 0 < len(digits) <= 15 else None


def minutes_of(text: str | None) -> float | None:
    """A duration in minutes, written as PT2H28M, 2h 28m, 148 min or 148."""
    said = (text or "").strip().replace("\u00a0", " ")
    found = _DURATION.match(said.upper())
    days, hours, minutes = found.groups() if found else (None, *(_HOURS.match(said) or re.match("()()", "")).groups())  # type: ignore[union-attr]
    total = float(days or 0) * 1440 + float(hours or 0) * 60 + float(minutes or 0)
    return total if 0 < total <= 100_000 else None


def year_of(text: str | None) -> int | None:
    """The one year in a text; None where there is none or several."""
    found = {int(year) for year in _YEAR.findall(text or "")}
    return found.pop() if len(found) == 1 else None


def _main(films: list[Thing], reviews: list[Thing]) -> Thing | None:
    """The film that a page is about where it names several: the one with a score, or the one that is reviewed."""
    reviewed = [film for review in reviews for film in things_in(review, "itemReviewed")]
    for some in ([film for film in films if "aggregateRating" in film], reviewed):
        if len({text_of(film, "name") for film in some}) == 1:
            return some[0]
    return None


def _of_film(reviews: list[Thing], films: list[Thing]) -> Iterable[Thing]:
    """The reviews inside the film, and those that say that they are of it; those of nothing in particular too."""
    inside = [review for film in films for name in ("review", "reviews") for review in things_in(film, name)]
    names = {text_of(film, "name") for film in films}
    for review in (*inside, *(each for each in reviews if all(each is not other for other in inside))):
        of = {text_of(each, "name") for each in things_in(review, "itemReviewed")} - {None}
        if not of or of & names:
            yield review


def _subject(films: list[Thing]) -> Subject:
    names = [name for film in films for key in ("name", "alternateName", "alternativeHeadline") for name in
             _texts(film, key)]  # fmt: skip
    links = [str(link) for film in films for key in ("sameAs", "@id", "url") for link in values_of(film, key)]
    imdb = {found[1] for link in links if (found := _IMDB.search(link))}
    items = {item for link in links if "wikidata.org" in link and (item := wikidata_item(link))}
    dates = (text_of(film, key) for film in films for key in ("datePublished", "dateCreated", "copyrightYear"))
    return Subject(
        tuple(dict.fromkeys(names)),
        next((year for date in dates if (year := year_of((date or "")[:10])) is not None), None),
        imdb_title(imdb.pop()) if len(imdb) == 1 else None,
        items.pop() if len(items) == 1 else None,
    )


def _score(thing: Thing, scale: tuple[float, float] | None, complaints: list[str]) -> Score | None:
    votes = text_of(thing, "ratingCount") or text_of(thing, "reviewCount")
    if votes is not None and whole_of(votes) == 0:
        # How pages write that nobody has voted yet.
        return None
    try:
        return score_of(
            text_of(thing, "ratingValue"), text_of(thing, "bestRating"), text_of(thing, "worstRating"), votes, scale
        )
    except ValueError as error:
        complaints.append(str(error))
        return None


def _critique(review: Thing, base: str, scale: tuple[float, float] | None, complaints: list[str]) -> Critique | None:
    text = text_of(review, "reviewBody") or text_of(review, "description") or text_of(review, "articleBody")
    if not text:
        return None
    score = next((_score(each, scale, complaints) for each in things_in(review, "reviewRating")), None)
    return Critique(
        text=text,
        id=text_of(review, "@id") or text_of(review, "url") or "",
        url=web_address(text_of(review, "url"), base),
        author=text_of(review, "author") or text_of(review, "creator"),
        when=text_of(review, "datePublished"),
        lang=text_of(review, "inLanguage"),
        score=score,
    )


def _texts(thing: Thing, name: str) -> list[str]:
    found: list[Any] = values_of(thing, name)
    made = [text_of({name: [each]}, name) for each in found]
    return [part.strip() for text in made if text for part in (text.split(",") if name == "genre" else [text])]
