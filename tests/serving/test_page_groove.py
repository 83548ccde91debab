"""The song's groove on the page, in a real browser: the steps are looked at, and what they play is heard."""

import contextlib
import re
import time

import browsing
import groove
import hearing
import numpy as np
import pytest
from browsing import screenshot, until
from fake_extractor import FakeExtractor

from dose import audio
from dose.transcription import midi
from dose.transcription.grid import apply_swing
from dose.transcription.hits import CLASSES_OF, Transcription
from dose.transcription.pattern import Pattern, groove_facts, typical_bar

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TOLERANCE = 0.02  # seconds
SWUNG = groove.transcription()
STRAIGHT = groove.transcription(groove.FOUR, tempo=126.0, swing=0.0, pickup=0.0)
WALTZ = groove.transcription(groove.THREE, beats_per_bar=3, tempo=140.0, swing=0.2, swing_subdivision=4)
SONGS = {"swung": SWUNG, "straight": STRAIGHT, "waltz": WALTZ}


@pytest.fixture
def shown(browser, on_a_port, tmp_path):
    """`shown(transcription) -> page` with the kit of the transcription's loop, ready to be heard."""
    with contextlib.ExitStack() as stack:

        def show(transcription: Transcription | None):
            extractor = FakeExtractor(transcription=transcription, sounds=groove.sounds())
            url = on_a_port(extractor, routes=[hearing.ROUTE])
            page = stack.enter_context(browsing.watched(browser, url, hearing.prepare))
            path = tmp_path / "midnight drive.wav"
            audio.write(path, groove.loop(transcription or SWUNG))
            page.set_input_files("#file", path)
            page.wait_for_selector("#kit:not([hidden])")
            until(page, "!document.getElementById('clock').value.endsWith('0:00')")
            return page

        yield show


def steps(pattern: Pattern, drum: str) -> list[int]:
    """Velocities of a drum's row of the sequencer."""
    return [max(v) for v in zip(*(pattern.velocities[name] for name in CLASSES_OF[drum]), strict=True)]


def bar_of(pattern: Pattern) -> tuple[list[tuple[float, str, int]], float]:
    """(seconds from the bar's beginning, drum, velocity) of each step that is hit, and the bar's length."""
    late = apply_swing(np.arange(pattern.steps) / 4, pattern.swing, pattern.swing_subdivision)
    beat = 60 / pattern.tempo
    hits = [
        (float(late[step]) * beat, drum, velocity)
        for drum in CLASSES_OF
        for step, velocity in enumerate(steps(pattern, drum))
        if velocity
    ]
    return sorted(hits), pattern.beats_per_bar * beat


def play(page, seconds: float) -> list[hearing.Onset]:
    """What is heard from the press of the start button on."""
    page.click('.card[data-drum="kick"] .pad')  # makes the page's AudioContext, and with it the recorder
    until(page, "heard.ready", 20)
    time.sleep(1.2)  # until the pad's sound has decayed
    page.evaluate("heard.blocks.length = 0")
    page.click("#seq-play")
    time.sleep(seconds)
    return hearing.onsets(page)


def before_the_last(heard: list[hearing.Onset]) -> tuple[list[hearing.Onset], float]:
    """Without the last step, of which the end of the recording may have cut a part; and where it ends."""
    end = heard[-1].seconds - 0.05  # less than the shortest step
    return [o for o in heard if o.seconds < end], end


def matched(heard: list[hearing.Onset], expected: list[tuple[float, str, int]]) -> list[hearing.Onset]:
    """The heard onset of each expected one. Fails for one that is missing, late, early or too many."""
    left = list(heard)
    found = []
    for seconds, drum, _ in expected:
        near = [o for o in left if o.drum == drum and abs(o.seconds - seconds) <= TOLERANCE]
        assert near, f"no {drum} at {seconds:.3f} s"
        found.append(near[0])
        left.remove(near[0])
    assert left == []
    return found


def looped(pattern: Pattern, start: float, until: float) -> list[tuple[float, str, int]]:
    """The hits of the pattern, repeated from `start` seconds up to `until`."""
    hits, length = bar_of(pattern)
    return [
        (start + bar * length + at, drum, velocity)
        for bar in range(int((until - start) / length) + 1)
        for at, drum, velocity in hits
        if start + bar * length + at < until
    ]


