"""The page in headless Chromium: how it is started, watched, waited for and shown."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator

from server import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
]
IMAGES = ROOT / "docs" / "images"


@contextlib.contextmanager
def watched(browser, url: str, prepare=lambda page: None) -> Iterator:
    """A fresh page at `url`; any request to another host and any script error fails the test."""
    context = browser.new_context(
        viewport={"width": 1180, "height": 900}, accept_downloads=True, color_scheme="dark"
    )
    page = context.new_page()
    page.set_default_timeout(90_000)
    unexpected: list[str] = []
    page.on("request", lambda r: r.url.startswith((url, "blob:", "data:")) or unexpected.append(r.url))
    page.on("pageerror", lambda e: unexpected.append(str(e)))
    prepare(page)
    page.goto(url)
    yield page
    context.close()
    assert unexpected == []


def until(page, expression: str, seconds: float = 90) -> None:
    """Waits until a JavaScript expression holds (Playwright's own way needs `eval`; the page forbids it)."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        time.sleep(0.05)


def screenshot(page, name: str) -> None:
    """Screenshots go into the docs when DOSE_SCREENSHOTS is set, as `make test-web` does."""
    if os.environ.get("DOSE_SCREENSHOTS"):
        IMAGES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=IMAGES / f"{name}.png", full_page=True)
