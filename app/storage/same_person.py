"""Finds the documents that are about one person under two ids, so that nobody forgets half of them unaware."""

from __future__ import annotations

from app.storage.documents import Collection, Document

_TMDB = "tmdb:person/"


async def same_person(people: Collection, person: Document) -> dict[str, str]:
    """Other people's ids who share an id of Wikidata, IMDb or TMDB with this document, and which one, in words."""
    own: str = person["celebrity_id"]
    found: dict[str, str] = {}
    for name, value in _ids_of(person):
        # An id of its own says as much as a field: what is known by pictures alone has no fields.
        form = f"{_TMDB}{value}" if name == "tmdb" else value
        rows = await people.find({name: value}, [("_id", 1)], fields=["_id"])
        for other in [row["_id"] for row in [*rows, *await people.get([str(form)])]]:
            if other != own:
                found.setdefault(other, f"{name} {value}")
    return found


def _ids_of(person: Document) -> list[tuple[str, str | int]]:
    own: str = person["celebrity_id"]
    known: dict[str, str | int | None] = {name: person.get(name) for name in ("wikidata", "imdb", "tmdb")}
    if own.startswith("Q"):
        known["wikidata"] = own
    elif own.startswith("nm"):
        known["imdb"] = own
    elif own.startswith(_TMDB):
        known["tmdb"] = int(own.removeprefix(_TMDB))
    return [(name, value) for name, value in known.items() if value is not None]
