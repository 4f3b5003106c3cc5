"""Every command finds the Marquee of a data directory, and the places of its files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.cli.call import Call
from app.embedded.addresses import Addresses, publish
from app.embedded.lock import DirectoryLock


@pytest.mark.parametrize(("embedded", "images"), [(True, "d/images"), (False, "data/images")])
def test_a_command_knows_where_the_pictures_of_a_data_directory_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedded: bool, images: str
) -> None:
    monkeypatch.chdir(tmp_path)
    lock = DirectoryLock(Path("d"))
    lock.acquire()
    try:
        publish(Path("d"), Addresses("kafka://h:1", "mongodb://h/x", "", None, os.getpid(), embedded))
        assert Call(data_dir=Path("d")).settings({}).storage.images == images
        told = {"MARQUEE_STORAGE__IMAGES": "mine"}
        assert Call(data_dir=Path("d")).settings(told).storage.images == "mine"
    finally:
        lock.release()
