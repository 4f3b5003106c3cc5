"""Names of private people never enter the log: a source's authors go by what only the source's name leads to."""

from __future__ import annotations

from hashlib import blake2b

from schemas.ids import fenced


def pseudonym(source: str, author: str | None) -> str | None:
    """Sixteen hexadecimal digits for an author of a source, always the same ones; None for nobody."""
    return blake2b(f"{fenced(source)}|{author}".encode(), digest_size=8).hexdigest() if author else None
