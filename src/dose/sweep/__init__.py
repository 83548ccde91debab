"""Hyperparameter search per drum: Ray Tune around `dose.train.fit`, one MLflow run per trial."""

from dose.sweep.config import SweepConfig
from dose.sweep.runner import run_sweep
from dose.sweep.table import Trial, ranking, read_trials

__all__ = ["SweepConfig", "Trial", "ranking", "read_trials", "run_sweep"]
