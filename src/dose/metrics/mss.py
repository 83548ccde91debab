"""Multi-scale spectral distance (MSS), the paper's first metric, and a log-magnitude variant.

Definition: magnitude spectrograms at FFT sizes 2048, 1024, 512, 256, 128 and 64 (periodic Hann window of the
FFT's size, hop a quarter of it, frames centred, zeros beyond the ends); at each size the mean over bins and
frames of the squared difference; then the mean over the six sizes. The transform is not normalised (a
full-scale sine reads about n/4 at size n). No alignment in time, no fitting of gain: `one_shots.prepare` has
already set both peaks to 1. Unit: squared STFT magnitude; lower is better; 0 for identical sounds.
`log=True` compares natural logarithms of magnitudes floored at FLOOR instead; unit: squared nepers.

Source: DOSE, ICASSP 2025, section 4 ("mean squared error at each, aggregated"). The paper leaves window, hop,
scaling and aggregation open; the above is this project's choice.
"""

from collections.abc import Sequence

import numpy as np
import torch

from dose.metrics.one_shots import check_pairs

SIZES = (2048, 1024, 512, 256, 128, 64)
FLOOR = 1e-2  # of an unnormalised magnitude: -94 dB of a full-scale sine at size 2048
# Both spectrograms of a batch are in memory at once.
BATCH = 16  # one-shots held as spectrograms at a time: about 0.2 GB


def mss(
    generated: np.ndarray, reference: np.ndarray, *, sizes: Sequence[int] = SIZES, log: bool = False
) -> np.ndarray:
    """[B, N] and [B, N] (or [N]) at one rate -> float64 [B]. Raises AudioError if the pairs do not fit."""
    generated, reference = check_pairs(generated, reference)
    batches = [
        _mss_of_batch(generated[i : i + BATCH], reference[i : i + BATCH], sizes, log)
        for i in range(0, len(generated), BATCH)
    ]
    return np.concatenate(batches) if batches else np.zeros(0)


def mss_and_log(generated: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    """{"mss": [B], "mss_log": [B]} from one set of spectrograms, at half the cost of two calls."""
    generated, reference = check_pairs(generated, reference)
    # Row 0 sums the linear distances over the sizes, row 1 the logarithmic ones.
    totals = np.zeros((2, len(generated)))
    for i in range(0, len(generated), BATCH):
        pairs = torch.from_numpy(np.stack([generated[i : i + BATCH], reference[i : i + BATCH]]))  # [2, b, N]
        for size in SIZES:
            a, b = magnitudes(pairs.flatten(0, 1), size).chunk(2)  # each [b, bins, frames]
            totals[0, i : i + BATCH] += _mean_squared_difference(a, b, log=False)
            totals[1, i : i + BATCH] += _mean_squared_difference(a, b, log=True)
    totals /= len(SIZES)
    return {"mss": totals[0], "mss_log": totals[1]}


def magnitudes(audio: torch.Tensor, size: int) -> torch.Tensor:
    """[B, N] -> |STFT| [B, size / 2 + 1, frames], unnormalised, hop size / 4."""
    window = torch.hann_window(size, dtype=audio.dtype, device=audio.device)
    spectrum: torch.Tensor = torch.stft(
        audio, size, hop_length=size // 4, window=window, center=True, pad_mode="constant",
        return_complex=True,
    )  # fmt: skip
    return spectrum.abs()


def _mss_of_batch(
    generated: np.ndarray, reference: np.ndarray, sizes: Sequence[int], log: bool
) -> np.ndarray:
    total = np.zeros(len(generated))
    a, b = torch.from_numpy(generated), torch.from_numpy(reference)
    for size in sizes:
        total += _mean_squared_difference(magnitudes(a, size), magnitudes(b, size), log=log)
    mean: np.ndarray = total / len(sizes)
    return mean


def _mean_squared_difference(a: torch.Tensor, b: torch.Tensor, *, log: bool) -> np.ndarray:
    """Spectrograms [B, bins, frames] -> float64 [B]."""
    if log:
        # The floor keeps silent bins from dominating: log(0) is -inf.
        a, b = a.clamp(min=FLOOR).log(), b.clamp(min=FLOOR).log()
    return (a - b).square().mean(dim=(1, 2), dtype=torch.float64).numpy()
