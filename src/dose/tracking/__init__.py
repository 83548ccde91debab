"""Runs and models in MLflow: the only package that imports mlflow.

`Tracker` reads and writes the store, `Outbox` delivers a sweep's messages to it in order and exactly once,
`lineage_tags` and `dvc_outputs` tie a run to code, data and machine, `project_folder` finds the project of an
experiment.
"""

from dose.tracking.lineage import dvc_outputs, lineage_tags
from dose.tracking.outbox import Outbox
from dose.tracking.project import project_folder
from dose.tracking.records import DatasetInput, ModelVersion, RunRecord
from dose.tracking.store import Tracker

__all__ = [
    "DatasetInput",
    "ModelVersion",
    "Outbox",
    "RunRecord",
    "Tracker",
    "dvc_outputs",
    "lineage_tags",
    "project_folder",
]
