"""Runs Faust with a sampler of processor time; arguments: the folder for the samples, then Faust's own.

A tracing profiler would make small functions look dear. This one looks 200 times in each second of processor time
which thread used it and where that thread was.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, Final

INTERVAL: Final = 0.005
TOGGLE: Final = signal.SIGRTMIN
"""Faust has handlers of its own for the signals that are meant for users."""
COLLECTOR: Final = "garbage collector, part of the above"
"""An upper bound: each look makes frame objects, which are more to collect."""
_DEPTH: Final = 60


class Sampler:
    """Counts stacks, each weighted with the processor time that its thread has used since the last look."""

    def __init__(self) -> None:
        self.stacks: Counter[tuple[str, ...]] = Counter()
        self.running = False
        self._used: dict[int, int] = {}
        self._collecting = 0
        self._names: dict[Any, str] = {}

    def start(self) -> None:
        """From now on; in the main thread, where Python runs signal handlers."""
        self.running = True
        signal.signal(signal.SIGPROF, self._look)
        gc.callbacks.append(self._collected)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)

    def stop(self) -> None:
        """No more."""
        self.running = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        gc.callbacks.remove(self._collected)

    def _look(self, number: int, current: FrameType | None) -> None:
        frames = sys._current_frames()
        for thread in threading.enumerate():
            used = _used(thread.native_id)
            spent = used - self._used.get(thread.native_id or 0, used)
            self._used[thread.native_id or 0] = used
            frame = current if thread is threading.main_thread() else frames.get(thread.ident or 0)
            if spent > 0 and frame is not None:
                self.stacks[(thread.name, *self._stack(frame))] += spent

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        # Signals wait while the collector runs, so that whoever allocated last would seem to be dear.
        if phase == "start":
            self._collecting = time.thread_time_ns()
        elif self._collecting:
            self.stacks[(COLLECTOR, f"generation {info['generation']}")] += time.thread_time_ns() - self._collecting

    def _stack(self, frame: FrameType | None) -> list[str]:
        names: list[str] = []
        while frame is not None and len(names) < _DEPTH:
            code = frame.f_code
            name = self._names.get(code)
            if name is None:
                name = self._names[code] = f"{_short(code.co_filename)}:{code.co_qualname}"
            names.append(name)
            frame = frame.f_back
        return names[::-1]

    def write(self, directory: Path) -> None:
        """As folded stacks with microseconds, which flame graph tools read."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"worker-{os.getpid()}.folded"
        rows = (f"{';'.join(stack)} {spent // 1000}\n" for stack, spent in self.stacks.most_common())
        path.write_text("".join(rows))


def _used(native_id: int | None) -> int:
    """Nanoseconds of processor time of a thread."""
    try:
        return int(Path(f"/proc/self/task/{native_id}/schedstat").read_text().split()[0])
    except (OSError, ValueError):
        return 0


def _short(path: str) -> str:
    return path.rpartition("site-packages/")[2].removeprefix(f"{os.getcwd()}/").removeprefix(f"{sys.path[0]}/")


def main() -> None:
    """Faust's command line; the first `TOGGLE` signal begins the samples, the second writes them."""
    from faust.cli.faust import cli

    directory = Path(sys.argv.pop(1))
    sampler = Sampler()

    def toggle(number: int, frame: FrameType | None) -> None:
        if sampler.running:
            sampler.stop()
            sampler.write(directory)
        else:
            sampler.start()

    signal.signal(TOGGLE, toggle)
    cli()


if __name__ == "__main__":
    main()
