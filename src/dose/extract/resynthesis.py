"""The check without a reference: how much of a mix's drum onsets a kit explains when it plays the groove.

A one-shot that is right, played where the drum is hit, adds the energy that the mix gains there. The score is
the share of the mix's onset energy (what is added to the background, band by band and frame by frame) that
the kit's own onsets cover, in the bands of each drum.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from dose.audio import RATE
from dose.dsp.mel import BANDS, HOP, drum_bands, mel_magnitudes
from dose.dsp.onset import background
from dose.extract.postprocess import attack_start
from dose.extract.segments import Segment
from dose.transcription.decode import decode
from dose.transcription.hits import DRUM_OF, Hit

SPAN = 14  # frames of 5.8 ms, 81 ms: as long as an onset's energy is compared; by hand
# Amplitude = (velocity / 127) ** power, between the linear and the square law of samplers; by hand.
VELOCITY_POWER = 1.5


def onset_energies(segments: Sequence[Segment], drum: str) -> list[np.ndarray]:
    """What each chosen onset of the segments adds to the mix in the drum's bands: powers [bands, SPAN]."""
    own, found = drum_bands(drum), []
    for segment in segments:
        magnitudes = mel_magnitudes(segment.mono)
        found += [_onset_power(magnitudes, onset // HOP)[own] for onset in segment.onsets]
    return found


def explained(shot: np.ndarray, onsets: Sequence[np.ndarray], drum: str) -> float:
    """The share 0..1 of `onset_energies` that a single one-shot [N] explains; 0 without onsets.

    Each onset takes the gain at which it fits best, so that sounds are compared, not velocities.
    """
    power = _onset_power(mel_magnitudes(shot[attack_start(shot) :][: SPAN * HOP]), 0)[drum_bands(drum)]
    square, covered, total = max(float((power**2).sum()), 1e-12), 0.0, 0.0
    for added in onsets:
        gain = float((added * power).sum()) / square
        covered += float(np.minimum(gain * power, added).sum())
        total += float(added.sum())
    return covered / total if total > 0 else 0.0


def resynthesis_scores(shots: Mapping[str, np.ndarray], segments: Sequence[Segment]) -> dict[str, float]:
    """Drum -> share 0..1 of the onset energy in its bands that the whole kit explains, playing the groove.

    `shots` are one-shots [N] of the drums in the kit. Every segment is rendered with its own hits and
    velocities; one gain per drum and segment brings the kit to the mix's level. A drum without hits is left
    out.
    """
    covered, total = dict.fromkeys(shots, 0.0), dict.fromkeys(shots, 0.0)
    for segment in segments:
        if segment.activations is None:
            continue
        hits = decode(segment.activations.onsets, segment.activations.velocities)
        mix = mel_magnitudes(segment.mono)
        # 1. Each drum's hits, rendered and levelled.
        rendered = np.zeros_like(mix)
        frames: dict[str, list[int]] = {}
        for drum, shot in shots.items():
            own = [h for h in hits if DRUM_OF.get(h.drum) == drum]
            frames[drum] = _frames(own, mix)
            part = mel_magnitudes(_played(shot, own, segment.mono.size)) ** 2
            rendered += part * _gain(part, mix, frames[drum], drum_bands(drum))
        # 2. What the sum covers at each drum's hits, in the drum's bands.
        for drum in shots:
            bands = drum_bands(drum)
            for frame in frames[drum]:
                added = _onset_power(mix, frame)[bands]
                covered[drum] += float(np.minimum(_cut(rendered, frame)[bands], added).sum())
                total[drum] += float(added.sum())
    return {drum: covered[drum] / total[drum] for drum in shots if total[drum] > 0}


def resynthesis(shots: Mapping[str, np.ndarray], hits: Sequence[Hit], mono: np.ndarray) -> np.ndarray:
    """The kit playing the groove, each drum at its level in the mix [N]: float32 [N]."""
    mix, out = mel_magnitudes(mono), np.zeros(mono.size, np.float32)
    for drum, shot in shots.items():
        own = [h for h in hits if DRUM_OF.get(h.drum) == drum and h.seconds * RATE < mono.size]
        part = _played(shot, own, mono.size)
        gain = _gain(mel_magnitudes(part) ** 2, mix, _frames(own, mix), drum_bands(drum))
        out += part * np.float32(np.sqrt(gain))
    return out


def _frames(hits: Sequence[Hit], mix: np.ndarray) -> list[int]:
    """The frame of each hit in a mix's magnitudes [BANDS, T]."""
    return [min(int(h.seconds * RATE) // HOP, mix.shape[1] - 1) for h in hits]


def _played(shot: np.ndarray, hits: Sequence[Hit], samples: int) -> np.ndarray:
    """The hits of one one-shot, float32 [samples]."""
    sound = shot[attack_start(shot) :]
    out = np.zeros(samples, np.float32)
    for hit in hits:
        start = int(hit.seconds * RATE)
        piece = sound[: max(samples - start, 0)]
        out[start : start + len(piece)] += piece * np.float32((hit.velocity / 127) ** VELOCITY_POWER)
    return out


def _gain(part: np.ndarray, mix: np.ndarray, frames: Sequence[int], bands: np.ndarray) -> float:
    """The gain on power at which a drum's rendered power [BANDS, T] fits the mix best, in its bands."""
    product = square = 0.0
    for frame in frames:
        played = _cut(part, frame)[bands]
        product += float((played * _onset_power(mix, frame)[bands]).sum())
        square += float((played**2).sum())
    return product / square if square > 0 else 0.0


def _onset_power(magnitudes: np.ndarray, frame: int) -> np.ndarray:
    """The power [BANDS, SPAN] that magnitudes [BANDS, T] gain over the background before `frame`."""
    before = np.median(background(magnitudes, frame), axis=1, keepdims=True) if frame else 0.0
    added: np.ndarray = np.maximum(_cut(magnitudes, frame) ** 2 - np.square(before), 0)
    return added


def _cut(values: np.ndarray, frame: int) -> np.ndarray:
    """SPAN frames of [BANDS, T] from `frame` on, zeros past the end."""
    part = values[:, frame : frame + SPAN]
    out = np.zeros((BANDS, SPAN), values.dtype)
    out[:, : part.shape[1]] = part
    return out
