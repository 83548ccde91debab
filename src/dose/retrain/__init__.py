"""Retraining on a schedule: triggers, ingestion, a resumable run, and the promotion of better models."""

from dose.retrain.config import RetrainConfig
from dose.retrain.orchestrator import Orchestrator, Steps

__all__ = ["Orchestrator", "RetrainConfig", "Steps"]
