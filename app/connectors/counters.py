"""What a run costs, counted while it runs."""

from __future__ import annotations

import msgspec


class Counters(msgspec.Struct):
    """What a run cost. `throttled` counts 429s, `quota` what was spent of daily quotas, `bytes` those of bodies.

    `duplicates` counts records that were the same as one that went out before, `withheld` those of them that were not
    sent again, as the source said that nothing changed.
    """

    requests: int = 0
    retries: int = 0
    not_modified: int = 0
    throttled: int = 0
    bytes: int = 0
    quota: int = 0
    duplicates: int = 0
    withheld: int = 0
