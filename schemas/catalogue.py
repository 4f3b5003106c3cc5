"""Every record type there is, and how its bytes are read and written."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any, Final

import msgspec

from schemas.base import Layout, Record, Rejected
from schemas.commands import ControlModel, EraseCelebrity, PushCelebrity, PushFilm, SubmitCelebrity, SubmitFilm
from schemas.events import (
    DeadLettered,
    FactsObserved,
    FilmRegistered,
    RatingCleaned,
    RatingObserved,
    RatingPredicted,
    ReviewCleaned,
    ReviewObserved,
    SentimentPredicted,
)
from schemas.faces import FaceConfirmed, FaceRecognised, FacesForgotten, FaceWithdrawn
from schemas.mentions import FilmListed, FilmMentioned, MatchUnresolved, MentionMatched, ResolveMention
from schemas.numbers import decode_json, whole
from schemas.pictures import (
    CelebrityRegistered,
    FindDropped,
    ForgetCelebrity,
    ImageAccepted,
    ImageDiscarded,
    ImageExamined,
    ImageFetched,
    ImageFound,
    ImageKept,
    ImageRejected,
    ImageWithdrawn,
    PersonForgotten,
    RuleImage,
)
from schemas.scrapes import (
    ConnectorSteered,
    ScrapeAdmitted,
    ScrapeCheckpointed,
    ScrapeFinished,
    ScrapeRequested,
    ScrapeStarted,
    SlaMissed,
    SteerConnector,
    TargetsDropped,
)
from schemas.upcast import schema_version, upcast

RECORDS: Final[tuple[type[Record], ...]] = (
    PushFilm,
    PushCelebrity,
    SubmitFilm,
    FilmRegistered,
    SubmitCelebrity,
    EraseCelebrity,
    RatingObserved,
    ReviewObserved,
    FactsObserved,
    RatingCleaned,
    RatingPredicted,
    ReviewCleaned,
    SentimentPredicted,
    FilmListed,
    FilmMentioned,
    ResolveMention,
    MatchUnresolved,
    MentionMatched,
    CelebrityRegistered,
    ImageFound,
    ImageFetched,
    RuleImage,
    ForgetCelebrity,
    ImageAccepted,
    ImageRejected,
    ImageExamined,
    ImageWithdrawn,
    PersonForgotten,
    FindDropped,
    ImageKept,
    ImageDiscarded,
    FaceConfirmed,
    FaceWithdrawn,
    FacesForgotten,
    FaceRecognised,
    ScrapeRequested,
    SteerConnector,
    ScrapeAdmitted,
    ConnectorSteered,
    ScrapeStarted,
    ScrapeCheckpointed,
    ScrapeFinished,
    SlaMissed,
    TargetsDropped,
    ControlModel,
    DeadLettered,
)

SOURCE_TOPICS: Final = (
    "input",
    "ratings",
    "reviews",
    "facts",
    "film-mentions",
    "images-found",
    "images-fetched",
    "scrape-requests",
    "scrape-runs",
)
"""Where facts from outside enter; everything else can be derived from these."""


ABOUT_FILMS: Final = (PushFilm, RatingObserved, ReviewObserved, FactsObserved, FilmMentioned)
"""What others say of films, where a whole number may be written as 1.0.

Not so what tells of people: who erases them from the archive reads that as it stands there, and must know every record.
"""


def topics() -> dict[str, tuple[type[Record], ...]]:
    """Each topic with the record types that it carries."""
    found: dict[str, tuple[type[Record], ...]] = {}
    for record in RECORDS:
        found[record.topic] = (*found.get(record.topic, ()), record)
    return found


def partition_counts(keyed: int) -> dict[str, int]:
    """How many partitions each topic has, where keyed topics have `keyed` of them."""
    return {
        topic: 1 if any(record.layout is Layout.SINGLE for record in records) else keyed
        for topic, records in topics().items()
    }


_encoder = msgspec.json.Encoder()
_any_decoder = msgspec.json.Decoder()
_decoders: dict[tuple[type[Record], ...], msgspec.json.Decoder[Any]] = {}


def encode(record: Record) -> bytes:
    """The JSON of a record."""
    return _encoder.encode(record)


def decode(value: bytes, types: tuple[type[Record], ...], dataschema: str | None = None) -> Record:
    """The record in `value`, of one of `types`, whatever known version it was written in.

    Raises Rejected with the path of the first thing that is wrong.
    """
    decoder = _decoders.get(types)
    if decoder is None:
        union: Any = reduce(or_, types)
        decoder = _decoders.setdefault(types, msgspec.json.Decoder(union))
    try:
        version = schema_version(dataschema, types[0]) if dataschema is not None else types[0].version
        if version == types[0].version:
            return decode_json(value, decoder, ABOUT_FILMS)  # type: ignore[no-any-return]
        old = _any_decoder.decode(value)
        if not isinstance(old, dict):
            raise Rejected("Expected `object` at the top level")
        return msgspec.convert(whole(upcast(old, types[0], version)), types[0])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fault = "invalid value" if isinstance(error, msgspec.ValidationError) else "invalid JSON"
        raise Rejected(f"{fault}: {error}") from error
