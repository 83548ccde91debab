"""MIDI files, read back by miditoolkit: times, beats, bars, notes, and what a sequencer needs."""

import dataclasses
import io
import itertools

import miditoolkit
import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dose.transcription import midi
from dose.transcription.grid import seconds_at
from dose.transcription.hits import GM_NOTES, HIT_CLASSES, Hit, Rhythm, Transcription
from dose.transcription.pattern import Pattern, typical_bar
from dose.transcription.tempo_map import SHORTEST, follow


def rhythm_of(beats, *, first=0, per_bar=4, swing=0.0, subdivision=4) -> Rhythm:
    return Rhythm(
        tempo=60 / float(np.median(np.diff(beats))),
        beats=tuple(float(b) for b in beats),
        beats_per_bar=per_bar,
        first_downbeat=first,
        swing=swing,
        swing_subdivision=subdivision,
    )


def transcription(rhythm, hits, seconds=None) -> Transcription:
    made = tuple(
        Hit(seconds=float(s), drum=drum, velocity=velocity, probability=0.9)
        for s, drum, velocity in sorted(hits)
    )
    end = max([s for s, _, _ in hits] + [rhythm.beats[-1] if rhythm else 0]) + 0.5
    return Transcription(hits=made, seconds=end if seconds is None else seconds, rhythm=rhythm)


def opened(body: bytes) -> miditoolkit.MidiFile:
    return miditoolkit.MidiFile(file=io.BytesIO(body))


def notes_of(body: bytes) -> list:
    return [note for track in opened(body).instruments for note in track.notes]


def times_of(body: bytes) -> list[tuple[float, int, int]]:
    """(seconds, note, velocity) by miditoolkit's own tempo map."""
    seconds = opened(body).get_tick_to_time_mapping()
    return [(float(seconds[n.start]), n.pitch, n.velocity) for n in notes_of(body)]


HITS = st.lists(
    st.tuples(st.floats(0, 12), st.sampled_from(HIT_CLASSES), st.integers(1, 127)), min_size=1, max_size=30
)


@st.composite
def rhythms(draw) -> Rhythm:
    """Free tempo, 62.5 to 240 beats per minute, changing at every beat; also recordings that begin late."""
    lengths = draw(st.lists(st.floats(0.25, 0.96), min_size=2, max_size=24))
    per_bar = draw(st.sampled_from((3, 4)))
    return rhythm_of(
        draw(st.floats(0, 4)) + np.cumsum([0, *lengths]),
        first=draw(st.integers(0, min(per_bar, len(lengths)) - 1)),
        per_bar=per_bar,
        swing=draw(st.floats(0, 0.5)),
    )


@given(rhythms(), HITS)
def test_played_hits_come_back_within_half_a_tick(rhythm, hits):
    made = transcription(rhythm, hits)
    body = midi.played(made)
    found = times_of(body)
    # Of the slowest tempo in the file.
    half = 0.5 * 60 / min(change.tempo for change in opened(body).tempo_changes) / 480
    for hit in made.hits:
        own = [t for t, pitch, _ in found if pitch == GM_NOTES[hit.drum]]
        assert min(abs(t - hit.seconds) for t in own) <= half + 1e-9, hit
    assert len(found) <= len(hits)


def test_played_hits_come_back_within_a_millisecond_at_a_usual_tempo():
    """Five minutes with a tempo that wanders by a tenth around 100 beats per minute, and hits anywhere."""
    rng = np.random.default_rng(1)
    beats = 0.37 + np.cumsum(0.6 + 0.06 * np.sin(np.arange(500) / 20) + 0.004 * rng.standard_normal(500))
    at = np.sort(rng.uniform(0, 300, 2000))
    body = midi.played(transcription(rhythm_of(beats, first=3), [(s, "kick", 100) for s in at]))
    found = np.array([t for t, _, _ in times_of(body)])
    assert np.abs(found[np.abs(found[None] - at[:, None]).argmin(axis=1)] - at).max() < 1e-3


