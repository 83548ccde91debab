"""Renders drum synthesiser presets (.ds): small text files that describe a drum in six layers.

The format: `[Section]` headings over `Key=Value` lines. Times are samples at 44.1 kHz, envelopes are
`time,percent` points joined by straight lines, frequencies are Hz, levels run to 181, which is full scale,
and act as their square. This renderer is written from those facts. Where the format does not define the law
of a parameter (how fast a droop falls, how wide a noise band is), a smooth law was chosen by hand, so the
sounds resemble those of other renderers without being equal.
"""

import dataclasses
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dose.audio import RATE
from dose.sources.cleaning import Reject

Sound = npt.NDArray[np.float64]

LONGEST = 2 * RATE  # samples
FULL_LEVEL = 181.0
NYQUIST = RATE / 2
SECTIONS = {"general", "tone", "noise", "overtones", "noiseband", "noiseband2", "distortion"}
HOP, WINDOW = 256, 1024  # samples, of the time-varying filter


@dataclasses.dataclass(frozen=True)
class Section:
    """The keys of one heading; an absent key has the default that the caller gives."""

    values: Mapping[str, str]

    def number(self, key: str, default: float = 0.0) -> float:
        try:
            return float(self.values.get(key.lower(), default))
        except ValueError:
            return default

    @property
    def on(self) -> bool:
        return self.number("On") != 0

    @property
    def gain(self) -> float:
        return (self.number("Level", 128) / FULL_LEVEL) ** 2

    def points(self, key: str = "Envelope") -> list[tuple[float, float]]:
        """(samples, 0..1) in order of time."""
        pairs = re.findall(r"(-?[\d.]+)\s*,\s*(-?[\d.]+)", self.values.get(key.lower(), ""))
        return sorted((float(t), float(level) / 100) for t, level in pairs)


Preset = dict[str, Section]


def parse(text: str, name: str) -> Preset:
    """The sections of a preset's text. Raises Reject("unreadable") where it is no preset."""
    sections: dict[str, dict[str, str]] = {s: {} for s in SECTIONS}
    heading = ""
    for line in text.splitlines():
        line = line.strip()
        if found := re.fullmatch(r"\[(\w+)\]", line):
            heading = found.group(1).lower()
        elif "=" in line and heading in sections:
            key, value = line.split("=", 1)
            sections[heading][key.strip().lower()] = value.strip()
    preset = {name: Section(values) for name, values in sections.items()}
    if not any(preset[s].on for s in SECTIONS - {"general", "distortion"}):
        raise Reject("unreadable", f"{name} is not a drum synthesiser preset with a layer switched on.")
    return preset


def render_file(path: Path) -> Sound:
    """Float64 [N] at 44.1 kHz; raises Reject."""
    text = path.read_text(encoding="latin-1")
    return render(parse(text, str(path)), seed=zlib.crc32(text.encode("latin-1")))


def render(preset: Preset, seed: int = 0) -> Sound:
    """Float64 [N], at most LONGEST samples, not normalised; `seed` is that of the noise layers."""
    rng = np.random.Generator(np.random.Philox(seed))
    general = preset["general"]
    stretch = max(general.number("Stretch", 100), 1) / 100
    tune = 2 ** (general.number("Tuning") / 12)
    pitch = _tone_pitch(preset["tone"], stretch, tune)
    layers: dict[str, Callable[[Section], Sound]] = {
        "tone": lambda s: np.sin(_phase(pitch) + np.radians(s.number("Phase"))) * _envelope(s, stretch),
        "noise": lambda s: _tilted(rng, s.number("Slope")) * _envelope(s, stretch),
        "noiseband": lambda s: _noise_band(rng, s, tune) * _envelope(s, stretch),
        "noiseband2": lambda s: _noise_band(rng, s, tune) * _envelope(s, stretch),
    }
    # 1. The four plain layers.
    sound = np.zeros(LONGEST)
    for name, layer in layers.items():
        if preset[name].on:
            sound += preset[name].gain * layer(preset[name])
    # 2. The overtones, with the filter on them or on the sum.
    overtones = preset["overtones"]
    filtered = general.number("Filter") != 0
    if overtones.on:
        extra = overtones.gain * _overtones(overtones, preset["tone"], pitch, stretch, tune)
        if overtones.number("Filter") and filtered:  # the filter applies to the overtones alone
            extra, filtered = _moving_filter(extra, general, stretch), False
        sound += extra
    if filtered:
        sound = _moving_filter(sound, general, stretch)
    # 3. Level and distortion, cut where the last envelope ends.
    sound *= 10 ** (general.number("Level") / 20)
    sound = _distorted(sound, preset["distortion"])
    return sound[: _length(preset, stretch)]


