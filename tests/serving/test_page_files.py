"""Files in and out of the page: several at once, pasted, dragged out, and the kits of earlier visits."""

import base64
import re

import browsing
import groove
import httpx
import pytest
from browsing import until
from fake_extractor import FakeExtractor

from dose import audio
from dose.bundle import SHIPPED, open_bundle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NAMES = ("midnight drive.wav", "second song.wav", "third song.wav")
# Dispatches an event with files or, for dragstart, reads what an element offers. {type: data}
DRAGGED = """selector => {
  const dataTransfer = new DataTransfer();
  const event = new DragEvent('dragstart', { dataTransfer, cancelable: true, bubbles: true });
  const allowed = document.querySelector(selector).dispatchEvent(event);
  return allowed ? Object.fromEntries([...dataTransfer.types].map(t => [t, dataTransfer.getData(t)])) : null;
}"""
GIVEN = """([kind, files]) => {
  const transfer = new DataTransfer();
  for (const [name, data] of files) {
    transfer.items.add(new File([Uint8Array.from(atob(data), c => c.charCodeAt(0))], name));
  }
  const event = kind === 'paste' ? new ClipboardEvent(kind, { clipboardData: transfer, bubbles: true })
    : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""


@pytest.fixture
def serve(on_a_port):
    def start(version: str = "fake-1") -> str:
        extractor = FakeExtractor(
            version=version, transcription=groove.transcription(), sounds=groove.sounds()
        )
        return on_a_port(extractor)

    return start


@pytest.fixture
def songs(tmp_path):
    for name in NAMES:
        audio.write(tmp_path / name, groove.loop(groove.transcription()))
    return [tmp_path / name for name in NAMES]


def give(page, kind: str, songs) -> None:
    page.wait_for_selector("#service.good")
    page.evaluate(GIVEN, [kind, [[s.name, base64.b64encode(s.read_bytes()).decode()] for s in songs]])


def recent(page) -> list[str]:
    return page.locator("#recent-list a").all_inner_texts()


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_the_first_of_several_files_is_shown_and_the_others_wait_as_recent_kits(browser, serve, songs, kind):
    with browsing.watched(browser, serve()) as page:
        give(page, kind, songs)
        page.wait_for_selector("#kit:not([hidden])")
        assert page.inner_text("#song-title") == NAMES[0]
        until(page, "document.querySelectorAll('#recent-list a').length === 3")
        assert sorted(recent(page)) == sorted(NAMES)
        page.click(f"#recent-list a:has-text('{NAMES[1]}')")
        until(page, f"document.getElementById('song-title').textContent === '{NAMES[1]}'")
        page.wait_for_selector("#kit:not([hidden])")
        page.go_back()
        until(page, f"document.getElementById('song-title').textContent === '{NAMES[0]}'")


def test_one_file_of_several_that_is_no_sound_is_named(browser, serve, songs, tmp_path):
    (tmp_path / "letter.wav").write_text("Dear sirs, this is no sound.")
    with browsing.watched(browser, serve()) as page:
        give(page, "drop", [songs[0], tmp_path / "letter.wav", songs[1]])
        page.wait_for_selector("#error:not([hidden])")
        assert page.inner_text("#error-what") == "letter.wav was not taken"
        page.wait_for_selector("#kit:not([hidden])")
        until(page, "document.querySelectorAll('#recent-list a').length === 2")


def test_kits_are_remembered_forgotten_and_gone_with_their_jobs(browser, serve, songs):
    url = serve()
    with browsing.watched(browser, url) as page:
        give(page, "drop", songs[:2])
        page.wait_for_selector("#kit:not([hidden])")
        until(page, "document.querySelectorAll('#recent-list a').length === 2")
        page.click('.card[data-drum="snare"] button:has-text("Re-roll")')
        until(page, "document.getElementById('announcement').textContent.startsWith('New snare')")
        until(page, "[...document.querySelectorAll('#recent-list a')].some(a => a.href === location.href)")
        page.goto(f"{url}/?again")
        until(page, "document.querySelectorAll('#recent-list a').length === 2")
        assert page.is_visible("#drop")
        page.click(f"#recent-list a:has-text('{NAMES[0]}')")
        page.wait_for_selector("#kit:not([hidden])")
        assert page.inner_text("#song-title") == NAMES[0]
        page.click(f"button[aria-label='Forget {NAMES[0]}']")
        assert recent(page) == [NAMES[1]]
        [job] = page.evaluate("JSON.parse(localStorage.getItem('dose-recent')).map(e => e.id)")
        assert httpx.delete(f"{url}/jobs/{job}").status_code == 204
        page.goto(f"{url}/?once-more")
        until(page, "document.getElementById('recent').hidden")


def test_a_damaged_history_does_no_harm(browser, serve):
    def damage(page):
        page.add_init_script("localStorage.setItem('dose-recent', '{no json')")

    with browsing.watched(browser, serve(), damage) as page:
        page.wait_for_selector("#service.good")
        assert page.is_hidden("#recent")


def test_wav_and_midi_can_be_dragged_out(browser, serve, songs):
    """What is dragged is the address at which the service gives the same file as the button."""
    with browsing.watched(browser, serve()) as page:
        give(page, "drop", songs[:1])
        page.wait_for_selector("#kit:not([hidden])")
        page.locator('.card[data-drum="snare"] input >> nth=1').fill("-6")
        for selector, mime, name, start in (
            ('.card[data-drum="snare"] .button.ghost', "audio/wav", "midnight drive snare.wav", b"RIFF"),
            ("#midi-played", "audio/midi", "midnight drive.mid", b"MThd"),
            ("#midi-quantised", "audio/midi", "midnight drive-quantised.mid", b"MThd"),
        ):
            assert page.get_attribute(selector, "draggable") == "true"
            offered = page.evaluate(DRAGGED, selector)
            address = offered["text/uri-list"]
            assert offered["downloadurl"] == f"{mime}:{name}:{address}"
            body = httpx.get(address).raise_for_status().content
            assert body.startswith(start)
            if mime == "audio/wav":
                (songs[0].parent / "dragged.wav").write_bytes(body)
                assert audio.db(audio.peak(audio.read(songs[0].parent / "dragged.wav"))) == pytest.approx(
                    -6, abs=0.05
                )


def test_with_a_key_nothing_can_be_dragged_as_no_header_would_go_with_it(browser, serve, songs):
    with browsing.watched(browser, serve()) as page:
        give(page, "drop", songs[:1])
        page.wait_for_selector("#kit:not([hidden])")
        page.evaluate("sessionStorage.setItem('dose-key', 'secret')")
        page.reload()
        page.wait_for_selector("#kit:not([hidden])")
        assert page.evaluate(DRAGGED, "#midi-played") is None


@pytest.mark.parametrize("shipped", [True, False])
def test_the_kit_names_its_source_energy_its_models_and_their_licence(browser, serve, songs, shipped):
    version = open_bundle(SHIPPED).version if shipped else "another-1"
    with browsing.watched(browser, serve(version)) as page:
        give(page, "drop", songs[:1])
        page.wait_for_selector("#kit:not([hidden])")
        assert page.inner_text("#kit-models") == f"Models {version}{', licence MIT' if shipped else ''}."
        sources = page.locator(".card .source").all_inner_texts()
        assert len(sources) == 3
        assert all(re.fullmatch(r"Source energy \d+ %, generated \d+ %", s) for s in sources)
