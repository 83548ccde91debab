"""`dose registry`, `dose promote`, `dose rollback`: which models are in service."""

import argparse

from dose.drums import DRUMS

EXAMPLE = """example:
  dose registry list
  dose registry log
  dose registry lineage kick         # its champion: Bento, MLflow run, data, recipe
  dose registry lineage dose:0123456789-abcdef0123
  dose promote kick --reason "tighter attack on the test set"
  dose promote all
  dose rollback kick
"""


def register(subparsers) -> None:
    shape = {"epilog": EXAMPLE, "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = subparsers.add_parser("registry", help="list the registered models and their moves", **shape)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="print every version with its aliases", **shape)
    listing.set_defaults(run=run_list)
    log = actions.add_parser("log", help="print the audit log", **shape)
    log.set_defaults(run=run_log)
    lineage = actions.add_parser("lineage", help="print where a model or a Bento comes from", **shape)
    lineage.add_argument("what", metavar="DRUM|DRUM/VERSION|BENTO")
    lineage.set_defaults(run=run_lineage)
    promote = subparsers.add_parser("promote", help="make a model the champion", **shape)
    promote.add_argument("drum", choices=[*DRUMS, "all"])
    promote.add_argument("--version", type=int, help="which one (default: the challenger)")
    promote.add_argument("--reason", default="by hand", help="goes into the audit log")
    promote.set_defaults(run=run_promote)
    rollback = subparsers.add_parser("rollback", help="go back to the champion before", **shape)
    rollback.add_argument("drum", nargs="?", choices=[*DRUMS, "all"], default="all")
    rollback.add_argument("--reason", default="by hand", help="goes into the audit log")
    rollback.set_defaults(run=run_rollback)


def run_list(args: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from dose.registry.registry import Registry, model_name

    registry = Registry()
    table = Table("model", "version", "aliases", "codec", "data", "commit")
    for drum in DRUMS:
        for v in reversed(registry.versions(drum)):
            commit = v.tags.get("mlflow.source.git.commit", "unknown")[:8]
            facts = (v.tags.get("dose.codec_id", "unknown"), v.tags.get("dose.data_id", "unknown"), commit)
            table.add_row(model_name(drum), str(v.version), ", ".join(v.aliases), *facts)
    Console().print(table)


def run_log(args: argparse.Namespace) -> None:
    from dose.registry.registry import Registry, model_name

    for m in Registry().history():
        aliases = ", ".join(f"{a} {v}" for a, v in sorted(m.after.items()))
        print(f"{m.time}  {m.action:8s} {model_name(m.drum)} {m.version} ({aliases}) by {m.by}: {m.reason}")


def run_lineage(args: argparse.Namespace) -> None:
    from dose.registry.lineage import resolve, trace
    from dose.registry.registry import Registry

    registry = Registry()
    for drum, version in resolve(registry, args.what).items():
        print("\n".join(trace(registry, drum, version)))


def run_promote(args: argparse.Namespace) -> None:
    from dose.errors import DoseError
    from dose.registry.registry import CHALLENGER, Registry

    registry = Registry()
    if args.drum == "all":
        if args.version is not None:
            raise DoseError("With all drums there is no --version to give: each has its own challenger.")
        chosen = [drum for drum in DRUMS if CHALLENGER in registry.aliases(drum)] or list(DRUMS)
    else:
        chosen = [args.drum]
    _tell(registry.promote(dict.fromkeys(chosen, args.version), reason=args.reason), registry.live)


def run_rollback(args: argparse.Namespace) -> None:
    from dose.registry.registry import Registry

    registry = Registry()
    drums = DRUMS if args.drum == "all" else (args.drum,)
    registry.rollback(drums, reason=args.reason, told=lambda moves: _tell(moves, registry.live))


def _tell(moves, live) -> None:
    from dose.registry.registry import CHAMPION, model_name

    for m in moves:
        before = m.before.get(CHAMPION, "none")
        print(f"{model_name(m.drum)}: champion was {before}, is {m.after[CHAMPION]}")
    print(f"in service: {live} -> {live.resolve().name}", flush=True)
