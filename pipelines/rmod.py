"""Stage `rmod`: mix specifications of every split, audio of val and test, and the data card."""

from pathlib import Path

from dose import config, files
from dose.rmod import RmodConfig
from dose.rmod.build import build
from dose.rmod.card.data_card import write_card
from dose.sources.library import SampleLibrary
from pipelines.stage import run_stage

OUT = Path("data/rmod")


def main() -> None:
    section = config.load("rmod", RmodConfig)
    library = SampleLibrary.load("data/sources")
    build(section, library, OUT)
    card = write_card(section, library, OUT)
    files.write_manifest(OUT)
    counts = ", ".join(f"{n} {split}" for split, n in card["items"].items())
    print(f"rmod: {counts} mix specifications in {OUT}; groove is {card['groove']}; see {OUT / 'card.html'}")


if __name__ == "__main__":
    run_stage(main)
