"""Part `matching`: how surely a damaged title finds its film, and how rarely it finds a wrong one."""

from __future__ import annotations

import csv
import random
import time
from typing import Final

from app.demo.sources import export
from models.titles import Known, TitleIndex
from tests.bench.options import Options
from tests.bench.report import Report, Table, progress, verdict

ABSENT: Final = 4
"""Every so many films are left out of what is known."""
PRECISION: Final = 0.995
SEEDS: Final = (1, 2, 3)


async def run(options: Options, report: Report) -> None:
    """Titles of MovieLens, damaged as sources damage them; a film that is not known must not be found."""
    folder = options.scratch / "matching"
    export(folder)
    films = _films(folder / "movielens.csv")
    table = Table("titles that find their film", ("seed", "titles", "precision", "recall", "wrong", "us a title"))
    worst = 1.0
    for seed in SEEDS:
        precision, recall, wrong, cost = _measure(films, random.Random(seed))
        worst = min(worst, precision)
        figures = (str(seed), f"{len(films):,}", f"{precision:.4f}", f"{recall:.4f}", str(wrong), f"{cost:.0f}")
        table.add(*figures)
        report.figures[f"matching seed {seed}"] = {"precision": precision, "recall": recall, "wrong": wrong}
        progress(f"seed {seed}: precision {precision:.4f}, recall {recall:.4f}")
    table.notes.append(f"precision at least {PRECISION}: {verdict(worst, PRECISION, at_least=True)}")
    table.notes.append("damage: case, punctuation, a letter lost or swapped, moved article, and/&; years one off")
    report.show(table)


def _films(path: object) -> list[tuple[str, str, int]]:
    found: dict[str, tuple[str, str, int]] = {}
    with open(str(path), newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["year"] and row["title"]:
                found[row["movieId"]] = (row["movieId"], row["title"], int(float(row["year"])))
    return sorted(found.values())


def _measure(films: list[tuple[str, str, int]], rng: random.Random) -> tuple[float, float, int, float]:
    """Precision, recall, wrong answers and microseconds a title."""
    order = rng.sample(films, len(films))
    absent = {film for film, _, _ in order[: len(order) // ABSENT]}
    index = TitleIndex(Known(film, title, year, "movie") for film, title, year in order if film not in absent)
    right = wrong = missed = 0
    began = time.process_time()
    for film, title, year in order:
        match = index.match(_damaged(title, rng), year + rng.choice((0, 0, 0, -1, 1)))
        if match.film is None:
            missed += film not in absent
        elif match.film.film_id == film:
            right += 1
        else:
            wrong += 1
    cost = (time.process_time() - began) / len(order) * 1e6
    return right / (right + wrong), right / (right + missed), wrong, cost


def _damaged(title: str, rng: random.Random) -> str:
    at = rng.randrange(max(len(title) - 1, 1))
    kinds = [
        title,
        title.lower(),
        title.upper(),
        title.replace("'", "").replace(":", " -"),
        title.replace(" and ", " & "),
        title[:at] + title[at + 1 :] if len(title) > 6 else title,
        title[:at] + title[at + 1 : at + 2] + title[at : at + 1] + title[at + 2 :] if len(title) > 6 else title,
        f"{title[4:]}, The" if title.startswith("The ") else title,
    ]
    return rng.choice(kinds)
