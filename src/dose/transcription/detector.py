"""The onset detector of models that were trained before the transcription network.

A model is conditioned on the choice of onsets that it was trained with (`PromptConfig.onsets`): likelihoods
and times of another detector have other statistics, which costs the shipped kick and hi-hat a part of their
quality. A small convolutional network reads log band energies every 5.8 ms and predicts, per drum and frame,
the likelihood of an onset; it was trained on RMOD's train split. Nothing trains it any more.
"""

import functools
import itertools
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dose.drums import DRUMS
from dose.dsp.bands import RATE, BandFrontEnd, Resolution
from dose.transcription.decode import vertex
from dose.transcription.onset import MIN_DISTANCE, Onset, best

HOP = 256  # samples: 5.8 ms
WEIGHTS = Path(__file__).parent / "onsets.safetensors"
# Edges in Hz, chosen by hand: the long window separates low bands, the short one places high bands in time.
LOW_EDGES = (30, 45, 60, 80, 100, 125, 155, 195, 245, 310, 390)
HIGH_EDGES = (390, 520, 700, 950, 1300, 1700, 2300, 3000, 4000, 5300, 7000, 9000, 11500, 14500, 18000)
FRONT_END = BandFrontEnd(
    resolutions=(Resolution(size=2048, edges=LOW_EDGES), Resolution(size=512, edges=HIGH_EDGES)),
    hop=HOP,
    centre="hop_start",
    normalise=False,
)
BANDS = FRONT_END.bands
# Three dilated layers see 57 frames, 0.33 s: an onset with the background before it and the decay after it.
CHANNELS, KERNEL, DILATIONS = 48, 9, (1, 2, 4)

# Chosen by hand, without a study.
DISTURBED = (-0.03, 0.10)  # seconds around an onset in which other drums disturb it
REPEATED = 0.35  # seconds after an onset within which the drum's own next onset cuts its decay short
OTHER_WEIGHT, REPEAT_WEIGHT = 0.5, 0.2  # how much of those likelihoods is taken off an onset's rank


class OnsetDetector(nn.Module):
    """Log band energies [B, BANDS, T] to one logit per drum and frame, [B, drums, T]."""

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
            x = F.relu(convolution(x))  # [B, CHANNELS, T]
        logits: Tensor = self.out(x)
        return logits


def log_band_energies(mix: Tensor) -> Tensor:
    """Mono audio [B, N] at 44.1 kHz to log band energies [B, BANDS, T], T = N // HOP + 1.

    Each band's mean over time is subtracted, so that neither level nor EQ of the whole mix matters.
    """
    energy = FRONT_END.power(mix)
    # A floor 40 dB below the band's mean keeps near-silence from spanning most of the logarithm's range.
    floor = 1e-4 * energy.mean(dim=2, keepdim=True) + 1e-9
    log_energy = torch.log(energy + floor)
    return log_energy - log_energy.mean(dim=2, keepdim=True)


@functools.cache
def detector() -> OnsetDetector:
    """The trained network that ships with the package."""
    net = OnsetDetector()
    net.load_state_dict(safetensors.torch.load_file(WEIGHTS))
    return net.eval().requires_grad_(False)


def onset_likelihoods(mix: np.ndarray, net: OnsetDetector | None = None) -> np.ndarray:
    """Likelihood 0..1 of an onset of each of DRUMS per frame: mix [N] mono 44.1 kHz to [3, N // HOP + 1]."""
    audio = torch.from_numpy(np.ascontiguousarray(mix, dtype=np.float32))[None]
    with torch.inference_mode():
        out: np.ndarray = (net or detector())(log_band_energies(audio))[0].sigmoid().numpy()
        return out


def find_onsets(mix: np.ndarray, drum: str, count: int, likelihoods: np.ndarray | None = None) -> list[Onset]:
    """The `count` best onsets of `drum` in mix [N] mono 44.1 kHz, best first; fewer if there are fewer peaks.

    `likelihoods` are the mix's `onset_likelihoods`, for callers that ask for several drums. Raises ValueError
    for an unknown drum.
    """
    if drum not in DRUMS:
        raise ValueError(f"{drum!r} is not one of {', '.join(DRUMS)}")
    likelihoods = onset_likelihoods(mix) if likelihoods is None else likelihoods
    own = likelihoods[DRUMS.index(drum)]  # [T]
    others = np.delete(likelihoods, DRUMS.index(drum), axis=0).max(axis=0)  # [T]
    # Peak picking: every local maximum is a candidate, there is no threshold.
    peaks = np.flatnonzero((own[1:-1] > own[:-2]) & (own[1:-1] >= own[2:])) + 1
    return best((_onset(own, others, int(p), len(mix)) for p in peaks), count)


def _onset(own: np.ndarray, others: np.ndarray, peak: int, samples: int) -> Onset:
    """The onset at frame `peak` of the drum's likelihoods `own` [T], ranked against `others` [T]."""
    rate = RATE / HOP  # frames per second
    around = others[max(0, peak + round(DISTURBED[0] * rate)) : peak + round(DISTURBED[1] * rate)]
    after = own[peak + round(MIN_DISTANCE * rate) : peak + round(REPEATED * rate)]
    rank = own[peak] - OTHER_WEIGHT * around.max(initial=0) - REPEAT_WEIGHT * after.max(initial=0)
    start = round(vertex(own, peak) * HOP)
    return Onset(start=min(max(start, 0), samples - 1), likelihood=float(own[peak]), rank=float(rank))
