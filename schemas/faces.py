"""The face model on the wire: what it learns from, in one order, and whom it took a face for."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from schemas.base import Layout, Record
from schemas.events import Count
from schemas.ids import PersonId
from schemas.pictures import Sha256


class FaceConfirmed(Record, frozen=True, kw_only=True, tag_field="type", tag="confirmed"):
    """A kept picture's face, in the one order that the face model learns from; with `train` false it only names it."""

    topic: ClassVar[str] = "images-clean"
    key_field: ClassVar[str] = "item_id"
    layout: ClassVar[Layout] = Layout.SINGLE

    item_id: str
    celebrity_id: PersonId
    image_id: Sha256
    embedding: Annotated[bytes, Meta(min_length=512, max_length=512)]
    face_model: str
    order: Count
    train: bool = True


class FaceWithdrawn(Record, frozen=True, kw_only=True, tag_field="type", tag="withdrawn"):
    """A face that was confirmed is taken back."""

    topic: ClassVar[str] = "images-clean"
    key_field: ClassVar[str] = "item_id"
    layout: ClassVar[Layout] = Layout.SINGLE

    item_id: str
    celebrity_id: PersonId
    order: Count


class FacesForgotten(Record, frozen=True, kw_only=True, tag_field="type", tag="forgotten"):
    """The model is to be as if it had never seen a person."""

    topic: ClassVar[str] = "images-clean"
    key_field: ClassVar[str] = "celebrity_id"
    layout: ClassVar[Layout] = Layout.SINGLE

    celebrity_id: PersonId
    order: Count


class FaceRecognised(Record, frozen=True, kw_only=True):
    """Whom the model took a face for before it was told; None is "unknown"."""

    topic: ClassVar[str] = "face-predictions"
    key_field: ClassVar[str] = "celebrity_id"

    event_id: str
    item_id: str
    celebrity_id: PersonId
    recognised: str | None
    confidence: float
    model: str
    model_version: str
    order: Count = 0
