"""What Wikimedia's wikis answer about pictures of people, and the pictures in it."""

from __future__ import annotations

import re
from html import unescape
from math import inf
from typing import Any, Final, NamedTuple

import msgspec

from app.connectors.answers import decoded
from app.connectors.base import PersonTarget, Refused
from app.connectors.elements import Each, Raws
from app.connectors.mediawiki import Claims, values_of
from schemas.pictures import ImageFound

PICTURES: Final = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff"})
LONGEST_LICENCE: Final = 1000
_TAG = re.compile(r"<[^>]*>")


class _Entity(msgspec.Struct):
    claims: Claims = None


class _Entities(msgspec.Struct):
    entities: dict[str, _Entity] = {}


def parse_item(body: bytes, item: str) -> tuple[tuple[str, ...], str | None]:
    """The file names of an item's pictures (P18) and its category (P373). Raises SourceError."""
    entity = decoded(body, _Entities).entities.get(item, _Entity())
    files, categories = (
        [value for value in values_of(entity.claims, of) if isinstance(value, str)] for of in ("P18", "P373")
    )
    return tuple(files), next(iter(categories), None)


class _Info(msgspec.Struct):
    """Of a file that was hidden from readers, or that the wiki's disks lost, there is next to nothing."""

    url: str | None = None
    mime: str | None = None
    width: int | None = None
    height: int | None = None
    thumburl: str | None = None
    thumbwidth: int | None = None
    thumbheight: int | None = None
    descriptionurl: str | None = None
    extmetadata: dict[str, Any] | list[Any] | None = None
    filehidden: bool = False
    filemissing: bool = False
    suppressed: bool = False

    @property
    def withheld(self) -> bool:
        return self.filehidden or self.filemissing or self.suppressed


class _File(msgspec.Struct):
    title: str
    imageinfo: list[_Info] | None = None


class _Query(msgspec.Struct):
    pages: Raws | None = None


class _Page(msgspec.Struct):
    query: _Query = msgspec.field(default_factory=_Query)
    more: dict[str, str | int] = msgspec.field(name="continue", default_factory=dict)


_files: Final = Each(_File, "a file")


class Pictures(NamedTuple):
    """The pictures of an answer, by title, what in it has no sense, and the parameters that continue it."""

    found: list[ImageFound]
    refused: list[Refused]
    more: dict[str, str | int]


def parse_pictures(body: bytes, target: PersonTarget, source: str) -> Pictures:
    """The pictures of an answer. Raises SourceError.

    What is no picture, such as a recording in the same category, is left out, and so is what may not be seen.
    """
    page = decoded(body, _Page)
    files, refused = _files(page.query.pages)
    found: list[ImageFound] = []
    for file in sorted(files, key=lambda file: file.title):
        for info in (file.imageinfo or [])[:1]:
            if info.withheld or (info.url is not None and info.mime not in PICTURES):
                continue
            if info.url is None:
                refused.append(_files.refused("it has no address", msgspec.json.encode(info)))
                continue
            found.append(_picture(info, info.url, target, source))
    return Pictures(found, refused, page.more)


def _picture(info: _Info, url: str, target: PersonTarget, source: str) -> ImageFound:
    smaller = info.thumburl is not None and (info.thumbwidth or 0) < (info.width or inf)
    return ImageFound(
        celebrity_id=target.celebrity_id,
        source=source,
        url=str(info.thumburl) if smaller else url,
        width=info.thumbwidth if smaller else info.width,
        height=info.thumbheight if smaller else info.height,
        context_url=info.descriptionurl,
        licence=licence(info.extmetadata),
    )


def licence(metadata: dict[str, Any] | list[Any] | None) -> str | None:
    """The licence and whom to name, as plain text."""
    if not isinstance(metadata, dict):
        return None
    said = [metadata.get(key) for key in ("LicenseShortName", "Artist", "LicenseUrl")]
    parts = [each.get("value") for each in said if isinstance(each, dict)]
    plain = [unescape(_TAG.sub("", str(part))).strip() for part in parts if part is not None]
    return "; ".join(" ".join(part.split()) for part in plain if part)[:LONGEST_LICENCE] or None
