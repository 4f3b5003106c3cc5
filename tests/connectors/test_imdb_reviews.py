"""The `imdb_reviews` connector: the contract in each form, what a review becomes, and archives that mean harm."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from app.connectors.acl_imdb import MAX_REVIEW, parse_name
from app.connectors.errors import IncompleteError, MalformedError, NotFoundError
from app.connectors.tar_stream import MOST_MEMBER, BadEntry, Entry, entries
from schemas.ids import is_film_id
from tests.connectors.acl_imdb_source import REVIEWS, archive, files, folder, member, packed
from tests.connectors.local_suite import LocalSuite, fault_of, opened, read
from tests.connectors.service import Service, serving
from tests.connectors.suite import Broker, ConnectorSuite, FakeClock

TAG = '"one"'


def keys(path: Path, **more: Any) -> dict[str, Any]:
    """The connector's table."""
    return {"kind": "imdb_reviews", "path": str(path), **more}


def in_archive(tmp_path: Path, body: bytes, **more: Any) -> dict[str, Any]:
    """The table for an archive with this content."""
    (tmp_path / "aclImdb.tar.gz").write_bytes(body)
    return keys(tmp_path / "aclImdb.tar.gz", **more)


@pytest.fixture
def clock() -> FakeClock:
    """Time of its own."""
    return FakeClock()


class TestFolder(LocalSuite):
    """As it is unpacked."""

    records = REVIEWS
    topics = {"reviews"}  # noqa: RUF012

    @pytest.fixture
    def keys(self, tmp_path: Path) -> dict[str, Any]:
        """The folder."""
        return keys(folder(tmp_path / "aclImdb", files()))


class TestArchive(TestFolder):
    """As it is published."""

    @pytest.fixture
    def keys(self, tmp_path: Path) -> dict[str, Any]:
        """The compressed archive."""
        return in_archive(tmp_path, packed(files()))


class TestTarWithAddressesAtItsEnd(TestFolder):
    """Not compressed, and the films are named after the reviews."""

    @pytest.fixture
    def keys(self, tmp_path: Path) -> dict[str, Any]:
        """The archive."""
        return in_archive(tmp_path, archive(files(), last=True))


class Files(Service):
    """A web server with the archive, which knows ranges."""

    def __init__(self) -> None:
        super().__init__()
        self.body = packed(files())

    async def answer(self, request: web.Request) -> web.Response:
        """The archive, or the part of it that is asked for."""
        if request.headers.get("If-None-Match") == TAG:
            return web.Response(status=304)
        start = request.http_range.start or 0
        if start >= len(self.body):
            return web.Response(status=416)
        kind, headers = "application/gzip", {"ETag": TAG}
        return web.Response(status=206 if start else 200, body=self.body[start:], content_type=kind, headers=headers)


