"""What pyproject.toml declares: every import, by the extra that needs it, in versions that the lock has."""

import itertools
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import grimp
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import dose
from dose import cli
from serving import settings

ROOT = Path(__file__).parent.parent
PACKAGES = ("dose", "serving", "pipelines", "experiments", "benchmarks")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRACTION = ("dose.cli", "dose.commands.extract", "dose.commands.info")
SERVING = ("dose.commands.serve", "dose.client")
# Declared without an import statement: started as programs, imported by name, or needed by a package above.
NOT_IMPORTED = {
    "descript-audio-codec": "dose.codec.dac imports it as dac, by importlib",
    "dvc": "a command",
    "openapi-python-client": "a command",
    "optuna": "Ray Tune's search algorithm",
    "pandas": "what tables of pyarrow and duckdb become",
    "pretty-midi": "its SoundFont is read, not its code",
    "psycopg2-binary": "SQLAlchemy loads it by MLflow's address",
    "pysfizz": "tests import it by importorskip, as sfizz",
    "python-multipart": "Starlette's parser of forms",
    "pyworld": "dose.sources.synth.voice imports it by importlib",
    "ruamel-yaml-clib": "ruamel.yaml takes it where it is installed",
}
COMMANDS = {
    "import-linter", "mkdocs", "mkdocs-material", "mypy", "pytest-timeout", "pytest-xdist", "ruff",
    "types-pyyaml",
}  # fmt: skip


def _names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(r).name) for r in requirements}


CORE = _names(PROJECT["dependencies"])
EXTRAS = {name: _names(found) for name, found in PROJECT["optional-dependencies"].items()}
DECLARED = CORE.union(*EXTRAS.values())


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph(
        *PACKAGES, include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )


def _distributions(modules: set[str]) -> set[str]:
    """The packages, as a package index names them, that bring the outside modules among `modules`."""
    outside = {m for m in modules if m.partition(".")[0] not in {*PACKAGES, *sys.stdlib_module_names}}
    known = metadata.packages_distributions()
    missing = sorted(m for m in outside if m not in known)
    assert missing == [], "imported, but no installed package brings them"
    # Several packages may share a module: mlflow and mlflow-skinny.
    return {
        min(map(canonicalize_name, known[m]), key=lambda name: (name not in DECLARED, name)) for m in outside
    }


def _needed(graph: grimp.ImportGraph, modules: tuple[str, ...]) -> set[str]:
    """What these modules and all that they import need, imports inside functions included."""
    found = {m for module in modules for m in graph.find_upstream_modules(module)}
    return _distributions(found)


def test_extraction_needs_the_dependencies_without_an_extra(graph):
    assert _needed(graph, EXTRACTION) <= CORE


def test_the_service_needs_the_extra_serve(graph):
    serving = tuple(m for m in graph.modules if m.partition(".")[0] == "serving")
    needed = _needed(graph, (*SERVING, *serving))
    assert needed <= CORE | EXTRAS["serve"]
    assert needed >= {"bentoml", "fastapi", "httpx", "starlette"}


def test_every_import_is_declared(graph):
    declared = CORE | EXTRAS["serve"] | EXTRAS["lab"] | EXTRAS["overridden"]
    assert _distributions(set(graph.modules)) <= declared


def test_the_command_line_knows_what_pip_cannot_install():
    known = metadata.packages_distributions()
    names = {canonicalize_name(known[module][0]) for module in cli.OVERRIDDEN}
    # audiotools comes with the codec; SciPy is only bounded there.
    assert names - {"descript-audiotools"} == EXTRAS["overridden"] - {"scipy"}


def test_everything_declared_is_used(graph):
    imported = _distributions(set(graph.modules))
    tests = "\n".join(p.read_text() for p in (ROOT / "tests").rglob("*.py"))
    known = metadata.packages_distributions()
    named = {m for m in re.findall(r"^\s*(?:import|from) (\w+)", tests, re.M) if m in known}
    imported |= {canonicalize_name(known[m][0]) for m in named}
    assert DECLARED - imported == NOT_IMPORTED.keys() | COMMANDS


def test_the_lock_has_each_declared_package_within_its_bounds():
    pins = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        name, _, version = line.partition(" ;")[0].partition("==")
        pins[canonicalize_name(name)] = version
    makefile = (ROOT / "Makefile").read_text()
    pins["torch"] = re.search(r"torch==([\d.]+)", makefile).group(1)  # installed by itself
    declared = [*PROJECT["dependencies"], *itertools.chain(*PROJECT["optional-dependencies"].values())]
    assert len(declared) > 50
    for requirement in map(Requirement, declared):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_versions_that_make_install_accepts_are_those_of_the_metadata():
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    assert "(3, 11) <= v <= (3, 13)" in (ROOT / "Makefile").read_text()
    named = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if "Python :: 3" in c}
    assert named == {"3.11", "3.12", "3.13"}


def test_the_version_is_that_of_the_metadata():
    assert dose.__version__ == metadata.version("dose")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = dose.nonsense


def test_type_checkers_use_the_packages_annotations():
    assert (ROOT / "src/dose/py.typed").is_file()


def test_the_services_settings_outside_a_project_are_those_of_the_project():
    [own] = yaml.safe_load((ROOT / "serving/defaults.yaml").read_text()).items()
    assert own == ("serving", yaml.safe_load((ROOT / "params.yaml").read_text())["serving"])


def test_an_installed_service_takes_its_own_settings_and_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("DOSE_PARAMS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert settings.project_root(ROOT) == ROOT
    assert settings.project_root(tmp_path / "site-packages") == tmp_path
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    assert settings.load_config().max_candidates == 8
