"""Writes what a source allows onto the records that were read from it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from agents.messages import rfc3339
from app.connectors.config import Terms
from schemas.base import Record
from schemas.terms import SourceTerms

DAY_SECONDS: Final = 86_400


def bound(record: Record, terms: Terms, now: float) -> Record:
    """The record with its source's terms, which count from `now` (seconds since 1970); itself where there are none.

    Identities tell of the world only, so nobody may take the terms, or the moment, for a part of the record's.
    """
    if "terms" not in type(record).__struct_fields__:
        return record
    said = _said(terms.ttl_days, terms.train_allowed, terms.attribution, int(now))
    return record if said is None else msgspec.structs.replace(record, terms=said)


@lru_cache(maxsize=64)
def _said(ttl_days: int | None, train: bool, attribution: str, now: int) -> SourceTerms | None:
    """Kept for a second, because many records share one."""
    expires_at = None if ttl_days is None else rfc3339((now + ttl_days * DAY_SECONDS) * 1000)
    said = SourceTerms(train=train, expires_at=expires_at, attribution=attribution)
    return None if said == SourceTerms() else said
