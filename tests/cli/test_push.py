"""Films and celebrities pushed from the command line, one by one and by files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from app.cli import rows as reading
from app.cli.rows import read_rows
from app.embedded.broker import Broker
from schemas.commands import PushCelebrity, PushFilm
from tests.cli.conftest import Marquee
from tests.cli.records import on_topic

UTF16 = "title,year\nHeat,1995\n".encode("utf-16")
GOOD = {"title": "Heat", "year": 1995, "imdb": "tt0113277"}


@pytest.mark.embedded
def test_a_pushed_film_is_on_the_input_topic_under_its_canonical_id(connected: Marquee, broker: Broker) -> None:
    said = connected.json("push", "film", "--title", "Inception", "--year", "2010", "--imdb", "tt1375666")
    raw = on_topic(broker, "input")[-1]
    headers = {name: value.decode() for name, value in raw.headers}
    assert said == {"id": "tt1375666", "event_id": headers["ce_id"]}
    assert raw.key == b"tt1375666"
    assert json.loads(raw.value or b"")["title"] == "Inception"
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_type"] == "marquee.PushFilm"
    assert headers["ce_dataschema"] == "/schemas/input/1"


@pytest.mark.embedded
def test_a_film_of_which_only_the_title_is_known_gets_a_local_id(connected: Marquee) -> None:
    assert connected("push", "film", "--title", "Untitled").stdout.startswith("local:")


@pytest.mark.embedded
def test_a_pushed_celebrity_is_on_the_input_topic(connected: Marquee, broker: Broker) -> None:
    said = connected.json("push", "celebrity", "--name", "Tilda Swinton", "--wikidata", "Q200534")
    raw = on_topic(broker, "input")
    assert said["id"] == "Q200534"
    assert any(r.key == b"Q200534" and b'"celebrity"' in (r.value or b"") for r in raw)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--title", "X", "--imdb", "1375666"), "not an IMDb title id"),
        (("--title", "X", "--wikidata", "200"), "not a Wikidata id"),
        (("--title", "X", "--tmdb", "-4"), "--tmdb"),
        (("--title", ""), "length"),
        (("--title", "???"), "letter or digit"),
        (("--title", "X", "--year", "95"), "--year"),
        (("--title", "X", "--kind", "series"), "--kind"),
    ],
)
def test_a_film_that_the_pipeline_would_refuse_is_refused_at_once(
    marquee: Marquee, words: tuple[str, ...], part: str
) -> None:
    assert part in marquee.mistake("push", "film", *words, code=2)


@pytest.mark.parametrize("number", ["-4", "0", "10000000000"])
def test_a_tmdb_number_that_is_none_is_refused_beside_another_id_too(marquee: Marquee, number: str) -> None:
    words = ("push", "celebrity", "--name", "Neg", "--wikidata", "Q931", "--tmdb", number)
    assert "--tmdb" in marquee.mistake(*words, code=2)


def test_a_row_with_a_tmdb_number_that_is_none_is_bad_whatever_else_names_the_person(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("name,wikidata,tmdb\nNeg,Q931,-4\nTilda Swinton,Q200534,3063\n")
    assert [row.line for row in read_rows(file) if row.pushed is None and "tmdb" in (row.fault or "")] == [2]
    assert [row.pushed for row in read_rows(file)][1] == PushCelebrity(
        name="Tilda Swinton", wikidata="Q200534", tmdb=3063
    )


FILES = {
    "films.csv": "title,year,imdb,name\nHeat,1995,tt0113277,\n,,,\nAlien,abc,,\nRan,1985,bad,\n,,,Cher\n",
    "films.ndjson": "\n".join(
        [
            json.dumps(GOOD),
            "{not json",
            '{"title":"Alien","year":"abc"}',
            '{"title":"Ran","imdb":"bad"}',
            '{"name":"Cher"}',
        ]
    ),
    "films.json": json.dumps(
        [GOOD, 7, {"title": "Alien", "year": "abc"}, {"title": "Ran", "imdb": "bad"}, {"name": "Cher"}], indent=0
    ).replace(', "', ',\n"'),
}
BAD_LINES = {"films.csv": [3, 4, 5], "films.ndjson": [2, 3, 4], "films.json": [7, 8, 12]}


@pytest.mark.embedded
@pytest.mark.parametrize("name", FILES)
def test_good_rows_of_a_file_are_sent_and_bad_ones_reported_by_line(
    connected: Marquee, broker: Broker, name: str
) -> None:
    (connected.directory / name).write_text(FILES[name])
    before = len(on_topic(broker, "input")) if (connected.directory / name).exists() else 0
    told = connected.json("push", "file", name, code=1)
    keys = {raw.key for raw in on_topic(broker, "input")[before:]}
    assert told["sent"] == 2
    assert [bad["line"] for bad in told["bad"]] == BAD_LINES[name]
    assert len(on_topic(broker, "input")) == before + 2
    assert b"tt0113277" in {raw.key for raw in on_topic(broker, "input")} | keys
    result = connected("push", "file", name, code=1)
    assert f"{name}:{BAD_LINES[name][0]}: " in result.stderr
    assert "2 sent, 3 bad" in result.stdout


@pytest.mark.embedded
def test_a_file_without_mistakes_exits_well_and_gives_the_same_ids_when_it_is_pushed_again(
    connected: Marquee, broker: Broker
) -> None:
    path = connected.directory / "films.csv.gz"
    path.write_bytes(gzip.compress(b"title,year\nThe Third Man,1949\n"))
    ids = []
    for _ in range(2):
        connected("push", "file", path)
        found = [raw for raw in on_topic(broker, "input") if b"The Third Man" in (raw.value or b"")]
        ids = [dict(raw.headers)["ce_id"] for raw in found]
    assert len(ids) == 2
    assert len(set(ids)) == 1


@pytest.mark.parametrize(
    ("name", "part"), [("films.txt", "name it .csv, .json or .ndjson"), ("none.csv", "cannot be read")]
)
def test_a_file_that_cannot_be_read_is_named(marquee: Marquee, name: str, part: str) -> None:
    (marquee.directory / "films.txt").write_text("Heat")
    assert part in marquee.mistake("push", "file", name)


def found(path: Path, text: str | bytes) -> list[tuple[int, str | None]]:
    """The rows of a file: line, and what was pushed or None."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = []
    for row in read_rows(path):
        pushed = row.pushed
        name = pushed.title if isinstance(pushed, PushFilm) else pushed.name if pushed else None
        said.append((row.line, name))
    return said


