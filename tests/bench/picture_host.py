"""Hosts that pictures are fetched from, in a process of their own, so that their work is not the worker's.

`python -m tests.bench.picture_host FOLDER HOSTS` serves the files of FOLDER on as many ports as HOSTS says, and prints
the ports as JSON. Below `/after-MS/` each answer takes that many milliseconds longer.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from aiohttp import web
from PIL import Image

from app.embedded.ports import LOOPBACK
from tests.bench.processes import ROOT

WIDTH, HEIGHT = 500, 750
HOSTS: Final = 8
"""Pictures of people come from several sites, each of which is asked for a few at a time only."""
PORTRAITS: Final = {
    "Q101": ("skimage", "data/astronaut.png", (120, 0, 340, 240)),
    "Q102": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", (130, 0, 410, 300)),
}
"""Public-domain portraits that come inside packages: where, and the box with the face."""
_CELLS: Final = (6, 9)
_GRAIN: Final = 5.0


class Host:
    """Where the addresses of pictures lead."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports

    @property
    def authorities(self) -> list[str]:
        """host:port of each."""
        return [f"{LOOPBACK}:{port}" for port in self._ports]

    def url(self, n: int, name: str, milliseconds: int = 0) -> str:
        """The address of a file; the n-th picture is at another host than the one before."""
        after = f"after-{milliseconds}/" if milliseconds else ""
        return f"http://{self.authorities[n % len(self._ports)]}/{after}{name}"


@asynccontextmanager
async def host(folder: Path) -> AsyncIterator[Host]:
    """The process, for as long as the block lasts."""
    command = (sys.executable, "-m", f"{__name__}", str(folder), str(HOSTS))
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield Host(json.loads(await process.stdout.readline()))
    finally:
        process.stdin.close()
        await process.wait()


def write_pictures(folder: Path, count: int) -> int:
    """Distinct pictures `0.jpg`, `1.jpg` …, about as heavy as photos of that size; how many bytes on average."""
    folder.mkdir(parents=True, exist_ok=True)
    grain = np.random.default_rng(0).normal(0, _GRAIN, (2 * HEIGHT, 2 * WIDTH, 1)).astype(np.float32)
    sizes = [(folder / f"{n}.jpg").write_bytes(jpeg(made(n, grain))) for n in range(count)]
    return round(sum(sizes) / len(sizes))


def made(seed: int, grain: np.ndarray) -> Image.Image:
    """Soft colours with film grain over them; another seed, another picture."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (_CELLS[1], _CELLS[0], 3), dtype=np.uint8))
    soft = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), dtype=np.float32)
    y, x = random.integers(0, HEIGHT), random.integers(0, WIDTH)
    return Image.fromarray(np.clip(soft + grain[y : y + HEIGHT, x : x + WIDTH], 0, 255).astype(np.uint8))


def write_portraits(folder: Path, count: int) -> list[tuple[str, str]]:
    """Pictures with one real face each in another place, and whose it is; none where no portrait is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    faces = dict(_portraits())
    grain = np.zeros((2 * HEIGHT, 2 * WIDTH, 1), dtype=np.float32)
    written = []
    for n in range(count if faces else 0):
        person = sorted(faces)[n % len(faces)]
        picture, face = made(1_000_000 + n, grain), faces[person]
        random = np.random.default_rng(n)
        picture.paste(
            face, (int(random.integers(0, WIDTH - face.width)), int(random.integers(0, HEIGHT - face.height)))
        )
        (folder / f"face-{n}.jpg").write_bytes(jpeg(picture))
        written.append((person, f"face-{n}.jpg"))
    return written


def _portraits() -> Iterator[tuple[str, Image.Image]]:
    for person, (package, path, box) in PORTRAITS.items():
        found = find_spec(package)
        file = Path(found.origin or "").parent / path if found is not None else Path()
        if file.is_file():
            with Image.open(file) as image:
                yield person, image.convert("RGB").crop(box)


def jpeg(image: Image.Image) -> bytes:
    """As most of the web sends photos."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


async def serve(files: Mapping[str, bytes], hosts: int) -> None:
    """Until standard input ends."""

    async def answer(request: web.Request) -> web.Response:
        after, _, name = request.path[1:].rpartition("/")
        if name not in files:
            return web.Response(status=404)
        if after:
            await asyncio.sleep(int(after.removeprefix("after-")) / 1000)
        return web.Response(body=files[name], content_type="image/jpeg")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    sites = [web.TCPSite(runner, LOOPBACK, 0, backlog=1024) for _ in range(hosts)]
    for site in sites:
        await site.start()
    sys.stdout.write(json.dumps([port for _, port in runner.addresses]) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve({path.name: path.read_bytes() for path in Path(sys.argv[1]).iterdir()}, int(sys.argv[2])))
