"""Candidates for one drum: samples of its model, reranked, spectrally matched, blended with the mix."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dose import audio
from dose.extract import confidence, rerank, resynthesis
from dose.extract.postprocess import SILENT_PEAK
from dose.extract.segments import Segment
from dose.extract.source.average import averages
from dose.extract.source.blend import blend_source
from dose.extract.spectral_match import match_envelope
from dose.extract.tail import clean_tail
from dose.model.sampling import Sampling
from dose.transcription.transcribe import Activations


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How many samples are generated for each drum, and how they are sampled. Defaults chosen by hand."""

    segments: int = 3  # of the song that condition the samples, best first
    samples: int = 8  # generated for one candidate
    samples_per_candidate: int = 1  # more for each further candidate
    temperature: float = 0.8
    top_p: float = 0.95
    source_blend: bool = True  # blend candidates with the input mix
    # Probability from which on a drum counts as detected: it trades drums that are reported though absent
    # against drums that are left out though present (docs/extract.md).
    detection_threshold: float = 0.5

    def sample_count(self, candidates: int) -> int:
        return self.samples + self.samples_per_candidate * (candidates - 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """One candidate with its scores, before its confidence is computed."""

    shot: np.ndarray  # float32 [44100], raw
    segment: Segment  # that conditioned it
    seed: int
    conditioning_fit: float
    self_consistency: float
    source_energy_ratio: float
    features: np.ndarray  # [len(confidence.FEATURES)]


class Models(Protocol):
    """What generating needs of an `Extractor`."""

    search: SearchConfig

    def prompt(self, mono: np.ndarray, drum: str, found: Activations | None = None) -> Tensor: ...
    def sample(self, drum: str, prompts: Tensor, sampling: Sequence[Sampling]) -> np.ndarray: ...
    def expected(self, drum: str, prompts: Tensor) -> np.ndarray | None: ...


def generate_candidates(
    models: Models,
    segments: Sequence[Segment],
    song: Sequence[Segment],
    drum: str,
    count: int,
    seed: int,
    *,
    processed: int | None,
) -> list[Candidate]:
    """`count` samples conditioned on the segments, as one batch, best first; silent ones are left out.

    Only the `processed` best ones (None: all) are spectrally matched, blended with the hits of all segments
    of the `song`, and freed of traces in their tails. The others only contribute to the scores.
    """
    search = models.search
    # 1. Prompts [segments, K, P]; the samples use them in turn.
    prompts = torch.cat([models.prompt(s.mono, drum, s.activations) for s in segments])
    turn = [i % len(segments) for i in range(count)]
    samplings = [_sampling(search, seed, i) for i in range(count)]
    # 2. One batch of samples, [count, N].
    shots = models.sample(drum, prompts[turn], samplings)
    sounding = [i for i in range(count) if audio.peak(shots[i]) >= SILENT_PEAK]
    if not sounding:
        return []
    # 3. Reranking against the mean of what the condition encoder expects from each segment, [BANDS, T].
    expectations = models.expected(drum, prompts)
    expected = None if expectations is None else expectations.mean(axis=0)
    scores = rerank.score(list(shots[sounding]), segments, drum, expected)
    onsets = resynthesis.onset_energies(segments, drum)
    covered = [resynthesis.explained(shots[i], onsets, drum) for i in sounding]
    features = confidence.candidate_features(scores, covered, segments)
    # 4. Spectral matching, source blending and clean tails of the best ones.
    source_energy_ratio = np.zeros(count)
    if expected is not None:
        best = [sounding[int(i)] for i in scores.order[:processed]]
        for i in best:
            shots[i] = match_envelope(shots[i], expected)
        sources = averages(shots[best[0]], expected, song, drum) if search.source_blend else []
        # A song may hold two snares: candidates are blended with different groups of hits.
        for rank, i in enumerate(best) if sources else ():
            blend = blend_source(shots[i], expected, sources[rank % len(sources)])
            shots[i], source_energy_ratio[i] = blend.audio, blend.source_energy_ratio
        for i in best:
            shots[i] = clean_tail(shots[i])
    return [
        Candidate(
            shot=shots[sounding[i]],
            segment=segments[turn[sounding[i]]],
            seed=samplings[sounding[i]].seed,
            conditioning_fit=float(scores.conditioning_fit[i]),
            self_consistency=float(scores.self_consistency[i]),
            source_energy_ratio=float(source_energy_ratio[sounding[i]]),
            features=features[i],
        )
        for i in scores.order
    ]


def _sampling(search: SearchConfig, seed: int, i: int) -> Sampling:
    """Sampling of the i-th sample, with a seed of its own.

    There is no greedy candidate: greedy decoding repeats one token on noise-like sounds.
    """
    own_seed = int(np.random.SeedSequence([seed, i]).generate_state(1)[0])
    return Sampling(temperature=search.temperature, top_p=search.top_p, seed=own_seed)
