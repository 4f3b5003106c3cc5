"""New films and celebrities: the way in over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import quote

import msgspec
from aiohttp import web
from aiokafka.errors import KafkaError

from app.delivery.producer import Outgoing
from app.embedded.reserve import no_room
from app.pushes import command, identity
from app.web.bodies import read_json
from app.web.problems import Problem, json_response, unavailable
from app.web.site import SITE
from schemas.base import Rejected
from schemas.commands import PushCelebrity, PushFilm


class Accepted(msgspec.Struct, kw_only=True):
    """What was pushed is in the log under `event_id`; `id` is where it will be found."""

    id: str
    event_id: str


async def push_film(request: web.Request) -> web.Response:
    """Follow a film from now on. To push it again is harmless, and completes what is known of it."""
    return await _accept(request, await read_json(request, PushFilm), "/films/")


async def push_celebrity(request: web.Request) -> web.Response:
    """Follow a film person from now on. To push them again is harmless."""
    return await _accept(request, await read_json(request, PushCelebrity), "/celebrities/")


async def _accept(request: web.Request, pushed: PushFilm | PushCelebrity, path: str) -> web.Response:
    try:
        key = identity(pushed)
    except Rejected as error:
        raise Problem(422, f"{error}.") from error
    event_id, record = command(pushed, key)
    await deliver(request, [record])
    return json_response(Accepted(id=key, event_id=event_id), 202, headers={"Location": path + quote(key, safe=":")})


async def deliver(request: web.Request, records: Sequence[Outgoing]) -> None:
    """Return once the brokers have the commands. Raises Problem (503) where they do not take them in time."""
    worker = request.app[SITE].worker
    if not worker.prepared:
        raise unavailable("Kafka is not reachable yet: push again in a moment.", 5)
    if worker.settings.broker.embedded and (why := no_room(worker.settings.data_dir)):
        raise unavailable(f"{why[0].upper()}{why[1:]}, then push again.", 60)
    try:
        async with asyncio.timeout(request.app[SITE].ack_seconds):
            await worker.producer.send(records)
    except (TimeoutError, KafkaError) as error:
        # It may yet arrive: sending the same again is harmless, since the id is made from what is sent.
        raise unavailable("Kafka did not acknowledge in time: push the same again in a moment.", 5) from error
