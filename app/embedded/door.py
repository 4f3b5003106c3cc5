"""The embedded broker's public port, which is shut while its topics are put back and before they are taken away.

What a broker in memory acknowledges while its archive is being restored would stand where older events belong, and what
it acknowledges after the archive was closed would be lost. A port that is shut refuses connections, so that clients
try again, as with any broker that starts.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final, cast

from app.delivery import shortcut
from app.embedded.ports import LOOPBACK

_BACKLOG: Final = 100


class Door:
    """Holds a loopback port, and hands connections to it on to another while it is open.

    Raises OSError where the port is taken.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._inside = ""
        self._ends: set[_End] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        # Bound and not listening: nobody else gets it, and whoever knocks is refused at once.
        self._socket = socket.socket()
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((LOOPBACK, port))
        except BaseException:
            self._socket.close()
            raise

    def lead_to(self, inside: str) -> None:
        """Where visitors are led once it is open, and this process already before; host:port on loopback."""
        self._inside = inside
        shortcut.lead_past(self.address, inside)

    @property
    def address(self) -> str:
        """host:port"""
        return f"{LOOPBACK}:{self.port}"

    async def open(self) -> None:
        """Let everybody in."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._knocked, sock=self._socket, backlog=_BACKLOG)

    async def close(self) -> None:
        """Let nobody in any more, and send away who is there; what was not handed on was not acknowledged either.

        This process still reaches the broker by the way that was given in `lead_to`.
        """
        if self._server is not None:
            self._server.close()
        self._socket.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for end in list(self._ends):
            end.abort()

    def leave(self) -> None:
        """Lead this process to the port itself again, where others may be by now."""
        shortcut.forget(self.address)

    def _knocked(self) -> _End:
        outer = _End(self._ends)
        task = asyncio.get_running_loop().create_task(self._lead_in(outer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return outer

    async def _lead_in(self, outer: _End) -> None:
        inner = _End(self._ends)
        try:
            host, _, port = self._inside.rpartition(":")
            await asyncio.get_running_loop().create_connection(lambda: inner, host, int(port))
        except OSError:
            outer.abort()
            return
        outer.join(inner)
        inner.join(outer)


class _End(asyncio.Protocol):
    """One of a visitor's two connections; what comes here leaves at the other end, no faster than that takes it."""

    def __init__(self, ends: set[_End]) -> None:
        self._ends = ends
        self._transport: asyncio.Transport | None = None
        self._other: _End | None = None

    def join(self, other: _End) -> None:
        """Begin to read, now that there is somebody to hand it to."""
        self._other = other
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        else:
            other.abort()

    def abort(self) -> None:
        """End the connection, with whatever is still to be sent."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.pause_reading()
        self._ends.add(self)

    def data_received(self, data: bytes) -> None:
        if there := self._there:
            there.write(data)

    def pause_writing(self) -> None:
        if there := self._there:
            there.pause_reading()

    def resume_writing(self) -> None:
        if there := self._there:
            there.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._ends.discard(self)
        if there := self._there:
            there.close()

    @property
    def _there(self) -> asyncio.Transport | None:
        """The connection at the other end."""
        return None if self._other is None else self._other._transport
