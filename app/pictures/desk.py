"""Where the stages of the celebrity path turn to for bytes: downloads, files and the sandbox put together."""

from __future__ import annotations

import logging
from typing import Final

from agents.ports import Examination, Fetched, NotFetched
from app.pictures.decode import Limits
from app.pictures.download import Downloaded, Downloader, FailedError, RefusedError, shown
from app.pictures.files import EXTENSIONS, PictureFiles
from app.pictures.jobs import Cleaned, Measured, Refused, clean, take
from app.pictures.sandbox import Failed, Sandbox
from app.pictures.syncing import Syncer

log = logging.getLogger(__name__)

ERASED: Final = "the picture's bytes are gone: its person was forgotten, or the file was removed"


class PictureDesk:
    """`agents.ports.Pictures` over real downloads, a folder and worker processes."""

    def __init__(
        self,
        downloader: Downloader,
        files: PictureFiles,
        sandbox: Sandbox,
        limits: Limits,
        faces: str | None = None,
        nsfw: str | None = None,
    ) -> None:
        self._downloader = downloader
        self._files = files
        self._sandbox = sandbox
        self._limits = limits
        self._faces = faces
        self._nsfw = nsfw
        self._syncer = Syncer()

    async def fetch(self, url: str) -> Fetched | NotFetched:
        """Download, check, hash and put away. Raises Unavailable where the disk does not take it."""
        return await self._fetch(url)

    async def _fetch(self, url: str, wanted: str | None = None) -> Fetched | NotFetched:
        """The same; where it is known which picture is wanted, no other is put away."""
        try:
            downloaded = await self._downloader.download(url)
        except RefusedError as error:
            return NotFetched(verdict="rejected", reason=str(error))
        except FailedError as error:
            return NotFetched(verdict="failed", reason=str(error))
        try:
            if wanted not in (None, downloaded.sha256):
                return NotFetched(verdict="failed", reason=f"{shown(url)}: another picture is there now")
            return await self._put_away(downloaded)
        finally:
            # Adopted files are no longer there under this name.
            downloaded.path.unlink(missing_ok=True)

    async def _put_away(self, downloaded: Downloaded) -> Fetched | NotFetched:
        where = str(downloaded.path), str(self._files.root), downloaded.sha256
        measured = await self._sandbox.run(take, *where, self._limits)
        if not isinstance(measured, Measured):
            return NotFetched(verdict="rejected", reason=_reason(measured), image_id=downloaded.sha256)
        await self._sync(self._files.relative("original", downloaded.sha256, EXTENSIONS[measured.format]))
        return Fetched(
            image_id=downloaded.sha256,
            width=measured.width,
            height=measured.height,
            format=measured.format,
            bytes=downloaded.bytes,
            phash64=measured.phash64,
            dhash64=measured.dhash64,
            phash256=measured.phash256,
            pipeline=measured.pipeline,
        )

    async def examine(self, image_id: str, again: str | None = None) -> Examination:
        """Disarm a picture and look for faces. Raises Unavailable where the disk does not take the copy.

        Bytes that are gone are fetched `again` at an address.
        """
        why = ""
        relative = self._files.find("original", image_id)
        if relative is None and again is not None:
            log.info("picture %s is gone, and is fetched again", image_id)
            fetched = await self._fetch(again, image_id)
            why = f"; fetched again: {fetched.reason}" if isinstance(fetched, NotFetched) else ""
            relative = self._files.find("original", image_id)
        if relative is None:
            return Examination(refused=f"{ERASED}{why}")
        path, root = self._files.path(relative), self._files.root
        answer = await self._sandbox.run(clean, str(path), str(root), self._limits, self._faces, self._nsfw)
        if not isinstance(answer, Cleaned):
            return Examination(refused=_reason(answer))
        await self._sync(answer.path)
        return Examination(
            sha256=answer.sha256,
            path=answer.path,
            width=answer.width,
            height=answer.height,
            faces=answer.faces,
            face_model=answer.face_model,
            unsafe=answer.unsafe,
        )

    async def _sync(self, relative: str) -> None:
        """What an event is about to speak of must be there after a power cut."""
        await self._syncer.sync(self._files.path(relative))


def _reason(answer: Refused | Failed | object) -> str:
    if isinstance(answer, Refused | Failed):
        return str(answer.reason)
    raise TypeError(f"the sandbox answered with {type(answer).__name__}")
