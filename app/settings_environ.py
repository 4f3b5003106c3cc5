"""Settings from the environment, `MARQUEE_SECTION__KEY`, over those of the file, and what may stand nowhere else."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from app.config_errors import ConfigError
from app.secret_urls import has_password
from app.settings_entries import Section

ENV_PREFIX: Final = "MARQUEE_"
NEAR: Final = 0.75
"""How like a section's name a variable's must be to be taken for it, misspelt; others are somebody else's."""
MAY_NEED_PASSWORD: Final = (("mongo", "url"), ("mlflow", "tracking_uri"), ("collecting", "webhook"))


def override(values: dict[str, Any], environ: Mapping[str, str], settings: type, text: str = "") -> dict[str, str]:
    """Write `MARQUEE_SECTION__KEY` over the file's values; which variable each key came from.

    Raises ConfigError for a section that is misspelt, unless the file's `text` names the variable, as `token_env` does.
    """
    origins: dict[str, str] = {}
    sections = get_type_hints(settings)
    for name, raw in environ.items():
        section, _, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        kind = sections.get(section)
        if not name.startswith(ENV_PREFIX) or not key:
            continue
        if not (isinstance(kind, type) and issubclass(kind, Section)):
            _check_section(name, section, list(sections), text)
            continue
        table = values.setdefault(section, {})
        # What stands there instead of a table is named by whoever holds the values to their types.
        if isinstance(table, dict):
            table[key] = _parse(raw, get_type_hints(kind).get(key, str))
            origins[f"{section}.{key}"] = name
    return origins


def _check_section(name: str, section: str, sections: Sequence[str], text: str) -> None:
    if name in text:
        return
    if section in sections:
        raise ConfigError(f"environment {name}: `{section}` comes from the file only")
    for near in difflib.get_close_matches(section, sections, 1, NEAR):
        raise ConfigError(f"environment {name}: there is no section `{section}`; did you mean `{near}`?")


def place_pictures(values: dict[str, Any]) -> None:
    """Put the pictures of an embedded Marquee under its own data directory, unless they are told where to lie.

    Workers for other servers share one folder, wherever each of them has its data.
    """
    broker, storage = values.get("broker"), values.setdefault("storage", {})
    if not isinstance(broker, dict) or broker.get("embedded") is not True or not isinstance(storage, dict):
        return
    data = storage.get("data", "data")
    if isinstance(data, str):
        storage.setdefault("images", str(Path(data) / "images"))


def written_secret(values: dict[str, Any]) -> str | None:
    """What to say of a password in the file's own values, in msgspec's form."""
    for section, key in MAY_NEED_PASSWORD:
        table = values.get(section)
        url = table.get(key) if isinstance(table, dict) else None
        if isinstance(url, str) and has_password(url):
            variable = f"{ENV_PREFIX}{section}__{key}".upper()
            return f"holds a password, which comes from the environment only: set {variable} - at `$.{section}.{key}`"
    return None


def _parse(raw: str, kind: Any) -> Any:
    if kind is str or (get_origin(kind) is Literal and all(isinstance(a, str) for a in get_args(kind))):
        return raw
    if get_origin(kind) is tuple:
        return [part.strip() for part in raw.split(",") if part.strip()]
    try:
        return tomllib.loads(f"v = {raw}")["v"]
    except tomllib.TOMLDecodeError:
        return raw
