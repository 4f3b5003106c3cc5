"""`python -m tests.bench.hot FILE...`: what the samples of a worker say, the dearest functions first."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.bench.report import Table
from tests.bench.sampled_worker import COLLECTOR


def tables(lines: Iterable[str], top: int = 40) -> list[Table]:
    """By function alone, by function with all that it calls, and by thread."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    threads: Counter[str] = Counter()
    for line in lines:
        stack, _, spent = line.rpartition(" ")
        thread, *frames = stack.split(";")
        threads[thread] += int(spent)
        if thread == COLLECTOR:
            continue
        if frames:
            own[frames[-1]] += int(spent)
        for frame in set(frames):
            whole[frame] += int(spent)
    total = sum(spent for thread, spent in threads.items() if thread != COLLECTOR)
    named = (("by thread", threads), ("in the function itself", own), ("with what it calls", whole))
    return [_table(name, counter.most_common(top), total) for name, counter in named]


def _table(name: str, rows: Iterable[tuple[str, int]], total: int) -> Table:
    table = Table(f"Processor time {name}", ("", "ms", "share"))
    for function, spent in rows:
        table.add(function[-110:], f"{spent / 1000:,.0f}", f"{spent / total:.1%}")
    return table


if __name__ == "__main__":
    for path in sys.argv[1:]:
        for table in tables(Path(path).read_text().splitlines()):
            sys.stdout.write(table.text() + "\n")
