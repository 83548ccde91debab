"""Training: data as pure functions, targets at hits, a loss that falls, and resuming to the same network."""

import dataclasses

import numpy as np
import pytest
import torch

from dose.transcription import data, train
from dose.transcription.calibrate import calibrate, matched, outputs, scores
from dose.transcription.config import TrainConfig
from dose.transcription.data import Shard
from dose.transcription.front_end import BANDS, FRAME_RATE
from dose.transcription.hits import HIT_CLASSES
from dose.transcription.network import NetworkConfig, TranscriptionNetwork

SMALL = NetworkConfig(channels=(4, 4, 4, 4), features=8, hidden=8, layers=1)
CONFIG = TrainConfig(
    mixes=8,
    val=4,
    paper_share=0.0,
    init="random",
    steps=12,
    batch=4,
    lr=0.02,
    ema=0.5,
    evaluate_every=4,
    workers=1,
    seed=0,
)


def blips(mixes: int, seed: int = 0) -> Shard:
    """Features in which class c sounds as a burst in bands 10 c .. 10 c + 8, at random times."""
    rng = np.random.default_rng(seed)
    features = np.full((mixes, BANDS, 420), -1.5, np.float16)
    rows = []
    for mix in range(mixes):
        for cls in range(3):
            for at in np.sort(rng.choice(np.arange(20, 400, 25), 6, replace=False)):
                features[mix, 10 * cls : 10 * cls + 8, at : at + 6] = np.linspace(1.5, 0, 6)
                rows.append((mix, cls, at / FRAME_RATE, 100))
    table = np.array(rows)
    return Shard(
        features=features,
        mix=table[:, 0].astype(np.int32),
        cls=table[:, 1].astype(np.int8),
        seconds=table[:, 2].astype(np.float32),
        velocity=table[:, 3].astype(np.uint8),
        audible=np.ones(len(table), bool),
    )


def test_targets_peak_at_hits_between_frames():
    onsets, velocities = (np.zeros((len(HIT_CLASSES), 100), np.float32) for _ in range(2))
    classes, velocity = np.array([1, 1, 4]), np.array([64, 127, 127])
    train.add_targets(onsets, velocities, classes, np.array([20.5, -1.0, 99.0]), velocity, np.ones(3, bool))
    assert onsets[1, 20] == onsets[1, 21] == onsets[1].max()
    assert onsets[1, 0] > onsets[1, 1] > 0  # a hit just before the excerpt
    assert onsets[4, 99] == 1.0
    assert onsets[[0, 2, 3, 5, 6]].sum() == 0
    assert velocities[1, 20] == pytest.approx(64 / 127)
    assert velocities[1, 30] == 0


def test_around_a_hit_that_nobody_hears_there_is_no_target():
    onsets, velocities = (np.zeros((len(HIT_CLASSES), 100), np.float32) for _ in range(2))
    classes, frames, velocity = np.array([0, 0, 2]), np.array([50.0, 52.0, 50.0]), np.array([90, 10, 90])
    train.add_targets(onsets, velocities, classes, frames, velocity, np.array([True, False, True]))
    assert np.isnan(onsets[0, 55])
    assert onsets[0, 56] == 0
    assert onsets[0, 50] == 1  # the bell of its neighbour stays
    assert not np.isnan(onsets[1:]).any()
    assert velocities[0, 54] == 0


def test_the_loss_leaves_out_what_has_no_target():
    torch.manual_seed(0)
    net = train.TranscriptionNetwork(train.NetworkConfig(channels=(2, 2, 2, 2), features=4, hidden=2)).eval()
    x = torch.randn(1, BANDS, 50)
    velocities = torch.zeros(1, len(HIT_CLASSES), 50)
    onsets = torch.zeros_like(velocities)
    onsets[0, 3, 10:13] = torch.nan
    masked = train.loss(net, x, onsets, velocities)
    masked.backward()
    masked = masked.detach()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    full = train.loss(net, x, onsets.nan_to_num(), velocities).detach()
    assert 0 < float(full - masked) < 0.05 * float(full)


