"""What the model is shown of a mix.

"mix":  the paper's prompt, the whole 4 s.
"hits": excerpts of the mix that start on the drum's own hits, best first, each encoded by itself, so that its
        first frame is the hit's first frame. In the same training time this prompt makes the model listen
        where 4 s of everything does not yet (docs/model.md).
"band_energies": the same segments as quantised band energies (tokens/band_energies.py) instead of codes.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from dose import audio
from dose.codec import Codec
from dose.config import was
from dose.drums import MIX_SECONDS
from dose.tokens import band_energies
from dose.tokens.shards import OLD_PROMPT_KINDS, PromptKind
from dose.transcription.detector import RATE, Onset, find_onsets, likelihoods

MIX = int(MIX_SECONDS * RATE)
EXCERPT_PEAK = 0.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromptConfig:
    kind: PromptKind = dataclasses.field(default="hits", metadata=was(values=OLD_PROMPT_KINDS))
    hits: int = 3  # excerpts
    seconds: float = 0.35  # length of each

    def __post_init__(self) -> None:
        if not 1 <= self.hits <= 16:
            raise ValueError("prompt.hits must lie in 1..16")
        if not 0.05 <= self.seconds <= MIX_SECONDS:
            raise ValueError(f"prompt.seconds must lie in 0.05..{MIX_SECONDS:g}")

    @property
    def samples(self) -> int:
        """Of one excerpt."""
        return round(self.seconds * RATE)

    @property
    def frames(self) -> int:
        """Of one excerpt as levels, from its hit on."""
        return -(-self.samples // band_energies.HOP)


def prompt_codes(
    codec: Codec, mix: np.ndarray, drum: str, config: PromptConfig, chances: np.ndarray | None = None
) -> np.ndarray:
    """What a model of `drum` is shown of mix [N] (mono, 44.1 kHz, 4 s or less): codes int64 [K, P], or levels
    [FEATURES, P]. `chances` are the mix's `likelihoods`, for callers that have them."""
    if config.kind == "mix":
        return _encode(codec, audio.fit_length(mix, MIX)[None])[0]
    hits = find_onsets(mix, drum, config.hits, chances)
    if config.kind == "band_energies":
        return _levels(mix, hits, config, np.zeros(config.hits, np.int64))
    return join(_encode(codec, cut_segments(mix, [h.start for h in hits], config)))


def prompts_of_all(
    codec: Codec,
    mix: np.ndarray,
    drums: Sequence[str],
    config: PromptConfig,
    kinds: Sequence[PromptKind],
    jitter: np.ndarray,
) -> dict[PromptKind, dict[str, np.ndarray]]:
    """The "hits" and "band_energies" prompts of several drums in one pass; `jitter` [drums, hits] samples moves each
    start."""
    chances = likelihoods(mix)
    found = {drum: find_onsets(mix, drum, config.hits, chances) for drum in drums}
    moved = dict(zip(drums, jitter, strict=True))
    out: dict[PromptKind, dict[str, np.ndarray]] = {}
    if "hits" in kinds:
        cuts = [cut_segments(mix, [h.start for h in found[drum]], config, moved[drum]) for drum in drums]
        codes = _encode(codec, np.concatenate(cuts)).reshape(len(drums), config.hits, codec.K, -1)
        out["hits"] = {drum: join(c) for drum, c in zip(drums, codes, strict=True)}
    if "band_energies" in kinds:
        out["band_energies"] = {drum: _levels(mix, found[drum], config, moved[drum]) for drum in drums}
    return out


def _levels(mix: np.ndarray, hits: Sequence[Onset], config: PromptConfig, jitter: np.ndarray) -> np.ndarray:
    starts = [max(0, hit.start + int(moved)) for hit, moved in zip(hits, jitter, strict=False)]
    return band_energies.segment_features(
        mix, starts, [hit.likelihood for hit in hits], config.hits, config.frames
    )


def cut_segments(
    mix: np.ndarray, starts: Sequence[int], config: PromptConfig, jitter: np.ndarray | None = None
) -> np.ndarray:
    """[hits, samples], each at one peak level, zeros past the mix's end.

    Where fewer hits were found than asked for they are repeated in turn; where none, there is silence.
    """
    out = np.zeros((config.hits, config.samples), np.float32)
    for i in range(config.hits if starts else 0):
        start = max(0, starts[i % len(starts)] + (int(jitter[i]) if jitter is not None else 0))
        cut = mix[start : start + config.samples]
        top = audio.peak(cut)
        if top > 0:
            out[i, : len(cut)] = cut * (EXCERPT_PEAK / top)
    return out


def join(codes: np.ndarray) -> np.ndarray:
    """Excerpts [hits, K, F] end to end: [K, hits x F]."""
    return np.concatenate(list(codes), axis=-1)


def _encode(codec: Codec, sounds: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return codec.encode(torch.from_numpy(np.ascontiguousarray(sounds, np.float32))[:, None]).cpu().numpy()


__all__ = [
    "Onset",
    "PromptConfig",
    "PromptKind",
    "cut_segments",
    "find_onsets",
    "join",
    "prompt_codes",
    "prompts_of_all",
]
