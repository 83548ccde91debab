"""A registered model as MLflow calls it: a mix in, the drum's one-shot out.

`mlflow.pyfunc.load_model("models:/dose-kick@champion").predict(mix)` imports this module in an environment
that has dose.
"""

from pathlib import Path
from typing import Any

import numpy as np

from dose.audio import RATE
from dose.errors import DoseError
from dose.tracking.flavour import PyfuncFlavour

FLAVOUR = PyfuncFlavour(
    loader=__name__,
    input_shape=(-1, -1),  # [C, N], a mix of any length
    output_shape=(-1,),  # [N], mono, 44.1 kHz
    params={"sample_rate": RATE, "seed": 0},
)


class OneShotModel:
    """The bundle of one drum."""

    def __init__(self, folder: Path) -> None:
        from dose.extract import Extractor

        self.extractor = Extractor(folder)
        [self.drum] = self.extractor.drums

    def predict(self, mix: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        """The best one-shot [N] of a mix [C, N]. Raises DoseError where the mix has no such drum."""
        given = {**FLAVOUR.params, **(params or {})}
        kit = self.extractor.extract(
            np.asarray(mix), int(given["sample_rate"]), drums=(self.drum,), seed=int(given["seed"])
        )
        best = kit.best(self.drum)
        if best is None:
            raise DoseError(f"There is no {self.drum} in this mix.")
        return best.audio


def _load_pyfunc(path: str) -> OneShotModel:
    """Called by MLflow with the folder of the model's files."""
    return OneShotModel(Path(path))
