"""Old names of options, response fields and settings are accepted or sent for one release."""

import dataclasses

import pytest
from fake_extractor import SETTINGS, FakeExtractor

from dose.config import parse
from serving.schemas import ExtractParams, deprecated_names
from serving.settings import ServingConfig


class Undetected(FakeExtractor):
    """The snare's hits are marked as not detected."""

    def extract_blocks(self, blocks, **options):
        kit = super().extract_blocks(blocks, **options)
        snare = tuple(dataclasses.replace(hit, detected=False) for hit in kit.hits["snare"])
        return dataclasses.replace(kit, hits={**kit.hits, "snare": snare})


def test_old_options_do_what_the_new_ones_do(served, loop):
    assert deprecated_names(ExtractParams) == {"absent": "undetected", "reply": "response"}
    with served(Undetected()) as client:
        new = client.post("/extract?undetected=drop&response=json", content=loop)
        old = client.post("/extract?absent=drop&reply=json", content=loop)
    assert list(new.json()["drums"]) == ["kick", "hihat"]
    assert old.json() == new.json()


@pytest.mark.parametrize("query", ["absent=hide", "undetected=hide"])
def test_an_error_names_the_option_that_was_given(served, loop, query):
    with served() as client:
        error = client.post(f"/extract?{query}", content=loop).json()["error"]
    assert f"'{query.partition('=')[0]}'" in error


def test_both_names_of_an_option_are_an_error(served, loop):
    with served() as client:
        answer = client.post("/extract?undetected=drop&absent=drop", content=loop)
    assert answer.status_code == 400
    assert answer.json()["error"] == "'absent' is the old name of 'undetected'; give one of them."


def test_responses_hold_old_and_new_fields(served, loop):
    renamed = {
        "present": "detected",
        "match": "conditioning_fit",
        "agreement": "self_consistency",
        "borrowed": "source_energy_ratio",
    }
    with served(Undetected()) as client:
        zipped = client.post("/extract", content=loop).headers
        hit = client.post("/extract?response=json", content=loop).json()["drums"]["snare"][0]
        state = client.get("/state").json()
        document = client.get("/openapi.json").json()
    assert hit["detected"] is False
    assert all(hit[old] == hit[new] for old, new in renamed.items())
    assert state["trial"] == state["canary"]
    assert zipped["x-dose-absent"] == zipped["x-dose-undetected"] == "snare"
    fields = document["components"]["schemas"]["OneShotResponse"]["properties"]
    assert all(fields[old]["deprecated"] for old in renamed)
    options = {p["name"]: p for p in document["paths"]["/extract"]["post"]["parameters"]}
    for old, new in deprecated_names(ExtractParams).items():
        assert options[old]["deprecated"]
        assert "deprecated" not in options[new]
        assert "default" not in options[old]["schema"], "a generated client would send it beside the new name"


def test_old_settings_are_read():
    old = dict(SETTINGS)
    old["signals"], old["batch_rows"] = old.pop("feedback"), old.pop("batch_size")
    assert parse(ServingConfig, old, "serving") == parse(ServingConfig, SETTINGS, "serving")
