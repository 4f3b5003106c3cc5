"""A private HTTP cache that never answers by itself: it asks whether what it keeps still holds (RFC 9111).

In memory only, on purpose: pages hold words about people, and what lies on a disk would have to be forgotten there too.
So it is the process's, the first run after a start reads everything, and all of it goes whenever a person is forgotten.
Records that come out of what did not change were sent before; `RunCache` says which of them need not be sent again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from typing import Final

import msgspec
from multidict import CIMultiDict

from app.connectors.answers import Answer
from app.connectors.config import ConnectorConfig
from app.connectors.errors import IncompleteError
from app.connectors.redaction import Credentials
from app.connectors.revalidation import DAY_SECONDS, conditions_of
from app.connectors.sent import Stated
from app.version import VERSION

MOST_BYTES: Final = 32 << 20
MOST_BODY: Final = 1 << 20
OVERHEAD: Final = 1024
"""Bytes that an entry is reckoned at besides its body and headers."""
LONGEST: Final = 7 * DAY_SECONDS
"""Seconds after which an answer is asked for whole again, however often a source says that it holds."""
_OF_THE_BODY: Final = "content-"
"""Begins the names of headers that are those of the body which is kept, whatever a 304 says."""


class Kept(msgspec.Struct, frozen=True):
    """An answer with what asks whether it changed, where it came from in the end, and when (seconds since 1970)."""

    answer: Answer
    conditions: dict[str, str]
    place: str
    since: float

    @property
    def size(self) -> int:
        """Bytes, about."""
        headers = sum(len(name) + len(value) for name, value in self.answer.headers.items())
        return len(self.answer.body) + headers + OVERHEAD

    def renewed(self, headers: Mapping[str, str]) -> Answer:
        """The answer under the headers of the 304 that says it holds (RFC 9111, section 3.2)."""
        known = CIMultiDict(self.answer.headers)
        known.update((name, value) for name, value in headers.items() if not name.lower().startswith(_OF_THE_BODY))
        return msgspec.structs.replace(self.answer, headers=known, not_modified=True)


class AnswerCache:
    """What a process keeps of answers, so many bytes in all, the least recently used out first."""

    def __init__(self, most_bytes: int = MOST_BYTES, most_body: int = MOST_BODY) -> None:
        self._most_bytes, self._most_body = most_bytes, most_body
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self.bytes = 0
        self.stated = Stated()

    def get(self, key: bytes) -> Kept | None:
        """What is kept under a key."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def put(self, key: bytes, kept: Kept) -> None:
        """Keep an answer in place of what was kept under the key, unless it is too large."""
        self.drop(key)
        if len(kept.answer.body) > self._most_body:
            return
        self._kept[key] = kept
        self.bytes += kept.size
        while self.bytes > self._most_bytes:
            self.drop(next(iter(self._kept)))

    def clear(self) -> None:
        """Keep nothing at all."""
        self._kept.clear()
        self.bytes, self.stated = 0, Stated()

    def drop(self, key: bytes) -> None:
        """Keep nothing under a key."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.bytes -= kept.size


class RunCache:
    """The cache as one connector sees it: no other name, configuration or account gets what it was answered.

    It also knows, for the runner, whether anything was new since the last checkpoint, and which records are known to
    be with the broker from this process: from short enough ago that their source lets them be stored still.
    """

    def __init__(
        self, cache: AnswerCache, config: ConnectorConfig, credentials: Credentials, clock: Callable[[], float]
    ) -> None:
        self._cache, self._config, self._credentials, self._clock = cache, config, credentials, clock
        ttl = config.terms.ttl_days
        # What is stored for a time only has to be stated again before it is over.
        self._longest = LONGEST if ttl is None else min(LONGEST, ttl * DAY_SECONDS / 2)
        self._who: bytes | None = None
        self.used = self._changed = False
        """Whether anything was read in this run that may be kept."""
        self.reading = ""
        self._keys: list[bytes] = []
        self._unchanged = 0

    def begin(self, name: str, reading: str) -> None:
        """Begin a run of the connector of that name: before, it is off; after a reset comes another `reading`."""
        # Other settings, or a program that reads better, may find more in what did not change.
        meaning = msgspec.json.encode((name, reading, self._config, VERSION), order="sorted")
        self._who, self.used, self.reading = blake2b(meaning, digest_size=16).digest(), False, reading
        self.settle()

    # What the session uses.

    def question(self, method: str, url: str, headers: Mapping[str, str], apart: bool) -> Question:
        """One question; `apart`: its answer is not to be kept here, as whoever asks has validators of their own."""
        if method != "GET":
            return Question(self, None, counts=False)
        return Question(self, None if apart or self._who is None else self._key(url, headers))

    def changed(self) -> None:
        """Something was read that may be new."""
        self._changed = True

    def find(self, key: bytes) -> Kept | None:
        """What is kept and may still be asked about."""
        kept = self._cache.get(key)
        return kept if kept is not None and 0 <= self._clock() - kept.since < self._longest else None

    def take(self, key: bytes, answer: Answer, place: str) -> None:
        """An answer was read with sense: keep it if it may be kept and asked about."""
        self._keys.append(key)
        self.used = True
        self._unchanged += answer.not_modified
        conditions = conditions_of(answer.headers)
        if answer.status != 200 or not conditions or not _may_be_kept(answer.headers):
            self._cache.drop(key)
        elif not answer.not_modified:
            self._cache.put(key, Kept(answer, conditions, place, self._clock()))

    def drop(self, key: bytes) -> None:
        """What is kept there has no sense."""
        self._cache.drop(key)

    # What the runner uses.

    @property
    def unchanged(self) -> bool:
        """Whether every answer since the last checkpoint was one that is kept, and there was one."""
        return self._unchanged > 0 and not self._changed

    def knows(self, event_id: str) -> bool:
        """Whether the broker got this record from here, and not too long ago."""
        return self._who is not None and self._cache.stated.has(self._who, event_id, self._clock(), self._longest)

    def sent(self, event_ids: Iterable[str]) -> None:
        """The broker has these records."""
        # Whoever keeps no answers never asks what is known.
        if self.used and self._who is not None:
            self._cache.stated.add(self._who, event_ids, self._clock(), self._longest)

    def settle(self) -> None:
        """A checkpoint: what came before it is out."""
        self._keys, self._unchanged, self._changed = [], 0, False

    def distrust(self) -> None:
        """Something since the last checkpoint cannot be used: ask for all of that anew, it may be mended."""
        for key in self._keys:
            self._cache.drop(key)

    def _key(self, url: str, headers: Mapping[str, str]) -> bytes:
        # The token of a log-in is another one in every run; the account behind it is known by what it logs in with.
        said = [(name.lower(), self._credentials.masked(value)) for name, value in headers.items()]
        asked = (self._who, self._credentials.account(), self._credentials.masked(url), sorted(said))
        return blake2b(repr(asked).encode(), digest_size=16).digest()


class Question:
    """What is asked once or, where that fails, again; each try asks with what is kept then."""

    def __init__(self, run: RunCache, key: bytes | None, counts: bool = True) -> None:
        self._run, self._key, self._counts = run, key, counts
        self._kept: Kept | None = None
        self._place = ""

    def conditions(self) -> dict[str, str]:
        """Headers that ask for the answer only if it is not the one that is kept."""
        self._kept = self._run.find(self._key) if self._key is not None else None
        return self._kept.conditions if self._kept is not None else {}

    def answered(self, answer: Answer, place: str, asked: Mapping[str, str]) -> Answer:
        """The answer that came from `place`, with the body that is kept where it says that this holds.

        Raises MalformedError for a 304 that nobody asked for, IncompleteError for one from somewhere else.
        """
        self._place = place.partition("?")[0]
        if answer.status != 304:
            return answer
        if self._kept is None or self._key is None:
            if not conditions_of(asked, asking=True):
                raise answer.malformed("a whole answer")
            return answer
        if self._kept.place != self._place:
            # Behind a redirect that leads elsewhere by now, the same tag may be that of other content.
            self._run.drop(self._key)
            raise IncompleteError(f"{answer.url}: leads to another address than before")
        return self._kept.renewed(answer.headers)

    @contextmanager
    def reading(self, answer: Answer) -> Iterator[None]:
        """Keep the answer if the block, which makes sense of it, ends well."""
        try:
            yield
        except Exception:
            if answer.not_modified and self._key is not None:
                self._run.drop(self._key)
            raise
        if self._counts and not answer.not_modified:
            self._run.changed()
        if self._key is not None:
            self._run.take(self._key, answer, self._place)


def _may_be_kept(headers: Mapping[str, str]) -> bool:
    said = CIMultiDict(headers)
    rules = {
        rule.partition("=")[0].strip().lower() for line in said.getall("Cache-Control", ()) for rule in line.split(",")
    }
    varies = {name.strip() for line in said.getall("Vary", ()) for name in line.split(",")}
    return "no-store" not in rules and "*" not in varies
