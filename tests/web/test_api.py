"""The description of the API is valid, complete, and what the worker does; errors are problem documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from yarl import URL

from app.web.application import make_application
from app.web.routes import ROUTES
from tests.storage.picture_events import TILDA, item, sha
from tests.web.collecting import DAILY, fill_collecting
from tests.web.conftest import Running, Start
from tests.web.gallery import fill_gallery
from tests.web.looking import looking, own_faces, png
from tests.web.stand_ins import fill, make_worker

BODIES: dict[str, dict[str, Any]] = {
    "/films": {"title": "Inception"},
    "/celebrities": {"name": "Tilda Swinton"},
    "/celebrities/{id}/images/{image_id}/ruling": {"decision": "keep"},
    "/celebrities/{id}/images/{image_id}/resolve": {"belongs_to": "both"},
    "/connectors/{name}/run": {"from_start": True},
    "/connectors/{name}/pause": {"reason": "why"},
    "/connectors/{name}/resume": {},
    "/connectors/{name}/backfill": {"from": "2026-01-01", "to": "2026-01-02"},
    "/matches/{mention_id}": {"film_id": "tt0000001"},
}


@pytest.fixture
async def stocked(start: Start, tmp_path: Path) -> Running:
    """A service with something behind every route."""
    worker = make_worker(tmp_path)
    await fill_gallery(worker.store, tmp_path)
    await fill(worker.store, "tt1375666", "Inception", [8.0] * 12)
    worker.settings = msgspec.structs.replace(worker.settings, connectors={"daily": DAILY})
    await fill_collecting(worker.store)
    await worker.store.pointers.advance("future-rating", 5, "ab" * 32, {"metrics": {"mae": 1.0}, "created_at": 1.0})
    own_faces(worker)
    running = await start(worker, faces=looking(worker))
    worker.own_model({"mae": 0.9, "running_mean": 1.0, "mae_warm": None})
    worker.predict("tt1375666", 8.5)
    running.service.beat()
    return running


async def described(running: Running) -> dict[str, Any]:
    async with running.get("/openapi.json") as response:
        assert response.status == 200
        found: dict[str, Any] = await response.json()
        return found


async def test_the_description_is_valid_openapi(stocked: Running) -> None:
    document = await described(stocked)
    assert document["openapi"] == "3.1.0"
    validate(document, cls=OpenAPIV31SpecValidator)


async def test_every_route_of_the_contract_is_described(stocked: Running) -> None:
    document = await described(stocked)
    described_routes = {f"{method.upper()} {path}" for path, each in document["paths"].items() for method in each}
    assert described_routes >= {
        "POST /films", "POST /celebrities", "GET /films", "GET /films/{id}", "GET /films/{id}/prediction",
        "GET /films/{id}/history", "GET /films/{id}/similar", "GET /models", "GET /models/{name}", "GET /livez",
        "GET /celebrities", "GET /celebrities/{id}", "GET /celebrities/{id}/images", "GET /images/{sha256}",
        "GET /images/{sha256}/thumbnail", "DELETE /celebrities/{id}",
        "POST /identify",
        "GET /connectors", "GET /connectors/{name}/runs", "POST /connectors/{name}/run",
        "POST /connectors/{name}/pause", "POST /connectors/{name}/resume", "POST /connectors/{name}/backfill",
        "GET /readyz", "GET /statusz", "GET /metrics", "GET /", "GET /events",
    }  # fmt: skip


async def test_no_route_is_served_that_is_not_described(stocked: Running) -> None:
    service = stocked.service
    application = make_application(service.site, "", True, frozenset())
    served = {route.resource.canonical for route in application.router.routes() if route.resource is not None}
    document = await described(stocked)
    assert served - {"/static"} == set(document["paths"])


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_described_route_answers_as_described(stocked: Running, route: Any) -> None:
    document = await described(stocked)
    operation = document["paths"][route.path][route.method.lower()]
    named = {"name": "future-rating", "sha256": sha(0, "cleaned"), "image_id": item(4)}
    named["id"] = TILDA if "celebrities" in route.path else "tt1375666"
    if "connectors" in route.path:
        named["name"] = "daily"
    named["mention_id"] = "m0"
    path = route.path.format(**named)
    body = BODIES.get(route.path) if route.method == "POST" else None
    sent: dict[str, Any] = {"data": png("red")} if isinstance(route.body, str) else {"json": body}
    async with stocked.client.request(route.method, stocked.url + path, **sent) as response:
        assert str(response.status) in operation["responses"]
        assert response.status == route.status
        content = operation["responses"][str(route.status)]["content"]
        assert response.content_type in content
        if response.content_type == "application/json":
            schema = {**content["application/json"]["schema"], "components": document["components"]}
            jsonschema.Draft202012Validator(schema).validate(await response.json())


async def test_heads_are_answered_without_bodies(stocked: Running) -> None:
    for path in ("/", "/films", "/livez", "/openapi.json"):
        async with stocked.client.head(stocked.url + path) as response:
            assert response.status == 200
            assert await response.read() == b""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing/here", 404),
        ("GET", "/static/../server.py", 404),
        ("GET", "/static/%2e%2e/server.py", 404),
        ("GET", "/films/", 404),
        ("DELETE", "/films", 405),
        ("PUT", "/films/tt1375666", 405),
        ("POST", "/readyz", 405),
        ("POST", "/metrics", 405),
        ("OPTIONS", "/films", 405),
    ],
)
async def test_wrong_addresses_and_methods_get_problems(running: Running, method: str, path: str, status: int) -> None:
    async with running.client.request(method, URL(running.url + path, encoded=True)) as response:
        assert response.status == status
        problem = await response.json(content_type="application/problem+json")
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    if status == 405:
        assert "Allow" in response.headers


async def test_a_mistake_of_the_worker_is_a_problem_without_its_inside(running: Running) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("secret inside")

    running.worker.store.films.films = broken
    async with running.get("/films") as response:
        assert response.status == 500
        text = await response.text()
    assert "secret" not in text
    assert "Traceback" not in text


async def test_a_store_that_hangs_is_given_up(running: Running) -> None:
    import asyncio

    from aiohttp.test_utils import TestClient, TestServer

    async def hang(*_: Any) -> None:
        await asyncio.Event().wait()

    running.worker.store.films.films = hang
    application = make_application(running.service.site, "", True, frozenset(), request_seconds=0.05)
    async with TestClient(TestServer(application)) as client:
        response = await client.get("/films")
        assert response.status == 503
        assert "Retry-After" in response.headers


@pytest.mark.parametrize("path", ["/", "/films", "/livez", "/nothing", "/static/live.js", "/docs"])
async def test_every_answer_carries_the_guards_for_browsers(running: Running, path: str) -> None:
    async with running.get(path, headers={"Origin": "https://evil.example"}) as response:
        headers = response.headers
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert not [name for name in headers if name.lower().startswith("access-control")]
