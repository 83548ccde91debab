"""Training of the transcription network: batches, loss, optimiser, state and the loop.

A step is a pure function of config, shards and the number of the step, and the state holds everything else:
a killed training that runs again ends in the same network.
"""

import copy
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from dose import compute, files
from dose.transcription.config import TrainConfig
from dose.transcription.data import Shard
from dose.transcription.front_end import BANDS, FRAME_RATE
from dose.transcription.hits import HIT_CLASSES
from dose.transcription.network import NetworkConfig, TranscriptionNetwork, to_channels_last

CROP = 400  # frames: 4 s of a mix per crop
# Frames: standard deviation of the bell around a true onset. Narrower ones left open hi-hats and cymbals,
# whose attacks are soft, below .5 (trial on real kits).
TARGET_WIDTH = 1.0
# Weights of the classes' losses: the last four have a tenth of the hits of the others.
CLASS_WEIGHTS = (1.0, 1.5, 1.0, 1.5, 1.5, 1.5, 1.2)
ONSET_WEIGHT, VELOCITY_WEIGHT = 10.0, 2.0  # brings both losses to about one; by hand
EQ_POINTS, EQ_SD = 6, 0.25  # random gain curve: points on the band axis; 0.25 is 5 dB on the feature's scale
BAND_DROPOUT = 0.3  # probability that a block of bands is hidden
WEIGHT_DECAY, CLIP = 1e-2, 1.0  # a default and by hand
WARMUP = 0.1  # share of the steps over which the learning rate rises


class Batches:
    """Crops of the shards with targets, by step."""

    def __init__(self, shard: Shard, config: TrainConfig) -> None:
        self.shard, self.config = shard, config
        order = np.argsort(shard.mix, kind="stable")
        self._rows = order
        self._first = np.searchsorted(shard.mix[order], np.arange(len(shard.features) + 1))

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Features [B, BANDS, CROP], onset targets and velocities [B, classes, CROP] of a step.

        An onset target is NaN around an inaudible hit: there the network may say either.
        """
        config, count = self.config, len(self.shard.features)
        # 1. Which mixes: a shuffled pass over all of them after another.
        per_epoch = max(count // config.batch, 1)
        epoch, place = divmod(step, per_epoch)
        shuffled = np.random.default_rng([config.seed, 1, epoch]).permutation(count)
        chosen = shuffled[place * config.batch : (place + 1) * config.batch]
        # 2. A crop of each, with its own gain curve.
        rng = np.random.default_rng([config.seed, 2, step])
        x = np.empty((len(chosen), BANDS, CROP), np.float32)
        onsets = np.zeros((len(chosen), len(HIT_CLASSES), CROP), np.float32)
        velocities = np.zeros_like(onsets)
        for b, mix in enumerate(chosen):
            features = self.shard.features[mix]
            start = int(rng.integers(0, features.shape[1] - CROP + 1))
            x[b] = augmented(rng, features[:, start : start + CROP].astype(np.float32))
            rows = self._rows[self._first[mix] : self._first[mix + 1]]
            add_targets(
                onsets[b],
                velocities[b],
                self.shard.cls[rows],
                self.shard.seconds[rows] * FRAME_RATE - start,
                self.shard.velocity[rows],
                self.shard.audible[rows],
            )
        return torch.from_numpy(x), torch.from_numpy(onsets), torch.from_numpy(velocities)


def augmented(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Features [BANDS, T] under a random gain curve, sometimes without a block of bands."""
    points = np.interp(
        np.arange(BANDS), np.linspace(0, BANDS - 1, EQ_POINTS), rng.normal(0, EQ_SD, EQ_POINTS)
    )
    out = x + points[:, None].astype(np.float32) + np.float32(rng.normal(0, 0.1))
    if rng.random() < BAND_DROPOUT:
        low = int(rng.integers(0, BANDS))
        out[low : low + int(rng.integers(1, 8))] = float(out.min())
    return out


def add_targets(
    onsets: np.ndarray,
    velocities: np.ndarray,
    cls: np.ndarray,
    frames: np.ndarray,
    velocity: np.ndarray,
    audible: np.ndarray,
) -> None:
    """Bells around hits at fractional `frames`, in place, [classes, T]; velocities (0..1) around each hit.

    Around a hit that is not `audible` the onset is NaN, but for the bells of its neighbours.
    """
    last = onsets.shape[1] - 1
    for c, at in zip(cls[~audible], frames[~audible], strict=True):
        onsets[c, max(int(np.floor(at)) - 3, 0) : max(int(np.ceil(at)) + 4, 0)] = np.nan
    for c, at, v in zip(cls[audible], frames[audible], velocity[audible], strict=True):
        low, high = max(int(np.floor(at)) - 3, 0), min(int(np.ceil(at)) + 3, last)
        if low > high:
            continue
        grid = np.arange(low, high + 1)
        bell = np.exp(-0.5 * ((grid - at) / TARGET_WIDTH) ** 2)
        onsets[c, low : high + 1] = np.fmax(onsets[c, low : high + 1], bell)
        near = np.abs(grid - at) <= 1.5
        velocities[c, grid[near]] = v / 127


