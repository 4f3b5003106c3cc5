"""The `commons` connector against a server that answers as Wikimedia's wikis do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from app.connectors.base import PersonTarget, Request
from app.connectors.commons_payloads import licence, parse_item, parse_pictures
from app.connectors.errors import MalformedError
from tests.connectors.service import Service, instead, serving, status
from tests.connectors.suite import NAME, Broker, ConnectorSuite, FakeClock

A_PAGE = 2
ITEMS = {"Q38111": (["Leonardo DiCaprio 2014.jpg", "DiCaprio 2002.png"], "Leonardo DiCaprio"), "Q200534": ([], "Tilda")}
CATEGORIES = {
    "Category:Leonardo DiCaprio": ["DiCaprio 2002.png", "DiCaprio Oscars.jpg", "DiCaprio speaks.ogg", "Old.tif"],
    "Category:Tilda": ["Tilda Swinton 1.jpg"],
}
SOMEBODY = PersonTarget(celebrity_id="Q1", name="Somebody")
PEOPLE = (
    PersonTarget(celebrity_id="Q38111", name="Leonardo DiCaprio", wikidata="Q38111"),
    PersonTarget(celebrity_id="Q200534", name="Tilda Swinton", wikidata="Q200534"),
)


def claim(value: str, rank: str = "normal") -> dict[str, Any]:
    """A statement of an item, as wbgetentities gives it."""
    snak = {"snaktype": "value", "property": "P18", "hash": "0", "datatype": "commonsMedia"}
    return {
        "mainsnak": {**snak, "datavalue": {"value": value, "type": "string"}},
        "type": "statement", "id": "Q38111$1", "rank": rank,
    }  # fmt: skip


def entity(item: str) -> dict[str, Any]:
    """As action=wbgetentities answers."""
    if item not in ITEMS:
        return {"entities": {item: {"id": item, "missing": ""}}, "success": 1}
    files, category = ITEMS[item]
    claims = {"P18": [claim(file) for file in files] + [claim("Wrong.jpg", "deprecated")], "P373": [claim(category)]}
    return {"entities": {item: {"type": "item", "id": item, "claims": claims}}, "success": 1}


def page(title: str, width: int) -> dict[str, Any]:
    """A file, as prop=imageinfo with iiurlwidth answers."""
    name = title.removeprefix("File:").replace(" ", "_")
    mime = {"jpg": "image/jpeg", "png": "image/png", "tif": "image/tiff", "ogg": "application/ogg"}[name[-3:]]
    original = 640 if "Old" in name else 3000
    return {
        "pageid": 7, "ns": 6, "title": title, "imagerepository": "local",
        "imageinfo": [
            {
                "size": 123456, "width": original, "height": original * 4 // 3, "mime": mime,
                "thumburl": f"https://upload.wikimedia.org/thumb/{name}/{width}px-{name}",
                "thumbwidth": min(width, original), "thumbheight": min(width, original) * 4 // 3,
                "url": f"https://upload.wikimedia.org/{name}",
                "descriptionurl": f"https://commons.wikimedia.org/wiki/File:{name}",
                "descriptionshorturl": "https://commons.wikimedia.org/w/index.php?curid=7",
                "extmetadata": {
                    "LicenseShortName": {"value": "CC BY-SA 4.0", "source": "commons-desc-page", "hidden": ""},
                    "Artist": {"value": '<a href="//x">A &amp; B</a>', "source": "commons-desc-page"},
                },
            }
        ],
    }  # fmt: skip


class Wikis(Service):
    """Commons and Wikidata at one address."""

    async def answer(self, request: web.Request) -> web.Response:
        """What the Action API says."""
        assert request.path == "/w/api.php"
        asked = request.query
        assert (asked["format"], asked["formatversion"]) == ("json", "2")
        if asked["action"] == "wbgetentities":
            return web.json_response(entity(asked["ids"]))
        if asked.get("meta") == "siteinfo":
            general = {"sitename": "Wikimedia Commons", "generator": "MediaWiki 1.45.0"}
            return web.json_response({"batchcomplete": True, "query": {"general": general}})
        width = int(asked["iiurlwidth"])
        if "titles" in asked:
            pages = [page(title, width) for title in asked["titles"].split("|")]
            return web.json_response({"batchcomplete": True, "query": {"pages": pages}})
        return web.json_response(self.generated(dict(asked), width))

    def generated(self, asked: dict[str, str], width: int) -> dict[str, Any]:
        """A page of a generator."""
        if asked["generator"] == "search":
            assert asked["gsrsearch"].endswith('" filetype:bitmap')
            files, start = ["Found.jpg"], 0
        else:
            files, start = CATEGORIES[asked["gcmtitle"]], int(asked.get("gcmcontinue", "file|0").split("|")[1])
        pages = [page(f"File:{name}", width) for name in files[start : start + A_PAGE]]
        more = {"gcmcontinue": f"file|{start + A_PAGE}", "continue": "gcmcontinue||"}
        end = start + A_PAGE >= len(files)
        return {**({"batchcomplete": True} if end else {"continue": more}), "query": {"pages": pages}}


class TestCommons(ConnectorSuite):
    """By item: its own pictures, then its category."""

    kind = "commons"
    records = 5
    topics = {"images-found"}  # noqa: RUF012
    pages = 6
    inside_200 = staticmethod(
        instead('{"error":{"code":"internal_api_error","info":"[x] Caught exception","docref":""}}', "application/json")
    )
    inside_200_says = "Caught exception"
    auth = staticmethod(status(401, '{"error":{"code":"mwoauth-invalid-authorization"}}'))

    def service(self) -> Service:
        """Both wikis."""
        return Wikis()

    def table(self, site: Service, **keys: Any) -> dict[str, Any]:
        """With both wikis at the server's address."""
        return super().table(site, wikidata_url=site.url, **keys)

    def request(self) -> Request:
        """Two people."""
        return Request(NAME, people=PEOPLE)


