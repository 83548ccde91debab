"""`dose evaluate --transcription`: the systems' hits against annotated mixes and sounds without drums."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dose.evaluate.transcription.presence import PresenceSystem
    from dose.evaluate.transcription.run import TestSets
    from dose.evaluate.transcription.systems import TranscriptionSystem
    from dose.sources.library import SampleLibrary

SOUNDS = ("drum_free", "single_drum", "presence")  # of these, extraction's own answers are scored, too
DATA = ("rmod", "rmod_drums", "realistic", "realistic_drums", "groove", *SOUNDS)
DEFAULT = "rmod,realistic,realistic_drums,groove,drum_free,single_drum,presence"
# Not inside data/scores, which every evaluation of one-shots replaces as a whole.
OUT = "data/transcription_scores"
MIN_DRUM_FREE = 200  # fewer sounds than this hold too few of each kind; a smaller --n shortens mixes only


def run(args: argparse.Namespace) -> None:
    """Prints the tables, or with --json the JSON document; a line of JSON comes last."""
    from tqdm import tqdm

    from dose.errors import ConfigError
    from dose.evaluate.transcription import run as evaluation

    names = [name.strip() for name in (args.data or DEFAULT).split(",") if name.strip()]
    unknown = [name for name in names if name not in DATA]
    if unknown or not names:
        raise ConfigError(
            f"--data with --transcription must name some of {', '.join(DATA)}, "
            f"not '{', '.join(unknown) or args.data}'."
        )
    if args.n < 2:
        raise ConfigError("--n must be at least 2; intervals need more than one item.")
    if args.bundle or args.external or args.baselines:
        raise ConfigError("--bundle, --external and --baselines score one-shots; leave --transcription out.")
    systems, notes = _systems()
    sets, total = _sets(args, names)
    detectors = _detectors() if set(SOUNDS) & set(names) else []
    out = Path(args.out or OUT)
    # disable=None: no bar where nobody looks (not a terminal).
    with tqdm(total=total, desc="transcription", unit="mix", disable=None) as bar:

        def progress(name: str) -> None:
            bar.set_postfix_str(name, refresh=False)
            bar.update()

        results = evaluation.evaluate(
            sets, systems, detectors, seed=args.seed, notes=notes, progress=progress
        )
    evaluation.write(results, out)
    if args.mlflow:
        from dose.evaluate.mlflow_runs import log_transcription

        log_transcription(results.to_json(), out, {"items": args.n, "seed": args.seed, "data": names})
    print((out / "transcription.json").read_text() if args.json else results.text())
    if not args.json:
        print(f"JSON, counts per mix and these tables: {out}/transcription.json, .csv, .md")
    print(evaluation.last_line(results))


def _systems() -> "tuple[list[TranscriptionSystem], list[str]]":
    """All systems that can be run, and a note on each that cannot."""
    from dose.errors import DoseError
    from dose.evaluate.transcription import systems

    found, notes = [systems.bands()], []
    try:
        found.append(systems.network())
    except DoseError as e:
        notes.append(f"DOSE transcription is left out: {e}")
    return found, notes


def _detectors() -> "list[PresenceSystem]":
    from dose.evaluate.transcription import presence

    return [presence.extraction()]


def _sets(args: argparse.Namespace, names: list[str]) -> "tuple[TestSets, int]":
    """The chosen sets and the number of their mixes and sounds. Raises as reading them does."""
    from dose.evaluate.transcription import datasets, negatives, presence
    from dose.evaluate.transcription.run import TestSets

    rmod = Path(args.rmod)
    library = _library(Path(args.sources)) if {"realistic", "realistic_drums", *SOUNDS} & set(names) else None
    mixes = []
    for name in names:
        if name in ("rmod", "rmod_drums"):
            mixes.append(datasets.written(rmod, name, args.n))
        elif name.startswith("realistic") and library is not None:
            drums_only = name == "realistic_drums"
            mixes.append(datasets.realistic(library, args.n, args.split, drums_only=drums_only))
        elif name == "groove":
            mixes.append(datasets.groove(_groove_folder(Path(args.params)), rmod, args.n))
    sounds = max(args.n, MIN_DRUM_FREE)
    drum_free = single = present = None
    if library is not None and "drum_free" in names:
        drum_free = lambda: negatives.drum_free(library, args.split, sounds)  # noqa: E731
    if library is not None and "single_drum" in names:
        single = lambda: negatives.single_drums(library, args.split, sounds)  # noqa: E731
    if library is not None and "presence" in names:
        present = lambda: presence.items(library, args.split, args.n)  # noqa: E731
    total = sum(m.size for m in mixes) + sounds * ((drum_free is not None) + (single is not None))
    total += 4 * args.n * (present is not None)  # whole, and without each drum; fewer where one is inaudible
    return TestSets(mixes=mixes, drum_free=drum_free, single_drums=single, presence=present), total


def _library(sources: Path) -> "SampleLibrary":
    from dose.sources.library import SampleLibrary

    return SampleLibrary.load(sources)


def _groove_folder(params: Path) -> Path | None:
    """`rmod.groove.folder` of params.yaml: the Groove MIDI Dataset, if the user has it."""
    from dose import config
    from dose.rmod import RmodConfig

    if not params.is_file():
        return None
    folder = config.load("rmod", RmodConfig, params).groove.folder
    return None if folder is None else Path(folder)
