"""Inputs of `dose extract`: standard input, folders, file names, and messages about skipped files."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from extract_beat import RATE

from dose import audio


class _Pipe(io.TextIOWrapper):
    """Standard input with a file in it."""

    def __init__(self, body: bytes, tty: bool = False) -> None:
        super().__init__(io.BytesIO(body))
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


def test_standard_input_is_a_mix(run, mix, monkeypatch):
    """Issue 17, 8: `ffmpeg ... | dose extract - --out kit`."""
    run(str(mix), "--out", "plain", "--keep-undetected")
    monkeypatch.setattr(sys, "stdin", _Pipe(mix.read_bytes()))
    code, out, err = run(
        "-", "--out", "kit", "--keep-undetected", "--kit", "sfz", "--name", "piped", "--json"
    )
    assert (code, err) == (0, "")
    assert Path("kit/piped.sfz").is_file()
    for drum in ("kick", "snare", "hihat"):
        piped, plain = (audio.read(f"{folder}/{drum}.wav") for folder in ("kit", "plain"))
        assert np.array_equal(piped, plain)
    assert json.loads(out)["mixes"][0]["seconds"] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("pipe", "says"),
    [(_Pipe(b"", tty=True), "Nothing is piped in"), (None, "Nothing is piped in"), (_Pipe(b""), "is empty"),
     (_Pipe(b"a letter" * 99), "not a sound file")],
)  # fmt: skip
def test_standard_input_without_a_sound_is_an_error(run, monkeypatch, pipe, says):
    monkeypatch.setattr(sys, "stdin", pipe)
    code, _, err = run("-", "--out", "kit")
    assert (code, err.count("\n"), says in err) == (1, 1, True)
    assert not Path("kit").exists()


def test_skipped_files_of_a_folder_are_named(run, mix, loop):
    """Issue 17, 8: a folder with an .m4a beside a .wav used the .wav and said nothing."""
    for name in ("a.wave", "b.aifc"):
        audio.write("songs/a.wav", loop, RATE)
        Path("songs/a.wav").rename(f"songs/{name}")
    Path("songs/cover.jpg").write_bytes(b"\xff\xd8")
    Path("songs/live").mkdir()
    Path("songs/.hidden").write_text("")
    code, out, err = run("songs", "--out", "kits", "--keep-undetected", "--drums", "kick")
    assert code == 0
    assert "a.wave -> kits/a" in out
    assert "b.aifc -> kits/b" in out
    assert err == "dose: songs: no sound files by their names, skipped: cover.jpg, live/.\n"


SUFFIXES = (
    "m4a",
    "aifc",
    "oga",
    "wave",
    "mp2",
    "M4A",
    "wma",
    "webm",
    "mka",
    "wv",
    "aac",
    "ac3",
    "mov",
    "mp4",
)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_of_a_sound_counts_in_a_folder(tmp_path, suffix):
    from dose.extract.inputs import sounds_in

    (tmp_path / f"x.{suffix}").write_bytes(b"x")
    assert [p.name for p in sounds_in(tmp_path)] == [f"x.{suffix}"]


@pytest.mark.parametrize("name", [b"caf\xe9.wav", "日本語.wav".encode(), b"a\x1b[31m.wav"])
def test_any_file_name_is_accepted_and_printed(run, mix, name, tmp_path):
    import os

    path = os.fsdecode(name)
    mix.rename(path)
    code, out, err = run(
        path, "--out", "kit", "--keep-undetected", "--kit", "all", "--page", "kit.html", "--json"
    )
    assert (code, err) == (0, "")
    json.loads(out).get("mixes")[0]["source"].encode()  # no lone surrogate, which no other reader takes
    assert len(list(Path("kit").glob("*.wav"))) == 3
    assert run(path, path, str(path), "--out", "kits", "--keep-undetected", "--drums", "kick")[0] == 0


def test_an_unreadable_folder_is_an_error(run, tmp_path, monkeypatch):
    Path("songs").mkdir()

    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    code, _, err = run("songs", "--out", "kit")
    assert (code, err) == (1, "dose: The folder songs cannot be read (Permission denied).\n")
