"""Ranks the samples of one drum: by fit to what conditioned them, and by consistency with each other."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from dose.audio import RATE
from dose.dsp.mel import BANDS, HOP, drum_bands, mel_magnitudes
from dose.dsp.onset import background, onset_levels
from dose.extract.postprocess import attack_start
from dose.extract.segments import Segment
from dose.extract.source.average import averages
from dose.extract.source.blend import blend_source
from dose.extract.spectral_match import compressed_band_energies, match_envelope
from dose.extract.tail import clean_tail
from dose.tokens.band_energies import expand_power

# Constants without a note on their source were chosen by hand.
SECONDS = {"kick": 0.2, "snare": 0.2, "hihat": 0.1}  # compared after an onset: later, other sounds follow
SHIFTS = range(-2, 3)  # frames of 5.8 ms by which a detected onset may be off
OFF_RANGE_WEIGHT = 0.25  # of bands outside the drum's own range, where other sounds mask it
CONSISTENCY_WEIGHT = 0.25  # of self-consistency against conditioning fit in the ranking
STFT_SIZES = (2048, 512, 128)  # of the multi-resolution distance between one-shots
QUIET_DB = -60.0  # relative to full level: quieter frames count as this
FLOOR = 1e-4  # magnitude relative to the loudest, -80 dB: quieter bands count as silent


@dataclasses.dataclass(frozen=True, kw_only=True)
class RerankScores:
    """Scores of n candidates, each [n]."""

    conditioning_fit: np.ndarray  # 0..1: similarity to what the mix shows of the drum
    self_consistency: np.ndarray  # 0..1: mean similarity to the other candidates; 1 for a single one
    cost: np.ndarray  # the ranking criterion, lower is better, in any unit

    @property
    def order(self) -> np.ndarray:
        """Indices, best first; ties keep their order."""
        return np.argsort(self.cost, kind="stable")


def score(
    shots: Sequence[np.ndarray], segments: Sequence[Segment], drum: str, expected: np.ndarray | None = None
) -> RerankScores:
    """Scores candidates [N] against all segments of their drum and against each other.

    Every candidate is compared with every segment, not only with the one that conditioned it, because a
    one-shot should fit the whole song. With an expected spectrogram [BANDS, T] (the condition encoder's mean
    over the segments), the fit is to that.
    """
    spectrograms = [onset_spectrogram(shot, drum) for shot in shots]
    consistency = _self_consistency(spectrograms)
    if expected is not None:
        generated = compressed_band_energies(np.stack(shots), expected)  # [n, BANDS, T]
        # 1 for the expectation itself, 0 for a candidate that is no nearer to it than silence.
        fit = np.clip(1 - distances(generated, expected) / np.square(expected).mean(), 0, 1)
        return RerankScores(
            conditioning_fit=fit, self_consistency=consistency, cost=costs(generated, expected)
        )
    # Without an expectation: the cosine with the spectral flux at each onset, mean over onsets.
    onsets = [flux for segment in segments for flux in spectral_flux(segment, drum)]
    fit = np.array(
        [np.mean([similarity(s, flux) for flux in onsets]) if onsets else 0.0 for s in spectrograms]
    )
    return RerankScores(
        conditioning_fit=fit, self_consistency=consistency, cost=-(fit + CONSISTENCY_WEIGHT * consistency)
    )


def medoid(shots: np.ndarray) -> int:
    """Index of the one-shot of [n, N] that is nearest to all others.

    Minimum Bayes risk decision (Kumar and Byrne, 2004): samples of the model represent its posterior, and the
    medoid has the least expected distance to the true sound among them.
    """
    return int(mean_distances(shots).argmin())


def mean_distances(shots: np.ndarray) -> np.ndarray:
    """Mean distance of each one-shot of [n, N] to the others, [n].

    Distance: mean squared difference of magnitude spectrograms at three sizes, after scaling peaks to 1.
    """
    peaks = np.abs(shots).max(axis=1, keepdims=True)
    normalised = torch.from_numpy(shots / np.maximum(peaks, 1e-9))
    total = torch.zeros(len(shots), len(shots))
    for size in STFT_SIZES:
        window = torch.hann_window(size)
        # [n, bins * columns]
        flat = torch.stft(normalised, size, size // 4, window=window, return_complex=True).abs().flatten(1)
        # The faster matrix-product form of cdist rounds too coarsely for near-equal sounds.
        total += torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist") ** 2 / flat.shape[1]
    return total.mean(dim=1).numpy()


def consensus(
    shots: np.ndarray, expected: np.ndarray | None, segments: Sequence[Segment], drum: str
) -> np.ndarray:
    """One sound [N] from samples [n, N] of one prompt.

    Without an expected spectrogram it is the medoid. With one [BANDS, T], it is the sample of least cost,
    spectrally matched, blended with the hits of `segments` that agree, and freed of traces in its tail.
    """
    if expected is None:
        sample: np.ndarray = shots[medoid(shots)]
        return sample
    best = int(costs(compressed_band_energies(shots, expected), expected).argmin())
    matched = match_envelope(shots[best], expected)
    sources = averages(matched, expected, segments, drum)
    return clean_tail(blend_source(matched, expected, sources[0]).audio if sources else matched)


def costs(spectrograms: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Ranking criterion of candidates' spectrograms [n, BANDS, T] against the expected one, [n].

    The product of two distances: the mean square, which the loudest frames dominate, and the difference of
    the energy envelopes in dB, which the tail dominates. Self-consistency takes no part here: with it, only
    typical tails would win.
    """
    envelope_difference = np.abs(_envelope_db(spectrograms) - _envelope_db(expected)).mean(axis=-1)
    cost: np.ndarray = distances(spectrograms, expected) * envelope_difference
    return cost


