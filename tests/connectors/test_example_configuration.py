"""The example configuration is one that works, as it is and with everything in it taken up."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from app.connectors.registry import KINDS, config_of, connector_faults
from app.settings import load

EXAMPLE = Path(__file__).resolve().parents[2] / "app" / "deploy" / "marquee.example.toml"
AS_IT_IS = EXAMPLE.read_text()
TAKEN_UP = re.sub(r"^#(?=[\[a-z])", "", AS_IT_IS, flags=re.M)


@pytest.mark.parametrize("text", [AS_IT_IS, TAKEN_UP], ids=["as it is", "all of it"])
def test_the_example_is_a_configuration_without_a_mistake(tmp_path: Path, text: str) -> None:
    file = tmp_path / "marquee.toml"
    file.write_text(text)
    settings = load(file, {})
    assert connector_faults(settings, file) == []


def test_every_kind_and_profile_stands_in_it() -> None:
    tables = tomllib.loads(TAKEN_UP)["connectors"]
    shown = {(table["kind"], table.get("profile")) for table in tables.values()}
    wanted = {(kind.kind, profile) for kind in KINDS.values() for profile in kind.profiles or (None,)}
    assert shown == wanted


def test_what_asks_others_is_off_until_somebody_turns_it_on() -> None:
    tables = tomllib.loads(AS_IT_IS)["connectors"]
    assert {table["kind"] for table in tables.values()} == {"csv"}
    assert all("schedule" not in table for table in tables.values())


def test_no_credential_stands_in_it() -> None:
    for name, table in tomllib.loads(TAKEN_UP)["connectors"].items():
        config = config_of(name, table)
        assert not re.search(r"password|secret|token=", repr(table), re.I), name
        assert config.kind in KINDS
