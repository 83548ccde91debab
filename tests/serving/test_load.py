"""Load on a real server: no 5xx, waiting as the queue implies, constant memory, 429 over the limits."""

import os

import httpx
import pytest
import tiny_bundle
import yaml
from server import ROOT, Server

from benchmarks.serve import growth, load, memory, sound

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
REQUESTS = int(os.environ.get("DOSE_LOAD", "60"))
GROWTH = int(os.environ.get("DOSE_GROWTH", "150"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle.make(tmp_path_factory.mktemp("models"))


def params(folder, **changes):
    """The project's own params with a few limits changed."""
    whole = yaml.safe_load((ROOT / "params.yaml").read_text())
    whole["serving"].update(changes)
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(whole))
    return str(path)


def test_sixteen_clients_are_served_without_a_5xx_and_memory_stays_flat(bundle, tmp_path):
    with Server(tmp_path, DOSE_BUNDLE=str(bundle), DOSE_PARAMS=params(tmp_path)) as server:
        figures = load(server.url, sound(2.0), REQUESTS, 16)
        metrics = httpx.get(f"{server.url}/metrics").text
        figures |= growth(server.url, server.process.pid, GROWTH, settle=min(100, GROWTH // 2))
    print(figures)
    for name in (
        "dose_stage_seconds_bucket",
        "dose_queue_depth",
        "dose_audio_seconds_total",
        "dose_batch_rows",
    ):
        assert name in metrics
    for stage in ("queue", "decode", "kick", "pack"):
        assert f'stage="{stage}"' in metrics
    assert figures["load_ok"] == REQUESTS
    assert figures["load_5xx"] == 0
    assert figures["load_p95_over_implied"] <= 3
    assert figures["memory_growth"] < 0.05
    assert figures["memory_peak_mb"] < 3000


def test_more_than_the_queue_holds_is_429_and_everybody_is_served_in_the_end(bundle, tmp_path):
    limits = params(tmp_path, queue=2, concurrency=1)
    with Server(tmp_path, DOSE_BUNDLE=str(bundle), DOSE_PARAMS=limits) as server:
        figures = load(server.url, sound(1.0), 30, 10)
        assert memory(server.process.pid) > 0
    assert figures["load_ok"] == 30
    assert figures["load_429"] > 0
    assert figures["load_5xx"] == 0
