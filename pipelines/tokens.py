"""Stage tokens: train and val items, rendered and encoded, into data/tokens."""

from pathlib import Path

from dose import config
from dose.rmod.config import RmodConfig
from dose.tokens.encode import SPLITS, TokensConfig, build
from dose.tokens.shards import read_index
from pipelines.stage import run_stage

SOURCES, CODEC = Path("data/sources"), Path("data/codec")
TRANSCRIPTION = Path("data/transcription")
OUT = Path("data/tokens")


def main() -> None:
    section = config.load("tokens", TokensConfig)
    build(section, config.load("rmod", RmodConfig), SOURCES, CODEC, TRANSCRIPTION, OUT)
    for split in SPLITS:
        print(f"{split}: {read_index(OUT / split).count} items")


if __name__ == "__main__":
    run_stage(main)
