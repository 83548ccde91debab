"""A source item: one sound as its source has it, not yet read, cleaned or split."""

import dataclasses
from collections.abc import Callable

import numpy as np

from dose.sources.library import kind_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceItem:
    """What an adapter yields: where a sound comes from, and how to load it.

    `load` returns mono float [N] at 44.1 kHz and may raise AudioError; it is called once. Where `clean` is
    true the sound has been through `cleaning.clean` already (with the lead-in and peak given) and is stored
    unchanged.
    """

    name: str
    cls: str  # one of library.CLASSES
    load: Callable[[], np.ndarray]
    source: str  # as Clip.source
    group: str  # items of one group share a split
    variant: str = ""
    package: str = ""
    version: str = ""
    kit: str = ""
    author: str = ""
    licence: str = ""
    attribution: str = ""
    split: str = ""  # "" derives it from the group
    origin: str = ""  # the path or formula, for rejects.csv
    synthetic: bool = False  # flat tops are part of the sound, not clipping
    clean: bool = False
    lead_in_ms: float = 0.0
    peak_db: float = 0.0

    @property
    def kind(self) -> str:
        return kind_of(self.cls)
