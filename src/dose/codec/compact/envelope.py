"""The level of each band in dB: measured, searched in codebooks 0 and 1, packed into the first two codes."""

import dataclasses

import torch
from torch import Tensor

from dose.codec import quantise
from dose.codec.compact.attack import attack_gain
from dose.codec.compact.bands import BandLayout
from dose.codec.compact.config import CompactConfig

FIRST_CANDIDATES = 8  # entries of codebook 0 whose best partner in codebook 1 is tried


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameFeatures:
    """What the analysis measures in F frames."""

    attack: Tensor  # int64 [F], index of the attack curve
    flattened: Tensor  # float64 [F, HOP], folded samples divided by the attack curve
    band_db: Tensor  # float64 [F, bands]
    weights: Tensor  # float64 [F, bands], how much an error of a band's level matters


def measure(folded: Tensor, attack: Tensor, curves: Tensor, layout: BandLayout, dct: Tensor) -> FrameFeatures:
    """Features of folded samples float64 [F, HOP] whose attacks are [F] of the known curves [J, STEPS]."""
    config = layout.config
    # 1. Divide by the attack curve; gated samples (gain 0) are zero.
    gain = attack_gain(curves[attack])
    flattened = (folded / gain).where(gain > 0, torch.zeros(()).double())
    # 2. Mean power of the MDCT coefficients of each band, in dB.
    power = torch.zeros(len(flattened), config.bands, dtype=torch.float64)
    power.index_add_(1, layout.band_of, (flattened @ dct).square())
    db = 10 * torch.log10(power / layout.band_sizes + 1e-12)
    # 3. Weights fall with the distance to the loudest band: 1 there, 0.04 from 48 dB below on. No study.
    below = db - db.amax(-1, keepdim=True)
    weights = (1 + below / 60).clamp_min(0.2) ** 2
    weights[:, config.waveform_bands :] *= config.noise_level_weight
    # 4. Limit the dynamic range; -100 dB stands for silence in the first codebook.
    db = torch.maximum(db, db.amax(-1, keepdim=True) - config.dynamic_range_db).clamp_min(-100)
    return FrameFeatures(attack=attack, flattened=flattened, band_db=db, weights=weights)


def search(features: FrameFeatures, books: Tensor, layout: BandLayout) -> Tensor:
    """Entries int64 [F, 2] of the envelope books [2, N, bands].

    Entry 0 of the first book is reserved for silence: no sounding frame gets it. Frames with a hit have
    entries of their own in the second book.
    """
    config, weighting = layout.config, layout.envelope_weighting
    out = torch.zeros(len(features.attack), 2, dtype=torch.long)
    for rises, entries in (
        (features.attack == 0, slice(0, config.plain_entries)),
        (features.attack > 0, slice(config.plain_entries, config.plain_entries + config.levels_per_attack)),
    ):
        rows = rises.nonzero()[:, 0]
        x, weights = features.band_db[rows], features.weights[rows]
        # The nearest entries of book 0, [F, 8], and what each leaves, [F, 8, bands].
        first = quantise.nearest_entries(x, books[0, 1:], weighting, weights, FIRST_CANDIDATES) + 1
        residual = x[:, None] - books[0].double()[first]
        # The best entry of book 1 for each of them, and the pair with the smallest error.
        second = books[1, entries]
        flat = residual.reshape(-1, residual.shape[-1])  # [F * 8, bands]
        repeated = weights.repeat_interleave(first.shape[1], 0)
        entry = quantise.nearest_entries(flat, second, weighting, repeated, 1)[:, 0]
        cost = (repeated * (flat - second.double()[entry]) ** 2).sum(-1).reshape(first.shape)
        best = cost.argmin(-1, keepdim=True)
        entry = entry.reshape(first.shape).gather(1, best)[:, 0]
        out[rows] = torch.stack([first.gather(1, best)[:, 0], entry + (entries.start or 0)], -1)
    return out


def pack_codes(entries: Tensor, attack: Tensor, config: CompactConfig) -> Tensor:
    """Envelope entries [F, 2] and attacks [F] to the first two codes, [F, 2].

    Code 1 is the entry itself for attacks 0 and 1 (no hit, a hit on the boundary), and is shifted by
    `levels_per_attack` for each further attack curve.
    """
    shifted = entries[:, 1] + (attack - 1) * config.levels_per_attack
    second = entries[:, 1].where(attack == 0, shifted)
    return torch.stack([entries[:, 0], second], dim=-1)


def unpack_codes(codes: Tensor, config: CompactConfig) -> tuple[Tensor, Tensor]:
    """Inverse of `pack_codes`: codes [F, 2] to entries [F, 2] and attacks [F]."""
    over = codes[:, 1] - config.plain_entries
    attack = torch.where(over >= 0, over // config.levels_per_attack + 1, 0)
    entry = torch.where(over >= 0, config.plain_entries + over % config.levels_per_attack, codes[:, 1])
    return torch.stack([codes[:, 0], entry], dim=-1), attack
