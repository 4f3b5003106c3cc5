"""People's pages in a real browser: pictures are seen, and what somebody decides reaches the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from app.web.server import WebService
from schemas.catalogue import decode
from schemas.pictures import ForgetCelebrity, ImageFetched, RuleImage
from tests.storage.picture_events import KEANU, TILDA, item, sha
from tests.web.gallery import fill_gallery
from tests.web.stand_ins import make_worker, service_of

pytestmark = pytest.mark.browser

TOKEN = "sesame"


def address(service: WebService, path: str = f"/celebrities/{TILDA}") -> str:
    return f"http://127.0.0.1:{service.port}{path}"


def sent(service: WebService) -> list[Any]:
    return [decode(each.value, (ImageFetched, RuleImage, ForgetCelebrity)) for each in service.worker.producer.sent]  # type: ignore[attr-defined]


def picture(page: Page, words: str) -> Any:
    return page.locator(".pictures > li").filter(has_text=words)


async def test_one_gets_from_the_overview_to_a_picture(service: WebService, page: Page) -> None:
    await page.goto(address(service, "/"))
    await page.get_by_role("link", name="People", exact=True).click()
    await page.get_by_role("searchbox").fill("tilda")
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("link", name="Tilda Swinton").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Tilda Swinton")
    await page.get_by_role("link", name="kept 2").click()
    shown = page.locator(".pictures img")
    await expect(shown).to_have_count(2)
    for n in range(2):
        await shown.nth(n).scroll_into_view_if_needed()
        await expect(shown.nth(n)).to_have_js_property("naturalWidth", 40)
    await shown.first.click()
    first = min((0, 1), key=item)
    await expect(page).to_have_url(address(service, f"/images/{sha(first, 'cleaned')}"))
    assert await page.evaluate("document.images[0].naturalWidth") == 400


async def test_a_picture_is_kept_without_leaving_the_page(service: WebService, page: Page) -> None:
    await page.goto(address(service))
    button = picture(page, "no face").get_by_role("button", name="Keep")
    await button.click()
    await expect(page.get_by_role("status")).to_contain_text("Noted")
    await expect(button).to_be_disabled()
    assert sent(service) == [RuleImage(item_id=item(2), celebrity_id=TILDA, decision="keep")]


async def test_a_conflict_is_resolved_with_the_keyboard(service: WebService, page: Page) -> None:
    await page.goto(address(service, "/"))
    await page.get_by_role("listitem").filter(has_text="claimed for two people").get_by_role("link").click()
    await picture(page, f"claimed for {KEANU} too").get_by_role("button", name=KEANU).focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("Noted")
    assert [(each.item_id, each.decision) for each in sent(service)] == [
        (item(20, KEANU), "keep"),
        (item(4), "reject"),
    ]


async def test_nobody_is_forgotten_by_one_wrong_click(service: WebService, page: Page) -> None:
    await page.goto(address(service))
    await page.get_by_text("Forget this person").click()
    await page.get_by_role("button", name="Forget").click()
    assert sent(service) == []
    await page.get_by_label("I am sure").check()
    await page.get_by_role("button", name="Forget").click()
    await expect(page.get_by_role("status")).to_contain_text("Noted")
    assert sent(service) == [ForgetCelebrity(celebrity_id=TILDA)]


async def test_without_scripts_the_forms_do_the_same(browser: Browser, service: WebService) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(address(service))
    await picture(page, "no face").get_by_role("button", name="Keep").click()
    await expect(page.get_by_role("status")).to_contain_text("Noted")
    await page.get_by_text("Forget this person").click()
    await page.get_by_label("I am sure").check()
    await page.get_by_role("button", name="Forget").click()
    await expect(page.get_by_role("status")).to_contain_text("being erased")
    assert sent(service) == [
        RuleImage(item_id=item(2), celebrity_id=TILDA, decision="keep"),
        ForgetCelebrity(celebrity_id=TILDA),
    ]
    await context.close()


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[WebService]:
    """A worker's web that wants a token of whoever changes something."""
    worker = make_worker(tmp_path)
    await fill_gallery(worker.store, tmp_path)
    found = service_of(worker, TOKEN)
    await found.start()
    worker.own()
    yield found
    await found.stop()


async def test_where_a_token_is_wanted_the_page_asks_for_it_once(browser: Browser, guarded: WebService) -> None:
    # The refused request is what the browser's console complains of, so this page does not watch it.
    page = await browser.new_page()
    await page.goto(address(guarded))
    await picture(page, "no face").get_by_role("button", name="Keep").click()
    for given in ("wrong", TOKEN):
        await page.get_by_label("The worker's MARQUEE_API_TOKEN").fill(given)
        await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_role("status")).to_contain_text("Noted")
    await picture(page, "unsafe").get_by_role("button", name="Reject").click()
    await expect(picture(page, "unsafe").get_by_role("button", name="Reject")).to_be_disabled()
    assert [each.decision for each in sent(guarded)] == ["keep", "reject"]
    await page.close()


async def test_a_picture_that_was_rejected_is_marked_as_such(service: WebService, page: Page) -> None:
    await page.goto(address(service, f"/celebrities/{TILDA}?verdict=duplicate"))
    await expect(picture(page, "a copy of a picture")).to_contain_text("distance 7")
    await expect(page.locator(".pictures > li")).to_have_count(1)
