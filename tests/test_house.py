"""The rules of the house: layers, the README's tree, file sizes."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("src/dose", "pipelines", "serving")


def _sources() -> list[str]:
    return sorted(
        p.relative_to(ROOT).as_posix()
        for room in ROOMS
        for p in (ROOT / room).rglob("*.py")
        if "__pycache__" not in p.parts
    )


def test_the_readmes_tree_has_every_file_with_one_line_each():
    tree = re.search(r"```tree\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(1)
    folders, listed = [], []
    for line in tree.splitlines():
        name, _, what = line.strip().partition("  ")
        depth = (len(line) - len(line.lstrip())) // 2
        if name.endswith("/"):
            folders[depth:] = [name]
        elif name.endswith(".py"):
            assert what.strip(), f"{name} has no line of its own"
            listed.append("".join(folders[:depth]) + name)
    wanted = [p for p in _sources() if not p.endswith("__init__.py")]
    assert sorted(listed) == wanted


@pytest.mark.parametrize("path", _sources())
def test_no_file_grows_past_500_lines_or_hides_behind_a_vague_name(path):
    assert len((ROOT / path).read_text().splitlines()) <= 500
    assert Path(path).stem not in {"utils", "helpers", "common", "misc"}


def test_each_test_file_has_a_name_of_its_own():
    """pytest imports them by their bare names; two of one name cannot be collected together."""
    names = [p.name for p in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names)), sorted(n for n in set(names) if names.count(n) > 1)


def test_an_upward_import_is_refused(tmp_path):
    """import-linter fails when a low room imports a high one (and passes without that line)."""
    for room in ROOMS:
        shutil.copytree(
            ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("*.flac", "*.safetensors")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def lint() -> subprocess.CompletedProcess:
        path = f"{tmp_path / 'src'}:{tmp_path}"
        command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
        env = {"PYTHONPATH": path, "PATH": "/usr/bin:/bin"}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    assert lint().returncode == 0
    with open(tmp_path / "src/dose/audio.py", "a") as f:
        f.write("\nfrom dose.rmod import recipe\n")
    broken = lint()
    assert broken.returncode != 0
    assert "dose.audio" in broken.stdout


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("mlflow", {"src/dose/tracking/"}),
        ("ray", {"src/dose/cluster.py", "src/dose/sweep/"}),
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
