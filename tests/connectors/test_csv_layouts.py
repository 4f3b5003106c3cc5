"""The `csv` connector on other layouts than that of MovieLens: columns of its own, and IMDb's tables."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.connectors.lines import MAX_LINE
from app.connectors.registry import config_of
from app.settings import ConfigError
from tests.connectors.local_suite import LocalSuite, fault_of, opened, read
from tests.connectors.suite import NAME

FILMS = ("tt1375666", "tt0133093", "tt0111161")
ROWS = 2500
COLUMNS = {"imdb": "film", "text": "review", "value": "stars", "author": "who", "lang": "lang"}


def keys(path: Path, **more: Any) -> dict[str, Any]:
    """The connector's table."""
    return {"kind": "csv", "path": str(path), **more}


def reviews(rows: int) -> str:
    """Reviews whose texts have commas, quotes and line breaks in them."""
    lines = [f'{FILMS[n % 3]},"Review {n}, ""so"" good.\r\n\nIt ends.",{n % 10 + 1},u{n},en\r\n' for n in range(rows)]
    return "film,review,stars,who,lang\r\n" + "".join(lines)


def ratings_tsv(rows: int, extra: str = "") -> str:
    """As title.ratings.tsv."""
    lines = [f"tt{n:07d}\t{n % 90 / 10 + 1:.1f}\t{n * 7 + 5}\n" for n in range(133_093, 133_093 + rows)]
    return "tconst\taverageRating\tnumVotes\n" + "".join(lines) + extra


class TestReviewsInColumns(LocalSuite):
    """Reviews that go over lines."""

    records = ROWS
    topics = {"reviews"}  # noqa: RUF012

    @pytest.fixture
    def keys(self, tmp_path: Path) -> dict[str, Any]:
        """The file."""
        (tmp_path / "r.csv").write_bytes(reviews(ROWS).encode())
        return keys(tmp_path / "r.csv", target="reviews", columns=COLUMNS, scale="1:10")

    async def test_another_configuration_reads_everything_again_and_says_so(
        self, keys: dict[str, Any], environ: dict[str, str], tmp_path: Path
    ) -> None:
        await self.straight(keys, tmp_path / "s", environ)
        report, broker = await read({**keys, "source": "elsewhere"}, tmp_path / "s", environ=environ)
        assert len(broker.sent()) == self.records
        assert "others than last time" in report.notes[0]


