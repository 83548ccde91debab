"""One run: resumes bit for bit, stores the best model, ignores another run's state, uses its conditioning."""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from dose import compute
from dose.model import checkpoint
from dose.model.config import ModelConfig
from dose.tokens.shards import Codes
from dose.train import optim, state
from dose.train.config import FitConfig
from dose.train.data import FitData, Order, Pairs, batches
from dose.train.trainer import fit


def pairs(n: int, seed: int) -> Pairs:
    """One-shots whose first frames are in the prompt: conditioning that helps."""
    rng = np.random.default_rng(seed)
    shots = rng.integers(0, 20, (n, 3, 8)).astype(np.uint16)
    prompts = np.concatenate([shots[:, :, :5]] * 2, axis=2)
    return Pairs(Codes([prompts]), Codes([shots]))


def data(seed: int = 0) -> FitData:
    return FitData(
        train=pairs(64, seed),
        val=pairs(16, seed + 1),
        codec_id="codec",
        data_id="data",
        prompt={"kind": "hits", "hits": 2, "seconds": 0.1},
    )


MODEL = ModelConfig(
    layers=2,
    width=32,
    heads=2,
    dropout=0.1,
    codebooks=3,
    codebook_size=20,
    frames=8,
    segments=2,
    conditioning="prefix_aligned",
)
FIT = FitConfig(
    model=MODEL, steps=12, batch=4, accumulate=2, warmup=2, ema=0.9, evaluate_every=4, evaluate_items=8,
    precision="fp32",
)  # fmt: skip


GOLDEN = Path(__file__).parents[2] / "golden" / "fit.json"


class Killed(Exception):
    pass


def weights(folder) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / checkpoint.WEIGHTS)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def curve(history) -> list[dict[str, float]]:
    return [{k: v for k, v in h.items() if k != "train/pairs_per_s"} for h in history]


@pytest.mark.parametrize("killed_at", [4, 8])
def test_a_killed_run_resumes_bit_for_bit(tmp_path, killed_at):
    whole = fit(FIT, data(), tmp_path / "whole")

    def kill(step: int, metrics: dict[str, float]) -> None:
        if step == killed_at:
            raise Killed

    with pytest.raises(Killed):
        fit(FIT, data(), tmp_path / "cut", kill)
    steps = []
    resumed = fit(FIT, data(), tmp_path / "cut", lambda step, metrics: steps.append(step))
    assert steps == [s for s in (4, 8, 12) if s > killed_at]
    assert curve(resumed.history) == curve(whole.history)
    for name in ("best", "last"):
        assert same(weights(tmp_path / "cut" / name), weights(tmp_path / "whole" / name))


def test_a_kill_between_two_states_costs_only_the_steps_since(tmp_path, monkeypatch):
    whole = fit(FIT, data(), tmp_path / "whole")
    saved = state.save

    def fail_later(*args, **kwargs):
        if args[2].step == 8:
            raise Killed
        saved(*args, **kwargs)

    monkeypatch.setattr(state, "save", fail_later)
    with pytest.raises(Killed):
        fit(FIT, data(), tmp_path / "cut")
    monkeypatch.undo()
    assert curve(fit(FIT, data(), tmp_path / "cut").history) == curve(whole.history)
    assert same(weights(tmp_path / "cut" / "best"), weights(tmp_path / "whole" / "best"))


def test_a_finished_run_is_not_run_again(tmp_path):
    first = fit(FIT, data(), tmp_path)
    again = fit(FIT, data(), tmp_path, lambda step, metrics: pytest.fail("trained again"))
    assert again.metrics == first.metrics


@pytest.mark.parametrize(
    "other",
    [{"lr": 5e-4}, {"seed": 1}, {"onset_weight": 0.0}, {"model": dataclasses.replace(MODEL, layers=1)}],
)
def test_a_run_of_other_params_is_removed_before_anything_is_trained(tmp_path, other):
    fit(FIT, data(), tmp_path)
    with pytest.raises(Killed):
        fit(dataclasses.replace(FIT, **other), data(), tmp_path, _killer)
    fresh = tmp_path / "fresh"
    with pytest.raises(Killed):
        fit(dataclasses.replace(FIT, **other), data(), fresh, _killer)
    assert same(weights(tmp_path / "last"), weights(fresh / "last"))


def _killer(step: int, metrics: dict[str, float]) -> None:
    raise Killed


