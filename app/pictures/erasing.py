"""Removes the files of people who are forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from agents.errors import Unavailable
from app.pictures.files import Area, PictureFiles


class FileEraser:
    """`agents.ports.PictureEraser` over the pictures' folder."""

    def __init__(self, files: PictureFiles) -> None:
        self._files = files

    async def erase(self, files: Sequence[tuple[str, str]]) -> None:
        """Remove files for good. Raises Unavailable where the disk does not let go of them."""
        try:
            await asyncio.to_thread(self._remove, files)
        except OSError as error:
            raise Unavailable(f"the pictures' folder: {error}") from error

    def _remove(self, files: Sequence[tuple[str, str]]) -> None:
        for area, sha256 in files:
            self._files.remove(cast(Area, area), sha256)
