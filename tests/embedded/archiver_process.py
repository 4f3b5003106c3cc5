"""An archiver in a process of its own, for tests to kill: arguments are broker, directory and topics."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from app.embedded.archive import Archiver


async def main(bootstrap: str, directory: str, *topics: str) -> None:
    await Archiver(bootstrap, Path(directory), topics, segment_bytes=50_000).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
