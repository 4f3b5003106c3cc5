"""Which known film a title means: exact first, then alike, and None wherever two answers are possible."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from rapidfuzz import fuzz, process

Kind = Literal["movie", "tv"]

ALIKE: Final = 92.0
"""Similarity (0-100, rapidfuzz's ratio of normalised titles) from which on two titles are one film's."""
WORTH_SHOWING: Final = 80.0
"""From here on a film is offered to whoever resolves a mention by hand."""
MARGIN: Final = 4.0
"""How much better than the runner-up an inexact title has to be."""
YEARS_APART: Final = 1
"""Sources date a film by its first showing or by its release, which may lie a year apart."""
MOST_OFFERED: Final = 5

_ARTICLES: Final = "the|a|an|der|die|das|ein|eine|le|la|les|un|une|el|los|las|il|lo|gli|i"
_MOVED: Final = re.compile(rf"^(.*),\s+({_ARTICLES}|l')$", re.I)
_FIRST: Final = re.compile(rf"^(?:(?:{_ARTICLES})\s+|l\s+)(?=\S)")
_ALSO: Final = re.compile(r"\s*\((?:a\.?k\.?a\.?|also known as)?[^()]*\)\s*")
_ROMAN: Final = {"ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6", "vii": "7", "viii": "8", "ix": "9"}
_SEQUEL: Final = re.compile(r"\d+")


class Known(NamedTuple):
    """A film that may be meant."""

    film_id: str
    title: str
    year: int | None
    kind: Kind


class Offer(NamedTuple):
    """A film with how alike its title is, 0 to 100."""

    film: Known
    score: float


class Match(NamedTuple):
    """The film that is meant, or None with why not and what it may be."""

    film: Known | None
    score: float
    reason: str
    offers: tuple[Offer, ...]


def normal(title: str) -> str:
    """A title without what catalogues write differently: case, accents, punctuation, articles, Roman numbers."""
    moved = _MOVED.match(title.strip())
    whole = f"{moved.group(2)} {moved.group(1)}" if moved else title
    plain = unicodedata.normalize("NFKD", whole.replace("&", " and ")).casefold()
    kept = "".join(" " if not char.isalnum() else char for char in plain if not unicodedata.combining(char))
    words = [_ROMAN.get(word, word) for word in kept.split()]
    joined = " ".join(words)
    return _FIRST.sub("", joined) or joined


def plain(title: str) -> str:
    """A title without what stands in brackets behind it, such as its name in another language."""
    return _ALSO.sub(" ", title).strip() or title


class TitleIndex:
    """Films by title and year. Memory grows with the films; a look-up compares only those of near years."""

    def __init__(self, films: Iterable[Known] = ()) -> None:
        self._films: dict[str, Known] = {}
        self._by_year: dict[int | None, dict[str, str]] = {}
        self._exact: dict[str, set[str]] = {}
        for film in films:
            self.add(film)

    def __len__(self) -> int:
        return len(self._films)

    def get(self, film_id: str) -> Known | None:
        """What is known of a film."""
        return self._films.get(film_id)

    def add(self, film: Known) -> None:
        """Know a film; what was known of the same id before is replaced."""
        self.remove(film.film_id)
        self._films[film.film_id] = film
        self._by_year.setdefault(film.year, {})[film.film_id] = normal(plain(film.title))
        for key in _keys(film.title):
            self._exact.setdefault(key, set()).add(film.film_id)

    def remove(self, film_id: str) -> None:
        """Know a film no longer."""
        film = self._films.pop(film_id, None)
        if film is None:
            return
        del self._by_year[film.year][film_id]
        for key in _keys(film.title):
            self._exact[key].discard(film_id)

    def match(self, title: str, year: int | None = None, kind: Kind | None = None) -> Match:
        """The one film that a title means. Never a guess: where two may be meant, or none is near enough, it is None.

        Without a year only a title that a single known film has is enough.
        """
        key = normal(plain(title))
        if not key:
            return Match(None, 0.0, "the title has no letter or digit", ())
        same = [film for film in self._same(title) if kind in (None, film.kind)]
        near = [film for film in same if _near(film.year, year)]
        if year is None:
            return _only(same, f"{len(same)} films are called so, and the mention names no year")
        on_the_year = [film for film in near if film.year == year]
        if len(on_the_year) == 1:
            return Match(on_the_year[0], 100.0, "", (Offer(on_the_year[0], 100.0),))
        if near:
            return _only(near, f"{len(near)} films are called so in those years")
        return self._alike(key, year, kind, same)

    def _alike(self, key: str, year: int, kind: Kind | None, same: list[Known]) -> Match:
        offers = self._offers(key, year, kind)
        shown = (*(Offer(film, 100.0) for film in same), *offers)[:MOST_OFFERED]
        if not offers or offers[0].score < ALIKE:
            reason = "no known film of those years is called so"
            return Match(None, offers[0].score if offers else 0.0, reason, shown)
        best = offers[0]
        if len(offers) > 1 and best.score - offers[1].score < MARGIN:
            return Match(None, best.score, "two films are called much like it", shown)
        # One digit makes another film of a series, however alike the rest is.
        if _SEQUEL.findall(key) != _SEQUEL.findall(normal(plain(best.film.title))):
            return Match(None, best.score, "the numbers in the titles differ", shown)
        return Match(best.film, best.score, "", shown)

    def _same(self, title: str) -> list[Known]:
        found = {film_id for key in _keys(title) for film_id in self._exact.get(key, ())}
        return [self._films[film_id] for film_id in sorted(found)]

    def _offers(self, key: str, year: int, kind: Kind | None) -> list[Offer]:
        found: list[Offer] = []
        for near in range(year - YEARS_APART, year + YEARS_APART + 1):
            names = self._by_year.get(near, {})
            for _, score, film_id in process.extract(
                key, names, scorer=fuzz.ratio, score_cutoff=WORTH_SHOWING, limit=MOST_OFFERED + 1
            ):
                film = self._films[film_id]
                if kind in (None, film.kind):
                    found.append(Offer(film, round(float(score), 1)))
        return sorted(found, key=lambda offer: (-offer.score, offer.film.film_id))


def _keys(title: str) -> set[str]:
    """The normal forms under which a title is found exactly: whole, and without brackets."""
    return {key for key in (normal(title), normal(plain(title))) if key}


def _near(one: int | None, other: int | None) -> bool:
    return one is None or other is None or abs(one - other) <= YEARS_APART


def _only(films: list[Known], reason: str) -> Match:
    offers = tuple(Offer(film, 100.0) for film in films[:MOST_OFFERED])
    if len(films) == 1:
        return Match(films[0], 100.0, "", offers)
    return Match(None, 100.0 if films else 0.0, reason if films else "no known film is called so", offers)
