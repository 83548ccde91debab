"""The behaviour checks, on extractors that behave and on ones that fail in one way each."""

from types import SimpleNamespace

import numpy as np
import pytest

from dose.errors import AudioError
from dose.registry.behaviour import check, distance_db

RATE = 44100
TIME = np.arange(RATE) / RATE
MIX = np.random.default_rng(0).normal(0, 0.1, (2, 4 * RATE)).astype(np.float32)


def decaying_sine(pitch):
    return (np.sin(2 * np.pi * pitch * TIME) * np.exp(-10 * TIME)).astype(np.float32)


class Model:
    """Returns the same one-shot for every input, which passes every check."""

    def extract(self, sound, rate, *, drums, seed=0):
        if np.abs(sound).max() < 1e-4:
            return self.silence(drums)
        return self.kit(drums, self.one_shot(sound, rate))

    def one_shot(self, sound, rate):
        return decaying_sine(60)

    def silence(self, drums):
        raise AudioError("silent")

    def kit(self, drums, shot, detected=True):
        return SimpleNamespace(hits={d: (SimpleNamespace(audio=shot, detected=detected),) for d in drums})


class GainDependent(Model):
    def one_shot(self, sound, rate):
        return decaying_sine(60 if np.abs(sound).max() < 0.6 else 4000)


class PolarityDependent(Model):
    def one_shot(self, sound, rate):
        return decaying_sine(60 if sound[0, 0] == MIX[0, 0] or sound[0, 0] * MIX[0, 0] > 0 else 4000)


class RateDependent(Model):
    def one_shot(self, sound, rate):
        return decaying_sine(60 if rate == RATE else 4000)


class Late(Model):
    def one_shot(self, sound, rate):
        return np.roll(decaying_sine(60), 4410)


class Silent(Model):
    def one_shot(self, sound, rate):
        return np.zeros(RATE, np.float32)


class FindsDrumsInSilence(Model):
    def silence(self, drums):
        return self.kit(drums, decaying_sine(60))


class ReportsAbsence(Model):
    def silence(self, drums):
        return self.kit(drums, decaying_sine(60), detected=False)


class FindsNothing(Model):
    def kit(self, drums, shot, detected=True):
        return SimpleNamespace(hits=dict.fromkeys(drums, ()))


@pytest.mark.parametrize("model", [Model(), ReportsAbsence()])
def test_an_invariant_model_has_no_faults(model):
    assert check(model, MIX, ("kick", "snare")) == {"kick": [], "snare": []}


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (GainDependent(), "+6 dB gives another sound"),
        (PolarityDependent(), "polarity inverted gives another sound"),
        (RateDependent(), "48000 Hz gives another sound"),
        (Late(), "starts after 100 ms"),
        (Silent(), "is silent"),
        (FindsDrumsInSilence(), "finds kick in silence"),
        (FindsNothing(), "gives no one-shot"),
    ],
)
def test_each_fault_is_found_and_named(model, sentence):
    assert sentence in " ".join(check(model, MIX, ("kick",))["kick"])


def test_the_distance_is_invariant_to_gain_and_polarity():
    assert distance_db(decaying_sine(60), -0.1 * decaying_sine(60)) == pytest.approx(0, abs=1e-3)
    assert distance_db(decaying_sine(60), decaying_sine(4000)) > 12
