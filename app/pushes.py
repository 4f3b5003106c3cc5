"""New films and celebrities on their way to `input`, whoever pushes them."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable

import msgspec

from agents.errors import Unavailable
from agents.intake import configured_id, submission
from app.delivery.outset import first_event
from app.delivery.producer import Outgoing, Sender
from app.settings import Settings
from app.settings_entries import by_id
from app.storage.store import Store
from schemas.base import Record
from schemas.commands import PushCelebrity, PushFilm
from schemas.ids import celebrity_id

log = logging.getLogger(__name__)


def identity(pushed: PushFilm | PushCelebrity) -> str:
    """The canonical id that the pipeline will give it. Raises Rejected."""
    if isinstance(pushed, PushFilm):
        return submission(pushed).film_id
    return celebrity_id(pushed.name, pushed.wikidata, pushed.tmdb)


def command(
    pushed: Record,
    key: str,
    event_id: str | None = None,
    now: Callable[[], float] = time.time,
) -> tuple[str, Outgoing]:
    """The id of the event, a random one unless given, and the event itself."""
    event_id = event_id or str(uuid.uuid4())
    return event_id, first_event(pushed, event_id, now(), key)


async def push_configured(settings: Settings, sender: Sender, store: Store) -> int:
    """Push the films and people of `marquee.toml` that are not known yet; how many there were.

    Where the store cannot say, all are pushed: what is pushed twice is registered once.
    """
    films, people = by_id(settings.films), by_id(settings.celebrities)
    pushed: dict[str, PushFilm | PushCelebrity] = {
        **{key: PushFilm(**msgspec.structs.asdict(film)) for key, film in films.items()},
        **{key: PushCelebrity(**msgspec.structs.asdict(person)) for key, person in people.items()},
    }
    try:
        known = await store.films.known(list(pushed)) | await store.people.known(list(pushed))
    except Unavailable as error:
        log.info("pushing all that is configured, since the store cannot say what is known: %s", error)
        known = set()
    records = [command(one, key, configured_id(key))[1] for key, one in pushed.items() if key not in known]
    if records:
        await sender.send(records)
        log.info("%d of %d configured films and people are new", len(records), len(pushed))
    return len(records)
