"""One worker's storage put together: what is written, what is asked, and where snapshots are."""

from __future__ import annotations

import uuid

from app.storage.collecting import DocumentCollecting, RunQueries
from app.storage.documents import INDEXES, INSTALLATION, PROJECTIONS, SPARSE, Documents
from app.storage.expiry import Expiry
from app.storage.picture_expiry import PictureExpiry
from app.storage.picture_queries import PictureQueries
from app.storage.pictures import DocumentPictures
from app.storage.pointers import SnapshotPointers
from app.storage.projections import DocumentProjections
from app.storage.queries import FilmQueries

_IDENTITY = "identity"


class Store:
    """Everything that is kept in one database. Calls raise agents.errors.Unavailable while it does not answer."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents
        self.projections = DocumentProjections(documents)
        self.films = FilmQueries(documents)
        self.pictures = DocumentPictures(documents)
        self.people = PictureQueries(documents)
        self.collecting = DocumentCollecting(documents)
        self.runs = RunQueries(documents)
        self.pointers = SnapshotPointers(documents)
        self.expiry = Expiry(documents)
        self.picture_expiry = PictureExpiry(documents)

    async def ensure_indexes(self, sparse: bool = True) -> None:
        """Make the indexes that are missing.

        Without `sparse` those are left out by which a sweep finds what is over: the embedded server writes ratings 40 %
        slower with them, and reads 200,000 documents a second without.
        """
        for name, keys in INDEXES.items():
            await self.documents[name].index(keys)
        for name, keys in SPARSE.items() if sparse else ():
            await self.documents[name].index(keys, sparse=True)

    async def ping(self) -> None:
        """Return if the database answers."""
        await self.documents.ping()

    async def identity(self) -> str:
        """A name that no other database has, for as long as this one is there; 32 hexadecimal digits."""
        here = self.documents[INSTALLATION]
        found = await here.get([_IDENTITY])
        if not found:
            # Of two that ask at once the first has its name kept.
            await here.add([{"_id": _IDENTITY, "name": uuid.uuid4().hex}])
            found = await here.get([_IDENTITY])
        return str(found[0]["name"])

    async def clear_projections(self) -> None:
        """Forget all that is made from events, before it is made again. Pointers to snapshots stay."""
        for name in PROJECTIONS:
            await self.documents[name].clear()

    def close(self) -> None:
        """Disconnect."""
        self.documents.close()
