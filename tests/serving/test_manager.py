"""Models in service: loaded once, warmed, swapped when they move, kept when the new ones are broken."""

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


def test_models_load_once_and_again_only_when_they_move(bundle):
    loaded = []

    def load(folder):
        loaded.append((folder / "manifest.json").read_text())
        return FakeExtractor(version=loaded[-1])

    engine = ModelManager(config(), find=lambda: bundle, load=load)
    engine.start()
    assert engine.models().version == "{}"
    time.sleep(0.3)
    assert loaded == ["{}"]
    (bundle / "manifest.json").write_text("moved")
    until(lambda: engine.models().version == "moved")
    engine.stop()


def test_a_broken_new_bundle_leaves_the_old_one_in_service(bundle):
    def load(folder):
        text = (folder / "manifest.json").read_text()
        if text == "broken":
            raise IntegrityError("kick/model.safetensors was changed.")
        return FakeExtractor(version=text)

    engine = ModelManager(config(), find=lambda: bundle, load=load)
    engine.start()
    engine.models()
    (bundle / "manifest.json").write_text("broken")
    until(lambda: engine.problem is not None)
    assert engine.ready
    assert engine.models().version == "{}"
    (bundle / "manifest.json").write_text("mended")
    until(lambda: engine.models().version == "mended")
    assert engine.problem is None
    engine.stop()


def test_a_bundle_that_appears_later_is_taken_up(tmp_path):
    engine = ModelManager(config(), find=lambda: tmp_path / "none", load=tiny)
    engine.start()
    until(lambda: "not a kit bundle" in (engine.problem or ""))
    assert not engine.ready
    with pytest.raises(APIError) as refused:
        engine.models(wait=0.01)
    assert refused.value.status == 503
    assert "not a kit bundle" in refused.value.sentence
    made = tiny_bundle.make(tmp_path / "made")
    shutil.move(made, tmp_path / "none")
    until(lambda: engine.ready, 60)
    engine.stop()


def tiny(folder):
    from dose.extract.extractor import Extractor

    return Extractor.load(folder)


def test_it_is_warm_before_it_is_ready(bundle):
    order = []

    class Watched(FakeExtractor):
        def extract_blocks(self, *args, **options):
            order.append(engine.ready)
            return super().extract_blocks(*args, **options)

    engine = ModelManager(config(), find=lambda: bundle, load=lambda folder: Watched())
    engine.start()
    engine.models()
    assert order == [False]
    engine.stop()


def test_requests_in_work_finish_on_the_models_they_started_with(bundle):
    class Slow(FakeExtractor):
        def sample(self, drum, prompts, rules):
            return [self.bundle.version] * len(rules)

    engine = ModelManager(
        config(), find=lambda: bundle, load=lambda f: Slow(version=(f / "manifest.json").read_text())
    )
    engine.start()
    old = engine.models()
    (bundle / "manifest.json").write_text("new")
    until(lambda: engine.models().version == "new")
    answers = []
    import torch

    thread = threading.Thread(
        target=lambda: answers.append(old.extractor.sample("kick", torch.zeros(1, 9, 4), [None]))
    )
    thread.start()
    thread.join(5)
    assert answers == [["{}"]]
    engine.stop()


def test_the_bundle_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("DOSE_BUNDLE", str(tmp_path))
    assert find_bundle() == tmp_path
