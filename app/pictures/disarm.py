"""Makes a picture harmless: only its pixels go on, into a new JPEG that carries nothing that came with the old file.

The same pixels give the same bytes, so that a stage that runs twice keeps one file. Colour profiles are dropped, not
applied: a photo in a wide colour space comes out a little pale.
"""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.pictures.decode import Limits, opened, to_rgb, upright

QUALITY: Final = 90
THUMBNAIL_SIDE: Final = 256
THUMBNAIL_QUALITY: Final = 80
_LEAST_SIDE: Final = 224
"""What a thumbnail's longer side may be where whole steps alone lead there, which costs a third."""
_GAP: Final = 1.0
"""Shrinking by whole steps first costs a third."""

Rgb = NDArray[np.uint8]
"""Height x width x 3."""


def pixels(data: bytes, limits: Limits) -> Image.Image:
    """The whole picture upright in RGB, alpha on white, without any of the file's metadata. Raises BadPicture."""
    with opened(data, limits) as image:
        turn = upright(image)
        rgb = to_rgb(image)
        rgb = rgb if turn is None else rgb.transpose(turn)
        rgb.load()
        # Comments, profiles and the like, which would be written out again.
        rgb.info = {}
        return rgb


def jpeg(picture: Image.Image, quality: int = QUALITY) -> bytes:
    """A baseline JPEG of a picture from `pixels`."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def thumbnail(picture: Image.Image) -> bytes:
    """A JPEG whose longer side has at most THUMBNAIL_SIDE pixels."""
    longer = max(picture.size)
    factor = -(-longer // THUMBNAIL_SIDE)
    if factor > 1 and longer >= _LEAST_SIDE * factor:
        return jpeg(picture.reduce(factor), THUMBNAIL_QUALITY)
    scale = min(1.0, THUMBNAIL_SIDE / longer)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=_GAP)
    return jpeg(small, THUMBNAIL_QUALITY)
