"""A face engine without OpenCV: a face is a plain block of a strong colour, and the colour is whose it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.pictures.faces import Detection, FaceEngine

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220), "gold": (230, 190, 30)}
_NEAR = 40
_LEAST = 8


class FakeFaceEngine:
    """Finds one block a colour; deterministic, and forgiving of what re-encoding does to a colour."""

    model = "fake-blocks@000000000000"

    def detect(self, rgb: NDArray[np.uint8]) -> list[Detection]:
        """See FaceEngine."""
        found = []
        for colour in COLOURS.values():
            block = (np.abs(rgb.astype(int) - colour) < _NEAR).all(axis=2)
            rows, columns = np.flatnonzero(block.any(axis=1)), np.flatnonzero(block.any(axis=0))
            if len(rows) >= _LEAST and len(columns) >= _LEAST:
                left, top = int(columns[0]), int(rows[0])
                width, height = int(columns[-1]) - left + 1, int(rows[-1]) - top + 1
                found.append(Detection((left, top, width, height), 0.9, (float(left), float(top)) * 5))
        return sorted(found, key=lambda face: (-face.box[2] * face.box[3], face.box))

    def embed(self, rgb: NDArray[np.uint8], face: Detection) -> NDArray[np.float32]:
        """See FaceEngine."""
        x, y, width, height = face.box
        middle = rgb[y + height // 2, x + width // 2].astype(int)
        whose = min(COLOURS, key=lambda name: int(np.abs(middle - COLOURS[name]).sum()))
        own = np.random.default_rng([*whose.encode()]).normal(size=128)
        vector = own + 0.001 * np.resize(middle, 128)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


def load_fake() -> FaceEngine:
    """The factory that a sandboxed job is given."""
    return FakeFaceEngine()


def portrait(*people: str, side: int = 160) -> NDArray[np.uint8]:
    """A gray picture with a block for each person in a row, the first the biggest."""
    picture = np.full((side, side * max(1, len(people)), 3), 128, dtype=np.uint8)
    for place, name in enumerate(people):
        size = side // 2 - 8 * place
        top, left = side // 4, place * side + side // 4
        picture[top : top + size, left : left + size] = COLOURS[name]
    return picture
