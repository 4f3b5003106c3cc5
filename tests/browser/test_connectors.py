"""The connectors' pages in a real browser: the grid, one connector's history, and words that reach the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from app.web.server import WebService
from schemas.mentions import ResolveMention
from schemas.scrapes import SteerConnector
from tests.browser.test_dashboard import CONTRASTS, NAMELESS
from tests.web.collecting import fill_collecting, make_collecting_worker
from tests.web.stand_ins import service_of
from tests.web.test_connectors import read

pytestmark = pytest.mark.browser

PAGES = ["/connectors", "/connectors/daily", "/matches"]
each_page = pytest.mark.parametrize("path", PAGES)


@pytest.fixture
async def collecting() -> AsyncIterator[WebService]:
    """A worker's web over three connectors with a history, and two open mentions."""
    worker = make_collecting_worker()
    await fill_collecting(worker.store)
    found = service_of(worker)
    await found.start()
    worker.own()
    found.beat()
    yield found
    await found.stop()


def address(service: WebService, path: str) -> str:
    return f"http://127.0.0.1:{service.port}{path}"


def sent(service: WebService) -> list[Any]:
    return [read(each) for each in service.worker.producer.sent]  # type: ignore[attr-defined]


async def test_one_gets_from_the_overview_to_why_a_run_failed(collecting: WebService, page: Page) -> None:
    await page.goto(address(collecting, "/"))
    await expect(page.get_by_text("connector daily is paused")).to_be_visible()
    await page.get_by_role("link", name="Connectors", exact=True).click()
    fields = page.locator('[data-connector="daily"] a.run')
    await expect(fields).to_have_count(4)
    colours = await fields.evaluate_all("all => all.map((each) => getComputedStyle(each).backgroundColor)")
    assert len(set(colours)) == 4
    await page.get_by_role("link", name="failed, 1200 records").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("daily")
    await expect(page.locator("tr:target")).to_contain_text("503")


async def test_a_connector_is_run_and_resumed_without_leaving_the_grid(collecting: WebService, page: Page) -> None:
    await page.goto(address(collecting, "/connectors"))
    await page.get_by_role("button", name="Run by-hand").click()
    await expect(page.get_by_role("status")).to_contain_text("Noted")
    resume = page.get_by_role("button", name="Resume daily")
    await resume.click()
    await expect(resume).to_be_disabled()
    asked, resumed = sent(collecting)
    assert (asked.connector, asked.trigger) == ("by-hand", "manual")
    assert resumed == SteerConnector(connector="daily", action="resume")


async def test_a_backfill_and_a_pause_are_asked_for_on_the_connectors_page(collecting: WebService, page: Page) -> None:
    await page.goto(address(collecting, "/connectors/daily"))
    await page.get_by_text("Backfill", exact=True).first.click()
    await page.get_by_label("From").fill("2026-01-01")
    await page.get_by_label("To, whole days").fill("2026-01-02")
    await page.get_by_role("button", name="Backfill").click()
    await expect(page.get_by_role("status")).to_contain_text("Noted")
    assert [each.logical_date for each in sent(collecting)] == ["2026-01-01T05:00:00Z", "2026-01-02T05:00:00Z"]
    await page.goto(address(collecting, "/connectors/by-hand"))
    await page.get_by_label("Why").fill("they move")
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("status")).to_contain_text("Noted")
    assert sent(collecting)[-1] == SteerConnector(connector="by-hand", action="pause", reason="they move")


async def test_mentions_are_resolved_by_a_click_by_an_id_or_as_none(collecting: WebService, page: Page) -> None:
    await page.goto(address(collecting, "/matches"))
    first, second = (page.locator(f'[data-mention="m{n}"]') for n in range(2))
    await first.get_by_role("button", name="Solaris (1972)").click()
    await expect(first.get_by_role("button", name="Solaris (1972)")).to_be_disabled()
    await second.get_by_label("Another film's id").fill("Solaris")
    await second.get_by_role("button", name="None of these").click()
    await expect(second.get_by_role("button", name="None of these")).to_be_disabled()
    assert sent(collecting) == [
        ResolveMention(mention_id="m0", film_id="tt0000001"),
        ResolveMention(mention_id="m1", film_id=None),
    ]


async def test_without_scripts_the_forms_do_the_same(browser: Browser, collecting: WebService) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(address(collecting, "/connectors"))
    await page.get_by_role("button", name="Run by-hand").click()
    await expect(page.get_by_role("status")).to_contain_text("Noted")
    await page.goto(address(collecting, "/matches"))
    await page.locator('[data-mention="m0"]').get_by_label("Another film's id").fill("tt0000003")
    await page.locator('[data-mention="m0"]').get_by_role("button", name="It is this").click()
    await expect(page.get_by_role("status")).to_contain_text("Noted")
    asked, resolved = sent(collecting)
    assert asked.connector == "by-hand"
    assert resolved == ResolveMention(mention_id="m0", film_id="tt0000003")
    await context.close()


@each_page
async def test_a_page_fits_a_telephone_of_360_pixels(collecting: WebService, page: Page, path: str) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto(address(collecting, path))
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


@each_page
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_can_be_read_by_day_and_by_night(collecting: WebService, page: Page, path: str, scheme: str) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    await page.goto(address(collecting, path))
    assert await page.evaluate(CONTRASTS) == []


@each_page
async def test_everything_that_can_be_used_has_a_name(collecting: WebService, page: Page, path: str) -> None:
    await page.goto(address(collecting, path))
    assert await page.evaluate(NAMELESS) == []
