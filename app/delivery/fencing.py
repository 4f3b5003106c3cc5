"""Keeps from the brokers what a stage made once its partitions may be another worker's, up to the very write.

Between a look at the membership and the write of a request lie several turns of the event loop, each as long as a batch
takes. A worker that is frozen there would write when it wakes up, before anything else has a say.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from aiokafka.errors import KafkaError
from aiokafka.protocol.produce import ProduceRequest

from app.delivery.membership import LOOK_SECONDS, Membership

NEVER: Final = -1
"""The place of what may be written whoever has the partitions."""


class NotAMemberError(KafkaError):  # type: ignore[misc]
    """The records were not written: they, or others of the same request, may be for another worker to write."""


class Fence:
    """Lets a request through while this worker has the place in the group by which all of it was made.

    aiokafka puts what is for one broker into one request: what needs no place may have to be sent once more.
    """

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._under_way: defaultdict[tuple[str, int], list[int]] = defaultdict(list)

    @property
    def place(self) -> int:
        """Which place it is; a worker that lost one gets another."""
        return self._membership.place

    @contextmanager
    def holds(self, topic: str, partition: int, place: int) -> Iterator[None]:
        """Have what is sent to this partition meanwhile written by this place only."""
        if place == NEVER:
            yield
            return
        places = self._under_way[topic, partition]
        places.append(place)
        try:
            yield
        finally:
            places.remove(place)

    async def passed(self, place: int, stopping: asyncio.Event) -> None:
        """Return when it may be sent again. Raises Abandoned where this worker has lost the place, or stops."""
        if place != NEVER:
            await self._membership.sure(stopping.is_set, place)
        elif stopping.is_set():
            raise NotAMemberError
        else:
            await asyncio.sleep(LOOK_SECONDS)

    def install(self, client: Any) -> None:
        """Have a producer's client ask when it writes a request to a connection."""
        send = client.send

        async def send_if(node: int, request: Any, **options: Any) -> Any:
            if isinstance(request, ProduceRequest):
                self._guard(request)
            return await send(node, request, **options)

        client.send = send_if

    def _guard(self, request: Any) -> None:
        prepare = request.prepare

        def look_and_prepare(versions: Any) -> Any:
            if not self._open(request._topics):
                raise NotAMemberError
            return prepare(versions)

        request.prepare = look_and_prepare

    def _open(self, topics: Iterable[tuple[str, Iterable[tuple[Any, ...]]]]) -> bool:
        held = {
            place
            for topic, parts in topics
            for partition, *_ in parts
            for place in self._under_way.get((topic, partition), ())
        }
        return not held or (self._membership.known and held == {self._membership.place})
