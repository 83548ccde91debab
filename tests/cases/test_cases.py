"""Issue 17, 6 to 8: a table of inputs made by code, and by numbers what must be decoded of each.

`g` is a bundled demo loop of 8 s. Where a container keeps its samples, they must come out to the bit.
"""

import io
import logging
import os
import struct
import subprocess
import sys

import containers_made as made
import numpy as np
import pytest
import soundfile

from dose import audio
from dose.audio import RATE
from dose.errors import AudioError
from dose.sources.shipped import DEMO

G = audio.read(DEMO / "loop_garzul.flac", mono=False)
SECONDS = G.shape[1] / RATE
BODY = made.pcm(G)
MP3 = made.encoded(G, "mp3", "libmp3lame")
FLAC = audio.encoded(G, "FLAC")
OGG = audio.encoded(G, "OGG")
ADTS = made.encoded(G, "adts", "aac")
BARE = {"write_xing": "0", "id3v2_version": "0"}
NOTE = made.chunk(b"LIST", b"INFOISFT" + b"\x05\0\0\0odd.\0", pad=False)  # 17 bytes and no pad byte


def _riff(*before: bytes, after: bytes = b"", size: int | None = None, **options) -> bytes:
    return made.wav(*before, made.fmt(), made.chunk(b"data", BODY, claimed=size), after, **options)


def _rf64() -> bytes:
    sizes = made.chunk(
        b"ds64", len(BODY).to_bytes(16, "little")[8:] + len(BODY).to_bytes(8, "little") + b"\0" * 12
    )
    data = made.chunk(b"data", BODY, claimed=0xFFFFFFFF)
    return made.wav(sizes, made.fmt(), data, magic=b"RF64", claimed=0xFFFFFFFF)


def _flac24() -> bytes:
    out = io.BytesIO()
    soundfile.write(out, G.T, RATE, format="FLAC", subtype="PCM_24")
    return out.getvalue()


def _bare_flac() -> bytes:
    """With STREAMINFO as its only block of metadata."""
    return FLAC[:4] + b"\x80" + FLAC[5:42] + FLAC[FLAC.find(b"\xff\xf8", 42) :]


