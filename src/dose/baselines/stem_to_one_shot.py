"""From a separated stem to a one-shot: one procedure for every separator.

1. Onsets: librosa's spectral-flux detector (hop 256) on the stem, each moved back to the minimum of the flux
   before it.
2. Every hit is the stem from its onset to the next one, at most 1 s.
3. Kept is the best isolated of the hits within 12 dB of the loudest: the largest sum of the rise in level at
   its onset (RMS of the 50 ms after over the 30 ms before, at most 40 dB) and 10 log10 of its length in s.
4. What lies more than 26 dB under the hit's peak is trimmed from its start; its last 10 ms are faded.
A stem without a detected onset is cut at its loudest sample; a silent one gives silence.
"""

import numpy as np

from dose import audio
from dose.metrics.shots import SAMPLES, is_silent

_HOP = 256
_BEFORE, _AFTER = int(0.03 * audio.RATE), int(0.05 * audio.RATE)
TRIM_DB = -26.0  # a filter rings this far under a hit before it starts
_MIN_SECONDS = 0.03  # onsets closer than this are one hit


def cut_shot(stem: np.ndarray) -> np.ndarray:
    """Mono stem [N] at 44.1 kHz -> one-shot [44100] at the stem's level."""
    if is_silent(stem):
        return np.zeros(SAMPLES, np.float32)
    starts = onsets(stem)
    ends = np.append(starts[1:], len(stem))
    lengths = np.minimum(ends - starts, SAMPLES)
    peaks = np.array([audio.peak(stem[s : s + n]) for s, n in zip(starts, lengths, strict=True)])
    scores = [
        _rise_db(stem, s) + 10 * np.log10(n / audio.RATE) if p >= 0.25 * peaks.max() else -np.inf
        for s, n, p in zip(starts, lengths, peaks, strict=True)
    ]
    best = int(np.argmax(scores))
    hit = stem[starts[best] : starts[best] + lengths[best]]
    hit = hit[audio.lead_in(hit, TRIM_DB) :]
    return audio.fit_length(audio.fade_out(hit, audio.RATE // 100), SAMPLES).astype(np.float32)


def onsets(stem: np.ndarray) -> np.ndarray:
    """Samples at which hits start, ascending and at least 30 ms apart; never empty."""
    import librosa

    envelope = librosa.onset.onset_strength(y=stem, sr=audio.RATE, hop_length=_HOP)
    # Frames of silence in front let the detector see a hit that starts with the stem.
    frames = librosa.onset.onset_detect(
        onset_envelope=np.pad(envelope, (4, 0)), sr=audio.RATE, hop_length=_HOP, backtrack=True
    )
    found = np.maximum(frames - 4, 0) * _HOP
    if len(found) == 0:
        return np.array([max(0, int(np.abs(stem).argmax()) - _HOP)])
    kept = [int(found[0])]
    for position in found[1:]:
        if position - kept[-1] >= _MIN_SECONDS * audio.RATE:
            kept.append(int(position))
    return np.array(kept)


def _rise_db(stem: np.ndarray, start: int) -> float:
    before, after = stem[max(0, start - _BEFORE) : start], stem[start : start + _AFTER]
    quiet = float(np.sqrt(np.square(before).mean())) if len(before) else 0.0
    loud = float(np.sqrt(np.square(after).mean()))
    return float(np.clip(20 * np.log10(max(loud, 1e-9) / max(quiet, 1e-9)), -40, 40))
