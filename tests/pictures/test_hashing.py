"""Bytes to hashes: copies stay near, EXIF is obeyed, and a JPEG is not decoded further than needed."""

from __future__ import annotations

import io
from typing import Any

import imagehash
import pytest
from PIL import Image, ImageEnhance

from app.pictures.decode import BadPicture, Limits, Reason
from app.pictures.hashing import Measured, measure_bytes
from models.perceptual_hash import distance
from tests.pictures.hostile import encoded, photo

LIMITS = Limits()


def measured(image: Image.Image, **options: Any) -> Measured:
    return measure_bytes(encoded(image, **options), LIMITS)


def test_size_and_format_are_told() -> None:
    found = measure_bytes(encoded(photo(1, 321, 123), "PNG"), LIMITS)
    assert (found.width, found.height, found.format) == (321, 123, "png")


@pytest.mark.parametrize(("kind", "name"), [("JPEG", "jpeg"), ("PNG", "png"), ("WEBP", "webp"), ("GIF", "gif")])
def test_formats_go_by_what_is_in_the_file(kind: str, name: str) -> None:
    assert measure_bytes(encoded(photo(2), kind), LIMITS).format == name


@pytest.mark.parametrize("side", [150, 400, 900, 1700])
def test_hashes_of_a_drafted_jpeg_are_near_those_of_a_full_decode(side: int) -> None:
    data = encoded(photo(3, side, side))
    found, whole = measure_bytes(data, LIMITS), Image.open(io.BytesIO(data))
    assert distance(found.phash64, str(imagehash.phash(whole))) <= 4
    assert distance(found.dhash64, str(imagehash.dhash(whole))) <= 6
    assert distance(found.phash256, str(imagehash.phash(whole, hash_size=16))) <= 20


@pytest.mark.parametrize(
    "copy",
    [
        encoded(photo(4, 640, 480), quality=30),
        encoded(photo(4, 640, 480).resize((160, 120)), quality=70),
        encoded(photo(4, 640, 480), "PNG"),
        encoded(photo(4, 640, 480), "WEBP", quality=60),
        encoded(ImageEnhance.Brightness(photo(4, 640, 480)).enhance(1.2)),
    ],
    ids=["quality 30", "a quarter", "png", "webp", "brighter"],
)
def test_a_copy_is_near_its_original(copy: bytes) -> None:
    original, found = measured(photo(4, 640, 480), quality=90), measure_bytes(copy, LIMITS)
    assert distance(original.phash64, found.phash64) <= 10
    assert distance(original.phash256, found.phash256) <= 64


def test_distinct_photos_are_far_apart() -> None:
    hashes = [measured(photo(seed)).phash256 for seed in range(30)]
    nearest = min(distance(a, b) for n, a in enumerate(hashes) for b in hashes[:n])
    assert nearest > 64


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_90),
        (8, Image.Transpose.ROTATE_270),
        (5, Image.Transpose.TRANSPOSE),
    ],
)
def test_a_photo_that_exif_turns_hashes_as_the_upright_one(orientation: int, stored: Image.Transpose) -> None:
    upright, exif = photo(5, 480, 320), Image.Exif()
    exif[0x0112] = orientation
    straight, turned = measured(upright), measured(upright.transpose(stored), exif=exif)
    assert (turned.width, turned.height) == (480, 320)
    assert distance(straight.phash64, turned.phash64) <= 2
    assert distance(straight.phash256, turned.phash256) <= 8


def test_all_but_one_colour_is_a_placeholder() -> None:
    with pytest.raises(BadPicture) as bad:
        measured(Image.new("RGB", (200, 200), (240, 240, 240)))
    assert bad.value.reason is Reason.FLAT


def test_limits_are_those_that_are_given() -> None:
    data = encoded(photo(6, 300, 200))
    for limits, reason in [
        (Limits(max_pixels=59_999), Reason.TOO_MANY_PIXELS),
        (Limits(min_side=201), Reason.TOO_SMALL),
        (Limits(max_aspect=1.4), Reason.BANNER),
    ]:
        with pytest.raises(BadPicture) as bad:
            measure_bytes(data, limits)
        assert bad.value.reason is reason
    assert measure_bytes(data, Limits(max_pixels=60_000, min_side=200, max_aspect=1.5)).width == 300


def test_pillows_own_limit_is_as_it_was_afterwards() -> None:
    before = Image.MAX_IMAGE_PIXELS
    measured(photo(7))
    with pytest.raises(BadPicture):
        measure_bytes(b"nothing", LIMITS)
    assert before == Image.MAX_IMAGE_PIXELS
