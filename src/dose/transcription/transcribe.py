"""Mix to hits: the network over the windows of a recording."""

import dataclasses
import functools
from collections.abc import Iterable

import numpy as np
import torch

from dose import audio, compute
from dose.audio import RATE
from dose.transcription import network
from dose.transcription.decode import THRESHOLD, one_hat_at_a_time
from dose.transcription.front_end import log_band_energies
from dose.transcription.hits import HIT_CLASSES, Hit, Transcription
from dose.transcription.network import TranscriptionNetwork
from dose.transcription.rhythm import find_rhythm
from dose.transcription.second_pass.candidates import Candidates, gathered, window_candidates
from dose.transcription.second_pass.scorer import SecondPass
from dose.transcription.windows import WINDOW, Window, cut

SILENCE = 1e-4  # peak, -80 dBFS: less holds no hits
SAME_HIT = 0.025  # seconds: hits of a class this close, on either side of a seam of windows, are one
# A class of which no hit of a recording is this probable is not in it. Chosen on the validation kits: of 200
# single drums .28 -> .23 with another class reported, of 200 drum-free sounds 6 -> 0 with any, same F.
CERTAIN = 0.65


@dataclasses.dataclass(frozen=True, kw_only=True)
class Activations:
    """The network's output for a piece of audio, frame by frame (`front_end.FRAME_RATE`)."""

    onsets: np.ndarray  # [classes, T]: probability of an onset, 0..1
    velocities: np.ndarray  # [classes, T]: of a hit, if there is one, 0..1
    bands: np.ndarray | None = None  # [BANDS, T]: what the network read, for the second pass
    # The older detector's `onset_likelihoods`, for callers that choose onsets of several drums with it.
    detector: np.ndarray | None = None


@functools.cache
def bundled_network() -> TranscriptionNetwork:
    """The network that ships with the package."""
    return network.load(network.BUNDLED)


@functools.lru_cache(maxsize=8)
def choose_threads(net: TranscriptionNetwork) -> compute.Choice:
    """The number of threads for one window, measured once per machine: see `dose.compute`.

    More threads gain little, since a third of the time goes into the recurrent layers' small products, and
    wait for each other: beside a busy process two took 5 to 12 times as long as one.
    """

    def prepare() -> compute.Work:
        sound = torch.zeros(1, WINDOW)
        return torch.inference_mode()(lambda: net(log_band_energies(sound)))

    flop = 8.2e8  # of the convolutions, for the default sizes
    what, on = f"transcription, {dataclasses.astuple(net.config)}", torch.device("cpu")
    return compute.choose("auto", on, what, {"fp32": prepare}, flop=flop, threads=True)


def activations(mono: np.ndarray, net: TranscriptionNetwork) -> Activations:
    """Onset probabilities and velocities of a mix [N], mono, 44.1 kHz; T = N // HOP + 1. Silence has none."""
    sound = torch.from_numpy(np.ascontiguousarray(mono, dtype=np.float32))[None]
    with compute.limited_threads(choose_threads(net).threads), torch.inference_mode():
        bands = log_band_energies(sound)
        logits, velocities = net(bands)
        onsets = logits[0].sigmoid().numpy()
        if audio.peak(mono) <= SILENCE:
            onsets = np.zeros_like(onsets)
        return Activations(onsets=onsets, velocities=velocities[0].sigmoid().numpy(), bands=bands[0].numpy())


def candidates_of(found: Activations, window: Window) -> Candidates:
    """The candidates that belong to a window, timed from the start of the recording."""
    assert found.bands is not None
    return window_candidates(found.onsets, found.velocities, found.bands, window)


def candidates(blocks: Iterable[np.ndarray], net: TranscriptionNetwork) -> Candidates:
    """All candidates of a recording that comes in blocks [C, N] at 44.1 kHz."""
    parts = [candidates_of(activations(audio.downmix(window.audio), net), window) for window in cut(blocks)]
    return gathered(parts, SAME_HIT)


def hits_of(found: Candidates, second_pass: SecondPass | None) -> list[Hit]:
    """The candidates of a recording that are more probable than not, by time."""
    probability = found.probability if second_pass is None else second_pass(found)
    hits = [
        Hit(
            seconds=float(found.seconds[i]),
            drum=HIT_CLASSES[found.cls[i]],
            velocity=int(np.clip(round(float(found.velocity[i]) * 127), 1, 127)),
            probability=float(probability[i]),
        )
        for i in np.flatnonzero(probability >= THRESHOLD)
    ]
    return one_hat_at_a_time(sorted(hits, key=lambda h: (h.seconds, h.drum)))


def join(hits: Iterable[Hit], seconds: float) -> Transcription:
    """The transcription of a recording of `seconds` from its hits, by time.

    Hits of classes that are not CERTAIN anywhere in it are left out.
    """
    hits = list(hits)
    there = {hit.drum for hit in hits if hit.probability >= CERTAIN}
    left = tuple(hit for hit in hits if hit.drum in there)
    return Transcription(hits=left, seconds=seconds, rhythm=find_rhythm(left, seconds))


def transcribe(mono: np.ndarray, net: TranscriptionNetwork | None = None) -> Transcription:
    """All hits of a recording [N], mono, 44.1 kHz, and its rhythm."""
    net = net or bundled_network()
    return join(hits_of(candidates([mono[None]], net), net.second_pass), len(mono) / RATE)
