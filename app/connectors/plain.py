"""The plain bytes of a content, unless it is still the one that was read to its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from app.connectors.content import Content, Start, Unzipped
from app.connectors.passed import Standing, UnchangedError


class Plain:
    """Reads a content from its beginning, decompressed; `ended` are version and size of one that was read whole."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.ended: tuple[str | None, int] = (None, 0)

    async def parts(self, begun: Standing | None = None) -> AsyncGenerator[bytes]:
        """The bytes. Raises SourceError, and UnchangedError where the source says that `begun` has them all."""
        known = begun if begun is not None and begun.version and begun.size else Standing()
        self.ended, started = (None, 0), Start(0, None, None)
        # A question for what follows the last byte of this version: a server that has no more than that says so.
        content = self._content.stream(known.size, known.version, whole=bool(known.size))
        async with aclosing(Unzipped(content).parts()) as parts:
            async for part in parts:
                if isinstance(part, bytes):
                    yield part
                elif part.at:
                    raise UnchangedError
                else:
                    started = part
        self.ended = started.version, started.size or 0
