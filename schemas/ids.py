"""Deterministic ids, so that a redelivered record writes the same id wherever it goes."""

from __future__ import annotations

import hashlib
import re
import unicodedata
import uuid
from typing import Annotated, Final, Literal

from msgspec import Meta

from schemas.base import Rejected

NAMESPACE: Final = uuid.UUID("6d617271-7565-5e00-8000-000000000001")
Kind = Literal["movie", "tv"]
MOST_TMDB: Final = 10**10 - 1
"""The largest number that is taken for one of TMDB's, which has some millions."""

_FILM = re.compile(
    r"tt[0-9]{7,10}|Q[1-9][0-9]{0,11}|tmdb:(?:movie|tv)/[1-9][0-9]{0,9}"
    r"|local:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
)
_IMDB_TITLE = re.compile(r"tt[0-9]{7,10}")
_WIKIDATA = re.compile(r"Q[1-9][0-9]{0,11}")

_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}

_PERSON = re.compile(
    r"Q[1-9][0-9]{0,11}|nm[0-9]{7,10}|tmdb:person/[1-9][0-9]{0,9}"
    r"|local:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
)


def _told(form: re.Pattern[str]) -> Meta:
    """What JSON Schema says of such an id. Records with another are refused later, with a reason that helps more."""
    return Meta(extra_json_schema={"pattern": f"^(?:{form.pattern})$"})


FILM_FORM: Final = _told(_FILM)
PERSON_FORM: Final = _told(_PERSON)
FilmId = Annotated[str, FILM_FORM]
PersonId = Annotated[str, PERSON_FORM]
ImdbTitle = Annotated[str, _told(_IMDB_TITLE)]
WikidataId = Annotated[str, _told(_WIKIDATA)]

PERSON_ID_FORMS: Final = "Q… (Wikidata), nm… (IMDb), tmdb:person/N or local:<uuid5>"
FILM_ID_FORMS: Final = "tt… (IMDb), Q… (Wikidata), tmdb:movie/N, tmdb:tv/N or local:<uuid5>"


def is_film_id(text: str) -> bool:
    """Whether `text` is one of the canonical forms of a film's id."""
    return _FILM.fullmatch(text) is not None


def said_by_film_id(film: str) -> dict[str, str | int]:
    """What a canonical id alone says of its film: `imdb`, `wikidata`, or `kind` and `tmdb`; a local one nothing."""
    if film.startswith("tmdb:"):
        kind, _, number = film.removeprefix("tmdb:").partition("/")
        return {"kind": kind, "tmdb": int(number)}
    return {} if film.startswith("local:") else {"wikidata" if film.startswith("Q") else "imdb": film}


def said_by_person_id(person: str) -> dict[str, str | int]:
    """What a canonical id alone says of its person: `wikidata`, `imdb` or `tmdb`; a local one nothing."""
    if person.startswith("tmdb:"):
        return {"tmdb": int(person.removeprefix("tmdb:person/"))}
    return {} if person.startswith("local:") else {"wikidata" if person.startswith("Q") else "imdb": person}


def is_tmdb_number(number: int) -> bool:
    """Whether TMDB may have something under this number."""
    return 0 < number <= MOST_TMDB


def normalised_title(title: str) -> str:
    """The title without case, accents, punctuation and repeated spaces, for comparing."""
    plain = unicodedata.normalize("NFKD", title).casefold()
    kept = "".join(c if c.isalnum() else " " for c in plain if not unicodedata.combining(c))
    return " ".join(kept.split())


_TYPED: Final = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
"""How letters are typed that Unicode does not take for others with a sign."""
_WRITTEN: Final = {
    "l": "(l|ł)",
    "o": "(o|ø)",
    "d": "(d|đ|ð)",
    "h": "(h|ħ)",
    "t": "(t|ŧ)",
    "i": "(i|ı)",
    "ae": "(ae|æ)",
    "oe": "((o|ø)e|œ)",
    "th": "((t|ŧ)(h|ħ)|þ)",
}
_TYPED_PART: Final = re.compile("|".join(sorted(_WRITTEN, key=len, reverse=True)))


