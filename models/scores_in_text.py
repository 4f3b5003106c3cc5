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

_SEEN: Final = 40
"""Characters before a fraction that tell whether it is one of days or parts."""

_GRADES: Final = {"A": 11.0, "B": 8.0, "C": 5.0, "D": 2.0, "F": 0.0}
_BEST_GRADE: Final = 12.0
_WORDS: Final = {
    "zero": 0.0, "no": 0.0, "one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0, "six": 6.0,
    "seven": 7.0, "eight": 8.0, "nine": 9.0, "ten": 10.0,
}  # fmt: skip
_HALVES: Final = {"½": 0.5, "¼": 0.25, "¾": 0.75}

_NUMBER: Final = rf"(\d{{1,3}}(?:[.,]\d{{1,2}})?|{'|'.join(_WORDS)})(\s*[½¼¾]|\s+and\s+a\s+half)?"
_OF: Final = re.compile(
    rf"(?<![\w./,-]){_NUMBER}\s*(?:/|\bout\s+of\b|\bvon\b|\bsur\b|\bde\b)\s*"
    rf"(\d{{1,3}}(?:[.,]0{{1,2}})?|{'|'.join(_WORDS)})(?![\w/]|[.,]\d|-\d)",
    re.I,
)
_STARS: Final = re.compile(
    rf"(?<![\w./,-]){_NUMBER}(?:[\s-]*stars?\b|\s*[★⭐✮](?![★⭐✩☆✮½]))"
    rf"(?:\s*(?:/|\b(?:out\s+)?of\b)\s*(\d{{1,2}}(?:[.,]0{{1,2}})?|{'|'.join(_WORDS)})(?!\w))?",
    re.I,
)
_SIGNS: Final = re.compile(r"(?<![★⭐✩☆✮])([★⭐✮]{1,10})(\s?½)?([✩☆]{0,9})(?![★⭐✮])")
_PERCENT: Final = re.compile(r"\b(?:score|rating|rated|grade|verdict)\b\s*(?:is|of|:|=|-)?\s*(\d{1,3})\s?%", re.I)
_GRADE: Final = re.compile(
    r"\b(?i:grade|rating|score|verdict|i(?:'d|\s+would)?\s+give\s+(?:it|this)(?:\s+film|\s+movie)?)\b"
    r"\s*(?:is|of|:|=|-)?\s*(?:an?\s+)?([A-DF])\s?([+−–-])?(?![\w'])"
)
_LONE_GRADE: Final = re.compile(r"^\s*([A-DF])\s?([+−-])?\s*[.!]?\s*$")
_NOT_A_SCORE: Final = re.compile(
    r"\b(?:part|chapter|episode|ep|season|day|page|chapters|episodes|volume|reel|disc|take|on|in|since|by|until|till|"
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?|(?:mon|tues|wednes|thurs|fri|satur|sun)day)\.?,?\s*$",
    re.I,
)
_PEOPLE: Final = (
    r"(?:people|persons|viewers|audiences?|(?:movie|film|cinema)goers|spectators|critics|reviewers|users|voters|readers|"
    r"fans|friends|kids|children|adults|men|women|boys|girls|lovers|dentists|actors?|actress(?:es)?|directors?|"
    r"producers?|writers?|singers?|comedians?|villains?|generals?|zuschauern?|leuten?|kritikern?|spectateurs|personnes)"
)
_A_SHARE: Final = re.compile(
    rf"[ \t]+(?:of|der|des|du|{_PEOPLE}|episodes|seasons|chapters|parts|scenes|films|movies|times?|hours|minutes|jokes|"
    r"chances?|majority|done|finished|full|empty|way|through)\b",
    re.I,
)
_A_COUNT: Final = re.compile(
    rf"[\s-]*(?:who(?:se)?\b|of\b|(?:(?:from|and|of)\s+)?(?:\w+\s+){{0,3}}{_PEOPLE}\b|"
    r"in\b(?!\s+(?:my|our)\b)|from\s+(?:hollywood|bollywood|broadway)\b|(?:hotel|restaurant|resort)s?\b)",
    re.I,
)
_A_COUNT_IN_WORDS: Final = re.compile(r"\s*from\b(?!\s+(?:me|us|my|our)\b)", re.I)


def score_in(text: str) -> Score | None:
    """The one score that a text gives; None where it gives none, or several that differ.

    Reads fractions, stars in words and signs, percents and school grades that are called a score. A text that compares
    (4 stars for the first film, 2 for the second) says nothing certain, so nothing is guessed from it.
    """
    plain = unicodedata.normalize("NFKC", text).replace("⁄", "/") if "½" not in text else text
    # Phones put a mark behind a star that makes it colourful.
    plain = plain.replace("\ufe0f", "")
    for read in _READERS:
        found = {score for score in read(plain) if 0 <= score.worst <= score.value <= score.best}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _fractions(text: str) -> list[Score]:
    found = []
    for match in _OF.finditer(text):
        best = _number(match.group(3), None)
        # 9/11, 24/7 and 2/3 are no scores, nor is "part 1/2" or "9 out of 10 people".
        before = text[max(0, match.start() - _SEEN) : match.start()]
        if best in BESTS and not _NOT_A_SCORE.search(before) and not _A_SHARE.match(text, match.end()):
            found.append(Score(_number(match.group(1), match.group(2)), best))
    return found


def _stars(text: str) -> list[Score]:
    found = []
    for match in _STARS.finditer(text):
        value = _number(match.group(1), match.group(2))
        best = _number(match.group(3), None) if match.group(3) else (5.0 if value <= 5 else 10.0)
        # "two stars" of the cast, and "all star cast": a count of people is no score.
        counts = _A_COUNT.match(text, match.end())
        if not match.group(1)[0].isdigit():
            counts = counts or _A_COUNT_IN_WORDS.match(text, match.end())
        if counts is None or match.group(3):
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
