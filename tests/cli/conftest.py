"""A broker of the command line's own, and `marquee` called as a person would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.embedded.broker import Broker
from app.embedded.ports import PortBook
from app.embedded.servers import start_server


class Marquee:
    """Runs commands in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment: dict[str, str | None] = {}

    def __call__(self, *words: str | Path, code: int = 0, stdin: bytes | None = None) -> Result:
        """Run one command and hold it to its exit status."""
        result = CliRunner().invoke(main, [str(word) for word in words], env=self.environment, input=stdin)
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        return result

    def json(self, *words: str | Path, code: int = 0) -> Any:
        """The JSON that a command prints."""
        return json.loads(self(*words, "--json", code=code).stdout)

    def mistake(self, *words: str | Path, code: int = 1) -> str:
        """The one line with which a command refuses."""
        result = self(*words, code=code)
        (line,) = result.stderr.splitlines()
        assert line.startswith("marquee: ")
        assert "Traceback" not in result.output
        return line


@pytest.fixture
def marquee(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Marquee:
    """The command line in an empty directory, with no broker anywhere."""
    monkeypatch.chdir(tmp_path)
    found = Marquee(tmp_path)
    nowhere = {"MARQUEE_BROKER__URL": "kafka://127.0.0.1:1", "MARQUEE_WEB__PORT": "1", "MARQUEE_CONFIG": None}
    found.environment = {
        **nowhere,
        "MARQUEE_MONGO__URL": "mongodb://127.0.0.1:1/marquee",
        "MARQUEE_MONGO__TIMEOUT": "1",
    }
    return found


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """An empty broker for the tests of one module."""
    directory = tmp_path_factory.mktemp("broker")
    server = asyncio.run(start_server(Broker, directory, PortBook(directory / "ports.json"), Broker.name))
    yield server
    asyncio.run(server.child.stop())


@pytest.fixture
def connected(marquee: Marquee, broker: Broker) -> Marquee:
    """The command line with a broker."""
    marquee.environment["MARQUEE_BROKER__URL"] = broker.url
    marquee.environment["MARQUEE_BROKER__EMBEDDED"] = "true"
    return marquee
