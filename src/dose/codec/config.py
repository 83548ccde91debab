"""Section `codec` of params.yaml: which codec makes the tokens, and how the compact one is fitted."""

import dataclasses
from typing import Literal

from dose.codec.compact import CompactConfig
from dose.codec.fitting import FittingConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfficialConfig:
    """Source of the weights of descript-audio-codec."""

    weights: str  # local file; used if it exists
    url: str  # else they are downloaded from here to `weights`
    sha256: str | None  # of the file; null = not known, and not compared

    def __post_init__(self) -> None:
        if self.sha256 is not None and (len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef")):
            raise ValueError("sha256 must be 64 lower-case hex digits or null")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaterialConfig:
    """Sounds that the compact codec is fitted to, besides every recorded clip of the train split."""

    shots: int  # RMOD items of the train split whose one-shots are used
    mixes: int  # of these, items whose mix is used too
    stems: int  # of these, items whose stems are used too

    def __post_init__(self) -> None:
        if not self.shots >= self.mixes >= self.stems >= 0:
            raise ValueError("shots, mixes and stems count the same items: shots >= mixes >= stems >= 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodecConfig:
    """The section `codec`."""

    source: Literal["bundled", "train", "official"]
    official: OfficialConfig
    material: MaterialConfig
    fitting: FittingConfig
    compact: CompactConfig
    log: bool  # to MLflow, with audio examples; only when training
