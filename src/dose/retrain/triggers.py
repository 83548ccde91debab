"""When to retrain: pure functions of the clock, the watched folder's size and the service's feedback log."""

import dataclasses
import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from croniter import croniter

from dose.errors import IntegrityError
from dose.retrain.config import Triggers


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeedbackRecord:
    """What the service logs of one extraction: no audio, no name, no address."""

    confidence: float  # mean over the drums
    reroll: bool  # requested again with another seed
    features: tuple[float, ...] = ()  # of the input, of one length in all records; empty: not collected


@dataclasses.dataclass(frozen=True, kw_only=True)
class DriftReference:
    """Mean and spread of the training mixes' features."""

    mean: tuple[float, ...]
    spread: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TriggerInputs:
    """All that the triggers depend on. Times are aware, in UTC."""

    now: datetime.datetime
    since: datetime.datetime  # when the last run began, or when the triggers were first evaluated
    new_clips: int = 0
    feedback: Sequence[FeedbackRecord] = ()  # since the last run, oldest first
    baseline_confidence: float | None = None  # mean confidence in the period before; None: unknown
    reference: DriftReference | None = None


def due(triggers: Triggers, inputs: TriggerInputs) -> list[str]:
    """The causes to start now, one sentence per trigger that fires."""
    checks = (scheduled, enough_new_clips, drifted, confidence_fell, rerolled)
    return [cause for check in checks if (cause := check(triggers, inputs)) is not None]


def scheduled(triggers: Triggers, inputs: TriggerInputs) -> str | None:
    """Fires when a time of the cron expression has passed since the last run; several count once."""
    if triggers.cron is None:
        return None
    # The first scheduled time after the last run, so that several missed times count once.
    time = croniter(triggers.cron, inputs.since).get_next(datetime.datetime)
    return f"It was due at {time:%Y-%m-%d %H:%M} UTC ({triggers.cron})." if time <= inputs.now else None


def enough_new_clips(triggers: Triggers, inputs: TriggerInputs) -> str | None:
    if triggers.new_clips is None or inputs.new_clips < triggers.new_clips:
        return None
    return f"{inputs.new_clips} new sounds wait ({triggers.new_clips} are enough)."


def drifted(triggers: Triggers, inputs: TriggerInputs) -> str | None:
    if triggers.drift is None or inputs.reference is None:
        return None
    # Records without features are possible where the setting was changed.
    recent = [r.features for r in inputs.feedback if r.features][-triggers.window :]
    if len(recent) < triggers.window:
        return None
    distance = drift_distance(np.array(recent), inputs.reference)
    if distance <= triggers.drift:
        return None
    return (
        f"The last {len(recent)} inputs lie {distance:.2f} from the training mixes "
        f"({triggers.drift} is allowed)."
    )


def drift_distance(features: np.ndarray, reference: DriftReference) -> float:
    """[n, D] -> root mean square over features of the mean's shift, in units of the reference's spread."""
    spread = np.maximum(reference.spread, 1e-9)  # a constant feature has spread 0
    shift = (features.mean(axis=0) - np.array(reference.mean)) / spread
    return float(np.sqrt(np.mean(shift**2)))


def confidence_fell(triggers: Triggers, inputs: TriggerInputs) -> str | None:
    before = inputs.baseline_confidence
    if triggers.confidence_fall is None or before is None or len(inputs.feedback) < triggers.window:
        return None
    now = float(np.mean([r.confidence for r in inputs.feedback[-triggers.window :]]))
    if now > before * (1 - triggers.confidence_fall):
        return None
    return f"The mean confidence fell from {before:.2f} to {now:.2f}."


def rerolled(triggers: Triggers, inputs: TriggerInputs) -> str | None:
    if triggers.rerolls is None or len(inputs.feedback) < triggers.window:
        return None
    share = float(np.mean([r.reroll for r in inputs.feedback[-triggers.window :]]))
    if share < triggers.rerolls:
        return None
    return f"{share:.0%} of the last {triggers.window} extractions were requested again."


def read_feedback(path: Path) -> list[FeedbackRecord]:
    """One JSON object per line; an incomplete last line is left out. Absent file: none.

    Raises IntegrityError for any other line that is not a record.
    """
    if not path.is_file():
        return []
    # A complete line ends with a newline: whatever follows the last one is incomplete or empty.
    *lines, _ = path.read_text().split("\n")
    try:
        return [_record(json.loads(line)) for line in lines]
    except (ValueError, TypeError) as e:
        raise IntegrityError(f"{path} holds a line that is no feedback record ({e}); remove it.") from e


def _record(line: dict[str, Any]) -> FeedbackRecord:
    return FeedbackRecord(**{**line, "features": tuple(line.get("features", ()))})
