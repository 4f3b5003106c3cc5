"""What can go wrong at a source, grouped by what the runner does next."""

from __future__ import annotations


class SourceError(Exception):
    """The source cannot be read; the text says why and what to do. The run fails and keeps its cursor."""


class RetryableError(SourceError):
    """It may pass: try again, after so many seconds where the source said how many."""

    def __init__(self, text: str, after: float | None = None) -> None:
        super().__init__(text)
        self.after = after


class NotFoundError(SourceError):
    """The source is not there."""


class AuthFailedError(SourceError):
    """The source refuses who asks; trying again would not help."""


class IncompleteError(SourceError):
    """The source ended before it should have: what came before the end was used."""
