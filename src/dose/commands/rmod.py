"""`dose rmod`: export, show and query the training data."""

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dose.rmod import RmodConfig
    from dose.rmod.dataset import Export
    from dose.sources.library import SampleLibrary

EXAMPLE = """examples:
  dose rmod export --split test --count 20 --out exported
  dose rmod export --split train --count 1000 --out exported --workers 2 --stems
  dose rmod export --dataset groove --count 8 --out exported
  dose rmod export --dataset realistic --count 60 --out exported
  dose rmod show --split train --index 123456 --out shown
  dose rmod show --distribution realistic --index 7 --out shown
  dose rmod query "bass IS NULL AND kick.layers[1].kit = 'procedural'" --limit 10
"""


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "rmod",
        help="export, show and query the training data",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    export = _action(actions, "export", "render items to folders of WAV files, the same bytes every time")
    _selection(export)
    export.add_argument("--count", type=int, required=True, help="how many items")
    export.add_argument("--start", type=int, default=0, help="first item (default 0)")
    export.add_argument("--out", type=Path, required=True, help="folder to write to")
    export.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    export.add_argument("--stems", action="store_true", help="also each track's contribution to the mix")
    export.set_defaults(run=run_export)
    show = _action(actions, "show", "print one mix specification; with --out also its sounds, stems and MIDI")
    _selection(show)
    show.add_argument("--index", type=int, required=True, help="the item's number")
    show.add_argument("--out", type=Path, help="folder to write to")
    show.add_argument(
        "--distribution", choices=("paper", "realistic"), default="paper",
        help="realistic: the mixes that transcription is trained on (default paper)",
    )  # fmt: skip
    show.set_defaults(run=run_show)
    query = _action(actions, "query", "find mixes by an SQL condition on their specification")
    query.add_argument("where", help="for example: \"list_contains(licences, 'CC0-1.0') AND vocal IS NULL\"")
    query.add_argument("--columns", default="split, index", help='what to print (default "split, index")')
    query.add_argument("--limit", type=int, default=50, help="at most this many rows (default 50)")
    query.add_argument("--data", type=Path, default=Path("data/rmod"), help="default data/rmod")
    query.set_defaults(run=run_query)


def _action(actions: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(
        name,
        help=text,
        description=text,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", choices=("train", "val", "test"), help="default test")
    parser.add_argument(
        "--dataset",
        choices=("rmod", "rmod_drums", "groove", "realistic", "realistic_drums"),
        help="a set of evaluation instead of a split",
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="default params.yaml")
    parser.add_argument("--sources", type=Path, default=Path("data/sources"), help="default data/sources")


def _load(args: argparse.Namespace) -> "tuple[RmodConfig, SampleLibrary, Export]":
    """The config, the sample library, and which items of which split."""
    from dose import config
    from dose.errors import DoseError
    from dose.rmod import RmodConfig
    from dose.rmod.dataset import REALISTIC_SPLIT, Export
    from dose.sources.library import SampleLibrary

    if args.split and args.dataset:
        raise DoseError("Give --split or --dataset, not both: every --dataset has its split.")
    rmod = config.load("rmod", RmodConfig, args.params)
    library = SampleLibrary.load(args.sources)
    dataset = args.dataset or ""
    realistic = dataset.startswith("realistic")
    split = "groove" if dataset == "groove" else REALISTIC_SPLIT if realistic else (args.split or "test")
    drums_only = dataset.endswith("_drums")
    return rmod, library, Export(out=args.out, split=split, drums_only=drums_only, realistic=realistic)


def run_export(args: argparse.Namespace) -> None:
    from dose.errors import DoseError
    from dose.rmod.dataset import write_items

    if args.count < 1 or args.start < 0 or args.workers < 1:
        raise DoseError("--count and --workers must be at least 1 and --start at least 0.")
    rmod, library, export = _load(args)
    if args.stems and export.realistic:
        raise DoseError("Realistic mixes have no stems; leave out --stems.")
    export = dataclasses.replace(export, stems=args.stems)
    write_items(rmod, library, (export,), args.start, args.start + args.count, workers=args.workers)
    print(f"{args.count} items of {args.dataset or export.split} in {args.out}")


def run_show(args: argparse.Namespace) -> None:
    import yaml

    from dose.errors import DoseError
    from dose.rmod import draw, render
    from dose.rmod.dataset import write_for_inspection

    if args.index < 0:
        raise DoseError("--index must be at least 0.")
    rmod, library, export = _load(args)
    if export.realistic:
        raise DoseError("Of a realistic mix give --distribution realistic and its --split, not --dataset.")
    split = export.split
    if args.distribution == "realistic":
        if args.dataset:
            raise DoseError("--dataset names test sets of the paper's distribution; give --split instead.")
        from dose.commands import _rmod_realistic as realistic

        drawn = realistic.draw(rmod.realistic, library, split, args.index)
        shown = rounded(realistic.outline(drawn))
        print(yaml.safe_dump(shown, sort_keys=False, default_flow_style=None, width=110), end="")
        if args.out:
            realistic.write(drawn, library, args.out)
            print(f"# mix, hits, MIDI and the exact specification: {args.out}")
        return
    spec = draw(rmod, library, split, args.index)
    print(
        yaml.safe_dump(rounded(spec.as_dict()), sort_keys=False, default_flow_style=None, width=110), end=""
    )
    if args.out:
        item = render(spec, library, rmod, drums_only=export.drums_only, stems=True)
        write_for_inspection(spec, item, args.out)
        print(f"# mix, one-shots, stems, MIDI and the exact specification: {args.out}")


def rounded(value: Any) -> Any:
    """`value` with reals rounded to 4 digits and tuples as lists, for printing."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def run_query(args: argparse.Namespace) -> None:
    from dose.rmod.table import query

    found = query(args.data, args.where, columns=args.columns, limit=args.limit)
    print(found.to_string(index=False) if len(found) else "no mix matches")
