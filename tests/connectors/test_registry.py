"""The table of kinds, and the configuration of connectors held to their kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from agents.scrapes import SIGNS
from app.collecting.service import asked_on_registration
from app.connectors.config import ConnectorConfig, Terms
from app.connectors.registry import KINDS, config_of, connector_faults, kinds
from app.settings import ConfigError, Settings, load

RULES = {
    "kind of nothing": (
        'kind = "nothing"\npath = "x"',
        r"2: connectors\.ml\.kind: unknown kind 'nothing'; known: co",
    ),
    "no kind": ('path = "x"', r"1: connectors\.ml\.kind: key `kind` is missing"),
    "no path": ('kind = "csv"', r"1: connectors\.ml: Object missing required field `path`"),
    "misspelt": (
        'kind = "csv"\npath = "x"\nscal = "1:5"',
        r"4: connectors\.ml\.scal: unknown key `scal`; did you mean `scale`\? Allowed: kind, base_url, ",
    ),
    "value": (
        'kind = "csv"\npath = "x"\nrating_kind = "grade"',
        r"4: connectors\.ml\.rating_kind: Invalid enum value 'grade'\. Allowed: (\w+, )+single",
    ),
    "terms": (
        'kind = "csv"\npath = "x"\n[connectors.ml.terms]\nttl = 3',
        r"5: connectors\.ml\.terms\.ttl: unknown key `ttl`\. Allowed: ttl_days, ",
    ),
    "scale": ('kind = "csv"\npath = "x"\nscale = "five"', r"4: connectors\.ml\.scale: Expected `str` matching regex"),
    "no room": ('kind = "csv"\npath = "x"\nscale = "5:1"', r"4: connectors\.ml\.scale: 5:1 has no room"),
    "type": ('kind = "csv"\npath = 7', r"3: connectors\.ml\.path: Expected `str`, got `int`"),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_mistake_is_named_with_file_line_and_key(rule: str, tmp_path: Path) -> None:
    table, expected = RULES[rule]
    file = tmp_path / "marquee.toml"
    file.write_text(f"[connectors.ml]\n{table}\n")
    (fault,) = connector_faults(load(file, environ={}), file)
    assert re.search(f"marquee.toml:{expected}", fault), fault


def test_every_kind_describes_its_configuration_as_json_schema() -> None:
    for entry in kinds():
        jsonschema.Draft202012Validator.check_schema(entry["schema"])
        assert set(entry) == {"kind", "profiles", "schema"}
    assert [entry["kind"] for entry in kinds()] == list(KINDS)


def test_the_schema_accepts_what_the_program_accepts_and_no_more() -> None:
    schema = next(entry["schema"] for entry in kinds() if entry["kind"] == "csv")
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({"kind": "csv", "path": "ratings.csv", "scale": "0.5:5"})
    assert not validator.is_valid({"kind": "csv"})
    assert not validator.is_valid({"kind": "csv", "path": "x", "scal": "1:5"})


def test_who_is_registered_is_asked_about_by_what_each_kind_looks_people_up_by() -> None:
    settings = Settings(
        connectors={
            "pictures": {"kind": "commons"},
            "google": {"kind": "google_images", "profile": "serpapi"},
            "ml": {"kind": "csv", "path": "x"},
        }
    )
    asked = {each.connector: each.looks_up_by for each in asked_on_registration(settings, "people")}
    assert asked == {"pictures": ("name", "wikidata"), "google": ("name",)}
    assert asked_on_registration(settings, "films") == ()


def test_what_searches_by_title_is_not_asked_again_about_a_film_that_got_an_id() -> None:
    found = {name: kind.looks_up_by for name, kind in KINDS.items() if kind.targeted and kind.about != "people"}
    assert found == {
        "html": SIGNS,
        "news_api": ("name",),
        "social": ("name",),
        "sparql": ("name", "imdb", "wikidata", "tmdb"),
        "tmdb": ("imdb", "wikidata", "tmdb"),
        "wikipedia": ("name", "year", "imdb", "wikidata"),
        "youtube": ("name", "year", "imdb"),
    }


def bounds(spec: type) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each key of a configuration is held to and means, without what it is by default."""
    for key, told in msgspec.json.schema(spec)["$defs"][spec.__name__]["properties"].items():
        if key not in ("kind", "terms"):
            yield key, {name: value for name, value in told.items() if name != "default"}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_with_other_defaults_holds_common_keys_to_what_they_are_everywhere(name: str) -> None:
    spec = KINDS[name].spec
    terms = type(msgspec.structs.fields(spec)[spec.__struct_fields__.index("terms")].default)
    for own, common in ((spec, ConnectorConfig), (terms, Terms)):
        found = dict(bounds(own))
        for key, held in bounds(common):
            words = found[key].pop("description", None), held.pop("description", None)
            assert bool(words[0]) == bool(words[1]), key
            assert found[key] == held, key


