"""Everything that the handlers of one worker share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from app.pictures.files import PictureFiles
from app.web.bus import Bus
from app.web.champion import Champions
from app.web.engine import Engine
from app.web.erasure import Trace
from app.web.parts import WorkerParts
from app.web.probes import Probes
from app.web.pulse import Pulse
from app.web.routing import Lookups
from app.web.similar import Similar


@dataclass
class Site:
    """The parts of one worker's web; clocks are in it so that tests can stop time."""

    worker: WorkerParts
    engine: Engine
    probes: Probes
    lookups: Lookups
    bus: Bus
    pulse: Pulse
    similar: Similar
    champions: Champions
    files: PictureFiles
    traces: list[Trace]
    own_trace: Trace | None = None
    """The part of the traces that another worker asks this one for."""
    ack_seconds: float = 5.0
    keep_alive: float = 15.0
    now: Callable[[], float] = time.time
    started_at: float = field(default_factory=time.time)


SITE: Final = web.AppKey("site", Site)
