"""`dose registry`, `dose promote`, `dose rollback`: which models are in service."""

import argparse
from typing import TYPE_CHECKING, Any

from dose.drums import DRUMS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dose.registry.audit import AliasChange

EXAMPLE = """example:
  dose registry list
  dose registry log
  dose registry lineage kick         # its champion: Bento, MLflow run, commit, data
  dose registry lineage dose:0123456789-abcdef0123
  dose promote kick --reason "tighter attack on the test set"
  dose promote all
  dose rollback kick
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    common: Any = {"epilog": EXAMPLE, "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = subparsers.add_parser(
        "registry", help="list the registered models and their alias changes", **common
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="print every version with its aliases", **common)
    listing.set_defaults(run=run_list)
    log = actions.add_parser("log", help="print the audit log", **common)
    log.set_defaults(run=run_log)
    lineage = actions.add_parser("lineage", help="print the lineage of a model or a Bento", **common)
    lineage.add_argument("query", metavar="DRUM|DRUM/VERSION|BENTO")
    lineage.set_defaults(run=run_lineage)
    promote = subparsers.add_parser("promote", help="make a model the champion", **common)
    promote.add_argument("drum", choices=[*DRUMS, "all"])
    promote.add_argument("--version", type=int, help="its number (default: the challenger)")
    promote.add_argument("--reason", default="by hand", help="goes into the audit log")
    promote.set_defaults(run=run_promote)
    rollback = subparsers.add_parser("rollback", help="put the previous champion back into service", **common)
    rollback.add_argument("drum", nargs="?", choices=[*DRUMS, "all"], default="all")
    rollback.add_argument("--reason", default="by hand", help="goes into the audit log")
    rollback.set_defaults(run=run_rollback)


def run_list(args: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from dose.registry.names import model_name
    from dose.registry.registry import Registry

    registry = Registry()
    table = Table("model", "version", "aliases", "codec", "data", "commit")
    for drum in DRUMS:
        # Newest first.
        for v in reversed(registry.versions(drum)):
            commit = v.tags.get("mlflow.source.git.commit", "unknown")[:8]
            facts = (v.tags.get("dose.codec_id", "unknown"), v.tags.get("dose.data_id", "unknown"), commit)
            table.add_row(model_name(drum), str(v.version), ", ".join(v.aliases), *facts)
    Console().print(table)


def run_log(args: argparse.Namespace) -> None:
    from dose.registry.names import model_name
    from dose.registry.registry import Registry

    for c in Registry().history():
        aliases = ", ".join(f"{a} {v}" for a, v in sorted(c.after.items()))
        print(f"{c.time}  {c.action:8s} {model_name(c.drum)} {c.version} ({aliases}) by {c.by}: {c.reason}")


def run_lineage(args: argparse.Namespace) -> None:
    from dose.registry.lineage import describe, resolve
    from dose.registry.registry import Registry

    registry = Registry()
    for drum, version in resolve(registry, args.query).items():
        print("\n".join(describe(registry, drum, version)))


def run_promote(args: argparse.Namespace) -> None:
    from dose.errors import DoseError
    from dose.registry.names import CHALLENGER
    from dose.registry.registry import Registry

    registry = Registry()
    if args.drum == "all":
        if args.version is not None:
            raise DoseError("--version needs a single drum: with `all` each drum has its own challenger.")
        # Without any challenger `promote` fails with a sentence that names the first drum.
        chosen = [drum for drum in DRUMS if CHALLENGER in registry.aliases(drum)] or list(DRUMS)
    else:
        chosen = [args.drum]
    changes = registry.promote(dict.fromkeys(chosen, args.version), reason=args.reason)
    _print_changes(changes, registry.live)


def run_rollback(args: argparse.Namespace) -> None:
    from dose.registry.registry import Registry

    registry = Registry()
    drums = DRUMS if args.drum == "all" else (args.drum,)
    registry.rollback(
        drums, reason=args.reason, on_switch=lambda changes: _print_changes(changes, registry.live)
    )


def _print_changes(changes: "Sequence[AliasChange]", live: "Path") -> None:
    from dose.registry.names import CHAMPION, model_name

    for c in changes:
        before = c.before.get(CHAMPION, "none")
        print(f"{model_name(c.drum)}: champion was {before}, is {c.after[CHAMPION]}")
    print(f"in service: {live} -> {live.resolve().name}", flush=True)
