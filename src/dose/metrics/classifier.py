"""Judgements that need no truth: does it sound like its drum, and is it a copy of a training one-shot.

Both listen through the same features: log-mel levels (64 bands, 2048 Hann, hop 512) of the prepared
one-shot in 12 windows that widen towards the end, in dB floored 60 dB under its maximum.

class_check: whether a logistic regression, fitted to the catalogue's kicks, snares and hi-hats of the train
and val splits, hears the right drum; its mean is the share of items that it does (1 is best; `Truth` shows
what the classifier makes of the true ones). copy_db: root mean square distance in dB to the nearest train
one-shot of that drum, higher is farther; a system that retrieves lies well under `Truth`. Sources: this
project.
"""

import itertools

import numpy as np
import torch

from dose import audio
from dose.errors import DoseError
from dose.metrics.mss import magnitudes

BANDS, FLOOR_DB = 64, -60.0
EDGES = (0, 1, 2, 3, 4, 6, 9, 13, 19, 28, 41, 60, 87)  # frames of 512 samples
FEATURES = BANDS * (len(EDGES) - 1)


def features(shots: np.ndarray) -> np.ndarray:
    """[n, 44100] prepared one-shots -> float32 [n, FEATURES] in dB."""
    import librosa

    bank = torch.from_numpy(librosa.filters.mel(sr=audio.RATE, n_fft=2048, n_mels=BANDS, fmin=30))
    out = []
    for shot in shots:
        power = bank @ magnitudes(torch.from_numpy(np.ascontiguousarray(shot))[None], 2048)[0].square()
        windows = torch.stack([power[:, a:b].mean(dim=1) for a, b in itertools.pairwise(EDGES)])
        top = windows.max().clamp(min=1e-10)
        out.append((10 * (windows / top).clamp(min=1e-12).log10()).clamp(min=FLOOR_DB).flatten().numpy())
    return np.stack(out)


class DrumClassifier:
    """Fitted once to features [n, FEATURES] with the drum of each; see the module."""

    def __init__(self, sounds: np.ndarray, labels: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression

        if len(set(labels)) < 2:
            raise DoseError("The class check needs one-shots of at least two drums in the catalogue.")
        self._centre, self._scale = sounds.mean(), sounds.std()
        self._model = LogisticRegression(C=0.01, max_iter=2000).fit(self._scaled(sounds), labels)

    def metrics(self, shots: np.ndarray, drum: str) -> dict[str, np.ndarray]:
        said = self._model.predict(self._scaled(features(shots)))
        heard = np.abs(shots).max(axis=1) > 0  # silence is of no class
        return {"class_check": ((said == drum) & heard).astype(float)}

    def _scaled(self, sounds: np.ndarray) -> np.ndarray:
        return (sounds - self._centre) / self._scale


class MemorisationCheck:
    """Distance to the nearest training one-shot of each drum; `known` has their features [n, FEATURES]."""

    def __init__(self, known: dict[str, np.ndarray]) -> None:
        self._known = known

    def metrics(self, shots: np.ndarray, drum: str) -> dict[str, np.ndarray]:
        from scipy.spatial.distance import cdist

        known = self._known.get(drum)
        if known is None or len(known) == 0:
            return {}
        distances = cdist(features(shots), known) / np.sqrt(known.shape[1])
        return {"copy_db": distances.min(axis=1)}
