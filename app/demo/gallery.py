"""The demo's people: wait until every picture has a verdict, ask who is on those held back, and draw all of them."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from PIL import Image, ImageDraw

from app.demo.pictures import Person
from app.demo.web import DemoWeb
from app.storage.picture_views import ItemView
from app.storage.store import Store

PAGE: Final = 500
TILE: Final = 128
CAPTION: Final = 26
COLUMNS: Final = 8
MOST_TILES: Final = 240
COLOURS: Final = {
    "kept": "#2e7d32",
    "duplicate": "#1565c0",
    "conflict": "#6a1b9a",
    "rejected": "#b71c1c",
    "quarantined": "#e65100",
    "failed": "#616161",
    "pending": "#9e9e9e",
}


class Asked(msgspec.Struct, kw_only=True):
    """Who was on a picture that was held back, and whom the model took them for."""

    person: str
    said: str | None
    confidence: float | None


class PeopleReport(msgspec.Struct, kw_only=True):
    """What came of the pictures; `reasons` counts those that were refused by why."""

    celebrities: int
    found: int
    kept: int
    duplicates: int
    rejected: int
    failed: int
    pending: int
    reasons: dict[str, int]
    faces: int
    asked: list[Asked]
    sheet: str | None


class Gallery:
    """Looks on while a Marquee that is up collects the pictures that the demo's web has."""

    def __init__(self, store: Store, people: Sequence[Person], server: DemoWeb, url: str) -> None:
        self._store = store
        self._people = people
        self._server = server
        self._url = url

    async def decided(self) -> int:
        """How many addresses have a verdict that stays."""
        return sum(1 for item in await self._items() if item.verdict != "pending")

    async def report(self, folder: Path) -> PeopleReport:
        """What came of them, with a contact sheet in `folder`."""
        items = await self._items()
        verdicts = Counter(item.verdict for item in items)
        refused = (item for item in items if item.verdict in ("rejected", "failed", "quarantined"))
        async with aiohttp.ClientSession() as session:
            faces = await _json(session.get(f"{self._url}/models/faces"))
            asked = [each for person in self._people if (each := await self._ask(session, person)) is not None]
        return PeopleReport(
            celebrities=len(await self._celebrities()),
            found=len(items),
            kept=verdicts["kept"],
            duplicates=verdicts["duplicate"],
            rejected=verdicts["rejected"] + verdicts["quarantined"] + verdicts["conflict"],
            failed=verdicts["failed"],
            pending=verdicts["pending"],
            reasons=dict(Counter(_reason(item) for item in refused).most_common()),
            faces=int(faces.get("counts", {}).get("faces", 0)),
            asked=asked,
            sheet=str(_sheet(items, self._bytes, folder / "pictures.png")) if items else None,
        )

    async def _celebrities(self) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        cursor: str | None = None
        while True:
            page = await self._store.people.celebrities(None, "name", PAGE, cursor)
            found |= {row.celebrity_id: row.name for row in page.items}
            cursor = page.next
            if cursor is None:
                return found

    async def _items(self) -> list[ItemView]:
        found: list[ItemView] = []
        for person in await self._celebrities():
            cursor: str | None = None
            while True:
                page = await self._store.people.images(person, None, PAGE, cursor)
                found += page.items
                cursor = page.next
                if cursor is None:
                    break
        return found

    async def _ask(self, session: aiohttp.ClientSession, person: Person) -> Asked | None:
        if person.asked is None:
            return None
        names = await self._celebrities()
        answer = await _json(session.post(f"{self._url}/identify", data=person.asked.data))
        faces = answer.get("faces") or []
        # On a group picture, the face that is known best is the one that was asked about.
        best = max(faces, key=lambda face: float(face["confidence"]), default=None)
        said = names.get(best["celebrity_id"]) if best is not None and best["celebrity_id"] else None
        return Asked(person=person.name, said=said, confidence=best["confidence"] if best is not None else None)

    def _bytes(self, item: ItemView) -> bytes | None:
        served = self._server.served(item.url)
        return served.data if served is not None else None


async def _json(request: Any) -> dict[str, Any]:
    async with request as answer:
        found: dict[str, Any] = await answer.json(content_type=None)
        return found if answer.status < 400 else {}


def _reason(item: ItemView) -> str:
    """Why, without the address and the figures that make every reason another one."""
    return (item.reason or item.verdict).rpartition(": ")[2][:80]


def _sheet(items: list[ItemView], content: Callable[[ItemView], bytes | None], path: Path) -> Path:
    """All pictures on one, framed in the colour of the verdict, with the verdict and its reason under each."""
    shown = sorted(items, key=lambda item: (list(COLOURS).index(item.verdict), item.celebrity_id, item.url))[
        :MOST_TILES
    ]
    rows = -(-len(shown) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (TILE + 8) + 8, rows * (TILE + CAPTION + 8) + 8), "white")
    draw = ImageDraw.Draw(sheet)
    for n, item in enumerate(shown):
        left, top = 8 + n % COLUMNS * (TILE + 8), 8 + n // COLUMNS * (TILE + CAPTION + 8)
        tile = _tile(content(item))
        if tile is not None:
            sheet.paste(tile, (left + (TILE - tile.width) // 2, top + (TILE - tile.height) // 2))
        draw.rectangle((left - 2, top - 2, left + TILE + 1, top + TILE + 1), outline=COLOURS[item.verdict], width=2)
        draw.text((left, top + TILE + 1), item.verdict, fill=COLOURS[item.verdict])
        draw.text((left, top + TILE + 12), _reason(item)[:21] if item.reason else "", fill="#444444")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path


def _tile(data: bytes | None) -> Image.Image | None:
    """A small copy of what can be shown; what was refused because it cannot be opened has none."""
    try:
        with Image.open(io.BytesIO(data or b""), formats=("JPEG", "PNG", "WEBP")) as picture:
            if picture.width * picture.height > 4_000_000:
                return None
            picture.thumbnail((TILE, TILE))
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
