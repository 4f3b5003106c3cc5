"""The checks of `marquee doctor`: each says what it found, and how to mend it where it is wrong."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from app.cli.call import CliError
from app.settings import Settings

FREE_BYTES: Final = 1 << 30
SKEW_SECONDS: Final = 2.0
SECONDS: Final = 10.0
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class Check(msgspec.Struct, frozen=True):
    """What one check found; `fix` says what to do where it is not in order."""

    name: str
    ok: bool
    found: str
    fix: str | None = None


async def check_broker(settings: Settings) -> list[Check]:
    """Whether Kafka answers, and has the topics cut as they are needed."""
    from app.cli.kafka import cut
    from app.delivery.topics import partitions

    try:
        there = await cut(settings)
    except CliError:
        fix = "start it (`marquee up --embedded`, `docker compose up`), or set [broker] url"
        return [Check("broker", False, f"no Kafka answers at {settings.broker.url}", fix)]
    answers = Check("broker", True, f"{settings.broker.url} answers, {len(there)} topics")
    wanted = partitions(settings)
    wrong = [
        f"{topic} has {there[topic]} partitions instead of {n}"
        for topic, n in wanted.items()
        if there.get(topic, n) != n
    ]
    missing = [topic for topic in wanted if topic not in there]
    if wrong:
        return [answers, Check("topics", False, "; ".join(wrong), "set [topics] partitions to what is there")]
    if missing:
        made = f"{len(missing)} of {len(wanted)} are not there yet; the first worker makes them"
        return [answers, Check("topics", True, made)]
    return [answers, Check("topics", True, f"all {len(wanted)} are there")]


async def check_clock(settings: Settings) -> Check:
    """How far the broker's clock is from this one, by the time that it stamps on a record."""
    host = settings.servers[0].rpartition(":")[0]
    if host in LOOPBACK:
        return Check("clock", True, "the broker is on this machine")
    try:
        skew = await asyncio.wait_for(broker_skew(settings), 3 * SECONDS)
    except Exception as error:
        return Check("clock", True, f"not measured ({type(error).__name__}: {error})"[:200])
    if skew is None:
        return Check("clock", True, "not measured: the broker stamps no time of its own")
    ok = abs(skew) <= SKEW_SECONDS
    return Check("clock", ok, f"the broker is {skew:+.2f} s from this machine", None if ok else "run NTP on both")


async def broker_skew(settings: Settings) -> float | None:
    """Seconds that the broker's clock is ahead, from a record on a topic that is made and removed for it."""
    from aiokafka import AIOKafkaProducer
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    topic = f"marquee-doctor-{uuid.uuid4().hex[:12]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.servers)
    producer = AIOKafkaProducer(bootstrap_servers=settings.servers, acks="all")
    await admin.start()
    try:
        stamped = {"message.timestamp.type": "LogAppendTime", "retention.ms": "60000"}
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=stamped)])
        await producer.start()
        # The first answer carries the time of making connections; the second is the clock.
        await producer.send_and_wait(topic, b"?", partition=0)
        before = time.time()
        said = await producer.send_and_wait(topic, b"?", partition=0)
        after = time.time()
        return None if said.timestamp_type != 1 else said.timestamp / 1000 - (before + after) / 2
    finally:
        await producer.stop()
        await admin.delete_topics([topic])
        await admin.close()


async def check_mongo(settings: Settings) -> Check:
    """Whether MongoDB answers, and how far its clock is."""
    from pymongo.errors import PyMongoError

    from app.storage.client import connect

    url = shown(settings.mongo.url)
    try:
        client, _ = connect(msgspec.structs.replace(settings.mongo, timeout=min(settings.mongo.timeout, SECONDS)))
    except (ValueError, PyMongoError) as error:
        return Check("mongo", False, f"{url} cannot be used: {error}", "mend [mongo] url")
    try:
        before = time.time()
        said: dict[str, Any] = await asyncio.wait_for(client.admin.command("hello"), SECONDS + 5)
        local = said.get("localTime")
        skew = 0.0 if local is None else local.replace(tzinfo=UTC).timestamp() - (before + time.time()) / 2
    except Exception as error:
        fix = "start it (`marquee up --embedded`, `docker compose up`), or set [mongo] url"
        return Check("mongo", False, f"{url} does not answer ({type(error).__name__})", fix)
    finally:
        client.close()
    if abs(skew) > SKEW_SECONDS:
        return Check("mongo", False, f"{url} answers, its clock is {skew:+.1f} s from this one", "run NTP on both")
    return Check("mongo", True, f"{url} answers")


