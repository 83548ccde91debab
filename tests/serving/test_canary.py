"""Canary rollouts: traffic shares, shadow traffic, promotion, rollback; and no request fails by them."""

import dataclasses
import json
import shutil
import time

import numpy as np
import pytest
import tiny_bundle
from fake_extractor import SETTINGS, FakeExtractor
from starlette.testclient import TestClient

import serving.models.manager
import serving.models.registry_client
from dose import bundle
from dose.config import parse
from dose.errors import ConfigError
from dose.registry.registry import Registry
from serving.app import create_app
from serving.models.canary import CanaryRollout, OutcomeWindow, hash_fraction
from serving.models.manager import ModelManager
from serving.models.registry_client import changed_drums
from serving.settings import CanaryConfig, ServingConfig

CANARY = {"share": 0.3, "shadow": 0.0, "requests": 20, "errors": 0.05, "confidence_fall": 0.3}


class StandIn:
    def __init__(self, version: str, size: int = 20) -> None:
        self.version, self.window = version, OutcomeWindow(size)


def rollout(**changes) -> CanaryRollout:
    return CanaryRollout(CanaryConfig(**{**CANARY, **changes}), StandIn("old"), StandIn("new"))


def test_the_share_is_by_id_and_the_same_id_gets_the_same_models():
    one = rollout()
    ids = [f"request-{i}" for i in range(4000)]
    routed = [one.route(id).version for id in ids]
    assert routed == [one.route(id).version for id in ids]
    assert routed.count("new") / len(ids) == pytest.approx(0.3, abs=0.03)
    assert {rollout(share=1.0).route(id).version for id in ids} == {"new"}
    assert {rollout(share=0.0, shadow=1.0).route(id).version for id in ids} == {"old"}


def test_shadow_traffic_is_a_share_of_what_the_stable_models_answer():
    one = rollout(shadow=0.5)
    ids = [f"request-{i}" for i in range(4000)]
    shadowed = [id for id in ids if one.is_shadowed(id)]
    assert all(one.route(id).version == "old" for id in shadowed)
    assert len(shadowed) / len(ids) == pytest.approx(0.7 * 0.5, abs=0.04)
    values = np.sort([hash_fraction(id) for id in ids])
    assert np.abs(values - np.linspace(0, 1, len(ids))).max() < 0.05, "ids are spread evenly"


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ([0.8] * 20, [0.8] * 19, "pending"),
        ([0.8] * 20, [0.7] * 20, "passed"),
        ([0.8] * 20, [0.5] * 20, "failed"),
        ([0.8] * 5, [0.5] * 20, "passed"),  # too little to compare with
        ([0.8] * 20, [0.8, None, None, None], "failed"),
        ([0.8] * 20, [0.8, None, None], "pending"),
        ([None] * 20, [None] * 10, "pending"),  # the old ones fail as often
    ],
)
def test_verdicts(old, new, verdict):
    one = rollout()
    for models, outcomes in ((one.stable, old), (one.canary, new)):
        for outcome in outcomes:
            models.window.add(outcome)
    assert one.verdict()[0] == verdict
    assert one.verdict()[1]


