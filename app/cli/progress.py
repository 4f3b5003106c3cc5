"""A progress bar with events a second on standard error, in a terminal; silent elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int, int, int | None], None]


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Advance]:
    """Gives a function of (how many more, how far, of what total; None where that is not known)."""
    if not sys.stderr.isatty():
        yield lambda more, done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
    started, count = time.monotonic(), 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, told="")

        def advance(more: int, done: int, of: int | None) -> None:
            nonlocal count
            count += more
            rate = count / max(time.monotonic() - started, 1e-6)
            bar.update(task, completed=done, total=of, told=f"{count:,} {what}, {rate:,.0f} a second")

        yield advance
