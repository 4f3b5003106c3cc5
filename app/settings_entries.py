"""What stands in `marquee.toml` any number of times, and what every table of it is."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from schemas.base import Rejected
from schemas.commands import TmdbNumber
from schemas.ids import celebrity_id, film_id

log = logging.getLogger(__name__)

_PORT = r"(6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})"

Allowed = Annotated[
    str,
    Meta(
        pattern=rf"^([^\s:/@?#*\[\]]+|\[[0-9A-Fa-f:.]+\]):{_PORT}$",
        description="one host with its port, such as localhost:9307 or [::1]:9307",
    ),
]

_HOST = r"([^\s:/@?#;,*\[\]]+|\[[0-9A-Fa-f:.]+\])"

_BROKERS: Final = re.compile(rf"(kafka://)?{_HOST}(:{_PORT})?(;(kafka://)?{_HOST}(:{_PORT})?)*;?")
FILE_PLACE: Final = r"^[^\x00]*\Z"
WORKER_NAME: Final = r"^(?!\.{1,2}\Z)[A-Za-z0-9._-]+\Z"
"""Also the name of a folder."""


MOST_TIME: Final = 31_536_000.0
MOST_NUMBER: Final = 2**53
"""What is larger, infinity included, does not fit into what it is handed on to: timers, Kafka, the operating system."""


def check_brokers(key: str, url: str) -> None:
    """Raises ValueError, which names the key, for an address that no client could ask."""
    if not _BROKERS.fullmatch(url):
        like = "kafka://127.0.0.1:9092, several with a semicolon between" if key == "url" else "127.0.0.1:9092"
        raise ValueError(f"{key}: write it like {like}; ports to 65535")


Wikidata = Annotated[str, Meta(pattern=r"^Q[1-9][0-9]{0,11}\Z", description="a Wikidata id such as Q25188")]


class Section(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One table of `marquee.toml`."""

    def __post_init__(self) -> None:
        """Raises ValueError, which names the key, for a number that nothing could work with."""
        for key in self.__struct_fields__:
            value = getattr(self, key)
            if isinstance(value, float) and not value <= MOST_TIME:
                raise ValueError(f"{key}: at most {MOST_TIME:.0f}")
            if isinstance(value, int) and value > MOST_NUMBER:
                raise ValueError(f"{key}: at most {MOST_NUMBER}")


class FilmEntry(Section, frozen=True):
    """A film to follow."""

    title: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"\S", description="more than spaces")]
    kind: Literal["movie", "tv"] = "movie"
    year: Annotated[int, Meta(ge=1870, le=2200)] | None = None
    imdb: Annotated[str, Meta(pattern=r"^tt[0-9]{7,10}\Z", description="an IMDb title id such as tt1375666")] | None = (
        None
    )
    wikidata: Wikidata | None = None
    tmdb: TmdbNumber | None = None

    def __post_init__(self) -> None:
        _check(self)

    @property
    def id(self) -> str:
        """The canonical id. Raises Rejected where the pipeline would refuse the film."""
        return film_id(self.title, self.year, self.kind, self.imdb, self.wikidata, self.tmdb)


class CelebrityEntry(Section, frozen=True):
    """A film person to follow."""

    name: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"\S", description="more than spaces")]
    wikidata: Wikidata | None = None
    tmdb: TmdbNumber | None = None

    def __post_init__(self) -> None:
        _check(self)

    @property
    def id(self) -> str:
        """The canonical id. Raises Rejected where the pipeline would refuse the person."""
        return celebrity_id(self.name, self.wikidata, self.tmdb)


Entry = TypeVar("Entry", FilmEntry, CelebrityEntry)


def by_id(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Entries by their canonical ids. One that has none is logged and left out, and the others are as they were."""
    found: dict[str, Entry] = {}
    for entry in entries:
        try:
            found[entry.id] = entry
        except Rejected as error:
            log.error("%r of the configuration is left out: %s", entry, error)
    return found


def wrong_table(values: dict[str, Any]) -> str | None:
    """What to say of a value where a connector's table belongs, in msgspec's form; msgspec leaves its name out."""
    connectors = values.get("connectors")
    for name, table in connectors.items() if isinstance(connectors, dict) else ():
        if not isinstance(table, dict):
            return f"Expected a table [connectors.NAME] with a `kind`, got a value - at `$.connectors.{name}`"
    return None


def _check(entry: FilmEntry | CelebrityEntry) -> None:
    try:
        _ = entry.id
    except Rejected as error:
        # What msgspec takes for a mistake in a value, and gives the value's place.
        raise ValueError(str(error)) from error
