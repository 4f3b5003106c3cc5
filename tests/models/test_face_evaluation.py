"""Evaluation on a folder of labelled pictures: honest, repeatable, and clear about what was left out."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from models.face_evaluation import evaluate_faces, labelled_pictures
from models.rating_files import UnreadableFile
from tests.models.faces import face


def put(folder: Path, person: str, name: str, shown: str) -> None:
    """A picture that says who is on it: a face is a person's name and a number."""
    (folder / person).mkdir(parents=True, exist_ok=True)
    (folder / person / name).write_text(shown)


def look(path: Path) -> Sequence[bytes]:
    text = path.read_text()
    if text == "damaged":
        raise UnreadableFile("truncated or damaged")
    return [face(person, int(picture)) for person, picture in (each.split("#") for each in text.split())]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for person, picture in itertools.product("ABCDE", range(12)):
        put(tmp_path, person, f"{picture:02d}.jpg", f"{person}#{picture}")
    return tmp_path


def test_the_report_has_the_keys_of_the_contract_in_their_order(folder: Path) -> None:
    put(folder, "A", "view.jpg", "")
    report = json.loads(msgspec.json.encode(evaluate_faces(folder, look)))
    assert list(report)[:6] == ["task", "images", "people", "no_face", "accuracy", "ms_per_image"]
    assert list(report["accuracy"]) == ["champion", "centroid", "logistic", "majority"]
    assert (report["task"], report["images"], report["people"], report["no_face"]) == ("faces", 61, 5, 1)
    assert report["accuracy"]["champion"] == 1.0
    assert report["accuracy"]["majority"] < 0.4
    assert report["accuracy_with_misses"]["champion"] == pytest.approx(60 / 61)


def test_what_is_hidden_or_added_by_archives_is_nobodys(folder: Path) -> None:
    before = labelled_pictures(folder)
    for person in (".git", "__MACOSX", "A/.thumbs", "B/__MACOSX"):
        put(folder, person, "1.jpg", "A#1")
    put(folder, "A", "._1.jpg", "A#1")
    assert labelled_pictures(folder) == before


def test_the_order_is_that_of_the_seed(folder: Path) -> None:
    still = {"clock": lambda: 0.0}
    assert evaluate_faces(folder, look, **still) == evaluate_faces(folder, look, **still)
    seen: list[list[str]] = []
    for seed in (1, 2):
        seen.append([])
        evaluate_faces(folder, lambda path: (seen[-1].append(path.name), look(path))[1], seed=seed)
    assert sorted(seen[0]) == sorted(seen[1])
    assert seen[0] != seen[1]


def test_the_label_says_nothing_about_which_of_several_faces_is_named(tmp_path: Path) -> None:
    # Both are known, so that only who looked at the label could tell which of them a picture of both is filed under.
    for picture in range(20):
        put(tmp_path, "A", f"{picture:02d}.jpg", f"A#{picture}")
        put(tmp_path, "B", f"{picture:02d}.jpg", f"B#{picture}")
        put(tmp_path, "B", f"with-A-{picture:02d}.jpg", f"A#{picture + 50} B#{picture + 50}")
    report = evaluate_faces(tmp_path, look)
    assert report.several_faces == 20
    assert report.accuracy.champion < 0.95


def test_of_several_faces_the_one_that_is_known_is_named(tmp_path: Path) -> None:
    for picture in range(10):
        for person in "AB":
            put(tmp_path, person, f"{picture:02d}.jpg", f"{person}#{picture}")
            put(
                tmp_path,
                person,
                f"crowd-{picture:02d}.jpg",
                f"stranger{picture}#1 {person}#{picture + 50} other#{picture}",
            )
    assert evaluate_faces(tmp_path, look).accuracy.champion > 0.9


def test_what_is_no_picture_is_left_out_and_named(folder: Path) -> None:
    put(folder, "B", "notes.txt", "damaged")
    put(folder, "B", ".hidden", "damaged")
    (folder / "loose.jpg").write_text("A#1")
    report = evaluate_faces(folder, look)
    assert (report.images, report.bad_files) == (60, 1)
    assert report.bad_examples[0].path == str(Path("B") / "notes.txt")


def test_progress_is_told_and_time_is_a_picture(folder: Path) -> None:
    told: list[tuple[int, int | None]] = []
    ticks = itertools.count()
    report = evaluate_faces(folder, look, lambda *done: told.append(done), clock=lambda: float(next(ticks)))
    assert told[-1] == (60, 60)
    assert report.ms_per_image == pytest.approx(1000 / 60, abs=0.01)


def test_a_folder_without_people_is_refused_with_what_it_should_look_like(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableFile, match="folder of its own"):
        labelled_pictures(tmp_path)
    with pytest.raises(UnreadableFile, match="no such folder"):
        labelled_pictures(tmp_path / "nowhere")
    put(tmp_path, "A", "x.jpg", "damaged")
    with pytest.raises(UnreadableFile, match=r"none of the 1 files .*truncated"):
        evaluate_faces(tmp_path, look)
