"""Any container, codec and header is decoded whole, or with one true warning.

A case is drawn from a seed: a sound of some channels and length, a container with its codec, and what
writers, taggers, pipes and cut lines do to headers. 100 run here, 2,000 by `make test-fuzz`.
"""

import dataclasses
import functools
import io
import logging
import os
import re
from collections.abc import Callable

import containers_made as made
import numpy as np
import pytest

from dose import audio
from dose.audio import RATE
from dose.errors import AudioError

COUNT = int(os.environ.get("DOSE_CONTAINERS", "100"))
UNKNOWN = (0, 0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF - 36)


@dataclasses.dataclass(kw_only=True)
class Case:
    """A file and what is in it."""

    name: str
    body: bytes
    sound: np.ndarray  # [C, N]
    exact: bool  # lossless
    slack: int = 0  # samples by which a codec may pad
    cut: bool = False  # part of the sound is not in the file
    lies: bool = False  # its header promises another length


@functools.cache
def _sound(channels: int, length: int) -> np.ndarray:
    """Of 16 bits, loud to its very end, different in each channel."""
    rng = np.random.default_rng([channels, length])
    time = np.arange(length) / RATE
    tones = np.stack([np.sin(2 * np.pi * (220 + 110 * c) * time) for c in range(channels)])
    return (np.round((0.5 * tones + rng.uniform(-0.2, 0.2, tones.shape)) * 32767) / 32768).astype(np.float32)


@functools.cache
def _encoded(container: str, kind: str, channels: int, length: int) -> bytes:
    table = made.LOSSLESS if kind == "lossless" else made.LOSSY
    return made.encoded(_sound(channels, length), *table[container])


def _chunks(rng: np.random.Generator, order: str = "<") -> list[bytes]:
    """Chunks that a file may hold besides its sound, of odd sizes, some without their pad byte."""
    names = [b"LIST", b"bext", b"JUNK", b"PAD ", b"id3 ", b"iXML", b"cue "]
    names = names if order == "<" else [b"NAME", b"ANNO", b"MARK", b"APPL", b"COMT"]
    return [
        made.chunk(
            names[int(rng.integers(len(names)))],
            rng.integers(97, 122, int(rng.integers(2, 300)), np.uint8).tobytes(),
            pad=bool(rng.random() < 0.6), order=order,
        )
        for _ in range(int(rng.integers(0, 4)))
    ]  # fmt: skip


def _wav(rng: np.random.Generator) -> Case:
    channels, length = int(rng.integers(1, 3)), int(rng.integers(3000, 30_000))
    sound, bits = _sound(channels, length), int(rng.choice([16, 16, 24, 32]))
    body = made.pcm(sound, bits)
    unknown = rng.random() < 0.4
    claimed = int(rng.choice(UNKNOWN)) if unknown else len(body)
    data = made.chunk(b"data", body, claimed=claimed)
    form, before, after = made.fmt(channels, bits), _chunks(rng), _chunks(rng)
    if unknown:  # what follows a sound of unknown length must end with the file, to be distinguishable
        after = after[:1] if after and len(after[0]) % 2 == 0 else []
        parts = [*before, form, data, *after]
    else:
        parts = [*before, form, data, *after]
        if rng.random() < 0.3:
            parts = [data, *after, form, *before]
    riff = int(rng.choice([0, 0xFFFFFFFF])) if unknown or rng.random() < 0.2 else None
    return Case(name="wav", body=made.wav(*parts, claimed=riff), sound=sound, exact=True)


def _aiff(rng: np.random.Generator) -> Case:
    channels, length = int(rng.integers(1, 3)), int(rng.integers(3000, 30_000))
    sound, bits = _sound(channels, length), int(rng.choice([16, 24]))
    odd = rng.random() < 0.5
    body = made.aiff(
        sound, bits,
        frames=int(rng.choice([0, 0xFFFFFFFF, length])),
        first=b"".join(_chunks(rng, ">")),
        last=b"" if odd else b"".join(_chunks(rng, ">")),
        size=int(rng.choice([0, 0xFFFFFFFF])) if odd else None,
        turned=bool(not odd and rng.random() < 0.3),
    )  # fmt: skip
    return Case(name="aiff", body=body, sound=sound, exact=True)


