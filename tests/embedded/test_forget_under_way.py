"""Forgetting a person on a whole embedded Marquee while runs about them wait and pictures of them are being fetched."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.delivery.producer import Outgoing, Producer
from app.embedded.partition_log import read_records
from schemas.catalogue import encode, partition_counts
from schemas.pictures import ForgetCelebrity
from tests.embedded.test_forget import find
from tests.embedded.test_up import Up
from tests.pictures.hostile import encoded, photo

pytestmark = [pytest.mark.embedded, pytest.mark.soak, pytest.mark.timeout(600)]

GONE, STAYS = "Q777001", "Q777002"
PICTURES = 16
SLOW_SECONDS = 1.0
LONG_SECONDS = 8.0


class Site:
    """A host of slow pictures, and of wikis that know nothing; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        pictures = {f"/slow-{n}.jpg": encoded(photo(n)) for n in range(PICTURES)}
        asked = self.asked

        class Host(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                data = pictures.get(self.path.partition("?")[0])
                if data:
                    time.sleep(LONG_SECONDS if "long" in self.path else SLOW_SECONDS)
                self.send_response(200 if data else 404)
                self.send_header("Content-Type", "image/jpeg")
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host)
        self.authority = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    """A host on loopback."""
    found = Site()
    yield found
    found.server.shutdown()
    found.server.server_close()


def configure(up: Up, site: Site, *connectors: str) -> None:
    """Write the configuration, with these connectors of the one site."""
    wiki = f'kind = "commons"\nbase_url = "http://{site.authority}"\nwikidata_url = "http://{site.authority}"\n'
    (up.directory / "marquee.toml").write_text(
        f'[fetch]\nallow = ["{site.authority}"]\n[storage]\nimages = "{up.data / "images"}"\n'
        '[pictures]\norphans_after = 0\n[mlflow]\ntracking_uri = ""\n'
        + "".join(f"[connectors.{name}]\n{wiki}" for name in connectors)
    )


@pytest.fixture
def up(tmp_path: Path, site: Site) -> Iterator[Up]:
    """A Marquee with two connectors, and all its files in one directory."""
    found = Up(tmp_path)
    configure(found, site, "wiki", "removed")
    yield found
    found.kill_what_is_left()


def statuses(up: Up, connector: str) -> list[str]:
    """How the runs of a connector are, the newest first."""
    return [run["status"] for run in up("connectors", "runs", connector)["items"]]


def test_nobody_outside_is_asked_about_who_was_forgotten_while_runs_waited(up: Up, site: Site) -> None:
    up.start()
    for connector in ("wiki", "removed"):
        up("connectors", "pause", connector)
    for person, name in ((GONE, "Eleonora Vanishing"), (STAYS, "Someone Else")):
        up("push", "celebrity", "--name", name, "--wikidata", person)
    up.until(lambda: statuses(up, "wiki") == statuses(up, "removed") == ["waiting", "waiting"])
    configure(up, site, "wiki")
    up("config", "apply")

    proof = up("celebrity", GONE, "--forget", "--yes")
    assert proof["erased"], proof
    up.until(lambda: sorted(statuses(up, "wiki")) == ["skipped", "waiting"])
    [skipped] = [run for run in up("connectors", "runs", "wiki")["items"] if run["status"] == "skipped"]
    assert skipped["error"] == "whom it was about was forgotten before it was over"
    up("connectors", "resume", "wiki")
    up.until(lambda: any(STAYS in path for path in site.asked))
    up.until(lambda: "waiting" not in statuses(up, "wiki"))
    assert not any(GONE in path for path in site.asked)
    assert up.stop(signal.SIGTERM) == 0

    up.start()
    assert up("celebrity", GONE, "--forget", "--yes")["erased"]
    assert not any(GONE in path for path in site.asked)
    up("push", "celebrity", "--name", "Eleonora Vanishing", "--wikidata", GONE)
    up.until(lambda: any(GONE in path for path in site.asked))
    assert up.stop(signal.SIGTERM) == 0


def test_a_run_that_is_under_way_goes_on_without_who_is_forgotten_and_a_line_of_the_configuration_asks_for_nobody(
    up: Up, site: Site
) -> None:
    configure(up, site, "wiki")
    with (up.directory / "marquee.toml").open("a") as file:
        # People of the configuration are collected by their ids in order: the last one's turn never comes.
        file.write('rate = "30/m"\n[[celebrities]]\nname = "Eleonora Vanishing"\nwikidata = "Q777099"\n')
        file.writelines(f'[[celebrities]]\nname = "Someone {n}"\nwikidata = "Q7770{n}"\n' for n in range(10, 22))
    up.start()
    up.until(lambda: any("Q777012" in path for path in site.asked))
    assert not any("Q777099" in path for path in site.asked)
    proof = up("celebrity", "Q777099", "--forget", "--yes")
    assert proof["erased"], proof
    up.until(lambda: any("Q777021" in path for path in site.asked))
    up.until(lambda: not {"waiting", "running"}.intersection(statuses(up, "wiki")))
    before = len(site.asked)
    # The site knows nobody, which a run takes for a wrong address.
    up("connectors", "run", "wiki", "--from-start", code=1)
    assert any("Q777021" in path for path in site.asked[before:])
    assert not any("Q777099" in path for path in site.asked)
    assert up.stop(signal.SIGTERM) == 0


