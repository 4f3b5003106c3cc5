"""Asks for what was read whole before only if it is new since then (RFC 9110, section 13)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from app.connectors.config import ConnectorConfig
from app.version import VERSION

MOST_KEPT: Final = 2000
DAY_SECONDS: Final = 86_400.0
_ABOUT: Final = ""
"""The entry that says of all others what they hold for; no address has this name."""
_NOTED: Final = "noted"
_ASK_WITH: Final = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}

Validators = dict[str, dict[str, str]]
"""By digest of an address without secrets: the headers that ask whether it changed, and what was noted of it."""


class Revalidation:
    """What one connector knows of answers that were read whole, and whose records the broker has."""

    def __init__(self, config: ConnectorConfig, clock: Callable[[], float]) -> None:
        self._clock = clock
        # Other settings, or a program that reads better, may find more in what did not change.
        settings = msgspec.json.encode((config, VERSION), order="sorted")
        self._holds_for = blake2b(settings, digest_size=12).hexdigest()
        # What is stored for a time only has to be stated again before it is over.
        self._longest = None if config.terms.ttl_days is None else config.terms.ttl_days * DAY_SECONDS / 2
        self._about: dict[str, str] = {}
        self._kept: Validators = {}
        self._asked: Validators = {}

    def begin(self, kept: Validators) -> None:
        """Begin a run with what was kept of the last one, if it still holds."""
        about, self._asked = kept.get(_ABOUT, {}), {}
        holds = about.get("for") == self._holds_for and not self._over(about)
        self._kept = {name: each for name, each in kept.items() if name != _ABOUT} if holds else {}
        self._about = about if holds else {"for": self._holds_for, "since": str(int(self._clock()))}

    def kept(self) -> Validators:
        """What to keep with a cursor. To be asked at a checkpoint only: kept earlier, a crash would lose records."""
        # The first of this run and then the last of those before: whoever goes round more than may be kept
        # would else never meet one of them again.
        known = {**self._asked, **{name: each for name, each in self._kept.items() if name not in self._asked}}
        return {_ABOUT: self._about, **dict(list(known.items())[:MOST_KEPT])} if known else {}

    def headers(self, url: str) -> dict[str, str]:
        """What asks for an address only if it changed."""
        return {name: value for name, value in self._known(_name(url)).items() if name != _NOTED}

    def noted(self, url: str) -> str:
        """What the reader noted when the address was last read."""
        return self._known(_name(url)).get(_NOTED, "")

    def answered(self, url: str, headers: Mapping[str, str]) -> None:
        """A whole answer came with these headers."""
        self.forget(url)
        found = conditions_of(headers)
        if found:
            self._asked[_name(url)] = found

    def unchanged(self, url: str) -> None:
        """The answer was that nothing changed."""
        name = _name(url)
        if name in self._kept:
            self._asked[name] = self._kept.pop(name)

    def note(self, url: str, text: str) -> None:
        """Keep a word about an answer, to be had again when it has not changed."""
        name = _name(url)
        if text and name in self._asked:
            self._asked[name] = {**self._asked[name], _NOTED: text}

    def forget(self, url: str) -> None:
        """Ask for all of it the next time."""
        self._kept.pop(_name(url), None)
        self._asked.pop(_name(url), None)

    def _known(self, name: str) -> dict[str, str]:
        return self._asked.get(name) or self._kept.get(name) or {}

    def _over(self, about: Mapping[str, str]) -> bool:
        since = about.get("since", "")
        return self._longest is not None and not (since.isdecimal() and self._clock() - int(since) < self._longest)


def conditions_of(headers: Mapping[str, str], *, asking: bool = False) -> dict[str, str]:
    """The headers that ask whether an answer with these headers changed; `asking`: those among these that do."""
    if asking:
        return {ask: headers[ask] for ask in _ASK_WITH.values() if ask in headers}
    return {ask: headers[said] for said, ask in _ASK_WITH.items() if said in headers}


def _name(url: str) -> str:
    return blake2b(url.encode(), digest_size=12).hexdigest()
