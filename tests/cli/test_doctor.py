"""`marquee doctor` and `config check`: what is wrong is named, with a way to mend it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.cli.checks import broker_skew, leftover_processes, shown
from app.cli.terms import check_terms
from app.delivery.topics import declare
from app.embedded import leftovers
from app.embedded.broker import Broker
from app.settings import Settings
from tests.cli.conftest import Marquee
from tests.cli.records import put, settings


def checks(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The checks by name."""
    return {check["name"]: check for check in answer["checks"]}


def test_everything_that_is_away_fails_with_a_way_to_mend_it(marquee: Marquee) -> None:
    marquee.environment["MARQUEE_MLFLOW__TRACKING_URI"] = "http://127.0.0.1:1"
    answer = marquee.json("doctor", code=1)
    found = checks(answer)
    assert answer["ok"] is False
    assert {name for name, check in found.items() if not check["ok"]} == {"broker", "mongo", "mlflow"}
    assert all(check["fix"] for check in found.values() if not check["ok"])
    text = marquee("doctor", code=1).stdout
    assert "FAILED  broker" in text
    assert "no Kafka answers at kafka://" in text
    assert "-> start it" in text


@pytest.mark.embedded
def test_what_is_there_is_in_order(connected: Marquee, mongo: str) -> None:
    connected.environment |= {
        "MARQUEE_MONGO__URL": mongo,
        "MARQUEE_MLFLOW__TRACKING_URI": "",
        "MARQUEE_MONGO__TIMEOUT": "10",
    }
    answer = connected.json("doctor")
    assert answer["ok"] is True
    assert {"configuration", "broker", "topics", "clock", "mongo", "mlflow", "data directory", "disk"} <= set(
        checks(answer)
    )


@pytest.mark.embedded
def test_topics_that_are_cut_otherwise_are_found(connected: Marquee, mongo: str) -> None:
    connected("push", "film", "--title", "Heat")
    connected.environment["MARQUEE_TOPICS__PARTITIONS"] = "9"
    found = checks(connected.json("doctor", code=1))
    assert found["topics"]["ok"] is False
    assert "input has 4 partitions instead of 9" in found["topics"]["found"]


def test_a_broken_configuration_comes_first_and_alone(marquee: Marquee) -> None:
    (marquee.directory / "marquee.toml").write_text("[web]\nprot = 1\n")
    answer = marquee.json("doctor", code=1)
    assert [check["name"] for check in answer["checks"]] == ["configuration"]


def test_a_web_server_open_to_others_needs_a_token(marquee: Marquee) -> None:
    marquee.environment["MARQUEE_WEB__HOST"] = "0.0.0.0"
    assert "MARQUEE_API_TOKEN" in checks(marquee.json("doctor", code=1))["web"]["fix"]
    marquee.environment["MARQUEE_API_TOKEN"] = "t"
    assert checks(marquee.json("doctor", code=1))["web"]["ok"] is True


def test_every_place_for_files_is_looked_at(marquee: Marquee) -> None:
    marquee.environment |= {"MARQUEE_STORAGE__IMAGES": "/dev/full", "MARQUEE_STORAGE__SNAPSHOTS": "/dev/null/x"}
    found = checks(marquee.json("doctor", code=1))
    assert [found[name]["ok"] for name in ("data directory", "pictures", "snapshots")] == [True, False, False]
    assert "[storage] images" in found["pictures"]["fix"]
    assert "[storage] snapshots" in found["snapshots"]["fix"]


def test_an_address_that_the_driver_cannot_read_is_one_of_the_findings(marquee: Marquee) -> None:
    marquee.environment["MARQUEE_MONGO__URL"] = "mongodb://me:s3cret@127.0.0.1:abc/marquee"
    text = marquee("doctor", code=1).output
    assert "FAILED  mongo" in text
    assert "s3cret" not in text


