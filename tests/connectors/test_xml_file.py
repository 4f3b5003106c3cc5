"""The `xml` connector on files: the contract, what becomes of each record, and documents that mean harm."""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from app.connectors.base import Request
from app.connectors.errors import IncompleteError, MalformedError, NotFoundError, SourceError
from app.connectors.registry import config_of
from app.connectors.xml_records import MOST_SILENT, XmlRecords, field_path
from app.settings import ConfigError
from tests.connectors.local_suite import LocalSuite, fault_of, opened, read
from tests.connectors.suite import NAME
from tests.connectors.xml_source import FIELDS, RECORDS, document, keys


class TestXmlFile(LocalSuite):
    """A plain document."""

    records = RECORDS
    topics = {"ratings"}  # noqa: RUF012

    @pytest.fixture
    def keys(self, tmp_path: Path) -> dict[str, Any]:
        """The document in a file."""
        (tmp_path / "scores.xml").write_bytes(document())
        return keys(path=str(tmp_path / "scores.xml"))


class TestXmlGzip(TestXmlFile):
    """The same, compressed."""

    @pytest.fixture
    def keys(self, tmp_path: Path) -> dict[str, Any]:
        """The document in a gzip file."""
        (tmp_path / "scores.xml.gz").write_bytes(gzip.compress(document()))
        return keys(path=str(tmp_path / "scores.xml.gz"))


class TestXmlZip(TestXmlFile):
    """The same, in an archive beside another file."""

    @pytest.fixture
    def keys(self, tmp_path: Path) -> dict[str, Any]:
        """The document in a zip archive."""
        archive(tmp_path, {"data/scores.xml": document(), "data/readme.txt": b"hello"})
        return keys(path=str(tmp_path / "scores.zip"), member="data/*.xml")


def archive(tmp_path: Path, files: dict[str, bytes]) -> Path:
    """A zip archive of these files."""
    with zipfile.ZipFile(tmp_path / "scores.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, body in files.items():
            packed.writestr(name, body)
    return tmp_path / "scores.zip"


def table_of(tmp_path: Path, body: str | bytes, **more: Any) -> dict[str, Any]:
    """The table for a file with this content."""
    (tmp_path / "x.xml").write_bytes(body.encode() if isinstance(body, str) else body)
    return keys(path=str(tmp_path / "x.xml"), **more)


async def test_paths_lead_to_attributes_texts_and_what_lies_deeper(tmp_path: Path) -> None:
    body = """<?xml version="1.0" encoding="ISO-8859-1"?>
    <d xmlns="urn:x" xmlns:y="urn:y"><head><film id="tt0000001"/></head>
      <y:review><film imdb="tt0133093"/><by><name>M\xfcller</name></by>
        <text y:lang="de">Sehr <b>gut</b> &amp; <![CDATA[<kurz>]]></text><score of="10">8.5</score></y:review></d>"""
    fields = {"imdb": "film/@imdb", "text": "text", "lang": "text/@{urn:y}lang", "value": "score", "author": "by/name"}
    table = table_of(tmp_path, body.encode("latin-1"), record="review", target="reviews", fields=fields)
    report, broker = await read(table, tmp_path)
    (review,) = broker.records("reviews")
    assert report.status == "success"
    assert (review["film_id"], review["lang"], review["rating"], review["best"]) == ("tt0133093", "de", 8.5, 10.0)
    assert review["text"] == "Sehr gut & <kurz>"
    assert review["source_record_id"] == "record 1"


async def test_facts_take_every_genre(tmp_path: Path) -> None:
    body = """<d><m><t>Toy Story</t><y>1995</y><g>Comedy</g><g>Animation</g><min>81</min></m>
      <m><t>Heat</t><g>A|B</g></m></d>"""
    fields = {"title": "t", "year": "y", "genres": "g", "runtime_minutes": "min"}
    _, broker = await read(table_of(tmp_path, body, record="m", target="facts", fields=fields), tmp_path)
    first, second = broker.records("facts")
    assert (first["title"], first["year"], first["genres"]) == ("Toy Story", 1995, ["Comedy", "Animation"])
    assert first["runtime_minutes"] == 81.0
    assert first["film_id"].startswith("local:")
    assert second["genres"] == ["A", "B"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ('<rating film="tt0133093"/>', "value: is empty"),
        ('<rating film="tt0133093"><score>high</score></rating>', "no number"),
        ('<rating film="tt0133093"><score>NaN</score></rating>', "no number"),
        ('<rating film="tt0133093"><score>11</score></rating>', "outside the scale of 0 to 10"),
        ('<rating film="tt0133093"><score>1</score><score>2</score></rating>', "2 values where one is due"),
        ('<rating film="matrix"><score>1</score></rating>', "none of the known forms"),
        ('<rating film="tt0133093"><score>1</score><when>later</when></rating>', "neither seconds"),
    ],
)
async def test_a_record_without_sense_is_put_away_and_costs_no_other(tmp_path: Path, record: str, reason: str) -> None:
    good = '<rating film="tt0133093"><score>7</score></rating>'
    report, broker = await read(table_of(tmp_path, f"<d>{good}{record}{good}</d>"), tmp_path)
    assert (report.status, report.refused, len(broker.sent())) == ("partial", 1, 2)
    assert report.faults[0][0] == 2
    assert reason in report.faults[0][1]