async def _found(folder: Path, people: tuple[PersonTarget, ...], **keys: Any) -> tuple[list[dict[str, Any]], Any]:
    suite = TestCommons()
    suite.request = lambda: Request(NAME, people=people)  # type: ignore[method-assign]
    async with serving(suite.service()) as site:
        broker = Broker()
        report = await suite.run(site, folder, FakeClock(), broker, **keys)
        return broker.records("images-found"), report


async def test_pictures_come_scaled_with_licence_and_author_and_once_each(tmp_path: Path) -> None:
    found, _ = await _found(tmp_path, PEOPLE[:1])
    names = [each["context_url"].rpartition(":")[2] for each in found]
    assert names == ["DiCaprio_2002.png", "Leonardo_DiCaprio_2014.jpg", "DiCaprio_Oscars.jpg", "Old.tif"]
    first, old = found[0], found[-1]
    assert first["url"] == "https://upload.wikimedia.org/thumb/DiCaprio_2002.png/1280px-DiCaprio_2002.png"
    assert (first["width"], first["height"]) == (1280, 1706)
    assert first["licence"] == "CC BY-SA 4.0; A & B"
    assert (old["url"], old["width"]) == ("https://upload.wikimedia.org/Old.tif", 640)


async def test_a_search_by_name_is_made_only_where_it_is_asked_for(tmp_path: Path) -> None:
    nobody = (PersonTarget(celebrity_id="tmdb:person/3896", name="Liam Neeson", tmdb=3896),)
    found, report = await _found(tmp_path / "a", nobody)
    assert found == []
    assert "no item of Wikidata" in report.notes[0]
    found, _ = await _found(tmp_path / "b", nobody, ways=["search"])
    assert [each["celebrity_id"] for each in found] == ["tmdb:person/3896"]


async def test_a_person_whose_item_is_gone_is_noted(tmp_path: Path) -> None:
    found, report = await _found(tmp_path, (PersonTarget(celebrity_id="Q404", name="X", wikidata="Q404"),))
    assert (found, report.status) == ([], "success")
    assert report.notes


async def test_a_wiki_that_lags_is_asked_again(tmp_path: Path) -> None:
    suite = TestCommons()
    lagging = '{"error":{"code":"maxlag","info":"Waiting for a database server: 6 seconds lagged"}}'
    async with serving(suite.service()) as site:
        site.faults.append(status(200, lagging, {"Retry-After": "5", "Content-Type": "application/json"}))
        clock = FakeClock()
        report = await suite.run(site, tmp_path, clock, Broker())
        assert (report.status, report.retries, clock.slept) == ("success", 1, [5.0])


def test_an_item_without_statements_has_an_empty_list_for_them() -> None:
    assert parse_item(b'{"entities":{"Q1":{"claims":[]}}}', "Q1") == ((), None)


def test_a_page_that_is_missing_or_no_picture_gives_nothing() -> None:
    body = msgspec.json.encode(
        {"query": {"pages": [{"title": "File:Gone.jpg", "missing": True}, page("File:Talk.ogg", 500)]}}
    )
    assert parse_pictures(body, SOMEBODY, "commons") == ([], [], {})
    with pytest.raises(MalformedError):
        parse_pictures(b'{"query":{"pages":{"7":{"title":"File:A.jpg"}}}}', SOMEBODY, "commons")


@pytest.mark.parametrize(
    ("info", "refused"),
    [
        ({"filehidden": True, "suppressed": True}, 0),
        ({"filemissing": True, "mime": None, "width": None}, 0),
        ({"url": None, "mime": "image/jpeg"}, 1),
        ({"url": "https://u.example/a.jpg", "mime": 7}, 1),
        (None, 1),
    ],
)
async def test_a_file_that_cannot_be_seen_costs_itself_and_not_the_category(
    tmp_path: Path, info: dict[str, Any] | None, refused: int
) -> None:
    class Hidden(Wikis):
        def generated(self, asked: dict[str, str], width: int) -> dict[str, Any]:
            answer = super().generated(asked, width)
            answer["query"]["pages"].insert(0, {"title": "File:Hidden.jpg", "imageinfo": [info]})
            return answer

    suite = TestCommons()
    suite.request = lambda: Request(NAME, people=PEOPLE[:1])  # type: ignore[method-assign]
    async with serving(Hidden()) as site:
        broker = Broker()
        report = await suite.run(site, tmp_path, FakeClock(), broker)
    found = [each["context_url"].rpartition(":")[2] for each in broker.records("images-found")]
    assert found == ["DiCaprio_2002.png", "Leonardo_DiCaprio_2014.jpg", "DiCaprio_Oscars.jpg", "Old.tif"]
    # One on each of the category's two pages.
    assert report.refused == 2 * refused


async def test_what_runs_tell_of_a_search_is_without_the_name(tmp_path: Path) -> None:
    suite = TestCommons()
    nobody = (PersonTarget(celebrity_id="tmdb:person/3896", name="Liam Neeson", tmdb=3896),)
    suite.request = lambda: Request(NAME, people=nobody)  # type: ignore[method-assign]
    async with serving(suite.service()) as site:
        site.faults.append(status(404))
        report = await suite.run(site, tmp_path, FakeClock(), Broker(), ways=["search"])
    assert report.notes[-1].startswith("tmdb:person/3896: ")
    assert "Neeson" not in report.notes[-1]


def test_a_licence_that_is_null_is_none() -> None:
    assert licence({"LicenseShortName": {"value": None}, "Artist": None, "LicenseUrl": {"value": "https://l"}}) == (
        "https://l"
    )
