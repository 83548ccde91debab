"""The search space, budget and resources of a sweep: params.yaml's section `sweep`."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any, Literal

from dose import config as strict
from dose.config import was
from dose.drums import DRUMS
from dose.errors import ConfigError
from dose.model.config import ModelConfig
from dose.train.config import FitConfig

Metric = Literal["val/mss", "val/loss"]
EXAMPLES = "examples"  # in a trial's folder: listening examples, one sub-folder per evaluation

# What `space` may name: everything but what the budget and the tokens set.
_FIT = {f.name for f in dataclasses.fields(FitConfig)} - {"model", "steps", "evaluate_every"}
_MODEL = {f.name for f in dataclasses.fields(ModelConfig)} - {
    "frames",
    "codebooks",
    "codebook_size",
    "segments",
}
# What PBT may change during a trial: nothing that shapes the model or the order of the data.
_MUTABLE = {"lr", "lr_floor", "weight_decay", "onset_weight", "dropout", "clip"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resources:
    """What one trial reserves."""

    cpus: float = 1.0  # of each of its processes
    gpus: float = 0.0  # of each of its processes; fractions share a GPU
    memory_gib: float = 0.0  # of each of its processes; 0 reserves none
    processes: int = 1  # more than one: distributed data parallel (DDP)
    parallel: int = 0  # trials at a time; 0: as many as the cluster has room for

    def __post_init__(self) -> None:
        if self.cpus <= 0 or min(self.gpus, self.memory_gib) < 0 or self.processes < 1 or self.parallel < 0:
            raise ValueError("cpus and processes must be above 0; gpus, memory_gib and parallel at least 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """The search for every drum; `for_drum` gives that of one."""

    space: dict[str, Any]  # name of a fit or model key -> [choices] or {low, high, log}
    fit: FitConfig  # everything that is not searched
    search: Literal["grid", "random", "optuna"] = "grid"
    trials: int = 8  # for random and optuna; a grid takes every combination
    scheduler: Literal["asha", "pbt", "none"] = "asha"
    grace: int = 1  # evaluations before ASHA may stop a trial; between PBT's exchanges
    reduction: int = 2  # ASHA: one in this many goes on at each rung
    minutes: float = 0.0  # wall time of the whole search; 0: no limit
    # Also train the winner's paired run: the same without (or with) the onset loss, for the table's pair.
    paired_run: bool = dataclasses.field(default=True, metadata=was("twin"))
    select: Metric = "val/mss"  # lowest wins: a trial, and within ASHA and PBT
    # Validation pairs whose one-shots are generated and compared with the reference at each evaluation.
    generation_items: int = dataclasses.field(default=16, metadata=was("listen_items"))
    # Of them stored as audio and spectrogram.
    generation_examples: int = dataclasses.field(default=3, metadata=was("listen_examples"))
    resources: Resources = Resources()
    retries: int = 2  # of a trial whose process or machine died, from its last state
    init: Literal["none", "bundled"] = "none"  # start from the shipped models where their sizes fit
    storage: str = "data/.sweep"  # running state; shared by all machines: a mounted folder or s3://...
    seed: int = 0
    drums: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)  # drum -> dotted key -> value

    def __post_init__(self) -> None:
        object.__setattr__(self, "space", _current_space(self.space))
        if not self.space:
            raise ValueError("space must name at least one key to search")
        for name, values in self.space.items():
            self._check_axis(name, values)
        if min(self.trials, self.grace) < 1 or self.reduction < 2:
            raise ValueError("trials and grace must be at least 1, reduction at least 2")
        if self.scheduler == "pbt" and (fixed := sorted(set(self.space) - _MUTABLE)):
            raise ValueError(f"pbt can only change {', '.join(sorted(_MUTABLE))}, not {', '.join(fixed)}")
        if self.generation_items < max(1, self.generation_examples):
            raise ValueError("generation_items must be at least 1 and at least generation_examples")
        if self.minutes < 0 or self.retries < 0:
            raise ValueError("minutes and retries must be at least 0")
        if unknown := sorted(set(self.drums) - set(DRUMS)):
            raise ValueError(f"drums names {unknown[0]}, which is not one of {', '.join(DRUMS)}")
        # A grid is finite: contradictions between its keys are found before anything is trained.
        if self.search == "grid":
            for hyper in self.grid():
                self.fit_for(hyper)

    def _check_axis(self, name: str, values: Any) -> None:
        if name not in _FIT | _MODEL:
            raise ValueError(f"space.{name} is neither a fit nor a model key")
        if isinstance(values, dict):
            if set(values) != {"low", "high", "log"} or not values["low"] < values["high"]:
                raise ValueError(f"space.{name} must have exactly low, high (above low) and log")
            if self.search == "grid":
                raise ValueError(f"space.{name} is a range; a grid needs a list of values")
        elif not isinstance(values, list | tuple) or not values:
            raise ValueError(f"space.{name} must be a list of values or a range of low, high, log")

    def grid(self) -> list[dict[str, Any]]:
        """Every combination of the lists in `space`."""
        names = list(self.space)
        return [dict(zip(names, values, strict=True)) for values in itertools.product(*self.space.values())]

    def fit_for(self, hyper: dict[str, Any]) -> FitConfig:
        """The fit of one point of the space. Raises ConfigError where its keys contradict each other."""
        values = dataclasses.asdict(self.fit)
        for name, value in _current_space(hyper).items():
            (values if name in _FIT else values["model"])[name] = value
        return strict.parse(FitConfig, values, f"sweep at {hyper}")

    def for_drum(self, drum: str) -> "SweepConfig":
        """This config with the drum's overrides ("fit.steps": 500) in place and no others left."""
        values = dataclasses.asdict(self)
        overrides = values.pop("drums").get(drum, {})
        where = f"params.yaml: sweep.drums.{drum}"
        for dotted, value in overrides.items():
            key, value = strict.current(SweepConfig, dotted, value, where)
            if not key:  # removed, and without effect
                continue
            *path, last = key.split(".")
            if path == ["space"]:
                ((last, value),) = _current_space({last: value}).items()
            place: Any = values
            for key in path:
                place = place.get(key) if isinstance(place, dict) else None
            if not isinstance(place, dict) or (last not in place and path != ["space"]):
                raise ConfigError(f"{where}.{dotted} is no key of sweep.")
            place[last] = value
        return strict.parse(SweepConfig, {**values, "drums": {}}, f"sweep for {drum}")

    @property
    def varied(self) -> list[str]:
        """The keys of `space` that can take more than one value."""
        return [name for name, values in self.space.items() if isinstance(values, dict) or len(values) > 1]

    @property
    def most_trials(self) -> int:
        return len(self.grid()) if self.search == "grid" else self.trials


def _current_space(space: Mapping[str, Any]) -> dict[str, Any]:
    """Fit and model keys, with a value or a list of values each, under today's names."""
    found: dict[str, Any] = {}
    for name, values in space.items():
        for owner in (FitConfig, ModelConfig):
            if name:  # "" where an owner removed the key
                name, values = strict.current(owner, name, values, "params.yaml: sweep.space")
        if name in found:
            raise ValueError(f"space names {name} twice, once by its old name")
        if name:
            found[name] = values
    return found
