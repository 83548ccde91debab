"""Mix to hits: the network over the windows of a recording."""

import dataclasses
import functools
from collections.abc import Iterable

import numpy as np
import torch

from dose import audio, compute
from dose.audio import RATE
from dose.transcription import network
from dose.transcription.decode import decode
from dose.transcription.front_end import log_band_energies
from dose.transcription.hits import Hit, Transcription
from dose.transcription.network import TranscriptionNetwork
from dose.transcription.rhythm import find_rhythm
from dose.transcription.windows import WINDOW, Window, cut

SILENCE = 1e-4  # peak, -80 dBFS: less holds no hits
SAME_HIT = 0.025  # seconds: hits of a class this close, on either side of a seam of windows, are one
# A class of which no hit of a recording is this probable is not in it. Chosen on 800 mixes of the validation
# kits: single drums with another class reported .45 -> .37, sounds with a false drum .065 -> .055, same F.
CERTAIN = 0.65


@dataclasses.dataclass(frozen=True, kw_only=True)
class Activations:
    """The network's output for a piece of audio, frame by frame (`front_end.FRAME_RATE`)."""

    onsets: np.ndarray  # [classes, T]: probability of an onset, 0..1
    velocities: np.ndarray  # [classes, T]: of a hit, if there is one, 0..1
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
        logits, velocities = net(log_band_energies(sound))
        onsets = logits[0].sigmoid().numpy()
        if audio.peak(mono) <= SILENCE:
            onsets = np.zeros_like(onsets)
        return Activations(onsets=onsets, velocities=velocities[0].sigmoid().numpy())


def window_hits(found: Activations, window: Window) -> list[Hit]:
    """The hits that belong to a window, timed from the start of the recording."""
    return [
        dataclasses.replace(hit, seconds=hit.seconds + window.start / RATE)
        for hit in decode(found.onsets, found.velocities)
        if window.first <= hit.seconds * RATE < window.last
    ]


def join(hits: Iterable[Hit], seconds: float) -> Transcription:
    """The transcription of a recording of `seconds` from the hits of its windows.

    Hits of classes that are not CERTAIN anywhere in it are left out.
    """
    hits = list(hits)
    there = {hit.drum for hit in hits if hit.probability >= CERTAIN}
    joined: list[Hit] = []
    latest: dict[str, float] = {}
    for hit in sorted((h for h in hits if h.drum in there), key=lambda h: (h.seconds, h.drum)):
        if hit.seconds - latest.get(hit.drum, -1.0) >= SAME_HIT:
            joined.append(hit)
            latest[hit.drum] = hit.seconds
    return Transcription(hits=tuple(joined), seconds=seconds, rhythm=find_rhythm(joined, seconds))


def transcribe(mono: np.ndarray, net: TranscriptionNetwork | None = None) -> Transcription:
    """All hits of a recording [N], mono, 44.1 kHz, and its rhythm."""
    hits: list[Hit] = []
    for window in cut([mono[None]]):
        hits += window_hits(activations(audio.downmix(window.audio), net or bundled_network()), window)
    return join(hits, len(mono) / RATE)
