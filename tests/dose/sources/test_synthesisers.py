"""SoundFonts and the singer: rendered sounds repeat, and are what was asked for."""

import numpy as np
import pytest

from dose.audio import RATE
from dose.errors import DoseError, MissingInputError
from dose.sources.adapters import soundfont
from dose.sources.synth import riffs, voice

TIMGM = soundfont.locate("timgm6mb")


@pytest.fixture(scope="module")
def font():
    return soundfont.Font(TIMGM)


def pitch(part: np.ndarray) -> float:
    """Hz by autocorrelation, 60 to 1000 Hz."""
    spectrum = np.fft.rfft(part - part.mean(), 2 * len(part))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)
    lags = np.arange(int(RATE / 1000), int(RATE / 60))
    return RATE / lags[np.argmax(correlation[lags])]


def test_a_soundfont_gives_its_drum_kits_and_instruments():
    made = list(soundfont.source_items("timgm6mb", 2))
    drums = [t for t in made if t.cls in ("kick", "snare", "hihat")]
    assert {t.kit for t in drums} >= {"TimGM6mb Standard", "TimGM6mb TR 808", "TimGM6mb Jazz"}
    assert len(drums) == 8 * 7 - 3  # the orchestra kit has timpani in the place of hi-hats
    assert not {t.kit for t in drums if t.cls == "hihat"} & {"TimGM6mb Orchestra"}
    assert {t.group for t in drums} == {"lmms-timgm"}
    loops = [t for t in made if t.kind == "loop"]
    assert len(loops) == 2 * sum(map(len, riffs.PROGRAMS.values()))
    assert {t.licence for t in made} == {"GPL-2"}
    assert {t.group for t in loops if t.cls == "vocal"} == {f"gm/{p}" for p in riffs.PROGRAMS["vocal"]}


def test_rendering_does_not_depend_on_what_came_before(font):
    made = list(soundfont.drum_items(font, group="g", source="soundfont"))[:3]
    first = [t.load() for t in made]
    again = [t.load() for t in reversed(made)][::-1]
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a, b)
    other = next(iter(soundfont.riff_items(soundfont.Font(TIMGM), "bass", 33, 1, seconds=2.0, source="s")))
    same = next(iter(soundfont.riff_items(font, "bass", 33, 1, seconds=2.0, source="s")))
    assert np.array_equal(other.load(), same.load())


def test_notes_sound_at_their_time_and_pitch(font):
    note = riffs.Note(start=0.5, seconds=1.0, pitch=57, velocity=100)
    sound = font.render(0, 0, [note], 2.0)
    assert len(sound) == 2 * RATE
    assert np.abs(sound[: int(0.49 * RATE)]).max() < 1e-4
    assert pitch(sound[int(0.7 * RATE) : int(1.2 * RATE)]) == pytest.approx(220, rel=0.02)


def test_riffs_are_fixed_by_program_and_index_and_stay_in_time():
    assert riffs.riff("bass", 33, 0, 8.0) == riffs.riff("bass", 33, 0, 8.0)
    assert riffs.riff("bass", 33, 0, 8.0) != riffs.riff("bass", 33, 1, 8.0) != riffs.riff("bass", 34, 0, 8.0)
    for cls, programs in riffs.PROGRAMS.items():
        for program in programs:
            notes = riffs.riff(cls, program, 0, 8.0)
            assert len(notes) >= 4
            assert all(0 <= n.start < 8 and n.seconds > 0 and 1 <= n.velocity <= 127 for n in notes)
            low, high = {"bass": (24, 60), "vocal": (48, 90)}.get(cls, (36, 96))
            assert all(low <= n.pitch <= high for n in notes)


def test_a_missing_or_false_soundfont_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"none\.sf2"):
        list(soundfont.source_items(str(tmp_path / "none.sf2"), 1))
    (tmp_path / "text.sf2").write_text("hello")
    with pytest.raises(DoseError, match=r"text\.sf2 is not a SoundFont"):
        list(soundfont.source_items(str(tmp_path / "text.sf2"), 1))


def test_an_instrument_that_the_soundfont_lacks_gives_nothing(font):
    assert not list(soundfont.riff_items(font, "bass", 127 + 1, 3, seconds=1.0, source="s"))


@pytest.mark.slow
def test_the_singer_is_in_tune_and_repeats():
    sung = voice.sing("m1", 0)
    assert len(sung) == voice.SECONDS * RATE
    number = 1000 + list(voice.SINGERS).index("m1")
    errors = []
    for note in riffs.riff("vocal", number, 0, voice.SECONDS):
        part = sung[
            int((note.start + 0.3 * note.seconds) * RATE) : int((note.start + 0.8 * note.seconds) * RATE)
        ]
        expected = 440 * 2 ** ((note.pitch - 12 - 69) / 12)
        if len(part) > 0.15 * RATE and note.start + note.seconds < voice.SECONDS:
            errors.append(abs(12 * np.log2(pitch(part) / expected)))
    assert len(errors) >= 3
    assert np.median(errors) < 0.3  # semitones; vibrato alone is up to 0.4
    assert np.array_equal(sung, voice.sing("m1", 0))
    voice._spoken.cache_clear()
    assert np.array_equal(sung, voice.sing("m1", 0))


def test_phrases_are_shared_out_among_the_singers():
    made = [t.kit for t in voice.source_items(20)]
    assert len(made) == 20
    assert max(made.count(k) for k in made) - min(made.count(k) for k in made) <= 1
    assert not list(voice.source_items(0))
