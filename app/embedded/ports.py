"""Loopback ports: free ones, and the same ones again after a restart where nobody took them meanwhile."""

from __future__ import annotations

import asyncio
import random
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from app.embedded.files import write_atomically

LOOPBACK: Final = "127.0.0.1"
_RANGE: Final = (20_000, 32_000)


def free_port() -> int:
    """A port nobody listens on at this moment.

    From below the range that systems give to outgoing connections, which would take it between runs.
    """
    for _ in range(100):
        port = random.randrange(*_RANGE)
        if is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As servers do: connections of the last run that linger in TIME_WAIT do not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


async def listens(port: int) -> bool:
    """Whether something accepts connections on this loopback port."""
    try:
        # Not `wait_for`, which on Python 3.11 forgets a cancellation that meets a refused connection.
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


class PortBook:
    """Ports by name, kept in a file so that addresses survive a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ports: dict[str, int] = {}
        with suppress(OSError, msgspec.MsgspecError):
            self._ports = msgspec.json.decode(path.read_bytes(), type=dict[str, int])

    def port(self, name: str) -> int:
        """The port used last time if it is free, else another free one, which is noted."""
        last = self._ports.get(name)
        return last if last is not None and is_free(last) else self.another(name)

    def another(self, name: str) -> int:
        """A port not given to anyone in the book, which is noted."""
        others = {port for holder, port in self._ports.items() if holder != name}
        port = free_port()
        while port in others:
            port = free_port()
        self._ports[name] = port
        write_atomically(self._path, msgspec.json.encode(self._ports))
        return port
