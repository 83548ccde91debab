"""Drum classifier accuracy: the share of one-shots that a classifier assigns to the drum they stand for.

Definition: a logistic regression on log-mel features (`log_mel`), fitted to labelled one-shots of kick, snare
and hi-hat; a silent one-shot counts as wrong. Unit: fraction; higher is better. It needs no reference; read
it beside the accuracy on the references themselves, which bounds it in practice. Source: this project.
"""

import numpy as np

from dose.errors import DoseError
from dose.metrics.log_mel import log_mel_features

# scikit-learn's C. A small value regularises strongly, because a vector has 768 features and the shipped
# library only about a hundred recorded one-shots. A default without a study.
INVERSE_REGULARISATION = 0.01
MAX_ITERATIONS = 2000


class DrumClassifier:
    """Fitted at construction to features [n, FEATURES] with one drum label each.

    Raises DoseError where the labels name fewer than two drums.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression

        if len(set(labels)) < 2:
            raise DoseError("The drum classifier needs one-shots of at least two drums.")
        # One mean and scale for all features: they share the unit dB, and their relative range matters.
        self._mean, self._scale = features.mean(), features.std()
        self._model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=MAX_ITERATIONS)
        self._model.fit(self._scaled(features), labels)

    def metrics(self, shots: np.ndarray, drum: str) -> dict[str, np.ndarray]:
        """Prepared one-shots [n, 44100] -> {"classifier_accuracy": [n] of 0 and 1}."""
        predicted = self._model.predict(self._scaled(log_mel_features(shots)))
        sounding = np.abs(shots).max(axis=1) > 0
        return {"classifier_accuracy": ((predicted == drum) & sounding).astype(float)}

    def _scaled(self, features: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = (features - self._mean) / self._scale
        return scaled
