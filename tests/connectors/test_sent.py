"""What is remembered of records that were sent: exact where it remembers, bounded, and on disk in eight bytes each."""

from __future__ import annotations

import random
from pathlib import Path

from app.connectors.sent import Digests, Sent
from app.connectors.store import CursorStore

IDS = [f"event-{n}" for n in range(1000)]


def test_a_record_is_the_same_as_before_within_a_run_and_across_runs():
    first = Sent()
    assert first.add(IDS[:10]) == 0
    assert first.add([*IDS[5:10], IDS[10], IDS[10]]) == 6
    second = Sent(first.packed(b""))
    assert second.add(IDS[:20]) == 11


def test_what_was_sent_last_is_remembered_and_no_more_than_may_be():
    run = Sent(most=100)
    run.add(IDS)
    packed = run.packed(b"")
    # Half as many are known for certain, however much a run sends.
    assert 50 * 8 <= len(packed) <= 100 * 8
    assert Sent(packed, most=100).add(IDS[-50:]) == 50
    assert Sent(packed, most=100).add(IDS[:-100]) == 0
    later = Sent(packed, most=100)
    later.add(["new"])
    assert Sent(later.packed(packed), most=100).add([IDS[-1], "new"]) == 2


def test_digests_are_a_set_also_where_they_crowd_together():
    chance = random.Random(7)
    # Few low bits: nearly all of them want the same slots.
    numbers = [chance.randrange(1 << 40) << 16 | chance.randrange(1, 4) for _ in range(500)]
    digests, expected = Digests(), set[int]()
    for number in numbers + numbers[::3]:
        assert digests.add(number) == (number not in expected)
        expected.add(number)
    assert digests.count == len(expected)
    assert sorted(digests) == sorted(expected)
    assert all(number in digests for number in expected)
    assert not any(number + 4 in digests for number in expected)


def test_what_comes_again_and_again_is_not_forgotten():
    packed = b""
    for n in range(30):
        run = Sent(packed, most=100)
        assert run.add([IDS[0]]) == (n > 0)
        run.add(f"{n}-{each}" for each in range(40))
        packed = run.packed(packed)


def test_two_runs_at_once_lose_nothing_of_each_other(tmp_path: Path):
    store = CursorStore(tmp_path)
    one, other = store.sent("feed"), store.sent("feed")
    one.add(["a"])
    other.add(["b"])
    store.remember("feed", one)
    store.remember("feed", other)
    assert store.sent("feed").add(["a", "b", "c"]) == 2
    assert store.sent("another").add(["a"]) == 0


def test_a_run_that_sent_nothing_writes_nothing_and_a_torn_file_is_read_as_far_as_it_goes(tmp_path: Path):
    store = CursorStore(tmp_path)
    store.remember("feed", store.sent("feed"))
    assert not (store.directory / "sent").exists()
    sent = store.sent("feed")
    sent.add(["a", "b"])
    store.remember("feed", sent)
    file = store.directory / "sent" / "feed.u64"
    file.write_bytes(file.read_bytes()[:-3])
    assert store.sent("feed").add(["a", "b"]) == 1
