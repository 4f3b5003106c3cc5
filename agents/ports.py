"""The outside services that stages may ask, as the few calls they need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from agents.messages import Message
from schemas.commands import ControlModel
from schemas.events import FilmRegistered, RatingCleaned, RatingPredicted, ReviewCleaned, SentimentPredicted
from schemas.faces import FaceRecognised
from schemas.mentions import MatchUnresolved, MentionMatched
from schemas.pictures import (
    CelebrityRegistered,
    Face,
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
from schemas.scrapes import RunEvent


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

    async def examine(self, image_id: str, again: str | None = None) -> Examination:
        """Disarm a picture that is put away, and look for faces; it is fetched `again` at an address if it is gone."""


class CollectingProjections(Protocol):
    """The documents of connectors, their runs, and mentions that wait. Every write may be repeated.

    Each call raises agents.errors.Unavailable while the store does not answer.
    """

    async def put_runs(self, events: Sequence[Message[RunEvent]]) -> None:
        """What is told of runs, and of what connectors were told."""

    async def put_unresolved(self, mentions: Sequence[Message[MatchUnresolved]]) -> None:
        """Mentions of which somebody has to say what film they are of."""

    async def put_matched(self, mentions: Sequence[Message[MentionMatched]]) -> None:
        """Mentions of which the film is known."""


class PictureProjections(Protocol):
    """The documents of people and their pictures. Every write may be repeated, in any overlap with the others.

    What is older than the forgetting of its person changes nothing. Each call raises agents.errors.Unavailable
    while the store does not answer.
    """

    async def put_celebrities(self, people: Sequence[Message[CelebrityRegistered]]) -> None:
        """What is known of each person's identity."""

    async def put_found(self, found: Sequence[Message[ImageFound]]) -> None:
        """The addresses that were found, each an item of its person."""

    async def put_accepted(self, accepted: Sequence[Message[ImageAccepted]]) -> None:
        """The items whose pictures are claimed."""

    async def put_rejected(self, rejected: Sequence[Message[ImageRejected]]) -> None:
        """The items that were not fetched, or whose claim was refused."""

    async def put_kept(self, kept: Sequence[Message[ImageKept]]) -> None:
        """The pictures that stay."""

    async def put_discarded(self, discarded: Sequence[Message[ImageDiscarded]]) -> None:
        """The pictures that do not stay, or not yet."""

    async def put_withdrawn(self, withdrawn: Sequence[Message[ImageWithdrawn]]) -> None:
        """The claimed pictures that were ruled out."""

    async def put_recognised(self, faces: Sequence[Message[FaceRecognised]]) -> None:
        """Whom the face model took each picture for."""

    async def condemned(self, people: Sequence[Message[PersonForgotten]]) -> Sequence[tuple[str, str]]:
        """Area and SHA-256 of the files that only documents name which `forget` will remove."""

    async def strays(self, late: Sequence[Message[ImageExamined | ImageWithdrawn]]) -> Sequence[tuple[str, str]]:
        """Area and SHA-256 of files of people who were forgotten while these were made, which no document names."""

    async def forget(self, people: Sequence[Message[PersonForgotten]]) -> None:
        """Remove all documents of these people, so that nothing older brings them back."""

    async def put_dropped(self, dropped: Sequence[Message[FindDropped]]) -> None:
        """Remove what was found of people who are forgotten, up to these finds."""


class PictureEraser(Protocol):
    """Where the files of pictures lie."""

    async def erase(self, files: Sequence[tuple[str, str]]) -> None:
        """Remove files by area (original, clean, thumbnail) and SHA-256; those that are gone already do no harm.

        Raises agents.errors.Unavailable where waiting mends it.
        """
