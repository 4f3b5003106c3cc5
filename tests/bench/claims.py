"""Part `claims`: look-ups of near duplicates among 10,000 to 1,000,000 stored pictures, beside other indexes."""

from __future__ import annotations

import asyncio
import gc
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import rocksdict

from agents.claims import ClaimIndex
from app.delivery.table import PartitionRows, Section
from models.hash_index import DHASH64_BITS, PHASH64_BITS, PHASH256_BITS, Hashes, HashIndex
from schemas.entities import Claim
from tests.bench.options import Options
from tests.bench.report import Report, Table, median, progress, spread, verdict

TARGETS: Final = {10_000: 30_000, 100_000: 5_000, 1_000_000: 1_000}
QUERIES: Final = 1_000
SLOW_QUERIES: Final = {10_000: 100, 100_000: 20}
"""For what takes tens of milliseconds a look-up; of a million it is not asked."""
INSERTS: Final = 20_000

Words = npt.NDArray[np.uint64]
Find = Callable[[int], list[int]]


@dataclass(frozen=True)
class World:
    """Stored pictures and queries, of which half are near a stored one; words are phash64, dhash64, phash256."""

    stored: Words
    queries: Words

    @classmethod
    def random(cls, size: int, seed: int = 1) -> World:
        """Hashes of distinct photos differ in half of their bits, as these do."""
        rng = np.random.default_rng(seed)
        stored = rng.integers(0, 2**64, (size, 6), np.uint64)
        queries = rng.integers(0, 2**64, (QUERIES, 6), np.uint64)
        for row in range(0, QUERIES, 2):
            queries[row] = stored[rng.integers(size)]
            # On both sides of each limit.
            for first, last, most in ((0, 1, 12), (1, 2, 10), (2, 6, 68)):
                for bit in rng.choice(64 * (last - first), rng.integers(most + 1), replace=False).tolist():
                    queries[row, first + bit // 64] ^= np.uint64(1 << bit % 64)
        return cls(stored, queries)

    def confirmed(self, query: int, rows: npt.NDArray[np.int64]) -> list[int]:
        """Of candidate rows those that phash256 confirms, in order."""
        bits = np.bitwise_count(self.stored[rows, 2:] ^ self.queries[query, 2:]).sum(axis=1)
        return sorted(set(rows[bits <= PHASH256_BITS].tolist()))

    def brute_force(self, query: int) -> list[int]:
        """Every row compared."""
        bits = np.bitwise_count(self.stored[:, :2] ^ self.queries[query, :2])
        near = (bits[:, 0] <= PHASH64_BITS) | (bits[:, 1] <= DHASH64_BITS)
        return self.confirmed(query, np.flatnonzero(near))


def hashes_of(words: Words) -> list[Hashes]:
    """Words as they are on the wire."""
    digits = [row.astype(">u8").tobytes().hex() for row in words]
    return [Hashes(text[:16], text[16:32], text[32:]) for text in digits]


def name_of(row: int) -> str:
    """A stand-in for a SHA-256, from which the row can be read."""
    return f"{row * 0x9E3779B97F4A7C15 % 2**64:016x}{row:048x}"


def pictures(world: World) -> list[tuple[str, Hashes]]:
    """All that is stored, by image id."""
    return [(name_of(row), hashes) for row, hashes in enumerate(hashes_of(world.stored))]


class Marquee:
    """`HashIndex`."""

    def __init__(self, world: World, stored: Sequence[tuple[str, Hashes]]) -> None:
        self.queries = hashes_of(world.queries)
        self.index = HashIndex()
        self.build = seconds(lambda: self.index.extend(stored))

    def find(self, query: int) -> list[int]:
        """Rows of all copies."""
        return sorted(int(near.image_id[16:], 16) for near in self.index.near(self.queries[query]))


class Faiss:
    """Two `IndexBinaryFlat` for the short hashes, and the same confirmation."""

    def __init__(self, world: World) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        self.world = world
        self.queries = world.queries.astype(">u8").view(np.uint8).reshape(QUERIES, 48)
        codes = world.stored[:, :2].astype(">u8").view(np.uint8).reshape(-1, 16)
        self.flat = [faiss.IndexBinaryFlat(64) for _ in range(2)]
        parts = [np.ascontiguousarray(codes[:, at : at + 8]) for at in (0, 8)]
        self.build = seconds(lambda: [index.add(part) for index, part in zip(self.flat, parts, strict=True)])

    def find(self, query: int) -> list[int]:
        """Rows of all copies; faiss's radius is the first distance that is too far."""
        rows = [
            index.range_search(self.queries[query : query + 1, at : at + 8].copy(), limit + 1)[2]
            for index, at, limit in zip(self.flat, (0, 8), (PHASH64_BITS, DHASH64_BITS), strict=True)
        ]
        return self.world.confirmed(query, np.concatenate(rows))


class BkTree:
    """Two trees of pybktree for the short hashes, and the same confirmation."""

    def __init__(self, world: World) -> None:
        import pybktree

        self.world = world
        self.trees: list[Any] = []
        self.rows: list[dict[int, list[int]]] = []
        columns = [world.stored[:, part].tolist() for part in range(2)]
        for column in columns:
            rows: dict[int, list[int]] = {}
            for row, value in enumerate(column):
                rows.setdefault(value, []).append(row)
            self.rows.append(rows)
        self.build = seconds(
            lambda: self.trees.extend(pybktree.BKTree(pybktree.hamming_distance, column) for column in columns)
        )

    def find(self, query: int) -> list[int]:
        """Rows of all copies."""
        found = [
            row
            for part, limit in enumerate((PHASH64_BITS, DHASH64_BITS))
            for _, value in self.trees[part].find(int(self.world.queries[query, part]), limit)
            for row in self.rows[part][value]
        ]
        return self.world.confirmed(query, np.array(found, np.int64))


def seconds(step: Callable[[], Any]) -> float:
    """Processor seconds of a step."""
    gc.collect()
    started = time.process_time()
    step()
    return time.process_time() - started


def rate(find: Find, queries: Iterable[int]) -> float:
    """Look-ups a second of one core, one at a time."""
    todo = list(queries)
    return len(todo) / seconds(lambda: [find(query) for query in todo])


def inserts(index: HashIndex) -> float:
    """Insertions a second, one at a time, with the making of new buckets where it falls due."""
    more = [(name_of(row + (1 << 40)), hashes) for row, hashes in enumerate(hashes_of(World.random(INSERTS, 2).stored))]
    return len(more) / seconds(lambda: [index.add(*picture) for picture in more])


def rebuild(stored: Iterable[tuple[str, Hashes]], folder: Path) -> float:
    """Processor seconds from a table in RocksDB to the index."""
    with closing(rocksdict.Rdict(str(folder), rocksdict.Options(raw_mode=True))) as database:
        for name, hashes in stored:
            claim = Claim(celebrity_id="Q2263", item_id=name[:36], **hashes._asdict())
            database[f"image|{name}".encode()] = msgspec.json.encode(claim)
        database.flush()
        index = ClaimIndex()
        rows = Section(PartitionRows(database), "image|", Claim)
        return seconds(lambda: asyncio.run(index.follow(rows, "made")))


async def run(options: Options, report: Report) -> None:
    """Each size in turn."""
    sizes = [size for size in TARGETS if not options.quick or size <= 100_000]
    table = Table(
        f"Look-ups of near duplicates, a second of one core, median of {options.rounds}",
        ("stored", "Marquee", "faiss flat", "pybktree", "target", "", "exact", "inserts/s", "MB", "rebuild s"),
    )
    for size in sizes:
        figures = await asyncio.to_thread(_measure, size, options)
        report.figures[f"claims {size}"] = figures
        table.add(*_row(size, figures))
    table.notes = [
        f"a copy: phash64 within {PHASH64_BITS} bits or dhash64 within {DHASH64_BITS}, and phash256 within "
        f"{PHASH256_BITS}; half of {QUERIES} queries are near a stored one; processor time, one thread, one at a time",
        "exact: the answers to all queries are those of comparing with every row; so are the others' where they ran",
        "faiss and pybktree search for the two short hashes, and the same code confirms",
        "rebuild: from the rows of a table in RocksDB",
    ]
    report.show(table)


def _measure(size: int, options: Options) -> dict[str, Any]:
    progress(f"{size:,} stored")
    world = World.random(size)
    stored = pictures(world)
    expected = [world.brute_force(query) for query in range(QUERIES)]
    ours = Marquee(world, stored)
    peers, missing = _peers(world, size)
    asked = {"Marquee": range(QUERIES), "faiss flat": range(QUERIES), "pybktree": range(SLOW_QUERIES.get(size, 0))}
    contenders: dict[str, Find] = {"Marquee": ours.find} | {name: peer.find for name, peer in peers.items()}
    exact = {
        name: [find(query) for query in asked[name]] == expected[: len(asked[name])]
        for name, find in contenders.items()
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name, find in contenders.items():
            rates[name].append(rate(find, asked[name]))
    folder = options.scratch / f"claims-{size}"
    figures = {
        "look-ups": rates,
        "missing": missing,
        "exact": exact,
        "copies found": sum(map(len, expected)),
        "bulk inserts": size / ours.build,
        "bytes": ours.index.nbytes,
        "inserts": inserts(ours.index),
        "rebuild": rebuild(stored, folder),
    }
    shutil.rmtree(folder)
    return figures


def _peers(world: World, size: int) -> tuple[dict[str, Any], dict[str, str]]:
    made: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name, make in (("faiss flat", Faiss), ("pybktree", BkTree)):
        if name == "pybktree" and size not in SLOW_QUERIES:
            missing[name] = "not run"
            continue
        try:
            made[name] = make(world)
        except ImportError:
            missing[name] = "not installed"
    return made, missing


def _row(size: int, figures: dict[str, Any]) -> list[str]:
    rates, missing = figures["look-ups"], figures["missing"]
    cells = [missing.get(name) or spread(rates[name]) for name in ("Marquee", "faiss flat", "pybktree")]
    met = verdict(median(rates["Marquee"]), TARGETS[size], at_least=True)
    exact = "yes" if all(figures["exact"].values()) else f"NO: {figures['exact']}"
    megabytes, rebuilt = f"{figures['bytes'] / 1e6:.1f}", f"{figures['rebuild']:.2f}"
    return [f"{size:,}", *cells, f">= {TARGETS[size]:,}", met, exact, f"{figures['inserts']:,.0f}", megabytes, rebuilt]
