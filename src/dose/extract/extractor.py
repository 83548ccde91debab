"""`Extractor`: from a mix to a kit of one-shots. Shared by evaluation, `dose extract`, the service."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
import torch
from torch import Tensor

from dose import audio, compute
from dose.audio import RATE
from dose.bundle import default_bundle, open_bundle
from dose.codec import load_codec
from dose.drums import DRUMS
from dose.errors import AudioError, DoseError
from dose.extract import confidence, rerank, segments
from dose.extract.candidates import Candidate, SearchConfig, generate_candidates
from dose.extract.drum_model import SHOT, DrumModel, load_drum_model
from dose.extract.postprocess import PostprocessConfig, postprocess
from dose.extract.result import Kit, OneShot
from dose.extract.resynthesis import resynthesis_scores
from dose.extract.segments import ScanResult, Segment
from dose.model.sampling import Sampling
from dose.transcription import network
from dose.transcription.transcribe import SILENCE, Activations, activations, join

SHORTEST = 0.05  # seconds: a shorter input cannot hold a hit
MAX_CANDIDATES = 64
SCAN_SHARE = 0.2  # of the reported progress
GREEDY = Sampling()

Progress = Callable[[float, str], None]


class Extractor:
    """Models loaded once; `extract` may be called from several threads."""

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        device: str = "auto",
        precision: compute.DecodingPrecision = "auto",
        search: SearchConfig | None = None,
    ) -> None:
        """Opens a bundle (the default one if none is named).

        `device` and `precision` as in `dose.compute`: auto takes a GPU where there is one, and the number
        format that decodes fastest here. Raises as `open_bundle` does, and ConfigError for what this machine
        lacks.
        """
        self.search = search or SearchConfig()
        self.bundle = open_bundle(folder or default_bundle())
        codec = load_codec(self.bundle.codec)
        on = str(compute.device(device))
        self.models = {
            drum: load_drum_model(self.bundle, codec, drum, on, precision, self.search.samples)
            for drum in self.bundle.drums
        }
        self.transcription = network.load(self.bundle.transcription)
        self.calibration = confidence.from_json(self.bundle.calibration)

    @classmethod
    def load(
        cls,
        folder: Path | str | None = None,
        *,
        device: str = "auto",
        precision: compute.DecodingPrecision = "auto",
        search: SearchConfig | None = None,
    ) -> Self:
        """The constructor under its former name, for one release."""
        return cls(folder, device=device, precision=precision, search=search)

    @property
    def threads(self) -> int:
        """Torch's threads during an extraction, as measured for these models; 0 leaves them as they are."""
        return max((model.engine.choice.threads for model in self.models.values()), default=0)

    @property
    def drums(self) -> tuple[str, ...]:
        """The drums that the bundle has models for."""
        return self.bundle.drums

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
        """A kit from a mix, [N] or [C, N] at `rate` Hz, of any length.

        The same input, options and seed give the same kit. `progress` is called with a fraction and the
        name of the stage. Raises AudioError for silence, less than 0.05 s, or samples that are not finite.
        """
        sound = np.atleast_2d(sound).astype(np.float32, copy=False)
        if not np.isfinite(sound).all():
            raise AudioError(f"{name} holds samples that are not finite numbers (NaN or infinity).")
        blocks = [audio.resample(sound, rate, RATE)]
        return self.extract_blocks(
            blocks, drums=drums, candidates=candidates, seed=seed, progress=progress, name=name
        )

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
        """The same from a sound file, decoded in blocks: memory does not grow with its length."""
        name = name or str(getattr(source, "name", source))
        return self.extract_blocks(
            audio.stream(source, name=name),
            drums=drums,
            candidates=candidates,
            seed=seed,
            progress=progress,
            name=name,
        )

    def extract_blocks(
        self,
        blocks: Iterable[np.ndarray],
        *,
        drums: Sequence[str] = DRUMS,
        candidates: int = 1,
        seed: int = 0,
        progress: Progress | None = None,
        name: str = "The audio",
    ) -> Kit:
        """The same from finite blocks [C, N] at 44.1 kHz, of which one is held at a time."""
        _check_request(drums, candidates)
        # A missing model is reported before the song is decoded.
        for drum in drums:
            self.model(drum)
        report = progress or (lambda fraction, stage: None)
        with compute.limited_threads(self.threads):
            report(0.0, "listen")
            scanned = self._scan(blocks, drums)
            _check_input(scanned, name)
            hits = {}
            for i, drum in enumerate(drums):
                report(SCAN_SHARE + (1 - SCAN_SHARE) * i / len(drums), drum)
                hits[drum] = self._one_shots(scanned.segments[drum], drum, candidates, seed)
            resynthesis = self._resynthesis(hits, scanned)
            report(1.0, "done")
        return Kit(
            hits=hits,
            seconds=scanned.samples / RATE,
            version=self.bundle.version,
            data_id=self.bundle.data_id,
            seed=seed,
            features=tuple(map(float, scanned.features)),
            transcription=join(scanned.hits, scanned.samples / RATE),
            resynthesis=resynthesis,
        )

    def extract_batch(
        self, mixes: Sequence[np.ndarray], drum: str, *, sampling: Sampling | Sequence[Sampling] = GREEDY
    ) -> np.ndarray:
        """One raw one-shot per mix, for evaluation: mixes [N] or [C, N] of 4 s at 44.1 kHz to [B, 44100].

        One pass of the model per mix, greedy by default, without reranking or postprocessing. An empty
        generation is silence.
        """
        mono = [audio.downmix(np.atleast_2d(mix)) for mix in mixes]
        with compute.limited_threads(self.threads):
            return self.sample(drum, torch.cat([self.prompt(mix, drum) for mix in mono]), sampling)

    def extract_consensus(
        self, mixes: Sequence[np.ndarray], drum: str, *, samples: int, seed: int = 0
    ) -> np.ndarray:
        """As `extract_batch`, from `samples` samples per mix at temperature 1; see `rerank.consensus`."""
        with compute.limited_threads(self.threads):
            return self._consensus([np.atleast_2d(mix) for mix in mixes], drum, samples, seed)

    def _consensus(self, mixes: Sequence[np.ndarray], drum: str, samples: int, seed: int) -> np.ndarray:
        prompts = torch.cat([self.prompt(audio.downmix(mix), drum) for mix in mixes])
        samplings = [Sampling(temperature=1.0, seed=seed + i) for i in range(samples)]
        # All samples of all mixes are one batch: [mixes * samples, SHOT] -> [mixes, samples, SHOT].
        shots = self.sample(drum, prompts.repeat_interleave(samples, dim=0), samplings * len(mixes))
        shots_of, expected = shots.reshape(len(mixes), samples, SHOT), self.expected(drum, prompts)
        # Models without a condition encoder: the medoid.
        if expected is None:
            return np.stack([rerank.consensus(own, None, (), drum) for own in shots_of])
        # Onsets of each mix, from which the blend takes its source.
        scanned = [
            self._scan([mix], (drum,)).segments[drum] if self.search.source_blend else [] for mix in mixes
        ]
        return np.stack(
            [rerank.consensus(*one, drum) for one in zip(shots_of, expected, scanned, strict=True)]
        )

    def model(self, drum: str) -> DrumModel:
        """Raises MissingInputError for a drum that the bundle has no model for."""
        if drum not in self.models:
            self.bundle.checkpoint(drum)  # raises with the right sentence
        return self.models[drum]

    def prompt(self, mono: np.ndarray, drum: str, found: Activations | None = None) -> Tensor:
        """See `DrumModel.prompt`; without activations, they are computed."""
        return self.model(drum).prompt(mono, found or activations(mono, self.transcription))

    def expected(self, drum: str, prompts: Tensor) -> np.ndarray | None:
        """See `DrumModel.expected`."""
        return self.model(drum).expected(prompts)

    def sample(self, drum: str, prompts: Tensor, sampling: Sampling | Sequence[Sampling]) -> np.ndarray:
        """See `DrumModel.sample`. The service replaces this method by one that batches across requests."""
        # Limited here as well: the service calls this from its batching thread.
        with compute.limited_threads(self.threads):
            return self.model(drum).sample(prompts, sampling)

    def candidates(self, mix: np.ndarray, drum: str, count: int = 1, seed: int = 0) -> list[Candidate]:
        """All samples for `count` candidates of one drum of a mix [C, N] at 44.1 kHz, best first.

        For calibration: the confidence is fitted to their features.
        """
        scanned = self._scan([np.atleast_2d(mix)], (drum,))
        chosen = segments.choose(scanned.segments[drum], self.search.segments)
        samples = self.search.sample_count(count)
        song = scanned.segments[drum]
        return generate_candidates(self, chosen, song, drum, samples, seed, processed=None)

    def segment_features(self, mix: np.ndarray, drums: Sequence[str]) -> dict[str, np.ndarray]:
        """drum -> features [F] of a mix [C, N] at 44.1 kHz before anything is generated, for calibration."""
        scanned = self._scan([np.atleast_2d(mix)], drums).segments
        return {
            drum: confidence.segment_features(segments.choose(scanned[drum], self.search.segments))
            for drum in drums
        }

    def detected(self, mix: np.ndarray, drums: Sequence[str]) -> frozenset[str]:
        """Those of the drums that are in a mix [C, N] at 44.1 kHz, as `extract` says, without generating."""
        features = self.segment_features(mix, drums)

        def there(drum: str) -> bool:
            calibration = self.calibration.get(drum, confidence.UNCALIBRATED)
            probability = float(calibration.detected(features[drum][None])[0])
            return probability >= self.search.detection_threshold

        return frozenset(drum for drum in drums if there(drum))

    def _scan(self, blocks: Iterable[np.ndarray], drums: Sequence[str]) -> ScanResult:
        sources = {drum: self.model(drum).prompt_config.onsets for drum in drums}
        return segments.scan(blocks, drums, self.transcription, sources)

    def _resynthesis(
        self, one_shots: dict[str, tuple[OneShot, ...]], scanned: ScanResult
    ) -> dict[str, float]:
        """The kit's best detected one-shots against the best segment of each drum."""
        best = {drum: own[0].audio for drum, own in one_shots.items() if own and own[0].detected}
        chosen = [segment for drum in best for segment in segments.choose(scanned.segments[drum], 1)]
        # Drums may share their best segment.
        return resynthesis_scores(best, list({segment.start: segment for segment in chosen}.values()))

    def _one_shots(self, scanned: Sequence[Segment], drum: str, count: int, seed: int) -> tuple[OneShot, ...]:
        """The best `count` candidates of one drum, with their confidence."""
        chosen = segments.choose(scanned, self.search.segments)
        samples = self.search.sample_count(count)
        candidates = generate_candidates(self, chosen, scanned, drum, samples, seed, processed=count)
        if not candidates:
            return ()
        calibration = self.calibration.get(drum, confidence.UNCALIBRATED)
        # All samples count for detection, also those that are not returned.
        features = np.stack([candidate.features for candidate in candidates])  # [samples, F]
        probability, detected = calibration.confidence(features), calibration.detected(features)
        return tuple(
            OneShot(
                drum=drum,
                audio=postprocess(candidate.shot, PostprocessConfig()),
                raw=candidate.shot,
                pan=rerank.pan(candidate.segment, drum),
                # Rounded once, here: file names, tags and tables round further, all from the JSON's number.
                confidence=round(float(probability[i]), 3),
                detected=bool(detected.max() >= self.search.detection_threshold),
                time=candidate.segment.time,
                seed=candidate.seed,
                conditioning_fit=candidate.conditioning_fit,
                self_consistency=candidate.self_consistency,
                source_energy_ratio=candidate.source_energy_ratio,
            )
            for i, candidate in enumerate(candidates[:count])
        )


def _check_request(drums: Sequence[str], candidates: int) -> None:
    if unknown := [drum for drum in drums if drum not in DRUMS]:
        raise DoseError(f"There is no drum '{unknown[0]}'; choose from {', '.join(DRUMS)}.")
    if not drums or len(set(drums)) != len(drums):
        raise DoseError("Name each drum once, and at least one.")
    if not 1 <= candidates <= MAX_CANDIDATES:
        raise DoseError(f"{candidates} candidates cannot be made; ask for 1 to {MAX_CANDIDATES}.")


def _check_input(scanned: ScanResult, name: str) -> None:
    if scanned.samples < SHORTEST * RATE:
        raise AudioError(
            f"{name} holds only {scanned.samples} samples (at 44.1 kHz); "
            f"a drum hit needs at least {SHORTEST} seconds."
        )
    if scanned.peak < SILENCE:
        raise AudioError(f"{name} is silent; choose a recording with drums.")
