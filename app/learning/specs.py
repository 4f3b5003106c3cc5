"""The models that every worker can own."""

from __future__ import annotations

from typing import Final

from app.learning.lessons import ModelSpec
from models.face_learner import FaceLearner
from models.rating_learner import RatingLearner
from models.review_learner import ReviewLearner
from schemas.events import RatingCleaned, ReviewCleaned
from schemas.faces import FaceConfirmed, FacesForgotten, FaceWithdrawn

MODELS: Final = (
    ModelSpec(RatingLearner.name, "learn-ratings", RatingCleaned, RatingLearner, RatingLearner.from_bytes),
    ModelSpec(ReviewLearner.name, "learn-reviews", ReviewCleaned, ReviewLearner, ReviewLearner.from_bytes),
    ModelSpec(
        FaceLearner.name,
        "learn-faces",
        FaceConfirmed,
        FaceLearner,
        FaceLearner.from_bytes,
        also=(FaceWithdrawn, FacesForgotten),
    ),
)
