"""New sounds: only good ones, only with a licence, once, and never lost by a kill."""

import numpy as np
import pytest

from dose import audio
from dose.errors import ConfigError, MissingInputError
from dose.retrain import ingestion

TIME = np.arange(22050) / 44100


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "incoming"
    for i, name in enumerate(("kick/kit-a/one.wav", "hats/two.wav", "triangle/three.wav")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        audio.write(root / name, (0.5 * np.sin(400 * (i + 1) * TIME) * np.exp(-9 * TIME)).astype(np.float32))
    audio.write(root / "kick" / "silent.wav", np.zeros(22050, np.float32))
    (root / "kick" / "broken.wav").write_bytes(b"RIFF no")
    (root / ingestion.LICENCE).write_text("licence: CC0-1.0\nauthor: me\n")
    return root


def take(folder, tmp_path):
    return ingestion.take_in(folder, tmp_path / "store", tmp_path / "rejected")


def test_good_sounds_are_stored_and_the_others_put_aside_with_the_reason(folder, tmp_path):
    assert len(ingestion.waiting(folder)) == 5
    found = take(folder, tmp_path)
    assert found.taken == 2
    assert set(found.rejected) == {"kick/silent.wav", "kick/broken.wav", "triangle/three.wav"}
    assert "no folder named after a class" in found.rejected["triangle/three.wav"]
    assert "dBFS" in found.rejected["kick/silent.wav"]
    ((name, about),) = ingestion.stored(tmp_path / "store").items()
    assert set(about["files"]) == {"kick/kit-a/one.wav", "hats/two.wav"}
    assert about["licence"] == "CC0-1.0"
    assert (tmp_path / "store" / name / "hats" / "two.wav").is_file()
    assert (tmp_path / "rejected" / "kick" / "silent.wav").is_file()
    assert ingestion.waiting(folder) == []
    assert take(folder, tmp_path).taken == 0


def test_nothing_is_taken_without_a_licence(folder, tmp_path):
    (folder / ingestion.LICENCE).unlink()
    with pytest.raises(MissingInputError, match=r"licence\.yaml is missing"):
        take(folder, tmp_path)
    (folder / ingestion.LICENCE).write_text("licence: CC0-1.0\n")
    with pytest.raises(ConfigError, match="lacks keys: author"):
        take(folder, tmp_path)
    assert len(ingestion.waiting(folder)) == 5


def test_a_sound_is_taken_in_once(folder, tmp_path):
    copy = (folder / "hats" / "two.wav").read_bytes()
    take(folder, tmp_path)
    (folder / "hats" / "again.wav").write_bytes(copy)
    assert take(folder, tmp_path).rejected == {"hats/again.wav": "It has been taken in before."}
    assert len(ingestion.stored(tmp_path / "store")) == 1


def test_a_kill_after_storing_loses_nothing_and_doubles_nothing(folder, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    monkeypatch.setattr(ingestion.shutil, "move", killed)
    with pytest.raises(Killed):
        take(folder, tmp_path)
    monkeypatch.undo()
    assert len(ingestion.waiting(folder)) == 5
    take(folder, tmp_path)
    assert ingestion.waiting(folder) == []
    stored = ingestion.stored(tmp_path / "store")
    assert sum(len(about["files"]) for about in stored.values()) == 2


def test_an_absent_folder_holds_nothing(tmp_path):
    assert ingestion.waiting(tmp_path / "none") == []
    assert take(tmp_path / "none", tmp_path).taken == 0
