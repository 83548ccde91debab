"""The network: shapes, storage, and features that do not depend on level."""

import json

import numpy as np
import pytest
import torch

from dose.errors import IntegrityError, MissingInputError
from dose.transcription import network
from dose.transcription.front_end import BANDS, HOP, log_band_energies
from dose.transcription.hits import HIT_CLASSES
from dose.transcription.network import NetworkConfig, TranscriptionNetwork

SMALL = NetworkConfig(channels=(4, 4, 4, 4), features=8, hidden=4, layers=1)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return TranscriptionNetwork(SMALL).eval()


def test_features_ignore_the_level_and_see_the_pitch():
    t = torch.arange(44100) / 44100
    low, high = (torch.sin(2 * torch.pi * hz * t)[None] for hz in (60.0, 8000.0))
    features = log_band_energies(low)
    assert features.shape == (1, BANDS, 44100 // HOP + 1)
    assert torch.allclose(features, log_band_energies(0.01 * low), atol=1e-3)
    # The middle of the sound, away from its edges.
    assert features[0, :, 50].argmax() < 24 <= log_band_energies(high)[0, :, 50].argmax()
    assert torch.isfinite(log_band_energies(torch.zeros(1, 44100))).all()


def test_output_shapes_and_calibration(net):
    x = torch.randn(2, BANDS, 30)
    with torch.no_grad():
        onsets, velocities = net(x)
        assert onsets.shape == velocities.shape == (2, len(HIT_CLASSES), 30)
        net.shift[1], net.scale[1] = 0.5, 2.0
        moved, same = net(x)
    assert torch.allclose(moved[:, 1], 2 * (onsets[:, 1] + 0.5))
    assert torch.equal(moved[:, 0], onsets[:, 0])
    assert torch.equal(same, velocities)


def test_a_stored_network_is_the_same(net, tmp_path):
    network.save(net, tmp_path, {"steps": 3})
    again = network.load(tmp_path)
    x = torch.randn(1, BANDS, 40)
    with torch.no_grad():
        assert torch.allclose(again(x)[0], net(x)[0], atol=0.02)  # stored in half precision
    assert json.loads((tmp_path / network.CARD).read_text())["steps"] == 3
    assert not again.training


@pytest.mark.parametrize("damage", ["format", "classes", "weights", "sizes"])
def test_what_is_no_network_is_refused(net, tmp_path, damage):
    network.save(net, tmp_path, {})
    card = json.loads((tmp_path / network.CARD).read_text())
    if damage == "weights":
        (tmp_path / network.WEIGHTS).write_bytes(b"no tensors")
    else:
        card[damage] = {"format": 99, "classes": ["cowbell"], "sizes": {**card["sizes"], "hidden": 5}}[damage]
        (tmp_path / network.CARD).write_text(json.dumps(card))
    with pytest.raises(IntegrityError, match="no transcription network"):
        network.load(tmp_path)


def test_a_network_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"network\.json is missing"):
        network.load(tmp_path)


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="at least 1"):
        NetworkConfig(hidden=0)


def test_frames_do_not_depend_on_the_other_items_of_a_batch(net):
    x = torch.randn(3, BANDS, 30)
    with torch.no_grad():
        together = net(x)[0]
        alone = torch.cat([net(row[None])[0] for row in x])
    assert np.allclose(together, alone, atol=1e-5)
