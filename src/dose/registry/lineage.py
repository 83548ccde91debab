"""Where a model in service comes from: Bento, version, MLflow run, data, recipe, in lines of text."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dose.drums import DRUMS
from dose.errors import DoseError, MissingInputError
from dose.registry.registry import CHAMPION, DATA_TAG, Registry, model_name
from dose.tracking import ModelVersion, RunRecord

CUT_OFF = 60  # characters of a parameter


def resolve(registry: Registry, what: str) -> dict[str, int]:
    """Drum -> version for a drum ("kick": its champion, "kick/3") or a Bento's tag ("dose:...")."""
    if what.startswith("dose:"):
        labels = bento_labels(what)
        found = {drum: int(labels[model_name(drum)]) for drum in DRUMS if model_name(drum) in labels}
        if not found:
            raise MissingInputError(f"The Bento {what} does not say which registered models it holds.")
        return found
    drum, _, version = what.removeprefix("dose-").partition("/")
    if drum not in DRUMS:
        raise DoseError(f"'{what}' is neither a drum ({', '.join(DRUMS)}), nor kick/3, nor a Bento's tag.")
    if version and not version.isdigit():
        raise DoseError(f"'{version}' is no version; name one by its number, as in {drum}/3.")
    champion = registry.aliases(drum).get(CHAMPION)
    if not version and champion is None:
        raise MissingInputError(f"{model_name(drum)} has no champion; name a version, as in {drum}/1.")
    return {drum: int(version or champion or 0)}


def bento_labels(tag: str) -> dict[str, str]:
    """The labels of a Bento in the local store."""
    done = subprocess.run(
        [sys.executable, "-m", "bentoml", "get", tag, "--output", "json"],
        env=os.environ | {"BENTOML_DO_NOT_TRACK": "True"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise MissingInputError(f"The Bento store has no {tag}; `bentoml list` shows what it has.")
    return dict(json.loads(done.stdout).get("labels") or {})


def bentos(registry: Registry, drum: str, version: int) -> list[str]:
    """The Bentos of bundles with this version in service, as patterns: a tag begins with its bundle's id."""
    named = sorted(registry.home.glob(f"bundles/*{drum}{version}*/bundle.json"))
    return [
        f"dose:{json.loads(p.read_text())['version'].removeprefix('dose-')}-*"
        for p in named
        if f"{drum}{version}" in p.parent.name.split("-")
    ]


def trace(registry: Registry, drum: str, version: int, root: Path = Path()) -> Iterator[str]:
    """Lines from the version back to the recipe. Raises MissingInputError where there is no such version."""
    found = registry.tracker.version(model_name(drum), version)
    yield f"{found.name} {version} ({', '.join(found.aliases) or 'no alias'})"
    yield f"  bundle  {found.tags.get('dose.bundle', 'unknown')}, of the drum alone and of what it came with"
    yield f"  Bento   {', '.join(bentos(registry, drum, version)) or 'never in service'}"
    if job := found.tags.get("dose.retrain"):
        yield f"  job     dose retrain {job}: data/retrain/runs/{job}/report.md"
    run = registry.tracker.run(found.run_id) if found.run_id else None
    yield from _run(run)
    yield from _data(found, drum, root)


def _run(run: RunRecord | None) -> Iterator[str]:
    if run is None:
        yield "  run     unknown: it was not registered from a sweep that this store knows"
        return
    yield f"  run     {run.id} ({run.name}, {run.status})"
    told = [f"{k} {v[:CUT_OFF]}" for k, v in sorted(run.params.items())]
    told += [f"{k} {v:.4g}" for k, v in sorted(run.metrics.items()) if k.startswith("val/")]
    if told:
        yield f"          {', '.join(told)}"


def _data(version: ModelVersion, drum: str, root: Path) -> Iterator[str]:
    commit = version.tags.get("mlflow.source.git.commit", "unknown")
    dirty = " with changes that were not committed" if version.tags.get("dose.git_dirty") == "true" else ""
    yield f"  code    commit {commit}{dirty}"
    outputs = {k.removeprefix(DATA_TAG): v for k, v in version.tags.items() if k.startswith(DATA_TAG)}
    for stage in sorted(o for o in outputs if not o.startswith("sweep.") or o == f"sweep.{drum}"):
        yield f"  data    data/{stage.replace('.', '/')} is {outputs[stage]} in DVC"
    data_id = version.tags.get("dose.data_id", "unknown")
    yield f"  recipe  data id {data_id}, sounds of {_sounds(root, commit)}"
    yield f"          git show {commit[:12]}:params.yaml (section rmod), dose rmod show"


def _sounds(root: Path, commit: str) -> str:
    """Which intakes the commit's params name."""
    import yaml

    done = subprocess.run(
        ["git", "show", f"{commit}:params.yaml"], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        return "a commit that is not here"
    folders = yaml.safe_load(done.stdout)["sources"]["folders"] or []
    return ", ".join(["the project's own sources", *(f["path"] for f in folders)])
