"""What TMDB's API (version 3) answers, and the records in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from app.connectors.answers import Answer
from app.connectors.base import FilmTarget, PersonTarget, Refused
from app.connectors.elements import Each, Raws
from app.connectors.errors import (
    AuthFailedError,
    NotFoundError,
    RetryableError,
    SourceError,
)
from app.connectors.identifiers import imdb_name, imdb_title, wikidata_item
from app.connectors.movielens import moment
from app.connectors.pseudonym import pseudonym
from schemas.base import BEST_SCORE, Record, Rejected
from schemas.commands import SubmitCelebrity, SubmitFilm
from schemas.events import FactsObserved, RatingObserved, ReviewObserved
from schemas.pictures import ImageFound

SITE: Final = "https://www.themoviedb.org"
MOST_PAGES: Final = 500
LONGEST_REVIEW: Final = 200_000
NO_CREDENTIAL: Final = frozenset({3, 7, 10, 14, 30, 31, 32, 33, 35, 36, 45})
IN_TROUBLE: Final = frozenset({9, 11, 24, 25, 43, 46})
MISSING: Final = frozenset({6, 34, 37})


class Images(msgspec.Struct):
    """Of /configuration: where pictures lie and in which sizes."""

    secure_base_url: str
    profile_sizes: list[str]


class Configuration(msgspec.Struct):
    """Of /configuration."""

    images: Images


class Found(msgspec.Struct):
    """One result of /find."""

    id: int


class Finds(msgspec.Struct):
    """Of /find/{id}."""

    movie_results: Raws | None = None
    tv_results: Raws | None = None
    person_results: Raws | None = None


class Ids(msgspec.Struct):
    """Appended external ids; empty texts are as good as none."""

    imdb_id: str | None = None
    wikidata_id: str | None = None


class Profile(msgspec.Struct):
    """A picture of a person, sizes in pixels of the original."""

    file_path: str
    width: int | None = None
    height: int | None = None


class Profiles(msgspec.Struct):
    """Appended images."""

    profiles: Raws | None = None


class Person(msgspec.Struct):
    """Of /person/{id} with images and external ids."""

    id: int
    name: str | None = None
    images: Profiles | None = None
    external_ids: Ids | None = None


class Genre(msgspec.Struct):
    """One of a film's genres."""

    name: str


class Film(msgspec.Struct):
    """Of /movie/{id} or /tv/{id} with external ids; the two name titles and dates differently."""

    id: int
    title: str | None = None
    name: str | None = None
    release_date: str | None = None
    first_air_date: str | None = None
    runtime: int | None = None
    episode_run_time: list[int | None] | None = None
    budget: float | None = None
    overview: str | None = None
    genres: Raws | None = None
    vote_average: float | None = None
    vote_count: int | None = None
    external_ids: Ids | None = None


class Author(msgspec.Struct):
    """Who wrote a review; `rating` from 0.5 to 10, if any."""

    username: str | None = None
    rating: float | None = None


class Review(msgspec.Struct):
    """One review."""

    id: str
    content: str | None = None
    author: str | None = None
    author_details: Author | None = None
    created_at: str | None = None
    updated_at: str | None = None
    url: str | None = None


class Reviews(msgspec.Struct):
    """A page of reviews."""

    results: Raws
    total_pages: int


_found: Final = Each(Found, "a result")
_profiles: Final = Each(Profile, "a picture")
_genres: Final = Each(Genre, "a genre")
_reviews: Final = Each(Review, "a review")


def parse_fault(answer: Answer) -> SourceError | None:
    """What TMDB's own status codes mean; they stand in the body, whatever the HTTP status is."""
    try:
        said = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return None
    code = said.get("status_code") if isinstance(said, dict) else None
    if not isinstance(code, int) or said.get("success") is not False:
        return None
    text = f"{answer.url}: {said.get('status_message', 'no reason given')} (TMDB code {code})"
    if code in NO_CREDENTIAL:
        return AuthFailedError(text)
    if code in IN_TROUBLE:
        return RetryableError(text)
    return NotFoundError(text) if code in MISSING else SourceError(text)


def parse_found(results: Raws | None) -> int | None:
    """The number of the first result of /find that has one. Raises MalformedError."""
    return next((found.id for found in _found(results).good), None)


