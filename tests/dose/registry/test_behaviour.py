"""The behaviour checks, on extractors that behave and on ones that fail in one way each."""

from types import SimpleNamespace

import numpy as np
import pytest

from dose.errors import AudioError
from dose.registry.behaviour import check, distance_db

RATE = 44100
TIME = np.arange(RATE) / RATE
MIX = np.random.default_rng(0).normal(0, 0.1, (2, 4 * RATE)).astype(np.float32)


def thump(pitch):
    return (np.sin(2 * np.pi * pitch * TIME) * np.exp(-10 * TIME)).astype(np.float32)


class Model:
    """Answers every sound with the same thump, as a good model would here."""

    def extract(self, sound, rate, *, drums, seed=0):
        if np.abs(sound).max() < 1e-4:
            return self.silence(drums)
        return self.kit(drums, self.answer(sound, rate))

    def answer(self, sound, rate):
        return thump(60)

    def silence(self, drums):
        raise AudioError("silent")

    def kit(self, drums, shot, detected=True):
        return SimpleNamespace(hits={d: (SimpleNamespace(audio=shot, detected=detected),) for d in drums})


class Louder(Model):
    def answer(self, sound, rate):
        return thump(60 if np.abs(sound).max() < 0.6 else 4000)


class Turned(Model):
    def answer(self, sound, rate):
        return thump(60 if sound[0, 0] == MIX[0, 0] or sound[0, 0] * MIX[0, 0] > 0 else 4000)


class Rated(Model):
    def answer(self, sound, rate):
        return thump(60 if rate == RATE else 4000)


class Late(Model):
    def answer(self, sound, rate):
        return np.roll(thump(60), 4410)


class Quiet(Model):
    def answer(self, sound, rate):
        return np.zeros(RATE, np.float32)


class Imagining(Model):
    def silence(self, drums):
        return self.kit(drums, thump(60))


class Modest(Model):
    def silence(self, drums):
        return self.kit(drums, thump(60), detected=False)


class Deaf(Model):
    def kit(self, drums, shot, detected=True):
        return SimpleNamespace(hits=dict.fromkeys(drums, ()))


@pytest.mark.parametrize("model", [Model(), Modest()])
def test_a_model_that_behaves_has_nothing_against_it(model):
    assert check(model, MIX, ("kick", "snare")) == {"kick": [], "snare": []}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Louder(), "+6 dB gives another sound"),
        (Turned(), "polarity turned gives another sound"),
        (Rated(), "48000 Hz gives another sound"),
        (Late(), "starts after 100 ms"),
        (Quiet(), "is silent"),
        (Imagining(), "finds kick in silence"),
        (Deaf(), "gives no one-shot"),
    ],
)
def test_each_fault_is_found_and_named(model, said):
    assert said in " ".join(check(model, MIX, ("kick",))["kick"])


def test_the_distance_knows_no_gain_and_no_polarity():
    assert distance_db(thump(60), -0.1 * thump(60)) == pytest.approx(0, abs=1e-3)
    assert distance_db(thump(60), thump(4000)) > 12
