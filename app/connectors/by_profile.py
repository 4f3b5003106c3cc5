"""What differs between the vendors of one kind: defaults of keys that the configuration leaves out."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from app.connectors.config import ConnectorConfig


class Usual(Struct, frozen=True, kw_only=True):
    """A vendor's address, its lowest published limits, its credential's variable and what must be shown with it."""

    home: str = ""
    rate: str
    quota: str | None = None
    token_env: str | None = None
    attribution: str = ""


def fill(config: ConnectorConfig, usual: Usual) -> None:
    """Set what the configuration does not say; to be called in its `__post_init__`."""
    for name in ("rate", "quota", "token_env"):
        if getattr(config, name) is None:
            force_setattr(config, name, getattr(usual, name))
    if not config.terms.attribution:
        force_setattr(config, "terms", replace(config.terms, attribution=usual.attribution))
