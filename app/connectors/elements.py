"""Elements of a list, each read by itself: one that has no sense costs itself, neither its page nor those behind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from app.connectors.base import Refused
from app.connectors.errors import MAX_RAW, MalformedError

T = TypeVar("T")
NONSENSE: Final = 3
"""Where a list has so many or more and none has sense, it is the answer that is not what the service documents."""

Raws = list[msgspec.Raw]
"""A list in a shape: held to be one, with its elements still to be read."""


class Elements(NamedTuple, Generic[T]):
    """Those that have the shape, in their order, and what is to be said of the others."""

    good: list[T]
    refused: list[Refused]


class Each(Generic[T]):
    """Reads lists of one shape. Numbers may come as text there: services are of two minds about that.

    `what` names an element in reasons; of a `secret` one nothing is kept that people said; `nonsense`: how many without
    any of sense make the answer malformed.
    """

    def __init__(self, shape: type[T], what: str, *, secret: bool = False, nonsense: int = NONSENSE) -> None:
        self._decode = msgspec.json.Decoder(shape, strict=False).decode
        self._what = what
        self._secret = secret
        self._nonsense = nonsense

    def __call__(self, raws: Iterable[msgspec.Raw] | None) -> Elements[T]:
        """What is in a list; None is one without elements. Raises MalformedError where there is no sense in it."""
        good: list[T] = []
        refused: list[Refused] = []
        for raw in raws or ():
            try:
                good.append(self._decode(raw))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                refused.append(self._refused(error, raw))
        if not good and len(refused) >= self._nonsense:
            raise MalformedError(f"none of {len(refused)} has sense: {refused[0].reason}", refused[0].raw)
        return Elements(good, refused)

    def refused(self, why: str, raw: msgspec.Raw | bytes = b"") -> Refused:
        """What is said of an element that has the shape and still no sense."""
        return Refused(0, f"{self._what}: {why}", b"" if self._secret else bytes(raw)[:MAX_RAW])

    def _refused(self, error: Exception, raw: msgspec.Raw) -> Refused:
        # Only what is said of a shape quotes nothing.
        shaped = isinstance(error, msgspec.ValidationError)
        return self.refused(str(error) if shaped or not self._secret else "no JSON", raw)
