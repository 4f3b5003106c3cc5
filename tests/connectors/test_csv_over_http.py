"""The `csv` connector over HTTP: cuts, servers without ranges, refusals, and addresses that must not be reached."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import pytest

from app.connectors import session
from app.connectors.fetch import retry_after
from app.connectors.guard import is_public
from app.delivery.producer import Outgoing
from tests.connectors.runs import KilledError, Topics, rating_file, run
from tests.connectors.site import Site, serving

ROWS = 3000


def zipped(body: bytes) -> bytes:
    """An archive with this file."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(zipfile.ZipInfo("r.csv"), body, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that a test need not sit through."""
    monkeypatch.setattr(session, "FIRST_WAIT", 0.01)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A server with a file of 3,000 rows."""
    async with serving(Site(rating_file(ROWS).encode())) as found:
        yield found


async def test_a_file_at_an_address_gives_the_same_events_as_on_disk(site: Site, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes(site.body)
    there, here = Topics(), Topics()
    report = await run(site.url, tmp_path / "there", there, allow=site.allow)
    await run(tmp_path / "r.csv", tmp_path / "here", here)
    assert report.status == "success"
    assert there.ids() == here.ids()
    assert len(here.ids()) == ROWS


async def test_an_answer_that_is_cut_off_is_gone_on_with_from_the_byte_where_it_broke(
    site: Site, tmp_path: Path
) -> None:
    site.cut_after = [30_000, 55_000]
    topics = Topics()
    report = await run(site.url, tmp_path, topics, allow=site.allow)
    assert report.status == "success"
    assert len(topics.ids()) == len(set(topics.ids())) == ROWS
    assert site.asked[0] is None
    assert all(asked is not None for asked in site.asked[1:])


async def test_a_server_without_ranges_is_read_over_up_to_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.ranges, site.cut_after = False, [30_000, 55_000]
    topics = Topics()
    report = await run(site.url, tmp_path, topics, allow=site.allow)
    assert report.status == "success"
    assert len(topics.ids()) == len(set(topics.ids())) == ROWS


async def test_a_file_that_changes_between_two_pieces_is_not_mixed(site: Site, tmp_path: Path) -> None:
    site.cut_after = [30_000]
    whole = site.body
    changed = whole.replace(b",1000002000", b",1000002001")

    class Changing(Topics):
        async def send(self, records: Iterable[Outgoing]) -> None:
            site.body = changed
            await super().send(records)

    first, rest, straight = Changing(), Topics(), Topics()
    report = await run(site.url, tmp_path / "a", first, allow=site.allow)
    assert report.status == "failed"
    assert "changed while it was read" in (report.error or "")
    assert (await run(site.url, tmp_path / "a", rest, allow=site.allow)).status == "success"
    await run(site.url, tmp_path / "b", straight, allow=site.allow)
    assert set(first.ids()) | set(rest.ids()) == set(straight.ids())
    assert changed != whole


async def test_a_killed_run_asks_only_for_the_rest(site: Site, tmp_path: Path) -> None:
    killed, rest, whole = Topics(dies_at=1), Topics(), Topics()
    with pytest.raises(KilledError):
        await run(site.url, tmp_path / "a", killed, allow=site.allow)
    await run(site.url, tmp_path / "a", rest, allow=site.allow)
    assert (site.asked[-1] or "").startswith("bytes=")
    await run(site.url, tmp_path / "b", whole, allow=site.allow)
    assert killed.ids() + rest.ids() == whole.ids()


async def test_a_killed_run_goes_on_at_its_row_where_the_server_has_no_ranges(site: Site, tmp_path: Path) -> None:
    site.ranges = site.etag = False
    killed, rest, whole = Topics(dies_at=1), Topics(), Topics()
    with pytest.raises(KilledError):
        await run(site.url, tmp_path / "a", killed, allow=site.allow)
    await run(site.url, tmp_path / "a", rest, allow=site.allow)
    await run(site.url, tmp_path / "b", whole, allow=site.allow)
    assert killed.ids() + rest.ids() == whole.ids()


async def test_a_compressed_file_resumes_over_http(site: Site, tmp_path: Path) -> None:
    site.body = gzip.compress(site.body)
    site.cut_after = [len(site.body) // 2]
    killed, rest = Topics(dies_at=2), Topics()
    with pytest.raises(KilledError):
        await run(site.url, tmp_path, killed, allow=site.allow)
    await run(site.url, tmp_path, rest, allow=site.allow)
    assert len(set(killed.ids() + rest.ids())) == len(killed.ids() + rest.ids()) == ROWS


async def test_a_run_after_the_end_asks_for_nothing_it_has(site: Site, tmp_path: Path) -> None:
    await run(site.url, tmp_path, Topics(), allow=site.allow)
    again, more = Topics(), Topics()
    assert (await run(site.url, tmp_path, again, allow=site.allow)).status == "success"
    site.body += rating_file(2, first=ROWS).encode()
    report = await run(site.url, tmp_path, more, allow=site.allow)
    assert again.records() == []
    assert len(more.records()) == 2
    assert report.status == "success"


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zipped], ids=["plain", "gzip", "zip"])
@pytest.mark.parametrize("dated", [False, True])
async def test_a_file_that_did_not_change_is_not_sent_again_by_a_server_without_ranges(
    site: Site, tmp_path: Path, pack: Callable[[bytes], bytes], dated: bool
) -> None:
    site.ranges, site.etag, site.modified = False, not dated, "Tue, 03 Nov 2026 12:00:00 GMT" if dated else None
    # The last line may not be whole yet; of the same version of the file it is not read twice.
    plain = site.body.rstrip(b"\n")
    site.body = pack(plain)
    keys = {"allow": site.allow, **({"member": "r.csv"} if pack is zipped else {})}
    first, again, more = Topics(), Topics(), Topics()
    assert (await run(site.url, tmp_path, first, **keys)).status == "success"
    for _ in range(2):
        report = await run(site.url, tmp_path, again, **keys)
        assert (report.status, report.bytes, report.not_modified, report.notes) == ("success", 0, 1, [])
    assert (len(first.records()), again.records()) == (ROWS, [])
    site.body, site.modified = pack(plain + b"\n" + rating_file(2, first=ROWS).encode()), "later" if dated else None
    report = await run(site.url, tmp_path, more, **keys)
    # The line without an end was not marked as read.
    assert (report.status, len(set(more.ids()) - set(first.ids()))) == ("success", 2)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
async def test_a_file_that_was_left_in_its_middle_is_not_asked_whether_it_changed(
    site: Site, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    site.body = pack(site.body)
    killed, rest = Topics(dies_at=1), Topics()
    with pytest.raises(KilledError):
        await run(site.url, tmp_path, killed, allow=site.allow)
    # Cut off as well: the rest of what has begun to come is no new question either.
    site.cut_after = [len(site.body) * 3 // 4]
    assert (await run(site.url, tmp_path, rest, allow=site.allow)).status == "success"
    assert site.conditions == [None] * 3
    assert len(set(killed.ids() + rest.ids())) == ROWS


async def test_a_changed_file_that_is_cut_off_is_not_asked_whether_it_changed(site: Site, tmp_path: Path) -> None:
    await run(site.url, tmp_path, Topics(), allow=site.allow)
    site.body += rating_file(ROWS, first=ROWS).encode()
    site.cut_after = [len(site.body) * 3 // 4]
    more = Topics()
    assert (await run(site.url, tmp_path, more, allow=site.allow)).status == "success"
    assert [condition is not None for condition in site.conditions] == [False, True, False]
    assert len(more.records()) == ROWS


@pytest.mark.parametrize("pack", [gzip.compress, zipped], ids=["gzip", "zip"])
async def test_a_compressed_file_that_was_read_whole_is_not_sent_again_until_it_changes(
    site: Site, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    plain, member = site.body, {} if pack is gzip.compress else {"member": "r.csv"}
    site.body = pack(plain)
    first, again, more = Topics(), Topics(), Topics()
    assert (await run(site.url, tmp_path, first, allow=site.allow, **member)).status == "success"
    for _ in range(2):
        report = await run(site.url, tmp_path, again, allow=site.allow, **member)
        assert (report.status, report.bytes, report.notes) == ("success", 0, [])
    assert len(first.records()) == ROWS
    assert again.records() == []
    site.body = pack(plain + rating_file(2, first=ROWS).encode())
    report = await run(site.url, tmp_path, more, allow=site.allow, **member)
    assert (report.status, len(more.records())) == ("success", 2)


@pytest.mark.parametrize("pack", [gzip.compress, zipped], ids=["gzip", "zip"])
async def test_a_compressed_file_that_was_left_in_its_middle_is_read_on(
    site: Site, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    member = {} if pack is gzip.compress else {"member": "r.csv"}
    site.body = pack(site.body)
    killed, rest = Topics(dies_at=1), Topics()
    with pytest.raises(KilledError):
        await run(site.url, tmp_path, killed, allow=site.allow, **member)
    report = await run(site.url, tmp_path, rest, allow=site.allow, **member)
    assert (report.status, report.bytes) == ("success", len(site.body))
    assert len(set(killed.ids() + rest.ids())) == len(killed.ids() + rest.ids()) == ROWS


async def test_a_changed_file_is_read_from_its_beginning(site: Site, tmp_path: Path) -> None:
    await run(site.url, tmp_path, Topics(), allow=site.allow)
    site.body = rating_file(20).encode().replace(b",1000000003", b",1000000004")
    topics = Topics()
    report = await run(site.url, tmp_path, topics, allow=site.allow)
    assert len(topics.records()) == 20
    assert "from the beginning" in report.notes[0]


@pytest.mark.parametrize("header", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_a_server_that_asks_for_patience_gets_it(site: Site, tmp_path: Path, header: str) -> None:
    site.statuses = [(429, {"Retry-After": header}), (503, {}), (500, {})]
    topics = Topics()
    report = await run(site.url, tmp_path, topics, allow=site.allow)
    assert report.status == "success"
    assert len(topics.records()) == ROWS


async def test_a_server_that_asks_for_an_hour_is_not_waited_for(site: Site, tmp_path: Path) -> None:
    site.statuses = [(429, {"Retry-After": "3600"})]
    report = await run(site.url, tmp_path, Topics(), allow=site.allow)
    assert report.status == "failed"
    assert "run again later" in (report.error or "")


async def test_a_server_that_never_answers_well_is_given_up_after_the_retries(site: Site, tmp_path: Path) -> None:
    site.statuses = [(503, {})] * 10
    report = await run(site.url, tmp_path, Topics(), allow=site.allow, retries=2)
    assert "answered 503" in (report.error or "")
    assert len(site.asked) == 3


@pytest.mark.parametrize(
    ("status", "reason"), [(404, "not there"), (410, "not there"), (403, "access refused"), (400, "answered 400")]
)
async def test_what_trying_again_cannot_mend_is_asked_once(
    site: Site, tmp_path: Path, status: int, reason: str
) -> None:
    site.statuses = [(status, {})] * 5
    report = await run(site.url, tmp_path, Topics(), allow=site.allow)
    assert reason in (report.error or "")
    assert len(site.asked) == 1


async def test_a_slow_server_is_waited_for_as_long_as_something_comes(site: Site, tmp_path: Path) -> None:
    site.pause = 0.02
    topics = Topics()
    report = await run(site.url, tmp_path, topics, allow=site.allow, timeout=5.0)
    assert report.status == "success"
    assert len(topics.records()) == ROWS


async def test_a_server_that_falls_silent_is_left(site: Site, tmp_path: Path) -> None:
    site.pause = 30.0
    report = await run(site.url, tmp_path, Topics(), allow=site.allow, timeout=0.3, retries=0)
    assert "nothing came in time" in (report.error or "")


async def test_relative_paths_are_looked_for_under_the_base_url(site: Site, tmp_path: Path) -> None:
    topics = Topics()
    base = site.url.removesuffix("/ratings.csv")
    report = await run("ratings.csv", tmp_path, topics, allow=site.allow, base_url=base)
    assert report.status == "success"
    assert len(topics.records()) == ROWS


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_a_private_address_is_refused_at_the_socket_however_it_is_written(
    site: Site, tmp_path: Path, host: str
) -> None:
    report = await run(f"http://{host}:{site.port}/ratings.csv", tmp_path, Topics(), retries=0)
    assert "[fetch] allow" in (report.error or "")
    assert site.asked == []


@pytest.mark.parametrize("status", [304, 416])
async def test_an_answer_that_only_a_question_for_less_may_get_is_not_an_empty_file(
    site: Site, tmp_path: Path, status: int
) -> None:
    site.statuses = [(status, {})]
    topics = Topics()
    report = await run(site.url, tmp_path, topics, allow=site.allow)
    assert f"{status}, though all of it was asked for" in (report.error or "")
    assert (report.status, report.not_modified, report.records) == ("failed", 0, 0)
    report = await run(site.url, tmp_path, topics, allow=site.allow)
    assert (report.status, report.records) == ("success", ROWS)


async def test_a_redirect_does_not_lead_into_the_private_network(site: Site, tmp_path: Path) -> None:
    async with serving(Site(b"secret")) as inner:
        site.redirect = inner.url
        report = await run(site.url, tmp_path, Topics(), allow=site.allow, retries=0)
        assert "[fetch] allow" in (report.error or "")
        assert inner.asked == []


async def test_redirects_that_never_end_are_given_up(site: Site, tmp_path: Path) -> None:
    site.redirect = "/ratings.csv"
    report = await run(site.url, tmp_path, Topics(), allow=site.allow, retries=0)
    assert "redirects" in (report.error or "")


async def test_only_http_is_spoken(site: Site, tmp_path: Path) -> None:
    site.redirect = "ftp://example.org/r.csv"
    report = await run(site.url, tmp_path, Topics(), allow=site.allow, retries=0)
    assert "only http and https" in (report.error or "")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:0001::", False),
        ("::127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("64:ff9b:1::1", False),
        ("::ffff:0:7f00:1", False),
        ("::ffff:0:a9fe:a9fe", False),
        ("::ffff:0:808:808", True),
        ("fec0::1", False),
        ("3fff::1", False),
        ("3fff:fff:ffff::1", False),
        ("5f00::1", False),
        ("3ffe::1", True),
        ("5f01::1", True),
        ("2606:4700::1111", True),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0), ("soon", None), (None, None), ("-3", None), ("²", None)],
)
def test_patience_is_asked_for_in_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, now=60.0) == seconds
