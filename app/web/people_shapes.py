"""What handlers of people and pictures take and answer with, as types that the OpenAPI document is made of."""

from __future__ import annotations

import msgspec

from app.storage.picture_views import CelebrityRow, ItemView, Verdict
from schemas.pictures import Decision, Reason


class CelebrityPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some people, and the cursor of the page after them."""

    items: list[CelebrityRow]
    next: str | None = None


class PicturePage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a person's pictures, one item an address, and the cursor of the page after them."""

    items: list[ItemView]
    next: str | None = None


class PeopleQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of people was asked for."""

    search: str | None
    sort: str
    limit: int
    cursor: str | None


class PicturesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of pictures was asked for."""

    verdict: Verdict | None
    limit: int
    cursor: str | None


class Ruling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word on a picture: keep it whatever was decided, or reject it; `note` goes into its reason."""

    decision: Decision
    note: Reason = ""


class Resolution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose a picture is that two people claim: the id of one of them, "both" or "neither"."""

    belongs_to: str


class SentRuling(msgspec.Struct, frozen=True, kw_only=True):
    """A word that is in the log under `event_id`."""

    celebrity_id: str
    item_id: str
    decision: Decision
    event_id: str


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """The words that end a label conflict."""

    items: list[SentRuling]


class Forgetting(msgspec.Struct, frozen=True, kw_only=True):
    """The order to erase a person is in the log; `same_as` are further ids of theirs, and `notes` says by what."""

    id: str
    event_id: str
    same_as: list[str] = []
    notes: list[str] = []


class Left(msgspec.Struct, frozen=True):
    """How much of a person is still in one place."""

    where: str
    left: int


class Later(msgspec.Struct, frozen=True):
    """A place that cannot let go of one person alone, or cannot be asked, and until when that is so."""

    where: str
    until: str


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a person is erased: forgotten by the command `event_id`, asked for `at`, and nothing left anywhere.

    `later` names the places that only time empties.
    """

    celebrity_id: str
    erased: bool
    event_id: str | None
    at: str | None
    left: list[Left]
    later: list[Later] = []
