"""Which candidate is best: the one that explains the mix where the drum strikes and that others resemble."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from dose.audio import RATE
from dose.dsp.mel import BANDS, HOP, bands, in_range
from dose.extract.postprocess import attack_start
from dose.extract.segments import Segment
from dose.extract.source_blend import blend_source, source_segments
from dose.extract.spectral_match import compressed_band_energies, match_envelope

SECONDS = {"kick": 0.2, "snare": 0.2, "hihat": 0.1}  # of a hit that are compared: later, other things sound
SHIFTS = range(-2, 3)  # frames by which an onset may be misplaced
ELSEWHERE = 0.25  # weight of bands outside the drum's own range, where other sounds mask it
AGREEMENT = 0.25  # weight of agreement against match in the ranking
SIZES = (2048, 512, 128)  # of the spectrograms by which one-shots are compared as a whole
QUIET_DB = -60.0  # below the loudest band: what is quieter all counts the same
FLOOR = 1e-4  # band magnitude, relative to the loudest, below which nothing is heard


@dataclasses.dataclass(frozen=True, kw_only=True)
class RerankScores:
    """How good each of n candidates is, all [n] in 0..1."""

    match: np.ndarray  # best explanation of the mix, mean over windows
    agreement: np.ndarray  # mean likeness to the other candidates; 1 for a single candidate
    cost: np.ndarray  # by which they are ranked, of any unit

    @property
    def order(self) -> np.ndarray:
        """Indices, best first; ties keep their order."""
        return np.argsort(self.cost, kind="stable")


def score(
    shots: Sequence[np.ndarray], windows: Sequence[Segment], drum: str, expected: np.ndarray | None = None
) -> RerankScores:
    """Scores candidates [N] against all windows of their drum and against each other.

    Every candidate is held against every window, not only its own: a one-shot should explain the whole song.
    Where a listener heard the windows, against the picture [BANDS, T] that it `expected`, their mean.
    """
    pictures = [onset_spectrogram(shot, drum) for shot in shots]
    agreement = _agreement(pictures)
    if expected is not None:
        drawn = compressed_band_energies(np.stack(shots), expected)
        match = np.clip(1 - distances(drawn, expected) / np.square(expected).mean(), 0, 1)
        return RerankScores(match=match, agreement=agreement, cost=costs(drawn, expected))
    rises = [rise for window in windows for rise in onsets(window, drum)]
    match = np.array([np.mean([similarity(p, r) for r in rises]) if rises else 0.0 for p in pictures])
    return RerankScores(match=match, agreement=agreement, cost=-(match + AGREEMENT * agreement))


def medoid(shots: np.ndarray) -> int:
    """Which of the one-shots [n, N] is nearest to all others: the medoid.

    Where the model is unsure, a draw is one of the sounds that it holds possible; the most central of several
    has the least expected distance to the true one (minimum Bayes risk, Kumar and Byrne 2004).
    """
    return int(spread(shots).argmin())


def spread(shots: np.ndarray) -> np.ndarray:
    """The mean distance of each one-shot [n, N] to the others, [n]: squared difference of magnitude
    spectrograms at three sizes, peaks at 1."""
    peaks = np.abs(shots).max(axis=1, keepdims=True)
    sounds = torch.from_numpy(shots / np.maximum(peaks, 1e-9))
    far = torch.zeros(len(shots), len(shots))
    for size in SIZES:
        window = torch.hann_window(size)
        flat = torch.stft(sounds, size, size // 4, window=window, return_complex=True).abs().flatten(1)
        far += torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist") ** 2 / flat.shape[1]
    return far.mean(dim=1).numpy()


def consensus(shots: np.ndarray, expected: np.ndarray | None, windows: Sequence[Segment] = ()) -> np.ndarray:
    """One sound [N] out of the draws [n, N]: the medoid; where the listener expects something, the draw of
    least cost, shaped, and blended with the freest hit of the windows that it heard."""
    if expected is None:
        return shots[medoid(shots)]
    best = match_envelope(
        shots[int(costs(compressed_band_energies(shots, expected), expected).argmin())], expected
    )
    free = source_segments(best, expected, windows)
    return blend_source(best, expected, free[0])[0] if free else best


def costs(pictures: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """How far the draws' pictures [n, BANDS, T] are from what the listener expects, [n].

    The product of their distance, which the loudest moments decide, and of how far their levels over time
    lie apart in dB, which the tail does. Nearness to the other draws, which decides where nothing is
    expected, would leave none but typical tails.
    """
    over_time = np.abs(_envelope(pictures) - _envelope(expected)).mean(axis=-1)
    cost: np.ndarray = distances(pictures, expected) * over_time
    return cost


def distances(pictures: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """[n, BANDS, T] from the picture [BANDS, T]: mean squares [n]."""
    return np.square(pictures - expected).mean(axis=(1, 2))


def _envelope(picture: np.ndarray) -> np.ndarray:
    """The level of all bands together, dB, [..., BANDS, T] to [..., T]."""
    return np.maximum(10 * np.log10((np.maximum(picture, 0) ** 4).sum(axis=-2) + 1e-9), QUIET_DB)


def onset_spectrogram(shot: np.ndarray, drum: str) -> np.ndarray:
    """The first part of a one-shot [N], from its attack: compressed band magnitudes [BANDS, T], unit norm."""
    frames = _frames(drum)
    magnitudes = bands(shot[attack_start(shot) :][: frames * HOP])[:, :frames]
    return _unit(np.pad(magnitudes, ((0, 0), (0, frames - magnitudes.shape[1]))), drum)


def onsets(window: Segment, drum: str) -> list[np.ndarray]:
    """What each hit of a window adds to the sound before it, as `picture` has it.

    Five pictures at slightly different onsets each, [5, BANDS, T], unit norm.
    """
    magnitudes = bands(window.mono)
    frames, found = _frames(drum), []
    for hit in window.hits:
        at = hit // HOP
        before = np.median(magnitudes[:, max(0, at - 6) : max(1, at - 1)], axis=1, keepdims=True)
        shifted = [
            _unit(np.pad(added, ((0, 0), (0, frames - added.shape[1]))), drum)
            for shift in SHIFTS
            if at + shift >= 0
            for added in [np.maximum(magnitudes[:, at + shift : at + shift + frames] - before, 0)]
        ]
        found.append(np.stack(shifted))
    return found


def similarity(shot: np.ndarray, rises: np.ndarray) -> float:
    """Cosine of a picture [BANDS, T] with the best placed of `rises` [n, BANDS, T]: gain does not matter."""
    return float(np.tensordot(rises, shot, axes=2).max(initial=0.0))


def pan(window: Segment, drum: str) -> tuple[float, float]:
    """Gains of left and right, the louder 1, with which the window's hits stand in a stereo mix."""
    if window.audio.shape[0] != 2 or not window.hits:
        return (1.0, 1.0)
    sides = []
    for channel in window.audio:
        alone = dataclasses.replace(window, audio=channel[None])
        magnitudes = bands(alone.mono)
        sides.append(sum(float(_rise(magnitudes, hit, drum)) for hit in window.hits))
    top = max(sides)
    return (sides[0] / top, sides[1] / top) if top > 0 else (1.0, 1.0)


