"""The resynthesis score: high for the sounds that a mix was made of, lower for others, none without hits."""

import numpy as np
import pytest
from extract_beat import RATE

from dose.drums import DRUMS
from dose.extract.resynthesis import (
    VELOCITY_POWER,
    explained,
    onset_energies,
    resynthesis,
    resynthesis_scores,
)
from dose.extract.segments import Segment
from dose.transcription.front_end import FRAME_RATE
from dose.transcription.hits import HIT_CLASSES, Hit
from dose.transcription.transcribe import Activations
from dose.transcription.windows import WINDOW

CLASS = {"kick": "kick", "snare": "snare", "hihat": "closed_hihat"}
Hits = dict[str, list[tuple[float, int]]]  # drum -> (seconds, velocity)


def _shots(seed: int) -> dict[str, np.ndarray]:
    """One-shots of one second, float32 [N]: each drum in its own range, of a colour that the seed draws."""
    rng, t = np.random.default_rng(seed), np.arange(RATE) / RATE
    noise = rng.normal(size=len(t))
    decay = {"kick": rng.uniform(12, 30), "snare": rng.uniform(15, 40), "hihat": rng.uniform(30, 90)}
    kick = np.sin(2 * np.pi * rng.uniform(40, 110) * t)
    snare = 0.3 * noise + np.sin(2 * np.pi * rng.uniform(180, 420) * t)
    hihat = 0.3 * np.diff(noise, prepend=0.0)
    sounds = {"kick": kick, "snare": snare, "hihat": hihat}
    return {d: (0.5 * x * np.exp(-t * decay[d])).astype(np.float32) for d, x in sounds.items()}


def _hits(seed: int) -> Hits:
    """A groove of 4 s whose hits stand at least 0.15 s apart, whatever the drum: none covers another."""
    rng = np.random.default_rng(seed)
    places = np.round(rng.permutation(np.arange(1, 24)) * 0.16 * FRAME_RATE) / FRAME_RATE
    of_drum = {"kick": places[:6], "snare": places[6:10], "hihat": places[10:20]}
    return {
        drum: [(float(s), int(rng.integers(40, 128))) for s in np.sort(own)] for drum, own in of_drum.items()
    }


def _mix(shots: dict[str, np.ndarray], hits: Hits) -> np.ndarray:
    mix = np.zeros(WINDOW, np.float32)
    for drum, own in hits.items():
        for seconds, velocity in own:
            start = round(seconds * RATE)
            sound = shots[drum][: WINDOW - start]
            mix[start : start + len(sound)] += (velocity / 127) ** VELOCITY_POWER * sound
    return mix


def _segment(mix: np.ndarray, hits: Hits) -> Segment:
    """The mix with the activations of a network that is right and certain."""
    onsets = np.zeros((len(HIT_CLASSES), int(4 * FRAME_RATE) + 1))
    velocities = np.zeros_like(onsets)
    for drum, own in hits.items():
        for seconds, velocity in own:
            where = HIT_CLASSES.index(CLASS[drum]), round(seconds * FRAME_RATE)
            onsets[where], velocities[where] = 1.0, velocity / 127
    return Segment(
        audio=mix[None],
        start=0,
        onsets=tuple(round(s * RATE) for s, _ in hits.get("kick", ())),
        likelihood=(),
        onset_snr=(),
        activations=Activations(onsets=onsets, velocities=velocities),
    )


@pytest.mark.parametrize("seed", range(8))
def test_the_sounds_of_the_mix_explain_it(seed):
    shots, hits = _shots(seed), _hits(seed)
    scores = resynthesis_scores(shots, [_segment(_mix(shots, hits), hits)])
    assert set(scores) == set(DRUMS)
    assert all(0.9 < score <= 1 for score in scores.values()), scores


@pytest.mark.parametrize("seed", range(8))
def test_other_sounds_explain_less(seed):
    shots, hits = _shots(seed), _hits(seed)
    segment = _segment(_mix(shots, hits), hits)
    own = resynthesis_scores(shots, [segment])
    # Sounds of another colour, and each drum's place taken by another drum.
    other = resynthesis_scores(_shots(seed + 100), [segment])
    turned = {"kick": shots["hihat"], "snare": shots["kick"], "hihat": shots["snare"]}
    swapped = resynthesis_scores(turned, [segment])
    for drum in DRUMS:
        assert other[drum] < own[drum]
        assert swapped[drum] < own[drum] - 0.1


def test_level_does_not_matter_but_sound_at_the_hits_does():
    shots, hits = _shots(1), _hits(1)
    mix = _mix(shots, hits)
    loud = {d: 3 * x for d, x in shots.items()}
    quiet, louder = (resynthesis_scores(s, [_segment(mix, hits)]) for s in (shots, loud))
    assert louder == pytest.approx(quiet, abs=1e-3)
    late = {d: [(s + 0.05, v) for s, v in own] for d, own in hits.items()}
    assert all(
        score < quiet[drum] for drum, score in resynthesis_scores(shots, [_segment(mix, late)]).items()
    )


def test_nothing_is_scored_without_hits_or_sound():
    shots, hits = _shots(2), _hits(2)
    mix = _mix(shots, hits)
    assert resynthesis_scores(shots, []) == {}
    assert resynthesis_scores(shots, [_segment(mix, {})]) == {}
    assert resynthesis_scores(shots, [_segment(np.zeros_like(mix), hits)]) == {}
    assert resynthesis_scores({}, [_segment(mix, hits)]) == {}
    # Only the drums with hits are scored.
    assert set(resynthesis_scores(shots, [_segment(mix, {"kick": hits["kick"]})])) == {"kick"}


def test_a_single_one_shot_explains_its_own_onsets_best():
    shots = _shots(3)
    hits: Hits = {"kick": [(0.5, 127), (1.5, 60), (2.5, 90)]}
    onsets = onset_energies([_segment(_mix(shots, hits), hits)], "kick")
    assert len(onsets) == 3
    # Each onset takes its own gain: velocities do not matter.
    own = explained(shots["kick"], onsets, "kick")
    assert own > 0.95
    assert explained(_shots(4)["kick"], onsets, "kick") < own
    assert explained(shots["hihat"], onsets, "kick") < 0.8
    assert explained(shots["kick"], [], "kick") == 0.0
    assert explained(np.zeros(RATE, np.float32), onsets, "kick") == 0.0


def test_the_right_kit_played_at_its_hits_is_the_mix():
    shots, hits = _shots(3), _hits(3)
    levels = {"kick": 1.0, "snare": 0.4, "hihat": 0.2}
    mix = _mix({drum: levels[drum] * shot for drum, shot in shots.items()}, hits)
    found = [
        Hit(seconds=s, drum=CLASS[drum], velocity=v, probability=1.0)
        for drum, own in hits.items()
        for s, v in own
    ]
    played = resynthesis(shots, found, mix)
    assert played.shape == mix.shape
    assert np.square(played - mix).sum() < 0.05 * np.square(mix).sum()
    assert not resynthesis(shots, [], mix).any()
