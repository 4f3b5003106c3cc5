"""What MLflow still shows of the face model from before somebody was forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import aiohttp

from app.learning.tracking import FORGOTTEN_TAG
from app.settings import Mlflow
from app.storage.picture_queries import PictureQueries
from app.web.people_shapes import Later, Left
from models.face_learner import MODEL

API: Final = "/api/2.0/mlflow/"
TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0)


class MlflowTrace:
    """Counts runs of the face model with files in them that are older than the forgetting."""

    def __init__(self, people: PictureQueries, settings: Mlflow, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._people = people
        self._settings = settings
        self._session = session

    async def __call__(self, celebrity_id: str) -> list[Left | Later]:
        """One count; where MLflow does not answer, that it may hold a picture with the person's id in it."""
        told = await self._people.forgotten(celebrity_id)
        if told is None or not self._settings.tracking_uri.startswith(("http://", "https://")):
            return []
        try:
            return [Left("MLflow: runs with older pictures", await self._older(told.order))]
        except (aiohttp.ClientError, TimeoutError, OSError, KeyError, ValueError):
            return [Later("MLflow, which does not answer: pictures of who was taken for whom", "it answers")]

    async def _older(self, order: int) -> int:
        name = {"experiment_name": self._settings.experiment}
        experiment = await self._get("experiments/get-by-name", name)
        if experiment is None:
            return 0
        asked = {"experiment_ids": [experiment["experiment"]["experiment_id"]], "filter": f"tags.model = '{MODEL}'"}
        uri = self._settings.tracking_uri.rstrip("/") + API
        async with self._session().post(uri + "runs/search", json=asked, timeout=TIMEOUT) as answer:
            answer.raise_for_status()
            runs = (await answer.json()).get("runs", [])
        return sum([await self._has_files(run) for run in runs if _forgotten_up_to(run) < order])

    async def _has_files(self, run: dict[str, Any]) -> bool:
        found = await self._get("artifacts/list", {"run_id": run["info"]["run_id"]})
        return bool(found and found.get("files"))

    async def _get(self, path: str, query: dict[str, str]) -> dict[str, Any] | None:
        uri = self._settings.tracking_uri.rstrip("/") + API + path
        async with self._session().get(uri, params=query, timeout=TIMEOUT) as answer:
            if answer.status == 404:
                return None
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json()
            return found


def _forgotten_up_to(run: dict[str, Any]) -> int:
    tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
    return int(tags.get(FORGOTTEN_TAG, 0))
