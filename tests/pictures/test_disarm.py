"""What is kept of a picture: its pixels, upright, on white, in eight bits, and nothing else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from app.pictures.decode import Limits
from app.pictures.disarm import THUMBNAIL_SIDE, jpeg, pixels, thumbnail
from tests.pictures.hostile import PAYLOAD, cases, encoded, photo

LIMITS = Limits()
GOOD = [case for case in cases() if case.reason is None]


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_nothing_but_pixels_is_kept(case: object) -> None:
    data = case.data  # type: ignore[attr-defined]
    picture = pixels(data, LIMITS)
    for kept in (jpeg(picture), thumbnail(picture)):
        assert PAYLOAD not in kept
        assert b"script" not in kept
        again = Image.open(io.BytesIO(kept))
        again.load()
        assert again.mode == "RGB"
        assert set(again.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert kept.endswith(b"\xff\xd9")


def test_the_payload_is_in_what_came_so_that_its_absence_says_something() -> None:
    carriers = [case.name for case in GOOD if PAYLOAD in case.data]
    assert {"exif.jpg", "comment.jpg", "profile.jpg", "text.png", "comment.gif", "exif.webp"} <= set(carriers)


def test_the_same_pixels_give_the_same_bytes() -> None:
    bare, laden = encoded(photo(1)), encoded(photo(1), comment=PAYLOAD)
    assert bare != laden
    assert jpeg(pixels(bare, LIMITS)) == jpeg(pixels(laden, LIMITS))


def test_a_disarmed_picture_looks_as_before() -> None:
    before = photo(2)
    after = Image.open(io.BytesIO(jpeg(pixels(encoded(before, "PNG"), LIMITS))))
    difference = np.abs(np.asarray(before, dtype=int) - np.asarray(after, dtype=int))
    assert difference.mean() < 3


def test_what_is_transparent_becomes_white() -> None:
    image = Image.new("RGBA", (100, 100), (255, 0, 0, 0))
    image.paste((10, 20, 30, 255), (0, 0, 50, 100))
    found = pixels(encoded(image, "PNG"), LIMITS)
    assert found.getpixel((75, 50)) == (255, 255, 255)
    assert found.getpixel((25, 50)) == (10, 20, 30)


def test_a_transparent_colour_of_a_palette_becomes_white() -> None:
    image = Image.new("P", (100, 100), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    found = pixels(encoded(image, "PNG", transparency=1), LIMITS)
    assert found.getpixel((50, 50)) == (255, 255, 255)


def test_sixteen_bits_keep_their_brightness() -> None:
    levels = np.linspace(0, 0xFFFF, 256 * 128).reshape(128, 256).astype(np.uint16)
    found = np.asarray(pixels(encoded(Image.fromarray(levels), "PNG"), LIMITS))[:, :, 0]
    assert np.abs(found.astype(int) - (levels >> 8)).max() == 0


def test_inks_become_colours() -> None:
    image = Image.new("CMYK", (100, 100), (255, 0, 0, 0))
    red, green, blue = pixels(encoded(image), LIMITS).getpixel((50, 50))  # type: ignore[misc]
    assert red < 40
    assert green > 150
    assert blue > 150


def test_exif_turns_the_pixels_and_is_gone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (200, 100), (255, 255, 255))
    image.paste((255, 0, 0), (0, 0, 100, 100))
    found = pixels(encoded(image, "PNG", exif=exif), LIMITS)
    assert found.size == (100, 200)
    assert found.getpixel((50, 50)) == (255, 0, 0)
    assert found.getpixel((50, 150)) == (255, 255, 255)
    assert not Image.open(io.BytesIO(jpeg(found))).getexif()


def test_of_an_animation_the_first_frame_stays() -> None:
    frames = [Image.new("RGB", (100, 100), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixels(data, LIMITS).getpixel((5, 5)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("size", "expected"), [((800, 400), (256, 128)), ((100, 90), (100, 90)), ((64, 256), (64, 256))]
)
def test_thumbnails_shrink_but_never_grow(size: tuple[int, int], expected: tuple[int, int]) -> None:
    small = Image.open(io.BytesIO(thumbnail(photo(3, *size))))
    assert small.size == expected
    assert max(small.size) <= THUMBNAIL_SIDE
