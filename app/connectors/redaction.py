"""Credentials from the environment, and the care that they end up in nothing that is logged, reported or kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final
from urllib.parse import quote, quote_plus

from app.connectors.errors import AuthFailedError, MalformedError, SourceError

SHORTEST: Final = 4
"""Shorter values would blacken ordinary text."""
HIDDEN: Final = "***"
_QUERY = re.compile(
    r"([?&](?:api[_-]?key|key|token|access[_-]?token|client[_-]?secret|secret|password|sig|signature|auth)=)"
    # What ends the sentence in which an address stands is no part of it.
    r"[^&#\s\"'<>]+?(?=[:;,.!?)\]]*(?:[&#\s\"'<>]|$))",
    re.I,
)
_USER = re.compile(r"(\w+://)[^/@\s\"']+@")


class Credentials:
    """The secrets that a connector uses; `variable` holds the usual one."""

    def __init__(self, variable: str | None, environ: Mapping[str, str]) -> None:
        self._variable = variable
        self._environ = environ
        self._values: set[str] = set()
        self._given: set[str] = set()

    def get(self, variable: str | None = None) -> str | None:
        """What a variable holds, None where it is not set or empty."""
        value = self._environ.get(variable or self._variable or "") or None
        if value is not None:
            self._given.add(value)
            self.hide(value)
        return value

    def need(self, variable: str | None = None) -> str:
        """What a variable holds. Raises AuthFailedError, which names it."""
        value = self.get(variable)
        if value is None:
            name = variable or self._variable or "that token_env names"
            raise AuthFailedError(f"no credential: set the environment variable {name}")
        return value

    def hide(self, value: str) -> None:
        """Keep a secret out of all texts, in every way that it may be written in an address."""
        if len(value) >= SHORTEST:
            self._values |= {value, quote(value, safe=""), quote_plus(value)}

    def account(self) -> str:
        """Stands for whoever has the credentials that the environment gave; a digest, which tells nothing of them."""
        return blake2b(repr(sorted(self._given)).encode(), digest_size=16).hexdigest()

    def masked(self, text: str) -> str:
        """The text without the secrets that are known, and otherwise as it is: other texts stay others."""
        # The longest first: one secret may begin with another.
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, HIDDEN)
        return text

    def text(self, text: str) -> str:
        """The text without secrets, and without what stands in an address where secrets do."""
        text = self.masked(text)
        return _USER.sub(rf"\1{HIDDEN}@", _QUERY.sub(rf"\1{HIDDEN}", text))

    def raw(self, data: bytes) -> bytes:
        """Bytes without secrets."""
        for value in sorted(self._values, key=len, reverse=True):
            data = data.replace(value.encode(), HIDDEN.encode())
        return data

    def clean(self, error: SourceError) -> SourceError:
        """The same error without secrets."""
        error.args = (self.text(str(error)),)
        if isinstance(error, MalformedError):
            error.raw = self.raw(error.raw)
        return error
