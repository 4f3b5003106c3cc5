"""What stands for a film in a mention: ids, addresses that hold one, and titles with a year in brackets behind them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

from models.scores_in_text import score_in
from schemas.mentions import FilmMentioned

MOST_TITLES: Final = 5
"""Titles that are looked for in one text."""
MOST_WORDS: Final = 12
LONGEST: Final = 100

_IMDB: Final = re.compile(r"\b(tt[0-9]{7,10})\b")
_WIKIDATA: Final = re.compile(r"wikidata\.org/(?:wiki|entity)/(Q[1-9][0-9]{0,11})\b")
_TMDB: Final = re.compile(r"themoviedb\.org/(movie|tv)/([1-9][0-9]{0,9})\b")
_YEAR: Final = re.compile(r"\((1[89][0-9]{2}|20[0-9]{2})\)")
_BREAK: Final = re.compile(r"[()\n.!?\"“”«»]")
_BEHIND_A_TITLE: Final = " \t\r!?.…\"”»'’*_"


class Dated(NamedTuple):
    """A `Title (Year)`: what may be the title, the longest first; `clear` where it is one, be it known or not."""

    titles: tuple[str, ...]
    year: int
    clear: bool


def in_addresses(mention: FilmMentioned) -> list[str]:
    """The ids in a mention's addresses and text."""
    links = " ".join((*mention.addresses, mention.url or "", mention.text or ""))
    found = [*_IMDB.findall(links), *_WIKIDATA.findall(links)]
    return [*found, *(f"tmdb:{kind}/{number}" for kind, number in _TMDB.findall(links))]


def dated_titles(mention: FilmMentioned) -> list[Dated]:
    """The first few `Title (Year)` of a mention's text."""
    text = mention.text or ""
    scored = mention.value is not None or score_in(text) is not None
    return list(islice(_dated(text, scored), MOST_TITLES))


def _dated(text: str, scored: bool) -> Iterator[Dated]:
    for match in _YEAR.finditer(text):
        before = text[max(0, match.start() - LONGEST) : match.start()].rstrip(_BEHIND_A_TITLE)
        words = _BREAK.split(before)[-1].split()[-MOST_WORDS:]
        # A year behind ordinary words dates something else, unless there is a score: then it is of something.
        titles = [" ".join(words[n:]) for n, word in enumerate(words) if n == 0 or _may_begin(word)]
        if any(char.isalnum() for char in "".join(words)):
            yield Dated(tuple(titles), int(match.group(1)), scored or _may_begin(words[-1]))


def _may_begin(word: str) -> bool:
    """Whether a title may begin with a word: it has a capital, a digit, or a letter of a script without small ones."""
    first = next((char for char in word if char.isalnum()), "")
    return first != "" and not first.islower()