def parse_person(
    person: Person, target: PersonTarget, source: str, images: Images, size: str
) -> Iterator[Record | Refused]:
    """Who the person is, then the pictures. Raises MalformedError where no picture of several has sense."""
    ids = person.external_ids or Ids()
    yield SubmitCelebrity(
        celebrity_id=target.celebrity_id,
        name=person.name or target.name,
        wikidata=target.wikidata or wikidata_item(ids.wikidata_id),
        imdb=target.imdb or imdb_name(ids.imdb_id),
        tmdb=person.id,
    )
    profiles, refused = _profiles(person.images.profiles if person.images else None)
    yield from refused
    for profile in profiles:
        width, height = scaled(profile, size)
        yield ImageFound(
            celebrity_id=target.celebrity_id,
            source=source,
            url=f"{images.secure_base_url.rstrip('/')}/{size}{profile.file_path}",
            width=width,
            height=height,
            context_url=f"{SITE}/person/{person.id}",
        )


def scaled(profile: Profile, size: str) -> tuple[int | None, int | None]:
    """Width and height in pixels of a picture in a size such as w185, h632 or original; None where not known."""
    wanted = int(size[1:]) if size[1:].isdigit() else 0
    if not wanted or not profile.width or not profile.height:
        return profile.width, profile.height
    if size.startswith("w"):
        return wanted, round(profile.height * wanted / profile.width)
    return round(profile.width * wanted / profile.height), wanted


def parse_film(film: Film, target: FilmTarget, source: str) -> Iterator[Record | Refused]:
    """The film's ids and facts, and its mean rating if anybody voted. Raises MalformedError."""
    title, day = film.title or film.name, film.release_date or film.first_air_date or ""
    year = int(day[:4]) if day[:4].isdigit() and 1870 <= int(day[:4]) <= 2200 else None
    minutes = film.runtime or next(iter(film.episode_run_time or ()), None)
    ids, (genres, refused) = film.external_ids or Ids(), _genres(film.genres)
    yield from refused
    yield SubmitFilm(
        film_id=target.film_id,
        title=target.title or title,
        kind=target.kind,
        year=target.year or year,
        imdb=target.imdb or imdb_title(ids.imdb_id),
        wikidata=target.wikidata or wikidata_item(ids.wikidata_id),
        tmdb=film.id,
    )
    yield FactsObserved(
        film_id=target.film_id,
        source=source,
        title=title or None,
        year=year,
        genres=tuple(genre.name[:64] for genre in genres),
        # TMDB writes 0 for what it does not know.
        runtime_minutes=minutes or None,
        budget=film.budget or None,
        plot=film.overview or None,
    )
    if film.vote_count and film.vote_average is not None:
        yield RatingObserved(
            film_id=target.film_id,
            source=source,
            source_record_id=f"{target.kind}/{film.id}",
            value=film.vote_average,
            best=BEST_SCORE,
            worst=0.0,
            votes=film.vote_count,
            kind="mean",
            url=f"{SITE}/{target.kind}/{film.id}",
        )


def parse_reviews(reviews: Reviews, target: FilmTarget, source: str) -> Iterator[ReviewObserved | Refused]:
    """The reviews of a page that have a text. Raises MalformedError."""
    found, refused = _reviews(reviews.results)
    yield from refused
    for review in found:
        made = parse_review(review, target, source)
        if made is not None:
            yield made


def parse_review(review: Review, target: FilmTarget, source: str) -> ReviewObserved | None:
    """One review; None where it has no text."""
    author = review.author_details or Author()
    text, rating = (review.content or "").strip(), author.rating
    if not text:
        return None
    return ReviewObserved(
        film_id=target.film_id,
        source=source,
        source_record_id=review.id,
        text=text[:LONGEST_REVIEW],
        rating=rating,
        best=None if rating is None else BEST_SCORE,
        worst=None if rating is None else 0.0,
        author=pseudonym(source, author.username or review.author),
        observed_at=_when(review.updated_at or review.created_at),
        url=review.url,
    )


def _when(text: str | None) -> str | None:
    try:
        return moment(text) if text else None
    except Rejected:
        return None
