"""The sweep's bar: it moves between evaluations, and ends where the steps end."""

import time

import pytest

from dose.sweep import progress
from dose.sweep.progress import SweepBar


@pytest.fixture
def told(monkeypatch):
    """What the trials have told of their steps, by Tune's id."""
    steps: dict[str, int] = {}
    monkeypatch.setattr(progress, "UPDATE_SECONDS", 0.01)
    monkeypatch.setattr(progress, "read_step", steps.get)
    return steps


@pytest.fixture
def bar(told):
    bar = SweepBar("sweep", 200, 0.0)
    yield bar
    bar.close()


def wait_for(bar, n):
    end = time.monotonic() + 10
    while bar.bar.n != n and time.monotonic() < end:
        time.sleep(0.01)
    assert bar.bar.n == n


def test_it_moves_between_reports_and_never_back(told, bar):
    bar.started("t1", "a")
    told["t1"] = 7
    wait_for(bar, 7)
    bar.reached("a", 50)
    told["t1"] = 3  # a trial that is run again from an earlier state
    time.sleep(0.1)
    assert bar.bar.n == 50
    bar.started("t2", "b")
    told["t2"] = 5
    wait_for(bar, 55)


def test_a_trial_stopped_early_shortens_the_way(told, bar):
    bar.started("t1", "a")
    bar.reached("a", 30)
    bar.ended("t1", 100)
    assert (bar.bar.n, bar.bar.total) == (30, 130)
    bar.expect(70)
    bar.started("t2", "a")  # goes on with the same trial
    told["t2"] = 40
    wait_for(bar, 40)
    assert bar.bar.total == 200


def test_without_ray_nothing_is_told_and_nothing_breaks():
    progress.step_writer()(1)
    assert progress.read_step("t1") is None


@pytest.mark.slow
def test_a_trial_tells_its_steps_through_ray(tmp_path):
    from ray import tune

    from dose import cluster

    def trial(config):
        write = progress.step_writer()
        write(12)
        tune.report({"step": 12, "id": tune.get_context().get_trial_id()})

    cluster.start_ray(cpus=1)
    try:
        result = tune.Tuner(trial, run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0)).fit()[0]
        assert progress.read_step(result.metrics["id"]) == 12
        assert progress.read_step("another") is None
    finally:
        cluster.stop_ray()
