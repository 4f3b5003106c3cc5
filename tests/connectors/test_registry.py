"""The table of kinds, and the configuration of connectors held to their kind."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest

from agents.scrapes import SIGNS
from app.collecting.service import asked_on_registration
from app.connectors.registry import KINDS, connector_faults, kinds
from app.settings import Settings, load

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
