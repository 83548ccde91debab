"""The prompt: what of a mix conditions a drum's model.

"mix":    codes of the whole 4 s, as in the paper.
"hits":   codes of onset-aligned segments, which start on the drum's own onsets, best first, each
          encoded alone, so that the segment's first frame is the onset's. With equal training time, models
          learn to use this prompt where they do not yet use the whole mix (docs/model.md).
"band_energies": the same segments as quantised band energies (tokens/band_energies.py) instead of codes.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from dose import audio
from dose.audio import RATE
from dose.codec import Codec
from dose.config import optional, was
from dose.drums import MIX_SECONDS
from dose.tokens import band_energies
from dose.tokens.shards import OLD_PROMPT_KINDS, PromptKind
from dose.transcription.onset import Onset
from dose.transcription.onsets import OnsetSource, choose_onsets
from dose.transcription.transcribe import Activations

MIX = int(MIX_SECONDS * RATE)  # samples
SEGMENT_PEAK = 0.9  # of full scale: the peak to which each segment is scaled before it is encoded


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromptConfig:
    kind: PromptKind = dataclasses.field(default="hits", metadata=was(values=OLD_PROMPT_KINDS))
    hits: int = 3  # onset-aligned segments
    seconds: float = 0.35  # length of each segment
    # What chooses the onsets. Models from before the transcription network do not say: the detector.
    onsets: OnsetSource = dataclasses.field(default="detector", metadata=optional())

    def __post_init__(self) -> None:
        if not 1 <= self.hits <= 16:
            raise ValueError("prompt.hits must lie in 1..16")
        if not 0.05 <= self.seconds <= MIX_SECONDS:
            raise ValueError(f"prompt.seconds must lie in 0.05..{MIX_SECONDS:g}")

    @property
    def samples(self) -> int:
        """Samples of one segment."""
        return round(self.seconds * RATE)

    @property
    def frames(self) -> int:
        """Codec frames of one segment from its onset on."""
        return -(-self.samples // band_energies.HOP)


def prompt_codes(
    codec: Codec, mix: np.ndarray, drum: str, config: PromptConfig, found: Activations
) -> np.ndarray:
    """The prompt of a mix [N] (mono, 44.1 kHz, at most 4 s) with its activations, for one drum.

    Gives codes int64 [K, P], or band energies int64 [FEATURES, P] for the kind "band_energies".
    """
    if config.kind == "mix":
        codes: np.ndarray = _encode(codec, audio.fit_length(mix, MIX)[None])[0]
        return codes
    # Onsets come best first, so the first segments are the most reliable ones.
    onsets = choose_onsets(config.onsets, mix, found, drum, config.hits)
    if config.kind == "band_energies":
        return _band_energies(mix, onsets, config, np.zeros(config.hits, np.int64))
    return join(_encode(codec, cut_segments(mix, [onset.start for onset in onsets], config)))


def prompts_of_all(
    codec: Codec,
    mix: np.ndarray,
    drums: Sequence[str],
    config: PromptConfig,
    kinds: Sequence[PromptKind],
    jitter: np.ndarray,
    found: Activations,
) -> dict[PromptKind, dict[str, np.ndarray]]:
    """The "hits" and "band_energies" prompts of several drums, from one pass of the codec.

    `jitter` [drums, hits] is added to the onsets, in samples; `found` are the mix's activations.
    """
    onsets = {drum: choose_onsets(config.onsets, mix, found, drum, config.hits) for drum in drums}
    jitter_of = dict(zip(drums, jitter, strict=True))
    out: dict[PromptKind, dict[str, np.ndarray]] = {}
    if "hits" in kinds:
        segments = [
            cut_segments(mix, [onset.start for onset in onsets[drum]], config, jitter_of[drum])
            for drum in drums
        ]
        # All segments of all drums are one batch: [drums * hits, samples] -> [drums, hits, K, frames].
        codes = _encode(codec, np.concatenate(segments)).reshape(len(drums), config.hits, codec.K, -1)
        out["hits"] = {drum: join(c) for drum, c in zip(drums, codes, strict=True)}
    if "band_energies" in kinds:
        out["band_energies"] = {
            drum: _band_energies(mix, onsets[drum], config, jitter_of[drum]) for drum in drums
        }
    return out


def _band_energies(
    mix: np.ndarray, onsets: Sequence[Onset], config: PromptConfig, jitter: np.ndarray
) -> np.ndarray:
    # `jitter` has a value for each segment that is asked for; fewer onsets may have been found.
    # Jitter moves no onset out of the mix.
    last = len(mix) - 1
    starts = [min(max(0, o.start + int(late)), last) for o, late in zip(onsets, jitter, strict=False)]
    return band_energies.segment_features(
        mix, starts, [onset.likelihood for onset in onsets], config.hits, config.frames
    )


def cut_segments(
    mix: np.ndarray, starts: Sequence[int], config: PromptConfig, jitter: np.ndarray | None = None
) -> np.ndarray:
    """Segments [hits, samples] of a mix [N], each scaled to SEGMENT_PEAK, zeros past the mix's end.

    Fewer starts than `config.hits` are repeated in turn; without any, all segments are silent.
    """
    out = np.zeros((config.hits, config.samples), np.float32)
    for i in range(config.hits if starts else 0):
        start = max(0, starts[i % len(starts)] + (int(jitter[i]) if jitter is not None else 0))
        segment = mix[start : start + config.samples]
        peak = audio.peak(segment)
        # Codes depend on level, so each segment is scaled by its own peak.
        if peak > 0:
            out[i, : len(segment)] = segment * (SEGMENT_PEAK / peak)
    return out


def join(codes: np.ndarray) -> np.ndarray:
    """Segments [hits, K, F] one after the other: [K, hits x F]."""
    return np.concatenate(list(codes), axis=-1)


def _encode(codec: Codec, sounds: np.ndarray) -> np.ndarray:
    """[B, N] to codes int64 [B, K, T]."""
    with torch.inference_mode():
        return codec.encode(torch.from_numpy(np.ascontiguousarray(sounds, np.float32))[:, None]).cpu().numpy()
