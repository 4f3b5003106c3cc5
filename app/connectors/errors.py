"""What can go wrong at a source, grouped by what the runner does next."""

from __future__ import annotations

from typing import ClassVar, Literal

Reaction = Literal["retry", "wait", "pause", "stop"]
"""Run again soon, run again at a known time, run only after a person mended something, or run as scheduled."""

MAX_RAW = 1 << 16
"""Bytes of an unusable answer that go into its dead letter."""


class SourceError(Exception):
    """The source cannot be read; the text says why and what to do. The run fails and keeps its cursor.

    `only_here`: that is known of the one address that was asked for, and nothing is said of others.
    """

    reaction: ClassVar[Reaction] = "stop"

    def __init__(self, text: str, only_here: bool = False) -> None:
        super().__init__(text)
        self.only_here = only_here


class RetryableError(SourceError):
    """It may pass: try again, after so many seconds where the source said how many."""

    reaction = "retry"

    def __init__(self, text: str, after: float | None = None, only_here: bool = False) -> None:
        super().__init__(text, only_here)
        self.after = after


class IncompleteError(SourceError):
    """The source ended before it should have: what came before the end was used."""

    reaction = "retry"


class QuotaExhaustedError(SourceError):
    """The account's calls are spent `until` (seconds since 1970); None: until the quota's next day begins."""

    reaction = "wait"

    def __init__(self, text: str, until: float | None = None) -> None:
        super().__init__(text)
        self.until = until


class AuthFailedError(SourceError):
    """The source refuses who asks; trying again would not help, a better credential would."""

    reaction = "pause"


class BlockedError(SourceError):
    """The source does not want to be read by programs: robots.txt, a challenge, a legal reason."""


class NotFoundError(SourceError):
    """The source, or the one thing that was asked for, is not there."""


class MalformedError(SourceError):
    """An answer has no sense; its beginning is kept in `raw` for the dead letter, unless that was `told` already."""

    def __init__(self, text: str, raw: bytes = b"", told: bool = False) -> None:
        super().__init__(text)
        self.raw = raw[:MAX_RAW]
        self.told = told
