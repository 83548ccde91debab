"""When to retrain: pure functions of the clock, the watched folder's size and the service's signals."""

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
class Signal:
    """What is kept of one extraction, where the service is told to: no audio, no name, no address."""

    confidence: float  # mean over the drums
    reroll: bool  # asked for again with another seed
    features: tuple[float, ...] = ()  # of the input, the same for every line; empty: not collected


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """Mean and spread of the training mixes' features."""

    mean: tuple[float, ...]
    spread: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Situation:
    """All that the triggers look at. Times are aware, in UTC."""

    now: datetime.datetime
    since: datetime.datetime  # when the last run began, or when retraining was first looked at
    new_clips: int = 0
    signals: Sequence[Signal] = ()  # since the last run, oldest first
    before: float | None = None  # mean confidence in the period before; None: not known
    reference: Reference | None = None


def due(triggers: Triggers, situation: Situation) -> list[str]:
    """The causes to start now, each as a sentence; empty when there is none."""
    checks = (scheduled, enough_new, drifted, confidence_fell, rerolled)
    return [cause for check in checks if (cause := check(triggers, situation)) is not None]


def scheduled(triggers: Triggers, s: Situation) -> str | None:
    """A time of the cron expression lies after the last run and not after now; missed ones count once."""
    if triggers.cron is None:
        return None
    time = croniter(triggers.cron, s.since).get_next(datetime.datetime)
    return f"It was due at {time:%Y-%m-%d %H:%M} UTC ({triggers.cron})." if time <= s.now else None


def enough_new(triggers: Triggers, s: Situation) -> str | None:
    if triggers.new_clips is None or s.new_clips < triggers.new_clips:
        return None
    return f"{s.new_clips} new sounds wait ({triggers.new_clips} are enough)."


def drifted(triggers: Triggers, s: Situation) -> str | None:
    if triggers.drift is None or s.reference is None:
        return None
    recent = [x.features for x in s.signals if x.features][-triggers.window :]
    if len(recent) < triggers.window:
        return None
    far = distance(np.array(recent), s.reference)
    if far <= triggers.drift:
        return None
    return (
        f"The last {len(recent)} inputs lie {far:.2f} from the training mixes ({triggers.drift} is allowed)."
    )


def distance(features: np.ndarray, reference: Reference) -> float:
    """[n, D] -> root mean square over features of the mean's shift, in units of the reference's spread."""
    spread = np.maximum(reference.spread, 1e-9)
    shift = (features.mean(axis=0) - np.array(reference.mean)) / spread
    return float(np.sqrt(np.mean(shift**2)))


def confidence_fell(triggers: Triggers, s: Situation) -> str | None:
    if triggers.confidence_fall is None or s.before is None or len(s.signals) < triggers.window:
        return None
    now = float(np.mean([x.confidence for x in s.signals[-triggers.window :]]))
    if now > s.before * (1 - triggers.confidence_fall):
        return None
    return f"The mean confidence fell from {s.before:.2f} to {now:.2f}."


def rerolled(triggers: Triggers, s: Situation) -> str | None:
    if triggers.rerolls is None or len(s.signals) < triggers.window:
        return None
    share = float(np.mean([x.reroll for x in s.signals[-triggers.window :]]))
    if share < triggers.rerolls:
        return None
    return f"{share:.0%} of the last {triggers.window} extractions were asked for again."


def read_signals(path: Path) -> list[Signal]:
    """One JSON object per line; a last line that was cut off is left out. Absent file: none."""
    if not path.is_file():
        return []
    *whole, _ = path.read_text().split("\n")
    try:
        return [_signal(json.loads(line)) for line in whole]
    except (ValueError, TypeError) as e:
        raise IntegrityError(f"{path} holds a line that is no signal ({e}); remove that line.") from e


def _signal(line: dict[str, Any]) -> Signal:
    return Signal(**{**line, "features": tuple(line.get("features", ()))})