def _length(preset: Preset, stretch: float) -> int:
    keys = [
        ("tone", "Envelope"),
        ("noise", "Envelope"),
        ("noiseband", "Envelope"),
        ("noiseband2", "Envelope"),
    ]
    keys += [("overtones", "Envelope1"), ("overtones", "Envelope2")]
    ends = [preset[s].points(k)[-1][0] for s, k in keys if preset[s].on and preset[s].points(k)]
    return int(np.clip(max(ends, default=0) * stretch, 1, LONGEST))


def _envelope(section: Section, stretch: float, key: str = "Envelope") -> Sound:
    points = section.points(key)
    if not points:
        return np.zeros(LONGEST)
    times, levels = np.array(points).T
    envelope: Sound = np.interp(np.arange(LONGEST), times * stretch, levels, right=0.0)
    return envelope


def _tone_pitch(tone: Section, stretch: float, tune: float) -> Sound:
    """Hz, per sample [LONGEST]: from F1 to F2, linear without droop, else exponential."""
    first, last = (float(np.clip(tone.number(k, 100) * tune, 0, NYQUIST)) for k in ("F1", "F2"))
    points = tone.points()
    length = max(points[-1][0] * stretch, 1) if points else RATE
    droop = float(np.clip(tone.number("Droop"), 0, 100))
    time = np.arange(LONGEST)
    if droop == 0:
        return np.interp(time, [0, length], [first, last])
    hz: Sound = last + (first - last) * np.exp(-time / (2 * length * 2.0 ** (-droop / 14)))
    return hz


def _phase(hz: Sound) -> Sound:
    return 2 * np.pi * np.cumsum(hz) / RATE


def _spectral(sound: Sound, gain: Callable[[np.ndarray], np.ndarray]) -> Sound:
    """`sound` through the magnitude response `gain` (of Hz)."""
    frequencies = np.fft.rfftfreq(len(sound), 1 / RATE)
    filtered: Sound = np.fft.irfft(np.fft.rfft(sound) * gain(frequencies), len(sound))
    return filtered


def _tilted(rng: np.random.Generator, slope: float) -> Sound:
    """Noise with a slope of `slope` / 100 * 6 dB per octave; the level 0.35 is by hand."""
    noise = _spectral(rng.standard_normal(LONGEST), lambda f: (np.maximum(f, 50) / 2000) ** (slope / 100))
    return 0.35 * noise / float(noise.std())


def _noise_band(rng: np.random.Generator, section: Section, tune: float) -> Sound:
    """Noise around F, of a width that grows with dF (0 to 100); the level 0.5 is by hand."""
    centre = float(np.clip(section.number("F", 1000) * tune, 20, 0.9 * NYQUIST))
    width = centre * (0.02 + (np.clip(section.number("dF"), 0, 100) / 100) ** 1.5)
    noise = _spectral(rng.standard_normal(LONGEST), lambda f: np.exp(-0.5 * ((f - centre) / width) ** 2))
    return 0.5 * noise / float(noise.std())


