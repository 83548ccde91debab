import miditoolkit
import numpy as np
import pytest

from dose.drums import DRUMS
from dose.errors import DoseError, MissingInputError
from dose.rmod import draw
from dose.rmod.mixer import MIX
from dose.rmod.patterns import STAND_IN, groove_pattern, performances, write_midi
from dose.rmod.rng import uniforms


def _performance(path, seconds=6.0, notes=(36, 38, 42), tempo=90):
    """Every half second one note of each; velocities tell them apart."""
    midi = miditoolkit.MidiFile(ticks_per_beat=480)
    midi.tempo_changes = [miditoolkit.TempoChange(tempo, 0)]
    track = miditoolkit.Instrument(program=0, is_drum=True)
    per_second = 480 * tempo / 60
    for k in range(int(seconds * 2)):
        start = round((0.5 * k + 0.1) * per_second)
        for note in notes:
            track.notes.append(miditoolkit.Note(velocity=note + k, pitch=note, start=start, end=start + 10))
    midi.instruments.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.dump(str(path))


@pytest.fixture(autouse=True)
def _fresh():
    performances.cache_clear()


def test_windows_of_a_real_performance(tmp_path):
    _performance(tmp_path / "drummer1" / "one.mid")
    windows = performances(str(tmp_path))
    assert [w.name for w in windows] == ["drummer1/one.mid @ 0 s", "drummer1/one.mid @ 1 s"]
    second = windows[1]
    want = [round((0.1 + 0.5 * k) * 44100) for k in range(8)]
    assert np.abs(np.subtract(second.onsets["kick"], want)).max() <= 100  # a tick is 61 samples
    assert second.velocities["snare"] == tuple(38 + 2 + k for k in range(8))
    last = groove_pattern(str(tmp_path), np.full(300, 0.99))
    assert last == windows[-1]


def test_a_window_without_one_of_the_drums_is_left_out(tmp_path):
    _performance(tmp_path / "hats.mid", notes=(42, 46))
    with pytest.raises(MissingInputError, match="no MIDI performance"):
        performances(str(tmp_path))


def test_the_data_sets_own_list_chooses_its_test_split(tmp_path):
    _performance(tmp_path / "a.mid")
    _performance(tmp_path / "b.mid")
    (tmp_path / "info.csv").write_text("midi_filename,split\na.mid,train\nb.mid,test\nc.mid,test\n")
    assert {w.name.split(" ")[0] for w in performances(str(tmp_path))} == {"b.mid"}


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "broken.mid").write_bytes(b"MThd no more")
    with pytest.raises(DoseError, match=r"broken\.mid"):
        performances(str(tmp_path))


def test_the_stand_in_is_labelled_and_human(ranges, library):
    patterns = [groove_pattern(None, u[-1]) for u in uniforms(1, "groove", 0, 200)]
    assert {p.name for p in patterns} == {STAND_IN}
    assert "not GMD" in STAND_IN
    for p in patterns:
        for drum in DRUMS:
            assert len(p.onsets[drum]) == len(p.velocities[drum]) >= 1
            assert all(np.diff(p.onsets[drum]) > 0)
            assert min(p.onsets[drum]) >= 0
            assert max(p.onsets[drum]) < MIX
            assert min(p.velocities[drum]) >= 1
            assert max(p.velocities[drum]) <= 127
    # Velocity has structure: hats are accented, some snares are ghosts.
    assert np.std(np.concatenate([p.velocities["hihat"] for p in patterns])) > 8
    assert min(min(p.velocities["snare"]) for p in patterns) < 60
    spec = draw(ranges, library, "groove", 5)
    assert spec.pattern == STAND_IN
    assert {library.clip(x.clip).split for d in spec.drums.values() for x in d.layers} == {"test"}
    assert spec.hihat.onsets == patterns[5].onsets["hihat"]


def test_the_midi_file_reads_back_as_the_hits_of_its_mix(ranges, library, tmp_path):
    spec = draw(ranges, library, "train", 3)
    write_midi(spec, tmp_path / "x.mid")
    midi = miditoolkit.MidiFile(str(tmp_path / "x.mid"))
    seconds = midi.get_tick_to_time_mapping()
    for note, drum in ((36, spec.kick), (38, spec.snare), (42, spec.hihat)):
        notes = sorted((n for n in midi.instruments[0].notes if n.pitch == note), key=lambda n: n.start)
        assert tuple(n.velocity for n in notes) == drum.velocities
        starts = np.array([seconds[n.start] for n in notes])
        np.testing.assert_allclose(starts * 44100, drum.onsets, atol=0.51)  # on the grid, exactly
    assert len(midi.markers) == len(spec.loops)
