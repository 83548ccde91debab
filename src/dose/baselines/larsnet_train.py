"""Trains a LarsNet bank on RMOD's stems, which are rendered on the fly and never repeat.

Two losses. `l1`: mean absolute error between the masked and the reference stem's magnitudes, as in the
LarsNet paper. Its optimum is the median, and a drum is silent in most frames and bins: small networks
collapse to silence. `sdr`: the distortion in dB of the masked spectrum (with the mix's phase), per mix, so
that a soft drum counts like a loud one. Half of it is scale-invariant, because under the plain ratio alone
silence is the best output for a drum 15 dB below its mix. Step s uses the training items s * batch to (s + 1)
* batch, so an interrupted run continues exactly.
"""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dose import files
from dose.baselines.larsnet import UNet, UNetConfig, masks, round_weights, save, spectrum, waveform
from dose.drums import DRUMS
from dose.errors import DoseError
from dose.metrics.one_shots import SILENCE

GRADIENT_CLIP = 5.0  # largest norm of a network's gradient; a default without a study
Example = tuple[np.ndarray, dict[str, np.ndarray]]  # mix [2, N], {stem: [2, N]}
Examples = Callable[[str, int, int], Iterator[Example]]  # split, start, stop
Optimisers = dict[str, torch.optim.Optimizer]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LarsNetConfig:
    """params.yaml: larsnet."""

    unet: UNetConfig
    bins: dict[str, int]  # stem -> bins of its network, where it needs fewer than `unet.bins`
    stems: tuple[str, ...]
    loss: Literal["l1", "sdr"]
    steps: int
    batch: int  # mixes of 4 s
    lr: float  # of Adam, falling to a tenth along a half cosine
    warmup: int  # steps over which the rate rises to `lr`
    seed: int
    held_out: int  # validation mixes for the SDR
    save_every: int  # steps

    def __post_init__(self) -> None:
        if not self.stems or set(self.stems) - set(DRUMS):
            raise ValueError(f"stems must be some of {', '.join(DRUMS)}")
        if set(self.bins) - set(DRUMS):
            raise ValueError(f"bins must be of some of {', '.join(DRUMS)}")
        for stem in self.stems:
            self.unet_of(stem)  # raises for sizes that do not fit
        if not 0 <= self.warmup < self.steps:
            raise ValueError("warmup must be at least 0 and below steps")
        if min(self.steps, self.batch, self.held_out, self.save_every) < 1 or self.lr <= 0:
            raise ValueError("steps, batch, held_out, save_every and lr must be positive")

    def unet_of(self, stem: str) -> UNetConfig:
        return dataclasses.replace(self.unet, bins=self.bins.get(stem, self.unet.bins))

    def rate(self, step: int) -> float:
        """The learning rate of step 0, 1, ...: linear warm-up, then a cosine from `lr` to `lr` / 10."""
        cosine = float(np.cos(np.pi * step / self.steps))
        return self.lr * (0.55 + 0.45 * cosine) * min(1.0, (step + 1) / (self.warmup + 1))


def train(
    config: LarsNetConfig,
    examples: Examples,
    out: Path,
    data_id: str,
    report: Callable[[int, dict[str, float]], None] = lambda *_: None,
) -> dict[str, dict[str, float]]:
    """Writes `out`/<stem>/ for each stem; returns and stores the scores of `held_out_sdr` for each.

    `report` gets the step and the losses by stem. Resumes from `out`/state where the same config and data
    wrote it. Raises DoseError when a loss is not finite.
    """
    torch.manual_seed(config.seed)
    nets = {stem: UNet(config.unet_of(stem)) for stem in config.stems}
    optimisers: Optimisers = {
        stem: torch.optim.Adam(net.parameters(), lr=config.lr) for stem, net in nets.items()
    }
    key = files.hash_json([config, data_id])
    start = _resume(out / "state", key, nets, optimisers)
    for step in range(start, config.steps):
        # Rendered for this step only; no mix is ever repeated.
        batch = list(examples("train", step * config.batch, (step + 1) * config.batch))
        losses = {}
        mixture = spectrum(torch.from_numpy(np.stack([mix for mix, _ in batch])))  # [B, 2, bins, frames]
        for stem, net in nets.items():
            # Each network learns its own stem from the same mixes.
            target = spectrum(torch.from_numpy(np.stack([stems[stem] for _, stems in batch])))
            for group in optimisers[stem].param_groups:
                group["lr"] = config.rate(step)
            losses[stem] = _step(net, optimisers[stem], mixture, target, LOSSES[config.loss])
        report(step + 1, losses)
        # The last step is saved too, so that a finished training is not repeated.
        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            _save_state(out / "state", key, step + 1, nets, optimisers)
    # Scored after rounding, so that the scores in model.json are those of the stored weights.
    for net in nets.values():
        round_weights(net)
    held_out = list(examples("val", 0, config.held_out))
    scores = {stem: held_out_sdr(net, stem, held_out) for stem, net in nets.items()}
    for stem, net in nets.items():
        facts = {"stem": stem, "trained_on": "RMOD", "data_id": data_id, "training": config, **scores[stem]}
        save(net.eval(), out / stem, facts)
    return scores


