"""From bytes to what tells copies from other photos: size, format and three perceptual hashes.

`PIPELINE` numbers what is done here, step by step: whoever changes a step raises it, and hashes of two numbers are
never compared.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from PIL import Image

from app.pictures.decode import SIDEWAYS, BadPicture, Limits, Reason, format_name, opened, to_gray, upright
from models import perceptual_hash
from models.perceptual_hash import DHASH64_SHAPE, PHASH64_SIDE, PHASH256_SIDE

PIPELINE: Final = 1

_DRAFT: Final = (96, 96)
"""A JPEG is decoded to gray at 1/8, 1/4 or 1/2, the smallest of which no side is shorter than this."""
_GAP: Final = 2.0
_LEAST_CONTRAST: Final = 3.0
"""Standard deviation of gray levels below which hashes would be noise."""


class Measured(msgspec.Struct, frozen=True, kw_only=True, tag="measured"):
    """What is known of a picture before anybody looks at it; width and height as it is shown, EXIF obeyed."""

    width: int
    height: int
    format: str
    phash64: str
    dhash64: str
    phash256: str
    pipeline: int = PIPELINE


def measure_bytes(data: bytes, limits: Limits) -> Measured:
    """Size, format and hashes of a picture. Raises BadPicture."""
    with opened(data, limits) as image:
        name = format_name(image)
        width, height = image.size
        image.draft("L", _DRAFT)
        turn = upright(image)
        small = to_gray(image).resize((PHASH256_SIDE, PHASH256_SIDE), Image.Resampling.LANCZOS, reducing_gap=_GAP)
    if turn is not None:
        small = small.transpose(turn)
        width, height = (height, width) if turn in SIDEWAYS else (width, height)
    gray = np.asarray(small)
    if gray.std() < _LEAST_CONTRAST:
        raise BadPicture(Reason.FLAT)
    return Measured(
        width=width,
        height=height,
        format=name,
        phash64=perceptual_hash.phash64(_shrunk(small, PHASH64_SIDE, PHASH64_SIDE)),
        dhash64=perceptual_hash.dhash64(_shrunk(small, *DHASH64_SHAPE)),
        phash256=perceptual_hash.phash256(gray),
    )


def _shrunk(small: Image.Image, rows: int, columns: int) -> perceptual_hash.Gray:
    """From the smallest copy, not from the photo: it moves well under one bit and costs a tenth."""
    return np.asarray(small.resize((columns, rows), Image.Resampling.LANCZOS))
