"""What a source allows that is done with what it states; travels with every record that repeats it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Stamp = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$")]
"""RFC 3339 in UTC, written with Z, so that the order of the texts is that of the moments."""


class SourceTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A source's terms; a record without any may be learnt from and stored for ever.

    `train`: whether models may learn from it. `expires_at`: until when it may be stored. `attribution`: what must be
    shown with it.
    """

    train: bool = True
    expires_at: Stamp | None = None
    attribution: Annotated[str, Meta(max_length=1000)] = ""


def may_train(terms: SourceTerms | None) -> bool:
    """Whether models may learn from what came under these terms."""
    return terms is None or terms.train
