"""The second pass's networks: per class, features of a candidate to the probability that it is a hit."""

import dataclasses
from pathlib import Path
from typing import Self

import numpy as np
import safetensors
import safetensors.numpy

from dose import files
from dose.errors import IntegrityError
from dose.transcription.hits import HIT_CLASSES
from dose.transcription.second_pass.candidates import Candidates
from dose.transcription.second_pass.features import COUNT, features

WEIGHTS = "second_pass.safetensors"
MAX_DEVIATION = 4.0  # standard deviations at which features are clipped


@dataclasses.dataclass(frozen=True, kw_only=True)
class SecondPass:
    """C classes, each with the mean of E multilayer perceptrons of two hidden layers of H; F features."""

    mean: np.ndarray  # [C, F]
    scale: np.ndarray  # [C, F]
    first: np.ndarray  # [C, E, F + 1, H]: the last row is the bias, as below
    second: np.ndarray  # [C, E, H + 1, H]
    last: np.ndarray  # [C, E, H + 1, 1]
    # Per class: logit = slope * (raw + shift), fitted after training so that .5 is the right threshold.
    slope: np.ndarray  # [C]
    shift: np.ndarray  # [C]

    def __call__(self, found: Candidates) -> np.ndarray:
        """The probability of each candidate, [n], in the light of all of them."""
        out = np.zeros(len(found.cls))
        for c in range(len(HIT_CLASSES)):
            if (own := found.cls == c).any():
                out[own] = 1 / (1 + np.exp(-self.logits(features(found, c), c)))
        return out

    def logits(self, rows: np.ndarray, cls: int) -> np.ndarray:
        """Features [n, F] of a class to calibrated logits [n]."""
        x = standardised(rows, self.mean[cls], self.scale[cls])
        for layer in (self.first[cls], self.second[cls]):
            x = np.maximum(x @ layer[:, :-1] + layer[:, -1:], 0)  # [E, n, H]
        raw = (x @ self.last[cls][:, :-1] + self.last[cls][:, -1:])[..., 0].mean(axis=0)
        logits: np.ndarray = self.slope[cls] * (raw + self.shift[cls])
        return logits

    def save(self, folder: Path) -> None:
        tensors = {f.name: np.ascontiguousarray(getattr(self, f.name), np.float32) for f in _FIELDS}
        with files.atomic(folder / WEIGHTS) as beside:
            safetensors.numpy.save_file(tensors, beside)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Opens a stored second pass; None where the folder has none, as networks before it.

        Raises IntegrityError when it is none of this version.
        """
        path = folder / WEIGHTS
        if not path.is_file():
            return None
        try:
            loaded = cls(**safetensors.numpy.load_file(path))
        except (TypeError, OSError, safetensors.SafetensorError) as e:
            raise IntegrityError(f"{path} holds no second pass of this version.") from e
        if loaded.mean.shape != (len(HIT_CLASSES), COUNT):
            raise IntegrityError(f"{path} holds a second pass for other features.")
        return loaded


_FIELDS = dataclasses.fields(SecondPass)


def standardised(rows: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Features [n, F] in standard deviations, clipped; 0 (the mean) where there was nothing to compare."""
    z = np.clip((rows - mean) / scale, -MAX_DEVIATION, MAX_DEVIATION)
    return np.where(np.isnan(z), 0.0, z).astype(np.float32)
