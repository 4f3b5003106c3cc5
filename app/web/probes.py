"""Whether this worker and what it depends on answer now, asked at most once a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from agents.errors import Unavailable
from app.embedded.reserve import no_room
from app.web.engine import Engine
from app.web.parts import WorkerParts

FRESH_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 2.0


class Check(msgspec.Struct, kw_only=True):
    """One thing that was looked at; readiness needs it only where `needed`."""

    ok: bool
    needed: bool
    detail: str


class Readiness(msgspec.Struct, kw_only=True):
    """Whether events flow and look-ups can be answered here."""

    ready: bool
    checks: dict[str, Check]


class Ping:
    """Asks something whether it is there; callers within `fresh` seconds share one answer."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[None]],
        fresh: float = FRESH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._fresh = fresh
        self._clock = clock
        self._lock = asyncio.Lock()
        self._asked: float | None = None
        self._answer: tuple[bool, str] = (False, "not asked yet")

    async def answer(self) -> tuple[bool, str]:
        """Whether it answered, and what it said where it did not."""
        async with self._lock:
            if self._asked is None or self._clock() - self._asked >= self._fresh:
                self._answer = await self._once()
                self._asked = self._clock()
            return self._answer

    async def _once(self) -> tuple[bool, str]:
        try:
            await asyncio.wait_for(self._ask(), TIMEOUT_SECONDS)
        except TimeoutError:
            return False, f"no answer within {TIMEOUT_SECONDS:g} s"
        except (KafkaError, Unavailable, aiohttp.ClientError, OSError) as error:
            return False, f"{type(error).__name__}: {error}"[:200]
        return True, "answers"


class KafkaPing:
    """Asks the brokers for their topics; a bare connection would not show that a broker has stalled."""

    def __init__(self, servers: list[str]) -> None:
        self._servers = servers
        self._admin: AIOKafkaAdminClient | None = None

    async def __call__(self) -> None:
        """Raises KafkaError where no broker answers."""
        if self._admin is None:
            admin = AIOKafkaAdminClient(bootstrap_servers=self._servers, request_timeout_ms=int(TIMEOUT_SECONDS * 1000))
            try:
                await admin.start()
            except BaseException:
                await admin.close()
                raise
            self._admin = admin
        try:
            await self._admin.list_topics()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect; the next question connects again."""
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()


class Probes:
    """All checks of one worker."""

    def __init__(self, worker: WorkerParts, engine: Engine, kafka: Ping, mongo: Ping, mlflow: Ping | None) -> None:
        self._worker = worker
        self._engine = engine
        self._kafka = kafka
        self._mongo = mongo
        self._mlflow = mlflow

    async def readiness(self) -> Readiness:
        """Every check, with its truth."""
        kafka, mongo, mlflow = await asyncio.gather(self._kafka.answer(), self._mongo.answer(), self._ask_mlflow())
        engine, worker = self._engine, self._worker
        checks = {
            "kafka": _check(kafka),
            "producer": _flag(worker.prepared, "connected", "not connected yet: topics are being declared"),
            "assignment": _flag(not engine.rebalancing, "settled", "the group is dealing out its partitions"),
            "tables": _flag(not engine.recovering, "recovered", "being recovered from their changelogs"),
            "source_gate": _flag(worker.gate_open, "open", "shut: no source event is read before the seek is done"),
            "mongo": _check(mongo),
            "mlflow": _check(mlflow, needed=False),
        }
        if worker.settings.broker.embedded:
            full = no_room(worker.settings.data_dir)
            checks["disk"] = _flag(full is None, "has room", full or "")
        return Readiness(ready=all(check.ok for check in checks.values() if check.needed), checks=checks)

    async def _ask_mlflow(self) -> tuple[bool, str]:
        return (True, "turned off") if self._mlflow is None else await self._mlflow.answer()


def _check(answer: tuple[bool, str], needed: bool = True) -> Check:
    return Check(ok=answer[0], needed=needed, detail=answer[1])


def _flag(ok: bool, yes: str, no: str) -> Check:
    return Check(ok=ok, needed=True, detail=yes if ok else no)


def mlflow_ping(uri: str, session: Callable[[], aiohttp.ClientSession]) -> Ping | None:
    """A question to MLflow's server; None where tracking is off or goes to files."""
    if not uri.startswith(("http://", "https://")):
        return None

    async def ask() -> None:
        async with session().get(f"{uri.rstrip('/')}/health", allow_redirects=False) as response:
            if response.status >= 400:
                raise Unavailable(f"MLflow answers {response.status}")

    return Ping(ask, fresh=10.0)
