"""A take is a sound as its source has it: not yet read, cleaned or split."""

import dataclasses
from collections.abc import Callable

import numpy as np

from dose.sources.library import kind_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceItem:
    """What an adapter yields: where a sound comes from, and how to get it.

    `load` returns mono float [N] at 44.1 kHz and may raise AudioError; it is called once. Where
    `clean` is true the sound already went through `cleaning.clean` (with the lead-in and peak given) and
    is stored as it is.
    """

    name: str
    cls: str
    load: Callable[[], np.ndarray]
    source: str
    group: str
    variant: str = ""
    package: str = ""
    version: str = ""
    kit: str = ""
    author: str = ""
    licence: str = ""
    attribution: str = ""
    split: str = ""  # "" lets the group decide
    origin: str = ""  # the path or formula, for rejects.csv
    synthetic: bool = False  # flat tops are meant, not damage
    clean: bool = False
    lead_in_ms: float = 0.0
    peak_db: float = 0.0

    @property
    def kind(self) -> str:
        return kind_of(self.cls)
