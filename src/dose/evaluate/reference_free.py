"""The metrics that need no reference, fitted to the one-shots of a sample library."""

import numpy as np

from dose.drums import DRUMS
from dose.metrics.classifier import FEATURES, DrumClassifier, MemorisationCheck, features
from dose.metrics.shots import prepare
from dose.sources.library import SampleLibrary


def drum_classifier(library: SampleLibrary) -> DrumClassifier:
    """Fitted to the one-shots of the train and val splits."""
    found = [(d, _features(library, d, split)) for d in DRUMS for split in ("train", "val")]
    labels = np.concatenate([np.full(len(f), d) for d, f in found])
    return DrumClassifier(np.concatenate([f for _, f in found]), labels)


def memorisation_check(library: SampleLibrary) -> MemorisationCheck:
    """Knows the one-shots of the train split."""
    return MemorisationCheck({drum: _features(library, drum, "train") for drum in DRUMS})


def _features(library: SampleLibrary, drum: str, split: str) -> np.ndarray:
    """float32 [n, FEATURES], n the library's one-shots of that drum and split, which may be none."""
    shots = [prepare(library.audio(clip.id), clip.name) for clip in library.select(drum, split)]
    return features(np.stack(shots)) if shots else np.zeros((0, FEATURES), np.float32)
