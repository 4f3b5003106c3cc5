"""`marquee demo` from an empty directory to a report whose figures come from the run."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from app.connectors.html import Config, slug
from app.demo.pictures import people
from app.demo.pipeline import MISSING
from app.demo.sources import DemoDataError, DemoFilm, ScoredFilm, choose, write_config
from app.demo.web import DemoWeb
from app.settings import load

SECONDS = 280


def demo(directory: Path, seed: int, films: int) -> dict[str, Any]:
    """Run the demo without a terminal; its report."""
    command = [sys.executable, "-m", "app", "demo", "--json", "--exit", "--seed", str(seed), "--films", str(films)]
    done = subprocess.run(  # noqa: PLW1510  the exit code is looked at below
        [*command, "--data-dir", str(directory)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "MARQUEE_WEB__PORT": "0"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert MISSING not in done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def processes_under(directory: Path) -> list[str]:
    """Command lines of the processes that name a directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(directory) in line:
            found.append(line)
    return found


@pytest.mark.embedded
@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 20)
def test_the_demo_reports_what_it_ran_and_leaves_nothing_behind(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    report = demo(directory, seed=3, films=30)
    assert report["ratings"] == report["predictions"] == fed(directory / "source") + site_scores(report) > 600
    assert report["films"] == 30
    assert report["dead_letters"] == 0
    assert 0 < report["mae"] < report["baselines"]["global_mean"]
    assert report["snapshots"] >= 1
    assert {run["kind"] for run in report["connector_runs"]} == {"csv", "sql", "xml", "html", "sparql", "tmdb"}
    assert {run["status"] for run in report["connector_runs"]} == {"success"}
    people = report["people"]
    assert people["found"] == people["kept"] + people["duplicates"] + people["rejected"] > 20
    assert (people["pending"], people["failed"]) == (0, 0)
    assert people["duplicates"] >= 6
    assert people["reasons"]["no face was found"] >= 4
    assert people["faces"] == people["kept"] >= 3
    assert [each["said"] for each in people["asked"]] == [each["person"] for each in people["asked"]] != []
    assert Path(people["sheet"]).read_bytes().startswith(b"\x89PNG")
    assert report["mlflow_picture"] is not None
    assert Path(report["picture"]).read_bytes().startswith(b"\x89PNG")
    assert not (directory / "marquee.json").exists()
    assert processes_under(directory) == []


def fed(source: Path) -> int:
    """How many ratings lie in the three places that the connectors read."""
    with closing(sqlite3.connect(source / "ratings.sqlite")) as database:
        (stored,) = database.execute("SELECT COUNT(*) FROM ratings").fetchone()
    listed = sum(1 for _ in (source / "ratings.csv").open()) - 1
    return int(stored) + listed + (source / "ratings.xml").read_text().count("<rating ")


def site_scores(report: dict[str, Any]) -> int:
    """Pages of the film site: each gives a film's facts and its mean score."""
    return sum(run["records"] for run in report["connector_runs"] if run["kind"] == "html") // 2


def fake_sources(folder: Path, films: int) -> None:
    """Data in the layout of the export: 25 ratings a film."""
    folder.mkdir(parents=True)
    rows = ["userId,movieId,title,year,genres,rating,timestamp"]
    rows += [
        f'{user},{film},"Film {film}, The",1999.0,Drama|War,{(user + film) % 10 / 2 + 0.5},{user * 1000 + film}'
        for user in range(25)
        for film in range(films)
    ]
    (folder / "movielens.csv").write_text("\n".join(rows))


def test_a_seed_chooses_the_films_and_another_seed_chooses_others(tmp_path: Path) -> None:
    fake_sources(tmp_path / "a", 40)
    for folder in ("b", "c"):
        fake_sources(tmp_path / folder, 40)
    first, ratings = choose(tmp_path / "a", 10, seed=1)
    again, _ = choose(tmp_path / "b", 10, seed=1)
    other, _ = choose(tmp_path / "c", 10, seed=2)
    assert first == again != other
    assert ratings == 250
    assert first[0].title.startswith("The Film")


def test_the_written_configuration_is_valid_and_names_every_film(tmp_path: Path) -> None:
    fake_sources(tmp_path / "source", 12)
    films, _ = choose(tmp_path / "source", 12, seed=1)
    settings = load(write_config(tmp_path, tmp_path / "source", films), environ={})
    assert {film.title for film in settings.films} == {film.title for film in films}
    assert settings.connectors["movielens"]["kind"] == "csv"


def test_a_directory_that_holds_something_else_is_not_emptied(tmp_path: Path) -> None:
    from app.demo.run import prepare

    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(DemoDataError, match="holds something else"):
        prepare(tmp_path)
    assert (tmp_path / "letters.txt").exists()


@pytest.mark.parametrize("title", ["Charlotte's Web", "Wallace & Gromit", "F/X", "Say Anything...", "Amélie", "8½"])
async def test_the_film_site_has_a_page_at_the_address_that_the_connector_makes_of_a_title(title: str) -> None:
    async with DemoWeb([]) as site, aiohttp.ClientSession() as session:
        site.scores = [ScoredFilm(DemoFilm("1", title, 1999, ""), 7.5, 100)]
        config = msgspec.convert(tomllib.loads("\n".join(site.config()))["connectors"]["site"], Config)
        address = config.url.format(title=slug(title, config.space), year=1999)
        async with session.get(site.url + address) as answer:
            assert answer.status == 200, address


def test_hidden_folders_and_what_archives_add_are_nobody_in_the_demo(tmp_path: Path) -> None:
    for person in ("Tilda_Swinton", ".thumbs", "__MACOSX"):
        (tmp_path / person).mkdir()
        for name in ("1.jpg", "._1.jpg"):
            (tmp_path / person / name).write_bytes(b"a picture")
    _, *labelled = people(tmp_path)
    assert [(one.name, [served.name for served in one.pictures]) for one in labelled] == [
        ("Tilda Swinton", ["Tilda_Swinton/1.jpg"])
    ]
