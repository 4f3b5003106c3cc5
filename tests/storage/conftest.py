"""The same storage in memory and in a database: whatever is asked of one is asked of the other."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.settings import Mongo
from app.storage.memory import MemoryStore
from app.storage.mongo import MongoStore
from app.storage.store import Store


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.embedded)])
def opened(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return MemoryStore()
    return MongoStore(Mongo(url=request.getfixturevalue("mongo"), timeout=30.0))


@pytest.fixture
async def store(opened: Store) -> AsyncIterator[Store]:
    await opened.ensure_indexes()
    yield opened
    opened.close()
