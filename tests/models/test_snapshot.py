"""The snapshot blob refuses what it should, before anything in it is unpickled."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from models import snapshot as module
from models.rating_learner import RatingLearner
from models.review_learner import ReviewLearner
from models.snapshot import Snapshot, SnapshotCorrupt, SnapshotIncompatible, digest_of, pack, unpack
from tests.models.ratings import audience


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    learner = RatingLearner()
    for record in audience(400):
        learner.observe(record)
    return Snapshot.of(learner, topic="training-ratings", applied_offset=399, created_at=1.5)


def test_what_is_packed_is_unpacked(snapshot: Snapshot) -> None:
    found = unpack(pack(snapshot))
    assert found == snapshot
    assert (found.model, found.partition, found.applied_offset) == ("future-rating", 0, 399)
    assert found.counts["lessons"] == 400
    assert found.metrics["mae"] is not None
    assert set(found.libraries) == {"river", "numpy", "python"}
    assert RatingLearner.from_bytes(found.state).to_bytes() == found.state


def test_a_review_learner_fits_as_well() -> None:
    made = Snapshot.of(ReviewLearner(), topic="training-reviews", applied_offset=-1, created_at=0.0)
    assert unpack(pack(made)) == made


def test_the_address_is_the_hash_of_the_bytes(snapshot: Snapshot) -> None:
    blob = pack(snapshot)
    assert digest_of(blob) == hashlib.sha256(blob).hexdigest()
    assert pack(snapshot) == blob


def test_any_damage_is_found(snapshot: Snapshot) -> None:
    blob = pack(snapshot)
    for place in (0, 20, 60, len(blob) // 2, len(blob) - 1):
        damaged = bytearray(blob)
        damaged[place] ^= 1
        with pytest.raises(SnapshotCorrupt, match="delete it"):
            unpack(bytes(damaged))
    for cut in (0, 10, 40, len(blob) - 1):
        with pytest.raises(SnapshotCorrupt):
            unpack(blob[:cut])


def test_another_format_is_named_as_such(snapshot: Snapshot) -> None:
    blob = pack(snapshot)
    with pytest.raises(SnapshotIncompatible, match="run the version of Marquee that wrote it"):
        unpack(blob.replace(b"SNAPSHOT\x001\n", b"SNAPSHOT\x009\n", 1))


def test_a_river_of_another_minor_version_is_refused(snapshot: Snapshot) -> None:
    old = msgspec.structs.replace(snapshot, libraries={**snapshot.libraries, "river": "0.21.2"})
    with pytest.raises(SnapshotIncompatible, match=r"river 0\.21\.2.*install that version"):
        unpack(pack(old))


def test_other_fields_are_refused() -> None:
    body = msgspec.msgpack.encode({"model": "x"})
    blob = module._MAGIC + module._FORMAT + hashlib.sha256(body).digest() + body
    with pytest.raises(SnapshotIncompatible, match="other fields"):
        unpack(blob)
