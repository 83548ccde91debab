"""Where a drum is hit in a mix, for choosing what the model is shown.

Not a transcription: a few hits that are surely of this drum and stand as free of the others as can be are
worth more than all of them. The same function serves training and extraction, so the model sees the same
kinds of mistakes in both.

A small convolutional network reads logarithmic band energies every 5.8 ms and says for each drum how likely
it is hit there. It is fitted on RMOD's own train split, whose hits are known (`dose fit-onsets`), and ships
with the package. Spectral flux in fixed bands per drum found the drum in only about a third of its picks
there: a kick under a bass and a hi-hat is not the loudest thing that rises in its band.
"""

import dataclasses
import functools
import itertools
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dose.drums import DRUMS

RATE, HOP = 44100, 256
WEIGHTS = Path(__file__).parent / "onsets.safetensors"
# Low bands need a long window to be told apart, high ones a short window to be placed in time.
LOW = (2048, (30, 45, 60, 80, 100, 125, 155, 195, 245, 310, 390))
HIGH = (512, (390, 520, 700, 950, 1300, 1700, 2300, 3000, 4000, 5300, 7000, 9000, 11500, 14500, 18000))
BANDS = len(LOW[1]) + len(HIGH[1]) - 2
CHANNELS, KERNEL, DILATIONS = 48, 9, (1, 2, 4)

APART = 0.06  # seconds between two hits that are both kept
ALONE = (-0.03, 0.10)  # seconds around a hit in which other drums disturb it
OTHERS, REPEAT = 0.5, 0.2  # how much of a disturbing drum's, and of a following own hit's, likelihood counts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Onset:
    """One found hit."""

    start: int  # sample in the mix
    likelihood: float  # 0..1
    rank: float  # likelihood less what disturbs it; hits are kept in this order


class OnsetDetector(nn.Module):
    """Band energies [B, BANDS, T] to one logit per drum and frame [B, 3, T]."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [BANDS] + [CHANNELS] * len(DILATIONS)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, KERNEL, dilation=d, padding=d * (KERNEL // 2))
            for (a, b), d in zip(itertools.pairwise(sizes), DILATIONS, strict=True)
        )
        self.out = nn.Conv1d(CHANNELS, len(DRUMS), 1)

    def forward(self, x: Tensor) -> Tensor:
        for convolution in self.convolutions:
            x = F.relu(convolution(x))
        return self.out(x)


def log_band_energies(mix: Tensor) -> Tensor:
    """Mono audio [B, N] at 44.1 kHz to log band energies [B, BANDS, T], T = N // HOP + 1.

    Each band's mean over time is taken off, so that neither level nor EQ of the whole mix matters.
    """
    parts = []
    for window, edges in (LOW, HIGH):
        spectrum = torch.stft(
            mix,
            window,
            HOP,
            window=torch.hann_window(window),
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()  # `abs` would take a root
        parts.append(_band_matrix(window, edges) @ power)
    energy = torch.cat(parts, dim=1)
    floor = 1e-4 * energy.mean(dim=2, keepdim=True) + 1e-9
    level = torch.log(energy + floor)
    return level - level.mean(dim=2, keepdim=True)


@functools.cache
def _band_matrix(window: int, edges: tuple[int, ...]) -> Tensor:
    """[bands, bins], 1 where a bin lies in a band; a band narrower than a bin takes the nearest one."""
    bins = np.arange(window // 2 + 1) * RATE / window
    rows = [(bins >= a) & (bins < b) for a, b in itertools.pairwise(edges)]
    for row, (a, b) in zip(rows, itertools.pairwise(edges), strict=True):
        row[np.abs(bins - (a + b) / 2).argmin()] = True
    return torch.tensor(np.array(rows), dtype=torch.float32)


@functools.cache
def detector() -> OnsetDetector:
    """The fitted network that ships with the package."""
    net = OnsetDetector()
    net.load_state_dict(safetensors.torch.load_file(WEIGHTS))
    return net.eval().requires_grad_(False)


def likelihoods(mix: np.ndarray, net: OnsetDetector | None = None) -> np.ndarray:
    """How likely each of DRUMS is hit at each frame: mix [N] mono 44.1 kHz to [3, N // HOP + 1], 0..1."""
    audio = torch.from_numpy(np.ascontiguousarray(mix, dtype=np.float32))[None]
    with torch.inference_mode():
        return (net or detector())(log_band_energies(audio))[0].sigmoid().numpy()


def find_onsets(mix: np.ndarray, drum: str, count: int, chances: np.ndarray | None = None) -> list[Onset]:
    """The `count` best hits of `drum` in mix [N] mono 44.1 kHz, best first; fewer when there are fewer peaks.

    `chances` are the mix's `likelihoods`, for callers that ask for several drums. Raises ValueError for an
    unknown drum.
    """
    if drum not in DRUMS:
        raise ValueError(f"{drum!r} is not one of {', '.join(DRUMS)}")
    chances = likelihoods(mix) if chances is None else chances
    own = chances[DRUMS.index(drum)]
    others = np.delete(chances, DRUMS.index(drum), axis=0).max(axis=0)
    peaks = np.flatnonzero((own[1:-1] > own[:-2]) & (own[1:-1] >= own[2:])) + 1
    found = [_hit(own, others, int(p), len(mix)) for p in peaks]
    found.sort(key=lambda hit: (-hit.rank, hit.start))
    kept: list[Onset] = []
    for hit in found:
        if len(kept) == count:
            break
        if all(abs(hit.start - k.start) >= APART * RATE for k in kept):
            kept.append(hit)
    return kept


def _hit(own: np.ndarray, others: np.ndarray, peak: int, samples: int) -> Onset:
    frames = RATE / HOP
    around = others[max(0, peak + round(ALONE[0] * frames)) : peak + round(ALONE[1] * frames)]
    after = own[peak + round(APART * frames) : peak + round(0.35 * frames)]
    rank = own[peak] - OTHERS * around.max(initial=0) - REPEAT * after.max(initial=0)
    # The vertex of a parabola through the logarithms places the peak between frames.
    a, b, c = np.log(own[peak - 1 : peak + 2] + 1e-6)
    bend = a - 2 * b + c
    shift = 0.5 * (a - c) / bend if bend < 0 else 0.0
    start = round((peak + float(np.clip(shift, -0.5, 0.5))) * HOP)
    return Onset(start=min(max(start, 0), samples - 1), likelihood=float(own[peak]), rank=float(rank))