NEEDED: dict[str, dict[str, Any]] = {
    "csv": {"path": "x"},
    "google_images": {"profile": "serpapi"},
    "html": {"url": "https://h/{imdb}"},
    "imdb_reviews": {"path": "x"},
    "messenger": {"profile": "telegram"},
    "mongodb": {"url": "mongodb://h/d", "collection": "c", "fields": {"imdb": "i", "value": "v"}},
    "news_api": {"profile": "guardian"},
    "rss": {"feeds": ["https://h/f"]},
    "social": {"profile": "reddit"},
    "sparql": {"profile": "wikidata"},
    "sql": {"url": "sqlite+aiosqlite:///x.db", "table": "t", "columns": {"imdb": "i", "value": "v"}},
    "xml": {"path": "x", "record": "r", "fields": {"imdb": "i", "value": "v"}},
}


def given(kind: str, **keys: Any) -> dict[str, Any]:
    return {"kind": kind, **NEEDED.get(kind, {}), **keys}


@pytest.mark.parametrize("days", [-1, 0, 36_501, 99_999_999_999])
@pytest.mark.parametrize("kind", KINDS)
def test_data_is_kept_for_a_number_of_days_that_dates_can_be_counted_in(kind: str, days: int) -> None:
    assert config_of("x", given(kind, terms={"ttl_days": 36_500})).terms.ttl_days == 36_500
    with pytest.raises(ConfigError, match=r"connectors\.x\.terms\.ttl_days"):
        config_of("x", given(kind, terms={"ttl_days": days}))


@pytest.mark.parametrize("kind", KINDS)
def test_a_credential_in_an_address_is_refused_with_the_variable_for_it_and_not_repeated(kind: str) -> None:
    for address in ("https://u:s3cret@127.0.0.1:9/", "https://s3cret@h", "https://u:s3cret@", "https://u:s3/cret@h"):
        with pytest.raises(ConfigError, match=r"connectors\.x\.base_url") as found:
            config_of("x", given(kind, base_url=address))
        assert not re.search(r"s3cret|s3/|cret@", str(found.value))
    if kind == "tmdb":
        with pytest.raises(ConfigError, match="set MARQUEE_TMDB_TOKEN, which `token_env` names"):
            config_of("x", given(kind, base_url="https://u:s3cret@h"))


@pytest.mark.parametrize(
    "table",
    [
        given("rss", feeds=["https://u:s3cret@h/f"]),
        given("rss", feeds=["ftp://u:s3/cret@h/f"]),
        given("html", url="https://u:s3cret@h/{imdb}"),
        given("html", url="ftp://u:s3/cret@h/{imdb}"),
        given("csv", path="https://u:s3cret@h/x.csv"),
        given("csv", path="ftp://u:s3/cret@h/x.csv"),
        given("wikipedia", views_url="https://u:s3cret@h"),
    ],
)
def test_no_other_address_says_a_credential_either(table: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as found:
        config_of("x", table)
    assert not re.search(r"s3cret|s3/|cret@", str(found.value))


def test_a_sign_that_only_looks_like_a_credential_is_none() -> None:
    assert config_of("x", given("rss", feeds=["https://mastodon.example/@someone.rss"]))
