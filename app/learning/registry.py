"""MLflow's model registry: which version of a model is the champion, whose word that is, and which one was before."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

CHAMPION: Final = "champion"
VERSION_TAG: Final = "version"
"""What the model calls itself; MLflow's own versions only count."""
SKILL_TAG: Final = "skill"
BEFORE_TAG: Final = "champion_before"
BY_TAG: Final = "promoted_by"
AT_TAG: Final = "promoted_at"
HAND: Final = "hand"
REPORT: Final = "report"
NOT_THERE: Final = "RESOURCE_DOES_NOT_EXIST"
HOW: Final = "a model is registered once it beats its baseline on enough labels"


class RegistryError(Exception):
    """What was asked cannot be done with the versions that are registered; one line that says why."""


class Registered(msgspec.Struct, frozen=True):
    """One registered version of a model."""

    model: str
    version: str
    """MLflow's number."""
    champion: bool
    registered_at: str
    model_version: str | None
    skill: float | None
    """Error over the baseline's when it was registered; below 1 is better than the baseline."""
    promoted_by: str | None
    """`hand` or `report`, the last time that it was made the champion."""
    promoted_at: str | None
    champion_before: str | None
    run_id: str | None
    metrics: dict[str, float] = {}

    @property
    def held_since(self) -> float | None:
        """Milliseconds since 1970 of the hand's word; infinite where it cannot be read, None where there is none."""
        if self.promoted_by != HAND:
            return None
        try:
            return datetime.fromisoformat(self.promoted_at or "").timestamp() * 1000
        except ValueError:
            return math.inf


def connect(tracking_uri: str, seconds: int = 10, retries: int = 1) -> Any:
    """A client that gives up soon, unless the environment says otherwise."""
    # Without these a server that hangs would hold the caller for minutes, and MLflow would tell its makers of calls.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", str(retries))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(seconds))
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


class Registry:
    """The registered versions. Every call raises MlflowException when MLflow is away."""

    def __init__(self, client: Any, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._now = now

    def versions(self, name: str | None = None) -> list[Registered]:
        """Every version, of one model or of all, newest first."""
        found, page = [], self._client.search_model_versions()
        found += page
        while page.token:
            page = self._client.search_model_versions(page_token=page.token)
            found += page
        found.sort(key=lambda made: (made.creation_timestamp, int(made.version)), reverse=True)
        found = [made for made in found if name is None or made.name == name]
        # The versions of a search come without their aliases.
        champions = {model: self._champion(model) for model in {made.name for made in found}}
        return [_registered(made, champions[made.name]) for made in found]

    def require(self, name: str) -> list[Registered]:
        """Every version of a model, newest first. Raises RegistryError where it has none."""
        found = self.versions(name)
        if not found:
            raise RegistryError(f"{name} has no registered version; {self._there(name)}")
        return found

    def champion(self, name: str) -> Registered | None:
        """The champion of a model; None where it has none."""
        version = self._champion(name)
        return None if version is None else _registered(self._client.get_model_version(name, version), version)

    def metrics(self, registered: Registered) -> dict[str, float]:
        """The newest metrics of the run that a version is from; none where the run is gone."""
        run = _found(self._client.get_run, registered.run_id) if registered.run_id else None
        return {} if run is None else {str(key): float(value) for key, value in run.data.metrics.items()}

    def register(self, name: str, run: str, tags: Mapping[str, str]) -> str:
        """Register what a run made, and return the version's number."""
        if _found(self._client.get_registered_model, name) is None:
            self._client.create_registered_model(name)
        source = f"runs:/{run}/model"
        made = self._client.create_model_version(name, source, run_id=run, tags=dict(tags), await_creation_for=None)
        return str(made.version)

    def promote(self, name: str, version: str, by: str = HAND) -> Registered:
        """Make a registered version the champion, and keep which one was before. Raises RegistryError."""
        wanted, champion = self._registered(name, version), self._champion(name)
        # Said again, the word is a new one, but what was before the champion stays what it was.
        if champion is None and wanted.champion_before is not None:
            self._client.delete_model_version_tag(name, version, BEFORE_TAG)
        elif champion is not None and champion != version:
            self._client.set_model_version_tag(name, version, BEFORE_TAG, champion)
        self._point(name, version, by)
        return self._registered(name, version)

    def rollback(self, name: str) -> Registered:
        """Make the champion before the champion again. Raises RegistryError where there was none."""
        left = self.champion(name)
        if left is None:
            raise RegistryError(f"{name} has no champion to go back from; {self._there(name)}")
        before = left.champion_before
        if before is None:
            raise RegistryError(f"{name} had no champion before version {left.version}; {self._there(name)}")
        self._registered(name, before)
        self._point(name, before, HAND)
        # So that going back again leads further back, not here.
        self._client.delete_model_version_tag(name, left.version, BEFORE_TAG)
        return self._registered(name, before)

    def _point(self, name: str, version: str, by: str) -> None:
        """Tags first: cut off in between, no champion is there without them."""
        self._client.set_model_version_tag(name, version, BY_TAG, by)
        self._client.set_model_version_tag(name, version, AT_TAG, _text(self._now()))
        self._client.set_registered_model_alias(name, CHAMPION, version)

    def _registered(self, name: str, version: str) -> Registered:
        made = _found(self._client.get_model_version, name, version)
        if made is None:
            raise RegistryError(f"{name} has no registered version {version}; {self._there(name)}")
        return _registered(made, self._champion(name))

    def _there(self, name: str) -> str:
        found = self.versions()
        own = ", ".join(each.version for each in reversed(found) if each.model == name)
        models = ", ".join(sorted({each.model for each in found}))
        if own:
            return f"registered are: {own}"
        return f"models with registered versions are: {models}" if models else f"no model has any: {HOW}"

    def _champion(self, name: str) -> str | None:
        # Asked of the model: whether MLflow is away or there is no such alias must not look the same.
        model = _found(self._client.get_registered_model, name)
        version = None if model is None else model.aliases.get(CHAMPION)
        return None if version is None else str(version)


def _found(ask: Callable[..., Any], *words: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return ask(*words)
    except MlflowException as error:
        if error.error_code != NOT_THERE:
            raise
        return None


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _registered(made: Any, champion: str | None) -> Registered:
    tags = made.tags
    return Registered(
        model=str(made.name),
        version=str(made.version),
        champion=str(made.version) == champion,
        registered_at=_text(made.creation_timestamp / 1000),
        model_version=tags.get(VERSION_TAG),
        skill=_number(tags.get(SKILL_TAG)),
        promoted_by=tags.get(BY_TAG),
        promoted_at=tags.get(AT_TAG),
        champion_before=tags.get(BEFORE_TAG),
        run_id=made.run_id or None,
    )


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
