"""The daily work: a search per drum on Ray Tune around the same `fit`, every trial once in MLflow."""

from dose.sweep.config import SweepConfig
from dose.sweep.runner import run_sweep
from dose.sweep.table import Trial, ranking, read_trials

__all__ = ["SweepConfig", "Trial", "ranking", "read_trials", "run_sweep"]
