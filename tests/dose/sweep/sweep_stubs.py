"""A stand-in for training: milliseconds a step, a score that is a function of the point and the step."""

import json
import os
import time
from pathlib import Path

from dose.model.config import ModelConfig
from dose.sweep import SweepConfig
from dose.train.config import FitConfig

STEPS, EVERY = 40, 10
FIT = FitConfig(
    model=ModelConfig(layers=1, width=32, heads=2, segments=3),
    steps=STEPS,
    warmup=2,
    evaluate_every=EVERY,
    batch=2,
)


def sweep_config(**changes) -> SweepConfig:
    values = {"space": {"onset_weight": [0.0, 1.0]}, "fit": FIT, "scheduler": "none"} | changes
    return SweepConfig(**values)


def score(hyper: dict, step: int) -> float:
    return 10 - hyper["onset_weight"] + abs(hyper.get("lr", 1e-3) - 1e-3) * 100 + 10 / step


def train(hyper, out: Path, report, *, pause: float = 0.0, log: Path | None = None, hook=None) -> None:
    """Keeps to the contract of `Train`: resumes from `out`, state on disk before each report, best/ kept."""
    state = out / "state.json"
    step = json.loads(state.read_text())["step"] if state.exists() else 0
    if log:
        import ray

        node = ray.get_runtime_context().get_node_id()
        with log.open("a") as f:
            f.write(json.dumps({"hyper": hyper, "from": step, "pid": os.getpid(), "node": node}) + "\n")
    while step < STEPS:
        time.sleep(pause)
        step += 1
        if step % EVERY == 0:
            if hook:
                hook(hyper, step)
            value = score(hyper, step)
            (out / "best").mkdir(exist_ok=True)
            (out / "best" / "model.json").write_text(json.dumps({"hyper": hyper, "step": step}))
            examples = out / "examples" / f"{step:07d}"
            examples.mkdir(parents=True, exist_ok=True)
            (examples / "0-generated.wav").write_bytes(b"RIFF")
            (out / "config.json").write_text(json.dumps(hyper))
            state.write_text(json.dumps({"step": step}))
            report(step, {"val/loss": value, "val/mss": value, "train/loss": value})
