"""The Bento: self-contained, without training dependencies, and runs from any folder."""

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import httpx
import pytest
import tiny_bundle
import yaml
from server import ROOT, Server

NOT_FOR_SERVING = ("ray", "dvc", "mlflow", "optuna", "pandas", "matplotlib", "librosa", "pedalboard")


def test_the_service_imports_nothing_that_only_training_needs():
    code = (
        "import sys, serving.service, serving.models.manager, dose.extract.extractor; "
        f"print([m for m in {NOT_FOR_SERVING!r} if m in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_container_gets_the_versions_that_were_tested():
    lines = (ROOT / "serving" / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert len(pins) > 10
    for name, version in pins.items():
        assert metadata.version(name).partition("+")[0] == version, name


def test_every_package_that_the_service_names_is_in_the_container():
    lines = (ROOT / "serving" / "requirements.txt").read_text()
    own = {"dose", "serving", "bentoml", *sys.stdlib_module_names}
    dists = metadata.packages_distributions()
    named = set()
    # The service, and what it calls: also what those modules import only when they write a file.
    folders = ("serving", "src/dose/extract", "src/dose/kits", "src/dose/transcription")
    for path in (p for folder in folders for p in (ROOT / folder).rglob("*.py")):
        named |= set(re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.M))
    for module in sorted(named - own):
        assert any(f"{dist.lower().replace('_', '-')}==" in lines for dist in dists[module]), module


def test_both_variants_take_the_same_files():
    import tomllib

    cpu = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["bentoml"]["build"]
    gpu = yaml.safe_load((ROOT / "serving" / "bentofile.gpu.yaml").read_text())
    for key in ("service", "include", "exclude"):
        assert cpu[key] == gpu[key]
    assert gpu["docker"]["base_image"].startswith("nvidia/cuda:")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_built_bento_answers_from_another_folder_with_an_empty_store(tmp_path, loop):
    project = tmp_path / "project"
    project.mkdir()
    for name in ("serving", "src"):
        shutil.copytree(
            ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    for name in ("pyproject.toml", "params.yaml"):
        shutil.copy(ROOT / name, project / name)
    made = tiny_bundle.make(tmp_path / "models")
    shutil.copytree(made, project / "data" / "package" / "bundle")
    gpu = ["-f", "serving/bentofile.gpu.yaml", "--name", "dose-gpu"]
    bentos = {name: build(project, tmp_path / name, options) for name, options in (("cpu", []), ("gpu", gpu))}
    for variant, bento in bentos.items():
        docker = (bento / "env" / "docker" / "Dockerfile").read_text()
        assert ("nvidia/cuda" in docker) is (variant == "gpu")
        names = {p.name for p in (bento / "src").rglob("*")}
        assert {"service.py", "index.html", "bundle.json", "params.yaml"} <= names
        assert not any(name.startswith(("test_", ".git")) for name in names)

    moved = shutil.move(bentos["cpu"], tmp_path / "elsewhere")
    shutil.rmtree(project)
    (tmp_path / "work").mkdir()
    with Server(tmp_path / "empty", target=str(moved), cwd=tmp_path / "work") as server:
        answer = httpx.post(f"{server.url}/extract", files={"audio": ("a.wav", loop)}, timeout=120)
        assert answer.status_code == 200
        assert len(zipfile.ZipFile(io.BytesIO(answer.content)).namelist()) == 3
        assert httpx.get(server.url).text.startswith("<!doctype html>")
        log = server.log.read_text()
    assert f'"folder": "{moved}/src/data/package/bundle"' in log, "its own models"


def build(project: Path, home: Path, options: list[str]) -> Path:
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [str(Path(sys.executable).with_name("bentoml")), "build", *options, "-o", "tag"],
        cwd=project,
        env={**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    tag = done.stdout.strip().splitlines()[-1].removeprefix("__tag__:")
    return home / "bentos" / tag.replace(":", "/")