@pytest.mark.parametrize("name", SONGS)
def test_the_sequencer_plays_the_songs_bar_at_its_tempo(shown, name):
    pattern = typical_bar(SONGS[name])
    page = shown(SONGS[name])
    heard = play(page, 2.2 * bar_of(pattern)[1] + 0.2)
    heard, end = before_the_last(heard)
    start = heard[0].seconds
    assert end - start > 1.9 * bar_of(pattern)[1], "two bars"
    expected = looped(pattern, start, end)
    found = matched(heard, expected)
    assert max(abs(o.seconds - e[0]) for o, e in zip(found, expected, strict=True)) <= TOLERANCE
    # The level follows the velocity: squared, from the -1 dBFS of a kit's sounds on.
    levels = [audio.db(o.level) for o in found]
    assert levels == pytest.approx([audio.db((e[2] / 127) ** 2) - 1 for e in expected], abs=0.8)


@pytest.mark.parametrize("name", ["swung", "waltz"])
def test_a_and_b_are_heard_in_the_same_place(shown, name):
    pattern = typical_bar(SONGS[name])
    _, length = bar_of(pattern)
    page = shown(SONGS[name])
    kit = play(page, 1.5 * length)
    page.keyboard.press("b")
    switched = page.evaluate("heard.time()")
    assert page.is_checked("#listen-original")
    time.sleep(2 * length)
    original, end = before_the_last([o for o in hearing.onsets(page) if o.seconds > switched + 0.1])
    expected = looped(pattern, kit[0].seconds, end)
    found = matched(original, [e for e in expected if e[0] > switched + 0.1])
    # All hits of the loop are equally loud, those of the kit are not.
    assert [o.level for o in found] == pytest.approx([0.4] * len(found), abs=0.06)  # sampled at other moments
    page.check("#listen-kit")
    page.check("#with-song")
    page.locator("#song-level").fill("0.5")
    page.evaluate("heard.blocks.length = 0")
    time.sleep(1.2 * length)
    page.click("#seq-play")
    both = [o for o in hearing.onsets(page) if o.drum == "kick"]
    loudest = max(velocity for _, drum, velocity in expected if drum == "kick")
    # The kit's and the original's sounds are in phase, so that their levels add up.
    assert max(o.level for o in both) == pytest.approx(0.891 * (loudest / 127) ** 2 + 0.2, abs=0.08)
    time.sleep(0.3)
    page.evaluate("heard.blocks.length = 0")
    time.sleep(length)
    assert page.evaluate("heard.blocks.every(([, samples]) => samples.every((x) => x === 0))"), "stopped"


def test_tempo_metre_and_steps_are_shown(shown):
    page = shown(SWUNG)
    pattern = typical_bar(SWUNG)
    assert page.input_value("#tempo") == "92"
    assert page.inner_text("#swing-out") == "33 %"
    facts = page.inner_text("#groove-facts")
    assert re.search(r"92\.0 BPM, 4/4, swing 33 % of eighths", facts)
    assert "no sound for its clap" in facts
    pressed = "[...document.querySelectorAll('.step')].map(c => c.velocity)"
    assert page.evaluate(pressed) == [v for drum in ("kick", "snare", "hihat") for v in steps(pattern, drum)]
    assert page.locator(".grid-name").all_inner_texts() == ["Kick", "Snare", "Hi-hat"], (
        "no rows without sounds"
    )
    assert page.get_attribute(".step >> nth=0", "aria-label") == "Kick, step 1, velocity 120"
    assert page.get_attribute(".step >> nth=38", "aria-label") == "Hi-hat, step 7, open, velocity 85"
    # A step that is switched off and on again is as before; a re-roll keeps what was changed.
    page.click(".step >> nth=0")
    page.click(".step >> nth=7")
    page.click(".step >> nth=7")
    page.click('.card[data-drum="snare"] button:has-text("Re-roll")')
    until(page, "document.getElementById('announcement').textContent.startsWith('New snare')")
    assert page.evaluate(pressed)[:8] == [0, 0, 0, 0, 0, 0, 0, 80]
    screenshot(page, "page-groove")
    page.click("#seq-reset")
    assert page.evaluate(pressed)[:8] == [120, 0, 0, 0, 0, 0, 0, 80]


def test_three_four_has_twelve_steps(shown):
    page = shown(WALTZ)
    assert page.locator(".step").count() == 3 * 12
    assert page.locator(".beat").all_inner_texts() == ["1", "", "", "", "2", "", "", "", "3", "", "", ""]
    assert "3/4" in page.inner_text("#groove-facts")
    assert page.get_attribute("#grid", "aria-label") == "Step sequencer, 12 steps"
    page.locator(".step >> nth=0").focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.ariaLabel").startswith("Kick, step 12")


