"""Write people and their pictures as documents, so that writing them again, in any overlap, changes nothing.

An item's document has parts, which events of several topics write in whatever order they arrive:
`found` and `fetch` say what came last on their topics, `claim` is guarded by its order (`claimed`), and the verdict
with `judged` by `place`, in which a judgement comes after the claim that it is about.
A person who is forgotten leaves a tombstone, by which older events are told from those of a later life.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from agents.messages import Message, rfc3339
from app.storage.documents import CELEBRITIES, FORGOTTEN, IMAGES, Change, Document, Documents
from app.storage.parts import (
    FileName,
    claim_of_accepted,
    claim_of_rejected,
    decided_place,
    face_of,
    fetch_of,
    field_naming,
    found_of,
    identity_of,
    initial,
    judged_of_discarded,
    judged_of_kept,
    judged_of_withdrawn,
    judged_place,
    stale_files,
    without_rival,
    without_stale_parts,
)
from app.storage.tombstones import (
    Event,
    Tombstone,
    by_person,
    caused_at,
    happened_at,
    latest_tombstones,
    order_of,
    outlives,
    people_named,
)
from schemas.faces import FaceRecognised
from schemas.ids import is_celebrity_id, item_id
from schemas.pictures import (
    CelebrityRegistered,
    FindDropped,
    ImageAccepted,
    ImageDiscarded,
    ImageExamined,
    ImageFound,
    ImageKept,
    ImageRejected,
    ImageWithdrawn,
    PersonForgotten,
)

PENDING: Final = "pending"
KEPT: Final = "kept"
REJECTED: Final = "rejected"
CONFLICT: Final = "conflict"
_SILENT: Final = {"silent": 0}

Decision = ImageAccepted | ImageRejected | ImageWithdrawn | ImageKept | ImageDiscarded
Places = dict[str, tuple[int, Change]]
"""The latest change of each document, with its place in the order."""


class DocumentPictures:
    """`agents.ports.PictureProjections` over a document database."""

    def __init__(self, documents: Documents) -> None:
        self._people = documents[CELEBRITIES]
        self._items = documents[IMAGES]
        self._forgotten = documents[FORGOTTEN]

    async def put_celebrities(self, people: Sequence[Message[CelebrityRegistered]]) -> None:
        """What is known of each person's identity; every event says all of it, so the last one stands."""
        fresh, graves = await self._fresh(people)
        known = {message.data.celebrity_id: identity_of(message.data, happened_at(message)) for message in fresh}
        await self._people.merge([Change(name, fields) for name, fields in known.items()])
        await self._check(people, graves)

    async def put_found(self, found: Sequence[Message[ImageFound]]) -> None:
        """What sources say of each address; until more is known its verdict is "pending"."""
        # The fetching stage refuses ids that are none, so nothing more would ever come of them.
        found = [message for message in found if is_celebrity_id(message.data.celebrity_id)]
        fresh, graves = await self._fresh(found)
        changes: dict[str, Change] = {}
        for message in fresh:
            name = item_id(message.data.celebrity_id, message.data.url)
            fields = found_of(message.data, name, happened_at(message))
            changes[name] = Change(name, fields, initial(fields))
        await self._items.merge(list(changes.values()))
        await self._check(found, graves)

    async def put_accepted(self, accepted: Sequence[Message[ImageAccepted]]) -> None:
        """Pictures that are claimed; they are "pending" until their faces have been looked at."""
        fresh, graves = await self._fresh(accepted)
        await self._claim([(message.data, claim_of_accepted(message.data), PENDING) for message in fresh])
        await self._check(accepted, graves)

    async def put_rejected(self, rejected: Sequence[Message[ImageRejected]]) -> None:
        """Items that went no further, with the reason and, for copies, of what and at which distance."""
        fresh, graves = await self._fresh(rejected)
        claims = []
        for message in fresh:
            claim = claim_of_rejected(message.data)
            other = graves.get(message.data.conflict_with or "")
            gone = other is not None and message.data.order <= other.order
            told = (without_rival(claim), REJECTED) if gone else (claim, message.data.verdict)
            claims.append((message.data, *told))
        await self._claim([claim for claim in claims if claim[0].stage == "claim"])
        await self._fetched([message for message in fresh if message.data.stage == "fetch"])
        await self._check(rejected, graves)

    async def put_kept(self, kept: Sequence[Message[ImageKept]]) -> None:
        """Pictures that stay, with the cleaned file."""
        fresh, graves = await self._fresh(kept)
        await self._judge([(message.data, judged_of_kept(message.data), KEPT) for message in fresh])
        await self._check(kept, graves)

    async def put_discarded(self, discarded: Sequence[Message[ImageDiscarded]]) -> None:
        """Pictures that cleaning or the faces speak against, or cannot speak of yet."""
        fresh, graves = await self._fresh(discarded)
        await self._judge([(each.data, judged_of_discarded(each.data), each.data.verdict) for each in fresh])
        await self._check(discarded, graves)

    async def put_withdrawn(self, withdrawn: Sequence[Message[ImageWithdrawn]]) -> None:
        """Claimed pictures that were ruled out; what the claim says of them stays."""
        fresh, graves = await self._fresh(withdrawn)
        changes: Places = {}
        for message in fresh:
            said, place = message.data, decided_place(message.data.order)
            own = {"verdict": REJECTED, "place": place, "judged": judged_of_withdrawn(said)}
            _later(changes, place, _change(said, own, guard="place"))
        await self._items.merge(_changes(changes))
        await self._check(withdrawn, graves)

    async def put_recognised(self, faces: Sequence[Message[FaceRecognised]]) -> None:
        """Whom the model took each kept picture's face for."""
        fresh, graves = await self._fresh(faces)
        # A late word on somebody who was forgotten may only join what came after that, unless it says of which life.
        doubtful = {each.data.item_id for each in fresh if each.data.celebrity_id in graves and not order_of(each)}
        there = {document["_id"] for document in await self._items.get(sorted(doubtful))}
        fields: dict[str, Document] = {}
        for message in fresh:
            said, at = message.data, happened_at(message)
            if said.item_id not in doubtful - there:
                other = graves.get(said.recognised or "")
                fields[said.item_id] = face_of(said, at, named=other is None or at > other.at)
        await self._items.merge([Change(name, face, initial(face)) for name, face in fields.items()])
        await self._check(faces, graves)

    async def condemned(self, people: Sequence[Message[PersonForgotten]]) -> list[FileName]:
        """The files that older documents of these people name, and nobody else's; to be erased before `forget`."""
        graves = latest_tombstones(people).values()
        doomed = {grave.celebrity_id for grave in graves}
        found: set[FileName] = set()
        for grave in graves:
            for item in await self._items.find({"celebrity_id": grave.celebrity_id}):
                found |= stale_files(item, grave.order, grave.at)
        return [name for name in sorted(found) if not await self._named_by_others(name, doomed)]

    async def strays(self, late: Sequence[Message[ImageExamined | ImageWithdrawn]]) -> list[FileName]:
        """Files of people who were forgotten while these were made, which no document names."""
        _, graves = await self._fresh(late)
        found: set[FileName] = set()
        for message in late:
            said = message.data
            if outlives(message, graves.get(said.celebrity_id)):
                continue
            found.add(("original", said.image_id))
            if isinstance(said, ImageExamined) and said.clean_sha256 is not None:
                found |= {("clean", said.clean_sha256), ("thumbnail", said.clean_sha256)}
        return [name for name in sorted(found) if not await self._named_by_others(name, set())]

    async def forget(self, people: Sequence[Message[PersonForgotten]]) -> None:
        """Remove every document of these people that is not from after their forgetting, for good."""
        graves = latest_tombstones(people)
        stones = {name: msgspec.structs.asdict(grave) for name, grave in graves.items()}
        changes = [
            Change(n, {k: v for k, v in s.items() if k != "silent"}, _SILENT, "order") for n, s in stones.items()
        ]
        # First the tombstone, then the documents: what is written between the two finds the tombstone afterwards.
        await self._forgotten.merge(changes)
        for grave in (await self._graves(graves)).values():
            await self._sweep(grave)

    async def put_dropped(self, dropped: Sequence[Message[FindDropped]]) -> None:
        """Remove what was found of people who are forgotten, up to these finds; what comes later of them is new."""
        latest: dict[str, int] = {}
        for message in dropped:
            name = message.data.celebrity_id
            latest[name] = max(caused_at(message.data.found_at, message.timestamp), latest.get(name, 0))
        unknown = {"order": 0, "at": 0, "cause_id": ""}
        await self._forgotten.merge(
            [Change(n, {"silent": at}, {"celebrity_id": n, **unknown}, "silent") for n, at in latest.items()]
        )
        for grave in (await self._graves(latest)).values():
            await self._sweep(grave)

    async def _claim(self, decisions: Iterable[tuple[ImageAccepted | ImageRejected, Document, str]]) -> None:
        claims: Places = {}
        verdicts: Places = {}
        for said, claim, verdict in decisions:
            own = {"claim": claim, "claimed": said.order}
            _later(claims, said.order, _change(said, own, guard="claimed"))
            place = decided_place(said.order)
            own = {"verdict": verdict, "place": place, "judged": None}
            _later(verdicts, place, _change(said, own, guard="place"))
        await self._items.merge(_changes(claims))
        await self._items.merge(_changes(verdicts))

    async def _fetched(self, refused: Iterable[Message[ImageRejected]]) -> None:
        parts: dict[str, Change] = {}
        verdicts: dict[str, Change] = {}
        for message in refused:
            said = message.data
            parts[said.item_id] = _change(said, {"fetch": fetch_of(said, happened_at(message))})
            own = {"verdict": said.verdict, "place": decided_place(0)}
            verdicts[said.item_id] = _change(said, own, guard="place")
        await self._items.merge(list(parts.values()))
        await self._items.merge(list(verdicts.values()))

    async def _judge(self, judgements: Iterable[tuple[ImageKept | ImageDiscarded, Document, str]]) -> None:
        changes: Places = {}
        files: Places = {}
        for said, judged, verdict in judgements:
            place = judged_place(said.order)
            if said.sha256 is not None:
                file = {"clean": said.sha256, "cleaned": said.order}
                _later(files, said.order, _change(said, file, guard="cleaned"))
            own = {"verdict": verdict, "place": place, "judged": judged}
            _later(changes, place, _change(said, own, guard="place"))
        # Whatever becomes of the verdict, the document names the file for as long as it is there.
        await self._items.merge(_changes(files))
        await self._items.merge(_changes(changes))

    async def _fresh(self, messages: Sequence[Event]) -> tuple[list[Event], dict[str, Tombstone]]:
        """The events that are about nobody forgotten since, and the tombstones as they were when that was asked."""
        graves = await self._graves(people_named(messages))
        return [message for message in messages if outlives(message, graves.get(message.data.celebrity_id))], graves

    async def _check(self, messages: Sequence[Event], before: dict[str, Tombstone]) -> None:
        """Remove what was written while its person was being forgotten."""
        for name, grave in (await self._graves(people_named(messages))).items():
            known = before.get(name)
            if known is None or (grave.order, grave.silent) > (known.order, known.silent):
                await self._sweep(grave)

    async def _graves(self, names: Iterable[str]) -> dict[str, Tombstone]:
        return by_person(await self._forgotten.get(list(names)))

    async def _sweep(self, grave: Tombstone) -> None:
        known = await self._people.get([grave.celebrity_id])
        await self._people.remove([one["_id"] for one in known if one["registered_at"] <= rfc3339(grave.at)])
        items = await self._items.find({"celebrity_id": grave.celebrity_id})
        left = {item["_id"]: without_stale_parts(item, grave.order, grave.at, grave.until) for item in items}
        await self._items.remove([name for name, fields in left.items() if fields is None])
        await self._items.merge([Change(name, fields) for name, fields in left.items() if fields])
        await self._unname(grave)

    async def _unname(self, grave: Tombstone) -> None:
        """Take a forgotten person's id out of what is kept of others."""
        rivals = await self._items.find({"verdict": CONFLICT, "claim.conflict_with": grave.celebrity_id})
        older = [item for item in rivals if item["claimed"] <= grave.order]
        # The conflict is over; the claims say so too, under the forgetting's own order.
        closed = {"verdict": REJECTED}
        await self._items.merge([Change(i["_id"], closed | {"claim": without_rival(i["claim"])}) for i in older])
        mistaken = await self._items.find({"face.recognised": grave.celebrity_id}, fields=["face"])
        names = [item["_id"] for item in mistaken if item["face"]["at"] <= grave.at]
        await self._items.merge([Change(name, {"face": None}) for name in names])

    async def _named_by_others(self, name: FileName, people: set[str]) -> bool:
        found = await self._items.find({field_naming(name): name[1]}, fields=["celebrity_id"])
        return any(item["celebrity_id"] not in people for item in found)


def _change(said: Decision, own: Document, guard: str | None = None) -> Change:
    fields = {"item_id": said.item_id, "celebrity_id": said.celebrity_id, "url": said.url, **own}
    return Change(said.item_id, fields, initial(fields), guard)


def _later(changes: Places, place: int, change: Change) -> None:
    before = changes.get(change.id)
    if before is None or place >= before[0]:
        changes[change.id] = (place, change)


def _changes(places: Places) -> list[Change]:
    return [change for _, change in places.values()]
