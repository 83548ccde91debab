"""The groove beside a kit: which files there are, and that Hydrogen plays the bar."""

import dataclasses
import io
import os
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import miditoolkit
import numpy as np
import pytest
import soundfile

from dose.kits import build, write
from dose.kits.drumkit import DrumKit
from dose.kits.folder import Occupied, check, scan
from dose.transcription.grid import apply_swing
from dose.transcription.hits import Hit, Rhythm, Transcription

RATE = 44100
STEP = 0.125  # seconds: a sixteenth at 120 beats per minute
# Two bars of one pattern: (class, step of the bar, velocity).
BAR = (
    *(("kick", 0, 120), ("kick", 7, 90), ("snare", 4, 110), ("snare", 12, 110)),
    *(("closed_hihat", 2, 70), ("open_hihat", 14, 80), ("clap", 12, 100)),
)


def groove(swing: float = 0.0, subdivision: int = 4) -> Transcription:
    late = apply_swing(np.arange(16) / 4, swing, subdivision).tolist()  # beats of half a second
    hits = [
        Hit(seconds=16 * bar * STEP + late[step] / 2, drum=drum, velocity=velocity, probability=0.9)
        for bar in range(2)
        for drum, step, velocity in BAR
    ]
    rhythm = Rhythm(
        tempo=120.0,
        beats=tuple(4 * STEP * i for i in range(8)),
        beats_per_bar=4,
        first_downbeat=0,
        swing=swing,
        swing_subdivision=subdivision,
    )
    return Transcription(
        hits=tuple(sorted(hits, key=lambda hit: hit.seconds)), seconds=32 * STEP, rhythm=rhythm
    )


class _StubHit:
    confidence, time, seed = 0.9, 0.0, 1


