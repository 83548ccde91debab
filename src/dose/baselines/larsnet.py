"""LarsNet, re-implemented: one U-Net per drum stem that masks a stereo magnitude spectrogram.

Source: Mezza, Giampiccolo, Bernardini and Sarti, "Toward deep drum source separation", Pattern Recognition
Letters 2024. STFT of 4096 (Hann, hop 1024) at 44.1 kHz, the lower 2048 bins, 512 frames at a time, two
channels; six encoder levels (5 x 5 kernels, stride 2, batch norm, leaky ReLU 0.2) from 16 to 512 filters and
six decoder levels with skip connections; a sigmoid mask, applied to the mix's magnitude with the mix's phase.
Parameters carry the names of the authors' published checkpoints, so that those load unchanged; sizes are
free, so that a small network can be trained on a laptop. Three small networks are shipped (`SHIPPED`, with a
card).
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dose import files
from dose.drums import DRUMS
from dose.errors import IntegrityError, MissingInputError

SIZE, HOP = 4096, 1024  # the paper's STFT
SHIPPED = Path(__file__).parent / "weights" / "larsnet"
AUTHORS_FILE = "pretrained_{stem}_unet.pth"


@dataclasses.dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """The paper's sizes; `bins` and `frames` in multiples of 2^levels."""

    bins: int = 2048
    frames: int = 512
    base: int = 16  # filters of the first level, doubled at each further one
    levels: int = 6
    dropout: float = 0.5  # in the three deepest decoder levels
    power: float = 1.0  # exponent of the magnitudes at the input; below 1 compresses their range

    def __post_init__(self) -> None:
        step = 2**self.levels
        if self.bins % step or self.frames % step or not 0 < self.bins <= SIZE // 2:
            raise ValueError(f"bins (at most {SIZE // 2}) and frames must be multiples of {step}")
        if not 0 <= self.dropout < 1 or self.base < 1:
            raise ValueError("dropout must be in [0, 1) and base at least 1")
        if not 0 < self.power <= 1:
            raise ValueError("power must be in (0, 1]")


class Encoder(nn.Module):
    """An encoder level, [B, C, F, T] -> [B, C', F / 2, T / 2]; the skip leaves before the norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 5, stride=2, padding=2)
        self.bn = nn.BatchNorm2d(outputs)
        nn.init.kaiming_uniform_(self.conv.weight, a=0.2)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The level's output and its skip connection."""
        skip = self.conv(x)
        return F.leaky_relu(self.bn(skip), 0.2), skip


class Decoder(nn.Module):
    """A decoder level, [B, C, F, T] -> [B, C', 2 F, 2 T]; activation before norm, as published."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.conv_trans = nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1)
        self.bn = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.bn(F.relu(self.conv_trans(x))))
        return out


class UNet(nn.Module):
    """Magnitudes [B, 2, bins, frames] -> a mask of the same shape in (0, 1)."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = [2, *(config.base * 2**i for i in range(config.levels))]
        self.input_norm = nn.BatchNorm2d(config.bins)
        # The authors' names: enc1 .. enc6, then dec1 .. dec6 from the deepest level up.
        self._encoders = [f"enc{i + 1}" for i in range(config.levels)]
        self._decoders = [f"dec{i + 1}" for i in range(config.levels)]
        for i, name in enumerate(self._encoders):
            self.add_module(name, Encoder(widths[i], widths[i + 1]))
        for i, name in enumerate(self._decoders):
            level = config.levels - i
            # All but the deepest decoder also get the skip of their level as input.
            inputs = widths[level] * (1 if i == 0 else 2)
            self.add_module(name, Decoder(inputs, widths[level - 1], config.dropout if i < 3 else 0.0))
        # Kernel, dilation and padding keep the shape.
        self.mask_layer = nn.Sequential(nn.Conv2d(2, 2, 4, dilation=2, padding=3), nn.Sigmoid())

    def forward(self, magnitude: Tensor) -> Tensor:
        # The offset keeps the gradient of the power finite at 0.
        x = magnitude if self.config.power == 1 else (magnitude + 1e-8) ** self.config.power
        x = self.input_norm(x.transpose(1, 2)).transpose(1, 2)  # each frequency bin has its own norm
        skips = []
        for name in self._encoders:
            x, skip = self.get_submodule(name)(x)
            skips.append(skip)
        # The decoder starts from the deepest skip: its norm and activation are not used.
        x = skips.pop()
        for i, name in enumerate(self._decoders):
            x = self.get_submodule(name)(x if i == 0 else torch.cat([skips.pop(), x], dim=1))
        mask: Tensor = self.mask_layer(x)
        return mask


def spectrum(audio: Tensor) -> Tensor:
    """[..., N] -> complex [..., SIZE / 2 + 1, frames]; zero-padded to a whole number of hops."""
    padded = F.pad(audio, (0, -(audio.shape[-1] - SIZE) % HOP))
    flat = padded.reshape(-1, padded.shape[-1])
    window = torch.hann_window(SIZE, device=audio.device)
    out = torch.stft(flat, SIZE, HOP, window=window, return_complex=True)
    return out.reshape(*audio.shape[:-1], *out.shape[-2:])


