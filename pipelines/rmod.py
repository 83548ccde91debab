"""Stage rmod: recipes of every split, audio of val and test."""

from pathlib import Path

from dose import config, files
from dose.rmod import RmodConfig
from dose.rmod.build import build, summary
from dose.sources.catalogue import Bank
from pipelines.stage import run_stage

OUT = Path("data/rmod")


def main() -> None:
    ranges = config.load("rmod", RmodConfig)
    bank = Bank.load("data/sources")
    build(ranges, bank, OUT)
    files.write_json(OUT / "summary.json", summary(ranges, bank))
    files.write_manifest(OUT)
    print(
        f"rmod: {', '.join(f'{n} {s}' for s, n in summary(ranges, bank)['items'].items())} recipes in {OUT}"
    )


if __name__ == "__main__":
    run_stage(main)
