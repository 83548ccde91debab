"""Source blending: takes the drum's sound from the input mix where it is unmasked, the sample's elsewhere.

A sample has the expected band energies, but its fine structure is made up. At an onset the input mix holds
the drum itself, with other sounds on top. A time-frequency mask as in source separation, computed from the
expected spectrogram of one hit, passes as much of the mix as the drum can be; the sample fills the rest.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from dose.audio import RATE
from dose.dsp.onset import attack_envelope
from dose.dsp.stft import istft, stft
from dose.extract import spectral_match
from dose.extract.segments import Segment
from dose.tokens import band_energies

# Constants without a note on their source were chosen by hand.
ONSET_TOLERANCE = int(0.0136 * RATE)  # samples by which a detected onset may be early or late
ALIGN_STEP = 32  # samples: resolution of the alignment, 0.7 ms
ALIGN_BEFORE, ALIGN_ATTACK = 8 * ALIGN_STEP, 4096  # samples that are aligned: silence, then the attack
COMPARED_FRAMES = 20  # of 512 samples, 0.23 s: what of a hit is compared with the expectation
AUDIBLE = 1e-3  # power relative to the loudest, -30 dB: only louder bands are compared
SILENT = spectral_match.FLOOR**4  # power: where less is expected, nothing is taken from the mix
MAX_DEVIATION = 3.0  # nepers of power: larger deviations of a band count as this
LIKELIHOOD_WEIGHT = 0.3  # nepers of misfit that an onset likelihood of 1 offsets
# Misfit in nepers: up to the first a hit is trusted fully, from the second on not at all.
FULL_TRUST, NO_TRUST = 0.9, 1.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceSegment:
    """A hit in the input mix, aligned with the sample and scaled to the expectation's level."""

    sound: np.ndarray  # float32 [N]
    power: np.ndarray  # [BANDS, T], relative to the expectation's loudest
    trust: float  # 0..1
    hits: int = 1  # of the mix that it is the average of


def source_segments(
    shot: np.ndarray, expected: np.ndarray, segments: Sequence[Segment]
) -> list[SourceSegment]:
    """The hits of `segments` that resemble `expected` [BANDS, T], best first, aligned with `shot` [N].

    The best one deviates least from the expectation, so the drum is least masked in it.
    """
    wanted, found = band_energies.expand_power(expected), list[tuple[float, SourceSegment]]()
    for segment in segments:
        # Padded so that hits at both ends have room for the search and for the whole length.
        mono = np.pad(segment.mono, (ALIGN_BEFORE + ONSET_TOLERANCE, ONSET_TOLERANCE + len(shot)))
        for onset, likelihood in zip(segment.onsets, segment.likelihood, strict=True):
            around = mono[onset : onset + ALIGN_BEFORE + 2 * ONSET_TOLERANCE + len(shot)]
            sound = around[_align(around, shot) :][: len(shot)]
            power = band_energies.one_shot_band_energies(sound[None], expected.shape[1])[0]  # [BANDS, T]
            level, misfit = misfit_of(power, wanted)
            misfit -= LIKELIHOOD_WEIGHT * likelihood
            if misfit < NO_TRUST:
                source = SourceSegment(
                    sound=sound / np.sqrt(level), power=power / level, trust=trust_of(misfit)
                )
                found.append((misfit, source))
    return [source for _, source in sorted(found, key=lambda pair: pair[0])]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blend:
    audio: np.ndarray  # float32 [N]
    source_energy_ratio: float  # 0..1: share of the energy that was taken from the input mix


def blend_source(shot: np.ndarray, expected: np.ndarray, source: SourceSegment) -> Blend:
    """The sample `shot` [N] with as much of `source` as the mask of `expected` [BANDS, T] lets through."""
    top = float(band_energies.one_shot_band_energies(shot[None], expected.shape[1]).max(initial=0.0))
    if top == 0:
        return Blend(audio=shot, source_energy_ratio=0.0)
    wanted = np.maximum(band_energies.expand_power(expected) - SILENT, 0)
    generated, real = stft(shot / np.sqrt(top)), stft(source.sound)  # [bins, columns]
    gain = source_mask(source, wanted, generated.shape[1])
    from_source = source.trust * gain * real
    from_sample = (1 - source.trust * gain) * generated
    source_energy, sample_energy = (float(part.abs().square().sum()) for part in (from_source, from_sample))
    blended = istft(from_source + from_sample, len(shot))
    return Blend(
        audio=spectral_match.silence_before_attack(blended, shot),
        source_energy_ratio=source_energy / (source_energy + sample_energy),
    )


def source_mask(source: SourceSegment, wanted: np.ndarray, columns: int) -> Tensor:
    """Mask of magnitudes on the grid of `dsp.stft`, [bins, columns], from the wanted band powers [BANDS, T].

    1 where the mix is no louder than the drum alone is expected to be.
    """
    return spectral_match.stft_gains(np.sqrt(np.clip(wanted / (source.power + 1e-9), 0, 1)), columns)


def _align(around: np.ndarray, shot: np.ndarray) -> int:
    """The sample of `around` at which a sound begins that rises as the sample `shot` does.

    Cross-correlation of attack envelopes at every ALIGN_STEP samples, from ALIGN_BEFORE to ALIGN_BEFORE +
    2 * ONSET_TOLERANCE. The silence before the sample is part of the comparison: without it, a decay matches
    itself however late it is entered.
    """
    template = attack_envelope(np.pad(shot[:ALIGN_ATTACK], (ALIGN_BEFORE, 0)), ALIGN_STEP)
    envelope = attack_envelope(around[: ALIGN_BEFORE + 2 * ONSET_TOLERANCE + ALIGN_ATTACK], ALIGN_STEP)
    views = np.lib.stride_tricks.sliding_window_view(envelope, len(template))  # [positions, len(template)]
    similarity = views @ template / (np.linalg.norm(views, axis=1) + 1e-9)
    return ALIGN_BEFORE + int(similarity.argmax()) * ALIGN_STEP


def trust_of(misfit: float) -> float:
    """How far a hit of this misfit (nepers) is trusted, 0..1."""
    return float(np.clip((NO_TRUST - misfit) / (NO_TRUST - FULL_TRUST), 0, 1))


def misfit_of(power: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Level and misfit of a hit's band powers [BANDS, T] against the wanted ones.

    The level is the weighted median of their ratios, robust against bands that other sounds mask. The misfit
    is the weighted mean deviation from it in nepers. Weights are the wanted magnitudes.
    """
    early = wanted[:, :COMPARED_FRAMES]
    audible = early > AUDIBLE
    if not audible.any():
        return 1.0, np.inf
    log_ratio = np.log(power[:, :COMPARED_FRAMES][audible] + 1e-12) - np.log(early[audible])
    weight = np.sqrt(early[audible])
    # Weighted median: the ratio at which half of the total weight is reached.
    order = np.argsort(log_ratio)
    cumulative = np.cumsum(weight[order])
    median = float(log_ratio[order][np.searchsorted(cumulative, cumulative[-1] / 2)])
    deviation = np.minimum(np.abs(log_ratio - median), MAX_DEVIATION)
    return float(np.exp(median)), float((deviation * weight).sum() / weight.sum())
