"""`marquee evaluate --faces`: the report of the contract on a folder of pictures, with the real engine."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from tests.cli.conftest import Marquee

KEYS = ["task", "images", "people", "no_face", "accuracy", "ms_per_image", "accuracy_with_misses"]


@pytest.fixture
def people(marquee: Marquee) -> Path:
    """Two people whom photos of packages show, each from several sides of the same photo."""
    data = pytest.importorskip("skimage.data")
    pictures = {"eileen": data.astronaut(), "cameraman": np.repeat(data.camera()[:, :, None], 3, axis=2)}
    folder = marquee.directory / "people"
    for person, pixels in pictures.items():
        (folder / person).mkdir(parents=True)
        photo = Image.fromarray(pixels)
        for turn in range(6):
            changed = ImageEnhance.Brightness(photo.rotate(4 * turn - 10)).enhance(0.7 + 0.1 * turn)
            changed.resize((400 + 20 * turn,) * 2).save(folder / person / f"{turn}.jpg", quality=60 + 5 * turn)
    Image.fromarray(data.coffee()).save(folder / "eileen" / "coffee.png")
    (folder / "eileen" / "notes.txt").write_text("not a picture")
    return folder


def test_the_report_on_faces_has_the_keys_of_the_contract_first(marquee: Marquee, people: Path) -> None:
    report = marquee.json("evaluate", "--faces", people)
    assert list(report)[: len(KEYS)] == KEYS
    assert list(report["accuracy"]) == ["champion", "centroid", "logistic", "majority"]
    assert (report["task"], report["images"], report["people"], report["no_face"]) == ("faces", 13, 2, 1)
    assert report["accuracy"]["champion"] >= 0.95
    assert report["accuracy"]["majority"] < 0.8
    assert report["accuracy_with_misses"]["champion"] == pytest.approx(report["accuracy"]["champion"] * 12 / 13)
    assert report["ms_per_image"] > 0


def test_people_are_shown_for_people_too_and_files_left_out_are_named(marquee: Marquee, people: Path) -> None:
    result = marquee("evaluate", "--faces", people)
    assert "champion" in result.stdout
    assert "notes.txt: left out: not a picture: the file is text" in result.stderr


def test_mistakes_are_told_in_one_line(marquee: Marquee, people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no such folder" in marquee.mistake("evaluate", "--faces", "nowhere")
    assert "folder of its own" in marquee.mistake("evaluate", "--faces", people / "eileen")
    assert "--scale is for --ratings" in marquee.mistake("evaluate", "--faces", people, "--scale", "1:5", code=2)
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert "marquee[faces]" in marquee.mistake("evaluate", "--faces", people)
