"""Whom sources may be asked about: films and people that somebody named, with every id that is known of them."""

from __future__ import annotations

from typing import Final

import msgspec

from app.storage.documents import CELEBRITIES, FILMS, Document, Documents
from app.storage.projections import identified
from schemas.scrapes import Target

_FILM: Final = ("film_id", "title", "year", "kind", "presumed_kind", "imdb", "wikidata", "tmdb")
_PERSON: Final = ("celebrity_id", "name", "wikidata", "imdb", "tmdb")


async def followed(documents: Documents, limit: int) -> tuple[list[Target], list[Target]]:
    """Films, then people, at most `limit` of each. Raises Unavailable while the store does not answer."""
    films = await documents[FILMS].find({"title": {"$gt": ""}}, [("film_id", 1)], limit, _FILM)
    people = await documents[CELEBRITIES].find({"name": {"$gt": ""}}, [("celebrity_id", 1)], limit, _PERSON)
    return [_film(film) for film in films], [_person(person) for person in people]


def _film(film: Document) -> Target:
    known = identified(film)
    return msgspec.convert({**_ids(known), "id": film["film_id"], "name": film["title"], "kind": known["kind"]}, Target)


def _person(person: Document) -> Target:
    return msgspec.convert(
        {**_ids(person), "id": person["celebrity_id"], "name": person["name"], "kind": "person"}, Target
    )


def _ids(document: Document) -> Document:
    return {name: document[name] for name in ("year", "imdb", "wikidata", "tmdb") if document.get(name) is not None}
