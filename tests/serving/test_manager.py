"""Models in service: loaded once, warmed up, reloaded when the bundle changes, kept when that fails."""

import shutil
import threading
import time

import pytest
import tiny_bundle
from fake_extractor import SETTINGS, FakeExtractor

from dose.config import parse
from dose.errors import IntegrityError
from serving.limits import APIError
from serving.models.manager import ModelManager, find_bundle
from serving.settings import ServingConfig


def config(**changes) -> ServingConfig:
    return parse(ServingConfig, {**SETTINGS, **changes}, "serving")


def until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    return folder


def test_models_load_once_and_again_only_when_the_bundle_changes(bundle):
    loaded = []

    def load(folder):
        loaded.append((folder / "manifest.json").read_text())
        return FakeExtractor(version=loaded[-1])

    manager = ModelManager(config(), find=lambda: bundle, load=load)
    manager.start()
    assert manager.models_for().version == "{}"
    time.sleep(0.3)
    assert loaded == ["{}"]
    (bundle / "manifest.json").write_text("changed")
    until(lambda: manager.models_for().version == "changed")
    manager.stop()


def test_a_broken_new_bundle_leaves_the_old_one_in_service(bundle):
    def load(folder):
        text = (folder / "manifest.json").read_text()
        if text == "broken":
            raise IntegrityError("kick/model.safetensors was changed.")
        return FakeExtractor(version=text)

    manager = ModelManager(config(), find=lambda: bundle, load=load)
    manager.start()
    manager.models_for()
    (bundle / "manifest.json").write_text("broken")
    until(lambda: manager.problem is not None)
    assert manager.ready
    assert manager.models_for().version == "{}"
    (bundle / "manifest.json").write_text("mended")
    until(lambda: manager.models_for().version == "mended")
    assert manager.problem is None
    manager.stop()


def test_a_bundle_that_appears_later_is_loaded(tmp_path):
    manager = ModelManager(config(), find=lambda: tmp_path / "none", load=tiny)
    manager.start()
    until(lambda: "not a kit bundle" in (manager.problem or ""))
    assert not manager.ready
    with pytest.raises(APIError) as error:
        manager.models_for(wait=0.01)
    assert error.value.status == 503
    assert "not a kit bundle" in error.value.message
    made = tiny_bundle.make(tmp_path / "made")
    shutil.move(made, tmp_path / "none")
    until(lambda: manager.ready, 60)
    manager.stop()


def tiny(folder):
    from dose.extract.extractor import Extractor

    return Extractor.load(folder)


def test_it_is_warm_before_it_is_ready(bundle):
    order = []

    class Watched(FakeExtractor):
        def extract_blocks(self, *args, **options):
            order.append(manager.ready)
            return super().extract_blocks(*args, **options)

    manager = ModelManager(config(), find=lambda: bundle, load=lambda folder: Watched())
    manager.start()
    manager.models_for()
    assert order == [False]
    manager.stop()


def test_running_requests_finish_on_the_models_they_started_with(bundle):
    class Slow(FakeExtractor):
        def sample(self, drum, prompts, rules):
            return [self.bundle.version] * len(rules)

    manager = ModelManager(
        config(), find=lambda: bundle, load=lambda f: Slow(version=(f / "manifest.json").read_text())
    )
    manager.start()
    old = manager.models_for()
    (bundle / "manifest.json").write_text("new")
    until(lambda: manager.models_for().version == "new")
    answers = []
    import torch

    thread = threading.Thread(
        target=lambda: answers.append(old.extractor.sample("kick", torch.zeros(1, 9, 4), [None]))
    )
    thread.start()
    thread.join(5)
    assert answers == [["{}"]]
    manager.stop()


def test_the_bundle_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("DOSE_BUNDLE", str(tmp_path))
    assert find_bundle() == tmp_path
