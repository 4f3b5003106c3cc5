"""The one place that knows the driver: connect, and tell an absent server from a refused request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo.errors import BulkWriteError, ConnectionFailure, OperationFailure, PyMongoError

from agents.errors import Unavailable
from app.settings import Mongo

Client = AsyncIOMotorClient[dict[str, Any]]
Database = AsyncIOMotorDatabase[dict[str, Any]]
DriverCollection = AsyncIOMotorCollection[dict[str, Any]]

DEFAULT_DATABASE: Final = "marquee"

# Server errors after which the same request succeeds once a primary is there again (MongoDB's retryable errors).
_PASSING: Final = frozenset({6, 7, 89, 91, 134, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436})
_AFTERTHOUGHT: Final = re.compile(r" \(configured timeouts:|, Timeout: |, Topology Description:")
_PASSING_LABELS: Final = ("RetryableWriteError", "TransientTransactionError")


def connect(mongo: Mongo) -> tuple[Client, Database]:
    """A client, which connects at its first use, and the database that the address names."""
    client: Client = AsyncIOMotorClient(mongo.url, timeoutMS=int(mongo.timeout * 1000), appname="marquee")
    return client, client.get_default_database(DEFAULT_DATABASE)


@contextmanager
def answering() -> Iterator[None]:
    """Raise Unavailable for what waiting can mend; anything else passes as the driver says it."""
    try:
        yield
    except PyMongoError as error:
        if is_passing(error):
            raise Unavailable(f"MongoDB: {briefly(error)}") from error
        raise


def briefly(error: Exception) -> str:
    """The driver's words without its time-outs and its view of all servers, which follow the reason."""
    return " ".join(_AFTERTHOUGHT.split(str(error), maxsplit=1)[0].split())


def is_passing(error: PyMongoError) -> bool:
    """Whether the server did not answer, took too long, or was no primary."""
    if isinstance(error, ConnectionFailure) or error.timeout:
        return True
    if any(error.has_error_label(label) for label in _PASSING_LABELS):
        return True
    if isinstance(error, BulkWriteError):
        failures = [*error.details.get("writeErrors", ()), *error.details.get("writeConcernErrors", ())]
        return any(failure.get("code") in _PASSING for failure in failures)
    return isinstance(error, OperationFailure) and error.code in _PASSING
