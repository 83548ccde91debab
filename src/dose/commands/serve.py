"""`dose serve`: the HTTP service and its web page."""

import argparse
from pathlib import Path

EXAMPLE = """examples:
  dose serve                        # the page at http://127.0.0.1:3000
  dose serve --host 0.0.0.0 --port 8080
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "serve",
        help="run the HTTP service with its web page",
        description="Runs the HTTP service with its web page until it is interrupted.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=3000, help="default: %(default)s")
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        help="songs and kits of jobs (default: data/serving in a project, else ~/.local/state/dose/serving)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Replaces this process by BentoML's, which then gets the signals."""
    import os
    import sys

    import bentoml  # noqa: F401 - reported as the missing extra before the process is replaced

    check_address(args.host, args.port)
    if args.state is not None:
        os.environ["DOSE_STATE"] = str(args.state.absolute())
    elif not Path("params.yaml").is_file():
        os.environ.setdefault("DOSE_STATE", str(state_folder()))
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:Dose"]
    os.execv(sys.executable, [*command, "--host", args.host, "--port", str(args.port)])


def check_address(host: str, port: int) -> None:
    """Raises ConfigError where the service could not listen; BentoML would end in a traceback."""
    import socket

    from dose.errors import ConfigError

    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, OverflowError) as e:
        reason = getattr(e, "strerror", None) or e
        raise ConfigError(f"{host}:{port} cannot be listened on ({reason}); choose another --port.") from e


def state_folder() -> Path:
    """Where the service keeps its jobs outside a project: $XDG_STATE_HOME/dose/serving, or below ~/.local."""
    import os

    root = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(root) / "dose" / "serving"
