"""The metrics that need no reference, fitted to the one-shots of a sample library."""

import numpy as np

from dose.drums import DRUMS
from dose.metrics.judges import FEATURES, ClassCheck, CopyCheck, features
from dose.metrics.shots import prepare
from dose.sources.catalogue import Bank


def class_check(bank: Bank) -> ClassCheck:
    """Fitted to the one-shots of the train and val splits."""
    found = [(d, _features(bank, d, split)) for d in DRUMS for split in ("train", "val")]
    labels = np.concatenate([np.full(len(f), d) for d, f in found])
    return ClassCheck(np.concatenate([f for _, f in found]), labels)


def copy_check(bank: Bank) -> CopyCheck:
    """Knows the one-shots of the train split."""
    return CopyCheck({drum: _features(bank, drum, "train") for drum in DRUMS})


def _features(bank: Bank, drum: str, split: str) -> np.ndarray:
    """float32 [n, FEATURES], n the library's one-shots of that drum and split, which may be none."""
    shots = [prepare(bank.audio(clip.id), clip.name) for clip in bank.select(drum, split)]
    return features(np.stack(shots)) if shots else np.zeros((0, FEATURES), np.float32)