async def check_mlflow(settings: Settings) -> Check:
    """Whether MLflow answers. Marquee works without it, but nothing is recorded then."""
    url = settings.mlflow.tracking_uri
    if not url:
        return Check("mlflow", True, "turned off")
    if not url.startswith(("http://", "https://")):
        return Check("mlflow", True, f"{shown(url)} is no server")

    def ask() -> int:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url.rstrip('/')}/health", timeout=SECONDS) as answer:
            return int(answer.status)

    try:
        status = await asyncio.to_thread(ask)
    except (OSError, ValueError) as error:
        status = getattr(error, "code", 0)
    if status == 200:
        return Check("mlflow", True, f"{shown(url)} answers")
    fix = 'start it, or turn tracking off with [mlflow] tracking_uri = ""; learning goes on without it'
    return Check("mlflow", False, f"{shown(url)} does not answer", fix)


async def check_data_dir(settings: Settings) -> list[Check]:
    """Whether the places for files can be written, and the data directory has room."""
    directory = settings.data_dir
    places = [("data directory", directory, "data"), ("pictures", Path(settings.storage.images), "images")]
    if settings.storage.snapshots:
        places.append(("snapshots", settings.snapshot_dir, "snapshots"))
    free = shutil.disk_usage(_there(directory)).free
    enough = free >= FREE_BYTES
    disk = Check("disk", enough, f"{free / 1e9:.1f} GB free", None if enough else "make room, or set [storage] data")
    return [*(_writable(*place) for place in places), disk]


def _writable(name: str, directory: Path, key: str) -> Check:
    there = _there(directory)
    try:
        with tempfile.NamedTemporaryFile(dir=there):
            return Check(name, True, f"{directory} can be written")
    except OSError as error:
        fix = f"give the directory to this user, or set [storage] {key}"
        return Check(name, False, f"{there}: {error.strerror}", fix)


def _there(directory: Path) -> Path:
    """The directory, or what it would be made in."""
    return next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())


async def check_leftovers(settings: Settings) -> Check:
    """Whether a Marquee runs in the data directory, or processes of one that was killed do."""
    from app.embedded.addresses import running

    directory = settings.data_dir
    found = running(directory)
    if found is not None:
        return Check("runs here", True, f"a Marquee runs in {directory} (pid {found.pid}, {found.web or 'no web yet'})")
    alive = leftover_processes(directory)
    if alive:
        fix = f"`marquee up --embedded --data-dir {directory}` ends them and takes over"
        return Check("runs here", False, f"left behind by a killed run: {', '.join(alive)}", fix)
    return Check("runs here", True, f"none in {directory}")


def leftover_processes(directory: Path) -> list[str]:
    """Processes noted in a data directory that still run, by name and pid."""
    from app.embedded.leftovers import PidFile, identity

    alive = []
    for path in sorted((directory / "run").glob("*.pid")):
        try:
            noted = msgspec.json.decode(path.read_bytes(), type=PidFile)
        except (OSError, msgspec.MsgspecError):
            continue
        if identity(noted.pid) == noted.identity:
            alive.append(f"{path.stem} (pid {noted.pid})")
    return alive


async def check_web(settings: Settings) -> Check:
    """Whether a worker's web server would be open to others without a token."""
    if settings.web.host in LOOPBACK or os.environ.get("MARQUEE_API_TOKEN"):
        return Check("web", True, f"{settings.web.host}:{settings.web.port}")
    fix = 'set MARQUEE_API_TOKEN in the environment, or [web] host = "127.0.0.1"'
    return Check("web", False, f"{settings.web.host} is open to others, and no token is set", fix)


def shown(url: str) -> str:
    """An address without its password."""
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", ":…@") if parts.password else url


CHECKS: Final[tuple[Callable[[Settings], Awaitable[Check | list[Check]]], ...]] = (
    check_broker,
    check_clock,
    check_mongo,
    check_mlflow,
    check_data_dir,
    check_leftovers,
    check_web,
)
