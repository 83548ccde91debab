"""Issue 17: kits of the shipped models from the table's inputs, against the kit of the plain file.

Where the audio is equal, the kit is equal to the bit; else all drums are detected and sound similar.
"""

import io
import json
from pathlib import Path

import containers_made as made
import numpy as np
import pytest

from dose import audio, cli
from dose.audio import RATE
from dose.bundle import SHIPPED
from dose.extract import Extractor
from dose.sources.shipped import DEMO

G = audio.read(DEMO / "loop_garzul.flac", mono=False)
BARE = {"write_xing": "0", "id3v2_version": "0"}


@pytest.fixture(scope="module")
def extractor():
    return Extractor.load(SHIPPED)


@pytest.fixture(scope="module")
def plain(extractor):
    return extractor.extract(G, RATE)


EQUAL = {
    "ALAC in m4a": lambda: made.encoded(G, *made.LOSSLESS["m4a"]),
    "WAV to a pipe": lambda: made.wav(
        made.fmt(), made.chunk(b"data", made.pcm(G), claimed=0xFFFFFFFF), claimed=0xFFFFFFFF
    ),
    "channels turned against each other": lambda: audio.wav_bytes(np.concatenate([G, -G])),
}


@pytest.mark.parametrize("name", EQUAL)
def test_equal_audio_gives_an_equal_kit(extractor, plain, name):
    kit = extractor.extract_file(io.BytesIO(EQUAL[name]()), name=name)
    assert kit.seconds == plain.seconds
    for drum in plain.hits:
        mine, other = kit.best(drum), plain.best(drum)
        assert np.array_equal(mine.audio, other.audio), drum
        assert (mine.confidence, mine.time, mine.detected) == (other.confidence, other.time, other.detected)


ALIKE = {
    "VBR MP3 without Xing": lambda: made.encoded(G, "mp3", "libmp3lame", muxer=BARE, quality="2"),
    "AAC in mp4": lambda: made.encoded(G, *made.LOSSY["mp4"]),
    "an offset": lambda: audio.wav_bytes(0.6 * G + 0.3, subtype="FLOAT"),
    "a small offset": lambda: audio.wav_bytes(0.6 * G + 0.02, subtype="FLOAT"),
}


@pytest.mark.parametrize("name", ALIKE)
def test_lossy_files_give_the_same_drums_with_a_similar_sound(extractor, plain, name):
    """The offset made kicks of 1.0 s instead of 0.36 s, and a third of a hi-hat's power lay below 200 Hz."""
    kit = extractor.extract_file(io.BytesIO(ALIKE[name]()), name=name)
    assert kit.seconds == pytest.approx(plain.seconds, abs=0.12)
    for drum in plain.hits:
        mine, other = kit.best(drum), plain.best(drum)
        assert mine.detected
        if "offset" in name:  # a lossy codec may well turn a drum's end into noise
            assert len(mine.audio) == pytest.approx(len(other.audio), rel=0.2), drum
        assert _low_share(mine.audio) == pytest.approx(_low_share(other.audio), abs=0.1), drum


def _low_share(sound: np.ndarray) -> float:
    """Of the power, below 200 Hz."""
    power = np.abs(np.fft.rfft(sound, RATE)) ** 2
    return float(power[:200].sum() / power.sum())


def test_the_command_writes_what_the_table_says(tmp_path, monkeypatch, capsys):
    """A folder of containers gives one kit each: files, seconds used, drums detected."""
    monkeypatch.chdir(tmp_path)
    Path("songs").mkdir()
    for name, table in (
        ("a.m4a", made.LOSSLESS["m4a"]),
        ("b.webm", made.LOSSY["webm"]),
        ("a.wma", made.LOSSY["wma"]),
    ):
        Path("songs", name).write_bytes(made.encoded(G, *table))
    Path("songs/notes.txt").write_text("no sound")
    assert cli.main(["extract", "songs", "--out", "kits", "--bundle", str(SHIPPED), "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "dose: songs: no sound files by their names, skipped: notes.txt.\n"
    mixes = json.loads(printed.out)["mixes"]
    assert [(m["source"], m["out"]) for m in mixes] == [
        ("songs/a.m4a", "kits/a"), ("songs/a.wma", "kits/a_2"), ("songs/b.webm", "kits/b")
    ]  # fmt: skip
    for mix in mixes:
        assert mix["seconds"] == pytest.approx(8.0, abs=0.12)
        assert all(mix["drums"][drum]["detected"] for drum in ("kick", "snare", "hihat"))
        files = sorted(p.name for p in Path(mix["out"]).iterdir())
        assert files == ["hihat.wav", "kick.wav", "snare.wav"]
