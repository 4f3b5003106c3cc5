"""What a record is cut to that the brokers find too large: a dead letter can say less, and must not stop a worker."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from schemas.base import Rejected
from schemas.catalogue import decode, encode
from schemas.events import DeadLettered

LEFT_OUT: Final = " [too large for the brokers, left out here: {}]"
SHORT_ERROR: Final = 200


def shorter(topic: str, value: bytes | None) -> bytes | None:
    """The value of a dead letter with less in it, and a word on what was left out; None where nothing can be.

    What was left out stays where the record came from, and the letter says where.
    """
    if topic != DeadLettered.topic or value is None:
        return None
    try:
        letter = decode(value, (DeadLettered,))
    except Rejected:
        return None
    assert isinstance(letter, DeadLettered)
    if letter.value_base64 is not None:
        error = letter.error + LEFT_OUT.format("value")
        return encode(replace(letter, value_base64=None, error=error))
    if letter.key_base64 is not None or letter.headers:
        error = letter.error + LEFT_OUT.format("key and headers")
        return encode(replace(letter, key_base64=None, headers=(), error=error))
    if len(letter.error) > SHORT_ERROR:
        return encode(replace(letter, error=letter.error[: SHORT_ERROR - 1] + "…"))
    return None
