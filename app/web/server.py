"""The worker's web server: up before Kafka is there, so that probes answer, and down last."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiokafka.errors import KafkaError
from mode import Service
from yarl import URL

from agents.errors import MustStopError, Unavailable
from app.faust_app import ANY_PORT
from app.pictures.files import PictureFiles
from app.storage.views import FilmRow
from app.topology import FACTS
from app.web.application import make_application
from app.web.bus import Bus
from app.web.champion import Champions
from app.web.engine import Engine
from app.web.erasure import StoredTrace, Trace
from app.web.guard import TOKEN_VARIABLE, check_exposure, is_loopback
from app.web.identify import FACE_DESK, FaceDesk
from app.web.parts import WorkerParts
from app.web.probes import KafkaPing, Ping, Probes, mlflow_ping
from app.web.problems import Problem
from app.web.pulse import Pulse
from app.web.routing import Elsewhere, Lookups
from app.web.similar import Similar
from app.web.site import Site
from app.web.tail import Tail
from schemas.entities import FilmFacts
from schemas.events import Facts, FactsObserved

log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 1.0
LOOK_EVERY: Final = 5
"""Beats between two looks at what waits, while nobody watches."""


class WebService(Service):  # type: ignore[misc]
    """Serves one worker. Raises ConfigError at start where it would be open to others without a token."""

    def __init__(self, worker: WorkerParts, token: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.worker = worker
        self.port: int | None = None
        """The port that is listened on; None until `start`."""
        self.faces: FaceDesk | None = None
        """Who looks at the pictures that are sent to /identify; given before `start`."""
        self._token = os.environ.get(TOKEN_VARIABLE, "") if token is None else token
        self._session: aiohttp.ClientSession | None = None
        self._beats = 0
        self._runner: web.AppRunner | None = None
        self._kafka = KafkaPing(worker.settings.servers)
        self._tail = Tail(worker.settings.servers, worker.partitions)
        self.site = self._make_site()

    def _make_site(self) -> Site:
        worker = self.worker
        engine = Engine(worker)
        probes = Probes(
            worker,
            engine,
            kafka=Ping(self._kafka),
            mongo=Ping(worker.store.ping),
            mlflow=mlflow_ping(worker.settings.mlflow.tracking_uri, self.client),
        )
        pulse = Pulse(stage.name for stage in worker.topology.stages)
        lookups = Lookups(worker, engine, self.client)
        similar = Similar(worker.store.films, partial(_local_facts, lookups))
        champions = Champions(worker.settings.mlflow.tracking_uri, self.client)
        files = PictureFiles(Path(worker.settings.storage.images))
        traces: list[Trace] = [StoredTrace(worker.store.people, files)]
        return Site(worker, engine, probes, lookups, Bus(), pulse, similar, champions, files, traces)

    def client(self) -> aiohttp.ClientSession:
        """The one session to other workers and to MLflow."""
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=False, auto_decompress=False)
        return self._session

    async def on_start(self) -> None:
        """Listen. Raises ConfigError or MustStopError saying what to change."""
        web_settings, conf = self.worker.settings.web, self.worker.app.conf
        host, port = web_settings.host, 0 if int(conf.web_port) == ANY_PORT else int(conf.web_port)
        check_exposure(host, self._token)
        own = {URL(str(conf.canonical_url)).host or "", host}
        application = make_application(self.site, self._token, is_loopback(host), frozenset(own))
        if self.faces is not None:
            application[FACE_DESK] = self.faces
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=3.0,
            # The server knows no problem documents: what it cannot unpack it answers and logs in its own way.
            auto_decompress=False,
            logger=_protocol_log(),
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise MustStopError(
                f"cannot listen on {host}:{port} ({error.strerror}): "
                "choose another port with MARQUEE_WEB__PORT or --web-port"
            ) from error
        self.port = int(self._runner.addresses[0][1])
        self._tell_faust(web_settings.canonical_url or f"http://{_reachable(host)}:{self.port}")
        log.info("web: http://%s:%d", _reachable(host), self.port)

    def _tell_faust(self, url: str) -> None:
        """Let the group know how this worker is reached; it says so when it joins, which comes later."""
        conf = self.worker.app.conf
        with warnings.catch_warnings():
            # Faust warns of any setting that is changed after it was read, and only the open port is the true one.
            warnings.simplefilter("ignore")
            if str(conf.canonical_url) != url:
                conf.canonical_url = url

    async def on_stop(self) -> None:
        """End the streams, then stop listening."""
        self.site.bus.close()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._tail.close()
        await self._kafka.close()
        if self._session is not None:
            await self._session.close()

    @Service.task  # type: ignore[untyped-decorator]
    async def _beat(self) -> None:
        while not self.should_stop:
            await self.sleep(BEAT_SECONDS)
            try:
                self.beat()
            except Exception:
                log.exception("web: a beat of the dashboard failed")

    def beat(self) -> None:
        """Take the pulse and tell it to those who watch."""
        site = self.site
        # A look at every stage's place reads all tables, on the loop that predicts.
        self._beats += 1
        looks = site.bus.watched or self._beats % LOOK_EVERY == 1
        site.pulse.beat(site.engine.spots() if looks else None)
        site.bus.publish("pulse", {"stages": site.pulse.stages, "gate_open": self.worker.gate_open}, remember=False)

    @Service.task  # type: ignore[untyped-decorator]
    async def _watch(self) -> None:
        # Beside the pulse, which must not wait for a broker that does not answer.
        while not self.should_stop:
            await self.sleep(BEAT_SECONDS)
            try:
                await self.look()
            except (KafkaError, OSError, TimeoutError) as error:
                log.debug("web: nothing to show, the broker does not answer: %r", error)

    async def look(self) -> None:
        """Tell those who watch the newest films, predictions and dead letters; ask no broker where nobody does."""
        if not self.site.bus.watched or not self.worker.prepared:
            await self._tail.close()
            return
        happened = await self._tail.look()
        titles = await self._titles({shown["film_id"] for kind, shown in happened if kind == "prediction"})
        for kind, shown in happened:
            named = {**shown, "title": titles.get(shown["film_id"])} if kind == "prediction" else shown
            self.site.bus.publish(kind, named)

    async def _titles(self, film_ids: set[str]) -> dict[str, str]:
        """What the films are called, as far as documents say so already."""
        try:
            titles: dict[str, str] = await self.worker.store.films.titles(sorted(film_ids))
            return titles
        except Unavailable:
            return {}


def _local_facts(lookups: Lookups, film: FilmRow) -> Facts | None:
    """What sources say of a film, where this worker's table holds it."""
    try:
        known = lookups.find(FACTS, "", film.film_id, FactsObserved.topic)
    except (Elsewhere, Problem):
        return None
    return known.facts if isinstance(known, FilmFacts) else None


def _protocol_log() -> logging.Logger:
    """Where the server writes: a line about bytes that are no HTTP, and not where in its parser it gave up."""
    found = logging.getLogger(f"{__name__}.protocol")
    found.addFilter(_terse)
    return found


def _terse(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, (HttpProcessingError, web.RequestPayloadError)):
        record.msg = f"{record.msg}: %s"
        record.args = (*(record.args if isinstance(record.args, tuple) else ()), " ".join(str(error).split()))
        record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
    return True


def _reachable(host: str) -> str:
    """A name for an address to listen on; a wildcard is no address that others can call."""
    if host in {"0.0.0.0", "::"}:
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
