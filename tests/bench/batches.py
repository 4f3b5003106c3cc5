"""How many events the stages of a running worker take at a time, from its own metrics."""

from __future__ import annotations

import re

import aiohttp

_SAMPLE = re.compile(r'marquee_(events_total|stage_seconds_count)\{[^}]*stage="([^"]+)"[^}]*\} (\S+)')


async def batch_sizes(web_url: str) -> str:
    """The mean size of each stage's batches."""
    async with aiohttp.ClientSession() as session, session.get(f"{web_url}/metrics") as response:
        found: dict[str, dict[str, float]] = {}
        for name, stage, value in _SAMPLE.findall(await response.text()):
            found.setdefault(stage, {})[name] = float(value)
    sizes = {
        s: f.get("events_total", 0.0) / f["stage_seconds_count"]
        for s, f in found.items()
        if f.get("stage_seconds_count")
    }
    return ", ".join(f"{stage} {size:.0f}" for stage, size in sizes.items() if size)
