"""Stage codec: the codec that every later stage uses, as data/codec.

The shipped compact codec, the official DAC, or a compact codec fitted here to the train split.
`python -m pipelines.codec --ship` fits one and puts it into the package as the shipped codec.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dose import config, files
from dose.codec import Codec, bundled_codec
from dose.codec.config import CodecConfig, MaterialConfig
from dose.codec.fitting import collect, fit
from dose.codec.store import BUNDLED
from dose.rmod import RmodConfig
from dose.rmod.dataset import stream
from dose.sources.catalogue import Bank
from pipelines.stage import run_stage

OUT, STATE = Path("data/codec"), Path("data/.codec-fit")


def material(ranges: RmodConfig, bank: Bank, what: MaterialConfig) -> Iterator[np.ndarray]:
    """Sounds of the train split, mono [N]: recorded clips, RMOD's one-shots, mixes, tracks."""
    for clip in bank.clips:
        if clip.split == "train" and clip.source != "procedural":
            yield bank.audio(clip.id)
    # Two passes, because stems cost rendering time that the other items need not pay.
    for first, last, stems in ((0, what.stems, True), (what.stems, what.shots, False)):
        for i, item in enumerate(stream(ranges, bank, "train", first, last, stems=stems), start=first):
            yield from item.shots.values()
            if i < what.mixes:
                yield item.mix.mean(axis=0)
            for track in (item.stems or {}).values():
                yield track.mean(axis=0)


def train(section: CodecConfig, ranges: RmodConfig, bank: Bank) -> Codec:
    """Fits the compact codec; goes on after the last finished step when it was cut off."""
    began = time.monotonic()
    sounds = tqdm(material(ranges, bank, section.material), desc="codec: sounds", unit="sound")
    found = collect(sounds, section.compact, section.fitting)
    print(f"codec: {len(found.jump)} frames; fitting")

    def report(step: str, error: float) -> None:
        print(f"codec: {step:10} {error:8.4f}  ({time.monotonic() - began:.0f} s)", flush=True)

    return fit(found, section.compact, section.fitting, STATE, report)


def make(section: CodecConfig) -> Codec:
    """The codec that the section asks for."""
    if section.source == "bundled":
        return bundled_codec()
    if section.source == "official":
        from dose.codec.dac import official_codec

        return official_codec(section.official)
    return train(section, config.load("rmod", RmodConfig), Bank.load("data/sources"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.codec", description=__doc__)
    parser.add_argument("--ship", action="store_true", help="fit, and replace the package's own codec")
    args = parser.parse_args()
    section = config.load("codec", CodecConfig)
    if args.ship:
        codec = train(section, config.load("rmod", RmodConfig), Bank.load("data/sources"))
        codec.save(BUNDLED)
        print(f"codec: shipped codec is now {codec.id}; write its card with `dose bench codec --card`")
        return
    codec = make(section)
    with files.atomic(OUT) as folder:
        folder.mkdir(parents=True)
        codec.save(folder)
        files.write_manifest(folder)
    print(f"codec: {codec.kind} {codec.id} in {OUT}")


if __name__ == "__main__":
    run_stage(main)