def _flac(rng: np.random.Generator) -> Case:
    sound = _sound(int(rng.integers(1, 3)), int(rng.choice([9000, 20_000])))
    body = audio.encoded(sound, "FLAC")
    total = int(rng.choice([0, 1, sound.shape[1] // 2, sound.shape[1], 10**6, 2**36 - 1]))
    lies = total not in (0, sound.shape[1])
    body = made.with_total(body, total)
    return Case(name=f"flac, total {total}", body=body, sound=sound, exact=True, lies=lies)


def _mp3(rng: np.random.Generator) -> Case:
    sound = _sound(int(rng.integers(1, 3)), int(rng.choice([20_000, 40_000])))
    bare = {"write_xing": "0", "id3v2_version": "0"} if rng.random() < 0.4 else None
    quality = str(rng.choice(["0", "4", "9"])) if rng.random() < 0.6 else None
    body = made.encoded(sound, "mp3", "libmp3lame", muxer=bare, quality=quality)
    lies = bare is None and rng.random() < 0.5
    if lies:
        body = made.with_xing(body, int(rng.choice([1, 5, 1000, 2**31])))
    return Case(name="mp3", body=body, sound=sound, exact=False, slack=4 * 1152, lies=lies)


def _other(rng: np.random.Generator) -> Case:
    kind = str(rng.choice(["lossless", "lossy"]))
    table = made.LOSSLESS if kind == "lossless" else made.LOSSY
    container = str(rng.choice(list(table)))
    channels, length = int(rng.integers(1, 3)), int(rng.choice([30_000, 60_000]))
    body = _encoded(container, kind, channels, length)
    exact = kind == "lossless"
    return Case(
        name=f"{container}, {kind}", body=body, sound=_sound(channels, length), exact=exact, slack=5 * 2048
    )


KINDS: tuple[Callable[[np.random.Generator], Case], ...] = (_wav, _wav, _aiff, _flac, _mp3, _other)
TAGGED = ("wav", "aiff", "flac", "mp3")  # that people's tools put tags and zeros around


def _case(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    case = KINDS[seed % len(KINDS)](rng)
    if case.name.startswith(TAGGED) and rng.random() < 0.4:
        front = [made.id3v2(int(rng.integers(0, 3000))), b"\0" * int(rng.integers(1, 5000)), b""]
        case.body = front[int(rng.integers(3))] + case.body
    if case.name.startswith(("flac", "mp3")) and rng.random() < 0.4:
        case.body += [made.ID3V1, made.APE, made.APE + made.ID3V1][int(rng.integers(3))]
    if rng.random() < 0.15:
        case.cut, keep = True, float(rng.uniform(0.2, 0.95))
        case.body = case.body[: int(len(case.body) * keep)]
    return case


def _decoded(body: bytes) -> tuple[int, list[np.ndarray], str | None]:
    """Rate and blocks at the file's own rate, or why there are none."""
    try:
        rate = audio.probe(io.BytesIO(body), "x").rate
        return rate, list(audio.stream(io.BytesIO(body), name="x", rate=rate, seconds=0.2)), None
    except AudioError as e:
        return 0, [], str(e)


def _is_true(sentence: str, decoded: int, case: Case) -> bool:
    """Whether a warning gives the present and the declared length of a truncated file."""
    match = re.fullmatch(r"x breaks off after ([\d.]+) s of ([\d.]+) s; the part before is used\.", sentence)
    whole = case.sound.shape[1] / RATE
    return (
        match is not None
        and case.cut
        and abs(float(match[1]) - decoded / RATE) < 0.06
        and (case.lies or abs(float(match[2]) - whole) < 0.06 + case.slack / RATE)
    )


@pytest.mark.parametrize("first", range(0, COUNT, 50))
def test_every_file_is_decoded_whole_or_with_one_true_warning(first, caplog):
    for seed in range(first, min(first + 50, COUNT)):
        case = _case(seed)
        where = (seed, case.name, "cut" if case.cut else "")
        caplog.clear()
        with caplog.at_level(logging.INFO):
            rate, blocks, refusal = _decoded(case.body)
        if refusal is not None:  # of a file that is whole, something is decoded
            assert case.cut, (where, refusal)
            known = r"x (is not a sound file that can be read \(.*\)|holds no samples)\."
            assert re.fullmatch(known, refusal), where
            continue
        decoded = np.concatenate(blocks, axis=1)
        decoded = audio.resample(decoded, rate, RATE)
        warnings = [record.getMessage() for record in caplog.records]
        if not case.cut:
            assert warnings == [], where
            assert -case.slack / 4 <= decoded.shape[1] - case.sound.shape[1] <= case.slack, (
                where,
                decoded.shape,
            )
        assert all(_is_true(sentence, decoded.shape[1], case) for sentence in warnings), (where, warnings)
        assert len(warnings) <= 1, where
        length = min(decoded.shape[1], case.sound.shape[1])
        assert decoded.shape[0] == case.sound.shape[0], where
        if case.exact:
            assert np.array_equal(decoded[:, :length], case.sound[:, :length]), where
        elif length > 8000:
            level = [np.sqrt(np.mean(x[:, length // 2 : length] ** 2)) for x in (decoded, case.sound)]
            assert level[0] == pytest.approx(level[1], rel=0.35), where
