"""Identifiers as other catalogues write them, or nothing where they are not in their own form."""

from __future__ import annotations

import re
from typing import Final

_TITLE: Final = re.compile(r"tt\d{7,10}")
_NAME: Final = re.compile(r"nm\d{7,10}")
_ITEM: Final = re.compile(r"Q[1-9]\d{0,11}")
_NUMBER: Final = re.compile(r"[1-9]\d{0,9}")


def imdb_title(text: str | None) -> str | None:
    """An IMDb title id such as tt1375666."""
    return text if text and _TITLE.fullmatch(text) else None


def imdb_name(text: str | None) -> str | None:
    """An IMDb name id such as nm0000138."""
    return text if text and _NAME.fullmatch(text) else None


def wikidata_item(text: str | None) -> str | None:
    """A Wikidata id such as Q38111, also as the end of its address."""
    last = (text or "").rpartition("/")[2]
    return last if _ITEM.fullmatch(last) else None


def tmdb_number(text: str | None) -> int | None:
    """A number of TMDB's."""
    return int(text) if text and _NUMBER.fullmatch(text) else None
