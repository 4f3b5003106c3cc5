"""The `csv` connector on local files: what becomes of each row, and where the next run begins."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from app.connectors.base import Request
from app.connectors.fetch import Fetcher
from app.connectors.lines import MAX_LINE
from app.connectors.registry import config_of, make
from app.connectors.runner import CursorStore, run_connector
from schemas.base import Rejected
from schemas.ids import is_film_id
from tests.connectors.runs import HEADER, KilledError, Topics, rating_file, run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A rating file of 2,500 rows."""
    path = tmp_path / "ratings.csv"
    path.write_text(rating_file(2500))
    return path


def rewrite(path: Path, text: str) -> None:
    """Put other content into a file."""
    path.write_text(text)


async def test_every_row_becomes_a_rating_on_the_files_own_scale(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(HEADER + "7,31,2.5,1260759144\n")
    topics = Topics()
    report = await run(tmp_path / "r.csv", tmp_path, topics, scale="0.5:5")
    (rating,) = topics.records()
    assert report.status == "success"
    assert (rating["value"], rating["worst"], rating["best"], rating["kind"]) == (2.5, 0.5, 5.0, "single")
    assert (rating["source"], rating["source_record_id"], rating["author"]) == ("ml", "7:31", "7")
    assert rating["observed_at"] == "2009-12-14T02:52:24.000Z"
    assert rating["film_id"].startswith("local:")


async def test_a_film_goes_under_its_imdb_id_else_tmdb_else_a_local_one_and_never_under_its_bare_number(
    tmp_path: Path,
) -> None:
    (tmp_path / "links.csv").write_text("movieId,imdbId,tmdbId\n1,0114709,862\n2,,8844\n3,,\n4,12345678,\n")
    (tmp_path / "movies.csv").write_text('movieId,title,genres\n3,"Matrix, The (1999)",Action|Sci-Fi\n')
    (tmp_path / "r.csv").write_text(HEADER + "".join(f"1,{n},3.0,1\n" for n in range(1, 6)))
    topics = Topics()
    await run(
        tmp_path / "r.csv", tmp_path, topics, links=str(tmp_path / "links.csv"), movies=str(tmp_path / "movies.csv")
    )
    ids = [rating["film_id"] for rating in topics.records()]
    assert ids[:2] == ["tt0114709", "tmdb:movie/8844"]
    assert ids[3] == "tt12345678"
    assert [found.startswith("local:") for found in ids] == [False, False, True, False, True]
    assert all(map(is_film_id, ids))


async def test_what_the_movies_file_says_goes_out_as_facts_before_the_first_rating(tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text(
        'movieId,title,genres\n3,"Matrix, The (1999)",Action|Sci-Fi\n4,Untitled,(no genres listed)\n'
    )
    (tmp_path / "r.csv").write_text(HEADER + "1,3,5.0,1\n")
    topics = Topics()
    await run(tmp_path / "r.csv", tmp_path, topics, movies=str(tmp_path / "movies.csv"))
    facts = topics.records("facts")
    assert [(fact["title"], fact["year"], fact["genres"]) for fact in facts] == [
        ("The Matrix", 1999, ["Action", "Sci-Fi"]),
        ("Untitled", None, []),
    ]
    sent = [record.topic for batch in topics.batches for record in batch]
    assert sent == ["facts", "facts", "ratings"]
    assert topics.records()[0]["film_id"] == facts[0]["film_id"]


async def test_columns_may_stand_in_any_order_and_name_canonical_films(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(
        "timestamp,film_id,note,rating\n2020-01-02T03:04:05+01:00,tt0114709,x,4\n1,31,x,4\n"
    )
    topics = Topics()
    report = await run(tmp_path / "r.csv", tmp_path, topics)
    (rating,) = topics.records()
    assert (rating["film_id"], rating["observed_at"]) == ("tt0114709", "2020-01-02T02:04:05.000Z")
    assert "none of the known forms" in report.faults[0][1]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,31,five,1", "no number"),
        ("1,31,NaN,1", "outside the scale"),
        ("1,31,5.5,1", "outside the scale of 0.5 to 5"),
        ("1,31,-1,1", "outside the scale"),
        ("1,31", "4 are needed"),
        ("1,,3.0,1", "the film's cell is empty"),
        ("1,31,3.0,yesterday", "neither seconds"),
        ("1,31,3.0,99999999999999999999", "neither seconds"),
        ('1,"31,3.0,1', "not CSV"),
        ("1,31,3.0,1" + "x" * MAX_LINE, "longer than"),
    ],
)
async def test_a_row_without_sense_is_named_by_its_line_and_put_away_whole(
    tmp_path: Path, line: str, reason: str
) -> None:
    (tmp_path / "r.csv").write_text(f"{HEADER}1,1,3.0,1\n{line}\n1,2,3.0,1\n")
    topics = Topics()
    report = await run(tmp_path / "r.csv", tmp_path, topics)
    assert len(topics.records()) == 2
    (letter,) = topics.records("dead-letters")
    assert (letter["origin_topic"], letter["origin_offset"]) == ("connector.ml", 3)
    assert f"line 3: {report.faults[0][1]}" in letter["error"]
    assert report.faults[0][0] == 3
    assert reason in report.faults[0][1]
    assert (report.status, report.refused) == ("partial", 1)


async def test_bytes_that_are_no_text_spoil_their_own_row_only(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes(HEADER.encode() + b"1,\xff31,3.0,1\n\n1,2,3.0,1\r\n")
    topics = Topics()
    report = await run(tmp_path / "r.csv", tmp_path, topics)
    assert [rating["source_record_id"] for rating in topics.records()] == ["1:2"]
    assert [line for line, _ in report.faults] == [2]


async def test_a_second_run_sends_nothing_and_a_longer_file_only_its_new_rows(file: Path, tmp_path: Path) -> None:
    await run(file, tmp_path, Topics())
    again, more = Topics(), Topics()
    await run(file, tmp_path, again)
    with file.open("a") as end:
        end.write(rating_file(3, first=2500))
    report = await run(file, tmp_path, more)
    assert again.records() == []
    assert [rating["source_record_id"].split(":")[1] for rating in more.records()] == ["2501", "2502", "2503"]
    assert report.notes == []


async def test_a_run_that_was_killed_goes_on_behind_what_the_broker_has(file: Path, tmp_path: Path) -> None:
    killed, rest, whole = Topics(dies_at=1), Topics(), Topics()
    with pytest.raises(KilledError):
        await run(file, tmp_path, killed)
    await run(file, tmp_path, rest)
    await run(file, tmp_path / "other", whole)
    assert 0 < len(killed.records()) < 2500
    assert killed.ids() + rest.ids() == whole.ids()
    assert len(set(whole.ids())) == 2500


async def test_a_row_that_is_read_twice_has_the_same_id_and_a_changed_one_another(tmp_path: Path) -> None:
    for name, row in (("a", "1,31,2.5,9"), ("b", "1,31,2.5,9"), ("c", "1,31,3.0,9")):
        (tmp_path / f"{name}.csv").write_text(f"{HEADER}{row}\n")
    found = {name: Topics() for name in "abc"}
    for name, topics in found.items():
        await run(tmp_path / f"{name}.csv", tmp_path / name, topics)
    assert found["a"].ids() == found["b"].ids() != found["c"].ids()
    assert found["a"].records()[0]["source_record_id"] == found["c"].records()[0]["source_record_id"]


async def test_a_file_that_became_another_one_is_read_from_its_beginning(file: Path, tmp_path: Path) -> None:
    await run(file, tmp_path, Topics())
    rewrite(file, rating_file(2500).replace("\n1,", "\n9,", 1))
    topics = Topics()
    report = await run(file, tmp_path, topics)
    assert len(topics.records()) == 2500
    assert "from the beginning" in report.notes[0]


async def test_a_file_that_became_shorter_is_read_from_its_beginning(file: Path, tmp_path: Path) -> None:
    await run(file, tmp_path, Topics())
    rewrite(file, rating_file(10))
    topics = Topics()
    await run(file, tmp_path, topics)
    assert len(topics.records()) == 10


async def test_another_scale_makes_other_ratings_so_the_file_is_read_again(file: Path, tmp_path: Path) -> None:
    await run(file, tmp_path, Topics())
    topics = Topics()
    report = await run(file, tmp_path, topics, scale="0:10")
    assert len(topics.records()) == 2500
    assert "others than last time" in report.notes[0]


async def test_the_last_line_may_still_grow(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(f"{HEADER}1,1,3.0,1\n1,2,4")
    first, second = Topics(), Topics()
    await run(path, tmp_path, first)
    path.write_text(f"{HEADER}1,1,3.0,1\n1,2,4.5,77\n")
    report = await run(path, tmp_path, second)
    assert [rating["source_record_id"] for rating in first.records()] == ["1:1"]
    assert [(rating["source_record_id"], rating["value"]) for rating in second.records()] == [("1:2", 4.5)]
    assert report.notes == []


async def test_a_compressed_file_is_read_and_resumed_like_a_plain_one(tmp_path: Path) -> None:
    packed, plain = tmp_path / "r.csv.gz", tmp_path / "r.csv"
    text = rating_file(2500).encode()
    # Two members, as tools that append make them, and zeros, as tapes fill up with them.
    packed.write_bytes(gzip.compress(text[:20_000]) + gzip.compress(text[20_000:]) + bytes(20_000))
    plain.write_bytes(text)
    whole, killed, rest = Topics(), Topics(dies_at=1), Topics()
    await run(plain, tmp_path / "plain", whole)
    with pytest.raises(KilledError):
        await run(packed, tmp_path / "packed", killed)
    await run(packed, tmp_path / "packed", rest)
    assert killed.ids() + rest.ids() == whole.ids()


async def test_a_compressed_file_that_ends_early_fails_after_its_good_rows(tmp_path: Path) -> None:
    path = tmp_path / "r.csv.gz"
    path.write_bytes(gzip.compress(rating_file(2500).encode())[:-400])
    topics = Topics()
    report = await run(path, tmp_path, topics)
    assert report.status == "failed"
    assert "ends in the middle" in (report.error or "")
    assert len(topics.records()) > 1000


async def test_a_file_that_is_not_there_or_has_no_ratings_says_what_to_do(tmp_path: Path) -> None:
    missing = await run(tmp_path / "none.csv", tmp_path, Topics())
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.csv").write_text("")
    other = await run(tmp_path / "other.csv", tmp_path, Topics())
    empty = await run(tmp_path / "empty.csv", tmp_path, Topics())
    assert "check `path`" in (missing.error or "")
    assert "needs a column movieId or film_id" in (other.error or "")
    assert "is empty" in (empty.error or "")
    assert {missing.status, other.status, empty.status} == {"failed"}


async def test_what_a_run_did_is_kept_for_people(file: Path, tmp_path: Path) -> None:
    await run(file, tmp_path, Topics())
    state = CursorStore(tmp_path).load("ml")
    assert state.last_run is not None
    assert (state.last_run.status, state.last_run.records) == ("success", 2500)


async def test_a_cursor_file_that_cannot_be_read_means_reading_from_the_beginning(file: Path, tmp_path: Path) -> None:
    await run(file, tmp_path, Topics())
    (tmp_path / "connectors" / "ml.json").write_text('{"cursor": {"mark": "?"}}')
    topics = Topics()
    await run(file, tmp_path, topics)
    assert len(topics.records()) == 2500


class Counting(Topics):
    """Counts and forgets, so that only the connector's own memory grows."""

    rows = 0

    async def send(self, records: object) -> None:
        """Count a batch."""
        self.rows += len(list(records))  # type: ignore[call-overload]


async def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(rating_file(60_000))
    topics = Counting()
    tracemalloc.start()
    try:
        await run(path, tmp_path, topics)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert topics.rows == 60_000
    # The file has 1.4 MB, its events more than ten times that.
    assert peak < 8 << 20


def test_times_before_1970_are_no_seconds() -> None:
    from app.connectors.movielens import moment

    with pytest.raises(Rejected):
        moment("-5")
    assert moment("0") == "1970-01-01T00:00:00.000Z"


async def test_a_record_that_is_sent_again_by_the_run_when_it_is_resumed_is_the_same_in_every_byte(
    tmp_path: Path,
) -> None:
    (tmp_path / "r.csv").write_text(rating_file(20))
    config = config_of("ml", {"kind": "csv", "path": str(tmp_path / "r.csv"), "terms": {"ttl_days": 30}})
    request = Request("ml", run_id="one", begun="2026-01-31T12:00:00Z")
    lives: list[list[bytes | None]] = []
    async with Fetcher((), 10.0) as fetcher:
        for now in (1_800_000_000.0, 1_800_000_777.0):
            topics = Topics()
            store = CursorStore(tmp_path / str(now))
            await run_connector("ml", make(config, fetcher), topics, store, request=request, now=lambda now=now: now)
            lives.append([record.value for batch in topics.batches for record in batch])
            assert {record["terms"]["expires_at"] for record in topics.records()} == {"2026-03-02T12:00:00.000Z"}
    assert lives[0] == lives[1] != []
