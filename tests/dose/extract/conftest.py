"""A bundle with tiny random models: with the real codec, untrained."""

import shutil
from pathlib import Path

import pytest
import tiny_bundle
from extract_beat import RATE, drum_loop

from dose import audio, cli


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """The folder of a bundle on the real compact codec."""
    return tiny_bundle.make(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def extractor(bundle):
    from dose.extract import Extractor

    return Extractor.load(bundle)


@pytest.fixture
def bundle_copy(bundle, tmp_path):
    """The same in a folder that a test may change."""
    return shutil.copytree(bundle, tmp_path / "bundle")


@pytest.fixture
def run(bundle, tmp_path, monkeypatch, capsys):
    """Runs `dose extract ...` in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str):
        code = cli.main(["extract", *arguments, "--bundle", str(bundle)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture(scope="session")
def loop():
    """Four seconds of drums, [2, N]."""
    return drum_loop(4.0)


@pytest.fixture
def mix(tmp_path, loop) -> Path:
    audio.write(tmp_path / "my song.wav", loop, RATE)
    return tmp_path / "my song.wav"
