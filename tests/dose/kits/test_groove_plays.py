"""The whole way: a loop's kit and its MIDI file, played together, give back the loop's onsets."""

import shutil
import subprocess
from pathlib import Path

import librosa
import miditoolkit
import numpy as np
import pytest
import soundfile
from scipy import signal

from dose.bundle import SHIPPED
from dose.extract import Extractor
from dose.kits import build, write
from dose.transcription.grid import seconds_at
from dose.transcription.hits import DRUM_OF, Hit, Rhythm, Transcription

RATE = 44100
# Two bars on the sixteenth grid: (class, step, velocity). Syncopated, so that a shift by a beat is noticed.
STEPS = (
    *(("kick", step, 115) for step in (0, 7, 10, 16, 22, 27)),
    *(("snare", step, 105) for step in (4, 12, 20, 28, 31)),
    *(("closed_hihat", step, 60 + 30 * (step % 4 == 0)) for step in range(0, 32, 2) if step % 8 != 6),
    *(("open_hihat", step, 85) for step in (6, 14, 30)),
)
PICKUP = 0.41  # seconds before the first downbeat


def _rhythm() -> Rhythm:
    """Four bars at 84 to 108 beats per minute, faster with every beat."""
    beats = PICKUP + np.concatenate([[0], np.cumsum(60 / np.linspace(84, 108, 15))])
    return Rhythm(
        tempo=96.0,
        beats=tuple(beats.tolist()),
        beats_per_bar=4,
        first_downbeat=0,
        swing=0.0,
        swing_subdivision=4,
    )


def _transcription() -> Transcription:
    """The hits, played up to 12 ms off the grid."""
    rng, rhythm = np.random.default_rng(3), _rhythm()
    steps = [(drum, step + 32 * again, velocity) for again in range(2) for drum, step, velocity in STEPS]
    at = seconds_at(rhythm, np.array([step / 4 for _, step, _ in steps]))
    at += rng.uniform(-0.012, 0.012, len(steps))
    hits = [
        Hit(seconds=float(t), drum=drum, velocity=velocity, probability=0.99)
        for t, (drum, _, velocity) in zip(at, steps, strict=True)
    ]
    hits.sort(key=lambda hit: hit.seconds)
    return Transcription(hits=tuple(hits), seconds=hits[-1].seconds + 1, rhythm=rhythm)


def _sound(drum: str) -> np.ndarray:
    rng, time = np.random.default_rng(5), np.arange(int(0.4 * RATE)) / RATE
    if drum == "kick":
        return np.sin(2 * np.pi * (50 * time - 2 * np.exp(-40 * time))) * np.exp(-time * 14)
    if drum == "snare":
        noise = signal.sosfilt(
            signal.butter(2, 1200, "high", fs=RATE, output="sos"), rng.normal(size=len(time))
        )
        return 0.3 * noise * np.exp(-time * 20) + 0.7 * np.sin(2 * np.pi * 190 * time) * np.exp(-time * 28)
    high = signal.butter(4, 7000, "high", fs=RATE, output="sos")
    decay = 12 if drum == "open_hihat" else 60
    return 0.5 * signal.sosfilt(high, rng.normal(size=len(time))) * np.exp(-time * decay)


def _loop(transcription: Transcription) -> np.ndarray:
    """The drums alone, [N]."""
    out = np.zeros(round((transcription.seconds + 1) * RATE))
    for hit in transcription.hits:
        sound, start = _sound(hit.drum), round(hit.seconds * RATE)
        out[start : start + len(sound)] += sound * (hit.velocity / 127) ** 2
    return (0.5 * out[: round(transcription.seconds * RATE)]).astype(np.float32)


def _fluidsynth(folder: Path, name: str) -> np.ndarray:
    """NAME.mid through kit.sf2, [N]."""
    command = ["fluidsynth", "-ni", "-R0", "-C0", "-r", str(RATE), "-F", "out.wav", "kit.sf2", f"{name}.mid"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return soundfile.read(folder / "out.wav", always_2d=True)[0].mean(axis=1)


def _tinysoundfont(folder: Path, name: str) -> np.ndarray:
    """The same by TinySoundFont, which installs from PyPI; miditoolkit reads the file."""
    tinysoundfont = pytest.importorskip("tinysoundfont")
    midi = miditoolkit.MidiFile(folder / f"{name}.mid")
    seconds = midi.get_tick_to_time_mapping()
    synth = tinysoundfont.Synth(samplerate=RATE)
    synth.program_select(9, synth.sfload(str(folder / "kit.sf2")), 128, 0, True)
    out, now = [], 0
    notes = sorted(midi.instruments[0].notes, key=lambda note: note.start)
    starts = [round(float(seconds[note.start]) * RATE) for note in notes]
    for note, start in zip([*notes, None], [*starts, starts[-1] + RATE], strict=True):
        if start > now:  # `generate` refuses to generate nothing
            out.append(np.frombuffer(bytes(synth.generate(start - now)), np.float32).copy())
            now = start
        if note is not None:
            synth.noteon(9, note.pitch, note.velocity)
    return np.concatenate(out).reshape(-1, 2).mean(axis=1)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Of the onset strengths, frame by frame (5.8 ms): no shift is tried."""
    size = min(len(a), len(b))
    strengths = [librosa.onset.onset_strength(y=x[:size], sr=RATE, hop_length=256) for x in (a, b)]
    return float(np.corrcoef(strengths)[0, 1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The kit that the shipped models extract from the loop, as a SoundFont, with the loop's MIDI files."""
    transcription, place = _transcription(), tmp_path_factory.mktemp("groove")
    kit = Extractor.load(SHIPPED).extract(_loop(transcription), RATE)
    assert set(kit.hits) == set(DRUM_OF.values())
    one_shots = {
        drum: [build.RenderedOneShot(hit=hit, audio=hit.audio) for hit in hits]
        for drum, hits in kit.hits.items()
    }
    origin = build.Origin(source="loop.wav", version=kit.version, data_id=kit.data_id)
    made = build.build("kit", one_shots, origin, rate=RATE, transcription=transcription)
    write.write(made, place, ("sf2",))
    return place


@pytest.mark.parametrize(
    "player",
    [
        _tinysoundfont,
        pytest.param(
            _fluidsynth,
            marks=pytest.mark.skipif(not shutil.which("fluidsynth"), reason="fluidsynth is not installed"),
        ),
    ],
)
def test_the_midi_file_through_the_kit_has_the_onsets_of_the_drums(folder, player):
    drums = _loop(_transcription())
    played = _correlation(drums, player(folder, "kit"))
    # What is left is how the extracted sounds differ from the loop's own.
    assert played > 0.88
    # Up to 12 ms off: still the same rhythm, but measurably not as played.
    assert 0.5 < _correlation(drums, player(folder, "kit-quantised")) < played - 0.1
    # The number can tell: one frame and a half late is far less.
    late = np.concatenate([np.zeros(round(0.01 * RATE)), player(folder, "kit")])
    assert _correlation(drums, late) < 0.6
