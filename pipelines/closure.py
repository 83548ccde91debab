"""The files that a stage's result depends on: the import closure of its script, as `deps` in dvc.yaml.

`python -m pipelines.closure` rewrites the source files among the `deps` of every stage; a test compares them.
With all of src/ as deps a stage would run again for a docstring elsewhere; with a module missing it would not
run when it should.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

from dose.files import atomic

ROOT = Path(__file__).parent.parent
DVC = ROOT / "dvc.yaml"
# Modules that a stage packs without importing them: the Bento's service.
PACKED = {"package": ("serving/service.py",)}
PACKAGES = {"dose": ROOT / "src", "pipelines": ROOT, "serving": ROOT, "experiments": ROOT, "benchmarks": ROOT}


def closure(stage: str) -> list[str]:
    """Project files, relative and sorted, that `python -m pipelines.<stage>` can import or packs.

    Imports inside functions count too. A module adds the data beside it that it names (`/ "weights"`: shipped
    clips, weights, templates), and a package the data that none of its modules names; files beside the stage
    scripts are no data. A package of which at least half is needed is listed as its folder, which keeps the
    lists short.
    """
    visited: set[Path] = set()
    queue = [ROOT / "pipelines" / f"{stage}.py", *(ROOT / module for module in PACKED.get(stage, ()))]
    while queue:
        path = queue.pop()
        if path in visited:
            continue
        visited.add(path)
        for module in _imports(path):
            queue.extend(_files(module))
    # Files beside the stage scripts are not data of a package.
    packages = {p.parent for p in visited if p.name == "__init__.py" and p.parent != ROOT / "pipelines"}
    data = {d for package in packages for d in _data(package, visited)}
    return sorted(p.relative_to(ROOT).as_posix() for p in _folded(visited | data))


def _folded(paths: set[Path]) -> set[Path]:
    """The paths, with each package of which at least half is among them replaced by its folder."""
    roots = {PACKAGES["dose"] / "dose", PACKAGES["pipelines"] / "pipelines"}
    packages = {p.parent for p in paths if p.name == "__init__.py"} - roots
    for package in sorted(packages, key=lambda p: (-len(p.parts), p)):  # subpackages first
        inside = {p for p in package.iterdir() if p.name != "__pycache__"}
        if len(inside & paths) * 2 >= len(inside):
            paths = (paths - inside) | {package}
    return paths


def _data(package: Path, modules: set[Path]) -> Iterator[Path]:
    """The package's files and folders without Python that one of `modules`, or no module, names."""
    named = {p: _named_paths(p) for p in package.glob("*.py")}
    for path in package.iterdir():
        if path.suffix == ".py" or path.name == "__pycache__" or any(path.rglob("*.py")):
            continue
        # For type checkers alone.
        if path.suffix == ".pyi" or path.name == "py.typed":
            continue
        # Data that no module names may be read by any of them.
        users = {p for p, names in named.items() if path.name in names}
        if not users or users & modules:
            yield path


def _named_paths(path: Path) -> set[str]:
    """The names that a module puts at the end of a path, as `parent / "weights"` does."""
    return {
        node.right.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        if isinstance(node.right, ast.Constant) and isinstance(node.right.value, str)
    }


def _imports(path: Path) -> Iterator[str]:
    """Dotted names that the file imports from this project, with `from a import b` giving a and a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in PACKAGES)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            yield node.module
            yield from (f"{node.module}.{a.name}" for a in node.names)


def _files(module: str) -> Iterator[Path]:
    """The module's file and the __init__.py of every package above it."""
    parts = module.split(".")
    base = PACKAGES[parts[0]]
    # Importing a.b.c runs the __init__.py of a and a.b.
    for i in range(1, len(parts) + 1):
        folder = base.joinpath(*parts[:i])
        if (init := folder / "__init__.py").is_file():
            yield init
        elif (file := folder.with_suffix(".py")).is_file():
            yield file


def is_source(dep: str) -> bool:
    """Whether a dep is a file of this project's code, which `closure` lists."""
    return dep.split("/")[0] in ("src", "pipelines", "serving")


def main() -> None:
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    dag = yaml.load(DVC)
    for name, stage in dag["stages"].items():
        # Data deps stay as they are written.
        stage["deps"] = [d for d in stage["deps"] if not is_source(d)] + closure(name)
    with atomic(DVC) as beside:
        yaml.dump(dag, beside)


if __name__ == "__main__":
    main()
