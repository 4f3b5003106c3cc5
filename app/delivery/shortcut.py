"""Leads Kafka connections of those who live behind the door of an embedded broker past it (`app.embedded.door`).

The broker names one address to all, that of the door. Whoever is part of Marquee takes another way to the same broker:
while the door is shut, and because nothing of theirs needs to be handed on.
"""

from __future__ import annotations

from typing import Any, Final

from aiokafka import client

from app.settings import Settings

_WAYS: Final[dict[tuple[str, int], tuple[str, int]]] = {}
_KAFKA_PORT: Final = 9092
_connect: Final = client.create_conn


async def _create_conn(host: str, port: int, **options: Any) -> Any:
    host, port = _WAYS.get((host, port), (host, port))
    return await _connect(host, port, **options)


def lead_past(door: str, inside: str) -> None:
    """From now on this process's connections to `door` go to `inside`; both are host:port."""
    client.create_conn = _create_conn
    _WAYS[_place(door)] = _place(inside)


def forget(door: str) -> None:
    """Go to this address itself again."""
    _WAYS.pop(_place(door), None)


def take_shortcut(settings: Settings) -> None:
    """Take the way that whoever started this process has set, where there is one."""
    if settings.broker.inside:
        lead_past(settings.servers[0], settings.broker.inside)


def _place(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    return (host, int(port)) if colon else (address, _KAFKA_PORT)
