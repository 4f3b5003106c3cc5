"""Faust's part in decoding: none. Bytes go to the guard as they came."""

from __future__ import annotations

from typing import Any

import faust
from faust.events import Event

from app.delivery.raw import of_faust


class AsItCame(faust.Schema):  # type: ignore[misc]
    """Makes events of raw bytes without looking at them; Faust's own way through its codecs costs 7 % of a worker."""

    def __init__(self) -> None:
        super().__init__(
            key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", allow_empty=True
        )

    def compile(self, app: faust.App, **kwargs: Any) -> Any:
        """The function that makes an event of a message."""

        async def decode(message: Any, *, propagate: bool = False) -> Event:
            return raw_event(app, message)

        return decode


def raw_event(app: faust.App, message: Any) -> Event:
    """The event of a message, whose value is the record as it came; made once for all stages that read the topic."""
    return Event(app, message.key, of_faust(message), message.headers, message)
