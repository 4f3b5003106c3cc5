"""The model that all of them run: the rating learner as the worker makes it."""

from __future__ import annotations

from app.learning.lessons import Learner, ModelSpec
from app.learning.specs import MODELS
from schemas.events import RatingCleaned


def rating_model() -> ModelSpec:
    """The row of the model that learns from cleaned ratings."""
    return next(spec for spec in MODELS if spec.reads is RatingCleaned)


def new_learner() -> Learner:
    """That model, knowing nothing."""
    return rating_model().new()
