"""The straight run of the celebrity path: the same finds through the same stages, real files included, undisturbed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from app.delivery.producer import Outgoing
from app.delivery.raw import Raw
from app.learning.specs import MODELS
from app.memory import MemoryLog
from app.pictures.service import PictureService
from app.settings import Fetch, Pictures, Settings, Storage
from schemas.commands import SubmitCelebrity
from schemas.faces import FaceConfirmed
from schemas.pictures import ImageExamined, ImageFetched, ImageFound
from tests.crash.straight import StraightRun

Files = dict[str, bytes]
"""What lies below the root of the pictures, by path."""

MERGED: Final = (SubmitCelebrity.topic, ImageFetched.topic, ImageExamined.topic, FaceConfirmed.topic)
"""Where several partitions or lives write: in which order is the broker's to say, and is as good as any other."""
GIVEN: Final = (ImageFound.topic, *MERGED)
_LATER: Final = 1 << 42
"""When records are made here, in ms since 1970: after anything that they follow from."""


class GivenLog(MemoryLog):
    """A log on which some topics lie complete from the start; `said` is what stages would have written there."""

    def __init__(self, partitions: int, given: Mapping[str, Sequence[Raw]]) -> None:
        super().__init__(partitions, clock=lambda: _LATER)
        self.said: dict[str, set[bytes]] = defaultdict(set)
        self._given = given
        for topic, records in given.items():
            for raw in records:
                place = self.topics[topic][raw.partition]
                assert raw.offset == len(place), f"{topic}-{raw.partition} has a hole before {raw.offset}"
                place.append(raw)

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Append, or note where nothing is appended."""
        for record in records:
            if record.topic in self._given:
                self.said[record.topic].add(record.value or b"")
            else:
                await super().send([record])


class StraightPictures(StraightRun):
    """Recomputes everything from what was found, following the order in which the storm merged what it made of it."""

    def __init__(self, partitions: int, given: Mapping[str, Sequence[Raw]], folder: Path, authority: str) -> None:
        self.service = PictureService(
            Settings(
                fetch=Fetch(allow=(authority,)),
                pictures=Pictures(processes=2, nsfw=False),
                storage=Storage(images=str(folder)),
            )
        )
        self.given = GivenLog(partitions, given)
        super().__init__(partitions, log=self.given, pictures=self.service.desk, files=self.service)
        self.folder = folder

    async def follow(self) -> None:
        """Run all stages, then the models over what lies on their topics."""
        await self.service.on_start()
        try:
            await self._runner.settle()
        finally:
            await self.service.on_stop()
        for spec in MODELS:
            await self.log.send(self.lessons[spec.name].apply(self.given.records(spec.reads.topic)))
        await self._runner.settle()


def files_below(root: Path) -> Files:
    """Every file, whatever it is for, besides the mark of the database."""
    files = [path for path in root.rglob("*") if path.is_file() and path.parent != root / "owners"]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def files_named(images: Iterable[Mapping[str, Any]]) -> set[str]:
    """The files that must be there for these documents of items, without endings."""
    named = set()
    for item in images:
        if item["claim"]:
            named.add(_path("original", item["claim"]["image_id"]))
        if item["clean"]:
            # Nobody asked for thumbnails, so there are none.
            named.add(_path("clean", item["clean"]))
    return named


def _path(area: str, sha256: str) -> str:
    return f"{area}/{sha256[:2]}/{sha256}"
