"""The `dose` command: collects the rooms' commands and turns a user's mistake into one sentence."""

import argparse
import importlib
import io
import json
import os
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

from dose.errors import DoseError

# All modules of dose.commands, in the order of `dose --help`, which is the way of the data. Each has a
# `register(subparsers)` and imports its heavy parts when run, so that help appears at once.
COMMANDS = (
    "sources",
    "rmod",
    "tokens",
    "model",
    "sweep",
    "evaluate",
    "registry",
    "retrain",
    "bundle",
    "info",
    "extract",
)

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"  # beside src/, outside the wheel

EXAMPLE = """example:
  dose extract song.mp3 --out kit
  dose extract 'loops/*.wav' --out kits --candidates 4 --kit sfz,sf2
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code: 0 well, 1 a mistake that is told, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # A file name may hold what the terminal's encoding lacks; stderr does this of itself.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if arguments[:1] == ["bench"]:
            return bench(arguments[1:])
        args = build_parser().parse_args(arguments)
        return int(args.run(args) or 0)
    except DoseError as e:
        print(f"dose: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (`| head`) has gone; without this, Python complains once more while closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def build_parser() -> argparse.ArgumentParser:
    """The whole command line except the arguments of single benchmarks, which `bench` parses itself."""
    parser = argparse.ArgumentParser(
        prog="dose",
        description="Drum one-shot extraction: a kick, a snare and a hi-hat out of a finished mix.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"dose.commands.{name}").register(subparsers)
    subparsers.add_parser("bench", help="measure speed, memory or quality (`dose bench --help` lists what)")
    return parser


def bench(argv: Sequence[str]) -> int:
    """Runs `benchmarks.NAME`, which prints its table; the figures follow as one line of JSON.

    Both begin with the machine: CPU, instruction set, cores, torch, threads.
    """
    names = benchmark_names()
    if not names:
        raise DoseError("The benchmarks are part of the project's repository, not of the installed package.")
    parser = argparse.ArgumentParser(
        prog="dose bench",
        description="Measures one part; prints a table, then the same figures as one line of JSON.",
        epilog=f"example:\n  dose bench {names[0]}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=names, metavar="NAME", help=f"one of: {', '.join(names)}")
    args = parser.parse_args(argv[:1])
    sys.path.insert(0, str(BENCHMARKS.parent))
    module = importlib.import_module(f"{BENCHMARKS.name}.{args.name}")
    chosen = argparse.ArgumentParser(
        prog=f"dose bench {args.name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(chosen)
    arguments = chosen.parse_args(argv[1:])
    import torch

    from dose import compute

    # A figure means nothing without the machine that it was measured on.
    on = f"{compute.machine()}, {getattr(arguments, 'threads', None) or torch.get_num_threads()} threads"
    print(f"on {on}", flush=True)
    print(json.dumps({"on": on, **module.run(arguments)}), flush=True)
    return 0


def benchmark_names() -> list[str]:
    """The benchmarks in the project's `benchmarks` folder, sorted, found without importing them."""
    modules = [module.name for module in pkgutil.iter_modules([str(BENCHMARKS)])]
    return sorted(name for name in modules if not name.startswith("_"))


if __name__ == "__main__":
    sys.exit(main())
