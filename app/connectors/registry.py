"""Every kind of connector there is, and the connectors of a configuration held to their kind's own keys."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, Final

import msgspec

from app.config_errors import explain
from app.connectors.base import Connector, ConnectorConfig
from app.connectors.csv import CsvConnector
from app.connectors.errors import SourceError
from app.connectors.fetch import Fetcher
from app.settings import ConfigError, Settings

KINDS: Final[dict[str, type[Connector]]] = {kind.kind: kind for kind in (CsvConnector,)}

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def kinds() -> list[dict[str, Any]]:
    """Each kind with its profiles and the JSON Schema of its configuration."""
    return [
        {"kind": name, "profiles": list(kind.profiles), "schema": msgspec.json.schema(kind.Config)}
        for name, kind in KINDS.items()
    ]


def config_of(name: str, table: dict[str, Any]) -> ConnectorConfig:
    """A connector's configuration. Raises ConfigError whose text ends with the path of what is wrong."""
    path = f"connectors.{name}"
    if not NAME.fullmatch(name):
        raise ConfigError(f"a connector's name has letters, digits, - and _ only - at `$.{path}`")
    kind = KINDS.get(str(table.get("kind")))
    if kind is None:
        wrong = f"unknown kind {table['kind']!r}" if "kind" in table else "key `kind` is missing"
        raise ConfigError(f"{wrong}; known: {', '.join(KINDS)} - at `$.{path}.kind`")
    unknown = next((key for key in table if key not in kind.Config.__struct_fields__), None)
    if unknown is not None:
        near = difflib.get_close_matches(unknown, kind.Config.__struct_fields__, 1)
        hint = f"; did you mean `{near[0]}`?" if near else f". Allowed: {', '.join(kind.Config.__struct_fields__)}"
        raise ConfigError(f"unknown key `{unknown}`{hint} - at `$.{path}.{unknown}`")
    try:
        config = msgspec.convert(table, kind.Config)
        kind(config, Fetcher())
    except msgspec.ValidationError as error:
        text = str(error)
        place = re.search(r" - at `\$(.*)`$", text)
        inner = place.group(1) if place else ""
        raise ConfigError(f"{text[: place.start()] if place else text} - at `$.{path}{inner}`") from error
    except SourceError as error:
        raise ConfigError(f"{error} - at `$.{path}`") from error
    return config


def connector_faults(settings: Settings, file: Path | None) -> list[str]:
    """What is wrong with the connectors, each with file, line and key."""
    faults = []
    for name, table in settings.connectors.items():
        try:
            config_of(name, table)
        except ConfigError as error:
            text = file.read_text(encoding="utf-8") if file is not None else ""
            faults.append(explain(str(error), file or Path("marquee.toml"), text, {}, Settings))
    return faults


def connector_config(settings: Settings, name: str, file: Path | None) -> ConnectorConfig:
    """The configuration of one connector. Raises ConfigError that names what there is, or the place of the mistake."""
    if name not in settings.connectors:
        there = ", ".join(settings.connectors) or "none: add a table [connectors.NAME] to marquee.toml"
        raise ConfigError(f"no connector is called {name}; there is {there}")
    faults = connector_faults(msgspec.structs.replace(settings, connectors={name: settings.connectors[name]}), file)
    if faults:
        raise ConfigError(faults[0])
    return config_of(name, settings.connectors[name])


def make(config: ConnectorConfig, fetcher: Fetcher) -> Connector:
    """A connector of the configuration's kind."""
    return KINDS[config.kind](config, fetcher)
