"""The folder of a kit: one kit, replaced as a whole, among other files that stay."""

from pathlib import Path

import numpy as np
import pytest

from dose.kits import riff
from dose.kits.folder import Occupied, check, put


def _everything(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_the_staging_folder_of_a_killed_process_is_deleted(tmp_path):
    sounds = {"kick.wav": _wav("a.wav")}
    put(tmp_path / "kit", sounds)
    (tmp_path / "kit" / ".dose-kit-0000").mkdir()
    (tmp_path / "kit" / ".dose-kit-0000" / "snare.wav").write_bytes(b"half")
    put(tmp_path / "kit", sounds)
    assert [p.name for p in (tmp_path / "kit").iterdir()] == ["kick.wav"]


def test_a_kit_that_cannot_be_written_leaves_the_old_one(tmp_path):
    """The new kit is complete before the old one is deleted."""
    put(tmp_path / "kit", {"kick.wav": _wav("a.wav")})
    before = _everything(tmp_path)
    with pytest.raises(OSError):
        put(tmp_path / "kit", {"snare.wav": _wav("b.wav"), "x" * 300 + ".sfz": b"too long a name"})
    with pytest.raises(OSError):
        put(tmp_path / "new", {"snare.wav": _wav("b.wav"), "x" * 300 + ".sfz": b"too long a name"})
    assert _everything(tmp_path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["kit"]


def test_a_collection_of_instruments_stays(tmp_path):
    """Instruments without their WAVs are a collection, not a kit to replace."""
    (tmp_path / "a.sf2").write_bytes(b"RIFF....sfbkLIST....INFOISFT\x06\0\0\0DOSE\0\0")
    put(tmp_path, {"kick.wav": _wav("b.wav"), "b.sf2": b"RIFF"})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.sf2", "b.sf2", "kick.wav"]


def test_a_folder_with_the_name_of_a_wav_is_an_error(tmp_path):
    (tmp_path / "kick.wav").mkdir()
    with pytest.raises(Occupied, match=r"kick\.wav would be overwritten"):
        check(tmp_path, ["kick.wav"])


def _wav(source: str) -> bytes:
    tags = riff.Tags(title="Kick", software="DOSE", source=source)
    return riff.wav(np.zeros(8, np.float32), 44100, 16, tags)
