"""Multi-scale spectral distance (MSS), the paper's first metric, and a log-magnitude variant.

Definition: magnitude spectrograms at FFT sizes 2048, 1024, 512, 256, 128 and 64 (periodic Hann window of the
FFT's size, hop a quarter of it, frames centred, zeros beyond the ends); at each size the mean over bins and
frames of the squared difference; then the mean over the six sizes. The transform is not normalised (a
full-scale sine reads about n/4 at size n). No alignment in time, no fitting of gain: `shots.prepare` has
already set both peaks to 1. Unit: squared STFT magnitude, lower is better, 0 for identical sounds.
`log=True` compares natural logarithms of magnitudes floored at FLOOR instead; unit: squared nepers.

Source: DOSE, ICASSP 2025, section 4 ("mean squared error at each, aggregated"). The paper leaves window, hop,
scaling and aggregation open; the above is this project's choice.
"""

from collections.abc import Sequence

import numpy as np
import torch

from dose.metrics.shots import check_pairs

SIZES = (2048, 1024, 512, 256, 128, 64)
FLOOR = 1e-2  # of an unnormalised magnitude: -94 dB of a full-scale sine at size 2048
BATCH = 16  # shots held as spectrograms at a time: about 0.2 GB


def mss(
    generated: np.ndarray, reference: np.ndarray, *, sizes: Sequence[int] = SIZES, log: bool = False
) -> np.ndarray:
    """[B, N] and [B, N] (or [N]) at one rate -> float64 [B]. Raises AudioError if the pairs do not fit."""
    generated, reference = check_pairs(generated, reference)
    parts = [
        _batch(generated[i : i + BATCH], reference[i : i + BATCH], sizes, log)
        for i in range(0, len(generated), BATCH)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def both(generated: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    """{"mss": [B], "mss_log": [B]} from one set of spectrograms, at half the cost of two calls."""
    generated, reference = check_pairs(generated, reference)
    totals = np.zeros((2, len(generated)))
    for i in range(0, len(generated), BATCH):
        pair = torch.from_numpy(np.stack([generated[i : i + BATCH], reference[i : i + BATCH]]))
        for size in SIZES:
            a, b = magnitudes(pair.flatten(0, 1), size).chunk(2)
            totals[0, i : i + BATCH] += _distance(a, b, log=False)
            totals[1, i : i + BATCH] += _distance(a, b, log=True)
    totals /= len(SIZES)
    return {"mss": totals[0], "mss_log": totals[1]}


def magnitudes(audio: torch.Tensor, size: int) -> torch.Tensor:
    """[B, N] -> |STFT| [B, size / 2 + 1, frames], unnormalised."""
    window = torch.hann_window(size, dtype=audio.dtype, device=audio.device)
    return torch.stft(
        audio, size, hop_length=size // 4, window=window, center=True, pad_mode="constant",
        return_complex=True,
    ).abs()  # fmt: skip


def _batch(generated: np.ndarray, reference: np.ndarray, sizes: Sequence[int], log: bool) -> np.ndarray:
    total = np.zeros(len(generated))
    a, b = torch.from_numpy(generated), torch.from_numpy(reference)
    for size in sizes:
        total += _distance(magnitudes(a, size), magnitudes(b, size), log=log)
    return total / len(sizes)


def _distance(a: torch.Tensor, b: torch.Tensor, *, log: bool) -> np.ndarray:
    if log:
        a, b = a.clamp(min=FLOOR).log(), b.clamp(min=FLOOR).log()
    return (a - b).square().mean(dim=(1, 2), dtype=torch.float64).numpy()
