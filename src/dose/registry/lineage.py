"""The lineage of a model version as lines of text: Bento, version, MLflow run, commit, data."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from dose.drums import DRUMS
from dose.errors import DoseError, MissingInputError
from dose.registry.names import CHAMPION, DATA_TAG, model_name
from dose.registry.registry import Registry
from dose.tracking import ModelVersion, RunRecord

MAX_VALUE_CHARS = 60  # of a run's parameter; some are whole lists
LINE_CHARS = 100  # of the list of params


def resolve(registry: Registry, query: str) -> dict[str, int]:
    """Drum -> version, for a drum ("kick": its champion, "kick/3") or a Bento's tag ("dose:...").

    Raises DoseError for another query, MissingInputError where there is no such model.
    """
    if query.startswith("dose:"):
        labels = bento_labels(query)
        found = {drum: int(labels[model_name(drum)]) for drum in DRUMS if model_name(drum) in labels}
        if not found:
            raise MissingInputError(f"The Bento {query} has no labels that name its registered models.")
        return found
    drum, _, version = query.removeprefix("dose-").partition("/")
    if drum not in DRUMS:
        raise DoseError(f"'{query}' is neither a drum ({', '.join(DRUMS)}), nor kick/3, nor a Bento's tag.")
    if version and not version.isdigit():
        raise DoseError(f"'{version}' is no version; name one by its number, as in {drum}/3.")
    # Without a version the champion is meant.
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
        raise MissingInputError(f"The Bento store has no {tag}; `bentoml list` prints what it has.")
    return dict(json.loads(done.stdout).get("labels") or {})


def bento_patterns(registry: Registry, drum: str, version: int) -> list[str]:
    """Patterns of the tags of all Bentos with this version: a tag begins with the id of its bundle."""
    about = sorted(registry.home.glob(f"bundles/*{drum}{version}*/bundle.json"))
    return [
        f"dose:{json.loads(p.read_text())['version'].removeprefix('dose-')}-*"
        for p in about
        if f"{drum}{version}" in p.parent.name.split("-")  # the glob also finds kick12 for kick1
    ]


def describe(registry: Registry, drum: str, version: int, root: Path = Path()) -> Iterator[str]:
    """Lines from the version back to the data. Raises MissingInputError where there is no such version."""
    found = registry.tracker.version(model_name(drum), version)
    yield f"{found.name} {version} ({', '.join(found.aliases) or 'no alias'})"
    yield f"  bundle  {found.tags.get('dose.bundle', 'unknown')}, with which it was registered"
    yield f"  Bento   {', '.join(bento_patterns(registry, drum, version)) or 'never in service'}"
    if run_id := found.tags.get("dose.retrain"):
        yield f"  retrain run {run_id}: data/retrain/runs/{run_id}/report.md"
    run = registry.tracker.run(found.run_id) if found.run_id else None
    yield from _describe_run(run)
    yield from _describe_data(found, drum, root)


def _describe_run(run: RunRecord | None) -> Iterator[str]:
    if run is None:
        yield "  run     unknown: it was not registered from a sweep that this store knows"
        return
    yield f"  run     {run.id} ({run.name}, {run.status})"
    values = [f"{k} {v[:MAX_VALUE_CHARS]}" for k, v in sorted(run.params.items())]
    values += [f"{k} {v:.4g}" for k, v in sorted(run.metrics.items()) if k.startswith("val/")]
    if values:
        yield from (f"          {line}" for line in textwrap.wrap(", ".join(values), LINE_CHARS))


def _describe_data(version: ModelVersion, drum: str, root: Path) -> Iterator[str]:
    commit = version.tags.get("mlflow.source.git.commit", "unknown")
    dirty = " with uncommitted changes" if version.tags.get("dose.git_dirty") == "true" else ""
    yield f"  code    commit {commit}{dirty}"
    outputs = {k.removeprefix(DATA_TAG): v for k, v in version.tags.items() if k.startswith(DATA_TAG)}
    # Of the sweeps only the drum's own.
    for stage in sorted(o for o in outputs if not o.startswith("sweep.") or o == f"sweep.{drum}"):
        yield f"  data    data/{stage.replace('.', '/')} is {outputs[stage]} in DVC"
    data_id = version.tags.get("dose.data_id", "unknown")
    yield f"  mixes   data id {data_id}, sources: {_source_folders(root, commit)}"
    yield f"          git show {commit[:12]}:params.yaml (section rmod), dose rmod show"


def _source_folders(root: Path, commit: str) -> str:
    """The source folders in the commit's params, among them the ingested ones."""
    import yaml

    done = subprocess.run(
        ["git", "show", f"{commit}:params.yaml"], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        return "of a commit that is not in this repository"
    folders = yaml.safe_load(done.stdout)["sources"]["folders"] or []
    return ", ".join(["the project's own", *(f["path"] for f in folders)])
