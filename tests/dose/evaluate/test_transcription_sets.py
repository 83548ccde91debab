"""Data sets and systems of the transcription's evaluation, at a tiny size."""

import json

import miditoolkit
import numpy as np
import pytest
import tiny_library
from drum_sounds import mix as drum_mix
from drum_sounds import write_items

from dose import audio, files
from dose.audio import RATE
from dose.drums import DRUMS
from dose.errors import MissingInputError
from dose.evaluate.transcription import datasets, negatives, presence, systems
from dose.metrics.transcription import count
from dose.sources.library import SampleLibrary
from dose.transcription import network
from dose.transcription.hits import HIT_CLASSES
from dose.transcription.network import TranscriptionNetwork


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> SampleLibrary:
    return tiny_library.make(tmp_path_factory.mktemp("library"), splits=("test",))


def _write(root, dataset: str, count: int) -> None:
    for item in write_items(root / "audio" / dataset, count):
        files.write_json(item.mix.parent / "hits.json", {drum: [1.5, 0.5] for drum in DRUMS})


def test_written_items_have_onsets_without_velocities(tmp_path):
    _write(tmp_path, "test", 3)
    found = datasets.written(tmp_path, "rmod", 2)
    mixes = list(found.mixes())
    assert (found.size, len(mixes)) == (2, 2)
    assert mixes[1].name == "000001"
    assert mixes[0].read().shape == (4 * RATE,)
    assert mixes[0].hits["hihat"].seconds.tolist() == [0.5, 1.5]
    assert mixes[0].hits["hihat"].velocities is None
    with pytest.raises(MissingInputError):
        datasets.written(tmp_path, "groove", 2)


def test_the_realistic_set_has_all_classes_and_a_tempo_and_is_the_same_each_time(library):
    found = datasets.realistic(library, 2)
    first, again = list(found.mixes()), list(found.mixes())
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.read(), b.read())
        assert len(a.read()) == datasets.REALISTIC_SECONDS * RATE
        assert 55 < a.tempo < 210
        assert set(a.hits) == {"kick", "snare", "closed_hihat", "open_hihat", "clap", "tom", "cymbal"}
        assert sum(len(h.seconds) for h in a.hits.values()) > 10
        for hits in a.hits.values():
            assert (np.diff(hits.seconds) >= 0).all()
            assert hits.velocities is not None
            assert len(hits.velocities) == len(hits.seconds)


def test_the_groove_set_is_the_stand_in_unless_recordings_are_there(tmp_path):
    _write(tmp_path, "test_groove", 2)
    assert datasets.groove(None, tmp_path, 5).title == "groove-like, not GMD"
    folder = tmp_path / "gmd"
    folder.mkdir()
    _performance(folder / "a.mid")
    assert datasets.groove(folder, tmp_path, 5).title == "groove-like, not GMD"  # no audio beside it
    audio.write(folder / "a.wav", np.zeros(2 * RATE, np.float32))
    found = datasets.groove(folder, tmp_path, 5)
    assert "Groove MIDI" in found.title
    [mix] = found.mixes()
    assert mix.tempo == 100
    assert mix.hits["kick"].seconds.tolist() == pytest.approx([0.0])
    assert mix.hits["closed_hihat"].seconds.tolist() == pytest.approx([0.6, 1.2])  # 42 and the pedal, 44
    assert mix.hits["open_hihat"].velocities.tolist() == [70]
    assert len(mix.read()) == 2 * RATE


def test_of_gmd_only_the_test_split_is_used(tmp_path):
    for name in ("a", "b"):
        _performance(tmp_path / f"{name}.mid")
        audio.write(tmp_path / f"{name}.wav", np.zeros(RATE, np.float32))
    (tmp_path / "info.csv").write_text("midi_filename,split\na.mid,train\nb.mid,test\n")
    assert [midi.name for midi, _ in datasets.recordings(tmp_path)] == ["b.mid"]


def _performance(path) -> None:
    midi = miditoolkit.MidiFile(ticks_per_beat=480)
    midi.tempo_changes = [miditoolkit.TempoChange(100, 0)]
    track = miditoolkit.Instrument(program=0, is_drum=True)
    for beat, pitch, velocity in ((0, 36, 100), (1, 42, 80), (2, 44, 60), (3, 26, 70)):
        track.notes.append(miditoolkit.Note(velocity, pitch, 480 * beat, 480 * beat + 60))
    midi.instruments.append(track)
    midi.dump(str(path))


