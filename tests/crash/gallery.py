"""People and their pictures as a web has them, with what must become of each: seeded, served from this process."""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image, ImageEnhance

from schemas.catalogue import encode
from schemas.pictures import ImageFound
from tests.crash.crowd import Given
from tests.pictures.fake_faces import COLOURS
from tests.pictures.hostile import encoded, photo

PEOPLE: Final = {f"Q{1000 + n}": colour for n, colour in enumerate(COLOURS)}
"""Whose faces are of which colour, as the fake engine sees it."""
DISTINCT, COPIES, SHARED, TOLD_AGAIN = 200, 100, 4, 20
SIDE: Final = (320, 240)
SETTLED: Final = 10
"""Pictures of a person alone that come first, so that nobody can take the person for another."""
LATE_SECONDS: Final = 0.2
HOSTILE: Final = (b"<!doctype html><script>alert(1)</script>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"PK\x03\x04" + bytes(99))


@dataclass(frozen=True)
class Shown:
    """A picture under an address, said to show a person; what is expected of it: a verdict, and words of the reason."""

    person: str
    path: str
    data: bytes | None
    verdict: str
    reason: str = ""


@dataclass
class Gallery:
    """What a web shows of some people, in the order in which it is found, and how often each was asked for."""

    shown: list[Shown]
    """Without those that are shown for two people."""
    shared: list[tuple[Shown, Shown]]
    """One picture under two people's names: whoever's comes first has it, the other one is a conflict."""
    told: list[Shown]
    """In the order in which sources tell of them, some more than once."""
    asked: Counter[str] = field(default_factory=Counter)
    authority: str = ""

    def url(self, shown: Shown) -> str:
        """Where a picture is found."""
        return f"http://{self.authority}/{shown.path}"

    def finds(self) -> list[Given]:
        """The records that tell of them all."""
        seen: Counter[str] = Counter()
        given = []
        # Of now: what is older than the topic's retention may be gone before it is read.
        now = int(time.time() * 1000)
        for n, shown in enumerate(self.told):
            place = f"{shown.person} {shown.path}"
            seen[place] += 1
            found = ImageFound(
                celebrity_id=shown.person, source=f"source-{seen[place]}", url=self.url(shown), licence="PD"
            )
            given.append(Given(ImageFound.topic, shown.person, encode(found), [], now + n))
        return given

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """A server in this process, which takes its time now and then."""
        files = {shown.path: shown.data for shown in self.told}
        rng = random.Random("latency")

        async def answer(request: web.Request) -> web.Response:
            path = request.path[1:]
            self.asked[path] += 1
            await asyncio.sleep(rng.uniform(0, LATE_SECONDS))
            data = files.get(path)
            return web.Response(status=404) if data is None else web.Response(body=data, content_type="image/jpeg")

        application = web.Application()
        application.router.add_get("/{path:.*}", answer)
        server = TestServer(application)
        await server.start_server()
        self.authority = f"{server.host}:{server.port}"
        try:
            yield
        finally:
            await server.close()


def gallery(seed: int) -> Gallery:
    """The same seed shows the same pictures, and no two of the distinct ones are alike."""
    rng = random.Random(f"gallery {seed}")
    people = list(PEOPLE)
    lines = {person: list(_of(person, rng)) for person in people}
    pairs = [_shared(n, people[n % len(people)], people[(n + 1) % len(people)]) for n in range(SHARED)]
    for pair in pairs:
        for shown in pair:
            lines[shown.person].insert(rng.randrange(SETTLED, len(lines[shown.person])), shown)
    told = _shuffled(lines, rng)
    for shown in rng.sample(told[: len(told) // 2], TOLD_AGAIN):
        told.insert(rng.randrange(len(told) // 2, len(told)), shown)
    both = {shown.path for pair in pairs for shown in pair}
    alone = [shown for line in lines.values() for shown in line if shown.path not in both]
    return Gallery(alone, pairs, told)


def _shuffled(lines: dict[str, list[Shown]], rng: random.Random) -> list[Shown]:
    """All lines at once; within a person the order stays."""
    turns = [person for person, line in lines.items() for _ in line]
    rng.shuffle(turns)
    left = {person: iter(line) for person, line in lines.items()}
    return [next(left[person]) for person in turns]


def _of(person: str, rng: random.Random) -> Iterator[Shown]:
    """A person's pictures: most alone, some with others, some of others, some of nobody; copies; and worse."""
    line: list[Shown] = []
    colour, others = PEOPLE[person], [other for other in COLOURS if other != PEOPLE[person]]
    for n in range(DISTINCT // len(PEOPLE)):
        kind = rng.random() if n >= SETTLED else 1.0
        faces = [] if kind < 0.1 else [rng.choice(others)] if kind < 0.2 else [colour]
        faces += [rng.choice([other for other in others if other not in faces])] if 0.2 <= kind < 0.3 else []
        said = (
            ("rejected", "no face") if not faces else ("kept", "") if colour in faces else ("rejected", "another face")
        )
        line.append(Shown(person, f"{person}/{n}.jpg", encoded(picture(_number(person, n), faces), quality=92), *said))
    originals = list(line)
    for n in range(COPIES // len(PEOPLE)):
        original = rng.choice(originals)
        copy = Shown(person, f"{person}/copy-{n}.jpg", _copy(original, n), "duplicate", "claimed already")
        line.insert(rng.randrange(line.index(original) + 1, len(line) + 1), copy)
    line += [Shown(person, f"{person}/bad-{n}.jpg", data, "rejected", "not a") for n, data in enumerate(HOSTILE)]
    line.append(Shown(person, f"{person}/missing.jpg", None, "failed", "404"))
    yield from line


def picture(number: int, faces: list[str]) -> Image.Image:
    """A gray photo with a face for each colour; no two faces of a person are quite alike."""
    rng = np.random.default_rng(number)
    made = photo(number, *SIDE).convert("L").convert("RGB")
    for place, colour in enumerate(faces):
        side = int(rng.integers(48, 72))
        x = int(rng.integers(0, SIDE[0] // 2 - side)) + place * SIDE[0] // 2
        shade = tuple(int(np.clip(level + rng.integers(-12, 13), 0, 255)) for level in COLOURS[colour])
        y = int(rng.integers(0, SIDE[1] - side))
        made.paste(shade, (x, y, x + side, y + side))
    return made


def _number(person: str, n: int) -> int:
    return list(PEOPLE).index(person) * 1000 + n


def _shared(n: int, one: str, other: str) -> tuple[Shown, Shown]:
    both = encoded(picture(9_000 + n, [PEOPLE[one], PEOPLE[other]]), quality=92)
    return Shown(one, f"shared/{n}.jpg", both, "kept"), Shown(other, f"shared/{n}.jpg", both, "kept")


def _copy(original: Shown, n: int) -> bytes:
    """The same bytes elsewhere, or what the web makes of a picture."""
    assert original.data is not None
    image = _opened(original.data)
    kinds = (
        lambda: original.data,
        lambda: encoded(image, quality=45),
        lambda: encoded(image.resize((SIDE[0] // 2, SIDE[1] // 2))),
        lambda: encoded(ImageEnhance.Brightness(image).enhance(1.1), "PNG"),
    )
    made = kinds[n % len(kinds)]()
    assert made is not None
    return made


def _opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")
