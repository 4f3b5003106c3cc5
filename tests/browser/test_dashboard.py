"""The dashboard in a real browser: live, usable with a keyboard, in the dark, on a telephone, and without scripts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from playwright.async_api import Browser, Page, expect

from app.observe import metrics
from app.web.server import WebService

pytestmark = pytest.mark.browser

PAGES = [
    "/",
    "/films",
    "/films/tt1375666",
    "/celebrities",
    "/celebrities/Q200534",
    "/models",
    "/models/future-rating",
    "/docs",
]


def address(service: WebService, path: str = "/") -> str:
    return f"http://127.0.0.1:{service.port}{path}"


async def test_the_overview_shows_all_parts_and_goes_live(service: WebService, page: Page) -> None:
    await page.goto(address(service))
    for heading in ("Needs attention", "What is happening now", "Films"):
        await expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    await expect(page.get_by_role("status")).to_have_text("live")
    await expect(page.get_by_role("link", name="Inception")).to_have_attribute("href", "/films/tt1375666")


async def test_figures_move_without_loading_the_page_again(service: WebService, page: Page) -> None:
    await page.goto(address(service))
    await expect(page.get_by_role("status")).to_have_text("live")
    await page.evaluate("window.stayed = true")
    errors = page.locator('[data-stage="register"] [data-field="errors"]')
    before = int(await errors.inner_text())
    metrics.ERRORS.labels("register", "Unavailable").inc(7)
    await expect(errors).to_have_text(str(before + 7), timeout=30_000)
    service.worker.gate_open = False
    await expect(page.locator("[data-gate]")).to_have_text("shut", timeout=30_000)
    assert await page.evaluate("window.stayed") is True


async def test_what_happens_is_listed_as_text_and_can_be_paused(service: WebService, page: Page) -> None:
    await page.goto(address(service))
    await expect(page.get_by_role("status")).to_have_text("live")
    nasty = "<img src=x onerror=alert(1)>"
    service.site.bus.publish("film", {"film_id": "tmdb:movie/11", "title": nasty, "year": 1977})
    line = page.locator("[data-feed] li").first
    await expect(line).to_have_text(f"{nasty} (1977) is new")
    assert await page.locator("[data-feed] img").count() == 0
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("status")).to_have_text("paused")
    service.site.bus.publish("film", {"film_id": "Q1", "title": "Unseen", "year": None})
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_role("status")).to_have_text("live")
    service.site.bus.publish("film", {"film_id": "Q1", "title": "Seen", "year": None})
    await expect(line).to_have_text("Seen is new")
    said = {"film_id": "Q1", "predicted": 7.0, "current_mean": 6.5, "n_ratings": 2}
    service.site.bus.publish("prediction", {**said, "title": None})
    await expect(line).to_have_text("Q1 next ten expected at 7.00 (mean 6.50 of 2)")
    service.site.bus.publish("prediction", {**said, "title": nasty})
    await expect(line).to_have_text(f"{nasty} next ten expected at 7.00 (mean 6.50 of 2)")
    await line.get_by_role("link").click()
    await expect(page).to_have_url(address(service, "/films/Q1"))


async def test_one_finds_a_film_with_the_keyboard_alone(service: WebService, page: Page) -> None:
    await page.goto(address(service, "/films"))
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await page.get_by_role("searchbox").focus()
    await page.keyboard.type("incep")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("row")).to_have_count(2)
    await page.get_by_role("link", name="Inception").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Inception")
    await expect(page.get_by_role("img", name="Ratings of this film")).to_be_visible()


async def test_pages_follow_one_another_and_sorting_is_kept(service: WebService, page: Page) -> None:
    await page.goto(address(service, "/films"))
    await page.get_by_label("Sort by").select_option("-year")
    await page.get_by_role("button", name="Search").click()
    await expect(page.get_by_role("row").nth(1)).to_contain_text("Star Wars")
    await page.get_by_role("link", name="More films").click()
    await expect(page.get_by_label("Sort by")).to_have_value("-year")
    await expect(page.get_by_role("link", name="First page")).to_be_visible()
    await expect(page.get_by_role("row").nth(1)).not_to_contain_text("Star Wars")


async def test_without_scripts_everything_but_the_movement_is_there(browser: Browser, service: WebService) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(address(service))
    await expect(page.get_by_role("link", name="Inception")).to_be_visible()
    await expect(page.locator("[data-stage]")).to_have_count(len(service.worker.topology.stages))
    await expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    await page.get_by_role("link", name="Models", exact=True).click()
    await expect(page.get_by_role("img", name="Mean absolute error")).to_be_visible()
    await context.close()


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_fits_a_telephone_of_360_pixels(service: WebService, page: Page, path: str) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto(address(service, path))
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


CONTRASTS = """
() => {
  const channel = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = (rgb) => 0.2126 * channel(rgb[0]) + 0.7152 * channel(rgb[1]) + 0.0722 * channel(rgb[2]);
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const node of document.querySelectorAll("body *")) {
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())) continue;
    if (!node.checkVisibility()) continue;
    const style = getComputedStyle(node);
    const front = light(parse(node.ownerSVGElement ? style.fill : style.color)), back = light(behind(node));
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (ratio < 4.5) low.push(`${node.tagName} ${node.className} ${ratio.toFixed(2)} ${node.textContent.slice(0, 30)}`);
  }
  return low;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
async def test_text_can_be_read_by_day_and_by_night(service: WebService, page: Page, path: str, scheme: str) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    await page.goto(address(service, path))
    assert await page.evaluate(CONTRASTS) == []
    paper = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in paper[4:-1].split(",")) < 200) == (scheme == "dark")


NAMELESS = """
() => [...document.querySelectorAll("a, button, input, select, svg, th, table, html, img")].filter((node) => {
  if (node.tagName === "HTML") return !node.lang;
  if (node.tagName === "TABLE") return !node.querySelector("th[scope]");
  if (node.tagName === "TH") return !node.scope;
  if (node.tagName === "IMG") return !node.alt;
  if (node.tagName === "svg") return !node.getAttribute("aria-label");
  if (["INPUT", "SELECT"].includes(node.tagName)) return !node.labels.length;
  return !node.textContent.trim() && !node.querySelector("img[alt]:not([alt=''])");
}).map((node) => node.outerHTML.slice(0, 80))
"""


@pytest.mark.parametrize("path", PAGES)
async def test_everything_that_can_be_used_has_a_name(service: WebService, page: Page, path: str) -> None:
    await page.goto(address(service, path))
    assert await page.evaluate(NAMELESS) == []
    levels = await page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
