"""Signs in free text that it is about a film, so that what shows none never enters the log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from app.connectors.base import FilmTarget
from models.scores_in_text import score_in
from schemas.ids import normalised_title

_IDS: Final = re.compile(
    r"\btt[0-9]{7,10}\b|themoviedb\.org/(?:movie|tv)/[1-9]|wikidata\.org/(?:wiki|entity)/Q[1-9]", re.ASCII
)
_DATED: Final = re.compile(r"\S\s*\((?:1[89]\d\d|20\d\d)\)")
_COUNT: Final = re.compile(
    r"\b\d{1,3}(?:[.,]\d+)?\s*(?:/|out\s+of|von|sur)\s*\d+|\b\d{1,2}(?:[.,]\d+)?[\s-]*stars?\b|\(\d{4}\)", re.I
)
_NUMBER: Final = r"(?:\d+|i{1,3}|iv|vi{0,3}|ix|part|chapter|volume)"
_REVIEW: Final = re.compile(r"^(.{1,300}?)(?:['’]s)?\s+(?:film\s+|movie\s+)?review\b", re.I)
_SCORE_AT_END: Final = re.compile(
    r"(?:\d{1,3}(?:[.,]\d{1,2})? ?/ ?\d{1,3}(?:[.,]0{1,2})?|\d{1,2}(?:[.,]\d{1,2})? ?[★⭐]|[★⭐]{1,10}[½☆✩]{0,10})$"
)
_YEAR_AT_END: Final = re.compile(r"\((1[89]\d\d|20\d\d)\)$")
_SEPARATORS: Final = " \t-–—:,.|!\"'“”‘’🎬*_"
LONGEST_LINE: Final = 200


def links_to_films(text: str, addresses: Iterable[str] = ()) -> bool:
    """Whether an id or an address of a film stands in it."""
    return any(_IDS.search(each) for each in (text, *addresses))


def shows_a_film(text: str, addresses: Iterable[str] = ()) -> bool:
    """Whether it can be matched to a film at all: by an id, an address, or a `Title (Year)`."""
    return links_to_films(text, addresses) or _DATED.search(text) is not None


def names(text: str, title: str) -> bool:
    """Whether the whole title stands in a text, and not as the beginning of a sequel's."""
    wanted = normalised_title(title)
    if not wanted:
        return False
    # A score or a year behind a title is not the number of a sequel.
    plain = normalised_title(_COUNT.sub(" ; ", text))
    found = re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)(?! {_NUMBER}(?!\w))", plain)
    return found is not None


def reviewed(headline: str) -> str | None:
    """The title in a headline of the form `Title review – …`; None for other forms."""
    found = _REVIEW.match(" ".join(headline[: LONGEST_LINE * 2].split()))
    return found.group(1).strip("\"'“”‘’ ") or None if found else None


def headline_is_of(headline: str, title: str) -> bool:
    """Whether a headline is about the film: a review's has to name exactly it, any other at least its whole title."""
    said = reviewed(headline)
    return normalised_title(said) == normalised_title(title) if said else names(headline, title)


def scored_title(text: str, films: Iterable[FilmTarget]) -> tuple[str, int | None] | None:
    """Title and year in a first line such as `Inception (2010) 9/10`, if a film that is followed is called so.

    None for anything else: that "it was great 9/10" is of no film, only the list of films can tell.
    """
    # Without the mark that makes a star colourful.
    line = " ".join(text.strip().partition("\n")[0][:LONGEST_LINE].replace("\ufe0f", "").split())
    score = _SCORE_AT_END.search(line)
    if score is None or score_in(line) is None:
        return None
    rest = line[: score.start()].rstrip(_SEPARATORS)
    dated = _YEAR_AT_END.search(rest)
    title = (rest[: dated.start()] if dated else rest).strip(_SEPARATORS)
    said = normalised_title(title)
    if not said or all(normalised_title(film.title or "") != said for film in films):
        return None
    return title, int(dated.group(1)) if dated else None
