"""Stage package: the best models as one bundle, registered in MLflow, built as a Bento."""

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from dose import config, files
from dose.bundle import SHIPPED, Bundle, assemble, open_bundle
from dose.drums import DRUMS
from dose.errors import ConfigError, DoseError, MissingInputError
from dose.extract.calibrate import calibrate_bundle
from dose.model import checkpoint
from dose.registry.names import DATA_TAG, model_name
from dose.registry.registry import Registry
from dose.rmod import RmodConfig
from dose.sources.library import SampleLibrary
from dose.sweep.restore import restore_runs
from dose.sweep.table import read_trials
from dose.tracking import Tracker, dvc_outputs, lineage_tags
from pipelines.stage import run_stage

OUT = Path("data/package")
CODEC = Path("data/codec")
TRANSCRIPTION = Path("data/transcription")
SOURCES = Path("data/sources")
SWEEP = Path("data/sweep")
SCORES = Path("data/evaluate/metrics.json")
EXPERIMENTS = ("dose", "dose-codec")  # of the sweep and evaluate stages, of a codec fitted here
LATER_STAGES = ("evaluate", "package")  # whose outputs are made from the models, not the models from them
SYSTEM = "DOSE"  # in the evaluation table: the models just trained


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackageConfig:
    """params.yaml: package; what the stage does beside writing the bundle."""

    register: bool = True  # in MLflow, as dose-kick, dose-snare, dose-hihat
    # Which models are the first champions: those of the Python package, or the ones just trained.
    first_champion: Literal["shipped", "trained"] = dataclasses.field(
        default="shipped", metadata=config.was("start", values={"own": "trained"})
    )
    bento: bool = True  # build the service with these models inside
    calibration_mixes: int = 16  # of rmod's val split, on which the confidence is calibrated; 0: not at all


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.package", description=__doc__)
    parser.add_argument("--ship", action="store_true", help="put the models into the Python package instead")
    parser.add_argument(
        "--restore", action="store_true", help="after `dvc pull`: fill MLflow's store, registry, Bento store"
    )
    args = parser.parse_args(arguments)
    if args.ship:
        print(f"package: {ship(Path()).version} in {SHIPPED}")
        return
    if args.restore:
        restore()
        return
    bundle = pack(Path(), OUT / "bundle")
    files.write_json(OUT / "package.json", {"version": bundle.version, **publish(bundle)})
    print(f"package: {bundle.version} in {bundle.folder}")


def publish(bundle: Bundle) -> dict[str, Any]:
    """Registers the bundle and builds its Bento, as the params ask."""
    section = load_section()
    done: dict[str, Any] = {}
    if section.register:
        done["models"] = register(bundle, section.first_champion)
    # Labels tie the Bento to the registered versions.
    if section.bento:
        labels = {model: str(facts["version"]) for model, facts in done.get("models", {}).items()}
        done["bento"] = build_bento(Path(), bundle, labels)
    return done


def restore() -> None:
    """What `dvc pull` does not bring: trials in MLflow's store, registered models, the Bento.

    Made from the stages' outputs, which stay as they are. Raises MissingInputError where they are missing.
    """
    if not (OUT / "bundle").is_dir():
        raise MissingInputError(f"{OUT / 'bundle'} is missing; `dvc pull` fetches it, `dvc repro` makes it.")
    tracker = Tracker(EXPERIMENTS[0])
    tracker.ensure_store()
    for drum in DRUMS:
        print(f"package: {drum}: {restore_runs(SWEEP / drum, tracker)} trials logged to {tracker.uri}")
    publish(open_bundle(OUT / "bundle"))


def load_section(root: Path = Path()) -> PackageConfig:
    return config.load("package", PackageConfig, root / config.PARAMS)


def wants_bento(root: Path) -> bool:
    return load_section(root).bento


def prepare_stores(root: Path) -> None:
    """Creates the experiments that the stages log to, with their artifacts in `root`."""
    for experiment in EXPERIMENTS:
        Tracker(experiment, root=root).ensure_store()


def pack(root: Path, out: Path) -> Bundle:
    """The bundle `out` of the models that the stages trained in the project `root`, calibrated."""
    bundle = assemble(
        out,
        codec=root / CODEC,
        transcription=root / TRANSCRIPTION,
        checkpoints={drum: root / SWEEP / drum / "best" for drum in DRUMS},
        metrics=scores(root / SCORES),
    )
    mixes = load_section(root).calibration_mixes
    return calibrated(bundle, mixes, root) if mixes else bundle


def ship(root: Path) -> Bundle:
    """The bundle that comes with the Python package: as from `pack`, but with its weights in bfloat16."""
    with tempfile.TemporaryDirectory() as folder:
        bf16 = {drum: Path(folder) / drum for drum in DRUMS}
        for drum, out in bf16.items():
            loaded = checkpoint.load(root / SWEEP / drum / "best")
            checkpoint.save(out, loaded.model, loaded.meta, "bf16")
        # bfloat16 halves the size of the weights.
        bundle = assemble(SHIPPED, codec=root / CODEC, checkpoints=bf16)
    return calibrated(bundle, load_section(root).calibration_mixes, root)


