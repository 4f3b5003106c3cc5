"""Takes credentials out of whatever is logged, reported or put away."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, quote_plus

SHORTEST: Final = 4
"""Shorter values would blacken ordinary text."""
HIDDEN: Final = "***"
_QUERY = re.compile(
    r"([?&](?:api[_-]?key|key|token|access[_-]?token|client[_-]?secret|secret|password|sig|signature|auth)=)[^&\s\"'<>]+",
    re.I,
)
_USER = re.compile(r"(\w+://)[^/@\s\"']+@")


class Redactor:
    """Knows the secrets that a connector uses."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def add(self, value: str) -> None:
        """Hide a value from now on, in every way that it may be written in an address."""
        if len(value) >= SHORTEST:
            self._values |= {value, quote(value, safe=""), quote_plus(value)}

    def text(self, text: str) -> str:
        """The text without secrets, and without what stands in an address where secrets do."""
        # The longest first: one secret may begin with another.
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, HIDDEN)
        return _USER.sub(rf"\1{HIDDEN}@", _QUERY.sub(rf"\1{HIDDEN}", text))

    def raw(self, data: bytes) -> bytes:
        """Bytes without secrets."""
        for value in sorted(self._values, key=len, reverse=True):
            data = data.replace(value.encode(), HIDDEN.encode())
        return data
