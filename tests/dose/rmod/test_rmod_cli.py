import time

import pytest
import soundfile
import yaml

from dose import cli, files
from dose.drums import DRUMS
from dose.sources.library import LIBRARY_INDEX, write_library_index


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
