"""The rules of the tree: layers, the README's tour of it, file sizes, comments, the field's words."""

import ast
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import private_terms
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
    inside = {
        f"dose.{p.stem}"
        for p in (ROOT / "src/dose").iterdir()
        if p.stem.isidentifier() and p.suffix in ("", ".py")
    }
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
    files = re.findall(r"`([\w/]+\.py)`", tour)
    assert len(files) >= 5
    assert [path for path in files if not (ROOT / path).is_file()] == []


def _lines() -> dict[str, list[str]]:
    found = {path: (ROOT / path).read_text().splitlines() for path in _sources()}
    assert len(found) > 200
    return found


def test_files_are_short():
    sizes = {path: len(lines) for path, lines in _lines().items()}
    assert {path: n for path, n in sizes.items() if n > 450} == {}
    assert statistics.median(sizes.values()) <= 150


def test_no_folder_holds_more_than_20_modules():
    folders = Counter(Path(path).parent.as_posix() for path in _sources())
    assert {folder: n for folder, n in folders.items() if n > 20} == {}


def test_no_module_has_a_vague_name():
    vague = {"utils", "util", "helpers", "common", "misc"}
    assert [path for path in _sources() if vague & set(Path(path).with_suffix("").parts)] == []


def test_comments_on_their_own_line_are_at_least_3_percent_of_the_code():
    """Algorithms say step by step what they do, and constants where they come from."""
    lines = [
        line.strip()
        for path, lines in _lines().items()
        for line in lines
        if path.startswith(("src/", "serving/", "pipelines/"))
    ]
    comments = sum(line.startswith("#") and not line.startswith("# noqa") for line in lines)
    assert comments >= 0.03 * len(lines), f"{comments} of {len(lines)} lines"


def test_every_private_term_would_be_found():
    """The table itself: each pattern finds its example, and no longer exists beside its standard word."""
    assert [term.pattern for term in private_terms.TERMS if not term.found(term.example)] == []
    assert len(list(private_terms.lines())) > 20_000
    standard = [word for term in private_terms.TERMS for word in re.split("; |, ", term.standard)]
    assert [
        w for w in standard for term in private_terms.TERMS if term.where == ("",) and term.found(w)
    ] == []


def test_the_words_are_the_fields_own():
    used = private_terms.uses()
    places = [f"-> {term.standard}: {place}" for term, found in used.items() for place in found]
    assert not places, f"{len(places)} lines use private terms:\n" + "\n".join(places)


def test_each_test_file_has_a_name_of_its_own():
    """pytest imports them by their bare names; two of one name cannot be collected together."""
    names = [p.name for p in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names)), sorted(n for n in set(names) if names.count(n) > 1)


@pytest.mark.parametrize(
    ("path", "line", "message"),
    [
        ("src/dose/audio/processing.py", "from dose.rmod import mix_spec", "dose.audio"),
        (
            "src/dose/codec/tables.py",
            "def late():\n    from dose.codec import store",
            "allowed in dose.codec",
        ),
    ],
)
def test_an_upward_import_and_a_circle_are_refused(tmp_path, path, line, message):
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
    assert message in broken.stdout


@pytest.mark.parametrize(
    ("package", "adapters"),
    [
        ("mlflow", {"src/dose/tracking/"}),
        ("ray", {"src/dose/cluster/", "src/dose/sweep/"}),
        ("dac", {"src/dose/codec/dac.py"}),
        ("audiotools", set()),
        ("soundfile", {"src/dose/audio/"}),
        ("av", {"src/dose/ffmpeg.py"}),
    ],
)
def test_each_outside_system_has_one_adapter(package, adapters):
    """And each adapter exists, so that this table cannot go stale."""
    users = {path for path in _sources() if package in _imported(ROOT / path)}
    assert [u for u in users if not u.startswith(tuple(adapters))] == []
    assert [a for a in adapters if not any(u.startswith(a) for u in users)] == []


def _imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, also within functions and by `importlib.import_module`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names |= {a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return {name.partition(".")[0] for name in names}


def test_the_makefiles_test_commands_select_tests():
    """pytest ends with an error where `-k` selects nothing, which a renamed test would cause in CI alone."""
    commands = re.findall(
        r'pytest (tests/[\w/.]+)(?:.* -k "?(?:not )?(\w+)"?)?', (ROOT / "Makefile").read_text()
    )
    assert len(commands) > 5
    for path, word in commands:
        assert re.search(rf"^def test_\w*{word}", (ROOT / path).read_text(), re.M), (path, word)
