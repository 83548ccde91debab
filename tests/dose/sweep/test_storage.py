"""Tune's files on a disk that has no room left, and under a driver that is killed."""

import errno
import io
import pickle
from pathlib import Path

import pyarrow
import pytest
from pyarrow.fs import S3FileSystem

from dose.sweep import storage


def test_a_file_is_replaced_when_it_is_closed(tmp_path):
    system, path = storage.open_storage(str(tmp_path / "state.json"))
    (tmp_path / "state.json").write_text("old")
    with system.open_output_stream(path) as stream:
        stream.write(b"ne")
        assert (tmp_path / "state.json").read_text() == "old"
        stream.write(b"w")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("state.json", "new")]


def test_a_file_that_was_never_closed_is_not_there(tmp_path):
    system, path = storage.open_storage(str(tmp_path / "state.json"))
    (tmp_path / "state.json").write_text("old")
    stream = system.open_output_stream(path)
    stream.write(b"half")
    del stream
    assert (tmp_path / "state.json").read_text() == "old"


@pytest.mark.parametrize("step", ["write", "close"])
def test_without_room_the_old_file_stays(tmp_path, monkeypatch, step):
    class Full(io.FileIO):
        def write(self, data):
            if step == "write" and self.tell() > 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data[:10])

        def close(self):
            closed = self.closed
            super().close()
            if step == "close" and not closed:
                raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "state").write_bytes(b"old")
    monkeypatch.setattr(Path, "open", lambda path, mode, buffering: Full(path, "w"))
    system, path = storage.open_storage(str(tmp_path / "state"))
    stream = system.open_output_stream(path)
    with pytest.raises(OSError, match="No space left"):
        stream.write(b"n" * 100)
        stream.close()
    monkeypatch.undo()
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("state", b"old")]


def test_it_travels_to_other_machines_and_tells_of_folders(tmp_path):
    system, path = storage.open_storage(str(tmp_path))
    system = pickle.loads(pickle.dumps(system))
    system.create_dir(f"{path}/a/b")
    with system.open_output_stream(f"{path}/a/b/c") as stream:
        stream.write(b"x")
    found = system.get_file_info(pyarrow.fs.FileSelector(path, recursive=True))
    assert {f.path.removeprefix(path) for f in found} == {"/a", "/a/b", "/a/b/c"}


def test_an_object_store_is_used_as_it_is():
    system, path = storage.open_storage("s3://id:secret@bucket/dose/kick?region=eu-west-1")
    assert isinstance(system, S3FileSystem)
    assert path == "bucket/dose/kick"
