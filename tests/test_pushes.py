"""What the configuration names is pushed, each by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import force_setattr

from app.connectors.known import request_for
from app.delivery.producer import Outgoing
from app.pushes import push_configured
from app.settings import CelebrityEntry, FilmEntry, Settings


class Log:
    """A broker and a store that knows nobody."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.films: Any = self
        self.people: Any = self

    async def send(self, records: Iterable[Outgoing]) -> None:
        self.sent += records

    async def known(self, ids: Sequence[str]) -> set[str]:
        return set()


def with_a_bad_one() -> Settings:
    """A film that has no id, though no settings let it through, between good entries."""
    films = (FilmEntry(title="Ran"), FilmEntry(title="Heat", imdb="tt0113277"))
    force_setattr(films[0], "title", "$")
    return Settings(films=films, celebrities=(CelebrityEntry(name="Al Pacino", wikidata="Q41163"),))


async def test_an_entry_without_an_id_keeps_no_other_from_being_pushed() -> None:
    log: Any = Log()
    assert await push_configured(with_a_bad_one(), log, log) == 2
    assert [record.key for record in log.sent] == [b"tt0113277", b"Q41163"]


def test_an_entry_without_an_id_keeps_no_other_from_being_collected() -> None:
    request = request_for(with_a_bad_one(), "any")
    assert [each.id for each in (*request.films, *request.people)] == ["tt0113277", "Q41163"]
