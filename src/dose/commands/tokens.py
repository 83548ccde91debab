"""`dose train-onsets`: trains the onset detector that places a prompt's segments."""

import argparse
from pathlib import Path


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    p = subparsers.add_parser(
        "train-onsets",
        aliases=["fit-onsets"],
        help="train the detector of drum onsets in a mix (deprecated alias: fit-onsets)",
        description=(
            "Trains the onset detector on RMOD's train split, whose onsets are known, and prints its\n"
            "precision on val mixes. Token shards of another detector are made again by `dvc repro tokens`."
        ),
        epilog="example:\n  dose train-onsets --mixes 4500 --epochs 25 --out onsets.safetensors",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--sources", type=Path, default=Path("data/sources"), help="folder of the sources stage")
    p.add_argument(
        "--params",
        type=Path,
        default=Path("params.yaml"),
        help="file with the rmod section (default params.yaml)",
    )
    p.add_argument("--mixes", type=int, default=4500, help="train mixes (default 4500)")
    p.add_argument("--val", type=int, default=200, help="val mixes (default 200)")
    p.add_argument("--epochs", type=int, default=25, help="passes over the train mixes (default 25)")
    p.add_argument("--seed", type=int, default=0, help="of the initial weights and the order of mixes")
    p.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    p.set_defaults(run=run_train)


def run_train(args: argparse.Namespace) -> None:
    from collections.abc import Iterator

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

    def mixes(split: str, count: int) -> Iterator[train.AnnotatedMix]:
        for item in stream(section, library, split, 0, count):
            yield audio.downmix(item.mix), item.hits

    data = train.features(mixes("train", args.mixes))
    net = train.train_detector(
        data,
        epochs=args.epochs,
        seed=args.seed,
        report=lambda epoch, loss: print(f"epoch {epoch + 1}: loss {loss:.4f}", flush=True),
    )
    train.save(net, args.out)
    val = list(mixes("val", args.val))
    for count in (1, 3):
        precision = train.precision(val, net, count)
        print(
            f"precision of the best {count} per mix:", ", ".join(f"{d} {p:.0%}" for d, p in precision.items())
        )
