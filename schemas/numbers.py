"""Whole numbers as JSON has them: to JSON Schema 1.0 is an integer as 1 is, and some languages write no other."""

from __future__ import annotations

from typing import Any, Final

import msgspec

_EXACT: Final = 2.0**53


def decode_json(value: bytes | str, decoder: msgspec.json.Decoder[Any], among: tuple[type, ...] = (object,)) -> Any:
    """What `decoder` reads in `value`; where it wants whole numbers, in what is `among` these types, also such as 1.0.

    Raises msgspec.DecodeError, UnicodeDecodeError or RecursionError.
    """
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
        found = msgspec.convert(whole(msgspec.json.decode(value)), decoder.type)
        if not isinstance(found, among):
            raise
        return found


def whole(said: Any) -> Any:
    """The same with numbers without a fraction as integers, which are taken for any other number too."""
    if isinstance(said, float):
        return int(said) if said.is_integer() and abs(said) <= _EXACT else said
    if isinstance(said, list):
        return [whole(each) for each in said]
    if isinstance(said, dict):
        return {name: whole(each) for name, each in said.items()}
    return said
