"""JSON log lines, and stage times that add up."""

import json
import logging

from fake_extractor import FakeExtractor

from serving import telemetry
from serving.telemetry import StageClock


def value(name: str, **labels: str) -> float:
    from prometheus_client import REGISTRY

    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_stages_split_the_time_of_a_run(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(telemetry.time, "perf_counter", lambda: now[0])
    clock = StageClock()
    before = value("dose_stage_seconds_count", stage="test-a")
    for seconds, stage in ((1, "test-a"), (2, "test-b"), (4, "test-b"), (8, "test-a"), (16, None)):
        now[0] += seconds
        clock.enter(stage)
    assert clock.seconds == {"test-a": 2 + 16, "test-b": 4 + 8}
    assert value("dose_stage_seconds_count", stage="test-a") == before + 1
    assert value("dose_stage_seconds_sum", stage="test-a") == 18


def test_a_request_leaves_one_line_with_its_id_and_its_figures(served, loop, capfd):
    before = value("dose_audio_seconds_total", route="/extract")
    with served() as client:
        client.post("/extract", content=loop, headers={"x-request-id": "abc-1"})
        client.post("/extract", files={"audio": ("secret-name.wav", b"nothing")})
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    own = [line for line in lines if line["request_id"] == "abc-1"]
    assert len(own) == 1
    assert (own[0]["event"], own[0]["route"], own[0]["status"]) == ("request", "/extract", 200)
    assert own[0]["seconds"] > 0
    assert "secret-name" not in json.dumps(lines)
    assert value("dose_audio_seconds_total", route="/extract") == before + 1.0
    assert value("dose_stage_seconds_count", stage="hihat") > 0
    assert value("dose_request_seconds_count", route="/extract", status="400") > 0


def test_queue_and_rejections_are_counted(served, loop):
    before = value("dose_rejected_total", reason="rate")
    with served(FakeExtractor(), burst=1, rate_per_minute=1) as client:
        client.post("/extract", content=loop)
        client.post("/extract", content=loop)
    assert value("dose_rejected_total", reason="rate") == before + 1
    assert value("dose_queue_depth", queue="short") == 0


def test_a_bug_is_logged_with_its_traceback(capfd):
    telemetry.start_logging()
    try:
        raise ValueError("why")
    except ValueError as e:
        telemetry.event("failed", level=logging.ERROR, error=e, where="here")
    line = json.loads(capfd.readouterr().err.splitlines()[-1])
    assert (line["level"], line["where"]) == ("error", "here")
    assert "ValueError: why" in line["traceback"]
