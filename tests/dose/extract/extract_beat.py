"""A mix to extract from, made by simple means."""

import numpy as np

RATE = 44100


def drum_loop(seconds: float, seed: int = 0) -> np.ndarray:
    """Float32 [2, N]: kick, snare and hi-hat of simple make over a soft chord, in a steady beat."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(0.3 * RATE)) / RATE
    kick = np.sin(2 * np.pi * (50 + 80 * np.exp(-time * 40)) * time) * np.exp(-time * 12)
    snare = rng.normal(size=len(time)) * np.exp(-time * 18) * 0.5 + np.sin(2 * np.pi * 190 * time) * np.exp(
        -time * 25
    )
    hihat = np.diff(rng.normal(size=len(time) + 1)) * np.exp(-time * 60)
    total = int(seconds * RATE)
    track = np.zeros((2, total + len(time)))
    for beat in range(int(seconds * 4)):
        at = beat * RATE // 4
        sounds = [(hihat, 0.15, 1.0)]
        if beat % 4 == 0:
            sounds.append((kick, 0.6, 1.0))
        if beat % 4 == 2:
            sounds.append((snare, 0.4, 0.5))
        for sound, level, left in sounds:
            track[0, at : at + len(time)] += left * level * sound
            track[1, at : at + len(time)] += level * sound
    chord = sum(np.sin(2 * np.pi * hz * np.arange(total) / RATE) for hz in (220, 277, 330)) * 0.02
    return (track[:, :total] + chord).astype(np.float32) * 0.7
