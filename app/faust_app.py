"""Marquee's Faust app: its consumer, its settings, and what happens before the first read and after the last."""

from __future__ import annotations

from typing import Final, Protocol

import faust
from faust.app.base import BootStrategy

from app.delivery.membership import Membership
from app.delivery.recovery import PlainTables
from app.delivery.shortcut import take_shortcut
from app.delivery.stream import BatchStream
from app.delivery.stretch import MOST_FETCHED
from app.delivery.table import BatchTable
from app.delivery.transport import Transport
from app.observe.logs import logging_config
from app.settings import Settings

ANY_PORT: Final = 1
"""What Faust's `web_port` is where `web.port` is 0: Faust refuses 0, and nobody asks for port 1."""


class Lifecycle(Protocol):
    """What surrounds Faust's own services."""

    @property
    def pressed(self) -> bool:
        """Whether a learner is behind."""

    async def prepare(self) -> None:
        """Make the way ready; nothing has been read yet."""

    def give_up(self) -> None:
        """The worker stops: do not wait for a broker that is away."""

    async def close(self) -> None:
        """Disconnect; nothing runs any more."""


class WithoutFaustsWeb(BootStrategy):  # type: ignore[misc]
    """Marquee serves HTTP itself; Faust's server would show tables to anyone, on every address."""

    enable_web = False


class ProgramSettings(faust.Settings):  # type: ignore[misc]
    """Faust's settings as the program gives them; Faust itself lets environment variables overrule the program."""

    def getenv(self, env_name: str) -> None:
        """Nothing, whatever the environment says."""


class MarqueeApp(faust.App):  # type: ignore[misc]
    """A Faust app with Marquee's consumer, that waits for Kafka and declares every topic before it reads any."""

    BootStrategy = WithoutFaustsWeb
    Settings = ProgramSettings
    worker: Lifecycle
    patience = 0.0
    """Seconds between two looks at `patient_topics`."""
    patient_topics: frozenset[str] = frozenset()
    """What only patient stages read."""
    quiet_topics: frozenset[str] = frozenset()
    """What ends no fetch that others wait for."""
    membership = Membership()
    """Whether this worker's partitions are still its own."""

    def pressed(self) -> bool:
        """Whether a learner is behind; then what only patient stages read can wait longer."""
        return self.worker.pressed

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    async def on_first_start(self) -> None:
        """Make the way ready before any of Faust's own services start."""
        await super().on_first_start()
        await self.worker.prepare()

    async def on_stop(self) -> None:
        """Wait for what the stages have in hand, but not for a broker that is away."""
        self.worker.give_up()
        await super().on_stop()

    async def on_shutdown(self) -> None:
        """Disconnect what `prepare` connected, after everything that uses it has stopped."""
        await super().on_shutdown()
        await self.worker.close()


def make_faust_app(settings: Settings, worker: Lifecycle) -> MarqueeApp:
    """The Faust app of one worker, with the settings that the guarantees rest on."""
    take_shortcut(settings)
    datadir = settings.data_dir / "workers" / settings.worker.id
    datadir.mkdir(parents=True, exist_ok=True)
    app = MarqueeApp(
        settings.worker.app,
        broker=[f"kafka://{server}" for server in settings.servers],
        store="rocksdb://?driver=rocksdict",
        datadir=str(datadir.absolute()),
        # The guarantees rest on these, so `ProgramSettings` keeps the environment out.
        processing_guarantee="at_least_once",
        stream_wait_empty=True,
        broker_max_poll_records=MOST_FETCHED,
        stream_buffer_maxsize=4096,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        broker_commit_interval=1.0,
        broker_session_timeout=settings.broker.session_timeout,
        broker_heartbeat_interval=min(1.0, settings.broker.session_timeout / 5),
        consumer_group_instance_id=settings.worker.id,
        consumer_max_fetch_size=4 << 20,
        topic_partitions=settings.topics.partitions,
        topic_replication_factor=settings.broker.replication,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        web_host=settings.web.host,
        web_port=settings.web.port or ANY_PORT,
        canonical_url=settings.web.canonical_url or f"http://{settings.web.host}:{settings.web.port}",
        worker_redirect_stdouts=False,
        logging_config=logging_config(settings.worker.log),
        Stream=BatchStream,
        Table=BatchTable,
        TableManager=PlainTables,
    )
    app.worker = worker
    app.membership = Membership(settings.broker.session_timeout)
    return app
