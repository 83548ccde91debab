"""Validation by generation, against the scores of the stage evaluate for the same sounds."""

import math

import numpy as np
import pytest
import torch
from sweep_stubs import FIT

from dose.evaluate.scoring import Resampling, item_scores, set_scores
from dose.metrics.embeddings import CodecEmbedder
from dose.model import decode
from dose.model.transformer import DoseModel
from dose.sweep.validation import UNRESTRICTED, GenerationValidator
from dose.tokens import layout
from dose.train.data import open_data


def validator(material, items):
    data = open_data(material / "tokens", "kick", "hits")
    return GenerationValidator(data, material / "codec", material / "out", items=items, examples=2)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return DoseModel(FIT.model).eval()


def test_its_metrics_are_those_of_the_stage_evaluate(material, model):
    validate = validator(material, 10)
    metrics = validate(model, 30)
    tokens = decode.generate(model, validate.prompts, UNRESTRICTED)
    generated = validate._sounds([layout.one_shot_codes(t, model.config.pattern) for t in tokens])
    everything, counts = np.ones(10, bool), np.ones((4, 10), int)
    sampling = Resampling(items=counts, sets=counts, seed=0)
    scores = set_scores(
        generated, validate.targets, everything, [CodecEmbedder(validate.codec)], sampling, None
    )
    items = item_scores(generated, validate.targets)
    assert metrics == pytest.approx(
        {
            "val/mss": items["mss"].mean(),
            "val/mss_se": np.std(items["mss"], ddof=1) / np.sqrt(10),
            "val/mss_log": items["mss_log"].mean(),
            "val/fad_codec": scores.estimates["fad_codec"].value,
        }
    )
    assert metrics["val/fad_codec"] > 0
    written = {p.name for p in (material / "out" / "examples" / "0000030").iterdir()}
    assert written == {
        f"{i}{end}" for i in (0, 1) for end in (".png", "-prompt.wav", "-target.wav", "-generated.wav")
    }


def test_a_distance_between_sets_needs_a_set(material, model):
    metrics = validator(material, 4)(model, 1)
    assert "val/fad_codec" not in metrics
    assert math.isfinite(metrics["val/mss"])
