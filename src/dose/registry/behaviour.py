"""Behaviour checks: invariances that an Extractor must have whatever it scores, on one mix with drums in it.

Each check returns the sentences of the faults it found; an empty list means none. A language model generates
another one-shot from another prompt, so an invariance is a bound on the distance of log spectra and not
equality. The bounds are chosen by hand.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from dose import audio
from dose.drums import DRUMS
from dose.dsp.bands import band_bins
from dose.errors import AudioError
from dose.metrics.attack import attack_ms

GAINS_DB = (-12.0, 6.0)
OTHER_RATE = 48000  # Hz; the usual rate of video
MAX_START_MS = 30.0  # a one-shot that starts later is not trimmed to its attack
MAX_DISTANCE_DB = 12.0  # mean distance of third-octave spectra above which two one-shots are different sounds
BAND_EDGES_HZ = tuple(np.geomspace(40, 16000, 27))  # of 26 bands of a third of an octave
FFT_SIZE = 1 << 16  # longer than a one-shot of 1 s; resolves the lowest band


class AnyExtractor(Protocol):
    """The part of `dose.extract.Extractor` that the checks need."""

    def extract(self, sound: np.ndarray, rate: int, *, drums: Sequence[str], seed: int = 0) -> Any: ...


def check(extractor: AnyExtractor, mix: np.ndarray, drums: Sequence[str] = DRUMS) -> dict[str, list[str]]:
    """Drum -> sentences, for a mix [C, N] at 44.1 kHz in which each of `drums` is audible."""
    # The one-shots with which all others are compared.
    baseline = _one_shots(extractor, mix, audio.RATE, drums)
    faults: dict[str, list[str]] = {drum: check_start(baseline[drum]) for drum in drums}
    # Level, polarity and sampling rate do not change which drum is played.
    for db in GAINS_DB:
        scaled = _one_shots(extractor, mix * 10 ** (db / 20), audio.RATE, drums)
        _compare(baseline, scaled, f"at {db:+.0f} dB", faults)
    inverted = _one_shots(extractor, -mix, audio.RATE, drums)
    _compare(baseline, inverted, "with its polarity inverted", faults)
    resampled = audio.resample(mix, audio.RATE, OTHER_RATE)
    _compare(baseline, _one_shots(extractor, resampled, OTHER_RATE, drums), f"at {OTHER_RATE} Hz", faults)
    # Silence concerns all drums at once.
    for sentence in check_silence(extractor, mix.shape, drums):
        for drum in drums:
            faults[drum].append(sentence)
    return faults


def check_start(shot: np.ndarray | None) -> list[str]:
    """A one-shot [N] exists, is not silent and starts at once."""
    if shot is None:
        return ["It gives no one-shot for a mix in which the drum plays."]
    start = float(attack_ms(shot)[0])
    if np.isnan(start):
        return ["Its one-shot is silent."]
    if start > MAX_START_MS:
        return [f"Its one-shot starts after {start:.0f} ms; {MAX_START_MS:.0f} ms are allowed."]
    return []


def check_silence(extractor: AnyExtractor, shape: tuple[int, ...], drums: Sequence[str]) -> list[str]:
    """Silence raises AudioError, or yields no drum."""
    try:
        kit = extractor.extract(np.zeros(shape, np.float32), audio.RATE, drums=drums)
    except AudioError:
        return []
    found = [drum for drum in drums if any(hit.detected for hit in kit.hits[drum])]
    return [f"It finds {', '.join(found)} in silence."] if found else []


def band_levels(shot: np.ndarray) -> np.ndarray:
    """[N] at 44.1 kHz -> mean level [26] of third-octave bands in dB, peak band at 0, floored at -60 dB."""
    # Zero-padded to FFT_SIZE.
    power = np.abs(np.fft.rfft(shot, FFT_SIZE)) ** 2
    bands = np.array([power[bins].mean() for bins in band_bins(FFT_SIZE, BAND_EDGES_HZ)])
    level = 10 * np.log10(bands / max(bands.max(), 1e-20) + 1e-20)
    floored: np.ndarray = np.maximum(level, -60.0)
    return floored


def distance_db(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two one-shots' band levels; invariant to gain and polarity."""
    return float(np.abs(band_levels(a) - band_levels(b)).mean())


def _one_shots(
    extractor: AnyExtractor, mix: np.ndarray, rate: int, drums: Sequence[str]
) -> dict[str, np.ndarray | None]:
    kit = extractor.extract(mix.astype(np.float32), rate, drums=drums)
    return {drum: kit.hits[drum][0].audio if kit.hits[drum] else None for drum in drums}


def _compare(
    baseline: dict[str, np.ndarray | None],
    other: dict[str, np.ndarray | None],
    condition: str,
    faults: dict[str, list[str]],
) -> None:
    """Adds a sentence for each drum whose one-shot is missing or different under `condition`."""
    for drum, sentences in faults.items():
        a, b = baseline[drum], other[drum]
        if a is None:
            continue  # a fault already
        if b is None:
            sentences.append(f"It gives no one-shot for the same mix {condition}.")
        elif (distance := distance_db(a, b)) > MAX_DISTANCE_DB:
            sentences.append(
                f"The same mix {condition} gives another sound "
                f"({distance:.1f} dB apart, {MAX_DISTANCE_DB:.0f} allowed)."
            )
