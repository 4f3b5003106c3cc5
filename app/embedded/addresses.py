"""Where the servers of a data directory are: `marquee.json`, there exactly while a Marquee runs in it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from app.embedded.files import write_atomically
from app.embedded.lock import is_locked

FILE_NAME: Final = "marquee.json"


class Addresses(msgspec.Struct, frozen=True):
    """The content of `marquee.json`; `web` is null until the worker's web server has a port.

    `embedded`: its servers are its own, and everything lies under the data directory.
    """

    broker: str
    mongo: str
    mlflow: str
    web: str | None
    pid: int
    embedded: bool = False


def publish(data_dir: Path, addresses: Addresses) -> None:
    """Write `marquee.json`, in one step."""
    write_atomically(data_dir / FILE_NAME, msgspec.json.format(msgspec.json.encode(addresses)) + b"\n")


def withdraw(data_dir: Path) -> None:
    """Take `marquee.json` away."""
    (data_dir / FILE_NAME).unlink(missing_ok=True)


def running(data_dir: Path) -> Addresses | None:
    """The addresses of the Marquee that runs in this directory now; None where none does.

    The lock decides, not the file: a Marquee that was killed leaves its file behind.
    """
    if not is_locked(data_dir):
        return None
    try:
        return msgspec.json.decode((data_dir / FILE_NAME).read_bytes(), type=Addresses)
    except (OSError, msgspec.DecodeError):
        return None
