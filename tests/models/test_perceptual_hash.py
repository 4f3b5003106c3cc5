"""Hashes: the same bits as imagehash's, on every machine, and far apart for what is different."""

from __future__ import annotations

import imagehash
import numpy as np
import pytest
from PIL import Image

from models.perceptual_hash import DHASH64_SHAPE, Gray, dhash64, distance, phash64, phash256
from tests.pictures.hostile import photo

LANCZOS = Image.Resampling.LANCZOS


def gray(image: Image.Image, width: int, height: int) -> Gray:
    return np.asarray(image.convert("L").resize((width, height), LANCZOS))


@pytest.mark.parametrize("seed", range(40))
def test_all_three_have_the_bits_of_imagehash(seed: int) -> None:
    image = photo(seed, 200 + 7 * seed, 260)
    assert phash64(gray(image, 32, 32)) == str(imagehash.phash(image))
    assert phash256(gray(image, 64, 64)) == str(imagehash.phash(image, hash_size=16))
    assert dhash64(gray(image, 9, 8)) == str(imagehash.dhash(image))


def test_a_picture_that_is_its_own_mirror_image_has_frequencies_of_exactly_zero() -> None:
    half = np.random.default_rng(3).integers(0, 256, (64, 32), dtype=np.uint8)
    mirrored = np.hstack([half, half[:, ::-1]])
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(phash256(mirrored)), dtype=np.uint8)).reshape(16, 16)
    # Every odd column is zero, and so is the median, or the median is above it: no bit of them is left to chance.
    assert len(set(bits[:, 1::2].ravel().tolist())) == 1


def test_a_flat_picture_has_its_mean_alone() -> None:
    assert phash64(np.full((32, 32), 77, dtype=np.uint8)) == "8000000000000000"
    assert dhash64(np.full(DHASH64_SHAPE, 77, dtype=np.uint8)) == "0" * 16


def test_distance_counts_the_bits_that_differ() -> None:
    assert distance("00000000000000ff", "0000000000000f0f") == 8
    assert distance("8" + "0" * 63, "0" * 64) == 1


def test_hashes_of_two_kinds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="64 and 256 bits"):
        distance("0" * 16, "0" * 64)


@pytest.mark.parametrize("shape", [(32, 33), (64, 64), (32, 32, 3)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="32x32"):
        phash64(np.zeros(shape, dtype=np.uint8))


def test_floats_are_refused_since_their_scale_is_not_known() -> None:
    with pytest.raises(ValueError, match="float64"):
        phash64(np.zeros((32, 32)))  # type: ignore[arg-type]
