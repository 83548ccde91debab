"""The extractor whose kits can be saved."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dose.api.kit import Kit
from dose.drums import DRUMS
from dose.extract import extractor
from dose.extract.extractor import Progress


class Extractor(extractor.Extractor):
    """`dose.extract.extractor.Extractor` whose kits can be saved.

    Without arguments it opens the models in use here: the registry's champions, else the project's own, else
    those shipped with the package. Loading takes seconds: make one and use it for all mixes.
    """

    def extract(
        self,
        sound: np.ndarray,
        rate: int,
        *,
        drums: Sequence[str] = DRUMS,
        candidates: int = 1,
        seed: int = 0,
        progress: Progress | None = None,
        name: str = "The audio",
    ) -> Kit:
        kit = super().extract(
            sound, rate, drums=drums, candidates=candidates, seed=seed, progress=progress, name=name
        )
        return Kit(**vars(kit))

    def extract_file(
        self,
        source: Path | str | BinaryIO,
        *,
        drums: Sequence[str] = DRUMS,
        candidates: int = 1,
        seed: int = 0,
        progress: Progress | None = None,
        name: str | None = None,
    ) -> Kit:
        kit = super().extract_file(
            source, drums=drums, candidates=candidates, seed=seed, progress=progress, name=name
        )
        return Kit(**vars(kit), source=Path(source) if isinstance(source, str | Path) else None)