class TestOverHttp(ConnectorSuite):
    """From a server."""

    kind = "imdb_reviews"
    keys = {"path": "aclImdb_v1.tar.gz"}  # noqa: RUF012
    records = REVIEWS
    topics = {"reviews"}  # noqa: RUF012
    pages = 1
    whole = False
    typed = False

    def service(self) -> Service:
        """The archive's server."""
        return Files()

    async def test_what_was_read_to_its_end_is_not_sent_again_by_the_server(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        await self.run(site, tmp_path, clock, Broker())
        report = await self.run(site, tmp_path, clock, Broker())
        assert (report.status, report.records, report.bytes, report.requests) == ("success", 0, 0, 1)


async def test_an_archive_with_its_addresses_at_the_end_is_asked_for_twice(tmp_path: Path, clock: FakeClock) -> None:
    site = Files()
    site.body = packed(files(), last=True)
    async with serving(site):
        suite = TestOverHttp()
        for requests in (2, 1):
            report = await suite.run(site, tmp_path, clock, Broker())
            assert (report.status, report.requests) == ("success", requests)


async def test_a_review_says_its_film_its_score_and_its_text(tmp_path: Path) -> None:
    _, broker = await read(keys(folder(tmp_path / "a", files(5))), tmp_path)
    found = {review["source_record_id"]: review for review in broker.records("reviews")}
    good, bad, none = found["train/pos/1"], found["test/neg/2"], found["train/unsup/0"]
    assert (good["film_id"], good["rating"], good["best"], good["worst"]) == ("tt0133093", 8.0, 10.0, 1.0)
    assert good["text"].startswith('Review 1 of train/pos.\n\nIt says "enough", at length')
    assert (good["url"], good["lang"]) == ("http://www.imdb.com/title/tt0133093/usercomments", "en")
    assert (bad["film_id"], bad["rating"]) == ("tt0064354", 3.0)
    assert none["rating"] is None
    assert none["best"] is None
    assert all(is_film_id(review["film_id"]) for review in found.values())


async def test_reviews_without_a_score_can_be_left_out(tmp_path: Path) -> None:
    for n, table in enumerate(
        (
            keys(folder(tmp_path / "a", files(5)), unlabelled=False),
            in_archive(tmp_path, packed(files(5)), unlabelled=False),
        )
    ):
        _, broker = await read(table, tmp_path / str(n))
        assert len(broker.sent()) == 20
        assert all(review["rating"] for review in broker.records("reviews"))


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("train/pos/7_9.txt", b"words", "review 7 of train/pos names no film"),
        ("train/pos/1_11.txt", b"words", "a score of 11"),
        ("train/pos/1_9.txt", b"w\xffrds", "not UTF-8 at byte 1"),
        ("train/pos/1_9.txt", b" \n<br />", "is empty"),
        ("train/pos/1_9.txt", b"x" * (MAX_REVIEW + 1), "bytes"),
        ("train/pos/1_9.txt", b"x" * 300_000, "200000"),
    ],
)
async def test_a_review_without_sense_is_put_away_and_costs_no_other(
    tmp_path: Path, name: str, body: bytes, reason: str
) -> None:
    found = {path: each for path, each in files(5).items() if not path.startswith("train/pos/1_")}
    found[name] = body
    for n, table in enumerate((keys(folder(tmp_path / "a", found)), in_archive(tmp_path, packed(found)))):
        report, broker = await read(table, tmp_path / str(n))
        assert (report.status, report.refused, len(broker.sent())) == ("partial", 1, 24)
        assert reason in report.faults[0][1]


async def test_a_missing_list_of_addresses_refuses_its_reviews_and_without_any_the_run_fails(tmp_path: Path) -> None:
    found = files(5)
    del found["train/urls_unsup.txt"]
    report, broker = await read(keys(folder(tmp_path / "a", found)), tmp_path / "s")
    assert (report.refused, len(broker.sent())) == (5, 20)
    assert "no urls_unsup.txt" in report.faults[0][1]
    none = {path: body for path, body in found.items() if "urls_" not in path}
    report, _ = await read(in_archive(tmp_path, packed(none)), tmp_path / "n")
    assert (report.status, report.records) == ("failed", 0)
    assert "which film a review is about" in (report.error or "")


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (member("../../train/pos/9_9.txt", 5), "leads out of the archive"),
        (member("aclImdb/train/pos/../../../../9_9.txt", 5), "leads out of the archive"),
        (member("/train/pos/9_9.txt", 5), "leads out of the archive"),
        (member("aclImdb\\..\\..\\x.txt", 5), "leads out of the archive"),
        (member("aclImdb/train/pos/9_9.txt", kind=tarfile.SYMTYPE, target="/etc/hostname"), "is a link"),
        (member("aclImdb/train/pos/9_9.txt", kind=tarfile.LNKTYPE, target="../../x"), "is a link"),
        (member("aclImdb/zero", kind=tarfile.CHRTYPE), "is a device"),
        (member("aclImdb/pipe", kind=tarfile.FIFOTYPE), "is a device"),
        (member("aclImdb/train/pos/9_9.txt", MAX_REVIEW + 1), "which no review has"),
    ],
)
async def test_a_member_that_means_harm_is_refused_and_costs_no_other(
    tmp_path: Path, odd: tarfile.TarInfo, reason: str
) -> None:
    report, broker = await read(in_archive(tmp_path, packed(files(5), odd)), tmp_path)
    assert (report.status, report.refused, len(broker.sent())) == ("partial", 1, 25)
    assert reason in report.faults[0][1]


async def test_a_link_in_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret words")
    place = folder(tmp_path / "a", files(5))
    (place / "train/pos/9_9.txt").symlink_to(tmp_path / "secret")
    report, broker = await read(keys(place), tmp_path / "s")
    assert (report.refused, len(broker.sent())) == (1, 25)
    assert "secret words" not in str(broker.sent(dead=True))


