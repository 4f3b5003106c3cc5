"""Forgetting a person on a whole embedded Marquee: what is proved is true of every file, and stays so after a start."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.server
import json
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from app.delivery.producer import Outgoing, Producer
from app.embedded.erase import read_book
from app.embedded.partition_log import archived_topics, partition_count, read_records
from app.embedded.survey import verify
from schemas.catalogue import encode, partition_counts
from schemas.pictures import ImageFound
from tests.embedded.test_up import Up, alive
from tests.pictures.hostile import encoded, photo

pytestmark = [pytest.mark.embedded, pytest.mark.soak, pytest.mark.timeout(600)]

GONE, STAYS = "Q777001", "Q777002"
NAME = "Eleonora Vanishing"


def portraits() -> dict[str, bytes]:
    """Pictures of a face where a package with one is installed, else of nobody; by the path they are served under."""
    skimage = pytest.importorskip("skimage.data")
    portrait = Image.fromarray(np.asarray(skimage.astronaut()))
    close, tilted = portrait.crop((110, 0, 370, 260)), portrait.rotate(9).crop((60, 40, 420, 400))
    return {
        "/gone-portrait.jpg": encoded(portrait),
        "/gone-close.jpg": encoded(close),
        "/gone-faceless.jpg": encoded(photo(5)),
        "/stays-mirrored.jpg": encoded(ImageOps.mirror(portrait).crop((90, 0, 490, 460))),
        "/stays-tilted.jpg": encoded(tilted),
        "/stays-copy.jpg": encoded(close, quality=60),
    }


@pytest.fixture
def site() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A picture host on loopback."""
    pictures = portraits()

    class Host(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = pictures.get(self.path)
            self.send_response(200 if data else 404)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}", pictures
    server.shutdown()
    server.server_close()


@pytest.fixture
def up(tmp_path: Path, site: tuple[str, dict[str, bytes]]) -> Iterator[Up]:
    """A Marquee that may fetch from the picture host, with all its files in one directory."""
    found = Up(tmp_path)
    (tmp_path / "marquee.toml").write_text(
        f'[fetch]\nallow = ["{site[0]}"]\n[storage]\nimages = "{found.data / "images"}"\n'
        "[learning]\nsnapshot_seconds = 1.0\n[mlflow]\nmetrics_every = 1.0\nartifacts_every = 1.0\n"
    )
    yield found
    found.kill_what_is_left()


async def find(up: Up, urls: dict[str, str]) -> None:
    """Tell of addresses, each with whom it shows."""
    broker = json.loads((up.data / "marquee.json").read_text())["broker"].removeprefix("kafka://")
    producer = Producer([broker], partition_counts(4))
    await producer.start()
    found = (ImageFound(celebrity_id=person, source="commons", url=url) for url, person in urls.items())
    await producer.send(Outgoing(r.topic, r.celebrity_id.encode(), encode(r), []) for r in found)
    await producer.stop()


def verdicts(up: Up, person: str) -> dict[str, str]:
    """The verdict of each picture of a person, by the last part of its address."""
    web = json.loads((up.data / "marquee.json").read_text())["web"]
    try:
        with urllib.request.urlopen(f"{web}/celebrities/{person}/images?limit=100", timeout=30) as answer:
            items = json.load(answer)["items"]
    except urllib.error.HTTPError:
        return {}
    return {item["url"].rpartition("/")[2]: item["verdict"] for item in items}


def settled(up: Up, person: str) -> bool:
    """Whether all pictures of a person are decided on."""
    found = verdicts(up, person)
    return len(found) == 3 and "pending" not in found.values()


def everything(up: Up) -> Iterator[tuple[str, bytes]]:
    """All that lies on the disk, the archive's records unpacked."""
    for path in up.data.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(up.data)), path.read_bytes()
    archive = up.data / "archive"
    for topic in archived_topics(archive):
        for partition in range(partition_count(archive, topic) or 0):
            for records in read_records(archive, topic, partition):
                for record in records:
                    yield f"archive of {topic} at {record.offset}", (record.key or b"") + b" " + (record.value or b"")


def traces(up: Up, needles: dict[str, bytes]) -> dict[str, set[str]]:
    """Which needles are found, and where."""
    found: dict[str, set[str]] = {}
    for where, content in everything(up):
        for name, needle in needles.items():
            if needle in content:
                found.setdefault(name, set()).add(where)
    return found


def embeddings(up: Up, person: str) -> list[bytes]:
    """The embeddings of a person's faces that the archive has, as they stand in JSON."""
    archive = up.data / "archive"
    records = [record for part in read_records(archive, "images-examined", 0) for record in part]
    values = [json.loads(record.value) for record in records if record.value]
    found = [face["embedding"] for v in values if v["celebrity_id"] == person for face in v.get("faces", ())]
    return [text.encode() for text in found]


def test_of_a_forgotten_person_no_file_knows_anything_and_others_keep_theirs(
    up: Up, site: tuple[str, dict[str, bytes]]
) -> None:
    host, pictures = site
    up.start()
    up("push", "celebrity", "--name", NAME, "--wikidata", GONE)
    up("push", "celebrity", "--name", "Someone Else", "--wikidata", STAYS)
    urls = {f"http://{host}{path}": GONE if "gone" in path else STAYS for path in pictures}
    gone = {url: person for url, person in urls.items() if person == GONE}
    asyncio.run(find(up, gone))
    up.until(lambda: settled(up, GONE))
    asyncio.run(find(up, urls))
    up.until(lambda: settled(up, STAYS))
    before = verdicts(up, STAYS)
    assert before["stays-copy.jpg"] == "conflict"
    after = before | {"stays-copy.jpg": "rejected"}
    needles = {"name": NAME.encode()}
    for path in filter(lambda path: "gone" in path, pictures):
        needles[f"address {path}"] = path[1:].encode()
        needles[f"bytes {path}"] = pictures[path][600:700]
        needles[f"sha256 {path}"] = hashlib.sha256(pictures[path]).hexdigest().encode()
    up.until(lambda: set(traces(up, needles)) == set(needles))
    for number, text in enumerate(embeddings(up, GONE)):
        needles[f"embedding {number}"] = text[:200]
        needles[f"embedding {number} in the model"] = base64.b64decode(text)[:64]

    proof = up("celebrity", GONE, "--forget", "--yes")
    assert proof["erased"], proof
    assert {each["left"] for each in proof["left"]} == {0}
    where = {each["where"] for each in proof["left"]}
    assert {"table: claims", "table: faces", "archive: records", "model: older snapshots"} <= where
    assert proof["later"]
    assert verify(up.data / "archive").damage == []
    assert GONE in read_book(up.data / "archive").erased
    assert up.stop(signal.SIGTERM) == 0
    assert traces(up, needles) == {}

    up.start()
    assert verdicts(up, GONE) == {}
    again = up("celebrity", GONE, "--forget", "--yes")
    assert again["erased"], again
    assert verdicts(up, STAYS) == after
    assert up.stop(signal.SIGKILL) != 0
    up.until(lambda: alive(up.data) == [])
    up.start()
    up.until(lambda: verdicts(up, STAYS) == after)
    assert verdicts(up, GONE) == {}
    assert up.stop(signal.SIGTERM) == 0
    assert traces(up, needles) == {}
    assert verify(up.data / "archive").damage == []
