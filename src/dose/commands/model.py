"""`dose import-official`, `dose generate`: checkpoints in, token rows out."""

import argparse
from pathlib import Path

from dose.drums import DRUMS


def register(subparsers: argparse._SubParsersAction) -> None:
    _register_import(subparsers)
    _register_generate(subparsers)


def _register_import(subparsers: argparse._SubParsersAction) -> None:
    p = subparsers.add_parser(
        "import-official",
        help="turn a checkpoint of the paper's authors into a model folder",
        description="Turns a Lightning checkpoint of the paper's authors into a model folder of ours.",
        epilog="example:\n  dose import-official kick.ckpt --drum kick --out models/kick",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("checkpoint", type=Path, help="the .ckpt file")
    p.add_argument("--drum", choices=DRUMS, required=True, help="the drum it was trained for")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    p.set_defaults(run=run_import)


def _register_generate(subparsers: argparse._SubParsersAction) -> None:
    p = subparsers.add_parser(
        "generate",
        help="token rows from prompt codes, for comparing implementations",
        description=(
            "Reads prompt codes [K, T] (whole numbers, 0 and up) from a .npy file and writes the raw\n"
            "token rows [S, K] (code + 1; 0 for start, end, empty). Greedy unless --temperature is given."
        ),
        epilog=(
            "examples:\n"
            "  dose generate --bundle models/kick --codes mix.npy --rows rows.npy\n"
            "  dose generate --bundle kit --drum snare --codes mix.npy --rows r.npy --temperature 0.9"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="a model folder or a kit bundle")
    p.add_argument("--drum", choices=DRUMS, help="which model of a kit bundle")
    p.add_argument("--codes", type=Path, required=True, metavar="NPY", help="prompt codes [K, T]")
    p.add_argument("--rows", type=Path, required=True, metavar="NPY", help="where to write the rows [S, K]")
    p.add_argument("--temperature", type=float, default=0.0, help="0 (the default) is greedy")
    p.add_argument("--top-k", type=int, default=0, help="keep the K most likely codes; 0 keeps all")
    p.add_argument("--seed", type=int, default=0, help="of the random draws")
    p.add_argument("--max-rows", type=int, help="stop after so many rows; default: as the model was trained")
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
        "prompt": {"kind": "mix", "hits": 1, "seconds": 4.0},
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
        rule = Sampling(temperature=args.temperature, top_k=args.top_k, seed=args.seed)
        rows = generate(model, torch.from_numpy(codes)[None], rule, args.max_rows)[0]
    except ValueError as e:
        raise DoseError(f"{args.codes} cannot be answered: {e}.") from e
    from dose.tokens.layout import stop_step

    said = rows[: stop_step(rows) + 1].numpy()
    with atomic(args.rows) as beside, open(beside, "wb") as f:
        np.save(f, said)
    print(f"{args.rows}: {said.shape[0]} rows of {said.shape[1]} tokens")


def _model_folder(folder: Path, drum: str | None) -> Path:
    """The folder itself where it is a model, else the drum's model in a kit bundle."""
    from dose.errors import DoseError
    from dose.model.checkpoint import CARD

    if (folder / CARD).is_file():
        return folder
    if drum is None:
        raise DoseError(f"{folder} is not a single model; choose one of a kit bundle with --drum.")
    return folder / drum


def _read_codes(path: Path):  # type: ignore[no-untyped-def]
    import numpy as np

    from dose.errors import DoseError, MissingInputError

    if not path.is_file():
        raise MissingInputError(f"{path} does not exist; it should hold prompt codes [K, T].")
    try:
        codes = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as e:
        raise DoseError(f"{path} is not a .npy file of numbers.") from e
    if codes.ndim != 2 or not np.issubdtype(codes.dtype, np.integer):
        raise DoseError(f"{path} must hold whole numbers [K, T], not {codes.dtype} {list(codes.shape)}.")
    return codes.astype(np.int64)
