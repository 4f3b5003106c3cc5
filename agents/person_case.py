"""A person's pictures before the judge: which face is theirs, which picture stays, what changes with each new one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from models.own_face import EMBEDDING, GATE, LEAST_FACE, Vector, agreeing, nearest, vector_of
from schemas.entities import JudgedItem, PersonFaces
from schemas.pictures import Face, ImageExamined

UNSAFE_FROM: Final = 0.8
EARLY: Final = 8
"""Faces up to which a person's first pictures can still be outvoted."""
MOST_OTHERS: Final = 8
MOST_WAITING: Final = 32
TRUSTED: Final = frozenset({"wikidata", "tmdb"})
"""Sources whose pictures people have assigned to the person by hand."""
LEAST_WEIGHT: Final = 3
_TRUSTED_WEIGHT: Final = 3
_RULED_WEIGHT: Final = 1000

SEVERAL: Final = "several faces, and none of this person's pictures says yet which is theirs"
NEVER_ALONE: Final = "several faces, and no picture came that shows this person alone"


class OwnItems(Protocol):
    """What was said of the items of one person."""

    def __getitem__(self, item: str) -> JudgedItem: ...

    def get(self, item: str, default: Any = None) -> Any:
        """What was said of an item, or `default`."""

    def __setitem__(self, item: str, row: JudgedItem) -> None: ...


