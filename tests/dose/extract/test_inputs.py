"""Files, folders and globs are resolved, and a watched file is taken once it is complete."""

import itertools
from pathlib import Path

import pytest

from dose.errors import AudioError
from dose.extract.inputs import expand, folder_names, watch


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_files_folders_and_globs(tmp_path):
    _touch(tmp_path, "a.wav", "b.MP3", "notes.txt", ".hidden.wav", "deep/c.flac")
    assert [p.name for p in expand([str(tmp_path)])] == ["a.wav", "b.MP3"]
    assert [p.name for p in expand([str(tmp_path / "*.wav"), str(tmp_path)])] == ["a.wav", "b.MP3"]
    assert [p.name for p in expand([str(tmp_path / "**/*.flac")])] == ["c.flac"]
    assert expand([str(tmp_path / "missing.wav")]) == [tmp_path / "missing.wav"]


def test_a_file_may_have_glob_characters_in_its_name(tmp_path):
    _touch(tmp_path, "mix [final].wav")
    assert expand([str(tmp_path / "mix [final].wav")]) == [tmp_path / "mix [final].wav"]


def test_no_input_is_an_error(tmp_path):
    with pytest.raises(AudioError, match="No file matches"):
        expand([str(tmp_path / "*.wav")])
    with pytest.raises(AudioError, match="holds no sound files"):
        expand([str(tmp_path)])


def test_every_mix_gets_a_folder_of_its_own():
    paths = [Path("a/x.wav"), Path("b/x.wav"), Path("y.mp3"), Path("c/x.flac")]
    assert folder_names(paths) == ["x", "x_2", "y", "x_3"]


def test_watch_waits_for_the_end_of_writing_and_sees_replacements(tmp_path):
    """Each sleep stands for the time in which somebody else writes."""
    path = tmp_path / "new.wav"
    steps = iter(
        [
            lambda: path.write_bytes(b"1"),  # begins
            lambda: path.write_bytes(b"12345"),  # grows
            lambda: None,  # rests: complete
            lambda: None,  # must not be yielded twice
            lambda: path.write_bytes(b"another sound"),
            lambda: None,
        ]
    )
    given: list[bytes] = []
    sleeps = itertools.count()

    class EndError(Exception):
        pass

    def sleep(seconds: float) -> None:
        next(sleeps)
        try:
            next(steps)()
        except StopIteration:
            raise EndError from None

    with pytest.raises(EndError):
        for found in watch(tmp_path, sleep=sleep):
            assert found == path
            given.append(found.read_bytes())
    assert given == [b"12345", b"another sound"]


def test_watching_no_folder_is_an_error(tmp_path):
    with pytest.raises(AudioError, match="not a folder"):
        next(watch(tmp_path / "nowhere"))
