"""Statistics of the training mixes' features, with which the drift trigger compares the service's inputs."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dose import config
from dose.drums import DRUMS
from dose.extract.drift import reference
from dose.extract.segments import scan
from dose.rmod.config import RmodConfig
from dose.sources.library import SampleLibrary
from dose.transcription.transcribe import bundled_network

MIXES = 200  # a default without a study


def of_training(
    params: Path,
    sources: Path,
    mixes: int = MIXES,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> dict[str, Any]:
    """Mean and spread of the features of RMOD's first `mixes` train mixes; `progress` may wrap the items."""
    from dose.rmod.dataset import stream

    net = bundled_network()
    items = stream(config.load("rmod", RmodConfig, params), SampleLibrary.load(sources), "train", 0, mixes)
    # The features are of the whole mix; one drum suffices to run the scan.
    return reference(scan([item.mix], DRUMS[:1], net).features for item in progress(items))
