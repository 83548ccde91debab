"""The yardstick must do the same job as what it is held against."""

import numpy as np
import pytest

from benchmarks import _pedalboard_chain as pedalboard_chain
from benchmarks import rmod as bench
from dose.rmod import draw, effects, render
from dose.rmod.mixer import MIX


def _bands(mix):
    """Level in dB of each quarter second in three bands."""
    power = np.abs(np.fft.rfft(mix.mean(axis=0).reshape(16, -1))) ** 2
    return 10 * np.log10(np.stack([p.sum(axis=1) for p in np.split(power, [50, 1000], axis=1)]) + 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("lean", [False, True])
def test_the_plain_chain_makes_nearly_the_same_mix(ranges, library, lean):
    for index in range(4):
        spec = draw(ranges, library, "train", index)
        plain = pedalboard_chain.render_plainly(spec, library, lean)
        assert plain.shape == (2, MIX)
        got, want = _bands(plain), _bands(render(spec, library, ranges).mix)
        # Other compressors and limiters: the same music, not the same samples.
        assert np.corrcoef(got.ravel(), want.ravel())[0, 1] > 0.9


def test_every_step_is_timed_once(ranges, library):
    spec = draw(ranges, library, "train", 0)
    render(spec, library, ranges)
    with bench._steps() as spent:
        render(spec, library, ranges)
    assert spent["EQ"] > 0
    assert spent["reverb"] > 0 or not any(
        p.chain.reverb for p in (*spec.drums.values(), *spec.loops.values())
    )


def test_a_step_within_another_belongs_to_the_outer_one(monkeypatch):
    now = [0.0]

    def spend(seconds, then=lambda: None):
        now[0] += seconds
        then()

    monkeypatch.setattr(bench.time, "process_time", lambda: now[0])
    monkeypatch.setattr(effects, "reverb", lambda: spend(2))
    monkeypatch.setattr(effects, "apply_eq", lambda: spend(1, then=lambda: effects.reverb()))
    monkeypatch.setattr(effects, "limiter_gain", lambda: spend(4))
    with bench._steps() as spent:
        effects.apply_eq()
        effects.limiter_gain()
        spend(8)
    assert {name: seconds for name, seconds in spent.items() if seconds} == {
        "EQ": 3, "limiter": 4, "everything": 15, "the rest": 8,
    }  # fmt: skip
