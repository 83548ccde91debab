"""From a separated stem to a one-shot: one procedure for every separator.

1. Onsets: librosa's spectral-flux detector (hop 256) on the stem, each moved back to the preceding minimum of
the
   flux.
2. A hit is the stem from its onset to the next one, at most 1 s.
3. Of the hits within 12 dB of the loudest, the best isolated one is selected: the largest sum of its onset
SNR
   (RMS of the 50 ms after the onset over the 30 ms before, at most 40 dB) and 10 log10 of its length in s.
4. Its start is trimmed to -26 dB relative to its peak; its last 10 ms are faded.
A stem without a detected onset is cut at its loudest sample; a silent one gives silence.

Source: this project. The constants are defaults without a study.
"""

import numpy as np

from dose import audio
from dose.metrics.one_shots import SAMPLES, is_silent

_HOP = 256
_BEFORE, _AFTER = int(0.03 * audio.RATE), int(0.05 * audio.RATE)
MAX_SNR_DB = 40.0
MIN_PEAK = 0.25  # of the loudest hit: -12 dB
TRIM_DB = -26.0  # below that a separation filter rings ahead of the hit
_MIN_SECONDS = 0.03  # closer onsets belong to one hit


def cut_one_shot(stem: np.ndarray) -> np.ndarray:
    """Mono stem [N] at 44.1 kHz -> one-shot float32 [44100] at the stem's level."""
    if is_silent(stem):
        return np.zeros(SAMPLES, np.float32)
    # Each hit lasts to the next onset, at most 1 s.
    starts = onsets(stem)
    ends = np.append(starts[1:], len(stem))
    lengths = np.minimum(ends - starts, SAMPLES)
    peaks = np.array([audio.peak(stem[s : s + n]) for s, n in zip(starts, lengths, strict=True)])
    # A clean onset and a long undisturbed tail count; quiet hits are mostly leakage of other drums.
    scores = [
        _onset_snr_db(stem, s) + 10 * np.log10(n / audio.RATE) if p >= MIN_PEAK * peaks.max() else -np.inf
        for s, n, p in zip(starts, lengths, peaks, strict=True)
    ]
    best = int(np.argmax(scores))
    hit = stem[starts[best] : starts[best] + lengths[best]]
    # Remove the filter's pre-ringing, then fade the end, where the next hit may cut it off.
    hit = hit[audio.lead_in(hit, TRIM_DB) :]
    return audio.fit_length(audio.fade_out(hit, audio.RATE // 100), SAMPLES).astype(np.float32)


def onsets(stem: np.ndarray) -> np.ndarray:
    """Onsets in samples, ascending and at least 30 ms apart; never empty."""
    import librosa

    envelope = librosa.onset.onset_strength(y=stem, sr=audio.RATE, hop_length=_HOP)  # [frames]
    # Four frames of silence in front, so that the detector finds a hit at the very start of the stem.
    frames = librosa.onset.onset_detect(
        onset_envelope=np.pad(envelope, (4, 0)), sr=audio.RATE, hop_length=_HOP, backtrack=True
    )
    found = np.maximum(frames - 4, 0) * _HOP
    # Without a detected onset, cut one hop before the loudest sample.
    if len(found) == 0:
        return np.array([max(0, int(np.abs(stem).argmax()) - _HOP)])
    merged = [int(found[0])]
    for position in found[1:]:
        if position - merged[-1] >= _MIN_SECONDS * audio.RATE:
            merged.append(int(position))
    return np.array(merged)


def _onset_snr_db(stem: np.ndarray, start: int) -> float:
    before, after = stem[max(0, start - _BEFORE) : start], stem[start : start + _AFTER]
    noise = float(np.sqrt(np.square(before).mean())) if len(before) else 0.0
    signal = float(np.sqrt(np.square(after).mean()))
    return float(np.clip(20 * np.log10(max(signal, 1e-9) / max(noise, 1e-9)), -MAX_SNR_DB, MAX_SNR_DB))
