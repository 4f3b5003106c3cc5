"""A plain loop of aiohttp and imagehash, as scripts do it; arguments: file with addresses, unused folder."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
from pathlib import Path
from typing import Final

import aiohttp
import imagehash
from PIL import Image

AT_ONCE: Final = 64


async def run(urls: list[str]) -> None:
    """Fetch many at once, hash each where it arrives, keep nothing."""
    gate = asyncio.Semaphore(AT_ONCE)
    hashes = []
    async with aiohttp.ClientSession() as session:

        async def one(url: str) -> None:
            async with gate, session.get(url) as response:
                hashes.append(imagehash.phash(Image.open(io.BytesIO(await response.read()))))

        started, before = time.perf_counter(), time.process_time()
        await asyncio.gather(*map(one, urls))
    spent = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - before}
    print(json.dumps(spent | {"count": len(hashes)}))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(run(json.loads(Path(sys.argv[1]).read_text())))
