"""Pictures that mean harm, or are merely odd, made by code; and good ones to stand around them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from PIL import Image

from app.pictures.decode import Reason

PAYLOAD: Final = b"<script>alert('marquee')</script>"
"""What must not be found in anything that is kept."""


@dataclass(frozen=True)
class Hostile:
    """A file as a server sends it; `reason` is None where the picture on it is good and is to be kept, disarmed."""

    name: str
    data: bytes
    content_type: str
    reason: Reason | None


def photo(seed: int, width: int = 320, height: int = 240) -> Image.Image:
    """Something like a photo: smooth shapes of many sizes in three colours; another seed, another photo."""
    random = np.random.default_rng(seed)
    layers = np.zeros((height, width, 3))
    for cells in (3, 6, 12, 24):
        coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        layers += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64) / cells
    low, high = layers.min(), layers.max()
    return Image.fromarray(((layers - low) / (high - low) * 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """A picture as a file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@cache
def good(seed: int) -> bytes:
    """A JPEG that nobody can object to."""
    return encoded(photo(seed))


@cache
def cases() -> tuple[Hostile, ...]:
    """All of them, each made once a process."""
    return (*_bombs(), *_damaged(), *_polyglots(), *_strangers(), *_shapes(), *_modes(), *_passengers())


def png(width: int, height: int, depth: int = 8, colour: int = 2, rows: bytes = b"", extra: bytes = b"") -> bytes:
    """A PNG with any header, whatever its pixels are."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [_chunk(b"IHDR", header), extra, _chunk(b"IDAT", rows or zlib.compress(b"\0")), _chunk(b"IEND", b"")]
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _zeros(size: int) -> bytes:
    """Deflated zeros, without ever holding them."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(size >> 20)]
    return b"".join([*parts, packer.compress(bytes(size & 0xFFFFF)), packer.flush()])


def _bombs() -> list[Hostile]:
    twelve = png(12_000, 12_000, depth=1, colour=0, rows=_zeros(12_000 * 1_501))
    thirty = png(30_000, 30_000, depth=1, colour=0, rows=_zeros(30_000 * 3_751))
    just = png(6_000, 6_000, colour=0, rows=_zeros(6_000 * 6_001))
    text = png(200, 200, extra=_chunk(b"zTXt", b"Comment\0\0" + _zeros(8 << 20)))
    return [
        Hostile("bomb-12k.png", twelve, "image/png", Reason.TOO_MANY_PIXELS),
        Hostile("bomb-30k.png", thirty, "image/png", Reason.TOO_MANY_PIXELS),
        Hostile("bomb-30k.webp", _webp_header(16_383, 16_383), "image/webp", Reason.TOO_MANY_PIXELS),
        Hostile("bomb-60k.jpg", _jpeg_of_size(60_000, 60_000), "image/jpeg", Reason.TOO_MANY_PIXELS),
        Hostile("within-limits-of-one-colour.png", just, "image/png", Reason.FLAT),
        Hostile("bomb-in-a-comment.png", text, "image/png", Reason.DAMAGED),
    ]


