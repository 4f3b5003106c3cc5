"""`marquee connectors`: a rating file from the command line to the broker."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from click.testing import CliRunner

from app.cli import main
from app.connectors.base import Said
from app.connectors.csv import CsvConnector
from app.embedded.broker import Broker
from tests.cli.conftest import Marquee
from tests.cli.records import on_topic

CONFIG = '[connectors.ml]\nkind = "csv"\npath = "ratings.csv"\n'
ROWS = "userId,movieId,rating,timestamp\n1,31,2.5,10\n1,32,nine,11\n2,31,4.0,12\n"


@pytest.fixture
def configured(connected: Marquee) -> Marquee:
    """A configuration with one rating file, one of whose rows is bad."""
    (connected.directory / "marquee.toml").write_text(CONFIG)
    (connected.directory / "ratings.csv").write_text(ROWS)
    return connected


@pytest.mark.embedded
def test_a_run_sends_the_good_rows_and_puts_the_bad_ones_away(configured: Marquee, broker: Broker) -> None:
    before = len(on_topic(broker, "ratings"))
    report = configured.json("connectors", "run", "ml", code=1)
    assert (report["status"], report["counts"]["records"], report["counts"]["rejected"]) == ("partial", 2, 1)
    assert report["faults"] == [[3, "rating: 'nine' is no number"]]
    sent = on_topic(broker, "ratings")[before:]
    assert len(sent) == 2
    assert len({raw.partition for raw in sent}) >= 1
    assert [row["origin_offset"] for row in configured.json("dlq", "list", "--stage", "connector.ml")] == [3]


@pytest.mark.embedded
def test_the_next_run_goes_on_and_from_start_begins_anew(configured: Marquee) -> None:
    configured("connectors", "run", "ml", code=1)
    assert configured.json("connectors", "run", "ml")["counts"]["records"] == 0
    anew = configured.json("connectors", "run", "ml", "--from-start", code=1)["counts"]
    assert (anew["records"], anew["duplicates"]) == (2, 2)
    assert (
        "2 records sent (2 of them the same as before), 1 refused"
        in configured("connectors", "run", "ml", "--from-start", code=1).stdout
    )
    (row,) = configured.json("connectors", "list")["items"]
    assert (row["name"], row["last_run"]["status"], row["last_run"]["counts"]["records"]) == ("ml", "partial", 2)
    shown = configured.json("connectors", "show", "ml")
    assert shown["cursor"]["mark"]["line"] == 4


@pytest.mark.embedded
def test_bad_rows_are_told_by_line_and_a_source_that_is_away_fails(configured: Marquee) -> None:
    told = configured("connectors", "run", "ml", code=1).stderr
    assert "line 3: rating: 'nine' is no number" in told
    assert f"no Marquee answers: ml runs here, against {configured.environment['MARQUEE_BROKER__URL']}" in told
    (configured.directory / "ratings.csv").unlink()
    told = configured("connectors", "run", "ml", code=1).stderr.splitlines()
    assert told[-1] == "marquee: ratings.csv: not there; check `path`"


@pytest.mark.embedded
def test_a_fault_of_the_code_is_one_sentence_without_credentials(
    configured: Marquee, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(self: CsvConnector, *_: object) -> AsyncGenerator[Said]:
        raise ValueError(f"odd answer to {self.session.token()}")

    monkeypatch.setattr(CsvConnector, "read", faulty)
    configured.environment["ML_TOKEN"] = "s3cr3t/va1ue"
    (configured.directory / "marquee.toml").write_text(CONFIG + 'token_env = "ML_TOKEN"\n')
    told = configured("connectors", "run", "ml", code=1).stderr
    assert told.splitlines()[-1] == (
        "marquee: ml failed by a fault of its code, what it kept before stays: "
        "ValueError: odd answer to *** (--debug shows where)"
    )
    assert "Traceback" not in told
    done = CliRunner().invoke(main, ["connectors", "run", "ml", "--debug"], env=configured.environment)
    assert "in faulty" in done.stderr
    assert "s3cr3t" not in done.output + told + repr(done.exception)


def test_a_check_reads_the_beginning_only(marquee: Marquee) -> None:
    (marquee.directory / "marquee.toml").write_text(CONFIG)
    (marquee.directory / "ratings.csv").write_text(ROWS)
    assert marquee.json("connectors", "check")[0]["ok"] is True
    (marquee.directory / "ratings.csv").write_text("a,b\n")
    assert "needs a column movieId" in marquee.json("connectors", "check", "ml", code=1)[0]["detail"]


def test_kinds_are_listed_with_their_schema(marquee: Marquee) -> None:
    (kind,) = [kind for kind in marquee.json("connectors", "kinds") if kind["kind"] == "csv"]
    assert kind["profiles"] == []
    assert "scale" in kind["schema"]["$defs"]["Config"]["properties"]
    assert "csv" in marquee("connectors", "kinds").stdout


def test_a_connector_that_is_not_there_is_named_with_those_that_are(marquee: Marquee) -> None:
    (marquee.directory / "marquee.toml").write_text(CONFIG)
    assert "no connector is called x; there is ml" in marquee.mistake("connectors", "show", "x")
    assert "none: add a table" in marquee("connectors", "list", "--config", "/dev/null").stdout


def test_no_credential_is_shown_that_stands_in_the_configuration(marquee: Marquee) -> None:
    file = marquee.directory / "marquee.toml"
    file.write_text('[connectors.a]\nkind = "tmdb"\nbase_url = "https://u:s3cret@127.0.0.1:9/"\n')
    assert "marquee.toml:3: connectors.a.base_url: holds a credential" in marquee.mistake("connectors", "show", "a")
    for words in (("config", "check"), ("connectors", "check", "a"), ("connectors", "show", "a"), ("doctor",)):
        result = CliRunner().invoke(main, list(words), env=marquee.environment)
        assert result.exit_code == 1
        assert "s3cret" not in result.output
    assert "s3cret" not in marquee("connectors", "list", "--json").output
    marquee.environment["MARQUEE_TMDB_TOKEN"] = "s3cret"
    file.write_text(
        '[connectors.a]\nkind = "tmdb"\nbase_url = "https://127.0.0.1:9/s3cret"\n'
        '[connectors.b]\nkind = "rss"\nfeeds = ["https://h/f?api_key=s3cret"]\n'
    )
    shown = marquee.json("connectors", "show", "a")["config"]
    assert (shown["base_url"], shown["token_env"]) == ("https://127.0.0.1:9/***", "MARQUEE_TMDB_TOKEN")
    assert "s3cret" not in marquee("connectors", "show", "b").output
