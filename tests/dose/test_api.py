"""`from dose import Extractor`: light to import, and the same kits as the command line's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny_bundle

import dose
from dose import cli
from dose.extract.postprocess import PostprocessConfig
from dose.kits.folder import Occupied

ROOT = Path(__file__).parent.parent.parent
LOOP = ROOT / "src/dose/sources/demo/loop_industrial.flac"  # the shortest


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle.make(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def extractor(bundle):
    return dose.Extractor(bundle, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def kit(extractor):
    return extractor.extract_file(LOOP, seed=3)


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, dose; print([m for m in ('numpy', 'torch', 'importlib.metadata') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_service_shares_the_rendering_without_importing_torch():
    """BentoML's supervisor imports the application too and never extracts."""
    code = "import sys, serving.rendering; print('torch' in sys.modules, 'dose.api.kit' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_the_package_lists_its_api():
    assert {"Extractor", "Kit", "DoseError", "__version__"} <= set(dir(dose))
    assert dose.Kit.__module__ == "dose.api.kit"


def test_the_five_lines_of_the_documentation_run(monkeypatch, tmp_path, bundle):
    """As they stand in docs/python.md; with tiny models, of which any drum may count as detected."""
    lines = (ROOT / "docs/python.md").read_text().partition("```python\n")[2].partition("```")[0].splitlines()
    assert len(lines) <= 5
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dose.extract.extractor.default_bundle", lambda: bundle)
    monkeypatch.setattr(dose.Kit, "detected", lambda self, drum: True)
    (tmp_path / "song.wav").write_bytes(LOOP.read_bytes())
    exec("\n".join(lines), {})
    names = {p.name for p in (tmp_path / "kit").iterdir()}
    assert {"kick.wav", "snare.wav", "hihat.wav", "song.sfz", "song.adg"} <= names


def test_a_saved_kit_is_the_command_lines(kit, bundle, tmp_path):
    files = kit.save(tmp_path / "api", "sfz", undetected=True)
    options = ["--bundle", str(bundle), "--device", "cpu", "--precision", "fp32", "--seed", "3"]
    options += ["--kit", "sfz", "--keep-undetected"]
    assert cli.main(["extract", str(LOOP), "--out", str(tmp_path / "cli"), *options]) == 0
    assert sorted(f.name for f in files) == sorted(p.name for p in (tmp_path / "cli").iterdir())
    for file in files:
        assert file.read_bytes() == (tmp_path / "cli" / file.name).read_bytes(), file.name


def test_sound_options_reach_the_files(kit, tmp_path):
    sound = PostprocessConfig(rate=22050, tail=0.1)
    kit.save(tmp_path / "kit", undetected=True, sound=sound, bits=24, channels="mix")
    info = soundfile.info(tmp_path / "kit/kick.wav")
    assert (info.samplerate, info.channels, info.subtype) == (22050, 2, "PCM_24")
    assert info.duration <= 0.1


def test_a_kit_of_an_array_has_a_name_and_no_source(extractor, tmp_path):
    sound, rate = soundfile.read(LOOP, dtype=np.float32)
    kit = extractor.extract(sound.T, rate, drums=("snare",))
    assert kit.source is None
    names = {f.name for f in kit.save(tmp_path / "kit", "sfz", undetected=True, name="mine")}
    assert {"snare.wav", "mine.sfz"} <= names
    assert "kit.sfz" in {f.name for f in kit.save(tmp_path / "other", "sfz", undetected=True)}


def test_users_errors_are_one_sentence(kit, extractor, monkeypatch, tmp_path):
    monkeypatch.setattr(dose.Kit, "detected", lambda self, drum: False)
    with pytest.raises(dose.DoseError, match=r"No drum was detected in loop_industrial\.flac; "):
        kit.save(tmp_path / "kit")
    with pytest.raises(dose.DoseError, match="There is no kit format 'nonsense'"):
        kit.save(tmp_path / "kit", "nonsense", undetected=True)
    with pytest.raises(dose.DoseError, match=r"missing\.wav"):
        extractor.extract_file(tmp_path / "missing.wav")
    assert not (tmp_path / "kit").exists()


def test_a_kit_never_replaces_its_mix(extractor, tmp_path):
    mix = tmp_path / "kick.wav"
    mix.write_bytes(LOOP.read_bytes())
    before = mix.read_bytes()
    kit = extractor.extract_file(mix, drums=("kick",))
    with pytest.raises(Occupied):
        kit.save(tmp_path, undetected=True)
    assert mix.read_bytes() == before
