"""The `sparql` connector against a real Oxigraph store with Wikidata-shaped data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.connectors.base import FilmTarget, PersonTarget, Request
from app.connectors.errors import IncompleteError, MalformedError
from app.connectors.registry import config_of
from app.connectors.sparql_client import parse
from app.connectors.sparql_queries import people_of, text
from app.connectors.sparql_records import file_name, parse_score
from app.settings import ConfigError
from schemas.events import RatingObserved
from tests.connectors import knowledge
from tests.connectors.knowledge import Oxigraph
from tests.connectors.service import Fault, Service, a_page, dropped, instead, serving, status
from tests.connectors.suite import FILMS, NAME, PEOPLE, Broker, ConnectorSuite, FakeClock

BREAKS_OFF = '{"head":{"vars":["key"]},"results":{"bindings":[{"key":{"type":"literal","value":"tt1"error: disk failure'
ACTORS = "PREFIX wdt: <http://www.wikidata.org/prop/direct/>\nSELECT DISTINCT ?person WHERE { ?person wdt:P345 ?id }"


class TestWikidata(ConnectorSuite):
    """Known films and people, in pages of two rows."""

    kind = "sparql"
    keys = {"profile": "wikidata", "page": 2}  # noqa: RUF012
    records = 3 * 2 + 3 + 3 + 3
    topics = {"film-submissions", "facts", "ratings", "celebrity-submissions", "images-found"}  # noqa: RUF012
    pages = 6
    inside_200 = staticmethod(instead(BREAKS_OFF, "application/sparql-results+json"))
    inside_200_says = "breaks off"
    inside_200_reaction = "retry"

    def service(self) -> Service:
        """Wikidata."""
        return Oxigraph(knowledge.PEOPLE, knowledge.FILMS)


class TestWikidataByQuery(ConnectorSuite):
    """Everyone whom a query of the configuration finds."""

    kind = "sparql"
    keys = {"profile": "wikidata", "page": 2, "query": ACTORS}  # noqa: RUF012
    records = 6 + 3
    topics = {"celebrity-submissions", "images-found"}  # noqa: RUF012
    pages = 4
    inside_200 = staticmethod(instead(BREAKS_OFF, "application/sparql-results+json"))
    inside_200_says = "breaks off"
    inside_200_reaction = "retry"

    def service(self) -> Service:
        """Wikidata."""
        return Oxigraph(knowledge.PEOPLE)


class TestDbpedia(ConnectorSuite):
    """A server that sends two rows at the most, and says so in a header only."""

    kind = "sparql"
    keys = {"profile": "dbpedia"}  # noqa: RUF012
    records = 3 + 2 + 1
    topics = {"facts", "celebrity-submissions", "images-found"}  # noqa: RUF012
    pages = 4
    inside_200 = staticmethod(instead(BREAKS_OFF, "application/sparql-results+json"))
    inside_200_says = "breaks off"
    inside_200_reaction = "retry"

    def service(self) -> Service:
        """DBpedia."""
        return Oxigraph(knowledge.DBPEDIA, cut=2)


async def _run(folder: Path, request: Request, *turtle: str, cut: int = 0, **keys: Any) -> tuple[Broker, Any, Oxigraph]:
    suite = TestWikidata()
    suite.request = lambda: request  # type: ignore[method-assign]
    async with serving(Oxigraph(*turtle, cut=cut)) as site:
        assert isinstance(site, Oxigraph)
        broker = Broker()
        return broker, await suite.run(site, folder, FakeClock(), broker, **{"page": 1000, **keys}), site


async def test_people_are_found_by_item_by_tmdb_and_by_imdb(tmp_path: Path) -> None:
    people = (*PEOPLE, PersonTarget(celebrity_id="nm0000902", name="Jane", imdb="nm0000902"))
    broker, report, _ = await _run(tmp_path, Request(NAME, people=people), knowledge.PEOPLE)
    found = {each["celebrity_id"]: each for each in broker.records("celebrity-submissions")}
    assert report.status == "success"
    assert found["Q38111"] == {
        "type": "submit",
        "celebrity_id": "Q38111", "name": "Leonardo DiCaprio", "wikidata": "Q38111", "imdb": "nm0000138", "tmdb": 6193,
        "pushed": False,
    }  # fmt: skip
    assert (found["Q200534"]["name"], found["Q200534"]["tmdb"]) == ("Tilda Swinton", 3063)
    assert (found["tmdb:person/3896"]["wikidata"], found["tmdb:person/3896"]["imdb"]) == ("Q58444", "nm0000553")
    assert found["nm0000902"]["wikidata"] == "Q902"


async def test_pictures_are_those_of_commons_under_their_secure_address(tmp_path: Path) -> None:
    broker, _, _ = await _run(tmp_path, Request(NAME, people=PEOPLE), knowledge.PEOPLE, width=640)
    found = [(each["celebrity_id"], each["url"]) for each in broker.records("images-found")]
    base = "https://commons.wikimedia.org/wiki/Special:FilePath"
    assert found == [
        ("Q200534", f"{base}/Tilda.jpg?width=640"),
        ("Q38111", f"{base}/B%C3%A9ar.png?width=640"),
        ("Q38111", f"{base}/Leonardo%20DiCaprio%202014.jpg?width=640"),
    ]
    pages = {each["context_url"] for each in broker.records("images-found")}
    assert "https://commons.wikimedia.org/wiki/File:Leonardo_DiCaprio_2014.jpg" in pages


async def test_a_name_leads_to_one_film_person_or_to_none(tmp_path: Path) -> None:
    people = tuple(
        PersonTarget(celebrity_id=f"local:{n}", name=name)
        for n, name in enumerate(["Jane Roe", "John Smith", "Nobody", 'Quote " \\ \n ?x'])
    )
    broker, report, _ = await _run(tmp_path, Request(NAME, people=people), knowledge.PEOPLE)
    (jane,) = broker.records("celebrity-submissions")
    assert (jane["celebrity_id"], jane["wikidata"]) == ("local:0", "Q902")
    assert any("may be that of any of Q900, Q901" in note for note in report.notes)
    assert sum("nobody of that id" in note for note in report.notes) == 2
    assert not any(person.name in note for person in people for note in report.notes), "who is forgotten has no name"


async def test_a_film_has_its_first_year_its_genres_and_a_budget_in_dollars(tmp_path: Path) -> None:
    film = FilmTarget(film_id="tmdb:movie/27205", title="Inception", tmdb=27205)
    broker, _, _ = await _run(tmp_path, Request(NAME, films=(film,)), knowledge.FILMS)
    (submitted,), (facts,) = broker.records("film-submissions"), broker.records("facts")
    assert (submitted["film_id"], submitted["imdb"], submitted["wikidata"]) == (
        "tmdb:movie/27205", "tt1375666", "Q25188",
    )  # fmt: skip
    assert (facts["year"], facts["runtime_minutes"], facts["budget"]) == (2010, 148.0, 160000000.0)
    assert facts["genres"] == ["heist film", "science fiction film"]


async def test_review_scores_become_ratings_on_their_own_scales(tmp_path: Path) -> None:
    broker, _, _ = await _run(
        tmp_path, Request(NAME, films=(FilmTarget(film_id="Q25188", wikidata="Q25188"),)), knowledge.FILMS
    )
    found = {each["source_record_id"]: each for each in broker.records("ratings")}
    tomatoes, metacritic = found["Q25188-10"], found["Q25188-11"]
    assert (tomatoes["value"], tomatoes["best"], tomatoes["kind"]) == (87.0, 100.0, "approval")
    assert (tomatoes["author"], tomatoes["observed_at"]) == ("Rotten Tomatoes", "2021-05-01T00:00:00.000Z")
    assert (metacritic["value"], metacritic["best"], metacritic["kind"]) == (74.0, 100.0, "mean")


async def test_a_score_of_no_known_form_is_put_away(tmp_path: Path) -> None:
    turtle = 'wd:Q25188 p:P444 wds:1 . wds:1 ps:P444 "A-" .'
    request = Request(NAME, films=(FilmTarget(film_id="Q25188", wikidata="Q25188"),))
    broker, report, _ = await _run(tmp_path, request, turtle)
    assert report.status == "partial"
    assert "the score 'A-'" in broker.records("dead-letters")[0]["error"]


async def test_films_and_people_are_asked_about_in_batches(tmp_path: Path) -> None:
    people = tuple(PersonTarget(celebrity_id=f"Q{n}", name=f"P{n}", wikidata=f"Q{n}") for n in range(1, 121))
    broker, report, site = await _run(tmp_path, Request(NAME, people=people), knowledge.PEOPLE, batch=50)
    assert (report.status, report.requests, len(site.asked)) == ("success", 3, 3)
    assert len(broker.records("celebrity-submissions")) == 120


@pytest.mark.parametrize(
    ("request_", "called"),
    [
        (Request(NAME, people=PEOPLE), "3 people, Q200534 to tmdb:person/3896"),
        (Request(NAME, films=FILMS), "3 films, Q171048 to tt1375666"),
        (Request(NAME, people=PEOPLE[:1]), "Q38111"),
    ],
)
async def test_an_answer_without_sense_is_told_of_all_that_it_was_about(
    tmp_path: Path, request_: Request, called: str
) -> None:
    suite = TestWikidata()
    suite.request = lambda: request_  # type: ignore[method-assign]
    async with serving(suite.service()) as site:
        site.faults.append(instead('{"boolean":true}', "application/sparql-results+json"))
        report = await suite.run(site, tmp_path, FakeClock(), Broker())
    (fault,) = report.faults
    assert fault[1].startswith(f"{called}: ")
    assert (report.error or "").startswith(f"{called}: ")


async def test_questions_have_an_address_unless_they_are_long_or_name_people(tmp_path: Path) -> None:
    _, _, site = await _run(tmp_path / "a", Request(NAME, FILMS, PEOPLE), knowledge.FILMS, knowledge.PEOPLE)
    assert sorted(asked.method for asked in site.asked) == ["GET", "GET", "POST"]
    assert not any(person.name in str(asked.query) for asked in site.asked for person in PEOPLE)
    films = tuple(FilmTarget(film_id=f"Q{n}", wikidata=f"Q{n}") for n in range(10_000, 10_500))
    _, report, site = await _run(tmp_path / "b", Request(NAME, films), knowledge.FILMS, batch=500)
    assert (report.status, [asked.method for asked in site.asked]) == ("success", ["POST", "POST"])


@pytest.mark.parametrize("fault", [status(503), dropped, a_page])
async def test_no_text_repeats_a_question_that_is_in_an_address(tmp_path: Path, fault: Fault) -> None:
    suite = TestWikidata()
    suite.request = lambda: Request(NAME, FILMS)  # type: ignore[method-assign]
    async with serving(suite.service()) as site:
        site.faults.extend([fault] * 9)
        report = await suite.run(site, tmp_path, FakeClock(), Broker(), retries=0)
    assert site.asked[0].method == "GET"
    assert "SELECT" in site.asked[0].query["query"]
    assert report.status == "failed"
    assert site.url in (report.error or "")
    assert "SELECT" not in str(report)


async def test_a_silent_cut_is_noticed_and_the_rest_asked_for(tmp_path: Path) -> None:
    people = tuple(PersonTarget(celebrity_id=f"Q{n}", name=f"P{n}", wikidata=f"Q{n}") for n in range(1, 26))
    broker, report, _ = await _run(tmp_path, Request(NAME, people=people), knowledge.PEOPLE, cut=10)
    assert (report.status, report.requests) == ("success", 3)
    assert len(broker.records("celebrity-submissions")) == 25


async def test_a_part_of_the_rows_that_a_server_sends_when_its_time_is_up_is_not_taken_for_all(
    tmp_path: Path,
) -> None:
    suite = TestWikidata()
    async with serving(suite.service()) as site:
        body = '{"head":{"vars":[]},"results":{"bindings":[]}}'
        headers = {"X-SQL-State": "S1TAT", "Content-Type": "application/sparql-results+json"}
        site.faults.extend([status(200, body, headers)] * 9)
        report = await suite.run(site, tmp_path, FakeClock(), Broker(), retries=1)
        assert (report.status, report.reaction, report.records) == ("failed", "retry", 0)
        assert "ran out of time" in (report.error or "")


async def test_a_query_that_is_too_slow_is_not_repeated(tmp_path: Path) -> None:
    suite = TestWikidata()
    async with serving(suite.service()) as site:
        site.faults.append(status(500, "SPARQL-QUERY: … java.util.concurrent.TimeoutException", {}))
        report = await suite.run(site, tmp_path, FakeClock(), Broker())
        assert (report.status, report.reaction, len(site.asked)) == ("failed", "stop", 1)
        assert "make `batch` or `page` smaller" in (report.error or "")


async def test_a_query_of_the_configuration_may_be_wrong(tmp_path: Path) -> None:
    _, report, _ = await _run(tmp_path, Request(NAME), knowledge.PEOPLE, query="SELECT ?person WHERE { nonsense }")
    assert (report.status, report.reaction) == ("failed", "stop")
    assert "answered 400" in (report.error or "")
    with pytest.raises(ConfigError, match="must be a SELECT that binds"):
        config_of("w", {"kind": "sparql", "profile": "wikidata", "query": "ASK { ?s ?p ?o }"})


async def test_people_without_a_name_are_put_away_where_a_query_finds_them(tmp_path: Path) -> None:
    query = "SELECT ?person WHERE { ?person wdt:P31 wd:Q5 }"
    broker, report, _ = await _run(tmp_path, Request(NAME), knowledge.PEOPLE, query=query)
    assert (report.status, report.refused) == ("partial", 1)
    assert len(broker.records("celebrity-submissions")) == 7


def test_prefixes_of_a_query_are_declared_once() -> None:
    query = people_of(
        "prefix wdt: <http://other/>\nPREFIX x: <http://x/>\nSELECT ?person WHERE { ?person x:y 1 }", "en"
    )
    assert query.count("wdt: <") == 1
    assert "http://other/" in query


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("http://commons.wikimedia.org/wiki/Special:FilePath/A%20B.jpg", "A B.jpg"),
        ("https://commons.wikimedia.org/wiki/Special:FilePath/A_B.jpg?width=300", "A B.jpg"),
        ("https://elsewhere.example/wiki/Special:FilePath/A.jpg", None),
        ("http://commons.wikimedia.org/wiki/Special:FilePath/", None),
        ("", None),
    ],
)
def test_only_files_of_commons_are_pictures(address: str, name: str | None) -> None:
    assert file_name(address) == name


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ("87%", (87.0, 100.0, "approval")),
        ("8.4/10", (8.4, 10.0, "mean")),
        ("3,5 / 5", (3.5, 5.0, "mean")),
        ("7 out of 10", (7.0, 10.0, "mean")),
        ("11/10", None),
        ("0/0", None),
        ("B+", None),
        ("", None),
    ],
)
def test_forms_of_scores(score: str, expected: tuple[float, float, str] | None) -> None:
    found = parse_score({"statement": "s/1", "score": score}, FilmTarget(film_id="tt1375666"), "w")
    assert (isinstance(found, RatingObserved)) is (expected is not None)
    if isinstance(found, RatingObserved):
        assert (found.value, found.best, found.kind) == expected


def test_half_an_answer_and_something_else_are_told_apart() -> None:
    for broken in (BREAKS_OFF.encode(), b"", b'{"results":', b"[]", b'{"results":{"bindings":[]}} error'):
        with pytest.raises(IncompleteError):
            parse(broken)
    for other in (b'{"boolean":true}', b'{"results":{"bindings":[{"a":7}]}}', b'{"results":[]}'):
        with pytest.raises(MalformedError):
            parse(other)


def test_a_literal_cannot_leave_its_quotes() -> None:
    assert text('a" } DROP ALL #\\') == '"a\\" } DROP ALL #\\\\"'
