"""Takes deleted documents out of the embedded database's files after somebody was forgotten, or something expired."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from app.embedded.erase import read_book
from app.embedded.expire import read_limits
from app.embedded.files import write_atomically
from app.embedded.history import archive_dir

log = logging.getLogger(__name__)

DONE: Final = "scrubbed"
"""A file that says after which forgetting, dropped find, and how many expired records, this was done last."""


def scrub(data_dir: Path) -> bool:
    """Rewrite the database's files, which no server may have open; whether there was a reason to.

    SQLite leaves deleted rows where they are until something else takes their place.
    """
    archive = archive_dir(data_dir)
    people = read_book(archive).people.values()
    last, silent = (
        max(each, default=0) for each in ([gone.order for gone in people], [gone.silent for gone in people])
    )
    reason = f"{last} {silent} {read_limits(archive).erased}"
    done = data_dir / "run" / DONE
    if reason == (done.read_text() if done.exists() else "0 0 0"):
        return False
    for path in (data_dir / "mongo").rglob("*.db"):
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as database:
                database.execute("VACUUM")
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            log.warning("%s: deleted documents may still be in it, the next stop tries again: %s", path, error)
            return False
    write_atomically(done, reason.encode())
    return True
