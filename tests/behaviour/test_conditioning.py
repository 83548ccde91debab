"""A model trained for two minutes has a lower loss under a one-shot's own mix than under another's.

The hi-hat, because its conditioning gap opens first: open or closed is audible in every mix. Everything is
made from the shipped sounds: a sample library, a few hundred items, their tokens and the model of
params.yaml.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from dose import config as params
from dose.codec import bundled_codec
from dose.model import checkpoint
from dose.model.loss import losses, onset_mask
from dose.rmod.config import RmodConfig
from dose.sources import build as sources
from dose.sources.config import SourcesConfig
from dose.sweep.config import SweepConfig
from dose.tokens import encode as tokens
from dose.tokens import layout
from dose.train.data import FitData, Pairs, open_data
from dose.train.trainer import fit
from dose.transcription.network import BUNDLED

PARAMS = Path(__file__).parents[2] / "params.yaml"
DRUM = "hihat"
TRAIN, VAL = 480, 96
OTHER_PROMPTS = 12


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> FitData:
    root = tmp_path_factory.mktemp("conditioning")
    sources.build(params.load("sources", SourcesConfig, PARAMS), root / "sources")
    bundled_codec().save(root / "codec")
    rmod = dataclasses.replace(params.load("rmod", RmodConfig, PARAMS), train=TRAIN, val=VAL)
    section = dataclasses.replace(
        params.load("tokens", tokens.TokensConfig, PARAMS), train=TRAIN, val=VAL, workers=1
    )
    tokens.build(section, rmod, root / "sources", root / "codec", BUNDLED, root / "tokens")
    return open_data(root / "tokens", DRUM, "band_energies")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_true_mix_helps_more_than_another(data, tmp_path):
    sweep = params.load("sweep", SweepConfig, PARAMS)
    steps = 300
    laptop = dataclasses.replace(sweep.fit, steps=steps, evaluate_every=steps, onset_weight=1.0)
    result = fit(laptop, data, tmp_path, device="cpu")
    model = checkpoint.load(result.last).model.eval()
    items = np.arange(VAL)
    own = cross_entropy(model, data.val, items)
    others = np.mean(
        [cross_entropy(model, data.val, np.roll(items, 1 + 7 * i)) for i in range(OTHER_PROMPTS)], axis=0
    )
    for name, gain in zip(("whole one-shot", "onset"), (others - own).T, strict=True):
        error = gain.std(ddof=1) / np.sqrt(VAL)
        print(f"{name}: another mix costs {gain.mean():.4f} nats a token, standard error {error:.4f}")
        assert gain.mean() > 2 * error, name


@torch.inference_mode()
def cross_entropy(model, pairs: Pairs, prompts_of: np.ndarray) -> np.ndarray:
    """Cross entropies of each validation one-shot, [items, 2]: of all its steps, and of the onset region."""
    config = model.config
    mask = onset_mask(config.steps, config.codebooks, "paper", config.pattern)
    out = []
    for i in range(len(prompts_of)):
        batch = pairs.batch(np.array([i]), prompts_of[i : i + 1])
        tokens_of = layout.one_shot_steps(batch.shot, config.pattern)
        loss = losses(model(batch.prompt, tokens_of[:, :-1]), tokens_of, mask, 1.0)
        out.append((float(loss.full), float(loss.onset)))
    return np.array(out)