def test_what_was_being_fetched_of_who_is_forgotten_leaves_no_file(up: Up, site: Site) -> None:
    configure(up, site)
    up.start()
    up("push", "celebrity", "--name", "Eleonora Vanishing", "--wikidata", GONE)
    addresses = {f"http://{site.authority}/slow-{n}.jpg": GONE for n in range(PICTURES)}
    asyncio.run(find(up, addresses))
    up.until(lambda: any("slow" in path for path in site.asked))
    proof = up("celebrity", GONE, "--forget", "--yes")
    assert proof["erased"], proof
    assert "pictures: under way" in {each["where"] for each in proof["left"]}
    assert [path.name for path in (up.data / "images" / "original").rglob("*.*")] == []
    assert len([path for path in site.asked if "slow" in path]) > 1
    assert up.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize("moment", ["when all of them lie there", "while they are fetched"])
def test_a_kill_of_all_leaves_no_file_of_who_was_forgotten_and_every_file_of_others(
    up: Up, site: Site, moment: str
) -> None:
    configure(up, site)
    up.start()
    asyncio.run(find(up, {f"http://{site.authority}/slow-0.jpg?{STAYS}": STAYS}))
    up.until(lambda: len(files(up)) == 2)
    stays = files(up)
    asyncio.run(find(up, {f"http://{site.authority}/slow-{n}.jpg": GONE for n in range(1, 5)}))
    # One file of a batch that is not through, or all with their copies.
    up.until(lambda: len(files(up)) > 2 if moment == "while they are fetched" else len(files(up)) == 10)
    # The archive hears of the wish, and whoever would have removed the files never does.
    worker = worker_of(up)
    os.kill(worker, signal.SIGSTOP)
    asyncio.run(ask_to_forget(up))
    up.until(lambda: any(b'"forget"' in value for value in archived(up, ForgetCelebrity.topic)))
    up.stop(signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    assert files(up) > stays, "it had not come so far"
    up.start()
    proof = up("celebrity", GONE, "--forget", "--yes")
    assert proof["erased"], proof
    assert files(up) == stays
    assert up.stop(signal.SIGTERM) == 0


def test_a_picture_that_was_put_away_for_somebody_else_outlives_who_is_forgotten(up: Up, site: Site) -> None:
    configure(up, site)
    up.start()
    url = f"http://{site.authority}/slow-"
    asyncio.run(find(up, {f"{url}0.jpg": GONE}))
    up.until(lambda: len(files(up)) == 2)
    (original,) = (up.data / "images" / "original").rglob("*.jpg")
    put_at = original.stat().st_mtime_ns
    # The event that speaks of the file waits for the slowest of its batch.
    asyncio.run(find(up, {f"{url}0.jpg?{STAYS}": STAYS, f"{url}1.jpg?long": STAYS}))
    up.until(lambda: original.stat().st_mtime_ns > put_at)
    proof = up("celebrity", GONE, "--forget", "--yes")
    assert proof["erased"], proof
    assert original.exists()
    up.until(lambda: len(files(up)) == 4)
    assert up.stop(signal.SIGTERM) == 0


def worker_of(up: Up) -> int:
    """The process id of the worker."""
    return int(json.loads((up.data / "run" / "worker-1.pid").read_text())["pid"])


async def ask_to_forget(up: Up) -> None:
    """What a worker that answers would send."""
    broker = json.loads((up.data / "marquee.json").read_text())["broker"].removeprefix("kafka://")
    producer = Producer([broker], partition_counts(4))
    await producer.start()
    wish = ForgetCelebrity(celebrity_id=GONE)
    await producer.send([Outgoing(wish.topic, GONE.encode(), encode(wish), [])])
    await producer.stop()


def archived(up: Up, topic: str) -> list[bytes]:
    """The values that the archive has of a topic of one partition."""
    found = read_records(up.data / "archive", topic, 0)
    return [record.value or b"" for records in found for record in records]


def files(up: Up) -> set[str]:
    """The files of pictures, by their names."""
    areas = ("original", "clean", "thumbnail")
    return {path.name for area in areas for path in (up.data / "images" / area).rglob("*.jpg")}
