"""The jobs themselves, in this process: what they put away and what they ask of the models."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.pictures import disarm
from app.pictures.decode import Limits, Reason
from app.pictures.files import PictureFiles
from app.pictures.jobs import Cleaned, Measured, Refused, Shrunk, clean, measure, shrink, take
from app.pictures.sandbox_child import Unusable
from tests.pictures import stand_in_models
from tests.pictures.hostile import encoded, good, photo

LIMITS = Limits()
FAKE = stand_in_models.__name__


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = tmp_path / "picture.jpg"
    path.write_bytes(good(1))
    return str(path)


def test_measuring_leaves_the_file_as_it_is(path: str) -> None:
    assert isinstance(measure(path, LIMITS), Measured)
    assert Path(path).read_bytes() == good(1)


def test_a_picture_that_is_taken_is_put_away_and_a_process_that_died_of_it_may_be_repeated(
    path: str, tmp_path: Path
) -> None:
    root, sha256 = tmp_path / "images", hashlib.sha256(good(1)).hexdigest()
    once, again = [take(path, str(root), sha256, LIMITS) for _ in range(2)]
    assert isinstance(once, Measured)
    assert again == once
    assert not Path(path).exists()
    files = PictureFiles(root)
    assert [files.path(relative).read_bytes() for _, relative in files.list("original")] == [good(1)]


def test_what_is_refused_is_not_put_away(tmp_path: Path) -> None:
    page = tmp_path / "page.jpg"
    page.write_bytes(b"<!doctype html>")
    assert take(str(page), str(tmp_path / "images"), "0" * 64, LIMITS) == Refused(reason=Reason.HTML)
    assert list(PictureFiles(tmp_path / "images").list("original")) == []


def test_a_cleaned_picture_and_its_thumbnail_lie_where_the_answers_say(path: str, tmp_path: Path) -> None:
    root = str(tmp_path / "images")
    answer = clean(path, root, LIMITS)
    assert isinstance(answer, Cleaned)
    files = PictureFiles(tmp_path / "images")
    with Image.open(files.path(answer.path)) as kept:
        assert kept.size == (answer.width, answer.height) == (320, 240)
    shrunk = shrink(str(files.path(answer.path)), root, answer.sha256, LIMITS)
    assert isinstance(shrunk, Shrunk)
    assert files.find("thumbnail", answer.sha256) == shrunk.path
    with Image.open(files.path(shrunk.path)) as small:
        assert small.size == (256, 192)


def test_a_picture_that_is_erased_while_its_thumbnail_is_made_leaves_none(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path / "images")
    answer = clean(path, root, LIMITS)
    assert isinstance(answer, Cleaned)
    files = PictureFiles(tmp_path / "images")
    small = disarm.thumbnail

    def erase_meanwhile(picture: Image.Image) -> bytes:
        files.remove("clean", answer.sha256)
        return small(picture)

    monkeypatch.setattr(disarm, "thumbnail", erase_meanwhile)
    assert shrink(str(files.path(answer.path)), root, answer.sha256, LIMITS) == Refused(reason=Reason.GONE)
    assert list(files.list("thumbnail")) == []


def test_without_models_nothing_is_said_of_faces_or_safety(path: str, tmp_path: Path) -> None:
    answer = clean(path, str(tmp_path / "images"), LIMITS)
    assert isinstance(answer, Cleaned)
    assert (answer.faces, answer.face_model, answer.unsafe) == ((), None, None)


def test_models_see_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    image = Image.new("RGB", (200, 100), (0, 0, 0))
    image.paste((255, 255, 255), (100, 50, 200, 100))
    path = tmp_path / "turned.png"
    path.write_bytes(encoded(image, "PNG", exif=exif))
    answer = clean(str(path), str(tmp_path / "images"), LIMITS, f"{FAKE}:faces", f"{FAKE}:safety")
    assert isinstance(answer, Cleaned)
    (face,) = answer.faces
    assert face.box == (0, 0, 100, 50)
    assert np.frombuffer(face.embedding, dtype="<f4").argmax() == 127
    assert answer.face_model == "corner"
    assert answer.unsafe == pytest.approx(0.25)


def test_models_are_made_once_a_process(tmp_path: Path) -> None:
    for seed in range(3):
        path = tmp_path / f"{seed}.jpg"
        path.write_bytes(encoded(photo(seed)))
        clean(str(path), str(tmp_path / "images"), LIMITS, f"{FAKE}:faces")
    assert stand_in_models.made == ["faces"]


def test_a_model_that_cannot_be_made_is_not_the_pictures_fault(path: str, tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="install the extra"):
        clean(path, str(tmp_path / "images"), LIMITS, f"{FAKE}:missing")


@pytest.mark.parametrize("content", [b"", b"<html></html>"])
def test_nothing_is_put_away_for_what_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    answer = clean(str(path), str(tmp_path / "images"), LIMITS)
    assert isinstance(answer, Refused)
    assert answer.reason in (Reason.EMPTY, Reason.HTML)
    assert not (tmp_path / "images").exists()
