"""Pages of people and their pictures: look at what was found, and say what is to become of it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from app.rulings import BOTH, NEITHER, can_be_ruled_on
from app.storage.paging import Page
from app.storage.picture_queries import PEOPLE_ORDERS
from app.storage.picture_views import CelebrityRow, CelebrityView, ItemView, Verdict
from app.web.pages import person_url, render
from app.web.people_shapes import PeopleQuery, PicturesQuery

NOTED: Final = {
    "ruled": "Noted. The picture follows in a moment: load the page again to see it.",
    "resolved": "Noted for both people. The pictures follow in a moment: load the page again to see them.",
    "forgotten": "Noted. The person is being erased: pictures, faces and all that is known of them.",
}
SORT_NAMES: Final = {"name": "name", "registered": "newest"}
VERDICT_NAMES: Final[dict[Verdict, str]] = {
    "kept": "kept",
    "pending": "pending",
    "conflict": "claimed for two people",
    "rejected": "rejected",
    "quarantined": "quarantined",
    "duplicate": "copies",
    "failed": "failed",
}
"""In the order in which people look for them."""


def people(query: PeopleQuery, page: Page[CelebrityRow], told: str = "") -> web.Response:
    """The list of people."""
    words = {"search": query.search, "sort": query.sort, "limit": query.limit}
    return render(
        "people.html",
        here="people",
        query=query,
        page=page,
        told=NOTED.get(told),
        sorts={name: SORT_NAMES.get(name, name) for name in PEOPLE_ORDERS},
        next_page=_address("/celebrities", **words, cursor=page.next) if page.next else None,
        first_page=_address("/celebrities", **words) if query.cursor else None,
    )


def person(shown: CelebrityView, query: PicturesQuery, page: Page[ItemView], told: str = "") -> web.Response:
    """One person with the pictures of one verdict, or of all."""
    here = person_url(shown.celebrity_id)
    return render(
        "person.html",
        here="people",
        person=shown,
        page=page,
        verdict=query.verdict,
        verdicts=[(name, words, shown.images[name]) for name, words in VERDICT_NAMES.items() if name in shown.images],
        told=NOTED.get(told),
        rulable={item.item_id for item in page.items if can_be_ruled_on(item)},
        both=BOTH,
        neither=NEITHER,
        next_page=_address(here, verdict=query.verdict, limit=query.limit, cursor=page.next) if page.next else None,
        first_page=_address(here, verdict=query.verdict, limit=query.limit) if query.cursor else None,
    )


def _address(path: str, **words: str | int | None) -> str:
    return f"{path}?" + urlencode({name: value for name, value in words.items() if value is not None})
