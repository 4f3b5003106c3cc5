"""Keep each film's latest prediction where any worker can look it up."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping

from agents.messages import Message
from schemas.base import Record
from schemas.entities import Prediction
from schemas.events import RatingPredicted


async def keep_latest(
    message: Message[RatingPredicted], latest: MutableMapping[str, Prediction]
) -> AsyncIterator[Record]:
    """Replace the film's row, unless what it holds was said after more ratings.

    A model that moves to another worker repeats predictions, some of them behind newer ones. Among those after as many
    ratings, which changed ones give, the last in the log counts: repeats come in the same order, up to the same last
    one, while the times in them are from the clocks of whoever sent the ratings.
    """
    said = message.data
    known = latest.get(said.film_id)
    if known is not None and known.n_ratings > said.n_ratings:
        return
    latest[said.film_id] = Prediction(
        film_id=said.film_id,
        predicted=said.predicted,
        current_mean=said.current_mean,
        n_ratings=said.n_ratings,
        model_version=said.model_version,
        predicted_at=said.predicted_at,
        event_id=said.event_id,
    )
    return
    yield
