"""Real photos that come with installed packages, further ones that the user names, and copies made of them."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

LANCZOS: Final = Image.Resampling.LANCZOS

PACKAGED: Final = {
    "skimage": (
        "data",
        (
            "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png",
            "coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png",
            "motorcycle_left.png", "retina.jpg", "rocket.jpg",
        ),
    ),
    "sklearn": ("datasets/images", ("china.jpg", "flower.jpg")),
    "matplotlib": ("mpl-data/sample_data", ("grace_hopper.jpg",)),
}  # fmt: skip
"""One of each stereo pair only, and no drawings."""

TILE: Final = 256
_LEAST_TILES: Final = 4
_LEAST_CONTRAST: Final = 15.0

Transform = Callable[[Image.Image], bytes]


@dataclass(frozen=True)
class Photo:
    """A picture that is no copy of another; `tile` is one cut out of a larger photo, none overlapping another."""

    name: str
    image: Image.Image
    tile: bool = False


def photos(folder: Path | None) -> list[Photo]:
    """What the packages and the folder hold, and tiles of those that are large enough."""
    whole = [Photo(path.name, _opened(path)) for path in (*_packaged(), *_in(folder))]
    return [*whole, *(tile for photo in whole for tile in _tiles(photo))]


def _packaged() -> Iterator[Path]:
    for package, (folder, names) in PACKAGED.items():
        found = importlib.util.find_spec(package)
        if found is not None and found.origin is not None:
            paths = [Path(found.origin).parent / folder / name for name in names]
            yield from (path for path in paths if path.exists())


def _in(folder: Path | None) -> Iterator[Path]:
    endings = {".jpg", ".jpeg", ".png", ".webp"}
    if folder is not None:
        yield from sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings)


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def _tiles(photo: Photo) -> Iterator[Photo]:
    """A photo of which one tile is a large part would rightly be called its copy."""
    width, height = photo.image.size
    corners = [(x, y) for y in range(0, height - TILE + 1, TILE) for x in range(0, width - TILE + 1, TILE)]
    if len(corners) < _LEAST_TILES:
        return
    for x, y in corners:
        tile = photo.image.crop((x, y, x + TILE, y + TILE))
        if np.asarray(tile.convert("L")).std() >= _LEAST_CONTRAST:
            yield Photo(f"{photo.name} {x},{y}", tile, tile=True)


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def fitted(image: Image.Image, width: int = 500, height: int = 750, quality: int = 85) -> bytes:
    """As large as pictures of people on the web commonly are."""
    return jpeg(ImageOps.fit(image, (width, height), LANCZOS), quality)


def _scaled(image: Image.Image, scale: float) -> bytes:
    width, height = (max(64, round(side * scale)) for side in image.size)
    return jpeg(image.resize((width, height), LANCZOS))


def _recoloured(image: Image.Image) -> bytes:
    return jpeg(ImageEnhance.Contrast(ImageEnhance.Brightness(image).enhance(1.25)).enhance(1.2))


def _marked(image: Image.Image, share: float) -> bytes:
    """A black bar with text along the lower edge."""
    image = image.copy()
    draw, (width, height) = ImageDraw.Draw(image), image.size
    top = round(height * (1 - share))
    draw.rectangle((0, top, width, height), fill=(0, 0, 0))
    draw.text((width * 0.05, top), "(c) Some Agency", fill=(255, 255, 255), font_size=max(8.0, height * share * 0.7))
    return jpeg(image)


def _cropped(image: Image.Image, share: float) -> bytes:
    width, height = image.size
    x, y = round(width * share / 2), round(height * share / 2)
    return jpeg(image.crop((x, y, width - x, height - y)))


COPIES: Final[dict[str, Transform]] = {
    "byte copy": jpeg,
    "JPEG quality 50": partial(jpeg, quality=50),
    "JPEG quality 30": partial(jpeg, quality=30),
    "half size": partial(_scaled, scale=0.5),
    "quarter size": partial(_scaled, scale=0.25),
    "brightness + contrast": _recoloured,
    "watermark bar 6 %": partial(_marked, share=0.06),
    "cropped by 5 %": partial(_cropped, share=0.05),
}
"""What has to be found."""

BEYOND: Final[dict[str, Transform]] = {
    "watermark bar 10 %": partial(_marked, share=0.10),
    "cropped by 10 %": partial(_cropped, share=0.10),
    "turned by 3 degrees": lambda image: jpeg(image.rotate(3, Image.Resampling.BICUBIC)),
    "border of 5 %": lambda image: jpeg(ImageOps.expand(image, round(image.width * 0.05), (255, 255, 255))),
    "mirrored": lambda image: jpeg(ImageOps.mirror(image)),
}
"""What nobody promised, for information."""
