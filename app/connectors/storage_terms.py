"""For how long sources let what is collected from them be stored, where connectors say so."""

from __future__ import annotations

from app.connectors.registry import config_of
from app.settings import ConfigError, Settings


def days_stored(settings: Settings) -> dict[str, int]:
    """The connectors whose data may be stored for so many days only; those that cannot be used are left out."""
    found = {}
    for name, table in settings.connectors.items():
        try:
            days = config_of(name, table).terms.ttl_days
        except ConfigError:
            continue
        if days is not None:
            found[name] = days
    return found
