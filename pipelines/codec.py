"""Stage codec: the codec that every later stage uses, as data/codec.

The shipped compact codec, the official DAC, or a compact codec fitted here to the train split.
`python -m pipelines.codec --ship` fits one and puts it into the package as the shipped codec.
"""

import argparse
import dataclasses
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from dose import audio, config, files
from dose.codec import Codec, bundled_codec
from dose.codec.compact import CompactCodec
from dose.codec.config import CodecConfig, MaterialConfig
from dose.codec.fitting import collect, fit
from dose.codec.store import BUNDLED
from dose.drums import DRUMS
from dose.rmod import RmodConfig
from dose.rmod.dataset import stream
from dose.sources.library import SampleLibrary
from dose.tracking.lineage import hardware, lineage_tags
from dose.tracking.store import Tracker
from pipelines.stage import run_stage

OUT, STATE = Path("data/codec"), Path("data/.codec-fit")


def material(ranges: RmodConfig, library: SampleLibrary, what: MaterialConfig) -> Iterator[np.ndarray]:
    """Sounds of the train split, mono [N]: recorded clips, RMOD's one-shots, mixes, tracks."""
    for clip in library.clips:
        if clip.split == "train" and clip.source != "procedural":
            yield library.audio(clip.id)
    # Two passes, because stems cost rendering time that the other items need not pay.
    for first, last, stems in ((0, what.stems, True), (what.stems, what.shots, False)):
        for i, item in enumerate(stream(ranges, library, "train", first, last, stems=stems), start=first):
            yield from item.shots.values()
            if i < what.mixes:
                yield audio.downmix(item.mix)
            for track in (item.stems or {}).values():
                yield audio.downmix(track)


def train(section: CodecConfig, ranges: RmodConfig, library: SampleLibrary) -> CompactCodec:
    """Fits the compact codec; goes on after the last finished step when it was cut off."""
    began = time.monotonic()
    sounds = tqdm(
        material(ranges, library, section.material), desc="codec: sounds", unit="sound", mininterval=2
    )
    found = collect(sounds, section.compact, section.fitting)
    print(f"codec: {len(found.attack)} frames; fitting")
    errors: dict[str, float] = {}

    def report(step: str, error: float) -> None:
        errors[step] = error
        print(f"codec: {step:10} {error:8.4f}  ({time.monotonic() - began:.0f} s)", flush=True)

    codec = fit(found, section.compact, section.fitting, STATE, report)
    codec.provenance = made(section, library, len(found.attack), time.monotonic() - began)
    if section.log:
        log(section, codec, library, errors)
    return codec


def made(section: CodecConfig, library: SampleLibrary, frames: int, seconds: float) -> dict[str, str]:
    """How a codec came about, in words for its card."""
    clips = [c for c in library.clips if c.split == "train"]
    recorded = sum(c.source != "procedural" for c in clips)
    what, how = section.material, section.fitting
    return {
        "material": f"{frames} frames of 11.6 ms, drawn evenly from {recorded} recorded or rendered clips of "
        f"the train split (bank {library.id}) and from RMOD's train split, which is made of those and of "
        f"{len(clips) - recorded} synthetic drums: the one-shots of {what.shots} items, the mixes "
        f"of {what.mixes}, the single tracks of {what.stems}.",
        "how": f"Weighted k-means, {how.rounds} rounds per codebook, then {how.joint_refits} sweeps over all "
        f"waveform codebooks together; {seconds:.0f} s (less where a fit was resumed) on {hardware()}. "
        "Command: `python -m pipelines.codec --ship`, then `dose bench codec --card`.",
    }


def log(section: CodecConfig, codec: Codec, library: SampleLibrary, errors: dict[str, float]) -> None:
    """One MLflow run: parameters, the error after each step, and drums before and after the round trip."""
    tracker = Tracker("dose-codec")
    tracker.ensure_store()
    run = tracker.open_run(f"codec-{codec.id}", f"codec {codec.id}")
    tracker.set_tags(run, lineage_tags() | {"codec_id": codec.id, "hardware": hardware()})
    parts = {"material": section.material, "fitting": section.fitting, "compact": section.compact}
    tracker.log_params(
        run, {f"{k}.{n}": v for k, part in parts.items() for n, v in dataclasses.asdict(part).items()}
    )
    now = int(time.time() * 1000)
    tracker.log_metrics(run, [(i, now, {f"error/{name}": e}) for i, (name, e) in enumerate(errors.items())])
    with tempfile.TemporaryDirectory() as folder:
        for drum in DRUMS:
            for clip in library.select(drum, "val")[:3]:
                sound = library.audio(clip.id)
                back = codec.decode(codec.encode(torch.from_numpy(sound)[None, None]))[0, 0].numpy()
                audio.write(Path(folder) / f"{drum}-{clip.id}-true.wav", sound)
                audio.write(Path(folder) / f"{drum}-{clip.id}-codec.wav", back[: len(sound)])
        tracker.log_artifacts(run, folder, "listen")
    tracker.end_run(run, "FINISHED")


def make(section: CodecConfig) -> Codec:
    """The codec that the section asks for."""
    if section.source == "bundled":
        return bundled_codec()
    if section.source == "official":
        from dose.codec.official import official_codec

        return official_codec(section.official)
    return train(section, config.load("rmod", RmodConfig), SampleLibrary.load("data/sources"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.codec", description=__doc__)
    parser.add_argument("--ship", action="store_true", help="fit, and replace the package's own codec")
    args = parser.parse_args()
    section = config.load("codec", CodecConfig)
    if args.ship:
        codec = train(section, config.load("rmod", RmodConfig), SampleLibrary.load("data/sources"))
        codec.save(BUNDLED)
        print(f"codec: shipped codec is now {codec.id}; write its card with `dose bench codec --card`")
        return
    codec = make(section)
    with files.atomic(OUT) as folder:
        folder.mkdir(parents=True)
        codec.save(folder)
        files.write_manifest(folder)
    shutil.rmtree(STATE, ignore_errors=True)  # only a fit that was cut off has a use for it
    print(f"codec: {codec.kind} {codec.id} in {OUT}")


if __name__ == "__main__":
    run_stage(main)
