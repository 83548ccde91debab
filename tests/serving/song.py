"""A song to send: simple drums over a bass line and chords, made here."""

import numpy as np

from dose import audio

RATE = audio.RATE


def song(seconds: float, bpm: float = 120.0, seed: int = 0) -> np.ndarray:
    """Float32 [2, N] at 44.1 kHz."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(0.35 * RATE)) / RATE
    noise = rng.normal(size=len(time) + 1)
    kick = np.sin(2 * np.pi * (48 * time + 3 * (1 - np.exp(-time * 45)))) * np.exp(-time * 11)
    snare = 0.6 * noise[1:] * np.exp(-time * 20) + 0.5 * np.sin(2 * np.pi * 185 * time) * np.exp(-time * 24)
    hihat = np.diff(noise) * np.exp(-time * 55)
    total = int(seconds * RATE)
    track = np.zeros((2, total + len(time)))
    eighth = 30.0 / bpm
    for step in range(int(seconds / eighth)):
        at = int(step * eighth * RATE)
        struck = [(hihat, 0.12)] + [(kick, 0.7)] * (step % 4 == 0) + [(snare, 0.4)] * (step % 4 == 2)
        for sound, level in struck:
            track[:, at : at + len(time)] += level * sound
    t = np.arange(total) / RATE
    bar = (t / (8 * eighth)).astype(int) % 4
    root = np.array([55.0, 65.4, 49.0, 73.4])[bar]
    phase = np.cumsum(root) / RATE
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * t / (16 * eighth))
    music = 0.10 * np.sin(2 * np.pi * phase) + 0.03 * sum(np.sin(2 * np.pi * k * phase) for k in (4, 5, 6))
    return (0.8 * (track[:, :total] + swell * music)).astype(np.float32)
