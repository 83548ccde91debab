"""The rules of the tree: layers, the README's tour of it, file sizes."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OUTSIDE = {"pipelines", "serving", "experiments", "benchmarks"}  # packages beside src/dose
PACKAGES = ("src/dose", "pipelines", "serving", "experiments", "benchmarks")


def _sources() -> list[str]:
    return sorted(
        p.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for p in (ROOT / package).rglob("*.py")
        if "__pycache__" not in p.parts
    )


def _packages() -> set[str]:
    inside = {f"dose.{p.stem}" for p in (ROOT / "src/dose").iterdir() if p.stem.isidentifier()}
    return inside - {"dose.__init__", "dose.__pycache__"} | OUTSIDE


def test_the_layers_name_every_package():
    """A package that no layer names could import whatever it likes."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [c["layers"] for c in contracts if c["type"] == "layers"]
    named = [package for layer in layers for package in layer.split(" | ")]
    assert sorted(named) == sorted(_packages())


def test_the_readmes_tour_names_every_package():
    tour = (ROOT / "README.md").read_text().partition("## A tour of the packages")[2]
    named = set(re.findall(r"`((?:dose\.|pipelines|serving|experiments|benchmarks)[\w.]*)`", tour))
    assert _packages() == named
    for path in re.findall(r"`([\w/]+\.py)`", tour):
        assert (ROOT / path).is_file(), path


def test_no_file_grows_past_450_lines_or_hides_behind_a_vague_name():
    lines = {path: len((ROOT / path).read_text().splitlines()) for path in _sources()}
    assert len(lines) > 200
    assert {path: n for path, n in lines.items() if n > 450} == {}
    assert [path for path in lines if Path(path).stem in {"utils", "helpers", "common", "misc"}] == []


def test_each_test_file_has_a_name_of_its_own():
    """pytest imports them by their bare names; two of one name cannot be collected together."""
    names = [p.name for p in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names)), sorted(n for n in set(names) if names.count(n) > 1)


@pytest.mark.parametrize(
    ("path", "line", "told"),
    [
        ("src/dose/audio.py", "from dose.rmod import mix_spec", "dose.audio"),
        (
            "src/dose/codec/tables.py",
            "def late():\n    from dose.codec import store",
            "allowed in dose.codec",
        ),
    ],
)
def test_an_upward_import_and_a_circle_are_refused(tmp_path, path, line, told):
    """import-linter passes without the line and fails with it."""
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("*.flac", "*.safetensors")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def lint() -> subprocess.CompletedProcess:
        search = f"{tmp_path / 'src'}:{tmp_path}"
        command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
        env = {"PYTHONPATH": search, "PATH": "/usr/bin:/bin"}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    assert lint().returncode == 0
    with open(tmp_path / path, "a") as f:
        f.write(f"\n{line}\n")
    broken = lint()
    assert broken.returncode != 0
    assert told in broken.stdout


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("mlflow", {"src/dose/tracking/"}),
        ("ray", {"src/dose/cluster/", "src/dose/sweep/"}),
        ("dac", {"src/dose/codec/dac.py"}),
        ("audiotools", {"src/dose/codec/dac.py"}),
        ("soundfile", {"src/dose/audio.py"}),
        ("av", {"src/dose/ffmpeg.py"}),
    ],
)
def test_each_outside_system_has_one_adapter(package, allowed):
    pattern = re.compile(rf"^\s*(import|from) {package}\b", re.M)
    users = {p for p in _sources() if pattern.search((ROOT / p).read_text())}
    assert not [u for u in users if not any(u.startswith(a) for a in allowed)]