def calibrated(bundle: Bundle, mixes: int, root: Path = Path()) -> Bundle:
    """The bundle with its confidence calibrated on mixes on which no model was trained."""
    rmod = config.load("rmod", RmodConfig, root / config.PARAMS)
    library = SampleLibrary.load(root / SOURCES)
    if mixes > rmod.val:
        raise ConfigError("params.yaml: package.calibration_mixes may not exceed rmod.val.")
    with tqdm(total=mixes, desc="package: confidence", unit="mix") as bar:

        def progress(done: int) -> None:
            bar.update(done - bar.n)

        return calibrate_bundle(bundle.folder, rmod, library, mixes, progress=progress)


def scores(path: Path) -> dict[str, Any]:
    """Drum -> data set -> metric -> value of this project's models; empty before the first evaluation."""
    if not path.is_file():
        return {}
    table = files.read_json(path)
    return {
        drum: {
            dataset: {metric: cell["value"] for metric, cell in systems[SYSTEM][drum].items()}
            for dataset, systems in table.items()
            if drum in systems.get(SYSTEM, {})
        }
        for drum in DRUMS
    }


def register(bundle: Bundle, first_champion: str) -> dict[str, Any]:
    """Model -> version and aliases. Registering the same files again creates no version."""
    registry = Registry()
    registry.tracker.ensure_store()
    if first_champion == "shipped" and not registry.champions():
        # The first version of a model becomes champion, the next one challenger.
        shipped = open_bundle(SHIPPED)
        registry.register(shipped, tags={"dose.bundle": shipped.version, "dose.data_id": shipped.data_id})
    tags = origin(Path()) | {"dose.bundle": bundle.version, "dose.data_id": bundle.data_id}
    versions = registry.register(bundle, tags=tags, runs=runs(registry))
    facts = {}
    for drum, version in versions.items():
        aliases = sorted(a for a, v in registry.aliases(drum).items() if v == version.version)
        facts[model_name(drum)] = {"version": version.version, "aliases": aliases}
        print(f"package: {model_name(drum)} version {version.version} {', '.join(aliases)}")
    return facts


def origin(root: Path) -> dict[str, str]:
    """Tags that tie a version to code, machine and data: dvc's hash of every output it depends on."""
    outputs = dvc_outputs(root)
    names = {path: path.removeprefix("data/").replace("/", ".") for path in outputs}
    return lineage_tags(root) | {
        f"{DATA_TAG}{name}": outputs[path] for path, name in names.items() if name not in LATER_STAGES
    }


def runs(registry: Registry, root: Path = Path()) -> dict[str, str]:
    """The MLflow run that trained each drum's model in `root`, where the store knows it."""
    found = {}
    for drum in DRUMS:
        about, _ = read_trials(root / SWEEP / drum)
        # A sweep that ran with another store has no run here.
        run = registry.tracker.find_run(f"{about['sweep']}/{about['best']}")
        if run is not None:
            found[drum] = run.id
    return found


def build_bento(root: Path, bundle: Bundle, labels: Mapping[str, str]) -> str:
    """Builds a Bento of the code and models in `root`, unless the store has it; returns its tag.

    Its labels are `labels` and the bundle's version, from which `dose registry lineage` finds its models.
    """
    version = f"{bundle.version.removeprefix('dose-')}-{code_hash(root)}"
    environment = os.environ | {"BENTOML_DO_NOT_TRACK": "True"}
    bentoml = [sys.executable, "-m", "bentoml"]
    tag = f"dose:{version}"
    known = subprocess.run([*bentoml, "get", tag], env=environment, capture_output=True, cwd=root)
    # The version is a hash of models, code and settings: an existing tag has the same content.
    if known.returncode != 0:
        options = [f"--label={key}={value}" for key, value in {**labels, "bundle": bundle.version}.items()]
        done = subprocess.run(
            [*bentoml, "build", "--version", version, *options],
            env=environment,
            cwd=root,
            capture_output=True,
            text=True,
            preexec_fn=files.die_with_parent,
        )
        if done.returncode != 0:
            output = " ".join((done.stderr or done.stdout).split())[-300:]
            raise DoseError(f"bentoml build failed ({output}); package.bento: false skips it.")
    print(f"package: Bento {tag}")
    return tag


def code_hash(root: Path) -> str:
    """Hash of the code and settings that go into the Bento beside the models."""
    paths = [
        p
        for folder in ("src/dose", "serving")
        for p in sorted((root / folder).rglob("*"))
        if p.is_file() and "__pycache__" not in p.parts
    ]
    paths += [root / name for name in ("params.yaml", "pyproject.toml")]
    return files.hash_json({p.relative_to(root).as_posix(): files.sha256(p) for p in paths})[:10]


if __name__ == "__main__":
    run_stage(lambda: main(sys.argv[1:]))
