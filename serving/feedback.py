"""Feedback log for retraining: confidence, re-rolls and, if the settings allow it, features of the input.

One JSON line per extraction in the file that `dose retrain` reads, written only where params.yaml allows it
(`serving.feedback`). It holds no audio, no name, no address and no time.
"""

import json
import threading
from pathlib import Path
from typing import Any

from dose.extract.result import Kit
from serving.models.canary import mean_confidence
from serving.settings import ROOT, ServingConfig

FILE = Path("data/retrain/feedback.jsonl")  # below the project's root


class FeedbackLog:
    """Appends whole lines; safe to use from any thread."""

    def __init__(self, config: ServingConfig, path: Path | None = None) -> None:
        self.level, self.path = config.feedback, path or ROOT / FILE
        self._lock = threading.Lock()

    def add(self, kit: Kit, *, reroll: bool) -> None:
        """`reroll`: the user asked for the drums again, with another seed."""
        if self.level == "none":
            return
        line: dict[str, Any] = {"confidence": round(mean_confidence(kit), 4), "reroll": reroll}
        if self.level == "features":
            line["features"] = [round(x, 3) for x in kit.features]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Append mode and a lock: `dose retrain` may read the file at any time and sees whole lines.
        with self._lock, self.path.open("a") as f:
            f.write(json.dumps(line) + "\n")
