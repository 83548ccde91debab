"""Counter-based random numbers: (seed, split, index, track, column) identifies one number.

Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) computes a number from a key
and a counter instead of a running state, so any item can be drawn alone. Every track owns a row of columns: a
new track takes the next row and a new parameter the next column, and no existing number changes. Only the raw
64-bit outputs are used; numpy guarantees that those stay the same in all versions.
"""

import numpy as np

ROWS = ("kick", "snare", "hihat", "bass", "piano", "guitar", "vocal", "master", "pattern")  # append only
NAMED, HITS = 64, 64
WIDTH = NAMED + 2 * HITS  # named columns, then one onset and one velocity for each of 64 hits
SPLIT_KEYS = {"train": 0, "val": 1, "test": 2, "groove": 3}  # append only


def uniforms(seed: int, split: str, start: int, stop: int) -> np.ndarray:
    """Float64 [stop - start, rows, WIDTH] in [0, 1), 53 random bits each, for items start..stop."""
    raw = np.empty((stop - start, len(ROWS) * WIDTH), np.uint64)
    key = np.array([seed, SPLIT_KEYS[split]], np.uint64)
    for i in range(start, stop):
        # One item owns 2^128 counter values, of which it uses ROWS * WIDTH / 4.
        counter = np.array([0, 0, i, 0], np.uint64)
        raw[i - start] = np.random.Philox(key=key, counter=counter).random_raw(raw.shape[1])
    # The upper 53 bits, which float64 represents exactly.
    return ((raw >> np.uint64(11)) * 2.0**-53).reshape(-1, len(ROWS), WIDTH)