class TestReviewsInAnArchive(TestReviewsInColumns):
    """The same, in a zip archive."""

    @pytest.fixture
    def keys(self, tmp_path: Path) -> dict[str, Any]:
        """The archive."""
        with zipfile.ZipFile(tmp_path / "r.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("IMDB Dataset.csv", reviews(ROWS))
        return keys(tmp_path / "r.zip", target="reviews", columns=COLUMNS, scale="1:10")


class TestImdbRatings(TestReviewsInColumns):
    """IMDb's mean ratings, as they are published."""

    topics = {"ratings"}  # noqa: RUF012

    @pytest.fixture
    def keys(self, tmp_path: Path) -> dict[str, Any]:
        """The compressed table."""
        (tmp_path / "title.ratings.tsv.gz").write_bytes(gzip.compress(ratings_tsv(ROWS).encode()))
        return keys(tmp_path / "title.ratings.tsv.gz")


async def test_a_review_keeps_its_lines_and_commas(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(reviews(2), newline="")
    _, broker = await read(keys(tmp_path / "r.csv", target="reviews", columns=COLUMNS, scale="1:10"), tmp_path)
    first, second = broker.records("reviews")
    assert first["text"] == 'Review 0, "so" good.\n\nIt ends.'
    assert (first["film_id"], first["rating"], first["best"], first["lang"]) == ("tt1375666", 1.0, 10.0, "en")
    assert (first["source_record_id"], second["source_record_id"]) == ("line 2", "line 5")


async def test_columns_may_be_numbers_tabs_and_anything_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text('tt0133093\t5"\t881250949\ntt0111161\t-\t881250950\ntt0111161\t4\t-\n')
    columns = {"film_id": "1", "value": "2", "time": "3"}
    table = keys(tmp_path / "u.data", columns=columns, header=False, delimiter="\t", quote="", null="-", scale="1:5")
    report, broker = await read(table, tmp_path)
    (rating,) = broker.records("ratings")
    assert (rating["film_id"], rating["value"], rating.get("observed_at")) == ("tt0111161", 4.0, None)
    assert [(row, text.rpartition(": ")[2]) for row, text in report.faults] == [
        (1, "'5\"' is no number"),
        (2, "is empty"),
    ]
    (tmp_path / "u.data").write_text((tmp_path / "u.data").read_text() + "tt0133093\t2\t881250951\n")
    _, more = await read(table, tmp_path)
    assert [rating["value"] for rating in more.records("ratings")] == [2.0]


async def test_facts_come_from_columns_too(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("name;year;kinds;min\nHeat;1995;Crime, Drama;170\nHeat;abc;;\n")
    columns = {"title": "name", "year": "year", "genres": "kinds", "runtime_minutes": "min"}
    table = keys(tmp_path / "f.csv", target="facts", columns=columns, delimiter=";", separator=",")
    report, broker = await read(table, tmp_path)
    (facts,) = broker.records("facts")
    assert (facts["title"], facts["year"], facts["genres"], facts["runtime_minutes"]) == (
        "Heat", 1995, ["Crime", "Drama"], 170.0,
    )  # fmt: skip
    assert "year: 'abc' is no number" in report.faults[0][1]


@pytest.mark.parametrize(
    ("body", "reason", "good"),
    [
        ('film,review\ntt0133093,"never closed\ntt0133093,good\n', "never closed", 0),
        ("film,review\ntt0133093\ntt0133093,good\n", "1 cells, 2 are needed", 1),
        (f'film,review\ntt0133093,"{"x" * MAX_LINE}"\ntt0133093,good\n', "longer than", 1),
        ('film,review\ntt0133093,"a" b\ntt0133093,good\n', "not CSV", 1),
        ("film,review\nMatrix,good\ntt0133093,good\n", "is not an IMDb title id", 1),
        ("film,review\ntt0133093,\ntt0133093,good\n", "text: is empty", 1),
    ],
)
async def test_a_row_without_sense_is_put_away(tmp_path: Path, body: str, reason: str, good: int) -> None:
    (tmp_path / "r.csv").write_text(body)
    table = keys(tmp_path / "r.csv", target="reviews", columns={"imdb": "film", "text": "review"})
    report, broker = await read(table, tmp_path)
    assert (report.status, report.refused, len(broker.sent())) == ("partial", 1, good)
    assert report.faults[0][0] == 2
    assert reason in report.faults[0][1]


async def test_a_file_without_the_column_says_which_there_are(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("\ufefffilm,review\n")
    table = keys(tmp_path / "r.csv", target="reviews", columns={"imdb": "film", "text": "body"})
    assert "has no column 'body'; there is film, review" in str(await fault_of(table))
    async with opened({**table, "columns": {"imdb": "film", "text": "review"}}) as connector:
        assert await connector.check()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"columns": {"imdb": "film"}}, "needs `value`"),
        ({"header": False}, "has to give numbers"),
        ({"header": False, "columns": {"imdb": "1", "value": "two"}}, "has to give numbers"),
        ({"header": False, "columns": {"imdb": "0", "value": "2"}}, "has to give numbers"),
        ({"columns": {"imdb": "1", "vallue": "2"}}, "unknown key `vallue`; did you mean `value`"),
        ({"delimiter": "::"}, "length <= 1"),
    ],
)
def test_keys_that_contradict_each_other_are_told_before_a_run(more: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        config_of(NAME, keys(Path("r.csv"), **more))


async def test_a_mean_rating_comes_with_its_votes(tmp_path: Path) -> None:
    (tmp_path / "r.tsv").write_text(ratings_tsv(0, "tt1375666\t8.8\t2650000\ntt0133093\t\\N\t\\N\n"))
    report, broker = await read(keys(tmp_path / "r.tsv"), tmp_path)
    (rating,) = broker.records("ratings")
    assert (rating["film_id"], rating["value"], rating["votes"], rating["kind"]) == ("tt1375666", 8.8, 2650000, "mean")
    assert (rating["best"], rating["worst"], rating["source_record_id"]) == (10.0, 1.0, "tt1375666")
    assert report.status == "success"


async def test_the_next_days_table_says_only_what_changed_under_a_new_id(tmp_path: Path) -> None:
    path, folder = tmp_path / "r.tsv", tmp_path / "s"
    path.write_text(ratings_tsv(5))
    _, first = await read(keys(path), folder)
    changed = ratings_tsv(5).splitlines()
    changed[2] = changed[2].rpartition("\t")[0] + "\t999999"
    path.write_text("\n".join(changed) + "\n")
    report, second = await read(keys(path), folder)
    new = {event for _, event, _ in second.sent()} - {event for _, event, _ in first.sent()}
    assert len(second.sent()) == 5
    assert len(new) == 1
    assert "not the one that was begun" in report.notes[0]


async def test_the_basics_register_films_and_tell_their_facts(tmp_path: Path) -> None:
    header = "tconst titleType primaryTitle originalTitle isAdult startYear endYear runtimeMinutes genres"
    rows = [
        header.split(),
        ["tt0133093", "movie", 'The "Matrix', "The Matrix", "0", "1999", "\\N", "136", "Action,Sci-Fi"],
        ["tt0903747", "tvSeries", "Breaking Bad", "Breaking Bad", "0", "2008", "2013", "\\N", "Crime,Drama,Thriller"],
        ["tt0959621", "tvEpisode", "Pilot", "Pilot", "0", "2008", "\\N", "58", "Crime"],
        ["tt9999999", "movie", "Untold", "Untold", "0", "\\N", "\\N", "\\N", "\\N"],
    ]
    (tmp_path / "b.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    report, broker = await read(keys(tmp_path / "b.tsv"), tmp_path)
    films, facts = broker.records("film-submissions"), broker.records("facts")
    assert report.status == "success"
    assert [(film["film_id"], film["kind"], film.get("year")) for film in films] == [
        ("tt0133093", "movie", 1999),
        ("tt0903747", "tv", 2008),
        ("tt9999999", "movie", None),
    ]
    assert (facts[0]["title"], facts[0]["genres"], facts[0]["runtime_minutes"]) == (
        'The "Matrix', ["Action", "Sci-Fi"], 136.0,
    )  # fmt: skip
    assert facts[2].get("runtime_minutes") is None
    _, followed = await read(keys(tmp_path / "b.tsv", films="followed"), tmp_path / "f")
    assert [film["film_id"] for film in followed.records("film-submissions")] == ["tt0133093"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("tt0133093\t8.8", "2 cells, 3 are due"),
        ("tt0133093\tnan\t7", "averageRating: 'nan' is no number"),
        ("tt0133093\t11.0\t7", "outside the scale"),
        ("tt0133093\t8.8\t-7", "numVotes: '-7' is no number"),
        ("nm0133093\t8.8\t7", "no IMDb title id"),
    ],
)
async def test_a_row_of_imdbs_without_sense_is_put_away(tmp_path: Path, row: str, reason: str) -> None:
    (tmp_path / "r.tsv").write_text(ratings_tsv(2, f"{row}\n"))
    report, broker = await read(keys(tmp_path / "r.tsv"), tmp_path)
    assert (report.refused, len(broker.sent())) == (1, 2)
    assert reason in report.faults[0][1]


async def test_another_table_of_imdbs_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.tsv").write_text("tconst\tdirectors\twriters\n")
    assert "neither title.ratings nor title.basics" in str(await fault_of(keys(tmp_path / "r.tsv")))


async def test_a_table_of_movielens_can_be_held_to_the_films_that_are_followed(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("film_id,rating\ntt0133093,4\ntt0000009,3\n")
    _, broker = await read(keys(tmp_path / "r.csv", films="followed"), tmp_path)
    assert [rating["film_id"] for rating in broker.records("ratings")] == ["tt0133093"]
