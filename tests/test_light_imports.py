"""`dose demo` and `dose serve` import neither DVC, MLflow nor Ray, though these are installed here."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from dose_serve import dose_serve

ROOT = Path(__file__).parent.parent
FORBIDDEN = ("dvc", "mlflow", "ray")
# Python runs sitecustomize.py at the start of every process: it refuses these, and lists them in a file.
REFUSE = f"""
import importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {FORBIDDEN!r}:
            with open(__file__.replace("sitecustomize.py", "imported.txt"), "a") as file:
                file.write(name + "\\n")
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def environment(tmp_path):
    folder = tmp_path / "refuse"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(REFUSE)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DOSE_")}
    search = os.pathsep.join(map(str, (folder, ROOT / "src", ROOT)))
    yield kept | {"PYTHONPATH": search, "BENTOML_DO_NOT_TRACK": "True"}
    assert not (folder / "imported.txt").exists(), (folder / "imported.txt").read_text()


def run(tmp_path: Path, environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", FORBIDDEN)
def test_an_import_would_be_refused(tmp_path, environment, name):
    done = run(tmp_path, environment, "-c", f"import {name}")
    assert "ImportError" in done.stderr
    (tmp_path / "refuse/imported.txt").unlink()


def test_the_demo(tmp_path, environment):
    done = run(tmp_path, environment, "-m", "dose", "demo")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dose-demo/kick.wav").is_file()


def test_the_service(tmp_path, environment):
    with dose_serve(Path(sys.executable).with_name("dose"), tmp_path, environment) as url:
        with open(ROOT / "src/dose/sources/demo/loop_industrial.flac", "rb") as loop:
            answer = httpx.post(f"{url}/extract", files={"file": loop}, timeout=120)
        assert answer.status_code == 200, answer.text
