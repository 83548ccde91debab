"""Seeded synthetic one-shots and mixes, for the tests of metrics, baselines and evaluation."""

import numpy as np
import torch

from dose import audio
from dose.drums import DRUMS
from dose.evaluate.datasets import Item

RATE, N = 44100, 44100


def shot(drum: str, seed: int) -> np.ndarray:
    """A plain drum sound [44100], peak 1: kick a falling sine, snare sine and noise, hi-hat bright noise."""
    rng = np.random.default_rng([seed, DRUMS.index(drum)])
    t = np.arange(N) / RATE
    noise = rng.standard_normal(N)
    if drum == "kick":
        low = rng.uniform(40, 70)
        phase = 2 * np.pi * (low * t + rng.uniform(2, 6) * (1 - np.exp(-t * 30)))
        sound = np.cos(phase) * np.exp(-t / rng.uniform(0.05, 0.2))
    elif drum == "snare":
        body = np.cos(2 * np.pi * rng.uniform(150, 250) * t) * np.exp(-t / 0.06)
        sound = body + rng.uniform(0.3, 1) * noise * np.exp(-t / rng.uniform(0.04, 0.12))
    else:
        sound = np.diff(noise, prepend=0) * np.exp(-t / rng.uniform(0.01, 0.06))
    return audio.normalise_peak(audio.fade_out(sound.astype(np.float32), 441))


def shots(drum: str, count: int, seed: int = 0) -> np.ndarray:
    return np.stack([shot(drum, seed + i) for i in range(count)])


def mix(seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A bar of 4 s [2, 176400] with its drums: kick and snare in turn, hats on every eighth."""
    drums = {drum: shot(drum, seed) for drum in DRUMS}
    out = np.zeros(4 * RATE + N, np.float32)
    for beat in range(8):
        at = beat * RATE // 2
        drum = ("kick", "snare")[beat % 2]
        out[at : at + N] += 0.4 * drums[drum]
        out[at + RATE // 4 : at + RATE // 4 + N] += 0.2 * drums["hihat"]
    return np.stack([out[: 4 * RATE]] * 2), drums


def write_items(root, count: int, seed: int = 0) -> list[Item]:
    items = []
    for i in range(count):
        sound, drums = mix(seed + i)
        folder = root / f"{i:06d}"
        audio.write(folder / "mix.wav", sound)
        for drum in DRUMS:
            audio.write(folder / f"{drum}.wav", drums[drum])
        items.append(Item(index=i, mix=folder / "mix.wav", shots={d: folder / f"{d}.wav" for d in DRUMS}))
    return items


class CoarseCodec:
    """A stand-in codec with the real one's interface: 9 means a frame, in 1024 steps."""

    id, rate, K, N, hop = "coarse", RATE, 9, 1024, 512

    def encode(self, sound):
        return ((self.embed(sound) + 1) / 2 * 1023).round().long().clamp(0, 1023)

    def decode(self, codes):
        levels = codes.float() / 1023 * 2 - 1
        parts = levels.repeat_interleave(57, dim=1)[:, : self.hop]
        return parts.transpose(1, 2).reshape(len(codes), 1, -1)

    def embed(self, sound):
        padded = torch.nn.functional.pad(sound[:, 0], (0, -sound.shape[-1] % self.hop))
        frames = padded.reshape(len(sound), -1, self.hop)
        return torch.stack([part.mean(dim=-1) for part in frames.tensor_split(self.K, dim=-1)], dim=1)
