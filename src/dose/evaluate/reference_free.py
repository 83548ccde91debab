"""The reference-free metrics, fitted to the one-shots of a sample library."""

import numpy as np

from dose.drums import DRUMS
from dose.metrics.classifier import DrumClassifier
from dose.metrics.log_mel import FEATURES, log_mel_features
from dose.metrics.memorisation import NearestTrainingShot
from dose.metrics.one_shots import prepare
from dose.sources.library import SampleLibrary


def drum_classifier(library: SampleLibrary) -> DrumClassifier:
    """Fitted to the one-shots of the train and val splits."""
    found = [(drum, _features(library, drum, split)) for drum in DRUMS for split in ("train", "val")]
    labels = np.concatenate([np.full(len(features), drum) for drum, features in found])
    return DrumClassifier(np.concatenate([features for _, features in found]), labels)


def nearest_training_shot(library: SampleLibrary) -> NearestTrainingShot:
    """Over the one-shots of the train split."""
    return NearestTrainingShot({drum: _features(library, drum, "train") for drum in DRUMS})


def _features(library: SampleLibrary, drum: str, split: str) -> np.ndarray:
    """float32 [n, FEATURES] of the library's n one-shots of that drum and split; n may be 0."""
    shots = [prepare(library.audio(clip.id), clip.name) for clip in library.select(drum, split)]
    return log_mel_features(np.stack(shots)) if shots else np.zeros((0, FEATURES), np.float32)