async def test_an_archive_that_ends_in_its_middle_is_used_as_far_as_it_goes_and_asked_for_again(tmp_path: Path) -> None:
    whole = archive(files(), last=False)
    report, first = await read(in_archive(tmp_path, whole[: len(whole) // 2]), tmp_path)
    assert (report.status, report.reaction) == ("failed", "retry")
    report, rest = await read(in_archive(tmp_path, whole), tmp_path)
    assert report.status == "success"
    assert len({event for _, event, _ in first.sent() + rest.sent()}) == REVIEWS


async def test_what_is_no_data_set_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert isinstance(await fault_of(keys(tmp_path / "none.tar.gz")), NotFoundError)
    assert isinstance(await fault_of(keys(tmp_path / "empty")), NotFoundError)
    assert isinstance(await fault_of(in_archive(tmp_path, b"<html>Sign in</html>" * 100)), MalformedError)
    assert isinstance(await fault_of(in_archive(tmp_path, b"")), MalformedError)
    assert "holds no review" in str(await fault_of(in_archive(tmp_path, packed({"README": b"x"}))))
    async with opened(in_archive(tmp_path, packed(files(5)))) as connector:
        assert "is there" in await connector.check()


async def chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    """A body in pieces."""
    for at in range(0, len(body), size):
        yield body[at : at + size]


@pytest.mark.parametrize("size", [1, 511, 512, 513, 100_000])
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
async def test_an_archive_may_come_in_pieces_of_any_size_and_in_every_form(size: int, form: int) -> None:
    long = f"{'deep/' * 40}train/pos/7_9.txt"
    found = {"train/pos/1_7.txt": b"", "train/pos/2_7.txt": b"x" * 512, "train/pos/3_7.txt": b"y" * 700, long: b"z"}
    body = archive(found, form=form)
    wanted = [
        each async for each in entries(chunks(body, size), lambda path: MAX_REVIEW if parse_name(path) else 0, "x")
    ]
    with tarfile.open(fileobj=io.BytesIO(body)) as peer:
        expected = {each.name: peer.extractfile(each).read() for each in peer if each.size}  # type: ignore[union-attr]
    assert {each.name: each.body for each in wanted if isinstance(each, Entry)} == expected


@pytest.mark.parametrize(
    "body",
    [
        b"x" * 512,
        member("a", MOST_MEMBER + 1).tobuf(tarfile.GNU_FORMAT),
        member("a", 10**12).tobuf(tarfile.GNU_FORMAT),
        member("a", 1 << 20, tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT),
        member("a", 1 << 20, tarfile.XHDTYPE).tobuf(tarfile.GNU_FORMAT),
    ],
)
async def test_an_archive_whose_numbers_mean_harm_is_refused_at_its_header(body: bytes) -> None:
    with pytest.raises(MalformedError):
        assert [each async for each in entries(chunks(body, 512), lambda path: MAX_REVIEW, "x")] == []


async def test_an_archive_that_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("app.connectors.tar_stream.MOST_TOTAL", 8 << 20)
    bomb = gzip.compress(archive(files(1), *(member(f"aclImdb/{n}.feat", 4 << 20) for n in range(50))))
    assert len(bomb) < 1 << 20
    report, _ = await read(in_archive(tmp_path, bomb), tmp_path)
    assert (report.status, report.error_class) == ("failed", "Malformed")
    assert "unpacks to more than" in (report.error or "")


async def test_memory_does_not_grow_with_the_archive() -> None:
    header, chunk = member("aclImdb/train/unsupBow.feat", 64 << 20).tobuf(tarfile.GNU_FORMAT), bytes(1 << 16)

    async def parts() -> AsyncIterator[bytes]:
        yield header
        for _ in range((64 << 20) // len(chunk)):
            yield chunk
        yield archive(files(1))

    tracemalloc.start()
    found = [each async for each in entries(parts(), lambda path: MAX_REVIEW if parse_name(path) else 0, "x")]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 5
    assert peak < 4 << 20


async def test_what_follows_the_end_of_an_archive_is_not_read_without_end(tmp_path: Path) -> None:
    bomb = gzip.compress(archive(files(1)) + bytes(64 << 20))
    report, broker = await read(in_archive(tmp_path, bomb), tmp_path)
    assert (report.status, len(broker.sent())) == ("success", 5)


async def test_an_archive_without_an_end_is_incomplete() -> None:
    body = member("a", 5).tobuf() + b"x" * 512
    with pytest.raises(IncompleteError):
        assert [each async for each in entries(chunks(body, 100), lambda path: 0, "x")] == []


async def test_a_refused_member_is_named_in_the_dead_letter_even_where_its_name_is_no_text() -> None:
    info = member("../\udcff", 1)
    found = [each async for each in entries(chunks(info.tobuf(errors="surrogateescape") + bytes(2048), 99), len, "x")]
    assert isinstance(found[0], BadEntry)