def loss(net: TranscriptionNetwork, x: Tensor, onsets: Tensor, velocities: Tensor) -> Tensor:
    """Weighted cross-entropy of the onsets, and the squared error of the velocities near hits."""
    logits, estimated = net(x)
    weights = torch.tensor(CLASS_WEIGHTS)[:, None]
    known = ~onsets.isnan()
    entropy = F.binary_cross_entropy_with_logits(logits.float(), onsets.nan_to_num(), reduction="none")
    entropy = (entropy * weights * known).mean()
    near = velocities > 0
    squared = (estimated.float().sigmoid() - velocities).square()[near]
    total: Tensor = ONSET_WEIGHT * entropy + VELOCITY_WEIGHT * squared.sum() / near.sum().clamp_min(1)
    return total


def train(
    shard: Shard,
    config: TrainConfig,
    state: Path,
    report: Callable[[int, float, TranscriptionNetwork], None],
    start: NetworkConfig | TranscriptionNetwork | None = None,
) -> TranscriptionNetwork:
    """Trains a network, or random weights of a size, or goes on from `state`; gives the averaged network.

    `report(step, mean loss, averaged network)` is called every `evaluate_every` steps, after a save
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        net = (
            copy.deepcopy(start).requires_grad_(True)
            if isinstance(start, TranscriptionNetwork)
            else TranscriptionNetwork(start or NetworkConfig())
        )
    # An earlier calibration is no part of what is learned, nor a second pass that knew the network before.
    net.second_pass = None
    net.scale.fill_(1)
    net.shift.fill_(0)
    to_channels_last(net)
    average = copy.deepcopy(net).requires_grad_(False)
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.lr, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.lr, total_steps=config.steps, pct_start=WARMUP
    )
    batches = Batches(shard, config)
    step, number_format = _restore(state, net, average, optimiser, schedule)
    # A run keeps the number format that it began with, on whatever machine it goes on.
    number_format = number_format or _number_format(net, batches).format
    total, counted = 0.0, 0
    while step < config.steps:
        net.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=number_format == "bf16"):
            value = loss(net, *batches(step))
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP)
        optimiser.step()
        schedule.step()
        step += 1
        _average(average, net, min(config.ema, step / (step + 10)))
        total, counted = total + float(value.detach()), counted + 1
        if step % config.evaluate_every == 0 or step == config.steps:
            _save(state, step, number_format, net, average, optimiser)
            report(step, total / counted, average.eval())
            total, counted = 0.0, 0
    return average.eval()


def _number_format(net: TranscriptionNetwork, batches: Batches) -> compute.Choice:
    """fp32 or bf16, by measuring the first step."""
    probe, data = copy.deepcopy(net).train(), batches(0)
    # Multiplications of the convolutions for the default sizes; 3: forward, and backward twice.
    flop = 3 * 2 * len(data[0]) * 4.6e8

    def prepare(number_format: compute.Format) -> compute.Work:
        def step() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=number_format == "bf16"):
                loss(probe, *data).backward()

        return step

    candidates: dict[compute.Format, compute.Prepare] = {
        "fp32": lambda: prepare("fp32"),
        "bf16": lambda: prepare("bf16"),
    }
    return compute.choose("auto", torch.device("cpu"), "transcription training", candidates, flop=flop)


def _average(average: TranscriptionNetwork, net: TranscriptionNetwork, decay: float) -> None:
    with torch.no_grad():
        for a, b in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
            if a.is_floating_point():
                a.lerp_(b, 1 - decay)
            else:
                a.copy_(b)


def _save(
    state: Path,
    step: int,
    number_format: str,
    net: TranscriptionNetwork,
    average: TranscriptionNetwork,
    optimiser: torch.optim.Optimizer,
) -> None:
    tensors = {f"net.{n}": t for n, t in net.state_dict().items()}
    tensors |= {f"average.{n}": t for n, t in average.state_dict().items()}
    for i, values in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{i}.{n}": t for n, t in values.items()}
    with files.atomic(state) as beside:
        beside.mkdir(parents=True)
        safetensors.torch.save_file(
            {n: t.contiguous() for n, t in tensors.items()}, beside / "state.safetensors"
        )
        files.write_json(beside / "state.json", {"step": step, "format": number_format})


def _restore(
    state: Path,
    net: TranscriptionNetwork,
    average: TranscriptionNetwork,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> tuple[int, str]:
    """The number of steps done and the run's number format; 0 and "" without a state."""
    if not (state / "state.json").is_file():
        return 0, ""
    facts = files.read_json(state / "state.json")
    step = int(facts["step"])
    tensors = safetensors.torch.load_file(state / "state.safetensors")
    for prefix, module in (("net.", net), ("average.", average)):
        module.load_state_dict(
            {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        )
    stored: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            _, i, key = name.split(".")
            stored.setdefault(int(i), {})[key] = tensor
    # The schedule first: it writes learning rate and momentum of its step into the optimiser. torch warns
    # that the optimiser has taken no step; it has, before the interruption.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(step):
            schedule.step()
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": stored, "param_groups": groups})
    return step, str(facts["format"])
