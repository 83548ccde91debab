"""Stage transcription: the network that detects drum hits, as data/transcription.

The shipped network, or one trained here on both distributions of RMOD's train split.
`python -m pipelines.transcription --ship` trains one and puts it into the package as the shipped network;
`--ship second-pass` fits the shipped network's second pass anew.
"""

import argparse
import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dose import config, files
from dose.rmod import RmodConfig
from dose.sources.library import SampleLibrary
from dose.tracking.lineage import hardware, lineage_tags
from dose.tracking.store import Tracker, now_ms
from dose.transcription import network
from dose.transcription.calibrate import calibrate, scores
from dose.transcription.config import TranscriptionConfig
from dose.transcription.data import MixSource, data_key, read_shards, write_shards
from dose.transcription.network import TranscriptionNetwork
from dose.transcription.second_pass_training import fit
from dose.transcription.second_pass_training.rows import read_rows, write_rows
from dose.transcription.train import train
from pipelines.stage import run_stage

SOURCES = Path("data/sources")
OUT, STATE = Path("data/transcription"), Path("data/.transcription")


def build(section: TranscriptionConfig, rmod: RmodConfig, library: SampleLibrary, out: Path) -> None:
    """Trains a network into the folder `out`; what an interrupted training has done is used."""
    settings, started = section.train, time.monotonic()
    source = MixSource(rmod=rmod, realistic=rmod.realistic, paper_share=settings.paper_share)
    start = network.load(network.BUNDLED) if settings.init == "bundled" else None
    first = files.sha256(network.BUNDLED / network.WEIGHTS) if start is not None else "random"
    # State of other params, data or code is of no use.
    key = files.hash_json(
        {"train": dataclasses.asdict(settings), "init": first, "data": data_key(source, library)}
    )
    state = STATE / key
    for other in STATE.iterdir() if STATE.is_dir() else ():
        if other != state:
            shutil.rmtree(other)
    # 1. Mixes of train and val, in shards.
    shards = {
        split: write_shards(source, library, split, count, state / "mixes", workers=settings.workers)
        for split, count in (("train", settings.mixes), ("val", settings.val))
    }
    val = read_shards(shards["val"])
    # 2. Training, logged as it goes.
    log = Log(section, library, key) if section.log else None
    history: list[dict[str, Any]] = []
    with tqdm(total=settings.steps, desc="transcription: steps", unit="step", mininterval=2) as bar:

        def report(step: int, loss: float, net: TranscriptionNetwork) -> None:
            bar.update(step - bar.n)
            history.append({"step": step, "train/loss": loss, **scores(net, val)})
            if log is not None:
                log.metrics(history[-1])

        net = train(read_shards(shards["train"]), settings, state / "state", report, start)
    # 3. One threshold for all classes, and the second pass on top.
    calibrate(net, val)
    second_pass = fit_second_pass(net, section, source, library, state)
    card = {
        "mixes": settings.mixes,
        "steps": settings.steps,
        "init": first,
        "library": library.id,
        "licences": sorted({c.licence for c in library.clips if c.split == "train"}),
        "val": scores(net, val),
        "second_pass": second_pass,
        "seconds": round(time.monotonic() - started),  # less where a training was resumed
        "hardware": hardware(),
    }
    network.save(net, out, card)
    if log is not None:
        log.end(out)


def fit_second_pass(
    net: TranscriptionNetwork,
    section: TranscriptionConfig,
    source: MixSource,
    library: SampleLibrary,
    state: Path,
) -> dict[str, Any]:
    """Gives the network its second pass; returns what the card says of it."""
    settings, workers = section.second_pass, section.train.workers
    # Rows of another network are of no use.
    folder = state / f"second-pass-{network.fingerprint(net)}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = {
        split: read_rows(write_rows(net, source, library, split, count, folder, workers=workers))
        for split, count in (("train", settings.mixes), ("val", settings.val))
    }
    net.second_pass = fit.calibrate(fit.fit(rows["train"], settings), rows["val"])
    return {**dataclasses.asdict(settings), "val": fit.scores(net.second_pass, rows["val"])}


def renew_second_pass(
    section: TranscriptionConfig, rmod: RmodConfig, library: SampleLibrary, out: Path
) -> None:
    """The shipped network with a second pass that is fitted here, into the folder `out`."""
    net, card = network.load(network.BUNDLED), files.read_json(network.BUNDLED / network.CARD)
    source = MixSource(rmod=rmod, realistic=rmod.realistic, paper_share=section.train.paper_share)
    state = STATE / files.hash_json({"second_pass_of": card, "data": data_key(source, library)})
    card["second_pass"] = fit_second_pass(net, section, source, library, state)
    network.save(net, out, card)


class Log:
    """One MLflow run of a training; a resumed training goes on with it."""

    def __init__(self, section: TranscriptionConfig, library: SampleLibrary, key: str) -> None:
        self.tracker = Tracker("dose-transcription")
        self.tracker.ensure_store()
        self.run = self.tracker.open_run(f"transcription-{key}", f"transcription {key[:8]}")
        self.tracker.set_tags(self.run, lineage_tags() | {"library": library.id, "hardware": hardware()})
        self.tracker.log_params(self.run, dataclasses.asdict(section.train))

    def metrics(self, values: dict[str, Any]) -> None:
        step = int(values["step"])
        numbers = {name: float(v) for name, v in values.items() if name != "step"}
        self.tracker.log_metrics(self.run, [(step, now_ms(), numbers)])

    def end(self, folder: Path) -> None:
        self.tracker.log_artifacts(self.run, str(folder), "network")
        self.tracker.end_run(self.run, "FINISHED")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.transcription", description=__doc__)
    parser.add_argument(
        "--ship",
        nargs="?",
        choices=("all", "second-pass"),
        const="all",
        help="train, and replace the package's own network; second-pass: only fit that anew",
    )
    ship = parser.parse_args().ship
    section = config.load("transcription", TranscriptionConfig)
    # Whole or not at all, so that later stages never read half a network.
    with files.atomic(OUT) as folder:
        if section.source == "bundled" and not ship:
            shutil.copytree(network.BUNDLED, folder)
        else:
            make = renew_second_pass if ship == "second-pass" else build
            make(section, config.load("rmod", RmodConfig), SampleLibrary.load(SOURCES), folder)
        files.write_manifest(folder)
    if ship:
        for name in network.FILES:
            shutil.copyfile(OUT / name, network.BUNDLED / name)
    shutil.rmtree(STATE, ignore_errors=True)  # needed only to resume
    print(f"transcription: {section.source} network in {OUT}")


if __name__ == "__main__":
    run_stage(main)
