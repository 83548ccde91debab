"""What retraining may know of the service: confidence, re-rolls and, if told so, features of the sounds.

One line per extraction in the file that `dose retrain` reads, only where params.yaml says so
(`serving.feedback`). No sound, no name, no address, no time.
"""

import json
import threading
from pathlib import Path

from dose.extract.result import Kit
from serving.models.canary import mean_confidence
from serving.settings import ROOT, ServingConfig

FILE = Path("data/retrain/feedback.jsonl")  # below the project's root


class FeedbackLog:
    """Appends whole lines; safe to use from any thread."""

    def __init__(self, config: ServingConfig, path: Path | None = None) -> None:
        self.kind, self.path = config.signals, path or ROOT / FILE
        self._lock = threading.Lock()

    def note(self, kit: Kit, *, reroll: bool) -> None:
        """`reroll`: the drums were asked for again with another seed."""
        if self.kind == "none":
            return
        line = {"confidence": round(mean_confidence(kit), 4), "reroll": reroll}
        if self.kind == "features":
            line["features"] = [round(x, 3) for x in kit.features]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, self.path.open("a") as f:
            f.write(json.dumps(line) + "\n")
