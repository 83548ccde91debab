"""Proof that a refactor changed no behaviour: the same probes in an old commit and in the working tree.

The seeded probes (`identity_probes`) run in both trees, each in a process of its own with one thread and
fp32, and their values are compared to the last bit. Names that a refactor changed stand in
`identity_probes/names.py`. Both trees use the models of the base commit, and `identity_probes.inputs.fix`
puts fixed onsets and confidences in the place of those parts that other parts have replaced since.
Exit code of `python -m benchmarks.identity`: 0 when all is equal, 1 when something differs, 2 when the base
commit is not in this clone.
"""

import argparse
import fnmatch
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BASE = "51e8cac"
ROOT = Path(__file__).resolve().parents[1]
PROBES = Path(__file__).resolve().parent / "identity_probes"  # no package of ours: it is copied and run alone
MODELS = "src/dose/bundle/models"  # of the base commit
SHOWN = 110  # characters of a difference
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class NoBaseError(Exception):
    """The base commit is not there."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", default=BASE, metavar="COMMIT", help="old commit (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="fewer items and runs in each probe")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Prints the table; raises DoseError where something differs, so that `dose bench identity` fails too."""
    from dose.errors import DoseError

    try:
        figures = compare(args.base, args.quick)
    except NoBaseError as e:
        raise DoseError(str(e)) from e
    if not figures["equal"]:
        raise DoseError(f"The working tree differs from {args.base} in: {', '.join(figures['differing'])}.")
    return figures


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.identity", description=__doc__)
    add_arguments(parser)
    args = parser.parse_args()
    try:
        figures = compare(args.base, args.quick)
    except NoBaseError as e:
        print(e, file=sys.stderr)
        return 2
    print(json.dumps(figures))
    return 0 if figures["equal"] else 1


def compare(base: str, quick: bool = False) -> dict[str, Any]:
    """Runs the probes in both trees, prints a table and each probe's first difference, and gives figures.

    Raises NoBaseError when the base commit is not in this clone.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dose-identity-") as folder:
        scratch = Path(folder)
        commit = _unpack(base, scratch / "base")
        shutil.copytree(PROBES, scratch / "probes" / PROBES.name)
        old = _probe("old", scratch / "base", scratch, quick)
        new = _probe("new", ROOT, scratch, quick)
    expected = _expected()
    differing: dict[str, str] = {}
    skipped = 0
    print(f"{'probe':12}{'values':>8}{'expected':>10}{'base s':>9}{'tree s':>9}  result")
    for name in old | new:
        a, b = old.get(name, {}), new.get(name, {})
        values = a.get("values", {}).keys() | b.get("values", {}).keys()
        left_out = {v for v in values if any(fnmatch.fnmatch(f"{name}/{v}", p) for p in expected)}
        skipped += len(left_out)
        difference = first_difference(a, b, left_out)
        if difference:
            differing[name] = difference
        times = f"{a.get('seconds', 0):9.1f}{b.get('seconds', 0):9.1f}"
        print(f"{name:12}{len(values):8}{len(left_out):10}{times}  {'DIFFERS' if difference else 'equal'}")
    for name, difference in differing.items():
        print(f"{name}: {difference}")
    return {
        "base": commit,
        "quick": quick,
        "equal": not differing,
        "probes": len(old | new),
        "values": sum(len(found.get("values", {})) for found in new.values()),
        "expected": skipped,
        "differing": differing,
        "seconds": round(time.monotonic() - began, 1),
    }


def first_difference(old: Mapping[str, Any], new: Mapping[str, Any], left_out: set[str]) -> str:
    """A sentence about the first value that differs; an empty text where none does.

    A probe that failed, in one tree or in both, has proved nothing and counts as a difference.
    """
    failed = {label: side["error"] for label, side in (("base", old), ("tree", new)) if "error" in side}
    if failed:
        return "it failed: " + "; ".join(f"{label}: {error[:400]}" for label, error in failed.items())
    a, b = old.get("values", {}), new.get("values", {})
    if not a or not b:
        return "it has no values"
    keys = [key for key in {**a, **b} if key not in left_out]
    unequal = [key for key in keys if a.get(key) != b.get(key)]
    if not unequal:
        return ""
    key = unequal[0]
    was, now = _shown(a.get(key), b.get(key)), _shown(b.get(key), a.get(key))
    return f"{len(unequal)} of {len(keys)} values differ, first {key}: base {was}, tree {now}"


def _shown(value: str | None, other: str | None) -> str:
    """A value, cut to where it begins to differ from the other one."""
    if value is None:
        return "(not there)"
    pairs = enumerate(zip(value, other or "", strict=False))
    differs = next((i for i, (a, b) in pairs if a != b), 0)
    start = max(0, differs - SHOWN // 2) if len(value) > SHOWN else 0
    return ("..." if start else "") + value[start : start + SHOWN]


def _unpack(base: str, out: Path) -> str:
    """Writes the files of the base commit to the folder `out`; the commit's full hash."""

    def git(*words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)

    found = git("rev-parse", "--verify", "--quiet", f"{base}^{{commit}}")
    commit = found.stdout.decode().strip()
    archive = git("archive", "--format=tar", commit) if found.returncode == 0 and commit else found
    if archive.returncode or not commit:
        raise NoBaseError(f"The commit {base} is not in this clone; fetch the whole history and try again.")
    out.mkdir()
    subprocess.run(["tar", "-x", "-C", str(out)], input=archive.stdout, check=True)
    return commit


def _probe(side: str, tree: Path, scratch: Path, quick: bool) -> dict[str, Any]:
    """Runs all probes in one tree, in a process whose imports come from that tree; probe -> what it found."""
    work, out = scratch / f"work-{side}", scratch / f"{side}.json"
    work.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "DOSE_", "MLFLOW_", "RAY_"))}
    env = kept | dict.fromkeys(THREADS, "1") | {
        "PYTHONPATH": os.pathsep.join(map(str, (tree / "src", tree, scratch / "probes"))),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_CACHE_HOME": str(work / "cache"),
        "NUMBA_CACHE_DIR": str(work / "numba"),  # a kept one may hold code of an earlier state of the tree
        "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    # Both trees use the base's models: newer ones have other weights, whatever the code does with them.
    models = scratch / "base" / MODELS
    command = [
        sys.executable, "-m", PROBES.name, side,
        "--tree", tree, "--scratch", work, "--models", models, "--out", out,
    ]  # fmt: skip
    ran = subprocess.run(
        [*map(str, command), *(["--quick"] if quick else [])],
        cwd=tree, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if ran.returncode or not out.is_file():
        lines = ran.stderr.strip().splitlines()
        return {"start": {"error": f"the process ended with {ran.returncode}: {' '.join(lines[-2:])}"}}
    values: dict[str, Any] = json.loads(out.read_text())
    return values


def _expected() -> dict[str, str]:
    """`EXPECTED` of the table of names, read without importing the probes' dependencies."""
    spec = importlib.util.spec_from_file_location("identity_names", PROBES / "names.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    expected: dict[str, str] = module.EXPECTED
    return expected


if __name__ == "__main__":
    sys.exit(main())
