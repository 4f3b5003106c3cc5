"""Pass on what happens to people and their pictures to the documents that people query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.messages import Message
from agents.ports import PictureEraser, PictureProjections
from schemas.faces import FaceRecognised
from schemas.pictures import (
    CelebrityRegistered,
    FindDropped,
    ImageAccepted,
    ImageDiscarded,
    ImageExamined,
    ImageFound,
    ImageKept,
    ImageRejected,
    ImageWithdrawn,
    PersonForgotten,
)


async def project_celebrities(batch: Sequence[Message[CelebrityRegistered]], pictures: PictureProjections) -> None:
    """People as registered."""
    await pictures.put_celebrities(batch)


async def project_found(batch: Sequence[Message[ImageFound]], pictures: PictureProjections) -> None:
    """Addresses as found."""
    await pictures.put_found(batch)


async def project_accepted(batch: Sequence[Message[ImageAccepted]], pictures: PictureProjections) -> None:
    """Pictures as claimed."""
    await pictures.put_accepted(batch)


async def project_rejected(batch: Sequence[Message[ImageRejected]], pictures: PictureProjections) -> None:
    """Items that went no further."""
    await pictures.put_rejected(batch)


async def project_kept(batch: Sequence[Message[ImageKept]], pictures: PictureProjections) -> None:
    """Pictures that stay."""
    await pictures.put_kept(batch)


async def project_discarded(batch: Sequence[Message[ImageDiscarded]], pictures: PictureProjections) -> None:
    """Pictures that do not stay."""
    await pictures.put_discarded(batch)


async def project_recognised(batch: Sequence[Message[FaceRecognised]], pictures: PictureProjections) -> None:
    """Faces as the model took them."""
    await pictures.put_recognised(batch)


async def project_forgotten(
    batch: Sequence[Message[ImageExamined | ImageWithdrawn | PersonForgotten | FindDropped]],
    pictures: PictureProjections,
    files: PictureEraser,
) -> None:
    """Pictures that were ruled out, and people who are forgotten with all that was under way then.

    Examinations wait for the judge, but for files of people who are forgotten already: no document will name those.
    """
    withdrawn: list[Any] = [message for message in batch if isinstance(message.data, ImageWithdrawn)]
    if withdrawn:
        await pictures.put_withdrawn(withdrawn)
    forgotten: list[Any] = [message for message in batch if isinstance(message.data, PersonForgotten)]
    if forgotten:
        # Once the documents are gone, nobody knows whose a file was: after a crash between, all of it is done again, or
        # the documents are made again without the person, and whoever keeps the files looks for those without a name.
        await _erase(files, await pictures.condemned(forgotten))
        await pictures.forget(forgotten)
    dropped: list[Any] = [message for message in batch if isinstance(message.data, FindDropped)]
    if dropped:
        await pictures.put_dropped(dropped)
    others: list[Any] = [each for each in batch if isinstance(each.data, ImageExamined | ImageWithdrawn)]
    await _erase(files, await pictures.strays(others))


async def _erase(files: PictureEraser, condemned: Sequence[tuple[str, str]]) -> None:
    if condemned:
        await files.erase(condemned)