def l1_loss(mask: Tensor, mixture: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of magnitudes. Spectra complex [B, 2, bins, frames], mask of that shape."""
    return (mask * mixture.abs() - target.abs()).abs().mean()


def sdr_loss(mask: Tensor, mixture: Tensor, target: Tensor) -> Tensor:
    """Mean of -SDR and -SI-SDR in dB, each at least -30, over the mixes with the stem; shapes as above."""
    axes = (1, 2, 3)
    estimate, energy = mask * mixture, target.abs().square().sum(dim=axes)  # energy [B]
    # Mixes without the stem have no SDR. 1.0 of a 4 s mix is -90 dBFS.
    present = energy > 1.0
    # SI-SDR projects the estimate on the target: scaled target energy against the residual's.
    scale = (estimate * target.conj()).real.sum(dim=axes) / energy.clamp_min(1e-6)
    scaled_energy = scale.square() * energy
    error = (target - estimate).abs().square().sum(dim=axes)
    residual = (estimate.abs().square().sum(dim=axes) - scaled_energy).clamp_min(0)
    both = _bounded_db(error, energy) + _bounded_db(residual, scaled_energy)
    return both[present].sum() / (2 * max(1, int(present.sum())))


def _bounded_db(error: Tensor, signal: Tensor) -> Tensor:
    """Energies [B] -> error over signal in dB, at least -30: a perfect mix must not dominate the batch."""
    return 10 * torch.log10((error + 1e-3 * signal + 1e-6) / (signal + 1e-6))


LOSSES = {"l1": l1_loss, "sdr": sdr_loss}


def _step(
    net: UNet,
    optimiser: torch.optim.Optimizer,
    mixture: Tensor,
    target: Tensor,
    loss_function: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> float:
    net.train()
    loss = loss_function(masks(net, mixture.abs()), mixture, target)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), GRADIENT_CLIP)
    optimiser.step()
    value = loss.item()
    if not np.isfinite(value):
        raise DoseError("The separator's loss is not finite any more; lower larsnet.lr.")
    return value


@torch.inference_mode()
def held_out_sdr(net: UNet, stem: str, examples: list[Example]) -> dict[str, float]:
    """{sdr, sdr_gain, si_sdr, si_sdr_gain} in dB: means over mixes; a gain is over the mix as the estimate.

    Both forms, because attenuating the mix alone already raises the plain SDR. Raises DoseError where no mix
    has the stem.
    """
    net.eval()
    scores = []
    for mix, stems in examples:
        reference = stems[stem]
        if np.abs(reference).max() < SILENCE:
            continue
        mixture = spectrum(torch.from_numpy(mix)[None])
        estimate = waveform(masks(net, mixture.abs()) * mixture, mix.shape[-1])[0].numpy()
        plain, invariant = sdr(estimate, reference), si_sdr(estimate, reference)
        scores.append((plain, plain - sdr(mix, reference), invariant, invariant - si_sdr(mix, reference)))
    if not scores:
        raise DoseError(f"No held-out mix has a {stem} to measure; raise larsnet.held_out.")
    names = ("sdr", "sdr_gain", "si_sdr", "si_sdr_gain")
    return dict(zip(names, np.mean(scores, axis=0).tolist(), strict=True))


def sdr(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Signal-to-distortion ratio, 10 log10(|reference|^2 / |reference - estimate|^2) over channels, in dB."""
    error = float(np.square(reference - estimate, dtype=np.float64).sum())
    return float(10 * np.log10(np.square(reference, dtype=np.float64).sum() / max(error, 1e-20)))


def si_sdr(estimate: np.ndarray, reference: np.ndarray) -> float:
    """SDR (dB) to the reference scaled to fit the estimate best. Source: Le Roux et al., ICASSP 2019."""
    scale = np.vdot(estimate, reference) / max(float(np.vdot(reference, reference)), 1e-20)
    return sdr(estimate, reference * scale)


def _save_state(folder: Path, key: str, step: int, nets: dict[str, UNet], optimisers: Optimisers) -> None:
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    for stem, net in nets.items():
        tensors |= {f"{stem}/net/{k}": v.contiguous() for k, v in net.state_dict().items()}
        for number, moments in optimisers[stem].state_dict()["state"].items():
            tensors |= {f"{stem}/adam/{number}/{k}": v for k, v in moments.items()}
    with files.atomic(folder) as beside:
        beside.mkdir(parents=True)
        save_file(tensors, beside / "tensors.safetensors")
        files.write_json(beside / "state.json", {"key": key, "step": step})


def _resume(folder: Path, key: str, nets: dict[str, UNet], optimisers: Optimisers) -> int:
    """Loads a saved state of the same `key` into networks and optimisers; returns its step, else 0."""
    from safetensors.torch import load_file

    if not (folder / "state.json").is_file() or files.read_json(folder / "state.json")["key"] != key:
        return 0
    tensors = load_file(folder / "tensors.safetensors")
    for stem, net in nets.items():
        # Names are <stem>/net/<parameter> and <stem>/adam/<parameter number>/<moment>.
        of_stem = {k.removeprefix(f"{stem}/"): v for k, v in tensors.items() if k.startswith(f"{stem}/")}
        net.load_state_dict({k.removeprefix("net/"): v for k, v in of_stem.items() if k.startswith("net/")})
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in of_stem.items():
            if name.startswith("adam/"):
                _, number, field = name.split("/")
                state.setdefault(int(number), {})[field] = value
        groups = optimisers[stem].state_dict()["param_groups"]
        optimisers[stem].load_state_dict({"state": state, "param_groups": groups})
    return int(files.read_json(folder / "state.json")["step"])