def test_a_batch_depends_on_its_step_alone_and_an_epoch_has_every_mix_once():
    batches = train.Batches(blips(8), CONFIG)
    for a, b in zip(batches(3), batches(3), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(batches(3)[0], batches(4)[0])
    seen = []
    original = train.augmented
    try:
        train.augmented = lambda rng, x: seen.append(x[:, :50].tobytes()) or x
        batches(0), batches(1)
    finally:
        train.augmented = original
    assert len(seen) == 8


def test_targets_move_with_the_excerpt():
    shard = blips(4)
    x, onsets, _ = train.Batches(shard, dataclasses.replace(CONFIG, mixes=4))(0)
    assert x.shape == (4, BANDS, train.CROP)
    # Wherever the target of class 0 is 1, its bands sound.
    for features, target in zip(x, onsets, strict=True):
        for frame in torch.nonzero(target[0] > 0.99).flatten():
            assert features[0:8, frame].mean() > features[30:70, frame].mean() + 1


def test_the_loss_falls_and_the_classes_are_learnt(tmp_path):
    losses = []
    config = dataclasses.replace(CONFIG, steps=200, evaluate_every=20, ema=0.95)
    net = train.train(blips(8), config, tmp_path / "state", lambda s, loss, n: losses.append(loss), SMALL)
    assert losses[-1] < 0.5 * losses[0]
    val = blips(4, seed=5)
    calibrate(net, val)
    found = scores(net, val)
    assert all(found[f"val/f_{name}"] > 0.6 for name in HIT_CLASSES[:3]), found
    untrained = scores(TranscriptionNetwork(SMALL).eval(), val)
    assert all(untrained[f"val/f_{name}"] < 0.3 for name in HIT_CLASSES), untrained


def test_a_killed_training_ends_in_the_same_network(tmp_path):
    whole = train.train(blips(8), CONFIG, tmp_path / "a", lambda *_: None, SMALL)

    class Killed(Exception):
        pass

    def kill(step, loss, net):
        if step == 8:
            raise Killed

    with pytest.raises(Killed):
        train.train(blips(8), CONFIG, tmp_path / "b", kill, SMALL)
    steps = []
    resumed = train.train(blips(8), CONFIG, tmp_path / "b", lambda s, *_: steps.append(s), SMALL)
    assert steps == [12]
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_calibration_makes_half_the_right_threshold(monkeypatch):
    """A network whose probabilities are all too low is shifted so that .5 finds the hits."""
    shard = blips(4)
    net = TranscriptionNetwork(SMALL).eval()

    def low(self, x):
        onsets = torch.full((len(x), len(HIT_CLASSES), x.shape[2]), -6.0)
        for cls in range(3):
            burst = x[:, 10 * cls : 10 * cls + 8].mean(dim=1)
            onsets[:, cls] = torch.where(burst > 1.2, -1.2, -4.0)
        return self.scale[:, None] * (onsets + self.shift[:, None]), torch.zeros_like(onsets)

    monkeypatch.setattr(TranscriptionNetwork, "forward", low)
    assert scores(net, shard)["val/f_kick"] == 0
    calibrate(net, shard)
    assert scores(net, shard)["val/f_kick"] == 1.0
    probabilities, _ = outputs(net, shard)
    assert probabilities[:, 0].max() > 0.5
    assert probabilities[:, 3].max() < 0.5


def test_matching_is_one_to_one():
    assert matched(np.array([0.0, 0.01, 1.0]), np.array([0.0, 1.04, 2.0])) == 2
    assert matched(np.array([]), np.array([1.0])) == 0
    assert matched(np.array([1.06]), np.array([1.0])) == 0


def test_settings_are_checked():
    for change in ({"steps": 0}, {"mixes": 2}, {"ema": 1.0}, {"lr": 0.0}, {"paper_share": 1.5}):
        with pytest.raises(ValueError, match=r"must|probability"):
            dataclasses.replace(CONFIG, **change)


def test_shards_are_rendered_once(tmp_path, monkeypatch):
    made = []

    def mixes(source, library, split, start, stop):
        for index in range(start, stop):
            made.append(index)
            hits = dict.fromkeys(HIT_CLASSES, ()) | {"clap": ((0.5, 99),)}
            yield data.AnnotatedMix(audio=np.ones(44100, np.float32) * index, hits=hits)

    monkeypatch.setattr(data, "mixes", mixes)
    monkeypatch.setattr(data, "SHARD", 3)
    paths = data.write_shards(None, None, "train", 7, tmp_path, workers=1)
    assert [p.name for p in paths] == [f"train-{i:07d}.npz" for i in (0, 3, 6)]
    paths[1].unlink()
    data.write_shards(None, None, "train", 7, tmp_path, workers=1)
    assert made == [*range(7), 3, 4, 5]
    shard = data.read_shards(paths)
    assert len(shard.features) == 7
    assert shard.mix.tolist() == list(range(7))
    assert set(shard.cls.tolist()) == {HIT_CLASSES.index("clap")}
