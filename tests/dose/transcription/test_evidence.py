"""The evidence for a drum: its likely hits, and the drums that are taken for it."""

import numpy as np
import pytest

from dose.transcription.evidence import evidence
from dose.transcription.hits import HIT_CLASSES
from dose.transcription.transcribe import Activations


def activations(**hits: list[tuple[int, float]]) -> Activations:
    """Class -> (frame, probability) of its hits in 4 s."""
    onsets = np.zeros((len(HIT_CLASSES), 401))
    for name, own in hits.items():
        for frame, probability in own:
            onsets[HIT_CLASSES.index(name), frame] = probability
    return Activations(onsets=onsets, velocities=np.zeros_like(onsets))


def test_likely_hits_highest_first():
    found = evidence(activations(kick=[(50, 0.6), (150, 0.95), (250, 0.2), (300, 0.01)]), "kick")
    assert found.probabilities == pytest.approx((0.95, 0.6, 0.2))
    assert found.rival == 0


def test_closed_and_open_hi_hats_are_one_drum():
    found = evidence(activations(closed_hihat=[(50, 0.4)], open_hihat=[(50, 0.5)]), "hihat")
    assert found.probabilities == pytest.approx((1 - 0.6 * 0.5,))


def test_a_clap_at_the_snares_hits_is_a_rival_and_one_elsewhere_is_none():
    snare = [(50, 0.8), (250, 0.8)]
    assert evidence(activations(snare=snare, clap=[(51, 0.9)]), "snare").rival == pytest.approx(0.45)
    assert evidence(activations(snare=snare, clap=[(120, 0.9)]), "snare").rival == 0
    assert evidence(activations(snare=[(50, 0.3)], clap=[(50, 0.9)]), "snare").rival == 0  # no certain snare


def test_nothing_speaks_for_an_absent_drum_and_an_unknown_one_is_refused():
    assert evidence(activations(), "snare").probabilities == ()
    with pytest.raises(ValueError, match="cowbell"):
        evidence(activations(), "cowbell")
