"""A changed `marquee.toml` is taken up by running workers, or refused as a whole with every mistake in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.settings import load
from tests.web.conftest import Running, Start
from tests.web.stand_ins import FakeWorker

BEFORE = """
[web]
port = 0

[connectors.old]
kind = "csv"
path = "a.csv"

[connectors.kept]
kind = "csv"
path = "b.csv"
"""
AFTER = BEFORE.replace("[connectors.old]", "[connectors.new]").replace("b.csv", "c.csv") + '[[films]]\ntitle = "Heat"\n'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration that the worker was started with."""
    path = tmp_path / "marquee.toml"
    path.write_text(BEFORE)
    monkeypatch.setenv("MARQUEE_CONFIG", str(path))
    return path


def change(file: Path, text: str) -> None:
    file.write_text(text)


async def apply(running: Running, status: int = 200, **headers: str) -> Any:
    async with running.post("/config/apply", headers=headers) as response:
        answer = await response.json(content_type=None)
        assert response.status == status, answer
        return answer


async def test_connectors_and_films_are_taken_up_and_told(start: Start, file: Path) -> None:
    running = await start(FakeWorker(load(file)))
    change(file, AFTER)
    found = await apply(running)
    assert found["connectors"] == {"added": ["new"], "changed": ["kept"], "removed": ["old"]}
    assert (found["pushed"], found["needs_restart"], found["others"]) == (1, [], [])
    async with running.get("/connectors") as response:
        assert [each["name"] for each in (await response.json())["items"]] == ["new", "kept"]


async def test_what_needs_a_restart_is_named(start: Start, file: Path) -> None:
    running = await start(FakeWorker(load(file)))
    change(file, BEFORE.replace("port = 0", 'port = 0\ncanonical_url = "http://x"') + "[learning]\nbatch = 7\n")
    assert (await apply(running))["needs_restart"] == ["web.canonical_url", "learning.batch"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            AFTER.replace('path = "c.csv"', 'path = "c.csv"\nschedule = "often"'),
            ":12: connectors.kept.schedule: 'often'",
        ),
        (AFTER.replace('kind = "csv"', 'kind = "cvs"', 1), ":6: connectors.new.kind: unknown kind 'cvs'"),
        ("[web]\nprot = 1\n", ":2: web.prot"),
        ("nonsense", "not valid TOML"),
        (AFTER + '[[films]]\ntitle = "   "\n', ":15: films[1].title: "),
        (AFTER + '[[films]]\ntitle = "$"\n', ":15: films[1].title: needs a letter or digit"),
        (AFTER + '[[celebrities]]\nname = "..."\n', ":15: celebrities[0].name: needs at least one letter"),
    ],
)
async def test_a_mistake_changes_nothing_and_is_named_with_its_place(
    start: Start, file: Path, text: str, says: str
) -> None:
    running = await start(FakeWorker(load(file)))
    change(file, text)
    problem = await apply(running, 422)
    assert says in problem["detail"]
    assert "Nothing was changed" in problem["detail"]
    assert list(running.worker.settings.connectors) == ["old", "kept"]


async def test_the_other_workers_take_it_up_too(start: Start, file: Path) -> None:
    one, two = FakeWorker(load(file)), FakeWorker(load(file))
    first, second = await start(one, "sesame"), await start(two, "sesame")
    owners = one.app.assignor.owners
    (tables,) = owners.values()
    one.app.assignor.owners = {**owners, second.url: tables}
    change(file, AFTER)
    await apply(first, 401)
    found = await apply(first, Authorization="Bearer sesame")
    assert found["others"] == [{"url": second.url, "ok": True, "detail": ""}]
    assert list(two.settings.connectors) == ["new", "kept"]


async def test_a_worker_that_does_not_answer_is_named(start: Start, file: Path, unused_port: int) -> None:
    running = await start(FakeWorker(load(file)))
    owners = running.worker.app.assignor.owners
    (tables,) = owners.values()
    running.worker.app.assignor.owners = {**owners, f"http://127.0.0.1:{unused_port}": tables}
    (other,) = (await apply(running))["others"]
    assert other["ok"] is False
    assert "does not answer" in other["detail"]
