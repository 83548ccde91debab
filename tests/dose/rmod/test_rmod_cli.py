import time

import miditoolkit
import pytest
import soundfile
import tiny_library
import yaml

from dose import cli, files
from dose.drums import DRUMS
from dose.rmod.realistic import mix as realistic
from dose.rmod.realistic.config import RealisticConfig
from dose.rmod.realistic.grooves import TRACKS
from dose.sources.library import LIBRARY_INDEX, SampleLibrary, write_library_index
from dose.transcription.hits import GM_NOTES


@pytest.fixture
def project(tmp_path, monkeypatch, make_library, ranges_path):
    """A folder with params.yaml and data/sources, as after the first stage."""
    library = make_library(each=2)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sources").symlink_to(library.root)
    write_library_index(library.clips, library.root / LIBRARY_INDEX)
    files.write_manifest(library.root)
    (tmp_path / "params.yaml").write_text(ranges_path.read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_export_twice_gives_the_same_bytes(project, capsys):
    for out in ("a", "b"):
        assert cli.main(["rmod", "export", "--split", "test", "--count", "2", "--out", out]) == 0
    names = sorted(p.relative_to(project / "a") for p in (project / "a").rglob("*.*"))
    assert [str(n) for n in names[:5]] == [
        f"000000/{n}" for n in ("hihat.wav", "hits.json", "kick.wav", "mix.wav", "snare.wav")
    ]
    assert all((project / "a" / n).read_bytes() == (project / "b" / n).read_bytes() for n in names)
    info = soundfile.info(project / "a" / "000001" / "mix.wav")
    assert (info.samplerate, info.channels, info.frames, info.subtype) == (44100, 2, 176400, "PCM_16")


def test_stems_and_data_sets(project):
    line = "rmod export --dataset rmod_drums --count 1 --start 3 --out d --stems"
    assert cli.main(line.split()) == 0
    assert {p.stem for p in (project / "d" / "000003" / "stems").iterdir()} == set(DRUMS)


def test_show_prints_the_specification_and_writes_everything(project, capsys):
    assert cli.main(["rmod", "show", "--split", "train", "--index", "123456", "--out", "shown"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["split"], shown["index"]) == ("train", 123456)
    assert len(shown["hihat"]["onsets"]) >= 14
    names = {p.name for p in (project / "shown").iterdir()}
    assert names == {
        "mix.wav",
        "kick.wav",
        "snare.wav",
        "hihat.wav",
        "hits.json",
        "mix_spec.json",
        "drums.mid",
        "stems",
    }


def test_show_of_a_realistic_mix_writes_what_was_drawn(tmp_path, monkeypatch, ranges_path, capsys):
    tiny_library.make(tmp_path / "data/sources", splits=("test",), checked=True)
    (tmp_path / "params.yaml").write_text(ranges_path.read_text())
    monkeypatch.chdir(tmp_path)
    library = SampleLibrary.load(tmp_path / "data/sources")
    specs = [realistic.draw(RealisticConfig(), library, "test", i) for i in range(40)]
    index = next(i for i, s in enumerate(specs) if s.groove and all(s.groove.hits[t] for t in TRACKS[:3]))
    free = next(i for i, s in enumerate(specs) if s.groove is None)
    for number in (index, free):
        line = f"rmod show --distribution realistic --index {number} --out shown{number}"
        assert cli.main(line.split()) == 0
    shown = yaml.safe_load(capsys.readouterr().out.split("# mix")[0])
    groove = specs[index].groove
    assert shown["groove"]["hits"] == {t: len(own) for t, own in groove.hits.items() if own}
    mix, rate = soundfile.read(f"shown{index}/mix.wav")
    rendered = realistic.render(specs[index], library)
    assert (rate, mix.shape) == (44100, rendered.audio.shape)
    assert abs(mix - rendered.audio).max() < 1e-4
    hits = files.read_json(tmp_path / f"shown{index}/hits.json")
    assert {t: [tuple(h) for h in own] for t, own in hits.items()} == {
        t: list(own) for t, own in rendered.hits.items()
    }
    # The MIDI file: every hit but percussion, at its time, in the groove's tempo.
    song = miditoolkit.MidiFile(f"shown{index}/drums.mid")
    assert song.tempo_changes[-1].tempo == pytest.approx(groove.tempo, rel=0.02)
    seconds = song.get_tick_to_time_mapping()
    for track in TRACKS[:3]:
        starts = [seconds[n.start] for n in song.instruments[0].notes if n.pitch == GM_NOTES[track]]
        assert sorted(starts) == pytest.approx([at for at, _ in hits[track]], abs=0.002)
    assert files.read_json(tmp_path / f"shown{index}/mix_spec.json")["index"] == index
    assert files.read_json(tmp_path / f"shown{free}/hits.json") == {}
    assert not miditoolkit.MidiFile(f"shown{free}/drums.mid").instruments


def test_show_takes_less_than_a_second_once_everything_is_imported(project):
    line = "rmod show --split train --index 123456 --out shown"
    cli.main(line.split())  # imports, and loads or compiles the kernels
    start = time.process_time()
    assert cli.main(line.split()) == 0
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("rmod export --split test --count 0 --out x", "at least 1"),
        ("rmod export --split test --dataset groove --count 1 --out x", "not both"),
        ("rmod show --split train --index -1", "at least 0"),
        ("rmod show --distribution realistic --dataset groove --index 1", "--split instead"),
        ("rmod query bass", "dvc repro"),
        ("rmod show --split train --index 1 --sources nowhere", "nowhere"),
        ("rmod show --split train --index 1 --params nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_mistakes_are_one_sentence(project, capsys, line, words):
    assert cli.main(line.split()) == 1
    error = capsys.readouterr().err
    assert words in error
    assert len(error.strip().splitlines()) == 1
