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


def material(rmod: RmodConfig, library: SampleLibrary, config: MaterialConfig) -> Iterator[np.ndarray]:
    """Audio of the train split, mono [N]: recorded clips, RMOD's one-shots, mixes, tracks."""
    for clip in library.clips:
        if clip.split == "train" and clip.source != "procedural":
            yield library.audio(clip.id)
    # Two passes, because stems take rendering time that the other items do not need.
    for first, last, stems in ((0, config.stems, True), (config.stems, config.shots, False)):
        for i, item in enumerate(stream(rmod, library, "train", first, last, stems=stems), start=first):
            yield from item.shots.values()
            if i < config.mixes:
                yield audio.downmix(item.mix)
            for track in (item.stems or {}).values():
                yield audio.downmix(track)


def train(section: CodecConfig, rmod: RmodConfig, library: SampleLibrary) -> CompactCodec:
    """Fits the compact codec; resumes after the last finished step of an interrupted fit."""
    started = time.monotonic()
    sounds = tqdm(
        material(rmod, library, section.material), desc="codec: sounds", unit="sound", mininterval=2
    )
    frames = collect(sounds, section.compact, section.fitting)
    print(f"codec: {len(frames.attack)} frames; fitting")
    errors: dict[str, float] = {}

    def report(step: str, error: float) -> None:
        errors[step] = error
        print(f"codec: {step:10} {error:8.4f}  ({time.monotonic() - started:.0f} s)", flush=True)

    # Resumable: each finished step is stored in STATE.
    codec = fit(frames, section.compact, section.fitting, STATE, report)
    codec.provenance = provenance(section, library, len(frames.attack), time.monotonic() - started)
    if section.log:
        log(section, codec, library, errors)
    return codec


def provenance(section: CodecConfig, library: SampleLibrary, frames: int, seconds: float) -> dict[str, str]:
    """Training material and method of a codec, as sentences for its card."""
    clips = [c for c in library.clips if c.split == "train"]
    recorded = sum(c.source != "procedural" for c in clips)
    material, fitting = section.material, section.fitting
    return {
        "material": f"{frames} frames of 11.6 ms, sampled evenly from {recorded} recorded or rendered clips "
        f"of the train split (sample library {library.id}) and from RMOD's train split, made of those and of "
        f"{len(clips) - recorded} synthetic drums: the one-shots of {material.shots} items, the mixes "
        f"of {material.mixes}, the single tracks of {material.stems}.",
        "how": f"Weighted k-means, {fitting.rounds} rounds per codebook, then {fitting.joint_refits} joint "
        f"refits of all waveform codebooks; {seconds:.0f} s (less where a fit was resumed) on {hardware()}. "
        "Command: `python -m pipelines.codec --ship`, then `dose bench codec --card`.",
    }


def log(section: CodecConfig, codec: Codec, library: SampleLibrary, errors: dict[str, float]) -> None:
    """One MLflow run: parameters, the error after each step, and drums before and after the codec."""
    tracker = Tracker("dose-codec")
    tracker.ensure_store()
    run = tracker.open_run(f"codec-{codec.id}", f"codec {codec.id}")
    tracker.set_tags(run, lineage_tags() | {"codec_id": codec.id, "hardware": hardware()})
    logged = dataclasses.asdict(section)
    parts = ("material", "fitting", "compact")
    tracker.log_params(run, {f"{p}.{name}": v for p in parts for name, v in logged[p].items()})
    now = int(time.time() * 1000)
    tracker.log_metrics(run, [(i, now, {f"error/{name}": e}) for i, (name, e) in enumerate(errors.items())])
    with tempfile.TemporaryDirectory() as folder:
        for drum in DRUMS:
            for clip in library.select(drum, "val")[:3]:
                # Drums of the validation split, which the codec was not fitted to.
                sound = library.audio(clip.id)
                codes = codec.encode(torch.from_numpy(sound)[None, None])
                decoded = codec.decode(codes)[0, 0].numpy()
                audio.write(Path(folder) / f"{drum}-{clip.id}-true.wav", sound)
                audio.write(Path(folder) / f"{drum}-{clip.id}-codec.wav", decoded[: len(sound)])
        tracker.log_artifacts(run, folder, "listen")
    tracker.end_run(run, "FINISHED")


def build(section: CodecConfig) -> Codec:
    """The codec that the section selects."""
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
        fitted = train(section, config.load("rmod", RmodConfig), SampleLibrary.load("data/sources"))
        fitted.save(BUNDLED)
        print(f"codec: shipped codec is now {fitted.id}; write its card with `dose bench codec --card`")
        return
    codec = build(section)
    # Whole or not at all, so that later stages never read half a codec.
    with files.atomic(OUT) as folder:
        folder.mkdir(parents=True)
        codec.save(folder)
        files.write_manifest(folder)
    shutil.rmtree(STATE, ignore_errors=True)  # needed only to resume a fit
    print(f"codec: {codec.kind} {codec.id} in {OUT}")


if __name__ == "__main__":
    run_stage(main)
