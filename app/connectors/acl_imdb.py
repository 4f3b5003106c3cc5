"""The layout of the Large Movie Review Dataset: what the name of a file and the line of its address say."""

from __future__ import annotations

import html
import re
from typing import Final, NamedTuple

from schemas.base import Rejected
from schemas.events import ReviewObserved

MAX_REVIEW: Final = 1 << 20
MAX_ADDRESSES: Final = 64 << 20
BEST: Final = 10.0
WORST: Final = 1.0

_REVIEW: Final = re.compile(r"(?:.*/)?(train|test)/(pos|neg|unsup)/([0-9]{1,9})_([0-9]{1,2})\.txt")
_ADDRESSES: Final = re.compile(r"(?:.*/)?(train|test)/urls_(pos|neg|unsup)\.txt")
_TITLE: Final = re.compile(r"/title/(tt[0-9]{7,10})(?:/|$)")
_BREAK: Final = re.compile(r"(?:<br\s*/?>\s*)+", re.IGNORECASE)

Addresses = dict[str, list[str]]
"""By set, such as train/pos: the address of its n-th review at place n."""


class ReviewName(NamedTuple):
    """What a file's name says: the set it is in, its number there, and the score, 0 for none."""

    group: str
    number: int
    rating: int

    @property
    def id(self) -> str:
        """Names the review within the data set."""
        return f"{self.group}/{self.number}"


def parse_name(path: str) -> ReviewName | None:
    """What the path of a review says; None for other files."""
    found = _REVIEW.fullmatch(path)
    return ReviewName(f"{found[1]}/{found[2]}", int(found[3]), int(found[4])) if found else None


def parse_addresses_name(path: str) -> str | None:
    """Whose addresses a file holds, such as train/pos; None for other files."""
    found = _ADDRESSES.fullmatch(path)
    return f"{found[1]}/{found[2]}" if found else None


def parse_addresses(body: bytes) -> list[str]:
    """The addresses, one a line."""
    return [line.strip()[:4096] for line in body.decode("utf-8", "replace").split("\n")]


def film_of(name: ReviewName, addresses: Addresses) -> tuple[str, str]:
    """The IMDb id of the film that a review is about, and the review's address. Raises Rejected."""
    known = addresses.get(name.group)
    if known is None:
        raise Rejected(f"no urls_{name.group.rpartition('/')[2]}.txt says which film it is about")
    address = known[name.number] if name.number < len(known) else ""
    found = _TITLE.search(address)
    if found is None:
        raise Rejected(f"the address of review {name.number} of {name.group} names no film: {address[:100]!r}")
    return found[1], address


def parse_review(name: ReviewName, body: bytes, film_id: str, address: str, source: str) -> ReviewObserved:
    """The review in a file; paragraphs instead of marks of HTML. Raises Rejected."""
    if name.rating > BEST:
        raise Rejected(f"a score of {name.rating}, where 10 is the best")
    try:
        text = html.unescape(_BREAK.sub("\n\n", body.decode())).strip()
    except UnicodeDecodeError as error:
        raise Rejected(f"not UTF-8 at byte {error.start}") from error
    if not text:
        raise Rejected("is empty")
    rating = float(name.rating) if name.rating else None
    return ReviewObserved(
        film_id=film_id,
        source=source,
        source_record_id=name.id,
        text=text,
        lang="en",
        rating=rating,
        best=BEST if rating else None,
        worst=WORST if rating else None,
        url=address,
    )