def _rise(magnitudes: np.ndarray, hit: int, drum: str) -> float:
    """Root of the power that a hit adds in the drum's own range."""
    at, mine = hit // HOP, in_range(drum)
    before = magnitudes[mine, max(0, at - 6) : max(1, at - 1)].mean(axis=1)
    after = magnitudes[mine, at : at + 6].max(axis=1, initial=0.0)
    return float(np.sqrt(np.maximum(after**2 - before**2, 0).sum()))


def _agreement(pictures: Sequence[np.ndarray]) -> np.ndarray:
    flat = np.stack([p.ravel() for p in pictures])
    alike = flat @ flat.T
    if len(flat) == 1:
        return np.ones(1)
    return (alike.sum(axis=1) - np.diag(alike)) / (len(flat) - 1)


def _frames(drum: str) -> int:
    return -(-int(SECONDS[drum] * RATE) // HOP)


def _unit(magnitudes: np.ndarray, drum: str) -> np.ndarray:
    """Compressed towards loudness, weighted for the drum, scaled to norm 1; all zeros for silence."""
    top = float(magnitudes.max(initial=0.0))
    if top <= 0:
        return np.zeros((BANDS, magnitudes.shape[1]), np.float32)
    compressed = np.sqrt(np.where(magnitudes > FLOOR * top, magnitudes, 0))
    compressed *= np.where(in_range(drum), 1.0, ELSEWHERE)[:, None]
    return (compressed / np.linalg.norm(compressed)).astype(np.float32)
