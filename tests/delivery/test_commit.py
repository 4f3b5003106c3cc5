"""Group commit: in order, together, and nothing settled that is not durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from app.delivery.commit import ENOUGH_ROWS, GroupCommit, Made
from app.delivery.membership import Abandoned
from app.delivery.producer import Outgoing

ROW, MARK = b"film|a", b"~mark|ratings"


class Store:
    """Where commits go; each request waits until the test lets it through, or fails."""

    def __init__(self, most_queued: int = 2_000, rest: float = 0.0) -> None:
        self.sends: list[Made] = []
        self.writes: list[Made] = []
        self.failures: list[Exception] = []
        self.settled: list[tuple[int, bool]] = []
        self._sending: asyncio.Queue[Exception | None] = asyncio.Queue()
        self._writing: asyncio.Queue[Exception | None] = asyncio.Queue()
        self.resting: list[asyncio.TimerHandle] = []
        self.commits = GroupCommit(self._send, self._write, self._failed, most_queued, rest, self._later)

    def _later(self, seconds: float, wake: Callable[[], None]) -> asyncio.TimerHandle:
        handle = asyncio.get_running_loop().call_later(3_600, wake)
        self.resting.append(handle)
        return handle

    def end_rest(self) -> None:
        """The time is over for which rows rest."""
        for handle in self.resting:
            handle._run()

    async def _send(self, made: Made) -> None:
        self.sends.append(made)
        await self._verdict(self._sending)

    async def _write(self, made: Made) -> None:
        self.writes.append(made)
        await self._verdict(self._writing)

    async def _verdict(self, verdicts: asyncio.Queue[Exception | None]) -> None:
        verdict = await verdicts.get()
        if verdict is not None:
            raise verdict

    async def _failed(self, error: Exception) -> None:
        self.failures.append(error)

    async def end_send(self, verdict: Exception | None = None) -> None:
        """Let the events through that are under way, or fail them."""
        self._sending.put_nowait(verdict)
        await turns()

    async def end_write(self, verdict: Exception | None = None) -> None:
        """Let the rows through that are under way, or fail them."""
        self._writing.put_nowait(verdict)
        await turns()

    async def end(self) -> None:
        """Let everything through that has been put so far."""
        while self.commits._tasks():
            for verdicts in (self._sending, self._writing):
                if verdicts.empty():
                    verdicts.put_nowait(None)
            await turns()

    async def put(self, n: int, events: int = 1) -> None:
        """The batch that read the record at offset n, or so many up to there."""
        await self.commits.put(made(n, events), self._note(n))

    def _note(self, n: int) -> Callable[[bool], None]:
        return lambda done: self.settled.append((n, done))


def made(n: int, events: int = 1) -> Made:
    rows = {ROW: b"%d" % n, b"film|%d" % n: b"", MARK: b"%d" % n}
    return Made([Outgoing("t", b"k", b"%d" % n, [])], {0: rows}, events)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def store() -> Store:
    return Store()


async def test_what_is_put_while_events_are_on_their_way_goes_together_after_them(store: Store) -> None:
    for n in range(4):
        await store.put(n)
    await turns()
    assert [sent.events for sent in store.sends] == [1]
    await store.end_send()
    assert [sent.events for sent in store.sends] == [1, 3]
    assert [out.value for out in store.sends[1].out] == [b"1", b"2", b"3"]
    assert store.settled == []
    await store.end()
    assert store.settled == [(n, True) for n in range(4)]


async def test_events_do_not_wait_for_rows_of_those_before_them_but_rows_wait_for_their_own_events(
    store: Store,
) -> None:
    for n in range(3):
        await store.put(n)
        await store.end_send()
    assert [written.rows[0][MARK] for written in store.writes] == [b"0"], "the rows of 1 and 2 wait for those of 0"
    await store.put(3)
    await turns()
    assert [sent.events for sent in store.sends] == [1, 1, 1, 1]
    await store.end_write()
    assert store.settled == [(0, True)]
    assert [written.rows[0][MARK] for written in store.writes] == [b"0", b"2"], "3 is not sent yet"
    await store.end()
    assert [written.rows[0][MARK] for written in store.writes] == [b"0", b"2", b"3"]
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
    for n in range(4):
        await store.put(n)
        if n < 2:
            await store.end_send()
    assert [rows[ROW] for rows in store.commits.uncommitted(0)] == [b"3", b"2", b"1", b"0"], "the newest first"
    assert store.commits.uncommitted(1) == ()
    await store.end_write()
    assert [rows[ROW] for rows in store.commits.uncommitted(0)] == [b"3", b"2", b"1"]
    await store.end()
    assert store.commits.uncommitted(0) == ()


@pytest.mark.parametrize("first", ["events", "rows"])
async def test_whoever_puts_much_waits_until_it_is_on_its_way(first: str) -> None:
    store = Store(most_queued=2)
    await store.put(0)
    if first == "rows":
        await store.end_send()
    await store.put(1)
    if first == "rows":
        await store.end_send()
        await store.put(2)
        await store.end_send()
    last = asyncio.create_task(store.put(3))
    await turns()
    assert not last.done()
    await (store.end_write() if first == "rows" else store.end_send())
    if first == "events":
        assert last.done()
    await store.end()
    assert last.done()
    assert store.settled == [(n, True) for n in ((0, 1, 2, 3) if first == "rows" else (0, 1, 3))]


async def test_after_events_fail_nothing_is_begun_and_what_was_under_way_ends_as_it_ends(store: Store) -> None:
    await store.put(0)
    await store.end_send()
    for n in (1, 2):
        await store.put(n)
    error = ConnectionError("no broker")
    await store.end_send(error)
    assert store.settled == [(1, False), (2, False)]
    await store.end_write()
    await store.put(3)
    await turns()
    assert store.settled == [(1, False), (2, False), (0, True), (3, False)]
    assert (store.failures, store.commits.broken, len(store.sends), len(store.writes)) == ([error], True, 2, 1)


async def _two_that_rest(events: int = 1) -> Store:
    """The rows of 0 are written, those of 1 and 2 rest."""
    store = Store(rest=1_000)
    await store.put(0)
    await store.end_send()
    assert len(store.writes) == 1, "the first rows wait for nobody"
    await store.end_write()
    for n in (1, 2):
        await store.put(n, events)
        await store.end_send()
    return store


async def test_rows_rest_behind_those_before_them_so_that_more_join() -> None:
    store = await _two_that_rest()
    assert len(store.writes) == 1
    assert [rows[ROW] for rows in store.commits.uncommitted(0)] == [b"2"]
    store.end_rest()
    await store.end()
    assert [written.rows[0][MARK] for written in store.writes] == [b"0", b"2"]
    assert store.settled == [(n, True) for n in range(3)]


async def test_rows_that_are_many_do_not_rest_any_longer() -> None:
    store = await _two_that_rest(events=ENOUGH_ROWS // 2)
    assert [written.rows[0][MARK] for written in store.writes] == [b"0", b"2"]
    await store.end()


async def test_whoever_waits_for_the_end_of_everything_ends_the_rest_too() -> None:
    store = await _two_that_rest()
    waiting = asyncio.create_task(store.commits.settled())
    await turns()
    assert [written.rows[0][MARK] for written in store.writes] == [b"0", b"2"]
    await store.end()
    await waiting


async def test_rows_that_rest_are_not_written_after_events_fail() -> None:
    store = Store(rest=1_000)
    await store.put(0)
    await store.end_send()
    await store.end_write()
    for n in (1, 2):
        await store.put(n)
        await store.end_send(ConnectionError("no broker") if n == 2 else None)
    assert store.settled == [(0, True), (2, False), (1, False)]
    await store.commits.settled()
    assert len(store.writes) == 1


async def test_after_rows_fail_nothing_is_written_though_its_events_arrive(store: Store) -> None:
    await store.put(0)
    await store.end_send()
    for n in (1, 2):
        await store.put(n)
    error = ConnectionError("no broker")
    await store.end_write(error)
    assert store.settled == [(0, False), (2, False)], "the events of 1 are under way"
    await store.end_send(ConnectionError("still none"))
    assert store.settled == [(0, False), (2, False), (1, False)]
    assert (store.failures, len(store.sends), len(store.writes)) == ([error], 2, 1), "said once"


async def test_a_batch_that_is_put_while_earlier_ones_settle_is_not_forgotten(store: Store) -> None:
    again = partial(asyncio.ensure_future, store.put(1))
    await store.commits.put(made(0), lambda done: (store.settled.append((0, done)), again())[0])
    await store.end()
    await turns()
    await store.end()
    assert store.settled == [(0, True), (1, True)]


async def test_what_rests_on_rows_that_were_abandoned_is_left_with_them(store: Store) -> None:
    await store.put(0)
    await store.end_send()
    await store.put(1)
    await turns()
    await store.put(2)
    assert [len(store.sends), len(store.writes)] == [2, 1]
    await store.end_write(Abandoned())
    assert store.settled == [(0, False), (2, False)]
    await store.put(3)
    await store.end_send()
    assert store.settled == [(0, False), (2, False), (3, False), (1, False)]
    assert [len(store.sends), len(store.writes)] == [2, 1], "nothing of these is written"
    assert store.failures == []
    assert not store.commits.broken
    assert store.commits.uncommitted(0) == ()


async def test_after_an_abandoned_commit_a_new_beginning_is_made_when_nothing_is_under_way(store: Store) -> None:
    await store.put(0)
    await store.end_send()
    await store.put(1)
    await turns()
    await store.end_write(Abandoned())
    beginning = asyncio.create_task(store.commits.begin_anew())
    await turns()
    assert not beginning.done()
    await store.end_send()
    await beginning
    await store.put(0)
    await store.end()
    assert store.settled == [(0, False), (1, False), (0, True)]
