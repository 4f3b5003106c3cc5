"""What Wikimedia's wikis answer about pictures of people, and the pictures in it."""

from __future__ import annotations

import re
from html import unescape
from typing import Any, Final

import msgspec

from app.connectors.answers import decoded
from app.connectors.base import PersonTarget
from schemas.pictures import ImageFound

PICTURES: Final = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff"})
LONGEST_LICENCE: Final = 1000
_TAG = re.compile(r"<[^>]*>")


class _Data(msgspec.Struct):
    value: Any = None


class _Snak(msgspec.Struct):
    datavalue: _Data = msgspec.field(default_factory=_Data)


class _Claim(msgspec.Struct):
    mainsnak: _Snak
    rank: str = "normal"


class _Entity(msgspec.Struct):
    claims: dict[str, list[_Claim]] | list[Any] = msgspec.field(default_factory=dict)


class _Entities(msgspec.Struct):
    entities: dict[str, _Entity] = {}


def parse_item(body: bytes, item: str) -> tuple[tuple[str, ...], str | None]:
    """The file names of an item's pictures (P18) and its category (P373). Raises SourceError."""
    entity = decoded(body, _Entities).entities.get(item, _Entity())
    # An empty object is written as an empty list there.
    claims = entity.claims if isinstance(entity.claims, dict) else {}

    def values(of: str) -> list[str]:
        found = [claim for claim in claims.get(of, []) if claim.rank != "deprecated"]
        return [claim.mainsnak.datavalue.value for claim in found if isinstance(claim.mainsnak.datavalue.value, str)]

    return tuple(values("P18")), next(iter(values("P373")), None)


class _Meta(msgspec.Struct):
    value: Any = None


class _Info(msgspec.Struct):
    url: str
    mime: str
    width: int
    height: int
    thumburl: str | None = None
    thumbwidth: int | None = None
    thumbheight: int | None = None
    descriptionurl: str | None = None
    extmetadata: dict[str, _Meta] | list[Any] = msgspec.field(default_factory=dict)


class _File(msgspec.Struct):
    title: str
    imageinfo: list[_Info] = []


class _Query(msgspec.Struct):
    pages: list[_File] = []


class _Page(msgspec.Struct):
    query: _Query = msgspec.field(default_factory=_Query)
    more: dict[str, str | int] = msgspec.field(name="continue", default_factory=dict)


def parse_pictures(body: bytes, target: PersonTarget, source: str) -> tuple[list[ImageFound], dict[str, str | int]]:
    """The pictures of an answer, by title, and the parameters that continue it, none at the end. Raises SourceError.

    What is no picture, such as a recording in the same category, is left out.
    """
    page, found = decoded(body, _Page), []
    for file in sorted(page.query.pages, key=lambda file: file.title):
        for info in file.imageinfo[:1]:
            if info.mime not in PICTURES:
                continue
            smaller = info.thumburl is not None and (info.thumbwidth or 0) < info.width
            found.append(
                ImageFound(
                    celebrity_id=target.celebrity_id,
                    source=source,
                    url=str(info.thumburl) if smaller else info.url,
                    width=info.thumbwidth if smaller else info.width,
                    height=info.thumbheight if smaller else info.height,
                    context_url=info.descriptionurl,
                    licence=licence(info.extmetadata),
                )
            )
    return found, page.more


def licence(metadata: dict[str, _Meta] | list[Any]) -> str | None:
    """The licence and whom to name, as plain text."""
    if not isinstance(metadata, dict):
        return None
    parts = [metadata[key].value for key in ("LicenseShortName", "Artist", "LicenseUrl") if key in metadata]
    plain = [unescape(_TAG.sub("", str(part))).strip() for part in parts]
    return "; ".join(" ".join(part.split()) for part in plain if part)[:LONGEST_LICENCE] or None