@pytest.mark.parametrize("wrong", [{"share": 2.0}, {"share": 0.0}, {"errors": -1.0}, {"requests": -1}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match="canary"):
        parse(ServingConfig, {**SETTINGS, "canary": {**CANARY, **wrong}}, "serving")


class Broken(FakeExtractor):
    """Can be warmed and does nothing else."""

    def extract_blocks(self, blocks, **options):
        if "name" in options:  # not the warming
            raise ZeroDivisionError
        return super().extract_blocks(blocks, **options)


class Unconfident(FakeExtractor):
    def extract_blocks(self, blocks, **options):
        kit = super().extract_blocks(blocks, **options)
        hits = {d: tuple(dataclasses.replace(h, confidence=0.1) for h in f) for d, f in kit.hits.items()}
        return dataclasses.replace(kit, hits=hits)


@pytest.fixture
def moving(served, tmp_path):
    """The application on models that can be moved: `folder / "manifest.json"` names the extractor."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "manifest.json").write_text("old")
    kinds = {"old": FakeExtractor, "good": FakeExtractor, "broken": Broken, "unconfident": Unconfident}
    rollbacks = []

    def load(path):
        name = (path / "manifest.json").read_text()
        return kinds[name](version=name)

    def start(**canary):
        served(canary={**CANARY, **canary})
        client = TestClient(
            create_app(
                lambda c: ModelManager(
                    c, lambda: folder, load, lambda *arguments: rollbacks.append(arguments)
                )
            )
        )
        return client

    def move(client, name):
        """Moves the models and waits until their rollout begins."""
        (folder / "manifest.json").write_text(name)
        until(lambda: client.get("/state").json()["canary"].startswith(f"{name}:"))

    start.move, start.rollbacks = move, rollbacks
    return start


def until(condition, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ask(client, loop, count: int, name: str = "r") -> list[str]:
    """The versions that answered `count` requests with ids of their own; none may fail."""
    answers = [
        client.post("/extract", content=loop, headers={"x-request-id": f"{name}{i}"}) for i in range(count)
    ]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.headers["x-dose-version"] for answer in answers]


def test_good_models_answer_a_share_and_then_everything(moving, loop):
    with moving(share=0.5, requests=10) as client:
        assert set(ask(client, loop, 12)) == {"old"}
        moving.move(client, "good")
        assert client.get("/state").json()["version"] == "old"
        assert {"old", "good"} == set(ask(client, loop, 60, "s")[:16])
        assert (
            client.get("/state").json() | {"canary": "", "trial": "", "version": "good"}
            == client.get("/state").json()
        )
        assert set(ask(client, loop, 5)) == {"good"}
    assert moving.rollbacks == []


def test_models_that_fail_are_rolled_back_and_no_request_fails(moving, loop):
    with moving(share=1.0) as client:
        ask(client, loop, 12)
        moving.move(client, "broken")
        assert set(ask(client, loop, 8)) == {"old"}, "the stable models answer what the new ones fail at"
        state = client.get("/state").json()
        assert (state["version"], state["canary"]) == ("old", "")
        assert "rolled back" in state["problem"]
        until(lambda: moving.rollbacks)
        assert "3 of 3 extractions failed" in moving.rollbacks[0][2]
        time.sleep(0.2)
        assert set(ask(client, loop, 3)) == {"old"}, "they are not loaded again"


def test_models_with_lower_confidence_are_rolled_back(moving, loop):
    with moving(share=1.0, requests=15) as client:
        ask(client, loop, 12)
        moving.move(client, "unconfident")
        assert set(ask(client, loop, 15)) == {"unconfident"}
        until(lambda: client.get("/state").json()["version"] == "old")
    assert "confidence fell from 0.90 to 0.10" in moving.rollbacks[0][2]


def test_shadowed_requests_are_answered_by_the_stable_models(moving, loop):
    with moving(share=0.0, shadow=1.0, requests=5) as client:
        ask(client, loop, 12)
        moving.move(client, "good")
        versions = []
        deadline = time.monotonic() + 20
        while client.get("/state").json()["version"] == "old":
            versions += ask(client, loop, 1, f"t{len(versions)}-")
            assert time.monotonic() < deadline
        assert len(versions) >= 5
        assert set(versions) == {"old"}


def test_broken_models_in_shadow_traffic_fail_no_request(moving, loop):
    with moving(share=0.0, shadow=1.0) as client:
        ask(client, loop, 12)
        moving.move(client, "broken")
        deadline = time.monotonic() + 20
        count = 0
        while client.get("/state").json()["canary"]:
            assert ask(client, loop, 1, f"u{count}-") == ["old"]
            count += 1
            assert time.monotonic() < deadline
        assert "rolled back" in client.get("/state").json()["problem"]


def test_a_rollback_by_hand_needs_no_rollout(moving, loop, tmp_path):
    with moving(share=0.5) as client:
        ask(client, loop, 3)
        kept = (tmp_path / "bundle").rename(tmp_path / "kept")
        shutil.copytree(kept, tmp_path / "bundle")
        moving.move(client, "good")
        shutil.rmtree(tmp_path / "bundle")
        kept.rename(tmp_path / "bundle")
        until(lambda: client.get("/state").json()["canary"] == "")
        assert set(ask(client, loop, 8)) == {"old"}


def test_a_rollback_in_the_audit_log_is_recognised(tmp_path, monkeypatch):
    monkeypatch.setattr(serving.models.registry_client, "ROOT", tmp_path)
    home = (tmp_path / bundle.LIVE).parent
    (home / "bundles" / "a").mkdir(parents=True)
    (home / "live").symlink_to("bundles/a")
    assert not serving.models.registry_client.is_rollback(home / "bundles" / "a")
    for action, known in (("promote", False), ("rollback", True)):
        with (home / "audit.jsonl").open("a") as f:
            f.write(json.dumps({"action": action}) + "\n")
        assert serving.models.registry_client.is_rollback(home / "bundles" / "a") is known
    assert not serving.models.registry_client.is_rollback(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_registry_goes_back_too_for_the_drum_that_moved(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(serving.models.registry_client, "ROOT", tmp_path)
    registry = Registry(root=tmp_path)
    registry.tracker.ensure_store()
    for name, seed in (("one", 0), ("two", 7)):
        registry.register(bundle.open_bundle(tiny_bundle.make(tmp_path / name, seed=seed)), tags={})
    old = registry.live.resolve()
    registry.promote({"snare": None}, reason="test")
    new = registry.live.resolve()
    assert changed_drums(old, new) == ["snare"]
    serving.models.registry_client.roll_back(old, new, "the mean confidence fell")
    assert registry.live.resolve() == old
    assert registry.history()[-1].reason == "by the service: the mean confidence fell"
    serving.models.registry_client.roll_back(old, new, "again")  # the registry has moved on: nothing to do
    assert registry.live.resolve() == old
