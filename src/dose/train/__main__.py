"""`python -m dose.train`: one training run on a machine that has only torch, numpy and safetensors."""

import argparse
import json
import sys
from pathlib import Path

from dose import config as strict
from dose import files
from dose.drums import DRUMS
from dose.errors import DoseError
from dose.train.config import FitConfig
from dose.train.data import open_data
from dose.train.trainer import fit


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m dose.train",
        description="Trains one model from token shards; the same command resumes a run that was cut off.",
        epilog="Example: python -m dose.train --tokens data/tokens --drum kick --config fit.json --out out",
    )
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the tokens stage")
    parser.add_argument("--drum", choices=DRUMS, required=True)
    parser.add_argument("--config", type=Path, required=True, help="JSON with every field of FitConfig")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and state")
    parser.add_argument("--device", help="cpu, cuda, cuda:1; default: cuda where there is one")
    args = parser.parse_args()
    try:
        config = strict.parse(FitConfig, files.read_json(args.config), str(args.config))
        data = open_data(args.tokens, args.drum, config.prompt)

        def report(step: int, metrics: dict[str, float]) -> None:
            print(json.dumps({"step": step, **metrics}), flush=True)

        fit(config, data, args.out, report, device=args.device, meta={"drum": args.drum})
    except (DoseError, ValueError) as e:
        sys.exit(f"dose.train: {e}")


if __name__ == "__main__":
    main()
