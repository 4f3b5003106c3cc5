"""Marquee's own fetching and hashing without a worker; arguments: file with addresses, folder, how many at once.

Prints seconds, processor seconds with those of the sandbox, and how many pictures that was.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from agents.ports import Fetched
from app.pictures.service import PictureService
from app.settings import Fetch, Pictures, Settings, Storage
from tests.bench.processes import cpu_seconds

WARM: Final = 16


async def run(urls: list[str], folder: str, at_once: int) -> None:
    """In groups, as the stage asks; the first ones, for which processes start, do not count."""
    allow = tuple({urlsplit(url).netloc for url in urls})
    storage = Storage(images=folder)
    service = PictureService(
        Settings(fetch=Fetch(allow=allow), pictures=Pictures(faces=False, nsfw=False), storage=storage)
    )
    await service.on_start()
    await asyncio.gather(*(service.desk.fetch(url) for url in urls[:WARM]))
    started, before = time.perf_counter(), cpu_seconds(os.getpid())
    for start in range(WARM, len(urls), at_once):
        answers = await asyncio.gather(*(service.desk.fetch(url) for url in urls[start : start + at_once]))
        refused = [answer for answer in answers if not isinstance(answer, Fetched)]
        if refused:
            raise RuntimeError(f"{len(refused)} were not fetched, such as {refused[0]}")
    spent = {"seconds": time.perf_counter() - started, "cpu": cpu_seconds(os.getpid()) - before}
    await service.on_stop()
    print(json.dumps(spent | {"count": len(urls) - WARM}))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(run(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2], int(sys.argv[3])))
