"""The index finds exactly what comparing with every stored picture finds, however it looks."""

from __future__ import annotations

import hashlib
import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import hash_index
from models.hash_index import DHASH64_BITS, PHASH64_BITS, PHASH256_BITS, Hashes, HashIndex, Near, distance, is_copy

Stored = dict[str, Hashes]


def some_hashes(rng: random.Random, pipeline: int = 1) -> Hashes:
    return Hashes(
        f"{rng.getrandbits(64):016x}", f"{rng.getrandbits(64):016x}", f"{rng.getrandbits(256):064x}", pipeline
    )


def altered(hashes: Hashes, rng: random.Random, phash64: int, dhash64: int, phash256: int) -> Hashes:
    """Hashes that differ in so many bits."""
    return hashes._replace(
        phash64=flipped(hashes.phash64, rng.sample(range(64), phash64)),
        dhash64=flipped(hashes.dhash64, rng.sample(range(64), dhash64)),
        phash256=flipped(hashes.phash256, rng.sample(range(256), phash256)),
    )


def flipped(digits: str, bits: list[int]) -> str:
    return f"{int(digits, 16) ^ sum(1 << bit for bit in bits):0{len(digits)}x}"


def image_id(n: int) -> str:
    return hashlib.sha256(str(n).encode()).hexdigest()


def brute_force(stored: Stored, query: Hashes) -> list[Near]:
    found = [Near(key, distance(hashes, query)) for key, hashes in stored.items() if is_copy(hashes, query)]
    return sorted(found, key=lambda near: (near.distance, near.image_id))


def indexed(stored: Stored) -> HashIndex:
    index = HashIndex()
    index.extend(stored.items())
    return index


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets from 32 pictures on."""
    monkeypatch.setattr(hash_index, "BLOCK", 32)


def crowd(rng: random.Random, families: int) -> Stored:
    """Pictures, each with copies on both sides of every limit."""
    made: list[Hashes] = []
    for _ in range(families):
        base = some_hashes(rng, pipeline=rng.choice((1, 1, 2)))
        made.append(base)
        for _ in range(rng.randrange(4)):
            made.append(altered(base, rng, rng.randrange(8, 13), rng.randrange(6, 11), rng.randrange(60, 68)))
    return {image_id(n): hashes for n, hashes in enumerate(made)}


def test_a_copy_needs_one_short_hash_that_is_near_and_the_long_one_to_confirm_it() -> None:
    rng = random.Random(1)
    base = some_hashes(rng)
    far = 30

    def copies(phash64: int, dhash64: int, phash256: int) -> bool:
        return is_copy(base, altered(base, rng, phash64, dhash64, phash256))

    assert copies(PHASH64_BITS, far, PHASH256_BITS)
    assert copies(far, DHASH64_BITS, PHASH256_BITS)
    assert not copies(PHASH64_BITS + 1, DHASH64_BITS + 1, 0)
    assert not copies(0, 0, PHASH256_BITS + 1)
    assert not is_copy(base, base._replace(pipeline=2))


@pytest.mark.parametrize("many", [False, True])
def test_the_index_finds_what_comparing_with_all_finds(small_blocks: None, many: bool) -> None:
    rng = random.Random(2)
    stored = crowd(rng, 600 if many else 8)
    index = indexed(stored)
    queries = [altered(stored[key], rng, 5, 5, 30) for key in rng.sample(sorted(stored), 8)]
    queries += [stored[key] for key in rng.sample(sorted(stored), 8)] + [some_hashes(rng) for _ in range(8)]
    expected = [brute_force(stored, query) for query in queries]
    assert [index.near(query) for query in queries] == expected
    assert sum(map(len, expected)) > 16


def test_no_way_of_spreading_the_differing_bits_over_the_hash_escapes_the_buckets(small_blocks: None) -> None:
    rng = random.Random(3)
    base = some_hashes(rng)
    index = indexed({image_id(n): some_hashes(rng) for n in range(100)} | {"ab" * 32: base})
    for field, limit, other in (("phash64", PHASH64_BITS, "dhash64"), ("dhash64", DHASH64_BITS, "phash64")):
        apart = base._replace(**{other: flipped(getattr(base, other), list(range(0, 60, 2)))})
        for total in (limit, limit + 1):
            for spread in (s for s in product(range(total + 1), repeat=4) if sum(s) == total):
                bits = [16 * chunk + bit for chunk, n in enumerate(spread) for bit in rng.sample(range(16), n)]
                query = apart._replace(**{field: flipped(getattr(base, field), bits)})
                assert bool(index.near(query)) is (total == limit), (field, spread)


def test_pictures_whose_hashes_share_most_chunks_are_found_as_well(small_blocks: None) -> None:
    rng = random.Random(4)
    stored = {image_id(n): Hashes(f"{n:016x}", f"{n % 7:016x}", f"{n << 30:064x}") for n in range(400)}
    index = indexed(stored)
    for query in rng.sample(sorted(stored), 10):
        assert index.near(stored[query]) == brute_force(stored, stored[query])


def test_a_picture_that_was_taken_out_is_found_no_more_and_its_place_is_used_again(small_blocks: None) -> None:
    rng = random.Random(5)
    index = HashIndex()
    for n in range(2_500):
        hashes = some_hashes(rng)
        index.add(image_id(n), hashes)
        assert [near.image_id for near in index.near(hashes)] == [image_id(n)]
        index.remove(image_id(n), hashes)
        assert index.near(hashes) == []
    assert len(index) == 0
    starts_of_buckets = 8 * 65_536 * 8
    assert index.nbytes < HashIndex().nbytes + starts_of_buckets + 10_000


def test_of_two_pictures_with_the_same_hashes_the_one_that_is_named_is_taken_out() -> None:
    hashes = some_hashes(random.Random(6))
    index = indexed({image_id(1): hashes, image_id(2): hashes})
    index.remove(image_id(1), hashes)
    assert index.near(hashes) == [Near(image_id(2), 0)]
    index.remove(image_id(1), hashes)
    assert len(index) == 1


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 400))
def test_after_any_history_of_adding_and_taking_out_the_index_is_exact(seed: int, steps: int) -> None:
    rng = random.Random(seed)
    stored: Stored = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hash_index, "BLOCK", 32)
        index = HashIndex()
        for n in range(steps):
            if stored and rng.random() < 0.4:
                gone = rng.choice(sorted(stored))
                index.remove(gone, stored.pop(gone))
            else:
                near = stored[rng.choice(sorted(stored))] if stored and rng.random() < 0.5 else some_hashes(rng)
                stored[image_id(n)] = altered(near, rng, rng.randrange(12), rng.randrange(10), rng.randrange(66))
                index.add(image_id(n), stored[image_id(n)])
        queries = [*rng.sample(sorted(stored), min(5, len(stored)))]
        assert len(index) == len(stored)
        for query in [stored[key] for key in queries] + [some_hashes(rng)]:
            assert index.near(query) == brute_force(stored, query)


def test_the_arrays_double_so_that_filling_them_is_linear() -> None:
    rng = random.Random(7)
    index = HashIndex()
    sizes = set()
    for n in range(5_000):
        index.add(image_id(n), some_hashes(rng))
        sizes.add(index.nbytes)
    assert len(sizes) == 4, "1,024 rows at first, then 2,048, 4,096 and 8,192"
