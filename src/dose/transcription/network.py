"""The transcription network: convolutions over time and frequency, then recurrent layers in both directions.

The kind of network of Vogl et al., "Drum transcription via joint beat and drum modeling using convolutional
recurrent neural networks" (ISMIR 2017), with velocities as further outputs.
"""

import dataclasses
import hashlib
import itertools
import math
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dose import files
from dose.config import parse
from dose.errors import IntegrityError
from dose.transcription.front_end import BANDS
from dose.transcription.hits import HIT_CLASSES
from dose.transcription.second_pass.scorer import WEIGHTS as SECOND_PASS
from dose.transcription.second_pass.scorer import SecondPass

# Of the bands after each convolution; time stays exact. The first one halves the cost of all that follows.
POOLING = (2, 3, 1, 2)
FORMAT = 2  # of the stored network
WEIGHTS, CARD = "network.safetensors", "network.json"
FILES = (WEIGHTS, CARD, SECOND_PASS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Sizes; the defaults are those of the network that ships (0.66 M parameters)."""

    channels: tuple[int, int, int, int] = (32, 48, 64, 96)
    features: int = 192  # per frame, between convolutions and recurrent layers
    hidden: int = 96  # of each recurrent layer and direction
    layers: int = 2

    def __post_init__(self) -> None:
        if min(*self.channels, self.features, self.hidden, self.layers) < 1:
            raise ValueError("sizes of the network must be at least 1")


class TranscriptionNetwork(nn.Module):
    """Log band energies [B, BANDS, T] to onset logits and velocities, both [B, classes, T]."""

    second_pass: SecondPass | None = None  # over the candidates of a whole recording, fitted to this network

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        sizes = (1, *config.channels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in itertools.pairwise(sizes)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in config.channels)
        pooled = BANDS // math.prod(POOLING)
        self.project = nn.Linear(pooled * config.channels[-1], config.features)
        self.recurrent = nn.LSTM(
            config.features, config.hidden, config.layers, batch_first=True, bidirectional=True
        )
        self.out = nn.Linear(2 * config.hidden + config.features, 2 * len(HIT_CLASSES))
        # Per class: logit = scale * (raw + shift), fitted after training so that .5 is the right threshold.
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", torch.ones(len(HIT_CLASSES)))
        self.register_buffer("shift", torch.zeros(len(HIT_CLASSES)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # [B, 1, BANDS, T], channels last in memory: a third of the time of the usual order on a CPU.
        x = x[:, None].contiguous(memory_format=torch.channels_last)
        for convolution, norm, factor in zip(self.convolutions, self.norms, POOLING, strict=True):
            x = norm(convolution(x))
            # Pooled before the nonlinearity, which gives the same: it has half the work.
            x = F.relu(F.max_pool2d(x, (factor, 1)) if factor > 1 else x)
        x = x.flatten(1, 2).transpose(1, 2)  # [B, T, channels * bands]
        x = F.relu(self.project(x))
        recurrent, _ = self.recurrent(x)
        out = self.out(torch.cat([recurrent, x], dim=2)).transpose(1, 2)  # [B, 2 * classes, T]
        onsets, velocities = out.chunk(2, dim=1)
        return self.scale[:, None] * (onsets + self.shift[:, None]), velocities


BUNDLED = Path(__file__).parent / "bundled"  # the network that ships with the package


def to_channels_last(net: TranscriptionNetwork) -> None:
    """Puts the convolutions' weights into the memory order of the activations, in place."""
    for convolution in net.convolutions:
        for p in convolution.parameters():
            p.data = p.data.contiguous(memory_format=torch.channels_last)


def fingerprint(net: TranscriptionNetwork) -> str:
    """16 hex digits of the weights."""
    digest = hashlib.sha256()
    for tensor in net.state_dict().values():
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def save(net: TranscriptionNetwork, folder: Path, card: dict[str, Any]) -> None:
    """Writes network.safetensors (half precision), network.json with sizes and `card`, the second pass."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {n: t.half().contiguous() if t.is_floating_point() else t for n, t in net.state_dict().items()}
    with files.atomic(folder / WEIGHTS) as beside:
        safetensors.torch.save_file(tensors, beside)
    if net.second_pass is not None:
        net.second_pass.save(folder)
    facts = {"format": FORMAT, "classes": HIT_CLASSES, "sizes": dataclasses.asdict(net.config), **card}
    files.write_json(folder / CARD, facts)


def load(folder: Path) -> TranscriptionNetwork:
    """Opens a stored network for inference. Raises IntegrityError when it is none of this version."""
    try:
        facts = files.read_json(folder / CARD)
        if facts["format"] != FORMAT or tuple(facts["classes"]) != HIT_CLASSES:
            raise KeyError("format")
        net = TranscriptionNetwork(parse(NetworkConfig, facts["sizes"], str(folder), announce=False))
        stored = safetensors.torch.load_file(folder / WEIGHTS)
        net.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in stored.items()})
    except (KeyError, TypeError, RuntimeError, OSError, safetensors.SafetensorError) as e:
        raise IntegrityError(f"{folder} holds no transcription network of this version.") from e
    to_channels_last(net)
    net.second_pass = SecondPass.load(folder)
    return net.eval().requires_grad_(False)
