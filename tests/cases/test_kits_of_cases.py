"""Kits of the shipped models from many containers and codecs, compared with the kit of the plain file.

Equal audio gives a bit-identical kit; from other audio all drums are detected and similar.
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

LOOP = audio.read(DEMO / "loop_garzul.flac", mono=False)
BARE = {"write_xing": "0", "id3v2_version": "0"}


@pytest.fixture(scope="module")
def extractor():
    return Extractor.load(SHIPPED)


@pytest.fixture(scope="module")
def plain(extractor):
    return extractor.extract(LOOP, RATE)


EQUAL = {
    "ALAC in m4a": lambda: made.encoded(LOOP, *made.LOSSLESS["m4a"]),
    "WAV to a pipe": lambda: made.wav(
        made.fmt(), made.chunk(b"data", made.pcm(LOOP), claimed=0xFFFFFFFF), claimed=0xFFFFFFFF
    ),
    "channels of opposite phase": lambda: audio.wav_bytes(np.concatenate([LOOP, -LOOP])),
}


@pytest.mark.parametrize("name", EQUAL)
def test_equal_audio_gives_an_equal_kit(extractor, plain, name):
    kit = extractor.extract_file(io.BytesIO(EQUAL[name]()), name=name)
    assert kit.seconds == plain.seconds
    for drum in plain.hits:
        hit, reference = kit.best(drum), plain.best(drum)
        assert np.array_equal(hit.audio, reference.audio), drum
        assert hit.confidence == reference.confidence
        assert (hit.time, hit.detected) == (reference.time, reference.detected)


SIMILAR = {
    "VBR MP3 without Xing": lambda: made.encoded(LOOP, "mp3", "libmp3lame", muxer=BARE, quality="2"),
    "AAC in mp4": lambda: made.encoded(LOOP, *made.LOSSY["mp4"]),
    "an offset": lambda: audio.wav_bytes(0.6 * LOOP + 0.3, subtype="FLOAT"),
    "a small offset": lambda: audio.wav_bytes(0.6 * LOOP + 0.02, subtype="FLOAT"),
}


@pytest.mark.parametrize("name", SIMILAR)
def test_the_same_drums_are_detected_and_similar(extractor, plain, name):
    """The offset made kicks of 1.0 s instead of 0.36 s, and a third of a hi-hat's power lay below 200 Hz."""
    kit = extractor.extract_file(io.BytesIO(SIMILAR[name]()), name=name)
    assert kit.seconds == pytest.approx(plain.seconds, abs=0.12)
    for drum in plain.hits:
        hit, reference = kit.best(drum), plain.best(drum)
        assert hit.detected
        # A lossy codec may well turn a drum's end into noise, or another of the samples into the best one.
        if "offset" in name:
            assert len(hit.audio) == pytest.approx(len(reference.audio), rel=0.35), drum
            assert _low_share(hit.audio) == pytest.approx(_low_share(reference.audio), abs=0.1), drum
        else:
            assert hit.confidence == pytest.approx(reference.confidence, abs=0.15), drum


def _low_share(sound: np.ndarray) -> float:
    """Of the power, below 200 Hz."""
    power = np.abs(np.fft.rfft(sound, RATE)) ** 2
    return float(power[:200].sum() / power.sum())


def test_the_command_writes_a_kit_per_container(tmp_path, monkeypatch, capsys):
    """One kit for each container of a folder: its files, the seconds used, and all drums detected."""
    monkeypatch.chdir(tmp_path)
    Path("songs").mkdir()
    for name, table in (
        ("a.m4a", made.LOSSLESS["m4a"]),
        ("b.webm", made.LOSSY["webm"]),
        ("a.wma", made.LOSSY["wma"]),
    ):
        Path("songs", name).write_bytes(made.encoded(LOOP, *table))
    Path("songs/notes.txt").write_text("no sound")
    assert cli.main(["extract", "songs", "--out", "kits", "--bundle", str(SHIPPED), "--json"]) == 0
    output = capsys.readouterr()
    assert output.err == "dose: songs: no sound files by their names, skipped: notes.txt.\n"
    mixes = json.loads(output.out)["mixes"]
    assert [(m["source"], m["out"]) for m in mixes] == [
        ("songs/a.m4a", "kits/a"), ("songs/a.wma", "kits/a_2"), ("songs/b.webm", "kits/b")
    ]  # fmt: skip
    for mix in mixes:
        assert mix["seconds"] == pytest.approx(8.0, abs=0.12)
        assert all(mix["drums"][drum]["detected"] for drum in ("kick", "snare", "hihat"))
        files = sorted(p.name for p in Path(mix["out"]).iterdir())
        assert files == ["hihat.wav", "kick.wav", "snare.wav"]