def test_processes_that_a_killed_run_left_are_found_and_others_are_not(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        leftovers.remember(tmp_path / "run" / "broker.pid", process.pid)
        (tmp_path / "run" / "mongo.pid").write_text(f'{{"pid":{os.getpid()},"identity":"another"}}')
        assert leftover_processes(tmp_path) == [f"broker (pid {process.pid})"]
    finally:
        process.kill()
        process.wait()
    assert leftover_processes(tmp_path) == []


@pytest.mark.embedded
async def test_the_clock_is_told_or_said_not_to_be_known_and_nothing_is_left(broker: Broker) -> None:
    from app.cli.kafka import cut

    skew = await broker_skew(settings(broker))
    assert skew is None or abs(skew) < 60
    assert [topic for topic in await cut(settings(broker)) if topic.startswith("marquee-doctor")] == []


@pytest.mark.kafka
async def test_a_real_broker_stamps_its_own_time(kafka: Any) -> None:
    from app.settings import Broker as BrokerSettings
    from app.settings import Settings

    skew = await broker_skew(Settings(broker=BrokerSettings(url=f"kafka://{kafka.bootstrap}")))
    assert skew is not None
    assert abs(skew) < 5


def test_passwords_are_not_shown() -> None:
    assert shown("mongodb://me:secret@db:27017/marquee") == "mongodb://me:…@db:27017/marquee"
    assert shown("mongodb://db:27017/marquee") == "mongodb://db:27017/marquee"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[web]\nprot = 1\n", "marquee.toml:2: web.prot: unknown key `prot`; did you mean `port`? Allowed: host, port"),
        (
            '[worker]\nlog = "loud"\n',
            "marquee.toml:2: worker.log: Invalid enum value 'loud'. Allowed: auto, human, json",
        ),
        (
            '[[films]]\ntitel = "x"\n',
            "marquee.toml:2: films[0].titel: unknown key `titel`; did you mean `title`? Allow",
        ),
        ("[web\n", "not valid TOML"),
        ('[connectors.x]\nkind = "smoke"\n', "marquee.toml:2: connectors.x.kind: unknown kind 'smoke'"),
        ('[connectors.x]\nkind = "csv"\npath = ""\n', "marquee.toml:3: connectors.x.path"),
        ('[fetch]\nallow = ["localhost:80", "x y"]\n', "marquee.toml:2: fetch.allow[1]: Expected `str` matching"),
        ('[fetch]\nallow = ["localhost"]\n', "one host with its port, such as localhost:9307 or [::1]:9307"),
        ('[fetch]\nallow = ["10.0.0.0/8:80"]\n', "one host with its port"),
        ('[fetch]\nallow = ["*.local:80"]\n', "one host with its port"),
        ('[fetch]\nallow = ["localhost:65536"]\n', "one host with its port"),
        ('[connectors.x]\nkind = "csv"\npath = "r.csv"\nrate = "fast"\n', "requests a second, minute, hour or day"),
        (
            '[connectors.x]\nkind = "tmdb"\nbase_url = "ftp://x"\n',
            "marquee.toml:3: connectors.x.base_url: 'ftp://x' cannot be fetched; write it like https://example.org",
        ),
        ('[connectors.x]\nkind = "commons"\nwikidata_url = "x.org"\n', "marquee.toml:3: connectors.x.wikidata_url: 'x"),
        (
            '[connectors.x]\nkind = "csv"\npath = "ftp://x/y.csv"\n',
            "marquee.toml:3: connectors.x.path: 'ftp://x/y.csv'",
        ),
        ('[connectors.x]\nkind = "rss"\nfeeds = ["ftp://x/y"]\n', "marquee.toml:3: connectors.x.feeds: 'ftp://x/y'"),
        (
            '[connectors.x]\nkind = "html"\nurl = "ftp://x/{imdb}"\n',
            "marquee.toml:3: connectors.x.url: 'ftp://x/{imdb}'",
        ),
    ],
)
def test_a_mistake_in_the_configuration_is_named_with_file_line_and_key(marquee: Marquee, text: str, part: str) -> None:
    (marquee.directory / "marquee.toml").write_text(text)
    assert part in marquee.mistake("config", "check")
    answer = marquee.json("config", "check", code=1)
    assert answer["ok"] is False
    assert part in answer["errors"][0]


def test_what_may_be_reached_inside_is_named_by_host_and_port(marquee: Marquee) -> None:
    allow = '["localhost:9307", "10.0.0.7:80", "[::1]:443", "wiki_1.intern.example:8080", "bücher.example:80"]'
    (marquee.directory / "marquee.toml").write_text(f"[fetch]\nallow = {allow}\n")
    assert "is in order" in marquee("config", "check").stdout


def test_all_connectors_that_are_wrong_are_told_at_once(marquee: Marquee) -> None:
    (marquee.directory / "marquee.toml").write_text('[connectors.a]\nkind = "x"\n[connectors.b]\nkind = "csv"\n')
    assert len(marquee("config", "check", code=1).stderr.splitlines()) == 2


def test_a_configuration_in_order_is_said_to_be(marquee: Marquee) -> None:
    assert "no marquee.toml here" in marquee("config", "check").stdout
    (marquee.directory / "own.toml").write_text('[[films]]\ntitle = "Heat"\n')
    assert "own.toml is in order" in marquee("config", "check", "--config", "own.toml").stdout
    assert "cannot be read" in marquee.mistake("config", "check", "--config", "none.toml")


@pytest.mark.embedded
def test_a_record_can_be_put_where_it_should_lie(connected: Marquee, broker: Broker) -> None:
    connected("push", "film", "--title", "Heat")
    assert put(broker, "ratings", b"{}", partition=3) >= 0


LIMITED = {"kind": "csv", "path": "x", "terms": {"ttl_days": 20}}


@pytest.mark.embedded
def test_topics_that_keep_what_a_source_limits_are_named(broker: Broker) -> None:
    given = msgspec.structs.replace(settings(broker), connectors={"a": LIMITED, "b": {"kind": "csv", "path": "x"}})
    asyncio.run(declare(given))
    embedded = asyncio.run(check_terms(given))
    assert (embedded.ok, embedded.fix) == (True, None)
    assert "a 20 days" in embedded.found
    own = msgspec.structs.replace(given, broker=msgspec.structs.replace(given.broker, embedded=False))
    found = asyncio.run(check_terms(own))
    assert "longer on dead-letters, facts, film-mentions, ratings, reviews, training-ratings, training" in found.found
    assert "retention.ms=1728000000" in (found.fix or "")


def test_terms_are_no_matter_where_no_source_limits_anything() -> None:
    for connectors in ({}, {"b": {"kind": "csv", "path": "x"}}, {"broken": {"kind": "?"}}):
        assert "no connector limits" in asyncio.run(check_terms(Settings(connectors=connectors))).found
