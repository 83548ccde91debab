"""`dose evaluate`: scores one-shots of any system, or transcriptions, outside of the pipeline."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dose.codec.codec import Codec
    from dose.evaluate.datasets import Item
    from dose.evaluate.results import SystemOutputs
    from dose.evaluate.scoring import ReferenceFreeMetric
    from dose.evaluate.systems import System

EXAMPLE = """examples:
  dose evaluate --bundle data/package/bundle --data rmod --n 100
  dose evaluate --external my-system/out --name "My system" --data rmod,groove
  dose evaluate --out scores --baselines          # the default bundle beside Reconstruction and separation
  dose evaluate --transcription                   # hits instead of one-shots: F-measure, velocity, tempo
  dose evaluate --transcription --data realistic,drum_free --n 300

an external folder holds <index>/<drum>.wav (drum: kick, snare, hihat; index: that of the mix, <index>/mix.wav
in the archives data/rmod/audio/test/*.zip and likewise in test_drums and test_groove); with more than one
data set, one such folder per data set inside it: rmod/, rmod_drums/, groove/ ... See docs/benchmark.md.
realistic and realistic_drums are mixes as music is, on the kits of the val split: choices rest on them.

with --transcription, --data may name
  rmod, rmod_drums  RMOD's written test items: kick, snare and hi-hat
  realistic         grooves of 19 styles on held-out kits with instruments: all classes, velocities, tempo
  realistic_drums   the same with the drums alone
  groove            the Groove MIDI Dataset's recordings if rmod.groove.folder has them, else the stand-in
  drum_free         200 sounds or more in which every reported hit is false: loops, speech, tones, noise
  single_drum       kick, snare and hi-hat alone, which must be named right
  presence          mixes with each drum and without it: is it detected?
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "evaluate",
        help="score a bundle, or one-shots that another system made",
        description="Scores one-shots against the test sets; prints a summary, writes tables and a page. "
        "With --transcription scores detected hits instead.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--bundle",
        action="append",
        default=[],
        metavar="PATH",
        help="kit bundle, registry alias, or shipped (repeatable)",
    )
    parser.add_argument(
        "--external", action="append", default=[], metavar="DIR", help="folder of one-shots (repeatable)"
    )
    parser.add_argument("--name", action="append", default=[], help="system name of each external folder")
    parser.add_argument(
        "--data",
        help="data sets, comma-separated (rmod, rmod_drums, groove, realistic, realistic_drums; "
        "default rmod); see below",
    )
    parser.add_argument(
        "--transcription",
        action="store_true",
        help="score transcription systems: hits, velocities, tempo, false drums (default: all its data sets)",
    )
    parser.add_argument("--n", type=int, default=100, help="items per data set, at most (default 100)")
    parser.add_argument(
        "--samples", "--draws", type=int, default=8, metavar="N",
        help="samples per drum and mix that are reranked; 1: greedy decoding (default 8; old name: --draws)",
    )  # fmt: skip
    parser.add_argument(
        "--no-source-blend",
        "--generated",
        dest="source_blend",
        action="store_false",
        help="leave out source blending (old name: --generated)",
    )
    parser.add_argument("--baselines", action="store_true", help="also score Reconstruction and separation")
    parser.add_argument("--rmod", default="data/rmod", metavar="DIR", help="test sets (default data/rmod)")
    parser.add_argument(
        "--sources",
        default="data/sources",
        metavar="DIR",
        help="sample library of the reference-free metrics",
    )
    parser.add_argument(
        "--weights", default="weights", metavar="DIR", help="VGGish, CLAP and EnCodec, if any"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="where to write (default data/scores; data/transcription_scores with --transcription)",
    )
    parser.add_argument("--params", default="params.yaml", help="with --transcription: rmod.groove.folder")
    parser.add_argument(
        "--split",
        choices=("val", "test"),
        default="test",
        help="with --transcription: whose kits and loops (default: %(default)s)",
    )
    parser.add_argument(
        "--mlflow", action="store_true", help="with --transcription: also log a run per system to MLflow"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap resamples")
    parser.add_argument("--json", action="store_true", help="print the JSON instead of the table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    from typing import get_args

    if args.transcription:
        from dose.commands import _evaluate_transcription

        _evaluate_transcription.run(args)
        return
    from dose.evaluate import pipeline
    from dose.evaluate.config import Dataset, EvaluateConfig

    names = [name.strip() for name in ("rmod" if args.data is None else args.data).split(",") if name.strip()]
    _check(args, names, get_args(Dataset))
    config = EvaluateConfig(
        items=args.n,
        datasets=tuple(names),  # type: ignore[arg-type]  # checked above
        weights=args.weights,
        seed=args.seed,
        samples=args.samples,
        recordings=False,
    )
    out, cache = Path(args.out or "data/scores"), Path("data/cache/evaluate")
    datasets = pipeline.load_datasets(config, Path(args.rmod))
    codec, systems = _systems(args)
    with pipeline.show_progress() as progress:
        outputs = pipeline.generate_all(systems, datasets, cache, progress)
        _add_external(args, datasets, outputs)
        pipeline.score_all(
            config, datasets, outputs, codec, _reference_free_metrics(args), out, cache=cache,
            progress=progress,
        )  # fmt: skip
    print((out / ("metrics.json" if args.json else "summary.md")).read_text())
    if not args.json:
        print(f"all metrics: {out / 'table.md'}; listening page: {out / 'listening.html'}")


def _check(args: argparse.Namespace, names: list[str], known: tuple[str, ...]) -> None:
    """Raises ConfigError for options that contradict each other, before anything is loaded."""
    from dose.errors import ConfigError

    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ConfigError(
            f"--data must name some of {', '.join(known)}, not '{', '.join(unknown) or args.data}'."
        )
    if args.samples < 1:
        raise ConfigError("--samples must be at least 1.")
    if args.n < 2:
        raise ConfigError("--n must be at least 2; intervals need more than one item.")
    if len(args.name) > len(args.external):
        raise ConfigError("There are more --name than --external.")


def _systems(args: argparse.Namespace) -> "tuple[Codec, list[System]]":
    """The codec whose latents fad_codec uses (the first bundle's) and the systems to run."""
    from dose.bundle import default_bundle
    from dose.codec import bundled_codec, load_codec
    from dose.evaluate.systems import DoseSystem, Reconstruction, hpss, larsnet

    bundles = [_bundle_folder(b) for b in args.bundle]
    if not bundles and not args.external:
        bundles = [default_bundle()]
    names = ["DOSE" if len(bundles) == 1 else f"DOSE ({b.name})" for b in bundles]
    systems: list[System] = [
        DoseSystem.load(name, b, args.samples, args.source_blend)
        for name, b in zip(names, bundles, strict=True)
    ]
    # Distances in the codec's latents compare only within one codec: the first bundle's, else the shipped.
    codec = load_codec(bundles[0] / "codec") if bundles else bundled_codec()
    baselines: list[System] = [Reconstruction(codec=codec), hpss(), larsnet()] if args.baselines else []
    return codec, [*baselines, *systems]


def _bundle_folder(bundle: str) -> Path:
    """A bundle's folder. A name without a folder is an alias in the registry, such as champion."""
    from dose.bundle import named

    folder = named(bundle)
    if folder.is_dir() or "/" in bundle:
        return folder
    from dose.bundle import assemble
    from dose.drums import DRUMS
    from dose.errors import MissingInputError
    from dose.registry.registry import Registry

    registry = Registry()
    versions = {drum: registry.aliases(drum).get(bundle) for drum in DRUMS}
    found = {drum: registry.bundles.fetch(drum, v) for drum, v in versions.items() if v is not None}
    if not found:
        raise MissingInputError(f"'{bundle}' is neither a folder nor an alias of any registered model.")
    name = "-".join(f"{drum}{versions[drum]}" for drum in found)
    out = Path("data/cache/evaluate/bundles") / f"{bundle}-{name}"
    assemble(
        out,
        codec=next(iter(found.values())).codec,
        transcription=max(found.values(), key=lambda b: b.created).own_transcription,
        checkpoints={drum: b.checkpoint(drum) for drum, b in found.items()},
        created=max(b.created for b in found.values()),  # the same bytes each time: cached outputs stay valid
    )
    return out


def _add_external(
    args: argparse.Namespace,
    datasets: "Mapping[str, Sequence[Item]]",
    outputs: "dict[str, list[SystemOutputs]]",
) -> None:
    """Appends the external folders to each data set's systems. Raises MissingInputError for an empty one."""
    from dose.evaluate.datasets import check_outputs
    from dose.evaluate.results import SystemOutputs

    for i, folder in enumerate(map(Path, args.external)):
        name = args.name[i] if i < len(args.name) else folder.name
        for dataset, items in datasets.items():
            # With one data set the items may lie in the folder itself.
            inside = folder / dataset if (folder / dataset).is_dir() or len(datasets) > 1 else folder
            check_outputs(inside, items)
            outputs.setdefault(dataset, []).append(SystemOutputs(name=name, folder=inside))


def _reference_free_metrics(args: argparse.Namespace) -> "Sequence[ReferenceFreeMetric]":
    from dose.errors import MissingInputError
    from dose.evaluate import project

    try:
        return project.reference_free_metrics(Path(args.sources))
    except MissingInputError as e:
        print(f"note: {e} Classifier accuracy and memorisation are left out.")
        return []
