"""The demo's pictures: photographs that lie in a package, copies made of them, and files that are not what they say."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from app.demo.sources import DemoDataError
from models.face_evaluation import is_aside

PORTRAIT: Final = "astronaut.png"
PORTRAYED: Final = "Eileen Collins"
"""NASA's portrait in scikit-image is of her."""
FACELESS: Final = ("coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png", "ihc.png", "hubble_deep_field.jpg")
MOST_A_FOLDER: Final = 60
SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".gif")


@dataclass(frozen=True)
class Served:
    """A file as the demo's own server sends it."""

    name: str
    data: bytes
    content_type: str = "image/jpeg"


@dataclass(frozen=True)
class Person:
    """Who is pushed, what the demo's sources say of them, and a picture that is held back to ask about."""

    name: str
    pictures: tuple[Served, ...]
    asked: Served | None = None


def people(folder: Path | None) -> list[Person]:
    """The person of the portrait, with everything around it, and one person for each folder in `folder`.

    Raises DemoDataError where the package or the folder is not there.
    """
    return [_portrayed(), *(_labelled(folder) if folder is not None else ())]


def _portrayed() -> Person:
    portrait = _open(PORTRAIT)
    pictures = [
        Served("portrait.png", encoded(portrait, "PNG"), "image/png"),
        *_copies(portrait),
        # So much is cut off or turned round that they count as pictures of their own.
        Served("close-up.jpg", encoded(portrait.crop((110, 0, 370, 260)))),
        Served("mirrored.jpg", encoded(ImageOps.mirror(portrait).crop((90, 0, 490, 460)))),
        Served("tilted.jpg", encoded(portrait.rotate(9, resample=Image.Resampling.BICUBIC).crop((60, 40, 420, 400)))),
        *(Served(f"no-face-{name.rpartition('.')[0]}.jpg", encoded(_open(name))) for name in FACELESS),
        *hostile(portrait),
    ]
    asked = ImageEnhance.Brightness(portrait.rotate(-6).crop((80, 20, 400, 340))).enhance(1.2)
    return Person(PORTRAYED, tuple(pictures), Served("asked.jpg", encoded(asked)))


def _copies(portrait: Image.Image) -> Iterator[Served]:
    """What the web makes of a picture: sent on, made smaller, made worse, stamped."""
    yield Served("sent-on.png", encoded(portrait, "PNG"), "image/png")
    yield Served("quality-30.jpg", encoded(portrait, quality=30))
    yield Served("half.jpg", encoded(portrait.resize((256, 256))))
    yield Served("quarter.webp", encoded(portrait.resize((128, 128)), "WEBP"), "image/webp")
    yield Served(
        "brighter.jpg", encoded(ImageEnhance.Contrast(ImageEnhance.Brightness(portrait).enhance(1.2)).enhance(1.1))
    )
    stamped = portrait.copy()
    draw = ImageDraw.Draw(stamped)
    draw.rectangle((0, 480, 512, 512), fill=(20, 20, 20))
    draw.text((12, 488), "pictures.example", fill=(230, 230, 230))
    yield Served("stamped.jpg", encoded(stamped))


def hostile(portrait: Image.Image) -> Iterator[Served]:
    """Files that a server may send under a picture's name."""
    whole = encoded(portrait)
    yield Served("page.jpg", b"<!doctype html><script>alert(1)</script>")
    yield Served("postscript.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    yield Served("truncated.jpg", whole[: len(whole) // 2])
    yield Served("bomb.png", _bomb(20_000), "image/png")
    yield Served("pixel.gif", encoded(Image.new("RGB", (1, 1)), "GIF"), "image/gif")
    yield Served("banner.png", encoded(Image.new("RGB", (4000, 64), (9, 90, 9)), "PNG"), "image/png")
    yield Served("placeholder.png", encoded(Image.new("RGB", (400, 400), (204, 204, 204)), "PNG"), "image/png")
    yield Served("zeros.jpg", bytes(1 << 20))


def _bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it has `side` x `side` pixels."""
    header = side.to_bytes(4, "big") * 2 + bytes((8, 2, 0, 0, 0))
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    body = b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def _labelled(folder: Path) -> Iterator[Person]:
    """One person for each folder that holds pictures; the last of three or more is held back. Raises DemoDataError."""
    if not folder.is_dir():
        raise DemoDataError(f"{folder}: no such folder; --faces wants one with a folder of pictures for each person")
    found = False
    for each in sorted(path for path in folder.iterdir() if path.is_dir() and not is_aside(path.name)):
        files = sorted(path for path in each.iterdir() if path.suffix.lower() in SUFFIXES and not is_aside(path.name))[
            :MOST_A_FOLDER
        ]
        served = [Served(f"{each.name}/{path.name}", path.read_bytes()) for path in files]
        if not served:
            continue
        found = True
        held_back = served.pop() if len(served) >= 3 else None
        yield Person(each.name.replace("_", " "), tuple(served), held_back)
    if not found:
        raise DemoDataError(f"{folder}: holds no folder with pictures ({', '.join(SUFFIXES)})")


def _open(name: str) -> Image.Image:
    """A photograph of the package scikit-image. Raises DemoDataError."""
    found = find_spec("skimage")
    if found is None or found.origin is None:
        raise DemoDataError("the package scikit-image is not there: run make setup, or install the extra [demo]")
    with Image.open(Path(found.origin).parent / "data" / name) as picture:
        return picture.convert("RGB")


def encoded(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """A picture as a file."""
    out = io.BytesIO()
    picture.save(out, kind, **({"quality": 92} if kind == "JPEG" and "quality" not in options else {}), **options)
    return out.getvalue()