async def test_a_longer_document_gives_its_new_records_only(tmp_path: Path) -> None:
    table = table_of(tmp_path, document(2500))
    await read(table, tmp_path)
    table_of(tmp_path, document(2510))
    report, broker = await read(table, tmp_path)
    assert [rating["source_record_id"] for rating in broker.records("ratings")] == [f"r{n}" for n in range(2500, 2510)]
    assert report.notes == []


async def test_a_document_that_became_another_or_shorter_is_read_from_its_beginning(tmp_path: Path) -> None:
    table = table_of(tmp_path, document(2500))
    await read(table, tmp_path)
    for body, count in ((document(2500).replace(b">3</score>", b">4</score>", 1), 2500), (document(10), 10)):
        table_of(tmp_path, body)
        report, broker = await read(table, tmp_path)
        assert len(broker.sent()) == count
        assert "not the one that was begun" in report.notes[0]


BILLION_LAUGHS = (
    '<!DOCTYPE d [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1 if n > 1 else str()};" * 10}">' for n in range(1, 10))
    + "]>"
)
ENTITY_OF_A_MEGABYTE = f'<!DOCTYPE d [<!ENTITY a "{"x" * 1_000_000}">]>'


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"{BILLION_LAUGHS}<d><rating><score>&a9;</score></rating></d>", "amplification|DOCTYPE"),
        (f'{BILLION_LAUGHS}<d><rating film="&a9;"/></d>', "amplification|DOCTYPE"),
        (f"{ENTITY_OF_A_MEGABYTE}<d><rating><score>{'&a;' * 10_000}</score></rating></d>", "amplification|DOCTYPE"),
        ('<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/hostname">]><d><rating film="&a;"/></d>', "DOCTYPE|entity"),
        ('<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/hostname">]><d><rating>&a;</rating></d>', "DOCTYPE"),
        ('<!DOCTYPE d SYSTEM "http://127.0.0.1:9/x.dtd"><d/>', "DOCTYPE"),
        ('<!DOCTYPE d [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]><d/>', "DOCTYPE"),
        ("<!DOCTYPE html><html><body>Sign in</body></html>", "DOCTYPE"),
        ("<d>" + "<a>" * 100_000, "Excessive depth"),
        ('{"rating": 7}', "no XML"),
        ("", "is empty"),
        ("<d><rating>&undeclared;</rating></d>", "no XML"),
        ("<d><rating></d>", "no XML"),
        ("<d>\x00</d>", "no XML"),
    ],
)
async def test_a_hostile_or_broken_document_is_refused_with_a_reason(tmp_path: Path, body: str, reason: str) -> None:
    report, broker = await read(table_of(tmp_path, body), tmp_path)
    assert report.status == "failed"
    assert (report.reaction, report.error_class) == ("stop", "Malformed")
    assert any(each in (report.error or "") for each in reason.split("|")), report.error
    assert broker.sent() == []
    assert len(broker.sent(dead=True)) == 1


def endless(begin: bytes, piece: bytes, total: int = 100 << 20) -> Iterator[bytes]:
    """A document that repeats one piece for 100 MB."""
    yield begin
    chunk = piece * (65_536 // len(piece))
    for _ in range(total // len(chunk)):
        yield chunk


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"<d><rating><score>", b"x"),
        (b"<d><rating><score>", b"<b/>"),
        (b"<d><rating film='", b"x"),
        (b"<d><!--", b"x"),
        (b"<d><", b"x"),
        (b"<!DOCTYPE d [", b"<!ENTITY e 'x'>"),
        (b"<d>", b"&#120;"),
        (b"<?x ", b"x"),
    ],
)
def test_a_piece_without_end_is_refused_before_it_is_read_whole(begin: bytes, piece: bytes) -> None:
    fed: list[int] = []
    with pytest.raises(MalformedError):
        feed(reader(), endless(begin, piece), fed)
    assert sum(fed) <= MOST_SILENT + (1 << 17)


