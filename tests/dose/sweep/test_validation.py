"""What the listener says of a model, against the stage evaluate's own scores of the same sounds."""

import math

import numpy as np
import pytest
import torch
from sweep_stubs import FIT

from dose.evaluate.scoring import Resampling, item_scores, set_scores
from dose.metrics.embeddings import CodecEmbedder
from dose.model import decode
from dose.model.transformer import DoseModel
from dose.sweep.validation import FREELY, GenerationValidator
from dose.tokens import layout
from dose.train.data import open_data


def listener(material, items):
    data = open_data(material / "tokens", ("kick",), "hits")
    return GenerationValidator(data, material / "codec", material / "out", items=items, examples=2)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return DoseModel(FIT.model).eval()


def test_its_metrics_are_those_of_the_stage_evaluate(material, model):
    heard = listener(material, 10)
    told = heard(model, 30)
    rows = decode.generate(model, heard.prompts, FREELY)
    made = heard._sounds([layout.one_shot_codes(r, model.config.pattern) for r in rows])
    everything, counts = np.ones(10, bool), np.ones((4, 10), int)
    sampling = Resampling(items=counts, sets=counts, seed=0)
    judged = set_scores(made, heard.targets, everything, [CodecEmbedder(heard.codec)], sampling, None)
    items = item_scores(made, heard.targets)
    assert told == pytest.approx(
        {
            "val/mss": items["mss"].mean(),
            "val/mss_log": items["mss_log"].mean(),
            "val/fad_codec": judged.estimates["fad_codec"].value,
        }
    )
    assert told["val/fad_codec"] > 0
    kept = {p.name for p in (material / "out" / "examples" / "0000030").iterdir()}
    assert kept == {
        f"{i}{end}" for i in (0, 1) for end in (".png", "-prompt.wav", "-target.wav", "-generated.wav")
    }


def test_a_distance_between_sets_needs_a_set(material, model):
    told = listener(material, 4)(model, 1)
    assert "val/fad_codec" not in told
    assert math.isfinite(told["val/mss"])
