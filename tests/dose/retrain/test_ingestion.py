"""New sounds: only valid ones, only with a licence, each once, and none lost by a kill."""

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


def ingest(folder, tmp_path):
    return ingestion.ingest(folder, tmp_path / "store", tmp_path / "rejected")


def test_valid_sounds_are_stored_and_the_others_rejected_with_a_reason(folder, tmp_path):
    assert len(ingestion.pending_files(folder)) == 5
    found = ingest(folder, tmp_path)
    assert found.accepted == 2
    assert set(found.rejected) == {"kick/silent.wav", "kick/broken.wav", "triangle/three.wav"}
    assert "no folder named after a class" in found.rejected["triangle/three.wav"]
    assert "dBFS" in found.rejected["kick/silent.wav"]
    ((name, metadata),) = ingestion.stored_batches(tmp_path / "store").items()
    assert set(metadata["files"]) == {"kick/kit-a/one.wav", "hats/two.wav"}
    assert metadata["licence"] == "CC0-1.0"
    assert (tmp_path / "store" / name / "hats" / "two.wav").is_file()
    assert (tmp_path / "rejected" / "kick" / "silent.wav").is_file()
    assert ingestion.pending_files(folder) == []
    assert ingest(folder, tmp_path).accepted == 0


def test_nothing_is_ingested_without_a_licence(folder, tmp_path):
    (folder / ingestion.LICENCE).unlink()
    with pytest.raises(MissingInputError, match=r"licence\.yaml is missing"):
        ingest(folder, tmp_path)
    (folder / ingestion.LICENCE).write_text("licence: CC0-1.0\n")
    with pytest.raises(ConfigError, match="lacks keys: author"):
        ingest(folder, tmp_path)
    assert len(ingestion.pending_files(folder)) == 5


def test_a_sound_is_ingested_once(folder, tmp_path):
    copy = (folder / "hats" / "two.wav").read_bytes()
    ingest(folder, tmp_path)
    (folder / "hats" / "again.wav").write_bytes(copy)
    assert ingest(folder, tmp_path).rejected == {"hats/again.wav": "It was ingested before."}
    assert len(ingestion.stored_batches(tmp_path / "store")) == 1


def test_after_a_kill_no_sound_is_lost_or_stored_twice(folder, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    monkeypatch.setattr(ingestion.shutil, "move", killed)
    with pytest.raises(Killed):
        ingest(folder, tmp_path)
    monkeypatch.undo()
    assert len(ingestion.pending_files(folder)) == 5
    ingest(folder, tmp_path)
    assert ingestion.pending_files(folder) == []
    stored = ingestion.stored_batches(tmp_path / "store")
    assert sum(len(metadata["files"]) for metadata in stored.values()) == 2


def test_an_absent_folder_holds_nothing(tmp_path):
    assert ingestion.pending_files(tmp_path / "none") == []
    assert ingest(tmp_path / "none", tmp_path).accepted == 0