@given(rhythms())
def test_beats_are_beats_and_the_first_downbeat_is_on_a_bar_line(rhythm):
    """To within half a per cent of a beat, and of the remainder that is not worth a bar of its own."""
    tempo_map = follow(rhythm, rhythm.beats[-1])
    off = SHORTEST if tempo_map.ticks_at([rhythm.beats[0]])[0] < 60 else 0
    for i, beat in enumerate(rhythm.beats):
        tick = tempo_map.downbeat + 480 * (i - rhythm.first_downbeat)
        assert tempo_map.seconds_at([tick])[0] == pytest.approx(beat, abs=0.0051 * 0.96 + off)
    bar_lines = {0}
    for now, after in itertools.pairwise([*tempo_map.signatures, None]):
        length = 480 * 4 * now.numerator // now.denominator
        end = after.tick if after else tempo_map.downbeat + 1
        bar_lines |= set(range(now.tick, end, length))
        assert after is None or (after.tick - now.tick) % length == 0
    assert tempo_map.downbeat in bar_lines


@given(rhythms(), HITS)
def test_no_tempo_is_beyond_what_sequencers_play(rhythm, hits):
    tempi = [change.tempo for change in opened(midi.played(transcription(rhythm, hits))).tempo_changes]
    assert max(tempi) < 999


def test_a_steady_tempo_is_one_event_and_does_not_drift():
    """0.4 % between beats is below the threshold for an event, but must not add up over 400 beats."""
    steady = follow(rhythm_of(np.arange(400) * 0.5), 200)
    assert steady.ticks == (0,)
    slower = np.concatenate([np.arange(20) * 0.5, 10 + np.arange(380) * 0.502])
    changing = follow(rhythm_of(slower), slower[-1])
    assert len(changing.ticks) < 200
    assert changing.seconds_at(np.arange(400) * 480) == pytest.approx(slower, abs=0.0026)


@pytest.mark.parametrize(
    ("start", "first", "per_bar", "expected"),
    [
        (0.0, 0, 4, [(4, 4, 0)]),
        (0.01, 0, 4, [(4, 4, 0)]),  # not worth a bar
        (0.02, 0, 4, [(1, 16, 0), (4, 4, 120)]),
        (0.125, 0, 4, [(1, 16, 0), (4, 4, 120)]),
        (0.26, 1, 4, [(3, 8, 0), (4, 4, 720)]),
        (0.0, 2, 4, [(2, 4, 0), (4, 4, 960)]),
        (0.125, 2, 3, [(9, 16, 0), (3, 4, 1080)]),
        (4.0, 0, 4, [(4, 4, 0)]),  # two whole bars before the first beat that was found
        (4.5, 0, 4, [(1, 4, 0), (4, 4, 480)]),
        (-0.5, 0, 4, [(3, 4, 0), (4, 4, 1440)]),  # the first downbeat lies before the recording
    ],
)
def test_the_first_bar_is_shorter_where_the_recording_begins_within_one(start, first, per_bar, expected):
    made = transcription(rhythm_of(start + np.arange(12) * 0.5, first=first, per_bar=per_bar), [])
    signatures = opened(midi.played(made)).time_signature_changes
    assert [(s.numerator, s.denominator, s.time) for s in signatures] == expected


@given(rhythms(), HITS)
def test_quantised_notes_are_on_the_grid(rhythm, hits):
    made = transcription(rhythm, hits)
    body = midi.quantised(made)
    notes = notes_of(body)
    assert all(note.start % 120 == 0 for note in notes)
    assert len({(n.start, n.pitch) for n in notes}) == len(notes)
    # Straight hits stay within half a step, of at most 0.96 s / 4, of where they are played.
    if rhythm.swing == 0 and rhythm.beats[0] == 0:
        for seconds, pitch, _ in times_of(body):
            assert any(abs(seconds - h.seconds) < 0.13 and GM_NOTES[h.drum] == pitch for h in made.hits)


def test_quantised_swing_is_straight_and_the_louder_stays():
    """Shuffled eighths at 2:1, each twice."""
    rhythm = rhythm_of(np.arange(8) * 0.5, swing=1 / 3, subdivision=2)
    at = seconds_at(rhythm, np.array([0, 2 / 3, 1, 5 / 3]))
    hits = [(s + late, "snare", velocity) for s in at for late, velocity in ((0, 50), (0.02, 80))]
    notes = notes_of(midi.quantised(transcription(rhythm, hits)))
    assert [(n.start, n.velocity) for n in notes] == [(0, 80), (240, 80), (480, 80), (720, 80)]


