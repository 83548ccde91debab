"""Stage `sources`: the chosen sources become data/sources, the sample library."""

from pathlib import Path

from tqdm import tqdm

from dose import config
from dose.sources.adapters.folder import without_class
from dose.sources.build import build, counts
from dose.sources.config import SourcesConfig
from dose.sources.library import CLASSES
from pipelines.stage import run_stage

OUT = Path("data/sources")


def main() -> None:
    section = config.load("sources", SourcesConfig)
    library = build(section, OUT, progress=lambda t: tqdm(t, desc="sources", unit="clip", mininterval=0.5))
    table = counts(library)
    for folder in section.folders:
        for text in without_class(folder):
            print(f"sources: {text}")
    for cls in CLASSES:
        print(f"{cls:7}", *(f"{split} {table[cls, split]}" for split in ("train", "val", "test")))


if __name__ == "__main__":
    run_stage(main)
