"""The page in a real browser: upload, progress, play, re-roll, sequence, download, and errors."""

import io
import os
import re
import zipfile
from pathlib import Path

import browsing
import httpx
import numpy as np
import pytest
import tiny_bundle
from browsing import screenshot, until
from server import Server
from song import song

from dose import audio
from dose.errors import MissingInputError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """DOSE_BUNDLE, else the project's bundle, else an untrained one."""
    from dose.bundle import default_bundle

    if named := os.environ.get("DOSE_BUNDLE"):
        return Path(named).resolve()
    try:
        return default_bundle().resolve()
    except MissingInputError:
        return tiny_bundle.make(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(models, tmp_path_factory):
    with Server(tmp_path_factory.mktemp("serve"), DOSE_BUNDLE=str(models)) as running:
        yield running


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("songs")
    audio.write(folder / "midnight drive.wav", song(12))
    audio.write(folder / "long.flac", song(60))
    chord = sum(np.sin(2 * np.pi * hz * np.arange(8 * audio.RATE) / audio.RATE) for hz in (220, 277, 330))
    audio.write(folder / "no drums.wav", 0.1 * chord)
    audio.write(folder / "silence.wav", np.zeros((2, 44100), np.float32))
    (folder / "letter.wav").write_text("Dear sirs, this is no sound.")
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture
def page(browser, server):
    with browsing.watched(browser, server.url) as page:
        yield page


CHIP_TITLES = "[...document.querySelectorAll('.card[data-drum=%s] .chip')].map(c => c.title).join()"


def chips(page, drum: str) -> str:
    """Titles of a drum's candidates, which hold their seeds."""
    return page.evaluate(CHIP_TITLES % drum)


def extract(page, path: Path, candidates: str = "2") -> None:
    page.select_option("#candidates", candidates)
    page.set_input_files("#file", path)
    page.wait_for_selector("#kit:not([hidden])")


def test_weight_and_interactive_time(page, server):
    page.wait_for_selector("#service.good")
    weight = page.evaluate(
        "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
        ".reduce((sum, e) => sum + e.transferSize, 0)"
    )
    assert 20_000 < weight < 500_000
    page.reload()
    page.wait_for_selector("#service.good")
    assert page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive") < 1000
    assert "Ready" in page.inner_text("#service")
    screenshot(page, "page-start")


def test_upload_wait_play_reroll_download(page, files):
    page.select_option("#candidates", "4")
    page.set_input_files("#file", files["midnight drive"])
    page.wait_for_selector("#work:not([hidden]), #kit:not([hidden])")
    page.wait_for_selector("#kit:not([hidden])")
    until(page, "document.getElementById('clock').value.endsWith('0:12')")
    assert page.locator(".card").count() == 3
    assert page.locator('.card[data-drum="kick"] .chip').count() == 4
    assert page.locator("#legend li").count() == 3

    for drum, key in (("kick", "a"), ("snare", "s"), ("hihat", "d")):
        page.keyboard.press(key)
        assert page.evaluate("document.body.dataset.played").startswith(f"{drum}@")
    page.click('.card[data-drum="snare"] .pad')
    assert page.evaluate("document.body.dataset.played").startswith("snare@")

    page.click('.card[data-drum="kick"] .chip >> nth=1')
    assert page.get_attribute('.card[data-drum="kick"] .chip >> nth=1', "aria-checked") == "true"
    page.locator('.card[data-drum="kick"] input >> nth=0').fill("0.2")
    page.locator('.card[data-drum="kick"] input >> nth=1').fill("-6")
    assert page.inner_text('.card[data-drum="kick"] output >> nth=0') == "200 ms"
    screenshot(page, "page-kit")
    page.emulate_media(color_scheme="light")
    screenshot(page, "page-light")
    page.emulate_media(color_scheme="dark")

    before, kicks, hats = page.url, chips(page, "kick"), chips(page, "hihat")
    page.click('.card[data-drum="hihat"] button:has-text("Re-roll")')
    page.wait_for_url(lambda url: url != before)
    until(page, "document.getElementById('announcement').textContent.startsWith('New hihat')")
    rolled = chips(page, "hihat")
    assert (chips(page, "kick"), rolled != hats) == (kicks, True), "only the one drum changed"
    assert page.get_attribute('.card[data-drum="kick"] .chip >> nth=1', "aria-checked") == "true"
    page.click("#undo")
    page.wait_for_url(before)
    until(page, f"{CHIP_TITLES % 'hihat'} === {hats!r}")
    page.go_forward()
    until(page, f"{CHIP_TITLES % 'hihat'} === {rolled!r}")

    with page.expect_download() as wav:
        page.click('.card[data-drum="kick"] button:has-text("WAV")')
    sound = audio.read(wav.value.path())
    assert len(sound) == pytest.approx(0.2 * audio.RATE, abs=2)
    assert audio.db(audio.peak(sound)) == pytest.approx(-6, abs=0.05)

    page.select_option("#format", "sfz")
    with page.expect_download() as kit:
        page.click("#download")
    names = zipfile.ZipFile(io.BytesIO(kit.value.path().read_bytes())).namelist()
    midi = {"midnight_drive.mid", "midnight_drive-quantised.mid"}  # where the song has a steady beat
    assert set(names) - midi == {"hihat.wav", "kick.wav", "midnight_drive.sfz", "snare.wav"}


def test_the_kit_and_the_song_survive_a_reload(page, files):
    extract(page, files["midnight drive"], "1")
    page.reload()
    page.wait_for_selector("#kit:not([hidden])")
    until(page, "document.getElementById('clock').value.endsWith('0:12')")
    page.keyboard.press("Space")
    until(page, "document.getElementById('play').textContent === 'Pause'")
    page.keyboard.press("Space")
    page.keyboard.press("a")
    assert page.evaluate("document.body.dataset.played").startswith("kick@")


def test_the_example_needs_no_file_and_back_leads_to_the_start(page):
    page.wait_for_selector("#service.good")
    page.click("#example")
    page.wait_for_selector("#kit:not([hidden])")
    assert page.inner_text("#song-title") == "example.flac"
    page.go_back()
    page.wait_for_selector("#drop:not([hidden])")
    assert page.is_hidden("#kit")


def test_an_undetected_drum_is_marked_and_left_out(page, files):
    extract(page, files["no drums"], "2")
    undetected = page.locator(".card.undetected .confidence").all_inner_texts()
    assert undetected
    sentences = ("Probably not in this song", "This drum was not found")
    assert all(text.startswith(sentences) for text in undetected)
    assert page.locator("#legend li").count() + len(undetected) == 3, "no mark for an undetected drum"
    with page.expect_download() as kit:
        page.click("#download")
    names = zipfile.ZipFile(io.BytesIO(kit.value.path().read_bytes())).namelist()
    assert len(names) == (3 - len(undetected) or 3), "left out, unless there are no others"
    screenshot(page, "page-absent")


def test_sequencer_plays_beside_the_original_and_by_keyboard_alone(page, files):
    extract(page, files["midnight drive"], "1")
    until(page, "document.getElementById('clock').value.endsWith('0:12')")
    until(page, "Math.abs(document.getElementById('tempo').value - 120) < 3")
    page.check("#with-song")
    first = page.locator(".step >> nth=0")
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    assert page.get_attribute(".step >> nth=1", "aria-pressed") == "true"
    page.focus("#seq-play")
    page.keyboard.press("Enter")
    page.wait_for_selector(".step.now")
    until(page, "document.querySelectorAll('.step')[4].classList.contains('now')")
    assert page.get_attribute("#seq-play", "aria-pressed") == "true"
    screenshot(page, "page-sequencer")
    page.keyboard.press("Enter")
    assert page.locator(".step.now").count() == 0


def test_progress_and_cancel_of_a_long_song(page, files, server):
    page.select_option("#candidates", "8")
    page.set_input_files("#file", files["long"])
    page.wait_for_selector("#work:not([hidden])")
    until(page, "location.hash.startsWith('#job=')")
    until(page, "document.querySelector('#bar').ariaValueNow > 0")
    screenshot(page, "page-progress")
    page.click("#cancel")
    page.wait_for_selector("#drop:not([hidden])")
    assert page.inner_text("#announcement") == "Cancelled."
    assert page.is_hidden("#kit")
    assert page.is_hidden("#song")
    job = page.evaluate("location.hash").removeprefix("#job=")
    assert httpx.get(f"{server.url}/jobs/{job}").json()["state"] == "cancelled"


@pytest.mark.parametrize(("name", "sentence"), [("letter", "not a sound file"), ("silence", "silent")])
def test_an_unusable_file_is_reported_and_the_page_stays_usable(page, files, name, sentence):
    page.set_input_files("#file", files[name])
    page.wait_for_selector("#error:not([hidden])")
    assert sentence in page.inner_text("#error-text")
    if name == "letter":
        screenshot(page, "page-error")
    page.click("#error-close")
    extract(page, files["midnight drive"], "1")


def test_an_unreachable_service_is_reported(page, files):
    page.wait_for_selector("#service.good")
    page.route("**/jobs*", lambda route: route.abort())
    page.set_input_files("#file", files["midnight drive"])
    page.wait_for_selector("#error:not([hidden])")
    assert "cannot be reached" in page.inner_text("#error-text")
    page.unroute("**/jobs*")
    page.click("#error-retry")
    page.wait_for_selector("#kit:not([hidden])")


def test_a_phone_shows_everything_without_sideways_scrolling(browser, server, files):
    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        has_touch=True,
        is_mobile=True,
        color_scheme="dark",
    )
    page = context.new_page()
    page.goto(server.url)
    extract(page, files["midnight drive"], "4")
    page.tap('.card[data-drum="snare"] .pad')
    assert page.evaluate("document.body.dataset.played").startswith("snare@")
    page.tap(".touch-pad >> nth=2")
    assert page.evaluate("document.body.dataset.played").startswith("hihat@")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = page.evaluate(
        "[...document.querySelectorAll('button')].filter(b => b.offsetParent && !b.matches('.step')"
        " && b.getBoundingClientRect().height < 44).map(b => b.outerHTML.slice(0, 80))"
    )
    assert small == [], "every button is large enough for a finger"
    screenshot(page, "page-phone")
    context.close()


def test_every_control_has_a_name_and_can_be_reached(page, files):
    extract(page, files["midnight drive"], "2")
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, input, select, a')].filter(e => e.offsetParent !== null)
        .filter(e => !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML)"""
    )
    assert nameless == []
    reached = set()
    page.evaluate("document.activeElement.blur()")
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"play", "pad", "chip", "step", "seq-play", "download", "format"} <= reached
    levels = page.evaluate("[...document.querySelectorAll('h1, h2')].map(h => h.tagName)")
    assert levels[0] == "H1"
    assert re.fullmatch("H1(H2)+", "".join(levels))
