"""Promotion and rollback take effect within seconds, and no request fails."""

import shutil
import threading
import time

import pytest
import tiny_bundle
from fake_extractor import SETTINGS
from starlette.testclient import TestClient

import serving.models.manager
from dose import bundle
from dose.registry.registry import Registry
from serving.app import create_app
from serving.models.manager import ModelManager, find_bundle


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project's root with a registry that knows two bundles; the second waits for promotion."""
    monkeypatch.delenv("DOSE_BUNDLE", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(serving.models.manager, "ROOT", tmp_path)
    project_registry = Registry(root=tmp_path)
    project_registry.tracker.ensure_store()
    for name, seed in (("one", 0), ("two", 7)):
        made = tiny_bundle.make(tmp_path / name, seed=seed)
        project_registry.register(bundle.open_bundle(made), tags={})
    return project_registry


def test_the_live_link_comes_before_the_packaged_bundle(tmp_path, monkeypatch):
    monkeypatch.delenv("DOSE_BUNDLE", raising=False)
    monkeypatch.setattr(serving.models.manager, "ROOT", tmp_path)
    assert Registry(root=tmp_path).live == tmp_path / bundle.LIVE
    assert find_bundle() == bundle.SHIPPED
    made = tiny_bundle.make(tmp_path / "made")
    shutil.copytree(made, tmp_path / bundle.PACKAGED)
    assert find_bundle() == tmp_path / bundle.PACKAGED
    (tmp_path / bundle.LIVE).parent.mkdir(parents=True)
    (tmp_path / bundle.LIVE).symlink_to(made)
    assert find_bundle() == tmp_path / bundle.LIVE
    shutil.rmtree(made)
    assert find_bundle() == tmp_path / bundle.PACKAGED, "a link that leads nowhere is passed over"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_promotion_and_rollback_with_requests_in_flight(project, tmp_path, monkeypatch, loop, served):
    watched = {**SETTINGS["canary"], "requests": 50}  # as params.yaml has it: the old models stay at hand
    served(canary=watched)  # writes its params and names its state folder
    answers: list[tuple[int, str]] = []
    with TestClient(create_app(ModelManager)) as client:
        first = client.app.state.dose.manager.models_for().version
        stop = threading.Event()

        def ask():
            while not stop.is_set():
                answer = client.post("/extract", content=loop)
                answers.append((answer.status_code, answer.headers.get("x-dose-version", "")))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        project.promote({"kick": None}, reason="test")
        second = bundle.open_bundle(project.live).version
        wait_for(lambda: answers and answers[-1][1] == second)
        since = time.monotonic()
        project.rollback(["kick"], reason="test")
        wait_for(lambda: answers[-1][1] == first)
        took = time.monotonic() - since
        stop.set()
        for thread in threads:
            thread.join()
    assert first != second
    assert {status for status, _ in answers} == {200}, "no request failed"
    assert {version for _, version in answers} == {first, second}
    assert took <= 5


def wait_for(condition, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
