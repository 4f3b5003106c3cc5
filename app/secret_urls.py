"""Secrets in addresses: found where they may not stand, and kept out of what is shown."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

HIDDEN: Final = "***"
_USER: Final = re.compile(r"^[a-z][a-z0-9+.-]*://[^/?#\s]*@", re.I)


def has_password(url: str) -> bool:
    """Whether a url carries a secret that belongs into the environment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return True
    return bool(parts.password) or "password" in parts.query.lower()


def has_user(url: str) -> bool:
    """Whether somebody stands in front of the host: a name, a token, or both with a password."""
    return _USER.match(url) is not None


def without_user(url: str) -> str:
    """An address, be it as wrong as it may, without anything that could be meant as a credential before its host."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{HIDDEN}@{rest.rpartition('@')[2]}" if mark and "@" in rest else url
