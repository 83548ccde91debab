"""The page for everyone: axe-core finds nothing, light and dark, down to 320 px, by keyboard."""

import browsing
import groove
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import until
from fake_extractor import FakeExtractor

from dose import audio

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SCHEMES = ("dark", "light")


@pytest.fixture
def url(on_a_port):
    return on_a_port(FakeExtractor(transcription=groove.transcription(), sounds=groove.sounds()))


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "midnight drive.wav"
    audio.write(path, groove.loop(groove.transcription()))
    return path


def violations(page) -> list[str]:
    """axe-core's findings, with the elements that they are about; transitions have ended."""
    page.wait_for_timeout(400)
    found = Axe().run(page).response["violations"]
    return [
        f"{v['id']}: {node['html'][:120]} {node['failureSummary'][:300]}"
        for v in found
        for node in v["nodes"]
    ]


def extract(page, song) -> None:
    page.wait_for_selector("#service.good")
    page.set_input_files("#file", song)
    page.wait_for_selector("#kit:not([hidden])")
    until(page, "!document.getElementById('clock').value.endsWith('0:00')")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(browser, url, song, tmp_path, scheme):
    with browsing.watched(browser, url, lambda page: page.emulate_media(color_scheme=scheme)) as page:
        page.wait_for_selector("#service.good")
        assert violations(page) == []
        (tmp_path / "letter.wav").write_text("Dear sirs, this is no sound.")
        page.set_input_files("#file", tmp_path / "letter.wav")
        page.wait_for_selector("#error:not([hidden])")
        assert violations(page) == []
        page.click("#error-close")
        extract(page, song)
        assert violations(page) == []


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_is_wider_than_the_screen(browser, url, song, width):
    context = browser.new_context(viewport={"width": width, "height": 700})
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("#service.good")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    extract(page, song)
    wide = f"[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > {width})"
    assert page.evaluate(f"{wide}.map(e => (e.id || e.className) + ' ' + e.tagName).join()") == ""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []
    context.close()