def search_words(text: str) -> list[str]:
    """The words of a text as regular expressions, which find them in what went through `normalised_title`.

    That leaves letters such as ł and æ as they are, and always will: ids are made from it.
    """
    typed = normalised_title(text).translate(_TYPED)
    return [_TYPED_PART.sub(lambda found: _WRITTEN[found[0]], word) for word in typed.split()]


def film_id(title: str, year: int | None, kind: Kind, imdb: str | None, wikidata: str | None, tmdb: int | None) -> str:
    """The canonical id: IMDb, else Wikidata, else TMDB, else one made from title, year and kind.

    Raises Rejected for an identifier that is not in its own form.
    """
    if imdb is not None and not _IMDB_TITLE.fullmatch(imdb):
        raise Rejected(f"imdb: {imdb!r} is not an IMDb title id such as tt1375666")
    if wikidata is not None and not _WIKIDATA.fullmatch(wikidata):
        raise Rejected(f"wikidata: {wikidata!r} is not a Wikidata id such as Q25188")
    if tmdb is not None and not is_tmdb_number(tmdb):
        raise Rejected(f"tmdb: {tmdb} is not a TMDB number")
    if imdb or wikidata:
        return imdb or wikidata or ""
    if tmdb:
        return f"tmdb:{kind}/{tmdb}"
    if not normalised_title(title):
        raise Rejected("title: needs a letter or digit where no imdb, wikidata or tmdb id is given")
    identity = f"{normalised_title(title)}|{year or ''}|{kind}"
    return f"local:{uuid.uuid5(NAMESPACE, identity)}"


def celebrity_id(name: str, wikidata: str | None, tmdb: int | None) -> str:
    """The canonical id of a person: Wikidata, else TMDB, else one made from the name.

    Raises Rejected for an identifier that is not in its own form.
    """
    if wikidata is not None and not _WIKIDATA.fullmatch(wikidata):
        raise Rejected(f"wikidata: {wikidata!r} is not a Wikidata id such as Q200534")
    if tmdb is not None and not is_tmdb_number(tmdb):
        raise Rejected(f"tmdb: {tmdb} is not a TMDB number")
    if wikidata:
        return wikidata
    if tmdb:
        return f"tmdb:person/{tmdb}"
    if not normalised_title(name):
        raise Rejected("name: needs at least one letter or digit where no wikidata or tmdb id is given")
    return f"local:{uuid.uuid5(NAMESPACE, f'person|{normalised_title(name)}')}"


def is_celebrity_id(text: str) -> bool:
    """Whether `text` is one of the canonical forms of a person's id."""
    return _PERSON.fullmatch(text) is not None


def fenced(name: str, bar: str = "|") -> str:
    """A name that may hold anything, as it stands in a key or an id that goes on behind a `bar`.

    It is the name itself unless it holds the bar: then it begins with one, which no other name does, and its own are
    escaped, so that nothing of it is taken for what comes behind. What is last needs no fence. No name is empty.
    """
    return f"{bar}{name.replace('%', '%25').replace(bar, f'%{ord(bar):02X}')}" if bar in name else name


def item_id(celebrity: str, url: str) -> str:
    """The id of one address found for one person."""
    return derived_id(f"{celebrity}|{url}", "image")


def derived_id(parent: str, step: str, n: int = 0) -> str:
    """The id of the n-th event that `step` makes from the event `parent`, as UUID text (RFC 9562, 5)."""
    text = hashlib.sha1(f"{parent}/{step}/{n}".encode(), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def position_id(topic: str, partition: int, offset: int) -> str:
    """The id of a record that came without one: where it stands in the log."""
    return f"{topic}-{partition}-{offset}"