def test_a_hit_before_the_first_step_moves_to_the_beginning():
    rhythm = rhythm_of(0.07 + np.arange(8) * 0.5)  # 0.14 beats, which are written as one sixteenth
    notes = notes_of(midi.quantised(transcription(rhythm, [(0.0, "kick", 90), (0.07, "kick", 80)])))
    assert [(n.start, n.velocity) for n in notes] == [(0, 90), (120, 80)]
    # 0.37 beats, written as one sixteenth; straightened, the hit lies two before the downbeat.
    early = rhythm_of(0.185 + np.arange(8) * 0.5, swing=1 / 3, subdivision=2)
    notes = notes_of(midi.quantised(transcription(early, [(0.0, "kick", 90)])))
    assert [n.start for n in notes] == [0]


def test_without_rhythm_the_tempo_is_120_and_nothing_is_quantised():
    made = transcription(None, [(0.5, "kick", 100), (1.25, "open_hihat", 64)])
    body = midi.played(made)
    assert times_of(body) == [(0.5, 36, 100), (1.25, 46, 64)]
    assert [c.tempo for c in opened(body).tempo_changes] == [120]
    with pytest.raises(ValueError, match="rhythm"):
        midi.quantised(made)


def test_drums_are_on_channel_10_with_general_midi_notes():
    made = transcription(rhythm_of(np.arange(8) * 0.5), [(i * 0.5, d, 99) for i, d in enumerate(HIT_CLASSES)])
    for body in (midi.played(made), midi.quantised(made)):
        file = mido.MidiFile(file=io.BytesIO(body))
        notes = [m for m in file.tracks[1] if m.type == "note_on"]
        assert {m.channel for m in notes} == {9}
        assert [m.note for m in notes] == [36, 38, 42, 46, 39, 47, 49]
        assert file.ticks_per_beat == 480
        assert opened(body).instruments[0].is_drum


def test_the_louder_of_two_on_one_tick_stays():
    body = midi.played(
        transcription(rhythm_of(np.arange(8) * 0.5), [(0.5, "kick", 90), (0.5002, "kick", 50)])
    )
    assert [(n.start, n.velocity) for n in notes_of(body)] == [(480, 90)]


def test_notes_of_one_class_do_not_overlap():
    body = midi.played(transcription(rhythm_of(np.arange(8) * 0.5), [(0.5, "kick", 9), (0.52, "kick", 9)]))
    assert [(n.start, n.end) for n in notes_of(body)] == [(480, 499), (499, 619)]


def test_no_hits_are_a_file_without_notes_as_long_as_the_recording():
    for made in (transcription(rhythm_of(np.arange(8) * 0.5), [], 4), transcription(None, [], 4)):
        body = midi.played(made)
        assert notes_of(body) == []
        assert mido.MidiFile(file=io.BytesIO(body)).length == pytest.approx(4)


def test_every_track_ends_with_the_recording():
    made = transcription(rhythm_of(np.arange(8) * 0.5), [(0.5, "kick", 100)], 3.75)
    file = mido.MidiFile(file=io.BytesIO(midi.played(made)))
    assert [sum(m.time for m in track) for track in file.tracks] == [3600, 3600]


@pytest.mark.parametrize("per_bar", [3, 4])
def test_a_bar_is_a_clip_of_its_length(per_bar):
    """The last step is not hit, and yet belongs to the clip."""
    hits = [(0.5 * per_bar, "kick", 100), (0.5 * per_bar + 0.25, "closed_hihat", 70)]
    pattern = typical_bar(transcription(rhythm_of(np.arange(12) * 0.5, per_bar=per_bar), hits))
    body = midi.bar(pattern)
    assert [(n.start, n.pitch, n.velocity) for n in notes_of(body)] == [(0, 36, 100), (240, 42, 70)]
    file = mido.MidiFile(file=io.BytesIO(body))
    assert [sum(m.time for m in track) for track in file.tracks] == [480 * per_bar] * 2
    assert file.length == pytest.approx(0.5 * per_bar)
    [signature] = opened(body).time_signature_changes
    assert (signature.numerator, signature.denominator) == (per_bar, 4)


def test_a_bar_with_its_last_step():
    rows = {"kick": (*[0] * 15, 101)}
    pattern = Pattern(beats_per_bar=4, tempo=97.3, swing=0.2, swing_subdivision=2, start=0.0, velocities=rows)
    [note] = notes_of(midi.bar(pattern))
    assert (note.start, note.end, note.velocity) == (1800, 1920, 101)


def test_equal_transcriptions_give_equal_bytes():
    made = transcription(rhythm_of(np.arange(8) * 0.51), [(0.5, "kick", 100)])
    assert midi.played(made) == midi.played(dataclasses.replace(made))
