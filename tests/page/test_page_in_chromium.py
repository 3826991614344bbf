"""The page in a real Chromium, over a corpus whose every text is an attack: as each role, and as nobody."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from realsyn_ops.page.rendering import VIEWS
from tests.operators.takedown_corpus import DAYS
from tests.page.chromium import chromium, with_token
from tests.page.conftest import PREFIX, Page
from tests.page.hostile_corpus import ATTACKS

WIDTHS = {"phone": 390, "desk": 1280}
PATHS = [
    *(f"/{view}" for view in VIEWS), f"/rejects?day={DAYS[0]}&reason=perceptual_duplicate",
    *(f"/gallery?words={n}" for n in ("heron", "nothing")),
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def signed_in(browser: Browser, page: Page, user: str, *, width: int = 1280, theme: str = "light") -> BrowserContext:
    token = page.clients[user].headers["Authorization"].removeprefix("Bearer ") if user else ""
    return with_token(browser, page.url, token, width=width, theme=theme)


@pytest.mark.parametrize("user", ["admin", "operator", "viewer"])
def test_no_view_runs_what_it_shows(browser: Browser, page: Page, user: str) -> None:
    with signed_in(browser, page, user) as context:
        tab = context.new_page()
        said: list[str] = []
        tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        for path in PATHS:
            answer = tab.goto(page.url + PREFIX + path)
            assert answer and answer.status == 200, path
            assert tab.locator("h1").count() == 1, path
            assert tab.evaluate("window.hacked") is None, path
            tab.mouse.move(400, 300)
        for attack in ATTACKS:
            tab.goto(f"{page.url}{PREFIX}/gallery?" + urlencode({"words": attack, "source": attack}))
            assert tab.evaluate("window.hacked") is None, attack
        assert said == []


def test_nobody_sees_nothing(browser: Browser, page: Page) -> None:
    with signed_in(browser, page, "") as context:
        tab = context.new_page()
        for path in PATHS:
            answer = tab.goto(page.url + PREFIX + path)
            assert answer and answer.status == 401, path
            assert tab.locator("img, table, article").count() == 0


@pytest.mark.parametrize("width", WIDTHS.values(), ids=list(WIDTHS))
def test_every_view_fits_its_width(browser: Browser, page: Page, width: int) -> None:
    with signed_in(browser, page, "admin", width=width) as context:
        tab = context.new_page()
        for path in PATHS:
            tab.goto(page.url + PREFIX + path)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, path


def test_a_page_is_walked_by_keyboard(browser: Browser, page: Page) -> None:
    with signed_in(browser, page, "viewer") as context:
        tab = context.new_page()
        tab.goto(page.url + PREFIX + "/gallery")
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.textContent") == "Skip to the view"
        tab.keyboard.press("Enter")
        tab.keyboard.press("Tab")
        tab.keyboard.type("heron")
        tab.keyboard.press("Enter")
        tab.wait_for_url("**words=heron**")
        assert tab.locator("article.pair").count() > 0
        assert all("heron" in text.lower() for text in tab.locator("article.pair").all_text_contents())


def test_the_theme_is_airflows(browser: Browser, page: Page) -> None:
    with signed_in(browser, page, "viewer", theme="light") as context:
        tab = context.new_page()
        tab.goto(page.url + PREFIX + "/gates")
        light = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        tab.evaluate("localStorage.setItem('theme', 'dark')")
        tab.reload()
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != light


def test_a_slider_counts_what_another_limit_would_do(browser: Browser, page: Page) -> None:
    with signed_in(browser, page, "operator") as context:
        tab = context.new_page()
        tab.goto(f"{page.url}{PREFIX}/rejects?day={DAYS[0]}")
        slider = tab.locator("[data-limit=max_words]")
        slider.locator("input").evaluate("one => { one.value = 4; one.dispatchEvent(new Event('change')); }")
        told = slider.locator(".told-if")
        expect(told).to_contain_text("Now")
        expect(told).to_contain_text("too many words")


def test_airflow_shows_the_page_in_its_navigation(browser: Browser, page: Page) -> None:
    with signed_in(browser, page, "viewer") as context:
        tab = context.new_page()
        tab.goto(f"{page.url}/plugin/realsyn")
        assert tab.frame_locator("iframe").locator("h1").text_content() == "The funnel"
