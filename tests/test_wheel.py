"""The wheel in an empty environment of each Python that is there, without what only training needs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from dose_serve import dose_serve

ROOT = Path(__file__).parent.parent
LOOP = ROOT / "src/dose/sources/demo/loop_garzul.flac"
TRAINING = ("dvc", "mlflow", "ray", "librosa", "numba", "optuna", "pedalboard", "pyarrow")
MAX_MB = 45
PYTHONS = ("3.11", "3.12", "3.13")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that sees neither this environment's packages nor the source tree."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "DOSE_", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: setuptools leaves a folder `build`, from which removed files return."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("src", "serving", "LICENSES"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for path in ROOT.iterdir():
        if path.is_file() and path.suffix in ("", ".toml", ".md"):
            shutil.copy(path, copy)
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", out, copy, cwd=out)
    [wheel] = out.glob("*.whl")
    return wheel


def python(version: str) -> Path | None:
    """A Python of this version that can make environments: this one, one on the PATH, or one of pyenv's."""
    own = Path(sys.executable) if version == "{}.{}".format(*sys.version_info) else None
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [own, shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python"))]
    check = f"import ensurepip, ssl, sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
    for candidate in filter(None, found):
        if subprocess.run([candidate, "-c", check], capture_output=True, check=False).returncode == 0:
            return Path(candidate)
    return None


@pytest.fixture(scope="module", params=PYTHONS)
def binaries(request, wheel, tmp_path_factory):
    """The folder of programs of an environment with the wheel and what it asks for; torch as in the lock."""
    interpreter = python(request.param)
    if interpreter is None:
        pytest.skip(f"there is no Python {request.param} here")
    folder = tmp_path_factory.mktemp("environment")
    run(interpreter, "-m", "venv", folder, cwd=folder)
    [torch] = re.findall(r"torch==[\d.]+", (ROOT / "Makefile").read_text())
    run(folder / "bin/pip", "install", "--quiet", "--no-compile", torch, wheel, cwd=folder)
    yield folder / "bin"
    shutil.rmtree(folder)  # 5 GB where torch comes with CUDA


def test_the_wheel_is_small(wheel):
    assert wheel.stat().st_size < MAX_MB * 1e6


def test_extract_runs_without_what_only_training_needs(binaries, tmp_path):
    code = (
        "import sys; from dose import cli; code = cli.main(sys.argv[1:]); "
        f"print([m for m in {TRAINING!r} if m in sys.modules]); sys.exit(code)"
    )
    kit = tmp_path / "kit"
    options = ("--kit", "all", "--lufs", "-14", "--page", str(tmp_path / "kit.html"))
    told = run(binaries / "python", "-c", code, "extract", LOOP, "--out", kit, *options, cwd=tmp_path)
    assert told.splitlines()[-1] == "[]"
    assert {"kick.wav", "snare.wav", "hihat.wav", "loop_garzul.sfz"} <= {p.name for p in kit.iterdir()}
    assert (tmp_path / "kit.html").is_file()


def test_the_demo_and_the_python_api_run(binaries, tmp_path):
    told = run(binaries / "dose", "demo", cwd=tmp_path)
    assert "The kit is in dose-demo" in told
    assert {"kick.wav", "kit.html"} <= {p.name for p in (tmp_path / "dose-demo").iterdir()}
    code = "import sys; from dose import Extractor; Extractor().extract_file(sys.argv[1]).save('kit')"
    run(binaries / "python", "-c", code, LOOP, cwd=tmp_path)
    assert (tmp_path / "kit/snare.wav").read_bytes() == (tmp_path / "dose-demo/snare.wav").read_bytes()


def test_a_command_of_the_lab_names_the_extra(binaries, tmp_path):
    command = [binaries / "dose", "sources", "show"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'dose[lab]'" in done.stderr


def test_serve_answers_with_the_page(binaries, wheel, tmp_path):
    run(binaries / "pip", "install", "--quiet", "--no-compile", f"{wheel}[serve]", cwd=tmp_path)
    names = run(binaries / "pip", "list", "--format=freeze", cwd=tmp_path).lower()
    assert not [name for name in ("dvc", "mlflow", "ray") if f"\n{name}==" in names]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"}
    with dose_serve(binaries / "dose", tmp_path, environment) as url:
        assert httpx.get(url).text.startswith("<!doctype html>")
        assert httpx.get(f"{url}/web/main.js").status_code == 200
    assert (tmp_path / "state/jobs.sqlite").is_file()