def _webp_header(width: int, height: int) -> bytes:
    """An extended WebP that says how large it is and holds one pixel's worth of nothing."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    tail = encoded(Image.new("RGB", (8, 8)), "WEBP")[12:]
    body = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + size + tail
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _jpeg_of_size(width: int, height: int) -> bytes:
    data = bytearray(good(1))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def _damaged() -> list[Hostile]:
    whole = good(2)
    progressive = encoded(photo(3), progressive=True)
    return [
        Hostile("half.jpg", whole[: len(whole) // 2], "image/jpeg", Reason.DAMAGED),
        Hostile("almost.jpg", whole[:-400], "image/jpeg", Reason.DAMAGED),
        Hostile("half-progressive.jpg", progressive[: len(progressive) // 2], "image/jpeg", Reason.DAMAGED),
        Hostile("header-only.jpg", whole[:20], "image/jpeg", Reason.DAMAGED),
        Hostile("half.png", encoded(photo(2), "PNG")[:5_000], "image/png", Reason.DAMAGED),
        Hostile("half.webp", encoded(photo(2), "WEBP")[:2_000], "image/webp", Reason.DAMAGED),
        Hostile("half.gif", encoded(photo(2), "GIF")[:9_000], "image/gif", Reason.DAMAGED),
        Hostile("no-pixels.png", png(300, 300), "image/png", Reason.DAMAGED),
    ]


def _polyglots() -> list[Hostile]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("evil.js", PAYLOAD)
    return [
        Hostile("script.gif", b"GIF89a/*" + bytes(20) + b"*/=1;" + PAYLOAD, "image/gif", Reason.DAMAGED),
        Hostile("photo-and-archive.jpg", good(4) + archive.getvalue(), "image/jpeg", None),
        Hostile("photo-and-page.png", encoded(photo(5), "PNG") + PAYLOAD, "image/png", None),
        Hostile("archive.jpg", archive.getvalue(), "image/jpeg", Reason.ARCHIVE),
    ]


def _strangers() -> list[Hostile]:
    page = b"\xef\xbb\xbf \n<!DOCTYPE html><html><body>" + PAYLOAD + b"</body></html>"
    drawing = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">' + PAYLOAD + b"</svg>"
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n(%pipe%id) (w) file\n"
    return [
        Hostile("empty.jpg", b"", "image/jpeg", Reason.EMPTY),
        Hostile("page.jpg", page, "image/jpeg", Reason.HTML),
        Hostile("drawing.png", drawing, "image/png", Reason.SVG),
        Hostile("postscript.jpg", eps, "image/jpeg", Reason.EPS),
        Hostile("document.jpg", b"%PDF-1.7\n" + bytes(100), "image/jpeg", Reason.PDF),
        Hostile("note.jpg", "Zugriff verweigert: bitte anmelden, später wieder".encode(), "image/jpeg", Reason.TEXT),
        Hostile("zeros.jpg", bytes(10 << 20), "image/jpeg", Reason.UNKNOWN),
        Hostile("too-heavy.jpg", good(1) + bytes(21 << 20), "image/jpeg", Reason.TOO_MANY_BYTES),
        Hostile("bitmap.bmp", encoded(photo(6), "BMP"), "image/bmp", Reason.UNSUPPORTED),
        Hostile("scan.tif", encoded(photo(6), "TIFF"), "image/tiff", Reason.UNSUPPORTED),
        Hostile("new.avif", encoded(photo(6), "AVIF"), "image/avif", Reason.UNSUPPORTED),
        Hostile("wrong-ending.png", good(7), "image/png", None),
    ]


def _shapes() -> list[Hostile]:
    return [
        Hostile("pixel.gif", encoded(Image.new("RGB", (1, 1)), "GIF"), "image/gif", Reason.TOO_SMALL),
        Hostile("icon.png", encoded(photo(8, 63, 63), "PNG"), "image/png", Reason.TOO_SMALL),
        Hostile("banner.png", encoded(photo(9, 8_000, 80), "PNG"), "image/png", Reason.BANNER),
        Hostile("line.jpg", encoded(photo(9, 3_200, 32)), "image/jpeg", Reason.BANNER),
        Hostile("grey.jpg", encoded(Image.new("RGB", (300, 300), (200, 200, 201))), "image/jpeg", Reason.FLAT),
        Hostile("transparent.png", encoded(Image.new("RGBA", (300, 300)), "PNG"), "image/png", Reason.FLAT),
    ]


def _modes() -> list[Hostile]:
    frames = [photo(100 + n, 120, 120).convert("L") for n in range(60)]
    deep = Image.fromarray(np.asarray(photo(10).convert("L")).astype(np.uint16) << 8)
    veiled = photo(11)
    veiled.putalpha(Image.linear_gradient("L").resize(veiled.size))
    colours = photo(12).quantize(64)
    return [
        Hostile("60-frames.gif", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "image/gif", None),
        Hostile(
            "20-frames.webp", encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:20]), "image/webp", None
        ),
        Hostile("print.jpg", encoded(photo(13).convert("CMYK")), "image/jpeg", None),
        Hostile("16-bit.png", encoded(deep, "PNG"), "image/png", None),
        Hostile("grey-levels.jpg", encoded(photo(14).convert("L")), "image/jpeg", None),
        Hostile("black-and-white.png", encoded(photo(15).convert("1"), "PNG"), "image/png", None),
        Hostile("palette.png", encoded(colours, "PNG"), "image/png", None),
        Hostile("palette-with-a-hole.png", encoded(colours, "PNG", transparency=3), "image/png", None),
        Hostile("alpha.png", encoded(veiled, "PNG"), "image/png", None),
        Hostile("alpha.webp", encoded(veiled, "WEBP"), "image/webp", None),
        Hostile("grey-alpha.png", encoded(veiled.convert("LA"), "PNG"), "image/png", None),
    ]


def _passengers() -> list[Hostile]:
    script = PAYLOAD.decode()
    exif = Image.Exif()
    exif[0x010E] = exif[0x9286] = script
    exif[0x0112] = 6
    broken = b"Exif\0\0II*\0\xff\xff\xff\x7f" + PAYLOAD
    return [
        Hostile("exif.jpg", encoded(photo(16), exif=exif), "image/jpeg", None),
        Hostile("broken-exif.jpg", encoded(photo(17), exif=broken), "image/jpeg", None),
        Hostile("comment.jpg", encoded(photo(18), comment=PAYLOAD), "image/jpeg", None),
        Hostile("profile.jpg", encoded(photo(19), icc_profile=PAYLOAD * 10), "image/jpeg", None),
        Hostile("text.png", encoded(photo(20), "PNG", pnginfo=_text(script)), "image/png", None),
        Hostile("comment.gif", encoded(photo(21), "GIF", comment=PAYLOAD), "image/gif", None),
        Hostile("exif.webp", encoded(photo(22), "WEBP", exif=exif, xmp=PAYLOAD), "image/webp", None),
    ]


def _text(script: str) -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Comment", script)
    info.add_itxt("XML:com.adobe.xmp", script)
    return info
