"""`dose import-official` and `dose generate`: checkpoints of the authors, and raw tokens of a model."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dose.drums import DRUMS

if TYPE_CHECKING:
    import numpy as np

Subparsers = argparse._SubParsersAction  # argparse has no public name for what add_subparsers() returns


def register(subparsers: Subparsers) -> None:
    _register_import(subparsers)
    _register_generate(subparsers)


def _register_import(subparsers: Subparsers) -> None:
    p = subparsers.add_parser(
        "import-official",
        help="convert a checkpoint of the paper's authors into a model folder",
        description="Converts a Lightning checkpoint of the paper's authors into a model folder.",
        epilog="example:\n  dose import-official kick.ckpt --drum kick --out models/kick",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("checkpoint", type=Path, help="the .ckpt file")
    p.add_argument("--drum", choices=DRUMS, required=True, help="the drum it was trained for")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    p.set_defaults(run=run_import)


def _register_generate(subparsers: Subparsers) -> None:
    p = subparsers.add_parser(
        "generate",
        help="generate tokens from prompt codes, to compare implementations",
        description=(
            "Reads prompt codes [K, T] (whole numbers, 0 and up) from a .npy file and writes the raw tokens\n"
            "[S, K] of the delay pattern (code + 1; 0 for start, end, empty), greedily by default."
        ),
        epilog=(
            "examples:\n"
            "  dose generate --bundle models/kick --codes mix.npy --tokens tokens.npy\n"
            "  dose generate --bundle kit --drum snare --codes mix.npy --tokens t.npy --temperature 0.9"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="a model folder or a kit bundle")
    p.add_argument("--drum", choices=DRUMS, help="which model of a kit bundle")
    p.add_argument("--codes", type=Path, required=True, metavar="NPY", help="prompt codes [K, T]")
    p.add_argument(
        "--tokens", "--rows", type=Path, required=True, metavar="NPY",
        help="where to write the tokens [S, K] (old name: --rows)",
    )  # fmt: skip
    p.add_argument("--temperature", type=float, default=0.0, help="0 (default): greedy")
    p.add_argument(
        "--top-k", type=int, default=0, help="sample among the K most likely codes; 0 (default): all"
    )
    p.add_argument("--seed", type=int, default=0, help="of sampling")
    p.add_argument(
        "--max-steps", "--max-rows", type=int,
        help="largest S (default: as the model was trained; old name: --max-rows)",
    )  # fmt: skip
    p.set_defaults(run=run_generate)


def run_import(args: argparse.Namespace) -> None:
    from dose import files
    from dose.model import checkpoint
    from dose.model.compat.official import import_official
    from dose.model.transformer import parameter_count

    model = import_official(args.checkpoint)
    meta = {
        "drum": args.drum,
        "origin": {"file": args.checkpoint.name, "sha256": files.sha256(args.checkpoint)},
        "codec_id": "dac-44khz-official",
        "prompt": {"kind": "mix", "hits": 1, "seconds": 4.0},  # the paper's conditioning: the whole mix
    }
    checkpoint.save(args.out, model, meta)
    c = model.config
    print(
        f"{args.out}: {args.drum}, {parameter_count(model) / 1e6:.1f} M parameters, "
        f"{c.layers} layers of {c.width}, {c.heads} heads"
    )


def run_generate(args: argparse.Namespace) -> None:
    import numpy as np
    import torch

    from dose.errors import DoseError
    from dose.files import atomic
    from dose.model import checkpoint
    from dose.model.decode import generate
    from dose.model.sampling import Sampling

    model = checkpoint.load(_model_folder(args.bundle, args.drum)).model
    codes = _read_codes(args.codes)
    try:
        sampling = Sampling(temperature=args.temperature, top_k=args.top_k, seed=args.seed)
        prompt = torch.from_numpy(codes)[None]  # [1, K, T]
        steps = generate(model, prompt, sampling, args.max_steps)[0]  # [S, K]
    except ValueError as e:
        raise DoseError(f"{args.codes} does not fit the model: {e}.") from e
    from dose.tokens.layout import stop_step

    # The end token is kept; what follows it is padding.
    tokens = steps[: stop_step(steps) + 1].numpy()
    with atomic(args.tokens) as beside, open(beside, "wb") as f:
        np.save(f, tokens)
    print(f"{args.tokens}: {tokens.shape[0]} time steps of {tokens.shape[1]} tokens")


def _model_folder(folder: Path, drum: str | None) -> Path:
    """`folder` where it is a model, else the drum's model in a kit bundle."""
    from dose.errors import DoseError
    from dose.model.checkpoint import CARD

    if (folder / CARD).is_file():
        return folder
    if drum is None:
        raise DoseError(f"{folder} is not a single model; name one of a kit bundle with --drum.")
    return folder / drum


def _read_codes(path: Path) -> "np.ndarray":
    """Prompt codes int64 [K, T] from a .npy file. Raises DoseError for anything else."""
    import numpy as np

    from dose.errors import DoseError, MissingInputError

    if not path.is_file():
        raise MissingInputError(f"{path} does not exist; it should hold prompt codes [K, T].")
    try:
        codes: np.ndarray = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as e:
        raise DoseError(f"{path} is not a .npy file of numbers.") from e
    if codes.ndim != 2 or not np.issubdtype(codes.dtype, np.integer):
        raise DoseError(f"{path} must hold whole numbers [K, T], not {codes.dtype} {list(codes.shape)}.")
    return codes.astype(np.int64)
