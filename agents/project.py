"""Pass events on to the documents that people query."""

from __future__ import annotations

from collections.abc import Sequence

from agents.messages import Message
from agents.ports import CollectingProjections, ModelDesk, Projections
from schemas.commands import ControlModel
from schemas.events import FilmRegistered, RatingCleaned, RatingPredicted, ReviewCleaned, SentimentPredicted
from schemas.mentions import MatchUnresolved, MentionMatched
from schemas.scrapes import RunEvent


async def project_films(batch: Sequence[Message[FilmRegistered]], projections: Projections) -> None:
    """Films as registered."""
    await projections.put_films(batch)


async def project_ratings(batch: Sequence[Message[RatingCleaned]], projections: Projections) -> None:
    """Ratings as cleaned."""
    await projections.put_ratings(batch)


async def project_predictions(batch: Sequence[Message[RatingPredicted]], projections: Projections) -> None:
    """Predictions as made."""
    await projections.put_predictions(batch)


async def project_reviews(batch: Sequence[Message[ReviewCleaned]], projections: Projections) -> None:
    """Reviews as cleaned."""
    await projections.put_reviews(batch)


async def project_sentiments(batch: Sequence[Message[SentimentPredicted]], projections: Projections) -> None:
    """Sentiments as read."""
    await projections.put_sentiments(batch)


async def project_runs(batch: Sequence[Message[RunEvent]], collecting: CollectingProjections) -> None:
    """Runs of connectors as they are told."""
    await collecting.put_runs(batch)


async def project_unresolved(batch: Sequence[Message[MatchUnresolved]], collecting: CollectingProjections) -> None:
    """Mentions that wait for somebody."""
    await collecting.put_unresolved(batch)


async def project_matched(batch: Sequence[Message[MentionMatched]], collecting: CollectingProjections) -> None:
    """Mentions that are of a film."""
    await collecting.put_matched(batch)


async def obey_control(batch: Sequence[Message[ControlModel]], desk: ModelDesk) -> None:
    """Orders to the models that this worker owns."""
    for message in batch:
        await desk.obey(message.data)