def distances(spectrograms: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Mean squared difference of [n, BANDS, T] from [BANDS, T]: [n]."""
    distance: np.ndarray = np.square(spectrograms - expected).mean(axis=(1, 2))
    return distance


def _envelope_db(spectrogram: np.ndarray) -> np.ndarray:
    """Energy of all bands together in dB, [..., BANDS, T] to [..., T]."""
    power = expand_power(spectrogram).sum(axis=-2)
    level: np.ndarray = np.maximum(10 * np.log10(power + 1e-9), QUIET_DB)
    return level


def onset_spectrogram(shot: np.ndarray, drum: str) -> np.ndarray:
    """The first SECONDS of a one-shot [N] from its attack: weighted mel magnitudes [BANDS, T], unit norm."""
    frames = _frames(drum)
    magnitudes = mel_magnitudes(shot[attack_start(shot) :][: frames * HOP])[:, :frames]
    return _weighted(np.pad(magnitudes, ((0, 0), (0, frames - magnitudes.shape[1]))), drum)


def spectral_flux(segment: Segment, drum: str) -> list[np.ndarray]:
    """What each onset of a segment adds to the background before it, comparable with `onset_spectrogram`.

    Per onset [shifts, BANDS, T] with unit norm, for each of SHIFTS; fewer shifts at the segment's start.
    """
    magnitudes = mel_magnitudes(segment.mono)
    frames, found = _frames(drum), []
    for onset in segment.onsets:
        at = onset // HOP
        # The median ignores a short sound just before the onset.
        before = np.median(background(magnitudes, at), axis=1, keepdims=True)
        shifted = [
            _weighted(np.pad(added, ((0, 0), (0, frames - added.shape[1]))), drum)
            for shift in SHIFTS
            if at + shift >= 0
            for added in [np.maximum(magnitudes[:, at + shift : at + shift + frames] - before, 0)]
        ]
        found.append(np.stack(shifted))
    return found


def similarity(spectrogram: np.ndarray, flux: np.ndarray) -> float:
    """Cosine of an onset spectrogram [BANDS, T] with the best shift of `flux` [shifts, BANDS, T]."""
    return float(np.tensordot(flux, spectrogram, axes=2).max(initial=0.0))


def pan(segment: Segment, drum: str) -> tuple[float, float]:
    """Gains of left and right, the louder one 1, of the drum in a stereo segment; (1, 1) for mono."""
    if segment.audio.shape[0] != 2 or not segment.onsets:
        return (1.0, 1.0)
    sides = []
    own = drum_bands(drum)
    for channel in segment.audio:
        # Root of the power that each onset adds in the drum's range, summed over onsets.
        magnitudes = mel_magnitudes(dataclasses.replace(segment, audio=channel[None]).mono)
        added = (onset_levels(magnitudes, onset).flux[own].sum() for onset in segment.onsets)
        sides.append(sum(float(np.sqrt(power)) for power in added))
    top = max(sides)
    return (sides[0] / top, sides[1] / top) if top > 0 else (1.0, 1.0)


def _self_consistency(spectrograms: Sequence[np.ndarray]) -> np.ndarray:
    """Mean cosine of each of n unit-norm spectrograms with the others, [n]."""
    flat = np.stack([s.ravel() for s in spectrograms])
    similarities = flat @ flat.T  # [n, n]
    if len(flat) == 1:
        return np.ones(1)
    consistency: np.ndarray = (similarities.sum(axis=1) - np.diag(similarities)) / (len(flat) - 1)
    return consistency


def _frames(drum: str) -> int:
    return -(-int(SECONDS[drum] * RATE) // HOP)


def _weighted(magnitudes: np.ndarray, drum: str) -> np.ndarray:
    """Magnitudes [BANDS, T] compressed by a square root, weighted by the drum's range, scaled to norm 1.

    Silence gives zeros.
    """
    top = float(magnitudes.max(initial=0.0))
    if top <= 0:
        return np.zeros((BANDS, magnitudes.shape[1]), np.float32)
    compressed = np.sqrt(np.where(magnitudes > FLOOR * top, magnitudes, 0))
    compressed *= np.where(drum_bands(drum), 1.0, OFF_RANGE_WEIGHT)[:, None]
    unit: np.ndarray = (compressed / np.linalg.norm(compressed)).astype(np.float32)
    return unit
