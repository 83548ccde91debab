"""The metrics that need no reference, fitted to the one-shots of a sample library."""

import numpy as np

from dose.drums import DRUMS
from dose.metrics.classifier import FEATURES, DrumClassifier, MemorisationCheck, features
from dose.metrics.shots import prepare
from dose.sources.library import SampleLibrary


def drum_classifier(bank: SampleLibrary) -> DrumClassifier:
    """Fitted to the one-shots of the train and val splits."""
    found = [(d, _features(bank, d, split)) for d in DRUMS for split in ("train", "val")]
    labels = np.concatenate([np.full(len(f), d) for d, f in found])
    return DrumClassifier(np.concatenate([f for _, f in found]), labels)


def memorisation_check(bank: SampleLibrary) -> MemorisationCheck:
    """Knows the one-shots of the train split."""
    return MemorisationCheck({drum: _features(bank, drum, "train") for drum in DRUMS})


def _features(bank: SampleLibrary, drum: str, split: str) -> np.ndarray:
    """float32 [n, FEATURES], n the library's one-shots of that drum and split, which may be none."""
    shots = [prepare(bank.audio(clip.id), clip.name) for clip in bank.select(drum, split)]
    return features(np.stack(shots)) if shots else np.zeros((0, FEATURES), np.float32)
