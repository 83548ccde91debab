"""`dose demo`: a kit from a loop that comes with the package."""

import argparse
from pathlib import Path

EXAMPLE = """example:
  dose demo                # writes the kit and a listening page into dose-demo
  dose demo --open         # and opens the page
"""
# All three drums are detected in it.
LOOP = Path(__file__).parents[1] / "sources" / "demo" / "loop_garzul.flac"
PAGE = "kit.html"


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "demo",
        help="extract a kit from a bundled loop, with a listening page",
        description="Extracts a kit from a bundled loop (CC0) in seconds, with a listening page beside it.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, default=Path("dose-demo"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--open", action="store_true", help="open the page in the browser, if this is a terminal"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs `dose extract` with the loop: all its checks of the folder apply."""
    import sys

    from dose.commands import extract

    commands = argparse.ArgumentParser().add_subparsers()
    extract.register(commands)
    page = args.out / PAGE
    options = ["--out", str(args.out), "--kit", "sfz", "--page", str(page)]
    code = extract.run(commands.choices["extract"].parse_args([str(LOOP), *options]))
    if code == 0:
        print(f"The kit is in {args.out}; to listen, open {page} in a browser.")
        print("Your own: dose extract song.mp3 --out kit")
        if args.open and sys.stdout.isatty():
            import webbrowser

            webbrowser.open(page.resolve().as_uri())
    return code
