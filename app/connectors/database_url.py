"""The address of a database in a configuration: given once, and without a secret."""

from __future__ import annotations

from app.connectors.errors import SourceError
from app.secret_urls import has_password


def check_url(url: str | None, url_env: str | None) -> None:
    """Raises SourceError where `url` and `url_env` are both given or both missing, and for a password in `url`."""
    if (url is None) == (url_env is None):
        raise SourceError("url: give either `url`, or `url_env` with the name of the variable that holds it")
    if url is not None and has_password(url):
        raise SourceError("url: holds a password; put it into the environment and its variable's name in `url_env`")
