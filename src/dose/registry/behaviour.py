"""How an extractor must behave whatever it scores: checks over an Extractor and one mix with drums in it.

Each check gives the sentences of what it found wrong; none found is an empty list. A language model answers
another prompt with another sound, so sameness is a bound on the distance of log spectra and not equality.
The bounds are this project's choice.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from dose import audio
from dose.drums import DRUMS
from dose.dsp.bands import band_bins
from dose.errors import AudioError
from dose.metrics.attack import starts

GAIN_DB = (-12.0, 6.0)
OTHER_RATE = 48000
LATE_MS = 30.0  # a one-shot that starts later is not trimmed to its attack
FAR_DB = 12.0  # mean distance of third-octave spectra above which two answers are different sounds
BANDS = tuple(np.geomspace(40, 16000, 27))  # Hz: edges of 26 bands of a third of an octave
FFT_SIZE = 1 << 16  # samples: a whole one-shot of 1 s, zero-padded


class Answers(Protocol):
    """What the checks need of `dose.extract.Extractor`."""

    def extract(self, sound: np.ndarray, rate: int, *, drums: Sequence[str], seed: int = 0): ...


def check(extractor: Answers, mix: np.ndarray, drums: Sequence[str] = DRUMS) -> dict[str, list[str]]:
    """Drum -> sentences, for a mix [C, N] at 44.1 kHz in which each of `drums` can be heard."""
    plain = _shots(extractor, mix, audio.RATE, drums)
    wrong: dict[str, list[str]] = {drum: [*on_time(plain[drum])] for drum in drums}
    for db in GAIN_DB:
        louder = _shots(extractor, mix * 10 ** (db / 20), audio.RATE, drums)
        _compare(plain, louder, f"at {db:+.0f} dB", wrong)
    _compare(plain, _shots(extractor, -mix, audio.RATE, drums), "with its polarity turned", wrong)
    resampled = audio.resample(mix, audio.RATE, OTHER_RATE)
    _compare(plain, _shots(extractor, resampled, OTHER_RATE, drums), f"at {OTHER_RATE} Hz", wrong)
    for sentence in refuses_silence(extractor, mix.shape, drums):
        for drum in drums:
            wrong[drum].append(sentence)
    return wrong


def on_time(shot: np.ndarray | None) -> list[str]:
    """A one-shot [N] is there, sounds and starts at once."""
    if shot is None:
        return ["It gives no one-shot for a mix in which the drum plays."]
    start = float(starts(shot)[0])
    if np.isnan(start):
        return ["Its one-shot is silent."]
    return [f"Its one-shot starts after {start:.0f} ms; {LATE_MS:.0f} ms are allowed."] * (start > LATE_MS)


def refuses_silence(extractor: Answers, shape: tuple[int, ...], drums: Sequence[str]) -> list[str]:
    """Silence is told to be silent, and no drum is made of it."""
    try:
        kit = extractor.extract(np.zeros(shape, np.float32), audio.RATE, drums=drums)
    except AudioError:
        return []
    made = [drum for drum in drums if any(hit.detected for hit in kit.hits[drum])]
    return [f"It finds {', '.join(made)} in silence."] if made else []


def spectrum(shot: np.ndarray) -> np.ndarray:
    """[N] at 44.1 kHz -> mean level of 26 bands in dB, peak band at 0, floored at -60 dB."""
    power = np.abs(np.fft.rfft(shot, FFT_SIZE)) ** 2
    bands = np.array([power[bins].mean() for bins in band_bins(FFT_SIZE, BANDS)])
    level = 10 * np.log10(bands / max(bands.max(), 1e-20) + 1e-20)
    return np.maximum(level, -60.0)


def distance_db(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two one-shots' band levels; 0 for any gain and either polarity."""
    return float(np.abs(spectrum(a) - spectrum(b)).mean())


def _shots(extractor: Answers, mix: np.ndarray, rate: int, drums: Sequence[str]) -> dict:
    kit = extractor.extract(mix.astype(np.float32), rate, drums=drums)
    return {drum: kit.hits[drum][0].audio if kit.hits[drum] else None for drum in drums}


def _compare(plain: dict, other: dict, how: str, wrong: dict[str, list[str]]) -> None:
    for drum, sentences in wrong.items():
        a, b = plain[drum], other[drum]
        if a is None:
            continue
        if b is None:
            sentences.append(f"It gives no one-shot for the same mix {how}.")
        elif (far := distance_db(a, b)) > FAR_DB:
            sentences.append(
                f"The same mix {how} gives another sound ({far:.1f} dB apart, {FAR_DB:.0f} allowed)."
            )