def test_drum_free_sounds_have_every_kind_and_no_edges(library):
    sounds = list(negatives.drum_free(library, "test", 60))
    kinds = [sound.kind for sound in sounds]
    assert set(kinds) == {*negatives.QUOTAS, "piano", "guitar", "bass", "vocal"} - {"music"}
    assert sum(k in ("piano", "guitar", "bass", "vocal") for k in kinds) == 30
    for sound in sounds:
        assert sound.audio.shape == (negatives.SAMPLES,)
        assert sound.audio.dtype == np.float32
        assert 0 < np.abs(sound.audio).max() < 1
        if sound.kind != "offset":
            assert np.abs(sound.audio[[0, -1]]).max() < 1e-3
        if sound.kind == "silence":
            assert np.abs(sound.audio).max() < 1e-4
    again = list(negatives.drum_free(library, "test", 60))
    for a, b in zip(sounds, again, strict=True):
        np.testing.assert_array_equal(a.audio, b.audio)


def test_speech_falls_back_to_syllables(library, monkeypatch):
    def missing(*_):
        raise MissingInputError("no eSpeak NG")

    monkeypatch.setattr("dose.sources.synth.voice.speak", missing)
    speech = [s for s in negatives.drum_free(library, "test", 6) if s.kind == "speech"]
    assert speech
    assert np.abs(speech[0].audio).max() > 0.04


def test_a_mix_is_followed_by_itself_without_each_of_its_drums(library):
    items = list(presence.items(library, "test", 3))
    whole = [i for i, item in enumerate(items) if all(item.present.values())]
    assert len(whole) == 3
    for start in whole:
        there = items[start].present
        assert there
        for drum, item in zip(there, items[start + 1 :], strict=False):
            assert item.present == {drum: False}
            assert item.audio.shape == items[start].audio.shape
            assert not np.allclose(item.audio, items[start].audio, atol=1e-3)


def test_single_drums_sound_where_they_are_said_to(library):
    sounds = list(negatives.single_drums(library, "test", 12))
    assert [s.drum for s in sounds[:3]] == list(DRUMS)
    assert {len(s.seconds) for s in sounds} == {1, 10}
    for sound in sounds:
        starts = (sound.seconds * RATE).astype(int)
        energy = np.array([np.abs(sound.audio[s : s + 2000]).max() for s in starts])
        assert (energy > 1e-3).all()
        assert np.abs(sound.audio[: starts[0]]).max(initial=0) == 0
        # Louder is louder, though tails of the hits before add to it.
        if len(starts) > 5:
            assert np.corrcoef(energy, sound.velocities)[0, 1] > 0.8


def test_a_library_without_loops_or_drums_is_an_error(tmp_path):
    empty = SampleLibrary(tmp_path, [])
    with pytest.raises(MissingInputError, match="loops"):
        next(negatives.drum_free(empty, "test", 1))
    with pytest.raises(MissingInputError, match="kick"):
        next(negatives.single_drums(empty, "test", 1))


def test_the_baseline_finds_plain_drums():
    """Kick and snare in turn every half second, hats between them."""
    system = systems.bands()
    sound, _ = drum_mix(3)
    found = system.transcribe(sound.mean(axis=0))
    assert found.seconds == 4.0
    total = 0.0
    for drum, times in (("kick", np.arange(4.0)), ("snare", np.arange(4) + 0.5)):
        seconds, velocities = systems.onsets_of(found, drum)
        total += count(times, seconds, 0.05).recall
        assert ((velocities >= 1) & (velocities <= 127)).all()
    assert total / 2 >= 0.6
    assert found.rhythm is not None
    assert len(system.transcribe(np.zeros(RATE, np.float32)).hits) == 0


def test_hits_of_a_drum_are_those_of_its_classes():
    found = systems.bands().transcribe(drum_mix(0)[0].mean(axis=0))
    hats, _ = systems.onsets_of(found, "hihat")
    closed, _ = systems.onsets_of(found, "closed_hihat")
    assert hats.tolist() == closed.tolist()
    assert len(systems.onsets_of(found, "open_hihat")[0]) == 0


def test_the_network_says_what_is_missing(tmp_path):
    with pytest.raises(MissingInputError, match="dvc repro transcription"):
        systems.network(tmp_path / "nothing")


def test_a_stored_network_is_a_system_that_tells_all_classes_apart(tmp_path):
    """Untrained: what it reports is arbitrary, but it can be run and scored."""
    network.save(TranscriptionNetwork(network.NetworkConfig()), tmp_path, {})
    system = systems.network(tmp_path)
    assert set(system.classes) == {*HIT_CLASSES, "hihat"}
    found = system.transcribe(drum_mix(0)[0].mean(axis=0))
    assert found.seconds == 4.0
    assert {hit.drum for hit in found.hits} <= set(HIT_CLASSES)


def test_json_of_sets_is_serialisable(library):
    """Velocities and onsets are plain numbers once they are listed."""
    [mix, *_] = datasets.realistic(library, 1).mixes()
    assert json.dumps({c: h.seconds.tolist() for c, h in mix.hits.items()})
