"""Worker processes: started again when they die, given up when they die at once, stopped in time."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from app.embedded.ports import PortBook, free_port
from app.embedded.process import Child, EmbeddedError
from app.embedded.workers import SHORT_LIVES, KeptUp, WorkerGaveUpError, Workers, pick_port, tail, worker_names
from app.settings import Settings, Worker


def child(tmp_path: Path, program: str) -> Child:
    """A process that runs a Python program."""
    return Child("worker-1", [sys.executable, "-c", program], tmp_path, stop_seconds=10)


async def test_a_worker_that_dies_at_once_again_and_again_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    kept = KeptUp(child(tmp_path, "import sys; print('no token is set'); sys.exit(3)"), sleep=pause)
    with pytest.raises(WorkerGaveUpError, match=r"status 3.*no token is set"):
        await kept.run()
    assert len(pauses) == SHORT_LIVES - 1
    assert pauses == sorted(pauses)


async def test_a_worker_that_lived_for_long_is_always_started_again(tmp_path: Path) -> None:
    moments = iter(range(0, 100_000, 1000))
    started = asyncio.Event()
    lives = 0

    async def pause(_: float) -> None:
        nonlocal lives
        lives += 1
        if lives > 2 * SHORT_LIVES:
            started.set()
            await asyncio.Event().wait()

    kept = KeptUp(child(tmp_path, "pass"), sleep=pause, clock=lambda: float(next(moments)))
    task = asyncio.create_task(kept.run())
    await asyncio.wait_for(started.wait(), 60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert lives > 2 * SHORT_LIVES


async def test_workers_are_up_when_they_listen_and_gone_after_the_stop(tmp_path: Path) -> None:
    port = free_port()
    one = child(tmp_path, f"import http.server as h; h.test(port={port}, bind='127.0.0.1')")
    workers = Workers({"worker-1": (one, port)})
    workers.start()
    await asyncio.wait_for(workers.listening(), 60)
    assert one.running
    await workers.stop()
    assert not one.running


async def test_waiting_for_a_worker_that_gives_up_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.embedded.workers.PAUSES", (0.0,))
    workers = Workers({"worker-1": (child(tmp_path, "raise SystemExit('port taken')"), free_port())})
    workers.start()
    with pytest.raises(WorkerGaveUpError, match="port taken"):
        await asyncio.wait_for(workers.listening(), 60)
    await workers.stop()


def test_workers_have_names_that_stay() -> None:
    assert worker_names(Settings(), 1) == ["worker-1"]
    assert worker_names(Settings(), 3) == ["worker-1", "worker-2", "worker-3"]
    assert worker_names(Settings(worker=Worker(id="paris")), 2) == ["paris-1", "paris-2"]


def test_a_port_that_was_asked_for_is_taken_or_refused_and_any_other_replaced(tmp_path: Path) -> None:
    book = PortBook(tmp_path / "ports.json")
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        taken = busy.getsockname()[1]
        with pytest.raises(EmbeddedError, match="--web-port"):
            pick_port(taken, 6066, book, "web")
        assert pick_port(None, taken, book, "web") != taken
    free = free_port()
    assert pick_port(free, 6066, book, "web") == free
    assert pick_port(0, free, book, "web") != 0


def test_the_end_of_a_log_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("".join(f"line {n}\n" for n in range(100_000)))
    assert tail(tmp_path / "log", 2) == "line 99998 / line 99999"
    assert tail(tmp_path / "none") == "it left no log"
