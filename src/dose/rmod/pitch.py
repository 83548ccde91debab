"""Transposing a loop without changing its length, and remembering what was transposed."""

from collections import OrderedDict

import numpy as np

from dose.audio import RATE


def shift_librosa(x: np.ndarray, semitones: float) -> np.ndarray:
    """The reference: float32 [N] transposed by librosa's phase vocoder."""
    import librosa

    return librosa.effects.pitch_shift(x, sr=RATE, n_steps=semitones).astype(np.float32)


METHODS = {"librosa": shift_librosa, "fast": shift_librosa}


class Cache:
    """The least recently used sounds go when `limit` bytes are full. Kept as 16 bit, for twice as many.

    `get` always gives the sound as it comes out of the 16 bits, so a hit and a miss give the same bytes.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self.bytes = 0
        self._kept: OrderedDict[tuple, tuple[np.ndarray, float]] = OrderedDict()

    def get(self, key: tuple) -> np.ndarray | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._kept.move_to_end(key)
        return kept[0] * np.float32(kept[1])

    def put(self, key: tuple, sound: np.ndarray) -> np.ndarray:
        """Keeps the sound and returns it as `get` will."""
        scale = float(np.abs(sound).max(initial=0.0)) / 32767 or 1.0
        samples = np.rint(sound / np.float32(scale)).astype(np.int16)
        self._kept[key] = (samples, scale)
        self.bytes += samples.nbytes
        while self.bytes > self.limit and self._kept:
            _, (old, _) = self._kept.popitem(last=False)
            self.bytes -= old.nbytes
        return samples * np.float32(scale)
