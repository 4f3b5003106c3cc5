"""A browser, and a worker's web for it to look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

from app.web.server import WebService
from tests.web.gallery import fill_gallery
from tests.web.stand_ins import fill, make_worker, service_of

REQUIRE_BROWSER = "MARQUEE_REQUIRE_BROWSER"
SWITCHES = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip


def _chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        why = "no chromium on the PATH (Debian: apt-get install chromium)"
        if os.environ.get(REQUIRE_BROWSER) == "1":
            pytest.fail(f"{REQUIRE_BROWSER}=1, but there is {why}")
        pytest.skip(f"NO BROWSER: {why}")
    return found


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A headless browser."""
    program = _chromium()
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=program, args=SWITCHES)
        yield started
        await started.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page that fails the test for errors in its scripts, refused content, and traffic that leaves this machine.

    Ask for it after the web that it looks at, so that it is closed first: pages look again by themselves.
    """
    shown = await browser.new_page()
    faults: list[str] = []
    shown.on("pageerror", lambda error: faults.append(str(error)))
    shown.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    shown.on("request", lambda asked: None if "//127.0.0.1:" in asked.url else faults.append(asked.url))
    yield shown
    await shown.close()
    assert faults == []


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[WebService]:
    """A worker's web over a few films, two people with pictures, a model and something that happened."""
    worker = make_worker(tmp_path)
    await fill_gallery(worker.store, tmp_path)
    scores = [8.0, 9.0, 7.5, 8.5, 6.0, 9.5, 8.0, 7.0, 8.5, 9.0] * 6
    await fill(worker.store, "tt1375666", "Inception", scores, year=2010)
    await fill(worker.store, "tmdb:movie/11", "Star Wars", [6.0, 8.0], year=1977)
    await fill(worker.store, "Q1", "An Uncommonly Long Title That Nobody Could Ever Fit On A Telephone " * 2, [5.0])
    for n in range(30):
        await fill(worker.store, f"tt{9000000 + n}", f"Sequel {n:02d}", [5.0 + n / 10], year=1990 + n)
    found = service_of(worker)
    await found.start()
    worker.own()
    worker.own_model({"mae": 0.91, "rmse": 1.2, "running_mean": 1.02, "global_mean": 1.5, "damped_mean_3": 0.95})
    worker.keeper.newest_at["future-rating"] = found.site.now() - 42
    found.beat()
    yield found
    await found.stop()
