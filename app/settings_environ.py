"""Settings from the environment, `MARQUEE_SECTION__KEY`, over those of the file, and what may stand nowhere else."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from app.secret_urls import has_password
from app.settings_entries import Section

ENV_PREFIX: Final = "MARQUEE_"
MAY_NEED_PASSWORD: Final = (("mongo", "url"), ("mlflow", "tracking_uri"), ("collecting", "webhook"))


def override(values: dict[str, Any], environ: Mapping[str, str], settings: type) -> dict[str, str]:
    """Write `MARQUEE_SECTION__KEY` over the file's values; which variable each key came from."""
    origins: dict[str, str] = {}
    sections = get_type_hints(settings)
    for name, raw in environ.items():
        section, _, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        kind = sections.get(section)
        if not name.startswith(ENV_PREFIX) or not key or not (isinstance(kind, type) and issubclass(kind, Section)):
            continue
        table = values.setdefault(section, {})
        # What stands there instead of a table is named by whoever holds the values to their types.
        if isinstance(table, dict):
            table[key] = _parse(raw, get_type_hints(kind).get(key, str))
            origins[f"{section}.{key}"] = name
    return origins


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
