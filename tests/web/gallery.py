"""Two people with pictures of every verdict, as the projections and the cleaning stage leave them."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from app.pictures.files import PictureFiles
from app.storage.store import Store
from tests.storage.picture_events import (
    KEANU,
    TILDA,
    accepted,
    conflict,
    discarded,
    found,
    kept,
    person,
    recognised,
    rejected,
    sha,
)

NAME = "Tilda Swinton"


async def fill_gallery(store: Store, images: Path) -> None:
    """Tilda has pictures 0 to 9: two kept (0, 1), one of each other verdict, two pending (8, 9); Keanu keeps 20.

    Picture 4 is claimed for both: it is a copy of Keanu's picture 20.
    """
    put = store.pictures
    await put.put_celebrities([person(NAME, imdb="nm0842770", tmdb=3063), person("Keanu Reeves", KEANU, 1)])
    await put.put_found([found(n, licence="CC BY 4.0") for n in range(10)] + [found(20, KEANU, source="tmdb")])
    await put.put_accepted([accepted(n, n + 1) for n in (0, 1, 2, 3, 8)] + [accepted(20, 30, KEANU)])
    await put.put_kept([kept(0, 1), kept(1, 2), kept(20, 30, KEANU)])
    await put.put_recognised([recognised(0, TILDA), recognised(1, None)])
    quarantined = discarded(3, 4, verdict="quarantined", reason="unsafe 0.9", sha256=sha(3, "cleaned"))
    await put.put_discarded([discarded(2, 3, reason="no face", sha256=sha(2, "cleaned")), quarantined])
    await put.put_rejected(
        [
            conflict(4, 31, TILDA, KEANU, of=20),
            rejected(5, 6, image_id=sha(5), duplicate_of=sha(0), distance=7, reason="a copy of a picture"),
            rejected(6, verdict="failed", reason="HTTP 404"),
            rejected(7, verdict="rejected", reason="robots.txt says no"),
        ]
    )
    put_files(images, 0, 1, 2, 3, 20)


def put_files(images: Path, *numbers: int) -> None:
    """The files of cleaned pictures."""
    files = PictureFiles(images)
    files.start()
    for number in numbers:
        files.put_bytes("original", b"as fetched " + str(number).encode(), "jpg", sha(number))
        files.put_bytes("clean", picture(number, 400), "jpg", sha(number, "cleaned"))
        files.put_bytes("thumbnail", picture(number, 40), "jpg", sha(number, "cleaned"))
    files.close()


def picture(number: int, width: int) -> bytes:
    """A JPEG of one colour."""
    out = io.BytesIO()
    Image.new("RGB", (width, width * 3 // 4), ((number * 37) % 256, 90, 120)).save(out, "JPEG")
    return out.getvalue()
