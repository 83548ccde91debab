"""What the mixes that the models were trained on sound like: the drift trigger's point of comparison."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dose import config
from dose.drums import DRUMS
from dose.extract.drift import reference
from dose.extract.segments import scan
from dose.rmod.config import RmodConfig
from dose.sources.library import SampleLibrary

MIXES = 200


def of_training(
    params: Path,
    sources: Path,
    mixes: int = MIXES,
    watch: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> dict[str, Any]:
    """Mean and spread of the features of RMOD's first `mixes` train mixes; `watch` may show progress."""
    from dose.rmod.dataset import stream

    items = stream(config.load("rmod", RmodConfig, params), SampleLibrary.load(sources), "train", 0, mixes)
    return reference(scan([item.mix], DRUMS[:1]).features for item in watch(items))