class PersonCase:
    """What one record changes among the pictures of one person; `order` is the record's.

    A first picture with a single face is taken for the person's. Pictures that contradict it wait aside while the
    person has few: where they agree with each other and weigh more than those that were kept, the two change places.
    A picture that a person ruled on outweighs any number of others.
    """

    def __init__(self, person: PersonFaces, items: OwnItems, order: int) -> None:
        self._person = person
        self._items = items
        self._order = order
        self._before: dict[str, JudgedItem | None] = {}

    def changes(self) -> Iterator[tuple[str, JudgedItem | None, JudgedItem]]:
        """Item, what was said of it before, and what is said now, for all that was looked at."""
        for item, before in self._before.items():
            yield item, before, self._items[item]

    def withdraw(self, item: str, reason: str) -> None:
        """Take an item out, and let the others of the person take its place where it was the only one."""
        self._release(item)
        self._put(item, JudgedItem(order=self._order, said=0, verdict="withdrawn", reason=reason))
        self._settle()

    def examine(self, picture: ImageExamined) -> None:
        """Judge a picture, and again those of the person on which it throws light."""
        self._release(picture.item_id)
        if picture.faces and picture.face_model != self._person.face_model:
            self._new_era(picture.face_model)
        self._decide(picture)
        self._settle()

    def _new_era(self, face_model: str | None) -> None:
        person = self._person
        person.total, person.count, person.kept, person.waiting, person.others = b"", 0, [], [], []
        person.face_model, person.era = face_model, person.era + 1

    def _decide(self, picture: ImageExamined) -> None:
        faces = [face for face in picture.faces if min(face.box[2:]) >= LEAST_FACE]
        if picture.refused is not None:
            self._drop(picture, "rejected", picture.refused)
        elif picture.ruled:
            self._keep_ruled(picture, faces)
        elif picture.unsafe is not None and picture.unsafe >= UNSAFE_FROM:
            self._drop(picture, "quarantined", f"may not be safe to show (score {picture.unsafe:.2f})")
        elif picture.face_model is None:
            # Without the extra nothing can be said about faces: the picture is kept unchecked.
            self._keep(picture, None, None)
        elif not picture.faces:
            self._drop(picture, "rejected", "no face was found")
        elif not faces:
            largest = max(min(face.box[2:]) for face in picture.faces)
            self._drop(picture, "rejected", f"face too small: {largest} pixels, {LEAST_FACE} are needed")
        elif self._person.count:
            self._compare(picture, faces)
        elif len(faces) == 1:
            self._keep(picture, faces[0], None)
        else:
            self._wait(picture)

    def _keep_ruled(self, picture: ImageExamined, faces: list[Face]) -> None:
        """Keep it; its face counts where it is clear which one it is, whatever was kept before."""
        face, similarity = self._alike(faces)
        if face is not None or len(faces) != 1:
            self._keep(picture, face, similarity)
        elif self._early and sum(map(self._weight_of, self._person.kept)) < _RULED_WEIGHT:
            self._change_places([(picture.item_id, picture, faces[0])])
        else:
            self._keep(picture, faces[0], similarity)

    def _alike(self, faces: list[Face]) -> tuple[Face | None, float | None]:
        """The face that is most like the person's own and passes the gate, with its cosine."""
        if not faces or not self._person.count:
            return None, None
        place, similarity = nearest(self._centroid(), [face.embedding for face in faces])
        return (faces[place] if similarity >= GATE else None), similarity

    def _compare(self, picture: ImageExamined, faces: list[Face]) -> None:
        face, similarity = self._alike(faces)
        if face is not None:
            self._keep(picture, face, similarity)
            return
        whose = "another face than the others" if len(faces) == 1 else f"none of the {len(faces)} faces is like those"
        self._drop(picture, "rejected", f"{whose} of this person (similarity {similarity:.2f})", similarity, kept=True)
        if picture.item_id not in self._person.others and self._early:
            self._person.others = [*self._person.others, picture.item_id][-MOST_OTHERS:]

    def _wait(self, picture: ImageExamined) -> None:
        self._drop(picture, "pending", SEVERAL, kept=True)
        waiting = self._person.waiting
        waiting.append(picture.item_id)
        if len(waiting) > MOST_WAITING:
            item = waiting.pop(0)
            known = self._items[item].examined
            assert known is not None
            self._drop(known, "rejected", NEVER_ALONE, kept=True)

    @property
    def _early(self) -> bool:
        """Whether all faces that count are known by their items."""
        return len(self._person.kept) == self._person.count

    def _settle(self) -> None:
        """Judge again whatever is in doubt, until nothing moves any more."""
        while self._fold_back() or self._outvote():
            pass

    def _fold_back(self) -> bool:
        """Keep what passes the gate now that the person's face is better known."""
        person = self._person
        if not person.count:
            return False
        for item in (*person.waiting, *person.others):
            picture = self._items[item].examined
            assert picture is not None
            faces = _usable(picture)
            waited = item in person.waiting
            if self._alike(faces)[0] is not None or waited:
                _discard(person.waiting, item)
                _discard(person.others, item)
                self._compare(picture, faces)
                return True
        return False

    def _outvote(self) -> bool:
        """Let pictures of one face that agree with each other take the place of those that were kept."""
        person = self._person
        rows = [(item, self._items[item].examined) for item in person.others]
        alone = [(item, p, _usable(p)[0]) for item, p in rows if p is not None and len(_usable(p)) == 1]
        if not alone or not self._early:
            return False
        weights = [_weight(picture) for _, picture, _ in alone]
        group = agreeing([face.embedding for _, _, face in alone], weights)
        weight, against = sum(weights[place] for place in group), sum(map(self._weight_of, person.kept))
        if weight <= against or (against and weight < LEAST_WEIGHT):
            return False
        self._change_places([alone[place] for place in group])
        return True

    def _change_places(self, group: list[tuple[str, ImageExamined, Face]]) -> None:
        person = self._person
        outvoted, person.kept, person.total, person.count = person.kept, [], b"", 0
        for item, picture, face in group:
            _discard(person.others, item)
            self._keep(picture, face, self._alike([face])[1])
        for item in outvoted:
            picture = self._items[item].examined  # type: ignore[assignment]
            self._compare(picture, list(picture.faces))

    def _weight_of(self, item: str) -> int:
        picture = self._items[item].examined
        return 0 if picture is None else _weight(picture)

    def _keep(self, picture: ImageExamined, face: Face | None, similarity: float | None) -> None:
        person = self._person
        if face is not None:
            early = self._early and person.count < EARLY
            person.kept = [*person.kept, picture.item_id] if early else []
            person.total = (self._centroid() + vector_of(face.embedding)).astype("<f8").tobytes()
            person.count += 1
            if not early:
                person.others = []
        known = msgspec.structs.replace(picture, faces=() if face is None else (face,))
        self._say(picture, "kept", similarity=similarity, known=known)

    def _drop(
        self,
        picture: ImageExamined,
        verdict: str,
        reason: str,
        similarity: float | None = None,
        kept: bool = False,
    ) -> None:
        """Discard; `kept` says that the picture itself is remembered, since the verdict may change."""
        self._say(picture, verdict, reason, similarity, picture if kept else None)

    def _say(
        self,
        picture: ImageExamined,
        verdict: str,
        reason: str = "",
        similarity: float | None = None,
        known: ImageExamined | None = None,
    ) -> None:
        before = self._items.get(picture.item_id)
        row = JudgedItem(
            order=picture.order,
            said=0,
            verdict=verdict,  # type: ignore[arg-type]
            reason=reason,
            # Of a picture that was kept only the face that counts is remembered.
            faces=before.faces if before is not None and before.order == picture.order else len(picture.faces),
            similarity=similarity,
            era=self._person.era,
            examined=known,
        )
        self._put(picture.item_id, row)

    def _put(self, item: str, row: JudgedItem) -> None:
        before = self._before.setdefault(item, self._items.get(item))
        # What is said because of another picture is said under that one's order, so that readers know it is later.
        row.said = max(self._order, before.said if before is not None else 0)
        self._items[item] = row

    def _release(self, item: str) -> None:
        """Take an item's face out of the person's, and the item off every list."""
        person, row = self._person, self._items.get(item)
        for named in (person.kept, person.waiting, person.others):
            _discard(named, item)
        if row is None or row.verdict != "kept" or row.era != person.era or row.examined is None:
            return
        for face in row.examined.faces:
            person.count -= 1
            total = self._centroid() - vector_of(face.embedding)
            person.total = total.astype("<f8").tobytes() if person.count else b""

    def _centroid(self) -> Vector:
        """The sum of the person's faces, which points where their mean points."""
        return np.frombuffer(self._person.total, dtype="<f8") if self._person.total else np.zeros(EMBEDDING)


def _usable(picture: ImageExamined) -> list[Face]:
    return [face for face in picture.faces if min(face.box[2:]) >= LEAST_FACE]


def _weight(picture: ImageExamined) -> int:
    if picture.ruled:
        return _RULED_WEIGHT
    return _TRUSTED_WEIGHT if picture.source in TRUSTED else 1


def _discard(named: list[str], item: str) -> None:
    if item in named:
        named.remove(item)
