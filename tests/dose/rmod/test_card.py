import dataclasses
import re

import numpy as np
import pytest

from dose import audio, files
from dose.rmod import build
from dose.rmod.card import data_card as card
from dose.rmod.dataset import items


@pytest.fixture(scope="module")
def made(ranges, library, tmp_path_factory):
    root = tmp_path_factory.mktemp("carded")
    groove = dataclasses.replace(ranges.groove, items=1)
    small = dataclasses.replace(ranges, train=10, val=0, test=2, groove=groove, workers=1)
    build.build(small, library, root)
    return root, card.write_card(small, library, root), small


def test_the_numbers_are_those_of_the_data(made, library):
    root, card_json, config = made
    assert card_json == files.read_json(root / "card.json")
    assert card_json["items"] == {"train": 10, "val": 0, "test": 2, "groove": 1, "realistic": 0}
    assert card_json["groove"] == "groove-like, not GMD"
    assert card_json["clips"]["class"]["kick"] == {"train": 4, "val": 4, "test": 4}
    assert card_json["clips"]["class"]["clap"] == {"train": 0, "val": 0, "test": 0}
    assert sum(card_json["clips"]["licence"].values()) == len(library.clips)
    assert sum(card_json["clips"]["kit"].values()) == len(library.clips)
    assert sum(card_json["mix_specs"]["hits_per_mix"]["kick"].values()) == 2
    assert sum(card_json["mix_specs"]["sounding_at_once"].values()) == 2 * 40
    assert card_json["distributions"]["paper"]["count"] == 2
    assert card_json["sound"]["val"] == {"items": 0}
    mix = audio.read(items(root, "rmod")[1].mix_path)
    assert card_json["sound"]["rmod"]["mix level dBFS"][1] == pytest.approx(
        20 * np.log10(np.sqrt(np.mean(mix**2))), abs=0.1
    )
    assert build.data_id(config, library) == card_json["data_id"]


def test_the_centroid_of_a_tone_is_its_frequency():
    tone = np.sin(2 * np.pi * 1000 * np.arange(44100) / 44100)
    assert card._centroid(tone) == pytest.approx(1000, abs=1)
    assert card._centroid(np.zeros(100)) == 0


def test_the_page_stands_alone(made):
    page = (made[0] / "card.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert not re.search(r"https?://", page)
    for word in (
        "kit 3",
        "CC0-1.0",
        "percussion",
        "shuffle",
        "one class alone",
        "hihat",
        "groove-like, not GMD",
        made[1]["data_id"],
        "onsets: list",
    ):
        assert word in page
