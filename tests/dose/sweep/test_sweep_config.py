"""The sweep's section: what it accepts, what it refuses, and how a drum differs."""

import dataclasses

import pytest
from sweep_stubs import FIT, sweep_config

from dose.errors import ConfigError
from dose.sweep import SweepConfig


def test_a_grid_is_every_combination_and_points_reach_the_right_place():
    config = sweep_config(space={"onset_weight": [0.0, 1.0], "layers": [1, 2], "lr": [1e-3]})
    assert config.most_trials == len(config.grid()) == 4
    fit = config.fit_for({"onset_weight": 0.0, "layers": 2, "lr": 3e-4})
    assert (fit.onset_weight, fit.model.layers, fit.lr) == (0.0, 2, 3e-4)
    assert dataclasses.replace(fit, onset_weight=1.0, lr=FIT.lr, model=FIT.model) == FIT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {}}, "at least one key"),
        ({"space": {"learning": [1]}}, "space.learning is neither"),
        ({"space": {"steps": [1, 2]}}, "space.steps is neither"),
        ({"space": {"lr": 1e-3}}, "must be a list of values or a range"),
        ({"space": {"lr": []}}, "must be a list of values or a range"),
        ({"space": {"lr": {"low": 1e-4, "high": 1e-3, "log": True}}}, "a grid needs a list"),
        ({"space": {"lr": {"low": 1e-3, "high": 1e-4, "log": True}}, "search": "random"}, "high .above low"),
        ({"space": {"layers": [1, 2]}, "scheduler": "pbt"}, "pbt can only change .* not layers"),
        ({"space": {"width": [33]}}, "width 33 does not divide"),
        ({"drums": {"cowbell": {}}}, "cowbell"),
        ({"reduction": 1}, "reduction"),
        ({"generation_items": 2, "generation_examples": 3}, "generation_items"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises((ValueError, ConfigError), match=message):
        sweep_config(**changes)


def test_a_drum_overrides_what_it_names_and_nothing_else():
    config = sweep_config(
        drums={"hihat": {"fit.steps": 20, "fit.model.width": 64, "space.lr": [1e-3]}, "kick": {"trials": 3}}
    )
    hihat = config.for_drum("hihat")
    assert (hihat.fit.steps, hihat.fit.model.width, hihat.drums) == (20, 64, {})
    assert hihat.space["lr"] == [1e-3]
    assert config.for_drum("kick").trials == 3
    assert config.for_drum("snare") == dataclasses.replace(config, drums={})


@pytest.mark.parametrize("key", ["fit.stepps", "nothing.at.all", "trials.x"])
def test_an_override_of_nothing_is_refused(key):
    with pytest.raises((ValueError, ConfigError), match=key):
        sweep_config(drums={"kick": {key: 1}}).for_drum("kick")


def test_it_parses_from_plain_mappings():
    values = dataclasses.asdict(sweep_config())
    from dose.config import parse

    assert parse(SweepConfig, values, "params.yaml: sweep") == sweep_config()


def test_old_names_reach_the_space_and_a_drums_overrides():
    """Dotted keys and the space hold names as values, which a dataclass field's metadata cannot cover."""
    old = sweep_config(
        space={"structure": ["free", "fixed"], "picture_weight": [0.0]},
        drums={"kick": {"fit.listen_steps": 0, "fit.model.entries": 512, "space.structure": ["free"]}},
    )
    assert old.space == {"decoding": ["unconstrained", "constrained"], "spectrogram_weight": [0.0]}
    assert old.fit_for({"structure": "free"}).model.decoding == "unconstrained"
    kick = old.for_drum("kick")
    assert (kick.fit.encoder_steps, kick.fit.model.codebook_size) == (0, 512)
    assert kick.space["decoding"] == ["unconstrained"]


def test_removed_keys_are_dropped_without_effect_and_refused_with_one():
    kick = {"fit.prompt_dropout": 0.0, "fit.model.drums": []}
    assert sweep_config(drums={"kick": kick}).for_drum("kick") == sweep_config()
    with pytest.raises(
        ConfigError, match=r"prompt_dropout must be removed, or 0\.0: classifier-free guidance"
    ):
        sweep_config(drums={"kick": {"fit.prompt_dropout": 0.1}}).for_drum("kick")
    with pytest.raises(ValueError, match="space names decoding twice"):
        sweep_config(space={"structure": ["free"], "decoding": ["constrained"]})