def kit_of(transcription: Transcription | None, name: str = "My kit") -> DrumKit:
    """Short clicks: DC-free bursts of 20 ms, of another frequency for each drum."""
    time = np.arange(RATE // 50) / RATE
    one_shots = {
        drum: [
            build.RenderedOneShot(hit=_StubHit(), audio=np.sin(2 * np.pi * hz * time).astype(np.float32) / 2)
        ]
        for drum, hz in (("kick", 100), ("snare", 1000), ("hihat", 8000))
    }
    origin = build.Origin(source="song.mp3", version="dose-1", data_id="made")
    return build.build(name, one_shots, origin, rate=RATE, transcription=transcription)


def names(transcription: Transcription | None, *formats: str, midi: bool = False) -> set[str]:
    made = write.contents(kit_of(transcription), formats, midi=midi)
    return {name for name in made if not name.endswith(".wav")}


PLAYED, QUANTISED = "My_kit.mid", "My_kit-quantised.mid"


@pytest.mark.parametrize("format", [f for f in write.FORMATS if f != "wav"])
def test_kits_for_samplers_have_the_groove(format):
    further = {"hydrogen": {"My_kit.h2song"}, "ableton": {"My_kit-bar.mid"}}.get(format, set())
    assert names(groove(), format) == {PLAYED, QUANTISED, f"My_kit{write.FORMATS[format]}"} | further
    assert names(None, format) == {f"My_kit{write.FORMATS[format]}"}


def test_wavs_alone_have_it_on_demand():
    assert names(groove(), "wav") == set()
    assert names(groove(), "wav", midi=True) == names(groove(), midi=True) == {PLAYED, QUANTISED}


def test_without_rhythm_there_is_the_played_file_and_without_hits_none():
    free = dataclasses.replace(groove(), rhythm=None)
    assert names(free, "ableton", "hydrogen") == {PLAYED, "My_kit.adg", "My_kit.h2drumkit"}
    assert names(dataclasses.replace(groove(), hits=()), "sfz") == {"My_kit.sfz"}


def test_the_files_hold_the_hits():
    made = write.contents(kit_of(groove()), ("ableton",))
    for name, count in ((PLAYED, 14), (QUANTISED, 14), ("My_kit-bar.mid", 7)):
        midi = miditoolkit.MidiFile(file=io.BytesIO(made[name]))
        assert len(midi.instruments[0].notes) == count


def _pattern(swing: float = 0.0, subdivision: int = 4) -> tuple[ElementTree.Element, list[tuple[str, int]]]:
    """The song, and (instrument's note, tick) of the pattern's notes."""
    body = write.contents(kit_of(groove(swing, subdivision)), ("hydrogen",))["My_kit.h2song"]
    root = ElementTree.fromstring(body)
    notes = {
        e.find("id").text: e.find("midiOutNote").text for e in root.iterfind("./instrumentList/instrument")
    }
    found = [
        (notes[note.find("instrument").text], int(note.find("position").text))
        for note in root.iterfind("./patternList/pattern/noteList/note")
    ]
    return root, found


def test_a_hydrogen_song_refers_to_the_drumkit():
    root, found = _pattern()
    # Every class that the kit has a sound of, the open hi-hat by its own instrument.
    assert found == [("36", 0), ("42", 24), ("38", 48), ("36", 84), ("38", 144), ("46", 168)]
    assert {e.text for e in root.iterfind("./instrumentList/instrument/drumkit")} == {"My_kit"}
    assert float(root.find("bpm").text) == 120
    pattern = root.find("./patternList/pattern")
    assert pattern.find("size").text == "192"
    assert root.find("./patternSequence/group/patternID").text == pattern.find("name").text
    velocities = [float(e.text) for e in pattern.iterfind("./noteList/note/velocity")]
    assert velocities == pytest.approx(
        [120 / 127, 70 / 127, 110 / 127, 90 / 127, 110 / 127, 80 / 127], abs=1e-4
    )


@pytest.mark.parametrize(
    ("swing", "subdivision", "late"), [(0, 2, 84), (1 / 3, 4, 88), (1 / 3, 2, 88), (0.5, 2, 90)]
)
def test_swing_moves_the_notes_of_a_hydrogen_song(swing, subdivision, late):
    """The kick on step 7: the second of its sixteenths, and half-way from a late eighth to the beat."""
    root, found = _pattern(swing, subdivision)
    assert ("36", late) in found
    assert {("36", 0), ("38", 48), ("38", 144)} <= set(found)  # beats are never late
    assert float(root.find("swing_factor").text) == 0


def test_the_pattern_has_the_elements_of_hydrogens_schema_in_its_order():
    """drumkit_pattern.xsd of Hydrogen 1.2; there is no schema of whole songs."""
    root, _ = _pattern()
    pattern = root.find("./patternList/pattern")
    assert [e.tag for e in pattern] == ["name", "info", "category", "size", "denominator", "noteList"]
    for note in pattern.iterfind("./noteList/note"):
        assert [e.tag for e in note] == [
            *("position", "leadlag", "velocity", "pan", "pitch", "key", "length", "instrument", "note_off"),
            "probability",
        ]


@pytest.mark.slow  # Hydrogen takes its time to find that there is no sound card
@pytest.mark.skipif(not shutil.which("h2cli"), reason="h2cli of the Debian package hydrogen is not installed")
@pytest.mark.parametrize(("swing", "late"), [(0.0, 0.0), (0.4, 0.4 * STEP)])
def test_hydrogen_itself_plays_the_typical_bar(tmp_path, swing, late):
    """The song, with its drumkit installed, as a WAV: each hit's sound begins where the pattern has it."""
    write.write(kit_of(groove(swing)), tmp_path / "kit", ("hydrogen",))
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)}
    for options in (
        ("--install", tmp_path / "kit/My_kit.h2drumkit"),
        ("--song", tmp_path / "kit/My_kit.h2song", "--outfile", tmp_path / "bar.wav", "--rate", str(RATE)),
    ):
        done = subprocess.run(["h2cli", *options], capture_output=True, text=True, env=env, timeout=120)
        assert done.returncode == 0, done.stdout
    audio, rate = soundfile.read(tmp_path / "bar.wav", always_2d=True)
    loud = np.flatnonzero(np.abs(audio).max(axis=1) > 0.01)
    # A sound begins where the one before it has ended.
    onsets = loud[np.concatenate([[True], np.diff(loud) > 0.01 * RATE])] / rate
    played = [step * STEP + (late if step % 2 else 0) for step in (0, 2, 4, 7, 12, 14)]
    assert onsets == pytest.approx(played, abs=0.0055)  # half a tick


def _listed(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_new_kit_replaces_the_groove_of_the_old_one(tmp_path):
    formats = ("hydrogen", "ableton")
    write.write(kit_of(groove(), "old"), tmp_path, formats)
    (tmp_path / "mine.mid").write_bytes(b"MThd of my own")
    (tmp_path / "mine.h2song").write_text("<song><author>me</author></song>")
    write.write(kit_of(None, "new"), tmp_path, ("wav",))
    assert _listed(tmp_path) == {"kick.wav", "snare.wav", "hihat.wav", "mine.mid", "mine.h2song"}


@pytest.mark.parametrize("name", ["kit", "kit-bar", "kit-quantised", "kit-bar-quantised"])
def test_the_midi_files_of_one_kit_are_of_one_kit(tmp_path, name):
    write.write(kit_of(groove(), name), tmp_path, ("hydrogen", "ableton"))
    assert scan(tmp_path).names == {name}
    assert scan(tmp_path).others == ()


def test_the_midi_files_of_two_kits_are_a_collection(tmp_path):
    write.write(kit_of(groove(), "one"), tmp_path, midi=True)
    other = write.contents(kit_of(groove(), "two"), ("wav",), midi=True)
    (tmp_path / "two.mid").write_bytes(other["two.mid"])
    with pytest.raises(Occupied, match="several kits"):
        check(tmp_path)


def test_a_file_of_the_users_own_is_not_overwritten(tmp_path):
    (tmp_path / PLAYED).write_bytes(b"MThd of my own")
    with pytest.raises(Occupied, match=r"My_kit\.mid would be overwritten"):
        write.write(kit_of(groove()), tmp_path, ("sfz",))
