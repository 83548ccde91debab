"""Stage sweep: one drum's search on Ray Tune, into data/sweep/<drum>."""

import argparse
from pathlib import Path

from dose import config
from dose.drums import DRUMS
from dose.sweep import SweepConfig, run_sweep
from pipelines.stage import run_stage


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.sweep", description=__doc__)
    parser.add_argument("--drum", choices=DRUMS, required=True)
    drum = parser.parse_args().drum
    trials = run_sweep(
        config.load("sweep", SweepConfig),
        drum,
        Path("data/tokens"),
        Path("data/codec"),
        Path("data/sweep") / drum,
    )
    print(f"sweep: {len(trials)} trials; `dose sweep show {drum}` ranks them")


if __name__ == "__main__":
    run_stage(main)
