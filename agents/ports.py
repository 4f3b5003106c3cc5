"""The outside services that stages may ask, as the few calls they need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agents.messages import Message
from schemas.commands import ControlModel
from schemas.events import FilmRegistered, RatingCleaned, RatingPredicted, ReviewCleaned, SentimentPredicted


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
