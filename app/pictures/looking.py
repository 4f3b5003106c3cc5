"""Looks for faces in files that the user of this machine named, in this very process."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from app.pictures.decode import BadPicture, Limits, read_bytes
from app.pictures.disarm import pixels
from app.pictures.faces import FaceEngine, find_faces
from models.rating_files import UnreadableFile

OWN_FILES: Final = Limits(max_bytes=100_000_000, min_side=16, max_aspect=20.0)
"""What somebody chose to evaluate is judged as it is, but a bomb is one all the same."""


class FileLooker:
    """The embeddings of the faces in a file, the biggest face first."""

    def __init__(self, engine: FaceEngine, limits: Limits = OWN_FILES) -> None:
        self._engine = engine
        self._limits = limits

    def __call__(self, path: Path) -> list[bytes]:
        """Raises UnreadableFile where it is no picture."""
        try:
            picture = pixels(read_bytes(path, self._limits), self._limits)
        except BadPicture as bad:
            raise UnreadableFile(str(bad.reason.value)) from bad
        return [face.embedding for face in find_faces(self._engine, np.asarray(picture))]
