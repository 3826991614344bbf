"""Debian's Chromium, and whoever has signed in to Airflow in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, sync_playwright

_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "this needs Debian's package chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, headless=True, args=_ARGUMENTS)
        yield found
        found.close()


def with_token(
    browser: Browser, url: str, token: str, *, width: int = 1280, height: int = 900, theme: str = "light"
) -> BrowserContext:
    """A window of somebody with this token of Airflow's; of nobody where it is empty."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]
    context.set_default_timeout(120_000)
    if token:
        context.add_cookies([{"name": "_token", "value": token, "url": url}])
    return context
