"""The `sources` section of params.yaml: which sounds the sample library is built from."""

import dataclasses

from dose.config import optional, was
from dose.sources.adapters.folder import Folder


@dataclasses.dataclass(frozen=True, kw_only=True)
class Procedural:
    """Synthesised clips per drum, by split."""

    train: int
    val: int
    test: int

    def __post_init__(self) -> None:
        if min(self.train, self.val, self.test) < 0:
            raise ValueError("procedural counts cannot be negative")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourcesConfig:
    """params.yaml: sources. The same values give the same clips on every machine."""

    seed: int  # of the procedural drums
    bundled: bool  # whether the clips shipped inside the package are used
    procedural: Procedural
    archives: str = dataclasses.field(metadata=was("packs"))  # folder of unpacked packages
    packages: tuple[str, ...]  # read from `archives`
    # Packages of which the clips of the val split alone are used; older files lack the key.
    validation_packages: tuple[str, ...] = dataclasses.field(default=(), metadata=optional())
    soundfonts: tuple[str, ...]  # .sf2 paths, or "timgm6mb"
    riffs_per_program: int  # loops rendered from each General MIDI program of a SoundFont
    sung_phrases: int  # loops of the synthetic voice
    folders: tuple[Folder, ...]
    loop_seconds: float  # longer instrument clips are cut here
    duplicate_correlation: float  # aligned correlation above which two clips are one cluster
    max_reject_share: float  # of one folder's files

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError("seed cannot be negative")
        # 60 s is also the most that cleaning decodes of a loop.
        if not 4 <= self.loop_seconds <= 60:
            raise ValueError("loop_seconds must be 4 to 60: slices of 4 s are cut from loops")
        if not 0.5 <= self.duplicate_correlation <= 1:
            raise ValueError("duplicate_correlation must be 0.5 to 1")
        if not 0 <= self.max_reject_share <= 1:
            raise ValueError("max_reject_share must be 0 to 1")
        if self.riffs_per_program < 0 or self.sung_phrases < 0:
            raise ValueError("riffs_per_program and sung_phrases cannot be negative")
