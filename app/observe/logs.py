"""Logs: JSON lines for machines, a short form for people in a terminal."""

from __future__ import annotations

import logging
import logging.config
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

QUIET: Final = ("aiokafka", "faust", "mode", "aiohttp", "mlflow", "alembic", "urllib3", "matplotlib", "pymongo", "git")
"""Libraries that build a record for every message; below WARNING they cost more than the work itself."""
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class NotAgain(logging.Filter):
    """Lets a library say the same thing once in ten seconds: while a broker is away some say it for every request."""

    def __init__(self, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """False for what the same logger has said just now, in the same words before their arguments."""
        if not record.name.startswith(QUIET):
            return True
        now, key = self._clock(), (record.name, str(record.msg)[:80])
        if now - self._said.get(key, -self._seconds) < self._seconds:
            return False
        if len(self._said) > 1000:
            self._said.clear()
        self._said[key] = now
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line; what a caller passes as `extra` becomes fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; a line break in the message cannot forge a second record."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(fields, enc_hook=repr).decode()


class HumanFormatter(logging.Formatter):
    """Time, level and message, for a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")


def logging_config(form: str = "auto", level: str = "INFO") -> dict[str, Any]:
    """What `logging.config.dictConfig` takes; `form` is "auto", "human" or "json"."""
    human = form == "human" or (form == "auto" and sys.stderr.isatty())
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"default": {"()": HumanFormatter if human else JsonFormatter}},
        "filters": {"not-again": {"()": NotAgain}},
        "handlers": {
            "default": {
                "class": "logging.StreamHandler",
                "formatter": "default",
                "filters": ["not-again"],
                "stream": "ext://sys.stderr",
            }
        },
        "loggers": {name: {"level": "WARNING"} for name in QUIET},
        "root": {"level": level, "handlers": ["default"]},
    }


def configure_logging(form: str = "auto", level: str = "INFO") -> None:
    """Send the log to standard error."""
    logging.config.dictConfig(logging_config(form, level))