def _overtones(section: Section, tone: Section, pitch: Sound, stretch: float, tune: float) -> Sound:
    """Two oscillators: added, frequency-modulated, ring-modulated, or as a cluster of square waves."""
    glide = pitch / max(pitch[0], 1e-9) if tone.on else np.ones(LONGEST)
    hz = [
        np.clip(section.number(f"F{i}", 200) * tune, 0, NYQUIST)
        * (glide if section.number(f"Track{i}") else 1)
        for i in (1, 2)
    ]
    phases = [_phase(np.broadcast_to(h, LONGEST)) for h in hz]
    waves = [int(section.number(f"Wave{i}")) for i in (1, 2)]
    first, second = (_envelope(section, stretch, f"Envelope{i}") for i in (1, 2))
    amount = section.number("Param", 50) / 100
    method = int(section.number("Method"))
    if method == 1:  # the second modulates the phase of the first
        bend = 4 * amount * second * _wave(waves[1], phases[1])
        return _wave(waves[0], phases[0] + bend) * first
    if method == 2:  # ring modulation
        ring = _wave(waves[0], phases[0]) * _wave(waves[1], phases[1])
        return ring * first * ((1 - amount) + amount * second)
    if method == 3:  # six square waves at inharmonic ratios
        ratios = (1.0, 1.342, 1.2312, 1.6532, 1.9523, 2.1523)
        cluster = sum(np.sign(np.sin(phases[i % 2] * r)) for i, r in enumerate(ratios)) / 6
        return cluster * (first * (1 - amount) + second * amount)
    return first * (1 - amount) * _wave(waves[0], phases[0]) + second * amount * _wave(waves[1], phases[1])


def _wave(shape: int, phase: Sound) -> Sound:
    """0 sine, 1 sine squared, 2 triangle, 3 saw, 4 square."""
    turn = phase / (2 * np.pi) % 1
    if shape == 1:
        return np.sin(phase) * np.abs(np.sin(phase))
    if shape == 2:
        return 1 - 4 * np.abs((turn + 0.25) % 1 - 0.5)
    if shape == 3:
        return 1 - 2 * turn
    return np.sign(np.sin(phase)) if shape == 4 else np.sin(phase)


def _moving_filter(sound: Sound, general: Section, stretch: float) -> Sound:
    """A resonant low- or high-pass whose corner follows FilterEnv: 20 Hz at 0 to 20 kHz at 100."""
    frames = len(sound) // HOP + WINDOW // HOP
    # 1. Windowed blocks [frames, WINDOW], and the corner frequency at the middle of each.
    padded = np.pad(sound, (WINDOW, WINDOW + frames * HOP - len(sound)))
    starts = np.arange(0, frames + WINDOW // HOP) * HOP
    window = np.hanning(WINDOW + 1)[:-1]
    blocks = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[starts] * window
    centres = np.clip(starts - WINDOW // 2, 0, len(sound) - 1)
    corner = 20 * 1000 ** _envelope(general, stretch, "FilterEnv")[centres]
    # 2. The magnitude response of a two-pole filter, per block [frames, WINDOW // 2 + 1].
    ratio = np.fft.rfftfreq(WINDOW, 1 / RATE)[None, :] / corner[:, None]
    if general.number("HighPass"):
        ratio = 1 / np.maximum(ratio, 1e-6)
    damping = 1.4 * (1 - 0.9 * np.clip(general.number("Resonance"), 0, 100) / 100)
    gain = 1 / np.sqrt((1 - ratio**2) ** 2 + (damping * ratio) ** 2)
    # 3. Overlap-add.
    blocks = np.fft.irfft(np.fft.rfft(blocks) * gain, WINDOW)
    out = np.zeros(len(padded) + WINDOW)
    for start, block in zip(starts, blocks, strict=True):
        out[start : start + WINDOW] += block
    return out[WINDOW : WINDOW + len(sound)] / 2  # Hann windows at this hop add up to 2


def _distorted(sound: Sound, section: Section) -> Sound:
    """Clipping is dB of drive into a hard limit; Bits and Rate reduce the word length and the sample rate."""
    if not section.on:
        return sound
    sound = np.clip(sound * 10 ** (section.number("Clipping") / 20), -1, 1)
    bits = int(np.clip(section.number("Bits"), 0, 7))
    if bits:
        steps = 2 ** (10 - bits)
        sound = np.rint(sound * steps) / steps
    hold = 1 + int(np.clip(section.number("Rate"), 0, 7))
    return np.repeat(sound[::hold], hold)[: len(sound)]
