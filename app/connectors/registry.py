"""Every kind of connector there is, and the connectors of a configuration held to their kind's own keys."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from agents.due import BadScheduleError, check_schedule
from app.config_errors import explain, unknown_key, with_choices
from app.connectors.base import PEOPLE_TOPICS, Connector, ConnectorConfig
from app.connectors.commons import CommonsConnector
from app.connectors.csv import CsvConnector
from app.connectors.errors import SourceError
from app.connectors.fetch import Fetcher
from app.connectors.google_images import GoogleImagesConnector
from app.connectors.guard import is_web_address
from app.connectors.html import HtmlConnector
from app.connectors.imdb_reviews import ImdbReviewsConnector
from app.connectors.messenger import MessengerConnector
from app.connectors.mongodb import MongoConnector
from app.connectors.news_api import NewsConnector
from app.connectors.rss import RssConnector
from app.connectors.session import Session
from app.connectors.social import SocialConnector
from app.connectors.sparql import SparqlConnector
from app.connectors.sql import SqlConnector
from app.connectors.tmdb import TmdbConnector
from app.connectors.wikipedia import WikipediaConnector
from app.connectors.xml import XmlConnector
from app.connectors.youtube import YouTubeConnector
from app.secret_urls import has_user, without_user
from app.settings import ConfigError, Settings, read_text

ALL: Final[tuple[type[Connector[Any]], ...]] = (
    CommonsConnector,
    CsvConnector,
    GoogleImagesConnector,
    HtmlConnector,
    ImdbReviewsConnector,
    MessengerConnector,
    MongoConnector,
    NewsConnector,
    RssConnector,
    SocialConnector,
    SparqlConnector,
    SqlConnector,
    TmdbConnector,
    WikipediaConnector,
    XmlConnector,
    YouTubeConnector,
)
KINDS: Final = {kind.kind: kind for kind in ALL}

ADDRESSES: Final = ("base_url", "wikidata_url", "views_url")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def kinds() -> list[dict[str, Any]]:
    """Each kind with its profiles and the JSON Schema of its configuration."""
    return [
        {"kind": name, "profiles": list(kind.profiles), "schema": msgspec.json.schema(kind.spec)}
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
    unknown = next((key for key in table if key not in kind.spec.__struct_fields__), None)
    if unknown is not None:
        raise ConfigError(f"{unknown_key(unknown, kind.spec.__struct_fields__)} - at `$.{path}.{unknown}`")
    try:
        config = msgspec.convert(table, kind.spec)
        _check_secrets(config)
        make(config, Fetcher())
        _check_times(config)
        _check_addresses(config)
    except msgspec.ValidationError as error:
        text = str(error)
        place = re.search(r" - at `\$(.*)`$", text)
        inner = place.group(1).lstrip(".") if place else ""
        told, inner = with_choices(text[: place.start()] if place else text, inner, kind.spec)
        raise ConfigError(f"{told} - at `$.{path}{'.' if inner else ''}{inner}`") from error
    except SourceError as error:
        # Connectors say `key: what is wrong` of their own keys.
        key, _, told = str(error).partition(": ")
        if key in kind.spec.__struct_fields__:
            raise ConfigError(f"{told} - at `$.{path}.{key}`") from error
        raise ConfigError(f"{error} - at `$.{path}`") from error
    return config


def connector_faults(settings: Settings, file: Path | None) -> list[str]:
    """What is wrong with the connectors, each with file, line and key."""
    faults = []
    for name, table in settings.connectors.items():
        try:
            config_of(name, table)
        except ConfigError as error:
            text = read_text(file) if file is not None else ""
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


def _check_times(config: ConnectorConfig) -> None:
    """Raises SourceError for a schedule or time zone that is none."""
    for key, zone in (("timezone", config.timezone), ("quota_timezone", config.quota_timezone)):
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise SourceError(f"{key}: {zone!r} is no time zone; write it like Europe/Berlin") from error
    if config.schedule is not None:
        try:
            check_schedule(config.schedule, config.timezone)
        except BadScheduleError as error:
            raise SourceError(str(error)) from error


def _check_secrets(config: ConnectorConfig) -> None:
    """Raises SourceError for an address that holds a credential, without a word of it."""
    for key, value in msgspec.to_builtins(config).items():
        # Databases know users without a password, and refuse one themselves.
        if hasattr(config, "url_env") and key == "url":
            continue
        if any(has_user(text) for text in _texts(value)):
            way = (
                f": set {config.token_env}, which `token_env` names"
                if config.token_env
                else f"; {config.kind} has none"
            )
            raise SourceError(f"{key}: holds a credential before the host, which comes from the environment only{way}")


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _check_addresses(config: ConnectorConfig) -> None:
    """Raises SourceError for an address of a service that could never be asked, or of a file there."""
    path = getattr(config, "path", "")
    addresses = {key: getattr(config, key, "") for key in ADDRESSES} | ({"path": path} if "://" in path else {})
    for key, address in addresses.items():
        if address and not is_web_address(address):
            shown = without_user(address)
            raise SourceError(f"{key}: {shown!r} cannot be fetched; write it like https://example.org")


FILM_TOPICS: Final = ("film-submissions", "film-mentions", "ratings", "reviews", "facts")


def topics_of(config: ConnectorConfig) -> tuple[str, ...]:
    """The topics that a connector writes to."""
    about = KINDS[config.kind].about
    films = FILM_TOPICS if about != "people" else ()
    return (*films, *(PEOPLE_TOPICS if about != "films" else ()), "dead-letters")


def make(config: ConnectorConfig, fetcher: Fetcher, environ: Mapping[str, str] = os.environ) -> Connector[Any]:
    """A connector of the configuration's kind, with a session of its own."""
    return KINDS[config.kind](config, Session(config, fetcher, environ))
