"""What the read side answers about people and their pictures, over HTTP and on the command line alike."""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["pending", "kept", "duplicate", "conflict", "rejected", "quarantined", "failed"]


class CelebrityRow(msgspec.Struct, frozen=True, kw_only=True):
    """A person in a list; `images` counts the addresses found for them by verdict, only those that there are.

    `registered_at` is when what is known of their identity last grew. `same_as` are people with other ids who are the
    same by an id of Wikidata, IMDb or TMDB.
    """

    celebrity_id: str
    name: str | None = None
    wikidata: str | None = None
    imdb: str | None = None
    tmdb: int | None = None
    registered_at: str | None = None
    images: dict[Verdict, int] = {}
    same_as: list[str] = []


class SourceTally(msgspec.Struct, frozen=True):
    """What one source came to: addresses found, and pictures of them that are kept."""

    source: str
    found: int
    kept: int


class CelebrityView(CelebrityRow, frozen=True, kw_only=True):
    """All that is known of one person."""

    sources: list[SourceTally] = []


class ItemView(msgspec.Struct, frozen=True, kw_only=True):
    """One address found for a person. `image_id` is the SHA-256 of the bytes as fetched, `sha256` of the cleaned file.

    `distance` counts differing bits of phash256 to the picture `duplicate_of`; where that is another person's,
    `conflict_with` says whose. Sizes in pixels: of the cleaned picture, else as fetched, else as the source says.
    """

    item_id: str
    celebrity_id: str
    image_id: str | None = None
    verdict: Verdict
    reason: str | None = None
    duplicate_of: str | None = None
    distance: int | None = None
    url: str = ""
    source: str = ""
    width: int | None = None
    height: int | None = None
    conflict_with: str | None = None
    sha256: str | None = None
    phash64: str | None = None
    faces: int | None = None
    similarity: float | None = None
    ruled: bool = False
    recognised: str | None = None
    confidence: float | None = None
    context_url: str | None = None
    licence: str | None = None
    attribution: str | None = None
    """What the source wants to be shown with it."""
    place: int = -1
    """Rises with every decision on the item."""


class PeopleCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is: people, addresses of pictures, pictures kept, label conflicts that wait for somebody.

    `conflict_of` is a person with a conflict.
    """

    celebrities: int
    images: int
    kept: int
    conflicts: int
    conflict_of: str | None = None


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """That a person was forgotten: by which decision and command, and when it was asked for."""

    order: int
    event_id: str
    at: str
