"""Group commit: in order, together, and nothing settled that is not durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from app.delivery.commit import GroupCommit, Made
from app.delivery.producer import Outgoing

ROW, MARK = b"film|a", b"~mark|ratings"


class Store:
    """Where commits go; each waits until the test lets it through, or fails."""

    def __init__(self, most_queued: int = 2_000) -> None:
        self.flights: list[Made] = []
        self.failures: list[Exception] = []
        self.settled: list[tuple[int, bool]] = []
        self._verdicts: asyncio.Queue[Exception | None] = asyncio.Queue()
        self.commits = GroupCommit(self._commit, self._failed, most_queued)

    async def _commit(self, made: Made) -> None:
        self.flights.append(made)
        verdict = await self._verdicts.get()
        if verdict is not None:
            raise verdict

    async def _failed(self, error: Exception) -> None:
        self.failures.append(error)

    def end(self, verdict: Exception | None = None) -> None:
        """Let one commit through, or fail it."""
        self._verdicts.put_nowait(verdict)

    async def put(self, n: int) -> None:
        """The batch that read the record at offset n."""
        await self.commits.put(made(n), self._note(n))

    def _note(self, n: int) -> Callable[[bool], None]:
        return lambda done: self.settled.append((n, done))


def made(n: int) -> Made:
    rows = {ROW: b"%d" % n, b"film|%d" % n: b"", MARK: b"%d" % n}
    return Made([Outgoing("t", b"k", b"%d" % n, [])], {0: rows}, 1)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def store() -> Store:
    return Store()


async def test_what_is_put_while_a_commit_is_under_way_goes_together_after_it(store: Store) -> None:
    for n in range(4):
        await store.put(n)
    await turns()
    assert [flight.events for flight in store.flights] == [1]
    assert store.settled == []
    store.end()
    await turns()
    assert [flight.events for flight in store.flights] == [1, 3]
    assert [out.value for out in store.flights[1].out] == [b"1", b"2", b"3"]
    assert store.settled == [(0, True)]
    store.end()
    await store.commits.settled()
    assert store.settled == [(n, True) for n in range(4)]


async def test_joined_batches_keep_the_newest_rows_with_the_mark_last(store: Store) -> None:
    joined = Made()
    for n in range(3):
        joined.add(made(n))
    assert list(joined.rows[0].items()) == [
        (b"film|0", b""), (b"film|1", b""), (ROW, b"2"), (b"film|2", b""), (MARK, b"2"),
    ]  # fmt: skip


async def test_a_batch_sees_the_rows_of_those_before_it_until_they_are_in_the_table(store: Store) -> None:
    assert store.commits.uncommitted(0) == ()
    await store.put(0)
    await store.put(1)
    assert [rows[ROW] for rows in store.commits.uncommitted(0)] == [b"1", b"0"], "the newest first"
    assert store.commits.uncommitted(1) == ()
    store.end()
    await turns()
    assert [rows[ROW] for rows in store.commits.uncommitted(0)] == [b"1"]
    store.end()
    await store.commits.settled()
    assert store.commits.uncommitted(0) == ()


async def test_whoever_puts_much_waits_until_it_is_on_its_way(store: Store) -> None:
    store = Store(most_queued=2)
    await store.put(0)
    await store.put(1)
    last = asyncio.create_task(store.put(2))
    await turns()
    assert not last.done()
    store.end()
    await turns()
    assert last.done()
    store.end()
    await store.commits.settled()
    assert len(store.settled) == 3


async def test_after_a_failure_nothing_is_committed_and_nothing_settled_as_done(store: Store) -> None:
    await store.put(0)
    await store.put(1)
    error = ConnectionError("no broker")
    store.end(error)
    await store.commits.settled()
    await store.put(2)
    await turns()
    assert store.settled == [(0, False), (1, False), (2, False)]
    assert (store.failures, store.commits.broken, len(store.flights)) == ([error], True, 1)


async def test_a_batch_that_is_put_while_earlier_ones_settle_is_not_forgotten(store: Store) -> None:
    again = partial(asyncio.ensure_future, store.put(1))
    await store.commits.put(made(0), lambda done: (store.settled.append((0, done)), again())[0])
    store.end()
    store.end()
    await turns()
    await store.commits.settled()
    assert store.settled == [(0, True), (1, True)]