def feed(records: XmlRecords, chunks: Iterable[bytes], fed: list[int]) -> int:
    """How many rows the chunks give; their sizes are noted as they go in."""
    found = 0
    for chunk in chunks:
        fed.append(len(chunk))
        found += len(list(records.feed(chunk)))
    return found


@pytest.mark.parametrize(
    ("piece", "rows"),
    [
        (b"<other><deep a='1'>text</deep></other>", False),
        (b"text and more text ", False),
        (b"<rating film='tt0133093'><score>7</score></rating>", True),
    ],
)
def test_what_was_read_is_forgotten(piece: bytes, rows: bool) -> None:
    if not rows:
        piece += b"<gap/>"
    records = reader()
    found = feed(records, endless(b"<d><list>", piece, 4 << 20), [])
    assert (found > 50_000) is rows
    assert records.root.xpath("count(//node())") < 20


class Watched(XmlRecords):
    """Keeps the first element, to look at what is left of its document."""

    root: Any = None

    def _start(self, element: Any) -> None:
        self.root = element if self.root is None else self.root
        super()._start(element)


def reader() -> Watched:
    """Of ratings with a score."""
    paths = {"value": field_path("value", "score"), "film_id": field_path("film_id", "@film")}
    return Watched(etree, "rating", paths, "x.xml")


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_document_may_come_in_pieces_of_any_size(size: int) -> None:
    body, records = document(50), reader()
    rows = [row for at in range(0, len(body), size) for row in records.feed(body[at : at + size])]
    records.close()
    assert [row["film_id"] for row in rows] == [row["film_id"] for row in reader().feed(body)]
    assert len(rows) == 50


async def test_a_document_that_ends_in_its_middle_is_used_as_far_as_it_goes_and_asked_for_again(tmp_path: Path) -> None:
    body = document(2500)
    table = table_of(tmp_path, body[: len(body) * 2 // 3])
    report, first = await read(table, tmp_path)
    assert (report.status, report.reaction, report.error_class) == ("failed", "retry", "Incomplete")
    table_of(tmp_path, body)
    report, rest = await read(table, tmp_path)
    assert report.status == "success"
    assert len({event for _, event, _ in first.sent() + rest.sent()}) == 2500


async def test_gzip_that_ends_in_its_middle_is_told(tmp_path: Path) -> None:
    packed = gzip.compress(document(2500))
    report, _ = await read(table_of(tmp_path, packed[: len(packed) // 2]), tmp_path)
    assert (report.status, report.error_class) == ("failed", "Incomplete")


async def test_an_archive_with_several_files_asks_which(tmp_path: Path) -> None:
    path = str(archive(tmp_path, {"a.xml": document(3), "b.xml": document(3)}))
    assert "there is a.xml, b.xml" in str(await fault_of(keys(path=path)))
    assert "there is a.xml, b.xml" in str(await fault_of(keys(path=path, member="c.*")))
    async with opened(keys(path=path, member="b.xml")) as connector:
        assert "a record `rating`" in await connector.check()


async def test_a_broken_or_hostile_archive_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, {"a.xml": document(3000)})
    whole = path.read_bytes()
    for broken in (b"", b"not an archive", whole[: len(whole) // 2], whole[:100] + b"\x55" * 60 + whole[160:]):
        path.write_bytes(broken)
        error = await failure(path)
        assert isinstance(error, (MalformedError, IncompleteError)), (broken[:20], error)
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as packed:
        for n in range(70_000):
            packed.writestr(zipfile.ZipInfo(str(n)), b"")
    path.write_bytes(many.getvalue())
    assert "too many files" in str(await failure(path))


async def failure(path: Path) -> SourceError:
    """How a whole read of an archive fails."""
    async with opened(keys(path=str(path))) as connector:
        try:
            async for _ in connector.read(Request(NAME), {}):
                pass
        except SourceError as error:
            return error
    raise AssertionError("it can be read")


async def test_a_file_that_is_not_there_and_a_record_that_is_not_in_it_are_told(tmp_path: Path) -> None:
    assert isinstance(await fault_of(keys(path=str(tmp_path / "none.xml"))), NotFoundError)
    assert isinstance(await fault_of(keys(path=str(tmp_path / "none.zip"))), NotFoundError)
    assert "has no element `rating`" in str(await fault_of(table_of(tmp_path, "<d><other/></d>")))


async def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lxml.etree", None)
    assert "[sources]" in str(await fault_of(table_of(tmp_path, "<d/>")))


@pytest.mark.parametrize("path", ["", "/", "a//b", "@", "a/@b/c", "a[1]", "//a", "../a", "a/", "@a@b", "a b"])
def test_what_is_no_path_is_told(path: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        config_of(NAME, keys(path="x.xml", fields={**FIELDS, "time": path}))
