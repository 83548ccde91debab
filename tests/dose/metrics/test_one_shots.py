"""`prepare`: one second, mono, peak 1, or an error that names the one-shot."""

import numpy as np
import pytest

from dose.errors import AudioError
from dose.metrics.one_shots import prepare


@pytest.mark.parametrize("bad", [np.zeros(10), np.full(100, np.inf), np.zeros((2, 3, 100))])
def test_a_shot_that_cannot_be_prepared_is_named(bad):
    with pytest.raises(AudioError, match="the kick"):
        prepare(bad, "the kick")


def test_preparing_sets_length_peak_and_channels():
    out = prepare(np.stack([np.full(100, 0.2), np.full(100, 0.4)]))
    assert out.shape == (44100,)
    assert out[:100] == pytest.approx(1.0)
    assert out[100:].max() == 0.0
    assert prepare(np.full(100, 1e-6)).max() == 0.0
