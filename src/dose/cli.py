"""The `dose` command: registers all subcommands, and prints a user's error as one sentence."""

import argparse
import importlib
import io
import json
import os
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dose.commands._completion import SHELLS
from dose.errors import DoseError

# All modules of dose.commands, in the order of `dose --help`, which is the order of the stages. Each has a
# `register(subparsers)` and imports its heavy dependencies when run, so that help appears at once.
COMMANDS = (
    "sources",
    "rmod",
    "model",
    "sweep",
    "evaluate",
    "registry",
    "retrain",
    "bundle",
    "info",
    "extract",
    "demo",
    "serve",
)

# Modules of pyproject.toml's extra `overridden`, which pip cannot install beside the others.
OVERRIDDEN = ("audiotools", "dac", "encodec", "frechet_audio_distance", "tinysoundfont")
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"  # beside src/, outside the wheel

EPILOG = """examples:
  dose demo
  dose extract song.mp3 --out kit
  dose extract 'loops/*.wav' --out kits --candidates 4 --kit sfz,sf2
  eval "$(dose --print-completion bash)"        # in ~/.bashrc; zsh and tcsh too

exit codes:
  0    done
  1    an error, in one sentence on standard error; of several mixes, at least one failed
  2    an unknown command or option
  130  interrupted (Ctrl-C)
  141  the reader of the output has closed it (dose ... | head)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code, as EPILOG lists them; 2 is argparse's SystemExit."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # A file name may hold characters that the terminal's encoding lacks; stderr escapes them by default.
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
    except ModuleNotFoundError as e:
        # Commands beyond extraction need packages of an extra; a missing module of this project is a bug.
        package = (e.name or "").partition(".")[0]
        if package in ("", "dose", "serving"):
            raise
        print(f"dose: {_missing_package(package, arguments)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (`| head`) has exited; without this, Python prints a second error while closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _missing_package(package: str, arguments: Sequence[str]) -> str:
    """The sentence for a command whose extra is not installed."""
    if package in OVERRIDDEN:
        remedy = "run `make install` in the repository, which brings it"
    else:
        extra = "dose[serve]" if arguments[:1] == ["serve"] else "dose[lab]"
        remedy = f"install the extra that brings it: pip install '{extra}'"
    return f"This needs the package '{package}', which is not installed; {remedy}."


class _PrintVersion(argparse.Action):
    """argparse's own action would read the metadata at every start."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        import dose

        print(f"dose {dose.__version__}")
        parser.exit()


class _PrintCompletion(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        from dose.commands import _completion

        print(_completion.script(parser, str(values)))
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The parser of everything except the arguments of single benchmarks, which `bench` parses."""
    parser = argparse.ArgumentParser(
        prog="dose",
        description="Drum one-shot extraction: extracts a kick, a snare and a hi-hat from a finished mix.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version")
    parser.add_argument(
        "--print-completion", action=_PrintCompletion, choices=SHELLS, help="print the script for a shell"
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"dose.commands.{name}").register(subparsers)
    subparsers.add_parser("bench", help="measure speed, memory or quality (`dose bench --help` lists what)")
    return parser


def bench(argv: Sequence[str]) -> int:
    """Runs `benchmarks.NAME`, which prints a table; the same figures follow as one line of JSON.

    A line before the table, and the JSON's first key, describe the machine: CPU, instruction set, cores,
    torch, threads.
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

    # Timings are comparable only with the machine they were measured on.
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