def test_a_quoted_title_may_hold_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    text = 'title,year\n"Good, the ""Bad""\nand the Ugly",1966\nHeat,1995\n'
    assert found(tmp_path / "f.csv", text) == [(2, 'Good, the "Bad"\nand the Ugly'), (4, "Heat")]


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_names(tmp_path: Path) -> None:
    assert found(tmp_path / "f.csv", b"\xef\xbb\xbftitle\r\nHeat\r\n") == [(2, "Heat")]


def test_bytes_that_are_no_text_spoil_their_own_row_only(tmp_path: Path) -> None:
    assert found(tmp_path / "f.csv", b"title\n\xff\xfe\nHeat\n") == [(2, None), (3, "Heat")]
    assert found(tmp_path / "f.ndjson", b'{"title":"\xff"}\n{"title":"Heat"}\n') == [(1, None), (2, "Heat")]


def test_a_json_file_is_read_element_by_element_however_it_is_broken_into_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK", 7)
    titles = [f"Film {n}" for n in range(50)]
    text = json.dumps([{"title": title, "year": 1999} for title in titles])
    assert [name for _, name in found(tmp_path / "f.json", text)] == titles


def test_a_single_object_is_a_file_of_one(tmp_path: Path) -> None:
    assert found(tmp_path / "f.json", '{"title": "Heat"}\n') == [(1, "Heat")]


def test_a_title_of_blanks_is_none(marquee: Marquee) -> None:
    told = marquee("push", "film", "--title", "   ", "--imdb", "tt0113277", code=2).stderr
    assert "$.title" in told


@pytest.mark.parametrize("rest", ["", '{"title": "Ran"', "{oops}, {}]", '{"title": "Ran"} {"title": "X"}]'])
def test_what_is_no_json_ends_the_reading_with_the_line_that_broke(tmp_path: Path, rest: str) -> None:
    rows = found(tmp_path / "f.json", f'[{{"title": "Heat"}},\n{rest}')
    assert rows[0] == (1, "Heat")
    assert rows[-1] == (2, None)


def test_a_row_of_a_million_letters_is_refused_and_the_next_one_read(tmp_path: Path) -> None:
    text = json.dumps({"title": "x" * reading.MAX_ROW}) + '\n{"title": "Heat"}\n'
    assert found(tmp_path / "f.ndjson", text) == [(1, None), (2, "Heat")]


def test_a_compressed_file_that_ends_early_gives_its_good_rows_first(tmp_path: Path) -> None:
    lines = "".join(f'{{"title": "Film {n} {n * n}"}}\n' for n in range(20_000))
    rows = found(tmp_path / "f.ndjson.gz", gzip.compress(lines.encode())[:-2000])
    assert rows[0] == (1, "Film 0 0")
    assert len(rows) > 1000
    assert rows[-1][1] is None


def test_a_row_says_itself_whether_it_is_a_film_or_a_celebrity(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("type,title,name\nFilm,Heat,\ncelebrity,,Cher\n")
    assert [type(row.pushed) for row in read_rows(path)] == [PushFilm, PushCelebrity]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\xff\xfe\n", UTF16])
@pytest.mark.parametrize("suffix", ["csv", "ndjson", "json"])
def test_bytes_that_are_no_utf_8_are_bad_wherever_they_stand(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"films.{suffix}"
    path.write_bytes(content)
    rows = list(read_rows(path))
    assert rows
    assert all(row.pushed is None and row.fault for row in rows)


def test_a_file_that_is_no_utf_8_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    path.write_bytes(b"\xff\xfe")
    assert [(row.line, row.fault) for row in read_rows(path)] == [(1, "not UTF-8")]


@pytest.mark.embedded
def test_a_file_of_nothing_but_other_bytes_fails(connected: Marquee, tmp_path: Path) -> None:
    (tmp_path / "films.csv").write_bytes(b"\xff\xfe")
    assert "0 sent, 1 bad" in connected("push", "file", tmp_path / "films.csv", code=1).stdout
