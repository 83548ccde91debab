"""Nearest-neighbour memorisation: the distance of a generated one-shot to the training set.

`nearest_train_db`: root mean square difference of log-mel features (`log_mel`) to the nearest training
one-shot of the same drum. Unit: dB; higher is farther. A system that retrieves training sounds lies well
below the value of the references. `memorisation_rate` (from `memorised`): the share of generated one-shots
that are nearer to a training one-shot than their own reference is. Unit: fraction; lower is better. Neither
needs a paired reference sound as input. Source: this project.
"""

import numpy as np

from dose.metrics.log_mel import log_mel_features


class NearestTrainingShot:
    """Distance to the nearest training one-shot; `train` maps each drum to features [n, FEATURES]."""

    def __init__(self, train: dict[str, np.ndarray]) -> None:
        self._train = train

    def metrics(self, shots: np.ndarray, drum: str) -> dict[str, np.ndarray]:
        """Prepared one-shots [n, 44100] -> {"nearest_train_db": [n]}; {} for a drum without training set."""
        from scipy.spatial.distance import cdist

        # A library may lack a drum in its train split; the metric is then undefined.
        train = self._train.get(drum)
        if train is None or len(train) == 0:
            return {}
        # Euclidean distance over FEATURES values; the division makes it a root mean square in dB. [n, train]
        distances = cdist(log_mel_features(shots), train) / np.sqrt(train.shape[1])
        return {"nearest_train_db": distances.min(axis=1)}


def memorised(generated_db: np.ndarray, reference_db: np.ndarray) -> np.ndarray:
    """`nearest_train_db` of outputs and references, [n] and [n] -> 1.0 where the output is nearer."""
    return (generated_db < reference_db).astype(float)