def test_other_data_is_another_run(tmp_path):
    fit(FIT, data(), tmp_path)
    steps = []
    other = dataclasses.replace(data(), data_id="other")
    fit(FIT, other, tmp_path, lambda step, metrics: steps.append(step))
    assert steps == [4, 8, 12]


def test_best_is_the_lowest_validation_loss_and_the_cards_hold_their_origin(tmp_path):
    result = fit(dataclasses.replace(FIT, lr=0.05, ema=0.0), data(), tmp_path, meta={"drum": "kick"})
    losses = [h["val/loss"] for h in result.history]
    assert result.metrics["val/loss"] == min(losses)
    card = checkpoint.read_card(result.best)["meta"]
    assert card["steps"] == result.metrics["step"]
    assert card["metrics"]["val/loss"] == min(losses)
    assert (card["drum"], card["codec_id"], card["data_id"]) == ("kick", "codec", "data")
    assert card["prompt"] == {"kind": "hits", "hits": 2, "seconds": 0.1}
    assert card["fit"]["lr"] == 0.05
    assert checkpoint.read_card(result.last)["meta"]["steps"] == 12


def test_the_callers_metrics_reach_history_card_and_report(tmp_path):
    seen = []
    fit(
        FIT,
        data(),
        tmp_path,
        lambda s, m: seen.append(m["val/mss"]),
        lambda model, step: {"val/mss": step / 2},
    )
    assert seen == [2.0, 4.0, 6.0]
    assert checkpoint.read_card(tmp_path / "last")["meta"]["metrics"]["val/mss"] == 6.0


def test_patience_ends_a_run_that_no_longer_improves_also_after_a_resume(tmp_path):
    config = dataclasses.replace(
        FIT, lr=0.5, warmup=0, steps=200, evaluate_every=2, patience=2, clip=0, ema=0.0
    )
    result = fit(config, data(), tmp_path)
    assert result.steps < 200
    assert result.steps == result.metrics["step"] + 4
    assert fit(config, data(), tmp_path).steps == result.steps


def test_the_first_losses_of_a_seeded_run_are_pinned(tmp_path):
    """A refactor must not change what is learnt. Dropout is off: its random bits are torch's own."""
    model = dataclasses.replace(MODEL, dropout=0.0)
    config = dataclasses.replace(FIT, model=model, steps=5, warmup=1, evaluate_every=1, accumulate=1, ema=0.0)
    history = fit(config, data(), tmp_path).history
    golden = json.loads(GOLDEN.read_text())
    np.testing.assert_allclose([h["train/loss"] for h in history], golden["train/loss"], rtol=2e-4)
    np.testing.assert_allclose([h["val/loss"] for h in history], golden["val/loss"], rtol=2e-4)


def test_the_parts_of_the_loss_are_reported_beside_their_weighted_sum(tmp_path):
    """Issue 21, 5: across onset weights the sum cannot be compared."""
    for weight in (0.0, 2.0):
        config = dataclasses.replace(FIT, onset_weight=weight)
        for row in fit(config, data(), tmp_path / str(weight)).history:
            parts = row["train/full_loss"] + weight * row["train/onset_loss"]
            assert row["train/loss"] == pytest.approx(parts, rel=1e-5)
            assert row["train/onset_loss"] > 0


def test_training_learns_to_use_the_prompt(tmp_path):
    """On a toy whose prompt holds the reference, another prompt must raise the loss."""
    config = dataclasses.replace(FIT, steps=150, evaluate_every=150, batch=16, lr=3e-3, evaluate_items=16)
    many = dataclasses.replace(data(), train=pairs(512, 5))
    result = fit(config, many, tmp_path)
    assert result.metrics["val/conditioning_gap"] > 0.1
    assert result.metrics["val/onset_conditioning_gap"] > 0.1


def test_a_model_with_the_papers_prompt_trains(tmp_path):
    plain = dataclasses.replace(MODEL, conditioning="prefix", segments=1)
    mixes = dataclasses.replace(data(), prompt={"kind": "mix", "hits": 2, "seconds": 0.1})
    fit(dataclasses.replace(FIT, model=plain, prompt="mix"), mixes, tmp_path / "mix")


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"model": dataclasses.replace(MODEL, frames=9)}, "frames"),
        ({"model": dataclasses.replace(MODEL, segments=5)}, "segments"),
        ({"prompt": "mix", "model": dataclasses.replace(MODEL, segments=1)}, "prompts"),
    ],
)
def test_a_model_that_does_not_fit_the_data_is_refused(tmp_path, config, word):
    with pytest.raises(ValueError, match=word):
        fit(dataclasses.replace(FIT, **config), data(), tmp_path)


