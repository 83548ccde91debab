"""Selects, per drum, the 4 s segments of a song whose onsets stand out best, while the song streams by."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dose import audio
from dose.audio import RATE
from dose.dsp.mel import BANDS, drum_bands, mel_magnitudes
from dose.dsp.onset import onset_levels
from dose.extract.drift import features
from dose.extract.offset import without_offset
from dose.transcription.detector import onset_likelihoods
from dose.transcription.hits import Hit
from dose.transcription.network import TranscriptionNetwork
from dose.transcription.onsets import OnsetSource, choose_onsets, find_onsets
from dose.transcription.second_pass.candidates import Candidates, gathered
from dose.transcription.transcribe import (
    SAME_HIT,
    SILENCE,
    Activations,
    activations,
    candidates_of,
    hits_of,
)
from dose.transcription.windows import WINDOW, Window, cut

ONSETS_PER_SEGMENT = 4  # chosen by hand, as the next
SEGMENTS_PER_DRUM = 12  # kept while a song streams by; twice as many at most at any time
FULL_RISE_DB = 24.0  # a rise of the drum's bands from which on its size no longer counts; chosen by hand


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segment:
    """Four seconds of the mix with the onsets of one drum; a shorter mix is filled up, see `windows.cut`."""

    audio: np.ndarray  # float32 [1 or 2, WINDOW]
    start: int  # samples into the source
    onsets: tuple[int, ...]  # samples into the segment, best first
    likelihood: tuple[float, ...]  # of each onset, 0..1: see `transcription.onsets`
    onset_snr: tuple[float, ...]  # of each onset, 0..1: see `onset_snr`
    activations: Activations | None = None  # of the whole segment
    probabilities: tuple[float, ...] = ()  # of the best hits by the transcription network, 0..1
    period: int = WINDOW  # samples after which a loop that is shorter than a segment repeats

    @property
    def mono(self) -> np.ndarray:
        return audio.downmix(self.audio)

    @property
    def score(self) -> float:
        """0..1: the mean over onsets, so that a good onset among poor ones counts for less."""
        pairs = zip(self.likelihood, self.onset_snr, strict=True)
        return float(np.mean([a * (0.5 + 0.5 * b) for a, b in pairs])) if self.onsets else 0.0

    @property
    def time(self) -> float:
        """Seconds into the source of the best onset."""
        return (self.start + (self.onsets[0] % self.period if self.onsets else 0)) / RATE


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScanResult:
    """A scanned song."""

    segments: dict[str, list[Segment]]  # of each drum, in no order
    samples: int  # length of the song
    peak: float
    hits: list[Hit]  # of all drums, by time
    features: np.ndarray  # [BANDS], see `drift`: mean over segments that are not silent, zeros without any


def scan(
    blocks: Iterable[np.ndarray],
    drums: Sequence[str],
    net: TranscriptionNetwork,
    sources: Mapping[str, OnsetSource] | None = None,
) -> ScanResult:
    """Streams blocks [C, N] at 44.1 kHz and keeps the best SEGMENTS_PER_DRUM segments of each drum.

    `sources` say what chooses each drum's onsets, by default the network. Memory does not grow with the
    length of the song, but for its hits.
    """
    kept: dict[str, list[Segment]] = {drum: [] for drum in drums}
    samples, peak = 0, 0.0
    feature_sum, sounding = np.zeros(BANDS), 0
    candidates: list[Candidates] = []
    for window in cut(without_offset(blocks)):
        samples, peak = window.start + window.length, max(peak, audio.peak(window.audio))
        mono = audio.downmix(window.audio)
        # One pass of the front end and of each network serves all drums and the transcription.
        magnitudes, found = mel_magnitudes(mono), activations(mono, net)
        candidates.append(candidates_of(found, window))
        if "detector" in (sources or {}).values():
            found = dataclasses.replace(found, detector=onset_likelihoods(mono))
        if audio.peak(mono) > SILENCE:
            feature_sum, sounding = feature_sum + features(magnitudes), sounding + 1
        for drum in drums:
            source = (sources or {}).get(drum, "network")
            kept[drum].append(_segment(window, mono, drum, magnitudes, found, source))
            if len(kept[drum]) >= 2 * SEGMENTS_PER_DRUM:
                kept[drum] = choose(kept[drum], SEGMENTS_PER_DRUM)
    return ScanResult(
        segments=kept,
        samples=samples,
        peak=peak,
        hits=hits_of(gathered(candidates, SAME_HIT), net.second_pass),
        features=feature_sum / max(1, sounding),
    )


def choose(segments: Sequence[Segment], count: int) -> list[Segment]:
    """The `count` best segments, best first, spread over the song.

    Greedy: a segment's score shrinks to a quarter with nearness to segments that were chosen before it.
    """
    left, chosen = list(segments), list[Segment]()
    reach = 2.0 * WINDOW  # samples: segments this far apart do not affect each other
    while left and len(chosen) < count:
        # 0 for a segment that starts where a chosen one does, 1 from `reach` on.
        distances = [
            min((min(1.0, abs(s.start - c.start) / reach) for c in chosen), default=1.0) for s in left
        ]
        values = [s.score * (0.25 + 0.75 * d) for s, d in zip(left, distances, strict=True)]
        chosen.append(left.pop(int(np.argmax(values))))
    return chosen


def onset_snr(magnitudes: np.ndarray, onset: int, drum: str) -> float:
    """How clearly an onset of the drum stands out at sample `onset` of mel magnitudes [BANDS, T], 0..1.

    The product of two parts: by how much the drum's own bands rise (1 from FULL_RISE_DB on), and the root of
    the share of the whole spectral flux that lies in those bands (low under masking). 0 without a rise.
    """
    levels, own = onset_levels(magnitudes, onset), drum_bands(drum)
    rise_db = audio.db(_power(levels.after[own])) / 2 - audio.db(max(_power(levels.before[own]), 1e-8)) / 2
    flux = levels.flux  # [BANDS]
    share = flux[own].sum() / max(flux.sum(), 1e-12)
    return float(np.clip(rise_db / FULL_RISE_DB, 0, 1) * np.sqrt(share))


def _segment(
    window: Window,
    mono: np.ndarray,
    drum: str,
    magnitudes: np.ndarray,
    found: Activations,
    source: OnsetSource,
) -> Segment:
    """The window with its onsets of `drum`; silence has none."""
    silent = audio.peak(mono) <= SILENCE
    onsets = [] if silent else choose_onsets(source, mono, found, drum, ONSETS_PER_SEGMENT)
    certain = onsets if silent or source == "network" else find_onsets(found, drum, ONSETS_PER_SEGMENT)
    return Segment(
        audio=window.audio,
        start=window.start,
        onsets=tuple(onset.start for onset in onsets),
        likelihood=tuple(onset.likelihood for onset in onsets),
        onset_snr=tuple(onset_snr(magnitudes, onset.start, drum) for onset in onsets),
        activations=found,
        probabilities=tuple(onset.likelihood for onset in certain),
        period=window.length,
    )


def _power(magnitudes: np.ndarray) -> float:
    return float((magnitudes**2).sum())