def waveform(spectra: Tensor, samples: int) -> Tensor:
    """The inverse of `spectrum`: complex [..., bins, frames] -> [..., samples]."""
    flat = spectra.reshape(-1, *spectra.shape[-2:])
    window = torch.hann_window(SIZE, device=spectra.device)
    out = torch.istft(flat, SIZE, HOP, window=window, length=samples)
    return out.reshape(*spectra.shape[:-2], samples)


def masks(net: UNet, magnitude: Tensor) -> Tensor:
    """[B, 2, SIZE / 2 + 1, any frames] -> mask of the same shape; 0 above the network's highest bin."""
    config, frames = net.config, magnitude.shape[-1]
    padded = F.pad(magnitude, (0, -frames % config.frames))[..., : config.bins, :]
    chunks = padded.split(config.frames, dim=-1)
    # In pieces of `frames`, the input length of the network.
    mask = torch.cat([net(chunk) for chunk in chunks], dim=-1)[..., :frames]
    return F.pad(mask, (0, 0, 0, magnitude.shape[-2] - config.bins))


class LarsNet:
    """The bank of networks, one per drum. `authors`: whether all of them are the authors' own."""

    def __init__(self, nets: dict[str, UNet], key: str, authors: bool = False) -> None:
        self.nets, self.key, self.authors = nets, key, authors

    @torch.inference_mode()
    def separate(self, mix: np.ndarray) -> dict[str, np.ndarray]:
        """Mix [C, N] or [N] at 44.1 kHz -> {drum: mono stem [N]}."""
        stereo = np.atleast_2d(mix).astype(np.float32)
        # The networks take two channels: mono is doubled, further channels are dropped.
        stereo = np.repeat(stereo, 2, axis=0) if len(stereo) == 1 else stereo[:2]
        mixture = spectrum(torch.from_numpy(np.ascontiguousarray(stereo))[None])  # [1, 2, bins, frames]
        magnitude = mixture.abs()
        return {
            stem: waveform(masks(net, magnitude) * mixture, stereo.shape[-1])[0].mean(dim=0).numpy()
            for stem, net in self.nets.items()
        }


@torch.no_grad()
def round_weights(net: UNet) -> None:
    """Rounds the parameters in place to the 16 bits of `save`, so that scores are those of the file."""
    for p in net.parameters():
        p.copy_(p.half())


def save(net: UNet, folder: Path, facts: dict[str, Any]) -> None:
    """Writes weights.safetensors and model.json (sizes, SHA-256 of the weights, `facts`) into `folder`.

    Parameters are stored in 16 bits; the norms' running statistics, whose range is wide, in 32.
    """
    from safetensors.torch import save_file

    parameters = {name for name, _ in net.named_parameters()}
    tensors = {
        k: (v.half() if k in parameters else v).detach().contiguous() for k, v in net.state_dict().items()
    }
    with files.atomic(folder) as beside:
        beside.mkdir(parents=True)
        save_file(tensors, beside / "weights.safetensors")
        digest = files.sha256(beside / "weights.safetensors")
        files.write_json(beside / "model.json", {"unet": net.config, "sha256": digest, **facts})


def load(folder: Path) -> LarsNet:
    """A bank from `<folder>/<stem>/` (see `save`) or the authors' `pretrained_<stem>_unet.pth` at any depth.

    Raises MissingInputError when there is none for any drum, IntegrityError for a file that does not fit.
    """
    nets, digests, authors = {}, {}, True
    for stem in DRUMS:
        published = sorted(folder.rglob(AUTHORS_FILE.format(stem=stem))) if folder.is_dir() else []
        # Networks trained here take precedence over published files in the same folder.
        if (folder / stem / "model.json").is_file():
            nets[stem], digests[stem] = _load_saved(folder / stem)
            authors = False
        elif published:
            nets[stem], digests[stem] = _load_published(published[0])
    if not nets:
        raise MissingInputError(
            f"no weights: put the authors' pretrained_<stem>_unet.pth into {folder}, or train small networks "
            "with `python -m pipelines.larsnet`."
        )
    return LarsNet({stem: net.eval() for stem, net in nets.items()}, files.hash_json(digests), authors)


def _load_saved(folder: Path) -> tuple[UNet, str]:
    from safetensors.torch import load_file

    facts = files.read_json(folder / "model.json")
    path = folder / "weights.safetensors"
    if not path.is_file() or files.sha256(path) != facts["sha256"]:
        raise IntegrityError(f"{path} is not the file that model.json names; train it again.")
    net = UNet(UNetConfig(**facts["unet"]))
    # Stored in 16 bits, used in 32.
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()})
    return net, facts["sha256"]


def _load_published(path: Path) -> tuple[UNet, str]:
    net = UNet(UNetConfig())
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        net.load_state_dict(found.get("model_state_dict", found))
    except Exception as e:  # torch raises many kinds of errors for a foreign pickle
        raise IntegrityError(f"{path} is not a LarsNet checkpoint ({type(e).__name__}).") from e
    return net, files.sha256(path)
