"""`dose fit-onsets`: the detector that finds the hits of a prompt, fitted again."""

import argparse
from pathlib import Path


def register(subparsers: argparse._SubParsersAction) -> None:
    p = subparsers.add_parser(
        "fit-onsets",
        help="fit the detector that finds a drum's hits in a mix",
        description=(
            "Fits the onset detector on RMOD's train split, whose hits are known, and prints which part\n"
            "of the hits that it picks in val mixes is right. Tokens of another detector are made anew."
        ),
        epilog="example:\n  dose fit-onsets --mixes 4500 --epochs 25 --out onsets.safetensors",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--sources", type=Path, default=Path("data/sources"), help="folder of the sources stage")
    p.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="file whose rmod section is drawn from"
    )
    p.add_argument("--mixes", type=int, default=4500, help="train mixes (default 4500)")
    p.add_argument("--val", type=int, default=200, help="val mixes (default 200)")
    p.add_argument("--epochs", type=int, default=25, help="times each mix is seen (default 25)")
    p.add_argument("--seed", type=int, default=0, help="of weights and order")
    p.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    p.set_defaults(run=run_fit)


def run_fit(args: argparse.Namespace) -> None:
    from collections.abc import Iterator

    import numpy as np

    from dose import audio, config
    from dose.errors import DoseError
    from dose.rmod.config import RmodConfig
    from dose.rmod.dataset import stream
    from dose.sources.library import SampleLibrary
    from dose.transcription import train

    if min(args.mixes, args.val, args.epochs) < 1:
        raise DoseError("--mixes, --val and --epochs must be at least 1.")
    section = config.load("rmod", RmodConfig, args.params)
    library = SampleLibrary.load(args.sources)

    def items(split: str, count: int) -> Iterator[tuple[np.ndarray, dict[str, tuple[float, ...]]]]:
        for item in stream(section, library, split, 0, count):
            yield audio.downmix(item.mix), item.hits

    data = train.features(items("train", args.mixes))
    net = train.train_detector(
        data,
        epochs=args.epochs,
        seed=args.seed,
        report=lambda epoch, loss: print(f"epoch {epoch + 1}: loss {loss:.4f}", flush=True),
    )
    train.save(net, args.out)
    val = list(items("val", args.val))
    for count in (1, 3):
        right = train.precision(val, net, count)
        print(f"best {count} per mix right:", ", ".join(f"{d} {p:.0%}" for d, p in right.items()))