# Files whose samples are those of `g`: they come out equal, without a word of complaint.
EXACT = {
    **{f"{k}, {v[1]}": lambda v=v: made.encoded(G, *v) for k, v in made.LOSSLESS.items()},
    "FLAC": lambda: FLAC,
    "FLAC, total 0": lambda: made.with_total(FLAC, 0),
    "FLAC, total too small": lambda: made.with_total(FLAC, 1000),
    "FLAC, total too large": lambda: made.with_total(FLAC, 1 << 35),
    "FLAC, tags around": lambda: made.id3v2() + FLAC + made.ID3V1,
    "FLAC, total 0, tag behind": lambda: made.with_total(FLAC, 0) + made.ID3V1,
    "FLAC, zeros in front": lambda: b"\0" * 512 + FLAC,
    "WAV": _riff,
    "WAV, size 0": lambda: _riff(size=0, claimed=0),
    "WAV, size FFFFFFFF": lambda: _riff(size=0xFFFFFFFF, claimed=0xFFFFFFFF),
    "WAV, size 7FFFFFFF": lambda: _riff(size=0x7FFFFFFF, claimed=0x7FFFFFFF),
    "WAV, size FFFFFFFF, chunk behind": lambda: _riff(
        size=0xFFFFFFFF, after=made.chunk(b"LIST", b"INFO" * 9)
    ),
    "WAV, size 0, ID3v1 behind": lambda: _riff(size=0, after=made.ID3V1),
    "WAV, odd chunk without pad": lambda: _riff(NOTE),
    "WAV, sound before its format": lambda: made.wav(made.chunk(b"data", BODY), made.fmt()),
    "WAV, ID3v2 in front": lambda: made.id3v2() + _riff(),
    "WAV, zeros in front": lambda: b"\0" * 3000 + _riff(),
    "WAV, junk chunk in front": lambda: _riff(made.chunk(b"JUNK", b"\0" * 2001)),
    "WAV, RF64": _rf64,
    "WAV, size too small for its file": lambda: _riff(size=1000),
    "WAV, frame size of one channel too few": lambda: made.wav(
        made.chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, RATE * 2, 1, 16)), made.chunk(b"data", BODY)
    ),
    "WAV, text behind": lambda: _riff() + b"some text that nobody asked for\n" * 30,
    "WAV, zeros behind in its size": lambda: _riff(after=b"\0" * 4000),
    "WAV, chunk with size 0": lambda: _riff(made.chunk(b"LIST", b"INFOISFT\4\0\0\0abc\0", claimed=0)),
    "WAV, chunk with size FFFFFFFF": lambda: _riff(made.chunk(b"LIST", b"INFO", claimed=0xFFFFFFFF)),
    "AU, size 0": lambda: b".snd" + struct.pack(">IIIII", 24, 0, 3, RATE, len(G)) + made.pcm(G, order=">"),
    "AIFF": lambda: made.aiff(G),
    "AIFF, 0 frames": lambda: made.aiff(G, frames=0),
    "AIFF, FFFFFFFF frames": lambda: made.aiff(G, frames=0xFFFFFFFF),
    "AIFF, size 0": lambda: made.aiff(G, size=0),
    "AIFF, size FFFFFFFF": lambda: made.aiff(G, size=0xFFFFFFFF),
    "AIFF, sound before its format": lambda: made.aiff(G, turned=True),
    "AIFF, odd chunk without pad": lambda: made.aiff(
        G, first=made.chunk(b"NAME", b"odd", pad=False, order=">"), last=made.ID3V1
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_lossless_files_give_back_their_samples(name, caplog):
    body = EXACT[name]()
    decoded = audio.read(io.BytesIO(body), mono=False)
    assert decoded.shape == G.shape
    assert np.array_equal(decoded, G)
    blocks = np.concatenate(list(audio.stream(io.BytesIO(body), seconds=1.3)), axis=1)
    assert np.array_equal(blocks, G)
    assert [r.getMessage() for r in caplog.records] == []


# Files that lose a little: (how to make it, seconds that must be used).
LOSSY = {
    **{f"{k}, {v[1]}": (lambda v=v: made.encoded(G, *v), SECONDS) for k, v in made.LOSSY.items()},
    "VBR MP3 without Xing": (
        lambda: made.encoded(G, "mp3", "libmp3lame", muxer=BARE, quality="2"), SECONDS
    ),
    "CBR MP3 without Xing": (lambda: made.encoded(G, "mp3", "libmp3lame", muxer=BARE), SECONDS),
    "MP3, Xing count too large": (lambda: made.with_xing(MP3, 65536), SECONDS),
    "MP3, Xing count too small": (lambda: made.with_xing(MP3, 50), SECONDS),
    "MP3, tags around": (lambda: made.id3v2() + MP3 + made.APE + made.ID3V1, SECONDS),
    "MP3, zeros in front": (lambda: b"\0" * 4000 + MP3, SECONDS),
    "MP3 in WAV": (lambda: made.encoded(G, "wav", "libmp3lame"), SECONDS),
    "joined MP3": (lambda: MP3 + MP3, 2 * SECONDS),
    "joined MP3 with tags between": (lambda: MP3 + made.ID3V1 + made.id3v2() + MP3, 2 * SECONDS),
    "joined MP3 of two rates": (
        lambda: MP3 + made.encoded(G, "mp3", "libmp3lame", 48000), 2 * SECONDS
    ),
    "joined MP3, mono and stereo": (
        lambda: MP3 + made.encoded(np.concatenate([G, G]), "mp3", "libmp3lame"), 2 * SECONDS
    ),
    "three joined VBR MP3": (
        lambda: made.encoded(G, "mp3", "libmp3lame", muxer=BARE, quality="4") * 3, 3 * SECONDS
    ),
    "joined FLAC": (lambda: FLAC + FLAC, 2 * SECONDS),
    "chained Ogg": (lambda: OGG + OGG, 2 * SECONDS),
    "joined AAC": (lambda: ADTS + ADTS, 2 * SECONDS),
    "joined FLAC of two depths": (
        lambda: FLAC + _flac24(), 2 * SECONDS
    ),
    "joined FLAC without tags": (lambda: _bare_flac() * 2, 2 * SECONDS),
    "chained Ogg of two rates": (
        lambda: OGG + audio.encoded(audio.resample(G, RATE, 48000), "OGG", 48000), 2 * SECONDS
    ),
    "chained Ogg of two codecs": (
        lambda: OGG + made.encoded(G, "ogg", "libopus", 48000), 2 * SECONDS
    ),
    "joined WAV with tags between": (lambda: _riff() + made.ID3V1 + made.id3v2() + _riff(), 2 * SECONDS),
    "joined WAV with zeros between": (lambda: _riff() + b"\0" * 701 + _riff(), 2 * SECONDS),
    "joined WAV of two rates": (
        lambda: _riff() + audio.wav_bytes(audio.resample(G, RATE, 48000), 48000), 2 * SECONDS
    ),
    "joined AIFF": (lambda: made.aiff(G) + made.aiff(G, 24), 2 * SECONDS),
    "M4A, tag in front": (lambda: made.id3v2() + made.encoded(G, "ipod", "aac"), SECONDS),
    "MP3 in WAV, odd chunk without pad": (
        lambda: made.encoded(G, "wav", "libmp3lame").replace(b"fact", NOTE + b"fact", 1), SECONDS
    ),
    "joined WAV": (lambda: _riff() + _riff(), 2 * SECONDS),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSY)
def test_all_frames_are_decoded_without_a_false_warning(name, caplog):
    make, seconds = LOSSY[name]
    decoded = np.concatenate(list(audio.stream(io.BytesIO(make()))), axis=1)
    assert decoded.shape[1] / RATE == pytest.approx(
        seconds, abs=0.06 * (1 + seconds / SECONDS)
    )  # encoders pad both ends
    tail = decoded[0, -int(0.5 * seconds * RATE) :]
    assert np.sqrt(np.mean(tail**2)) == pytest.approx(np.sqrt(np.mean(G**2)), rel=0.25)
    assert caplog.records == []


# Truncated files are used with a warning: (bytes, seconds present).
CUT = {
    "WAV": (lambda: _riff()[: len(BODY) // 2 + 44], SECONDS / 2),
    "AIFF": (lambda: made.aiff(G)[: len(BODY) // 2 + 54], SECONDS / 2),
    "FLAC": (lambda: FLAC[: len(FLAC) // 2], SECONDS / 2),
    "MP3": (lambda: MP3[: len(MP3) // 2 + 100], SECONDS / 2),
    "AU": (lambda: made.encoded(G, *made.LOSSLESS["au"])[: len(BODY) // 2], SECONDS / 2),
    "CAF": (lambda: made.encoded(G, *made.LOSSLESS["caf"])[: len(BODY) // 2], SECONDS / 2),
    "W64": (lambda: made.encoded(G, *made.LOSSLESS["w64"])[: len(BODY) // 2], SECONDS / 2),
    "WavPack": (lambda: made.encoded(G, "wv", "wavpack")[:225_000], SECONDS / 2),
}


@pytest.mark.parametrize("name", CUT)
def test_a_truncated_file_is_used_with_a_warning(name, caplog):
    make, seconds = CUT[name]
    decoded = sum(block.shape[1] for block in audio.stream(io.BytesIO(make()), name="x"))
    assert decoded / RATE == pytest.approx(seconds, rel=0.2)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"x breaks off after {decoded / RATE:.1f} s of 8.")


def test_a_truncated_ogg_logs_a_warning(caplog):
    """Its header does not declare a length."""
    decoded = sum(block.shape[1] for block in audio.stream(io.BytesIO(OGG[: len(OGG) // 2]), name="x"))
    (record,) = caplog.records
    assert record.getMessage() == f"x breaks off after {decoded / RATE:.1f} s; the part before is used."


def test_an_ogg_cut_in_a_page_header_is_read_to_there(caplog):
    decoded = sum(block.shape[1] for block in audio.stream(io.BytesIO(OGG[: OGG.rfind(b"OggS") + 20])))
    assert decoded / RATE == pytest.approx(SECONDS, rel=0.2)
    assert "breaks off" in caplog.text


def test_concatenated_files_of_which_the_first_is_broken(caplog):
    broken = made.aiff(G).replace(made.extended(RATE), bytes(10), 1)
    decoded = sum(block.shape[1] for block in audio.stream(io.BytesIO(broken + made.aiff(G)), name="x"))
    assert decoded == G.shape[1]
    (record,) = caplog.records
    assert record.getMessage().startswith("x (part 1 of 2) ")


def test_sizes_that_name_places_beyond_any_file_are_no_crash():
    w64 = bytearray(made.encoded(G, *made.LOSSLESS["w64"]))
    w64[56:64] = b"\xff" * 7 + b"\x7f"
    with pytest.raises(AudioError):
        audio.read(io.BytesIO(bytes(w64)))


def test_samples_far_beyond_full_scale_are_refused():
    """They overflowed in the spectrum, with numpy's lines on standard error."""
    body = audio.wav_bytes(G * np.float32(1e30), subtype="FLOAT")
    with pytest.raises(AudioError, match="damaged"):
        list(audio.stream(io.BytesIO(body), name="x"))


@pytest.mark.parametrize("name", ["a.m4a", "a.wma", "a.webm"])
def test_files_without_sound_are_refused_whatever_their_name(tmp_path, name):
    path = tmp_path / name
    for body in (
        b"Dear Sir or Madam,\n" * 500,
        bytes(range(256)) * 40,
        b"\0" * 5000,
        b"ID3\x04\0\0\0\0\x07\x76" * 99,
    ):
        path.write_bytes(body)
        with pytest.raises(AudioError, match="not a sound file"):
            audio.read(path)


def test_a_video_without_sound_is_refused(tmp_path):
    import av

    with av.open(tmp_path / "film.mp4", "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for _ in range(5):
            film.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        film.mux(stream.encode(None))
    with pytest.raises(AudioError, match=r"film\.mp4 has no sound in it, only video"):
        audio.read(tmp_path / "film.mp4")


def test_a_playlist_opens_no_other_file(tmp_path):
    """FFmpeg would open what a playlist or a script names: another's file, or an address."""
    audio.write(tmp_path / "secret.wav", G)
    for name, body in {
        "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\nsecret.wav\n#EXT-X-ENDLIST\n",
        "list.ffconcat": "ffconcat version 1.0\nfile secret.wav\n",
        "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    }.items():
        (tmp_path / name).write_text(body)
        with pytest.raises(AudioError, match="not a sound file"):
            audio.read(tmp_path / name)


NAMES = [b"caf\xe9.wav", "café.wav".encode(), "日本語.flac".encode(), b"\xff\xfe.mp3"]


@pytest.mark.parametrize("locale", ["utf-8", "ascii"])
def test_file_names_need_not_be_of_the_locales_encoding(tmp_path, locale):
    """Issue 17, 9: under an ASCII locale, and for names of no encoding, every file was "not a sound file"."""
    for name in NAMES:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(FLAC if b"flac" in name else MP3 if b"mp3" in name else _riff())
    script = (
        "import os, sys, pathlib\nfrom dose import audio\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()): print(audio.read(path).size)"
    )
    env = os.environ | {
        "LC_ALL": "C" if locale == "ascii" else "C.UTF-8",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, env=env
    )
    assert (done.stdout.split(), done.stderr) == ([str(G.shape[1])] * 4, "")


def test_a_missing_permission_is_named(tmp_path, monkeypatch):
    """Issue 17, 9: what may not be read was "not a sound file". (root may read all, hence the stand-in.)"""
    path = tmp_path / "x.wav"
    path.write_bytes(_riff())
    if os.geteuid() == 0:

        def refuse(*args, **options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("builtins.open", refuse)
    else:
        path.chmod(0)
    with pytest.raises(AudioError, match=r"x\.wav cannot be read \(Permission denied\)"):
        audio.probe(path)


def test_decoders_do_not_write_to_standard_error(tmp_path):
    """libmpg123's messages reached the terminal; the warning is one sentence of this project."""
    noise = np.random.default_rng(0).integers(0, 256, 90_000, dtype=np.uint8).tobytes()
    bodies = [
        MP3[: len(MP3) // 2] + noise + MP3[len(MP3) // 2 :], MP3[1000:], MP3 + noise, 
        made.id3v2(70_000) + noise,
        b"\xff\xfb\x90\x64" + b"\xff" * 200_000, MP3[:4] * 20_000, noise, made.with_xing(MP3, 9), MP3 * 2,
    ]  # fmt: skip
    for i, body in enumerate(bodies):
        (tmp_path / f"{i}.mp3").write_bytes(body)
    script = (
        "import sys, pathlib, logging\nfrom dose import audio\nfrom dose.errors import AudioError\n"
        "logging.disable()\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    try: audio.read(path)\n"
        "    except AudioError as e: print(e)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_plain_file_is_read_without_ffmpeg(tmp_path):
    """Its import costs a tenth of a second, which a start has not to spare."""
    for name, body in {
        "a.wav": _riff(),
        "a.flac": FLAC,
        "a.mp3": MP3,
        "a.ogg": OGG,
        "a.aiff": made.aiff(G),
    }.items():
        (tmp_path / name).write_bytes(body)
    script = (
        "import sys, pathlib\nfrom dose import audio\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir(): audio.read(path)\n"
        "assert 'av' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
