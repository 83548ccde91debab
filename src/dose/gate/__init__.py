"""The gate: whether a challenger may take a champion's place. Decides on figures; moves nothing."""

from dose.gate.config import Budgets, GateConfig
from dose.gate.verdict import Scores, Verdict, judge

__all__ = ["Budgets", "GateConfig", "Scores", "Verdict", "judge"]
