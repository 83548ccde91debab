"""`dose info`: versions, processor, number formats and models."""

import json

import pytest
import tiny_bundle

import dose
from dose import cli, compute


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle.make(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_everything_is_there_as_json(bundle, capsys):
    assert cli.main(["info", "--bundle", str(bundle), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["instructions"] == compute.instructions()
    assert found["packages"]["torch"]
    assert found["dose"] == dose.__version__
    assert found["models"]["folder"] == str(bundle)
    assert found["transcription"]["folder"].endswith("transcription/bundled")  # these models have none
    assert found["transcription"]["steps"] > 0
    assert len(found["formats"]) == 4
    for choice in found["formats"].values():
        assert choice["format"] in choice["gflop_per_s"] or choice["why"] == "gpu"


def test_the_text_names_models_and_formats(bundle, capsys):
    assert cli.main(["info", "--bundle", str(bundle)]) == 0
    out = capsys.readouterr().out
    for word in (str(bundle), compute.cpu_name(), "fp32", "training", "decoding", "convolutions"):
        assert word in out
    assert "transcription network of" in out
    assert "\x1b" not in out


def test_measure_discards_cached_rates(bundle, capsys):
    compute.cache_file().parent.mkdir(parents=True)
    compute.cache_file().write_text('{"stale": {"fp32": 1.0}}')
    cli.main(["info", "--bundle", str(bundle), "--measure"])
    rates = json.loads(compute.cache_file().read_text())
    assert "stale" not in rates
    assert rates
