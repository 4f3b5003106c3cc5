"""The outside services that stages may ask, as the few calls they need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from agents.messages import Message
from schemas.commands import ControlModel
from schemas.events import FilmRegistered, RatingCleaned, RatingPredicted, ReviewCleaned, SentimentPredicted
from schemas.pictures import Face


class Projections(Protocol):
    """The documents that people query. Every write is an upsert by a deterministic id: repeating it is harmless.

    Each call raises agents.errors.Unavailable while the store does not answer.
    """

    async def put_films(self, films: Sequence[Message[FilmRegistered]]) -> None:
        """What is known of each film's identity."""

    async def put_ratings(self, ratings: Sequence[Message[RatingCleaned]]) -> None:
        """The rating in force of each source record, and its place in the film's history."""

    async def put_predictions(self, predictions: Sequence[Message[RatingPredicted]]) -> None:
        """The latest prediction of each film, and each prediction's place in the film's history."""

    async def put_reviews(self, reviews: Sequence[Message[ReviewCleaned]]) -> None:
        """The review in force of each source record."""

    async def put_sentiments(self, sentiments: Sequence[Message[SentimentPredicted]]) -> None:
        """How favourable each review reads."""


class ModelDesk(Protocol):
    """Whoever owns the models of this worker."""

    async def obey(self, order: ControlModel) -> None:
        """Carry an order out if the model is owned here."""


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that is put away: SHA-256 of its bytes, size in pixels, hashes in hexadecimal digits."""

    image_id: str
    width: int
    height: int
    format: str
    bytes: int
    phash64: str
    dhash64: str
    phash256: str
    pipeline: int


class NotFetched(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing was put away: `rejected` is for good, what `failed` may be tried when it is found again."""

    verdict: Literal["rejected", "failed"]
    reason: str
    image_id: str | None = None


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """What cleaning made of a picture: the copy under `sha256` at `path`, or why there is none."""

    refused: str | None = None
    sha256: str | None = None
    path: str | None = None
    width: int = 0
    height: int = 0
    faces: tuple[Face, ...] = ()
    face_model: str | None = None
    unsafe: float | None = None


class Pictures(Protocol):
    """The bytes of pictures: where they come from, where they lie and what is on them.

    Calls raise agents.errors.Unavailable where waiting mends it, such as a full disk.
    """

    async def fetch(self, url: str) -> Fetched | NotFetched:
        """Download under guard, check, hash and put away."""

    async def examine(self, image_id: str) -> Examination:
        """Disarm a picture that is put away, and look for faces."""
