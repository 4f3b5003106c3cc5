"""The folder of pictures: whole files only, each once, and nothing outside of it."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.pictures.files import PictureFiles

DATA = b"bytes of a picture"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def files(tmp_path: Path) -> PictureFiles:
    files = PictureFiles(tmp_path / "images")
    files.start()
    return files


def test_a_file_lies_under_the_hash_of_what_is_in_it(files: PictureFiles) -> None:
    relative = files.put_bytes("clean", DATA, "jpg")
    assert relative == f"clean/{SHA256[:2]}/{SHA256}.jpg"
    assert files.path(relative).read_bytes() == DATA
    assert files.find("clean", SHA256) == relative


def test_putting_the_same_again_changes_nothing(files: PictureFiles) -> None:
    path = files.path(files.put_bytes("clean", DATA, "jpg"))
    before = path.stat()
    files.put_bytes("clean", DATA, "jpg")
    assert path.stat().st_ino == before.st_ino
    assert list(files.incoming.iterdir()) == []


def test_a_file_that_a_power_cut_left_empty_is_written_again(files: PictureFiles) -> None:
    path = files.path(files.put_bytes("clean", DATA, "jpg"))
    path.write_bytes(b"")
    files.put_bytes("clean", DATA, "jpg")
    assert path.read_bytes() == DATA


def test_a_download_is_adopted_by_a_rename(files: PictureFiles) -> None:
    download = files.incoming / "download"
    download.write_bytes(DATA)
    number = download.stat().st_ino
    relative = files.adopt(download, "original", SHA256, "png")
    assert files.path(relative).stat().st_ino == number
    assert not download.exists()


def test_a_second_download_of_the_same_is_let_go(files: PictureFiles) -> None:
    for _ in range(2):
        download = files.incoming / "download"
        download.write_bytes(DATA)
        files.adopt(download, "original", SHA256, "png")
        assert not download.exists()
    assert [sha256 for sha256, _ in files.list("original")] == [SHA256]


def test_a_thumbnail_may_be_named_after_its_picture(files: PictureFiles) -> None:
    assert files.put_bytes("thumbnail", b"small", "jpg", name=SHA256) == f"thumbnail/{SHA256[:2]}/{SHA256}.jpg"


def test_what_is_removed_is_gone_and_can_be_removed_again(files: PictureFiles) -> None:
    files.put_bytes("clean", DATA, "jpg")
    assert files.remove("clean", SHA256)
    assert not files.remove("clean", SHA256)
    assert files.find("clean", SHA256) is None


def test_everything_in_an_area_is_listed(files: PictureFiles) -> None:
    put = sorted(files.put_bytes("clean", bytes([n]), "jpg") for n in range(20))
    assert [relative for _, relative in files.list("clean")] == put
    assert list(files.list("thumbnail")) == []


@pytest.mark.parametrize(
    "relative",
    [
        "clean/../../etc/passwd",
        f"/clean/{SHA256[:2]}/{SHA256}.jpg",
        f"clean/00/{SHA256}.jpg",
        f"clean/{SHA256[:2]}/{SHA256}.jpg\n",
        f"incoming/{SHA256[:2]}/{SHA256}.jpg",
        f"clean/{SHA256[:2]}/{SHA256}.html",
        "",
    ],
)
def test_no_path_leads_elsewhere(files: PictureFiles, relative: str) -> None:
    with pytest.raises(ValueError, match="not the path of a picture"):
        files.path(relative)


@pytest.mark.parametrize("name", ["../../x", SHA256.upper(), SHA256[:-1], ""])
def test_no_name_but_a_hash_is_taken(files: PictureFiles, name: str) -> None:
    assert files.find("clean", name) is None
    with pytest.raises(ValueError, match="not the name of a picture"):
        files.relative("clean", name, "jpg")


HOLDER = """
import sys, time
from pathlib import Path
from app.pictures.files import PictureFiles
files = PictureFiles(Path(sys.argv[1]))
files.start()
(files.incoming / "half").write_bytes(b"half a picture")
print("ready", flush=True)
time.sleep(600)
"""


def test_what_a_killed_process_was_writing_is_removed_at_the_next_start_and_not_before(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        PictureFiles(tmp_path).start()
        assert len(list(tmp_path.glob("incoming/*/half"))) == 1
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        PictureFiles(tmp_path).start()
        assert list(tmp_path.glob("incoming/*/half")) == []
    finally:
        holder.kill()
        holder.wait()


def test_closing_leaves_no_temporary_folder(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path)
    files.start()
    files.close()
    assert list((tmp_path / "incoming").iterdir()) == []
    files.start()
    assert files.put_bytes("clean", DATA, "jpg")
    files.close()
