"""Which version of a model MLflow calls the champion; MLflow away only means that nobody knows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec

FRESH_SECONDS: Final = 30.0
TIMEOUT: Final = aiohttp.ClientTimeout(total=1.0)
PATH: Final = "/api/2.0/mlflow/registered-models/alias"


class _Version(msgspec.Struct):
    version: str


class _Answer(msgspec.Struct):
    model_version: _Version


class Champions:
    """Asks MLflow at most twice a minute for each model."""

    def __init__(
        self, uri: str, session: Callable[[], aiohttp.ClientSession], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._uri = uri.rstrip("/") if uri.startswith(("http://", "https://")) else ""
        self._session = session
        self._clock = clock
        self._known: dict[str, tuple[float, str | None]] = {}

    async def of(self, model: str) -> str | None:
        """The registered version behind the alias `champion`; None where there is none or nobody answers."""
        asked, version = self._known.get(model, (-FRESH_SECONDS, None))
        if self._uri and self._clock() - asked >= FRESH_SECONDS:
            version = await self._ask(model)
            self._known[model] = (self._clock(), version)
        return version

    async def _ask(self, model: str) -> str | None:
        query = {"name": model, "alias": "champion"}
        try:
            async with self._session().get(self._uri + PATH, params=query, timeout=TIMEOUT) as response:
                if response.status != 200:
                    return None
                return msgspec.json.decode(await response.read(), type=_Answer).model_version.version
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError):
            return None
