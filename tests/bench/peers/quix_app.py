"""The same model in a Quix Streams application with state; arguments: broker, group, folder, hops ("two" or "one").

Two hops: ratings -> training-ratings with a mark per rating in state, so that a repeat is dropped -> predictions
with each film's last prediction in state. One hop: training-ratings -> predictions, with that state. Changelogs on,
acks=all, commits each second. It keeps no model across restarts, writes no documents and no CloudEvents headers:
the easier job.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from quixstreams import Application, State, message_context

from agents.messages import rfc3339
from schemas.catalogue import encode
from schemas.events import RatingCleaned, RatingObserved, RatingPredicted
from schemas.ids import is_film_id, position_id
from schemas.scores import score_of
from tests.bench.model import new_learner

_observed = msgspec.json.Decoder(RatingObserved).decode
_cleaned = msgspec.json.Decoder(RatingCleaned).decode


class Hops:
    """The two functions of the application, with what they keep outside of Quix's state."""

    def __init__(self) -> None:
        self.learner = new_learner()
        self.counted: dict[str, int] = {}

    def clean(self, value: bytes, key: Any, timestamp: int, headers: Any, state: State[Any, Any]) -> bytes | None:
        """A training record; None for a rating that was there before."""
        rating = _observed(value)
        score = score_of(rating.value, rating.best, rating.worst)
        if not is_film_id(rating.film_id):
            return None
        place = message_context()
        if state.get(rating.source_record_id) is not None:
            return None
        state.set(rating.source_record_id, place.offset)
        ordinal = self.counted[rating.film_id] = self.counted.get(rating.film_id, 0) + 1
        return encode(
            RatingCleaned(
                film_id=rating.film_id,
                source=rating.source,
                source_record_id=rating.source_record_id,
                score=score,
                kind=rating.kind or "single",
                ordinal=ordinal,
                partition=place.partition,
                offset=place.offset,
                cause_id=position_id(place.topic, place.partition, place.offset),
                received_at=rfc3339(timestamp),
                author=rating.author,
                observed_at=rating.observed_at,
            )
        )

    def learn(self, value: bytes, key: Any, timestamp: int, headers: Any, state: State[Any, Any]) -> bytes | None:
        """A prediction."""
        said = self.learner.observe(_cleaned(value))
        if said is None:
            return None
        encoded = encode(said)
        state.set_bytes("latest", encoded)
        return encoded


def main(bootstrap: str, group: str, directory: str, hops: str) -> None:
    """Run until killed."""
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=directory,
        commit_interval=1.0,
        producer_extra_config={"acks": "all", "linger.ms": 5},
        loglevel="WARNING",
    )

    def topic(record: type[Any]) -> Any:
        return app.topic(record.topic, value_deserializer="bytes", value_serializer="bytes")

    run = Hops()
    training, predictions = topic(RatingCleaned), topic(RatingPredicted)
    if hops == "two":
        first = app.dataframe(topic(RatingObserved))
        first = first.apply(run.clean, stateful=True, metadata=True)
        first.filter(lambda value: value is not None).to_topic(training)
    second = app.dataframe(training).apply(run.learn, stateful=True, metadata=True)
    second.filter(lambda value: value is not None).to_topic(predictions)
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
