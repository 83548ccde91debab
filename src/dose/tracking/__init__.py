"""Runs and models in MLflow: the only room that imports mlflow.

`Tracker` speaks to the store, `Outbox` brings what a sweep has to say there in order and exactly once,
`lineage_tags` says where a run comes from.
"""

from dose.tracking.lineage import lineage_tags
from dose.tracking.outbox import Outbox
from dose.tracking.store import ModelVersion, RunRecord, Tracker

__all__ = ["ModelVersion", "Outbox", "RunRecord", "Tracker", "lineage_tags"]
