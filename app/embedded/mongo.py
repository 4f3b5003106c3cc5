"""The embedded database: NX-27017, which speaks MongoDB's protocol and keeps documents in SQLite."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import PyMongoError

from app.embedded.ports import LOOPBACK, listens
from app.embedded.process import Child, EmbeddedError

DATABASE: Final = "marquee"


class Mongo:
    """A MongoDB-protocol server on a loopback port, one SQLite file a database under `directory`/mongo.

    It does less than MongoDB. Refused: update pipelines, collection names with other than letters, digits
    and `_`. Done otherwise: NaN becomes null or is refused, `$exists` takes null for missing, `$gt` compares
    across types, numbers as `_id` sort as text. Slow, as every document is read: `count_documents`, a range or
    a pattern on `_id`, and the first field of a compound index; an index on one field is fast.
    """

    name: Final = "mongo"
    start_seconds: Final = 30.0

    def __init__(self, directory: Path, port: int) -> None:
        if find_spec("nx_27017") is None:
            raise EmbeddedError(
                "embedded mode needs the package 'nx-27017'; install it, or run `docker compose up` instead"
            )
        self.port = port
        storage, run = directory / "mongo", directory / "run"
        storage.mkdir(parents=True, exist_ok=True)
        run.mkdir(parents=True, exist_ok=True)
        own_pid_file = run / "mongo-own.pid"
        # The server refuses to start where its own pid file names any living process, even a stranger.
        own_pid_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "nx_27017.nx_27017", "--data-dir", str(storage)]
        command += ["--host", LOOPBACK, "--port", str(port)]
        command += ["--pid-file", str(own_pid_file), "--log-file", "/dev/null"]
        self.child = Child(self.name, command, directory)

    @property
    def url(self) -> str:
        """The address of Marquee's database."""
        return f"mongodb://{LOOPBACK}:{self.port}/{DATABASE}"

    async def answers(self) -> bool:
        """Whether the server speaks MongoDB on its port."""
        if not await listens(self.port):
            return False
        client: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(self.url, serverSelectionTimeoutMS=1000)
        try:
            await client.admin.command("ping")
        except PyMongoError:
            return False
        finally:
            client.close()
        return True
