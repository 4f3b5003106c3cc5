"""The one way in which bytes from strangers become a picture: few formats, limits before decoding, reasons in words.

Not for two threads at once: Pillow keeps its pixel limit, and Python its warning filters, for the whole process.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

# Imported by name because Pillow would else import all of its decoders to find the one for WebP.
from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, UnidentifiedImageError, WebPImagePlugin

FORMATS: Final = {
    JpegImagePlugin.JpegImageFile.format: "jpeg",
    "MPO": "jpeg",  # a JPEG with further pictures behind the first, which are left out
    PngImagePlugin.PngImageFile.format: "png",
    WebPImagePlugin.WebPImageFile.format: "webp",
    GifImagePlugin.GifImageFile.format: "gif",
}
_OPENED: Final = ("JPEG", "PNG", "WEBP", "GIF")


class Reason(StrEnum):
    """Why a picture was refused, as people read it."""

    EMPTY = "the file is empty"
    HTML = "not a picture: the file is a web page (HTML)"
    SVG = "not a photo: the file is a drawing (SVG), which may carry scripts"
    EPS = "not a photo: the file is PostScript, which is a program"
    PDF = "not a photo: the file is a PDF document"
    ARCHIVE = "not a picture: the file is an archive"
    TEXT = "not a picture: the file is text"
    UNKNOWN = "not a picture: nothing that is known begins like this"
    UNSUPPORTED = "a picture of another format than JPEG, PNG, WebP or GIF"
    TOO_SMALL = "too small"
    TOO_MANY_PIXELS = "too many pixels (a decompression bomb or a scan)"
    TOO_MANY_BYTES = "too many bytes"
    BANNER = "too long for its width (a banner)"
    DAMAGED = "truncated or damaged"
    FLAT = "a placeholder: the picture is all but one colour"
    GONE = "the file is no longer there"
    TOO_SLOW = "took too long to decode"
    TOO_MUCH_MEMORY = "needed too much memory"
    CRASHED = "crashed the process that decoded it"
    ERROR = "an error of Marquee itself, which the log shows"


class BadPicture(Exception):  # noqa: N818  says the state of the picture, not of the program
    """This picture will never do."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a picture may be: bytes of the file, pixels in all, pixels of the shorter side, longer side over shorter."""

    max_bytes: int = 20_000_000
    max_pixels: int = 40_000_000
    min_side: int = 64
    max_aspect: float = 4.0


def read_bytes(path: Path, limits: Limits) -> bytes:
    """A file's bytes. Raises BadPicture where it is empty, too large or gone, OSError where the disk fails."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limits.max_bytes:
                raise BadPicture(Reason.TOO_MANY_BYTES)
            data = file.read(size)
    except FileNotFoundError as error:
        raise BadPicture(Reason.GONE) from error
    if not data:
        raise BadPicture(Reason.EMPTY)
    return data


@contextmanager
def opened(data: bytes, limits: Limits) -> Iterator[Image.Image]:
    """A picture whose header is within bounds, not decoded yet; what Pillow raises inside is raised as BadPicture.

    Only MemoryError passes as it is: whether there was enough is not for the picture alone to say.
    """
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = limits.max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_OPENED)
            _check(*image.size, limits)
            yield image
    except (BadPicture, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadPicture(Reason.TOO_MANY_PIXELS) from error
    except UnidentifiedImageError as error:
        raise BadPicture(look(data)) from error
    except Exception as error:
        if "out of memory" in str(error):  # as Pillow says it of some decoders
            raise MemoryError from error
        # Decoders of hostile bytes raise OSError, ValueError, SyntaxError, struct.error, EOFError and more.
        raise BadPicture(Reason.DAMAGED) from error
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _check(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise BadPicture(Reason.TOO_MANY_PIXELS)
    if max(width, height) > limits.max_aspect * min(width, height):
        raise BadPicture(Reason.BANNER)
    if min(width, height) < limits.min_side:
        raise BadPicture(Reason.TOO_SMALL)


def format_name(image: Image.Image) -> str:
    """jpeg, png, webp or gif."""
    return FORMATS[image.format or ""]


def upright(image: Image.Image) -> Image.Transpose | None:
    """How to turn a picture as its EXIF says; None where it says nothing that can be read."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:
        # EXIF is damaged in many good photos: they are then taken as they lie.
        return None
    return _TURNS.get(orientation) if isinstance(orientation, int) else None


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode that the four formats have, as RGB; what is transparent becomes white."""
    image = _eight_bits(image)
    if image.has_transparency_data:
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def to_gray(image: Image.Image) -> Image.Image:
    """Any mode that the four formats have, as 8-bit gray; what is transparent becomes white."""
    image = _eight_bits(image)
    if image.has_transparency_data:
        image = _on_white(image)
    return image if image.mode == "L" else image.convert("L")


def _on_white(image: Image.Image) -> Image.Image:
    whole = image if image.mode == "RGBA" else image.convert("RGBA")
    white = Image.new("RGB", whole.size, (255, 255, 255))
    white.paste(whole, mask=whole.getchannel("A"))
    return white


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit gray by its upper byte: Pillow's own conversion cuts off everything above 255."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.clip(np.asarray(image), 0, 0xFFFF) >> 8).astype(np.uint8))


_ORIENTATION: Final = 0x0112
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS: Final = {_TURNS[5], _TURNS[6], _TURNS[7], _TURNS[8]}
"""The turns that swap width and height."""

_OUR_MAGIC: Final = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP", re.S)
_LOOKS: Final = (
    (re.compile(rb"<svg[\s>]", re.I), Reason.SVG),
    (re.compile(rb"\s*<(!doctype\s+html|html|head|body|script|meta|title|iframe)\b", re.I), Reason.HTML),
    (re.compile(rb"%!PS|\xc5\xd0\xd3\xc6"), Reason.EPS),
    (re.compile(rb"%PDF-"), Reason.PDF),
    (re.compile(rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b"), Reason.ARCHIVE),
    (re.compile(rb"BM|II\*\x00|MM\x00\*|8BPS|\x00\x00\x01\x00|\xff\x0a"), Reason.UNSUPPORTED),
    (re.compile(rb"....(ftyp(avi|hei|mif|hev)|JXL |jP  )", re.S), Reason.UNSUPPORTED),
)


def look(data: bytes) -> Reason:
    """What a file that no decoder takes seems to be, by its first bytes."""
    if not data:
        return Reason.EMPTY
    head = data[:1024].removeprefix(b"\xef\xbb\xbf")
    if _OUR_MAGIC.match(head):
        return Reason.DAMAGED
    for pattern, reason in _LOOKS:
        if (pattern.search if reason is Reason.SVG else pattern.match)(head):
            return reason
    text = head.decode("utf-8", errors="ignore")  # the last character may be cut
    return Reason.TEXT if text.strip() and all(c.isprintable() or c.isspace() for c in text) else Reason.UNKNOWN
