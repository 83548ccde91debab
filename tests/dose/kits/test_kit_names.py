"""Kit names that must not break any format, and sounds that exceed a format's limits."""

import gzip
import io
import struct
import tarfile
from xml.etree import ElementTree

import numpy as np
import pytest

from dose.kits import build, write
from dose.kits.drumkit import safe_name
from dose.kits.riff import Bits


class _StubHit:
    confidence, time, seed = 0.9, 0.0, 1


def _kit(name: str, candidates: int = 1, bits: Bits = 16, channels: int = 1):
    sound = np.full((channels, 100), 0.5, np.float32)
    one_shots = {
        drum: [build.RenderedOneShot(hit=_StubHit(), audio=sound)] * candidates
        for drum in ("kick", "snare", "hihat")
    }
    origin = build.Origin(source=f"{name}.wav", version="dose-1", data_id="made")
    return build.build(name, one_shots, origin, rate=44100, bits=bits)


def _parsed(name: str, body: bytes) -> None:
    """Fails where a file of the kit cannot be read by its format's parser."""
    if name.endswith((".dspreset", ".xpm")):
        ElementTree.fromstring(body)
    elif name.endswith(".adg"):
        ElementTree.fromstring(gzip.decompress(body))
    elif name.endswith(".h2drumkit"):
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            xml = next(m for m in tar.getmembers() if m.name.endswith("drumkit.xml"))
            ElementTree.fromstring(tar.extractfile(xml).read())
    elif name.endswith(".sfz"):
        regions = [line for line in body.decode().splitlines() if line.startswith("<region>")]
        assert len(regions) == 5
    elif name.endswith((".sf2", ".wav")):
        assert struct.unpack("<I", body[4:8])[0] == len(body) - 8


DIFFICULT_NAMES = (
    *("a\x00b", "a\x1b[31mb", "a\nb\n<region> sample=x.wav", "\x7f\x85", "caf\udce9", "\ud800", "\ufffe"),
    *("a\u2028b", "--", "-", "a&<>\"'", "日本語", "\u202egnp", "x" * 300, "...", " "),
)


@pytest.mark.parametrize("name", DIFFICULT_NAMES)
def test_every_format_parses_whatever_the_kit_is_called(name):
    made = write.contents(_kit(name), write.parse_formats("all"))
    assert len(made) == 9
    for file, body in made.items():
        assert file.isascii()
        _parsed(file, body)


def test_kits_of_different_names_never_share_a_file_or_a_folder():
    """Japanese names all became `kit`, and Hydrogen replaced one kit with the other."""
    names = [
        "日本語",
        "中国語",
        "日本 1",
        "中国 1",
        "über",
        "uber",
        "ubér",
        "...",
        "....",
        "kit",
        "x" * 70,
        "x" * 71,
    ]
    safe = [safe_name(name) for name in names]
    assert len({s.casefold() for s in safe}) == len(names)
    assert all(s.isascii() and 0 < len(s) <= 64 for s in safe)
    assert safe[names.index("uber")] == "uber"


def test_soundfonts_of_different_kits_have_different_names():
    one, other = (write.contents(_kit(name), ("sf2",)) for name in ("日本語", "中国語"))
    inside = [next(b for n, b in made.items() if n.endswith(".sf2"))[40:80] for made in (one, other)]
    assert inside[0] != inside[1]
    assert b"???" not in inside[0]


@pytest.mark.parametrize(
    ("format", "candidates", "options", "expected"),
    [
        ("ableton", 8, {}, []),
        ("ableton", 9, {}, ["8 of the 9 kick", "8 of the 9 snare", "8 of the 9 hihat"]),
        ("mpc", 5, {}, ["4 of the 5 kick", "4 of the 5 snare", "4 of the 5 hihat"]),
        ("hydrogen", 17, {}, ["16 of the 17 kick", "16 of the 17 snare", "16 of the 17 hihat"]),
        ("sf2", 1, {"bits": 24}, ["16 bits"]),
        ("sf2", 1, {"channels": 2}, ["mono"]),
        ("sfz", 64, {"bits": 24, "channels": 2}, []),
        ("wav", 64, {"bits": 32}, []),
    ],
)
def test_a_formats_limits_are_reported(format, candidates, options, expected):
    sentences = write.left_out(_kit("x", candidates, **options), (format,))
    assert len(sentences) == len(expected)
    assert all(part in sentence for part, sentence in zip(expected, sentences, strict=True))
