"""SoundFont 2.01: one bank with one drum preset (bank 128, program 0), written from the specification.

Layout (E-mu, SoundFont Technical Specification 2.01, section 4): RIFF "sfbk" with the lists INFO (texts),
sdta (all samples in one pool) and pdta (the "HYDRA": nine tables of fixed-size records, section 7).

The format has no round robin, so several sounds of a drum are always velocity layers. Samples are 16-bit
mono; a sound with several channels is mixed down.
"""

import dataclasses
import struct

import numpy as np

from dose.audio import downmix
from dose.kits.drumkit import DrumKit, layers, safe_name
from dose.kits.riff import chunk, list_chunk, riff

# Generator numbers (section 8.1.2).
KEY_RANGE, VELOCITY_RANGE, INSTRUMENT, SAMPLE, SAMPLE_MODE, ROOT_KEY = 43, 44, 41, 53, 54, 58
RELEASE, SCALE_TUNING, EXCLUSIVE_CLASS = 38, 56, 57
SAMPLE_PADDING = 46  # zero sample points that must follow each sample (section 6.1)
DRUM_BANK = 128  # General MIDI's percussion bank (section 7.2)
MONO_SAMPLE = 1  # sample type (section 7.10)
UNUSED_ROOT_KEY = 60  # of the sample headers; the zones override it
# Ten seconds in timecents (1200 log2 of seconds): note-off does not cut a one-shot.
RELEASE_TIMECENTS = 3986


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Zone:
    note: int  # MIDI
    drum: int  # the note of its drum: the same for all notes of the hi-hat
    low: int  # velocity, 1..127
    high: int  # inclusive
    sample: int  # index in the sample headers


def soundfont(kit: DrumKit) -> bytes:
    """The whole .sf2; equal kits give equal bytes."""
    zones: list[_Zone] = []
    names: list[str] = []
    samples: list[np.ndarray] = []
    for sound in kit.sounds:
        names.append(sound.name)
        samples.append(_pcm(sound.audio))
    for key in kit.keys:
        for layer in layers(key.pad, "velocity"):
            sample = names.index(layer.sound.name)
            zones.append(
                _Zone(note=key.note, drum=key.pad.note, low=layer.low, high=layer.high, sample=sample)
            )
    info = list_chunk(
        "INFO",
        chunk("ifil", struct.pack("<HH", 2, 1)),
        chunk("isng", _terminated("EMU8000")),
        chunk("INAM", _terminated(_ascii(kit.name))),
        chunk("ISFT", _terminated("DOSE")),
        *([chunk("ICMT", _terminated(kit.comment))] if kit.comment else []),
    )
    padding = np.zeros(SAMPLE_PADDING, "<i2")
    pool = np.concatenate([part for sample in samples for part in (sample, padding)])
    return riff(
        "sfbk",
        info,
        list_chunk("sdta", chunk("smpl", pool.tobytes())),
        list_chunk("pdta", *_hydra(kit, zones, names, [len(sample) for sample in samples])),
    )


def _hydra(kit: DrumKit, zones: list[_Zone], names: list[str], lengths: list[int]) -> list[bytes]:
    """The nine tables of section 7, in their fixed order.

    Headers (phdr, inst) index bags (pbag, ibag), and bags index generators and modulators (pgen, pmod, igen,
    imod). A record's range ends where the next record's begins, so each table ends with a terminal record.
    """
    # phdr, 38 bytes: name, program, bank, first bag, three reserved words.
    preset = struct.pack("<20sHHHIII", _name(_ascii(kit.name)), 0, DRUM_BANK, 0, 0, 0, 0)
    preset_end = struct.pack("<20sHHHIII", _name("EOP"), 0, 0, 1, 0, 0, 0)
    # inst, 22 bytes: name, first bag.
    instrument = struct.pack("<20sH", _name(_ascii(kit.name)), 0)
    instrument_end = struct.pack("<20sH", _name("EOI"), len(zones))
    generators = [_zone_generators(zone) for zone in zones]
    starts = np.cumsum([0, *(len(g) for g in generators)])  # [zones + 1]: first generator of each bag
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
    """The generators of one zone: key range first, velocity range second, sample last (section 8.1.2)."""
    return [
        struct.pack("<HBB", KEY_RANGE, zone.note, zone.note),
        struct.pack("<HBB", VELOCITY_RANGE, zone.low, zone.high),
        struct.pack("<Hh", RELEASE, RELEASE_TIMECENTS),
        # No pitch tracking: every zone is a single key.
        struct.pack("<HH", SCALE_TUNING, 0),
        # One class per drum: a new hit cuts the one before, a closed hi-hat also an open one.
        struct.pack("<HH", EXCLUSIVE_CLASS, zone.drum),
        struct.pack("<HH", SAMPLE_MODE, 0),  # no loop
        struct.pack("<HH", ROOT_KEY, zone.note),
        struct.pack("<HH", SAMPLE, zone.sample),
    ]


def _sample_headers(kit: DrumKit, names: list[str], lengths: list[int]) -> bytes:
    """shdr, 46 bytes each: name, start, end, loop start and end, rate, root key, cents, link, type."""
    records, start = [], 0
    for name, length in zip(names, lengths, strict=True):
        end = start + length
        records.append(
            struct.pack(
                "<20sIIIIIBbHH",
                *(_name(name), start, end, start, end),
                *(kit.rate, UNUSED_ROOT_KEY, 0, 0, MONO_SAMPLE),
            )
        )
        start = end + SAMPLE_PADDING
    return b"".join(records) + struct.pack("<20sIIIIIBbHH", _name("EOS"), 0, 0, 0, 0, 0, 0, 0, 0, 0)


def _pcm(audio: np.ndarray) -> np.ndarray:
    mono = downmix(audio)
    return np.clip(np.round(mono * 32767.0), -32768, 32767).astype("<i2")


def _ascii(name: str) -> str:
    """A kit's name in ASCII, the only encoding of the format; distinct names stay distinct."""
    return name if name.isascii() else safe_name(name)


def _name(text: str) -> bytes:
    """At most 19 bytes: the field of 20 must end in a zero, which `struct` adds."""
    return text.encode("ascii", "replace")[:19]


def _terminated(text: str) -> bytes:
    """Zero-terminated and of even length, at most 256 bytes (section 5)."""
    raw = text.encode("ascii", "replace")[:254] + b"\0"
    return raw + b"\0" * (len(raw) % 2)