def test_each_epoch_visits_every_pair_once_in_a_new_order():
    order = Order(10, seed=3)
    first, second = order.at(0, 10), order.at(10, 10)
    assert sorted(first) == sorted(second) == list(range(10))
    assert not np.array_equal(first, second)
    assert np.array_equal(Order(10, seed=3).at(5, 12), np.concatenate([first[5:], second[:7]]))
    assert not np.array_equal(Order(10, seed=4).at(0, 10), first)


def test_two_processes_see_together_what_one_of_twice_the_size_sees():
    p = pairs(40, 0)
    one = list(batches(p, seed=1, first=2, stop=5, size=8))
    halves = [list(batches(p, seed=1, first=2, stop=5, size=4, rank=r, world=2)) for r in (0, 1)]
    for whole, a, b in zip(one, *halves, strict=True):
        assert torch.equal(whole.shot, torch.cat([a.shot, b.shot]))
        assert torch.equal(whole.prompt, torch.cat([a.prompt, b.prompt]))


def test_an_error_of_the_loader_reaches_the_loop():
    broken = pairs(8, 0)
    broken.shots.shards[0] = np.zeros((1, 3, 8), np.uint16)
    with pytest.raises(IndexError):
        list(batches(broken, seed=0, first=0, stop=4, size=4))


def test_the_learning_rate_warms_up_and_falls_to_its_floor():
    rate = [optim.learning_rate(s, peak=2.0, warmup=10, steps=50, floor=0.1) for s in range(50)]
    assert rate[0] == pytest.approx(0.2)
    assert rate[9] == pytest.approx(2.0)
    assert max(rate) == pytest.approx(2.0)
    assert rate[-1] == pytest.approx(0.2)
    assert all(a > b for a, b in itertools.pairwise(rate[10:]))


def test_the_ema_is_the_recursion_and_swaps_back():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    ema = optim.EMA(model, 0.9)
    wanted = model.weight.detach().clone()
    for step in range(30):
        with torch.no_grad():
            model.weight += torch.randn_like(model.weight)
        decay = min(0.9, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * model.weight.detach()
        ema.update(model, step)
    own = model.weight.detach().clone()
    ema.swap(model)
    torch.testing.assert_close(model.weight.detach(), wanted)
    ema.swap(model)
    assert torch.equal(model.weight.detach(), own)


def test_bf16_learns_what_fp32_learns(tmp_path):
    """Both formats that `auto` may take: their losses stay together, and are not the same numbers."""
    curves = {}
    for precision in ("fp32", "bf16"):
        config = dataclasses.replace(FIT, precision=precision, steps=40, evaluate_every=10)
        curves[precision] = np.array(
            [h["val/loss"] for h in fit(config, data(), tmp_path / precision).history]
        )
    assert (curves["fp32"] != curves["bf16"]).all()
    np.testing.assert_allclose(curves["bf16"], curves["fp32"], rtol=0.02)


@pytest.mark.parametrize("faster", ["fp32", "bf16"])
def test_auto_trains_in_the_measured_format_and_a_resumed_run_keeps_it(tmp_path, monkeypatch, faster):
    def measure(candidates, flop, threads):
        return {"fp32": 1.0, "bf16": 0.1} | {faster: 10.0}

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(compute, "_measure", measure)
    auto = dataclasses.replace(FIT, precision="auto")
    explicit = fit(dataclasses.replace(FIT, precision=faster), data(), tmp_path / "explicit")

    def kill(step: int, metrics: dict[str, float]) -> None:
        raise Killed

    with pytest.raises(Killed):
        fit(auto, data(), tmp_path / "auto", kill)
    monkeypatch.setattr(compute, "_cached", lambda what, measure: {"fp32": 1.0, "bf16": 1.0})
    resumed = fit(auto, data(), tmp_path / "auto")
    assert curve(resumed.history) == curve(explicit.history)
    made = checkpoint.read_card(resumed.best)["meta"]["compute"]
    assert made["precision"] == faster


def test_every_step_is_reported(tmp_path):
    steps = []
    fit(FIT, data(), tmp_path, on_step=steps.append)
    assert steps == list(range(1, FIT.steps + 1))
