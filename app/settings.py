"""Every setting in one table: `marquee.toml`, overridden by the environment, checked before anything starts."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

from app.config_errors import ConfigError as ConfigError
from app.config_errors import explain
from app.settings_entries import FILE_PLACE, WORKER_NAME, Allowed, Section, check_brokers, wrong_table
from app.settings_entries import CelebrityEntry as CelebrityEntry
from app.settings_entries import FilmEntry as FilmEntry
from app.settings_environ import override, place_pictures, written_secret


class Broker(Section, frozen=True):
    """Which Kafka."""

    url: Annotated[str, Meta(description="Kafka's address; several with a semicolon between")] = (
        "kafka://127.0.0.1:9092"
    )
    replication: Annotated[int, Meta(ge=1, le=9, description="replicas of each topic that Marquee declares")] = 1
    session_timeout: Annotated[
        float, Meta(gt=0, le=1800, description="seconds until a silent worker's partitions are taken over")
    ] = 8.0
    embedded: Annotated[bool, Meta(description="the broker is the embedded one, whose end offsets need checking")] = (
        False
    )
    inside: Annotated[str, Meta(description="host:port behind the embedded broker's door, as its `up` sets it")] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_brokers("url", self.url)
        if self.inside:
            check_brokers("inside", f"kafka://{self.inside}")


class Mongo(Section, frozen=True):
    """Which MongoDB."""

    url: Annotated[
        str, Meta(description="MongoDB's address with the database's name", pattern=r"^mongodb(\+srv)?://.+")
    ] = "mongodb://127.0.0.1:27017/marquee"
    timeout: Annotated[float, Meta(gt=0, le=3600, description="seconds that one operation may take")] = 10.0


class Mlflow(Section, frozen=True):
    """Which MLflow."""

    tracking_uri: Annotated[str, Meta(description="MLflow's address; empty turns tracking off")] = (
        "http://127.0.0.1:5000"
    )
    experiment: Annotated[str, Meta(min_length=1, description="the experiment that runs are logged to")] = "marquee"
    metrics_every: Annotated[float, Meta(gt=0, description="seconds between two batches of metrics")] = 10.0
    artifacts_every: Annotated[float, Meta(gt=0, description="seconds between two sets of artifacts")] = 300.0


class Web(Section, frozen=True):
    """The worker's web server."""

    host: Annotated[
        str,
        Meta(min_length=1, description="address to listen on; another than loopback needs MARQUEE_API_TOKEN"),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on; 0 takes a free one")] = 6066
    canonical_url: Annotated[str, Meta(description="how other workers reach this one; empty means host and port")] = ""


class Storage(Section, frozen=True):
    """Where files go; relative to the working directory."""

    data: Annotated[
        str,
        Meta(min_length=1, pattern=FILE_PLACE, description="the data directory: tables, snapshots, archive, logs"),
    ] = "data"
    images: Annotated[
        str,
        Meta(min_length=1, pattern=FILE_PLACE, description="pictures; shared by all workers; embedded: DATA/images"),
    ] = "data/images"
    snapshots: Annotated[
        str,
        Meta(pattern=FILE_PLACE, description="model snapshots, shared by all workers; empty means DATA/snapshots"),
    ] = ""
    sweep_every: Annotated[
        float, Meta(gt=0, description="seconds between two removals of what sources do not let be stored any longer")
    ] = 3600.0


class Topics(Section, frozen=True):
    """How topics are declared."""

    partitions: Annotated[
        int, Meta(ge=1, le=256, description="partitions of each keyed topic; fixed once topics exist")
    ] = 4
    retention_days: Annotated[
        float,
        Meta(gt=0, description="how long derived events and all that tells of people stay; the rest stays for ever"),
    ] = 30.0


class Delivery(Section, frozen=True):
    """How events are carried."""

    linger: Annotated[float, Meta(ge=0, le=1, description="seconds a busy stage waits for a larger batch")] = 0.002
    patience: Annotated[
        float, Meta(ge=0, le=10, description="seconds that stages wait for larger batches where no prediction waits")
    ] = 0.2
    attempts: Annotated[int, Meta(ge=1, le=100, description="tries of a failing event before it is a dead letter")] = 5
    max_value: Annotated[int, Meta(ge=1000, description="bytes; a larger record is a dead letter")] = 1_000_000


class Learning(Section, frozen=True):
    """How models learn and are kept."""

    snapshot_lessons: Annotated[int, Meta(ge=1, description="lessons after which a snapshot is due")] = 20_000
    snapshot_seconds: Annotated[
        float, Meta(gt=0, description="seconds after which a snapshot is due if anything was learnt")
    ] = 30.0
    keep_snapshots: Annotated[int, Meta(ge=1, description="how many snapshots of a model stay")] = 5
    batch: Annotated[int, Meta(ge=1, le=10_000, description="training records learnt between two waits")] = 1000


class Fetch(Section, frozen=True):
    """What may be fetched from outside, and how fast."""

    allow: Annotated[tuple[Allowed, ...], Meta(description="host:port that may be private or loopback")] = ()
    concurrency: Annotated[int, Meta(ge=1, le=1000, description="pictures that are downloaded at once")] = 64
    per_host: Annotated[int, Meta(ge=1, le=1000, description="pictures that are downloaded from one host at once")] = 8
    seconds: Annotated[float, Meta(gt=0, le=200, description="seconds that the download of a picture may take")] = 30.0
    max_bytes: Annotated[int, Meta(ge=1000, description="bytes of the largest picture that is downloaded")] = 20_000_000


class Sources(Section, frozen=True):
    """How connectors behave towards the services that they ask."""

    contact: Annotated[
        str,
        Meta(
            pattern=r"^[\x20-\x7e]*$",
            description="a page or mail address that services find in the User-Agent; some refuse who names none",
        ),
    ] = ""
    max_body: Annotated[int, Meta(ge=1000, description="bytes of the longest answer that is read whole")] = 33_554_432
    patience: Annotated[
        float, Meta(ge=0, description="seconds that a run waits where it is asked to; longer waits end the run")
    ] = 300.0


class Collecting(Section, frozen=True):
    """Who is told when collecting goes wrong."""

    webhook: Annotated[
        str,
        Meta(
            pattern=r"^(https?://.+)?$",
            description="address that hears as JSON of failed, paused and late runs; empty: nobody does",
        ),
    ] = ""
    webhook_timeout: Annotated[float, Meta(gt=0, le=300, description="seconds that the webhook may take")] = 10.0


class Pictures(Section, frozen=True):
    """Which pictures are taken, and the processes that decode them."""

    processes: Annotated[int, Meta(ge=0, le=256, description="processes that decode; 0: one a core")] = 0
    memory: Annotated[int, Meta(ge=256 << 20, description="bytes of address space that each of them may take")] = (
        1_610_612_736
    )
    cpu_seconds: Annotated[float, Meta(gt=0, description="seconds of computing that one picture may cost a step")] = 5.0
    max_pixels: Annotated[int, Meta(ge=10_000, description="pixels of the largest picture that is decoded")] = (
        40_000_000
    )
    min_side: Annotated[int, Meta(ge=16, description="pixels of the shorter side that a picture needs")] = 64
    max_aspect: Annotated[float, Meta(ge=1, description="how many times longer than the other a side may be")] = 4.0
    faces: Annotated[bool, Meta(description="look for faces where the extra [faces] is installed")] = True
    orphans_after: Annotated[
        float,
        Meta(
            ge=0, description="seconds after which a file that nothing names is removed; 0: only as forgetting needs it"
        ),
    ] = 3600.0
    nsfw: Annotated[bool, Meta(description="quarantine what the extra [nsfw] warns of, where it is installed")] = True


class Worker(Section, frozen=True):
    """This worker."""

    id: Annotated[
        str,
        Meta(
            pattern=WORKER_NAME,
            max_length=200,
            description="stable name in the consumer group, of letters, digits, dot, dash and underscore; a restarted "
            "worker of the same name is back at once",
        ),
    ] = "worker-1"
    app: Annotated[
        str,
        Meta(
            min_length=1,
            pattern=r"^[A-Za-z0-9._-]+$",
            description="the Faust app's id: consumer group and prefix of changelogs",
        ),
    ] = "marquee"
    log: Annotated[
        Literal["auto", "human", "json"],
        Meta(description="form of the log; auto: for people in a terminal, else JSON"),
    ] = "auto"


class Settings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """All of it. `connectors` is checked by the connector kinds themselves."""

    broker: Broker = Broker()
    mongo: Mongo = Mongo()
    mlflow: Mlflow = Mlflow()
    web: Web = Web()
    storage: Storage = Storage()
    topics: Topics = Topics()
    delivery: Delivery = Delivery()
    learning: Learning = Learning()
    fetch: Fetch = Fetch()
    sources: Sources = Sources()
    collecting: Collecting = Collecting()
    pictures: Pictures = Pictures()
    worker: Worker = Worker()
    films: tuple[FilmEntry, ...] = ()
    celebrities: tuple[CelebrityEntry, ...] = ()
    connectors: dict[str, dict[str, Any]] = {}

    @property
    def data_dir(self) -> Path:
        """Where this worker keeps its files."""
        return Path(self.storage.data)

    @property
    def snapshot_dir(self) -> Path:
        """Where model snapshots lie."""
        return Path(self.storage.snapshots) if self.storage.snapshots else self.data_dir / "snapshots"

    @property
    def servers(self) -> list[str]:
        """host:port of each broker."""
        return [part.removeprefix("kafka://") for part in self.broker.url.split(";") if part]


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a file (default `MARQUEE_CONFIG`, else `marquee.toml` if it is there) and the environment.

    Raises ConfigError naming file, line and key of the first thing that is wrong.
    """
    named = path or (Path(environ["MARQUEE_CONFIG"]) if environ.get("MARQUEE_CONFIG") else None)
    file = named or Path("marquee.toml")
    text = ""
    if named is not None or file.exists():
        try:
            text = read_text(file)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file}: cannot be read ({error}); name another with --config") from error
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error
    wrong = wrong_table(values) or written_secret(values)
    if wrong is not None:
        raise ConfigError(explain(wrong, file, text, {}, Settings))
    origins = override(values, environ, Settings, text)
    place_pictures(values)
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(explain(str(error), file, text, origins, Settings)) from error


def read_text(file: Path) -> str:
    """The text of a configuration, whose mark of the byte order, as some editors write it, is no part of it.

    Raises OSError, or ValueError for what is not UTF-8.
    """
    return file.read_text(encoding="utf-8-sig")


def describe() -> list[tuple[str, str, str]]:
    """(section, key, help) of every setting that has one place, for the documentation and `doctor`."""
    rows = []
    for section, kind in get_type_hints(Settings).items():
        if isinstance(kind, type) and issubclass(kind, Section):
            for key, hint in get_type_hints(kind, include_extras=True).items():
                metas = [m for m in get_args(hint) if isinstance(m, Meta)]
                rows.append((section, key, next((m.description for m in metas if m.description), "")))
    return rows
