"""Retraining on a schedule: when to start, how to go on after any crash, what to put into service."""

from dose.retrain.config import RetrainConfig
from dose.retrain.orchestrator import Orchestrator, Steps

__all__ = ["Orchestrator", "RetrainConfig", "Steps"]
