"""Shared by the service's tests: the application on a stand-in extractor, and sounds to send."""

import contextlib
import dataclasses
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import uvicorn
import yaml
from fake_extractor import SETTINGS, FakeExtractor
from server import free_port
from starlette.testclient import TestClient

from dose import audio
from serving.app import create_app
from serving.models.manager import ModelManager


@dataclasses.dataclass
class Served:
    """A way to start the application in this process: `with served(queue=1) as client`."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, extractor=None, **changes) -> TestClient:
        params = self.folder / "params.yaml"
        params.write_text(yaml.safe_dump({"serving": {**SETTINGS, **changes}}))
        self.monkeypatch.setenv("DOSE_PARAMS", str(params))
        self.monkeypatch.setenv("DOSE_STATE", str(self.folder / "state"))
        extractor = extractor or FakeExtractor()
        app = create_app(lambda config: ModelManager(config, load=lambda folder: extractor))
        return TestClient(app)


@pytest.fixture
def served(tmp_path, monkeypatch) -> Served:
    monkeypatch.delenv("DOSE_API_KEY", raising=False)
    return Served(tmp_path, monkeypatch)


@pytest.fixture
def on_a_port(served):
    """The application on a real port, in a thread of this process: `on_a_port(extractor) -> url`."""
    with contextlib.ExitStack() as stack:

        def start(extractor=None, **changes) -> str:
            app = served(extractor, **changes).app
            port = free_port()
            server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None))
            thread = threading.Thread(target=server.run)
            thread.start()
            stack.callback(thread.join)
            stack.callback(setattr, server, "should_exit", True)
            while not server.started:
                time.sleep(0.01)
            return f"http://127.0.0.1:{port}"

        yield start


@pytest.fixture(scope="session")
def loop() -> bytes:
    """One second of stereo noise as WAV."""
    noise = np.random.default_rng(0).normal(0, 0.1, (2, audio.RATE))
    return audio.wav_bytes(noise.astype(np.float32))