def test_without_a_groove_the_sequencer_starts_as_before(shown):
    page = shown(None)
    assert page.locator(".step[aria-pressed=true]").count() == 4 + 2 + 8
    assert page.locator(".step").count() == 3 * 16
    assert page.inner_text("#swing-out") == "0 %"
    for control in ("#listen", "#midi-played", "#midi-quantised", "#lanes", "#lanes-legend"):
        assert page.is_hidden(control), control
    heard = play(page, 2.5)
    tempo = float(page.input_value("#tempo"))
    kicks = [o.seconds for o in heard if o.drum == "kick"]
    assert np.diff(kicks) == pytest.approx([60 / tempo] * (len(kicks) - 1), abs=TOLERANCE)


def test_midi_can_be_downloaded_as_played_and_quantised(shown):
    page = shown(SWUNG)
    expected = {
        "played": ("midnight drive.mid", midi.played),
        "quantised": ("midnight drive-quantised.mid", midi.quantised),
    }
    for timing, (name, make) in expected.items():
        with page.expect_download() as download:
            page.click(f"#midi-{timing}")
        assert download.value.suggested_filename == name
        assert download.value.path().read_bytes() == make(SWUNG)


def test_all_hits_are_marked_below_the_waveform(shown):
    page = shown(SWUNG)
    legend = page.locator("#lanes-legend li").all_inner_texts()
    assert legend == ["Kick × 9", "Snare × 6", "Closed hi-hat × 21", "Open hi-hat × 6", "Clap × 3"]
    assert "9 kick, 6 snare" in page.get_attribute("#lanes", "aria-label")
    ticks = page.evaluate(
        """() => {
          const canvas = document.getElementById("lanes");
          const scale = canvas.width / canvas.clientWidth;
          const row = canvas.getContext("2d").getImageData(0, 8 * scale, canvas.width, 1).data;
          const on = Array.from({ length: canvas.width }, (_, x) => row[4 * x] > 200 && row[4 * x + 3] > 100);
          return on.flatMap((is, x) => (is && !on[x - 1] ? [x / canvas.width] : []));
        }"""
    )
    kicks = [hit.seconds / SWUNG.seconds for hit in SWUNG.hits if hit.drum == "kick"]
    assert ticks == pytest.approx(kicks, abs=0.003)


def test_the_pages_arithmetic_is_that_of_the_grid(shown):
    page = shown(SWUNG)
    for swing, subdivision in ((0, 4), (1 / 3, 2), (0.25, 4), (-0.2, 2)):
        grid = f"{{ stepsPerBeat: 4, swing: {swing}, subdivision: {subdivision} }}"
        script = (
            f"import('/web/groove.js').then((m) => [...Array(17).keys()].map((s) => m.swungBeats(s, {grid})))"
        )
        expected = apply_swing(np.arange(17) / 4, swing, subdivision)
        assert page.evaluate(script) == pytest.approx(expected.tolist())
    bar = "(facts) => import('/web/groove.js').then((m) => m.barSeconds(facts))"
    assert page.evaluate(bar, groove_facts(SWUNG)) == pytest.approx(4 * 60 / 92, abs=1e-3)
    # The recording's own beats where they reach, the tempo where they do not.
    slower = {**groove_facts(SWUNG), "beats": [0.3 + 0.7 * i for i in range(9)]}
    assert page.evaluate(bar, slower) == pytest.approx(2.8, abs=1e-3)
    assert page.evaluate(bar, {**slower, "beats": slower["beats"][:4]}) == pytest.approx(4 * 60 / 92)


def test_a_phone_shows_the_steps_beat_by_beat(browser, on_a_port, tmp_path):
    url = on_a_port(FakeExtractor(transcription=WALTZ, sounds=groove.sounds()))
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(url)
    audio.write(tmp_path / "waltz.wav", groove.loop(WALTZ))
    page.set_input_files("#file", tmp_path / "waltz.wav")
    page.wait_for_selector("#kit:not([hidden])")
    tops = page.evaluate("[...document.querySelectorAll('.step')].slice(0, 12).map(c => c.offsetTop)")
    assert [len({*tops[i : i + 4]}) for i in (0, 4, 8)] == [1, 1, 1], "one line per beat"
    assert len({*tops}) == 3
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
