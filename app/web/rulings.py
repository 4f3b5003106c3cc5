"""People steer over HTTP: keep or reject a picture, say whose it is, erase a person."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from app.rulings import CannotRuleError, NoSideError, forgetting, ruling, settlement, sides
from app.storage.picture_views import ItemView
from app.web.bodies import FORM, celebrity_id, read_fields
from app.web.pages import person_url
from app.web.people_shapes import Forgetting, Resolution, Ruling, SentRuling, Settlement
from app.web.problems import Problem, json_response, not_found
from app.web.push import Accepted, deliver
from app.web.site import SITE


async def rule_on_image(request: web.Request) -> web.Response:
    """Keep a picture whatever was decided, or reject it. The picture is named by its item's id or by its own."""
    key = celebrity_id(request)
    item = await _item(request, key)
    word = await read_fields(request, Ruling)
    try:
        event_id, record = ruling(item, word.decision, word.note)
    except CannotRuleError as error:
        raise Problem(409, f"{error}.") from error
    await deliver(request, [record])
    return _done(request, key, "ruled", Accepted(id=item.item_id, event_id=event_id))


async def resolve_conflict(request: web.Request) -> web.Response:
    """Say whose a picture is that is claimed for two people; all their items that have it are ruled on."""
    key = celebrity_id(request)
    item = await _item(request, key)
    resolution = await read_fields(request, Resolution)
    people = request.app[SITE].worker.store.people
    try:
        words = await settlement(people, await sides(people, item), resolution.belongs_to)
    except NoSideError as error:
        raise Problem(422, f"{error}.") from error
    except CannotRuleError as error:
        raise Problem(409, f"{error}.") from error
    await deliver(request, [record for _, _, record in words])
    sent = [
        SentRuling(celebrity_id=word.celebrity_id, item_id=word.item_id, decision=word.decision, event_id=event_id)
        for event_id, word, _ in words
    ]
    return _done(request, key, "resolved", Settlement(items=sent))


async def forget_celebrity(request: web.Request) -> web.Response:
    """Erase a person: pictures, faces, hashes and what is known of them. `/celebrities/{id}/erasure` proves it."""
    key = celebrity_id(request)
    people = request.app[SITE].worker.store.people
    event_id, record = await forgetting(people, key)
    others = await people.same_person(key)
    await deliver(request, [record])
    location = {"Location": f"{person_url(key)}/erasure"}
    notes = [f"{other} is the same person by {shared}: forget it too" for other, shared in sorted(others.items())]
    told = Forgetting(id=key, event_id=event_id, same_as=sorted(others), notes=notes)
    return _done(request, key, "forgotten", told, location)


async def forget_by_form(request: web.Request) -> web.Response:
    """The same as DELETE on the person, for pages, whose forms know no other method than POST."""
    return await forget_celebrity(request)


async def _item(request: web.Request, key: str) -> ItemView:
    name = request.match_info["image_id"]
    item: ItemView | None = await request.app[SITE].worker.store.people.item(key, name)
    if item is None:
        raise not_found(f"No such picture of {key} is known: /celebrities/{key}/images lists them all.")
    return item


def _done(
    request: web.Request, key: str, told: str, answer: Any, headers: dict[str, str] | None = None
) -> web.Response:
    """202; a form goes back to the person's page instead, since nobody reads JSON there."""
    if request.content_type == FORM:
        # A person who is erased has no page to go back to.
        page = "/celebrities" if told == "forgotten" else person_url(key)
        return web.Response(status=303, headers={"Location": f"{page}?told={told}"})
    return json_response(answer, 202, headers=headers)
