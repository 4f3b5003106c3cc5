"""A mistake in `marquee.toml` is said to stand where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config_errors import explain
from app.settings import Settings

TEXT = """\
# films first
[[films]]
title = "One"
[[films]]
title = "Two"
imdb = "tt1"
[films.extra]
odd = 1

[connectors."the club"]
kind = "csv"
columns = { film = "Title", rating = "Stars" }
query = '''
kind = "not a key"
'''
web.port = 3

[web]
host = "127.0.0.1"
'port' = 99999
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("", 1),
        ("films[0].title", 3),
        ("films[1].imdb", 6),
        ("films[1].year", 4),
        ("films[1].extra.odd", 8),
        ("connectors.the club.columns.rating", 12),
        ("connectors.the club.kind", 11),
        ("connectors.the club.web.port", 16),
        ("connectors.the club.schedule", 10),
        ("connectors", 10),
        ("web.port", 20),
        ("web", 18),
        ("mongo.url", 1),
    ],
)
def test_the_line_is_that_of_the_key_or_of_what_holds_it(path: str, line: int) -> None:
    said = explain(f"Expected `str`, got `int` - at `$.{path}`", Path("marquee.toml"), TEXT, {}, Settings)
    assert said.startswith(f"marquee.toml:{line}: ")
