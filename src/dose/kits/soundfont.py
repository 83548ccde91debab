"""SoundFont 2.01: one bank with one drum preset (bank 128, program 0), written from the specification.

A SoundFont has no round robin, so several sounds of a drum are always velocity layers. Samples are 16-bit
mono; a sound with several channels is mixed down.
"""

import dataclasses
import struct

import numpy as np

from dose.audio import downmix
from dose.kits.drumkit import DrumKit, layers, safe_name
from dose.kits.riff import chunk, listing, riff

# Generator numbers of the specification, section 8.1.2.
KEY_RANGE, VELOCITY_RANGE, INSTRUMENT, SAMPLE, SAMPLE_MODE, ROOT_KEY = 43, 44, 41, 53, 54, 58
RELEASE, SCALE_TUNING, EXCLUSIVE_CLASS = 38, 56, 57
GAP = 46  # zero samples that must follow each sample
DRUM_BANK = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Zone:
    note: int
    low: int
    high: int
    sample: int


def soundfont(kit: DrumKit) -> bytes:
    """The whole .sf2; equal kits give equal bytes."""
    zones: list[_Zone] = []
    names: list[str] = []
    waves: list[np.ndarray] = []
    for pad in kit.pads:
        for layer in layers(pad, "velocity"):
            zones.append(_Zone(note=pad.note, low=layer.low, high=layer.high, sample=len(names)))
            names.append(layer.sound.name)
            waves.append(_pcm(layer.sound.audio))
    info = listing(
        "INFO",
        chunk("ifil", struct.pack("<HH", 2, 1)),
        chunk("isng", _terminated("EMU8000")),
        chunk("INAM", _terminated(_ascii(kit.name))),
        chunk("ISFT", _terminated("DOSE")),
        *([chunk("ICMT", _terminated(kit.comment))] if kit.comment else []),
    )
    gap = np.zeros(GAP, "<i2")
    pool = np.concatenate([part for wave in waves for part in (wave, gap)])
    return riff(
        "sfbk",
        info,
        listing("sdta", chunk("smpl", pool.tobytes())),
        listing("pdta", *_hydra(kit, zones, names, [len(wave) for wave in waves])),
    )


def _hydra(kit: DrumKit, zones: list[_Zone], names: list[str], lengths: list[int]) -> list[bytes]:
    """The nine tables of section 7; each ends with a terminal record that bounds the one before."""
    preset = struct.pack("<20sHHHIII", _name(_ascii(kit.name)), 0, DRUM_BANK, 0, 0, 0, 0)
    preset_end = struct.pack("<20sHHHIII", _name("EOP"), 0, 0, 1, 0, 0, 0)
    instrument = struct.pack("<20sH", _name(_ascii(kit.name)), 0)
    instrument_end = struct.pack("<20sH", _name("EOI"), len(zones))
    generators = [_zone_generators(zone) for zone in zones]
    starts = np.cumsum([0, *(len(g) for g in generators)])
    modulator_end = struct.pack("<HHhHH", 0, 0, 0, 0, 0)
    return [
        chunk("phdr", preset + preset_end),
        chunk("pbag", struct.pack("<HHHH", 0, 0, 1, 0)),
        chunk("pmod", modulator_end),
        chunk("pgen", struct.pack("<HHHH", INSTRUMENT, 0, 0, 0)),
        chunk("inst", instrument + instrument_end),
        chunk("ibag", b"".join(struct.pack("<HH", start, 0) for start in starts)),
        chunk("imod", modulator_end),
        chunk("igen", b"".join(g for zone in generators for g in zone) + struct.pack("<HH", 0, 0)),
        chunk("shdr", _sample_headers(kit, names, lengths)),
    ]


def _zone_generators(zone: _Zone) -> list[bytes]:
    """The key range comes first, the velocity range second and the sample last, as the spec demands."""
    return [
        struct.pack("<HBB", KEY_RANGE, zone.note, zone.note),
        struct.pack("<HBB", VELOCITY_RANGE, zone.low, zone.high),
        # Ten seconds of release: note-off does not cut a one-shot (timecents, 1200 log2 of seconds).
        struct.pack("<Hh", RELEASE, 3986),
        struct.pack("<HH", SCALE_TUNING, 0),
        struct.pack("<HH", EXCLUSIVE_CLASS, zone.note),
        struct.pack("<HH", SAMPLE_MODE, 0),
        struct.pack("<HH", ROOT_KEY, zone.note),
        struct.pack("<HH", SAMPLE, zone.sample),
    ]


def _sample_headers(kit: DrumKit, names: list[str], lengths: list[int]) -> bytes:
    records, start = [], 0
    for name, length in zip(names, lengths, strict=True):
        end = start + length
        records.append(
            struct.pack("<20sIIIIIBbHH", _name(name), start, end, start, end, kit.rate, 60, 0, 0, 1)
        )
        start = end + GAP
    return b"".join(records) + struct.pack("<20sIIIIIBbHH", _name("EOS"), 0, 0, 0, 0, 0, 0, 0, 0, 0)


def _pcm(audio: np.ndarray) -> np.ndarray:
    mono = downmix(audio)
    return np.clip(np.round(mono * 32767.0), -32768, 32767).astype("<i2")


def _ascii(name: str) -> str:
    """A kit's name in the only script that SoundFonts have, told from every other."""
    return name if name.isascii() else safe_name(name)


def _name(text: str) -> bytes:
    return text.encode("ascii", "replace")[:19]


def _terminated(text: str) -> bytes:
    """Zero-terminated and of even length, at most 256 bytes."""
    raw = text.encode("ascii", "replace")[:254] + b"\0"
    return raw + b"\0" * (len(raw) % 2)
