"""Reads the score that an author gave in words or signs: 8/10, 4 stars, B+, 85 %, two and a half out of five."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final, NamedTuple


class Score(NamedTuple):
    """A score on the author's own scale, from `worst` to `best`."""

    value: float
    best: float
    worst: float = 0.0


BESTS: Final = frozenset({4, 5, 6, 10, 20, 100})
"""Scales that critics use; another denominator is a date, a share of viewers or a part of a series."""

_GRADES: Final = {"A": 11.0, "B": 8.0, "C": 5.0, "D": 2.0, "F": 0.0}
_BEST_GRADE: Final = 12.0
_WORDS: Final = {
    "zero": 0.0, "no": 0.0, "one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0, "six": 6.0,
    "seven": 7.0, "eight": 8.0, "nine": 9.0, "ten": 10.0,
}  # fmt: skip
_HALVES: Final = {"½": 0.5, "¼": 0.25, "¾": 0.75}

_NUMBER: Final = rf"(\d{{1,3}}(?:[.,]\d{{1,2}})?|{'|'.join(_WORDS)})(\s*[½¼¾]|\s+and\s+a\s+half)?"
_OF: Final = re.compile(
    rf"(?<![\w./,-]){_NUMBER}\s*(?:/|\bout\s+of\b|\bvon\b|\bsur\b|\bde\b)\s*(\d{{1,3}}|{'|'.join(_WORDS)})(?![\w/]|[.,]\d|-\d)",
    re.I,
)
_STARS: Final = re.compile(
    rf"(?<![\w./,-]){_NUMBER}[\s-]*stars?\b(?:\s*(?:/|\bout\s+of\b)\s*(\d{{1,2}}|{'|'.join(_WORDS)})(?!\w))?", re.I
)
_SIGNS: Final = re.compile(r"(?<![★⭐✩☆✮])([★⭐✮]{1,10})(\s?½)?([✩☆]{0,9})(?![★⭐✮])")
_PERCENT: Final = re.compile(r"\b(?:score|rating|rated|grade|verdict)\b\s*(?:is|of|:|=|-)?\s*(\d{1,3})\s?%", re.I)
_GRADE: Final = re.compile(
    r"\b(?i:grade|rating|score|verdict|i(?:'d|\s+would)?\s+give\s+(?:it|this)(?:\s+film|\s+movie)?)\b"
    r"\s*(?:is|of|:|=|-)?\s*(?:an?\s+)?([A-DF])\s?([+−–-])?(?![\w'])"
)
_LONE_GRADE: Final = re.compile(r"^\s*([A-DF])\s?([+−-])?\s*[.!]?\s*$")
_NOT_A_SCORE: Final = re.compile(
    r"\b(?:part|chapter|episode|season|day|page|chapters|reel|disc|take|on|in|since|by)\s*$", re.I
)


def score_in(text: str) -> Score | None:
    """The one score that a text gives; None where it gives none, or several that differ.

    Reads fractions, stars in words and signs, percents and school grades that are called a score. A text that compares
    (4 stars for the first film, 2 for the second) says nothing certain, so nothing is guessed from it.
    """
    plain = unicodedata.normalize("NFKC", text).replace("⁄", "/") if "½" not in text else text
    for read in _READERS:
        found = {score for score in read(plain) if 0 <= score.worst <= score.value <= score.best}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _fractions(text: str) -> list[Score]:
    found = []
    for match in _OF.finditer(text):
        best = _number(match.group(3), None)
        # 9/11, 24/7 and 2/3 are no scores, nor is "part 1/2".
        if best in BESTS and not _NOT_A_SCORE.search(text[: match.start()]):
            found.append(Score(_number(match.group(1), match.group(2)), best))
    return found


def _stars(text: str) -> list[Score]:
    found = []
    for match in _STARS.finditer(text):
        value = _number(match.group(1), match.group(2))
        best = _number(match.group(3), None) if match.group(3) else (5.0 if value <= 5 else 10.0)
        # "two stars" of the cast, and "all star cast": a count of people is no score.
        if not re.match(r"\s*(?:of|in|from|who|whose|and)\b", text[match.end() :], re.I):
            found.append(Score(value, best))
    return found


def _signs(text: str) -> list[Score]:
    found = []
    for full, half, empty in _SIGNS.findall(text):
        value = len(full) + (0.5 if half else 0.0)
        best = max(5.0, float(len(full) + len(empty) + (1 if half and empty else 0)))
        if len(full) > 1 or half or empty:
            found.append(Score(value, best))
    return found


def _percents(text: str) -> list[Score]:
    return [Score(float(number), 100.0) for number in _PERCENT.findall(text)]


def _grades(text: str) -> list[Score]:
    lone = _LONE_GRADE.match(text)
    said = [lone.groups()] if lone else _GRADE.findall(text)
    return [Score(_grade(letter.upper(), sign), _BEST_GRADE) for letter, sign in said]


def _grade(letter: str, sign: str | None) -> float:
    if letter == "F":
        return 0.0
    return _GRADES[letter] + (1.0 if sign == "+" else -1.0 if sign else 0.0)


def _number(digits: str, half: str | None) -> float:
    value = _WORDS[digits.lower()] if digits.lower() in _WORDS else float(digits.replace(",", "."))
    return value + (_HALVES.get((half or "").strip(), 0.5) if half else 0.0)


_READERS: Final[tuple[Callable[[str], list[Score]], ...]] = (_fractions, _stars, _signs, _percents, _grades)
"""The plainest way of saying it first."""
