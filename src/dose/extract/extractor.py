"""The one way from a mix to one-shots: scored in the lab, run by `dose extract`, served over HTTP."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from dose import audio, compute
from dose.audio import RATE
from dose.bundle import Bundle, default_bundle, open_bundle
from dose.codec import Codec, load_codec
from dose.codec.codec import check_same
from dose.config import parse
from dose.drums import DRUMS, SHOT_SECONDS
from dose.errors import AudioError, DoseError
from dose.extract import confidence, segments
from dose.extract import rerank as ranking
from dose.extract.postprocess import SILENT_PEAK, PostprocessConfig, postprocess
from dose.extract.result import Kit, OneShot
from dose.extract.segments import ScanResult, Segment
from dose.extract.source_blend import blend_source, source_segments
from dose.extract.spectral_match import match_envelope
from dose.model import checkpoint
from dose.model.decode import generate
from dose.model.engine import DecodingEngine
from dose.model.sampling import Sampling
from dose.tokens import layout
from dose.tokens.prompt import PromptConfig, prompt_codes

SHOT = int(SHOT_SECONDS * RATE)
SHORTEST = 0.05  # seconds: less cannot hold a hit
MOST_CANDIDATES = 64
LISTENING = 0.2  # share of the progress
GREEDY = Sampling()

Progress = Callable[[float, str], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How many tries are made for each drum, and how freely they are drawn."""

    windows: int = 3  # of the song, the clearest ones
    pool: int = 8  # tries for one candidate; each further candidate adds `more`
    more: int = 1
    temperature: float = 0.8
    top_p: float = 0.95
    blend: bool = True  # hits hold the recording's own sound where the drum stands free in it
    present: float = 0.65  # a drum is said to be there from this probability on; songs mostly have it

    def tries(self, candidates: int) -> int:
        return self.pool + self.more * (candidates - 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrumModel:
    """One drum's model, ready to decode."""

    engine: DecodingEngine
    prompt: PromptConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """One candidate before it is judged."""

    shot: np.ndarray  # float32 [44100], raw
    window: Segment
    seed: int
    match: float
    agreement: float
    borrowed: float
    features: np.ndarray  # [len(confidence.FEATURES)]


class Extractor:
    """Models loaded once; `extract` may be called from several threads."""

    def __init__(
        self, bundle: Bundle, codec: Codec, voices: dict[str, DrumModel], search: SearchConfig
    ) -> None:
        self.bundle, self.codec, self.voices, self.search = bundle, codec, voices, search
        self.calibration = confidence.from_json(bundle.calibration)

    @classmethod
    def load(
        cls,
        folder: Path | str | None = None,
        *,
        device: str = "auto",
        precision: compute.DecodingPrecision = "auto",
        search: SearchConfig | None = None,
    ) -> "Extractor":
        """Opens a bundle (the default one if none is named).

        `device` and `precision` as in `dose.compute`: auto takes a GPU where there is one, and the number
        format that decodes fastest here. Raises as `open_bundle` does, and ConfigError for what this machine
        lacks.
        """
        search = search or SearchConfig()
        bundle = open_bundle(folder or default_bundle())
        codec = load_codec(bundle.codec)
        on = str(compute.device(device))
        voices = {drum: _voice(bundle, codec, drum, on, precision, search.pool) for drum in bundle.drums}
        return cls(bundle, codec, voices, search)

    @property
    def threads(self) -> int:
        """Torch's threads while an extraction is at work, as measured for these models; 0 leaves them."""
        return max((voice.engine.choice.threads for voice in self.voices.values()), default=0)

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
        """A kit out of a mix, [N] or [C, N] at `rate` Hz, of any length.

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
        """The same from finite blocks [C, N] at 44.1 kHz, each held no longer than it takes to hear it."""
        _check(drums, candidates)
        for drum in drums:
            self.voice(drum)
        tell = progress or (lambda fraction, stage: None)
        with compute.limited_threads(self.threads):
            tell(0.0, "listen")
            heard = segments.scan(blocks, drums)
            _check_heard(heard, name)
            hits = {}
            for i, drum in enumerate(drums):
                tell(LISTENING + (1 - LISTENING) * i / len(drums), drum)
                hits[drum] = self._search(heard.windows[drum], drum, candidates, seed)
            tell(1.0, "done")
        return Kit(
            hits=hits,
            seconds=heard.samples / RATE,
            version=self.bundle.version,
            data_id=self.bundle.data_id,
            seed=seed,
            features=tuple(map(float, heard.features)),
        )

    def extract_batch(
        self, mixes: Sequence[np.ndarray], drum: str, *, sampling: Sampling | Sequence[Sampling] = GREEDY
    ) -> np.ndarray:
        """One raw one-shot per mix for evaluation: mixes [N] or [C, N] of 4 s at 44.1 kHz to [B, 44100].

        One pass of the model per mix, greedy by default: no search, no finishing. An empty answer is silence.
        """
        mono = [audio.downmix(np.atleast_2d(mix)) for mix in mixes]
        with compute.limited_threads(self.threads):
            return self.sample(drum, torch.cat([self.prompt(mix, drum) for mix in mono]), sampling)

    def extract_consensus(
        self, mixes: Sequence[np.ndarray], drum: str, *, draws: int, seed: int = 0
    ) -> np.ndarray:
        """As `extract_batch`, but several free draws for each mix, made one by `candidates.answer`."""
        with compute.limited_threads(self.threads):
            return self._consensus([np.atleast_2d(mix) for mix in mixes], drum, draws, seed)

    def _consensus(self, whole: Sequence[np.ndarray], drum: str, draws: int, seed: int) -> np.ndarray:
        prompts = torch.cat([self.prompt(audio.downmix(mix), drum) for mix in whole])
        free = [Sampling(temperature=1.0, seed=seed + i) for i in range(draws)]
        shots = self.sample(drum, prompts.repeat_interleave(draws, dim=0), free * len(whole))
        each, seen = shots.reshape(len(whole), draws, SHOT), self.expected(drum, prompts)
        if seen is None:
            return np.stack([ranking.consensus(own, None) for own in each])
        heard = [segments.scan([mix], (drum,)).windows[drum] if self.search.blend else [] for mix in whole]
        return np.stack([ranking.consensus(*one) for one in zip(each, seen, heard, strict=True)])

    def prompt(self, mono: np.ndarray, drum: str, chances: np.ndarray | None = None) -> Tensor:
        """What the drum's model is shown of a window [N]: codes [1, K, P]. `chances` as for `find_hits`."""
        codes = prompt_codes(self.codec, mono, drum, self.voice(drum).prompt, chances)
        return torch.as_tensor(codes, dtype=torch.long)[None]

    def expected(self, drum: str, prompts: Tensor) -> np.ndarray | None:
        """What the model takes the one-shots to look like, [B, BANDS, frames] in `levels.loudness`.

        None for a model that does not say.
        """
        voice = self.voice(drum)
        with torch.inference_mode():
            seen = voice.engine.model.encode_prompt(prompts.to(voice.engine.device)).spectrogram
        return None if seen is None else seen.cpu().numpy()

    def sample(self, drum: str, prompts: Tensor, sampling: Sampling | Sequence[Sampling]) -> np.ndarray:
        """Prompts [B, K, P] to raw one-shots float32 [B, 44100], the whole batch at once."""
        voice = self.voice(drum)
        # Here too: the service calls this from a thread that makes one batch of several requests.
        with compute.limited_threads(self.threads):
            rows = generate(voice.engine, prompts, sampling)
        codes = [layout.one_shot_codes(one, voice.engine.config.pattern) for one in rows]
        return self._decode(codes)

    def voice(self, drum: str) -> DrumModel:
        if drum not in self.voices:
            self.bundle.checkpoint(drum)  # raises with the right sentence
        return self.voices[drum]

    def evidence(self, mix: np.ndarray, drum: str, candidates: int = 1, seed: int = 0) -> list[Candidate]:
        """All tries for one drum of a mix [C, N] at 44.1 kHz with what is known of them, best first.

        For calibration: the confidence is fitted to these features.
        """
        heard = segments.scan([np.atleast_2d(mix)], (drum,))
        chosen = segments.choose(heard.windows[drum], self.search.windows)
        return self._tries(chosen, drum, self.search.tries(candidates), seed, finished=None)

    def presence(self, mix: np.ndarray, drums: Sequence[str]) -> dict[str, np.ndarray]:
        """What is known of whether drums are in a mix [C, N] at 44.1 kHz, without a try: see `of_windows`."""
        heard = segments.scan([np.atleast_2d(mix)], drums).windows
        return {d: confidence.of_windows(segments.choose(heard[d], self.search.windows)) for d in drums}

    def _search(self, heard: Sequence[Segment], drum: str, candidates: int, seed: int) -> tuple[OneShot, ...]:
        """The best `candidates` hits of one drum."""
        chosen = segments.choose(heard, self.search.windows)
        tries = self._tries(chosen, drum, self.search.tries(candidates), seed, finished=candidates)
        if not tries:
            return ()
        parts = self.calibration.get(drum, confidence.UNCALIBRATED)
        seen = np.stack([one.features for one in tries])
        likely, there = parts.confidence(seen), parts.present(seen)
        return tuple(
            OneShot(
                drum=drum,
                audio=postprocess(one.shot, PostprocessConfig()),
                raw=one.shot,
                pan=ranking.pan(one.window, drum),
                confidence=float(likely[i]),
                present=bool(there.max() >= self.search.present),
                time=one.window.time,
                seed=one.seed,
                match=one.match,
                agreement=one.agreement,
                borrowed=one.borrowed,
            )
            for i, one in enumerate(tries[:candidates])
        )

    def _tries(
        self, chosen: Sequence[Segment], drum: str, count: int, seed: int, *, finished: int | None
    ) -> list[Candidate]:
        """`count` samples from the windows in one batch of the model, ranked; silent ones are left out.

        Only the `finished` best ones (None: all) are spectrally matched and blended: the others are there for
        what they say about the best.
        """
        prompts = torch.cat([self.prompt(window.mono, drum, window.likelihoods) for window in chosen])
        turn = [i % len(chosen) for i in range(count)]
        rules = [self._rule(seed, i) for i in range(count)]
        shots = self.sample(drum, prompts[turn], rules)
        sounding = [i for i in range(count) if audio.peak(shots[i]) >= SILENT_PEAK]
        if not sounding:
            return []
        seen = self.expected(drum, prompts)
        expected = None if seen is None else seen.mean(axis=0)
        scores = ranking.score(list(shots[sounding]), chosen, drum, expected)
        features = confidence.features(scores, chosen)
        borrowed = np.zeros(count)
        if expected is not None:
            ranked = [sounding[int(i)] for i in scores.order[:finished]]
            for i in ranked:
                shots[i] = match_envelope(shots[i], expected)
            free = source_segments(shots[ranked[0]], expected, chosen) if self.search.blend else []
            for rank, i in enumerate(ranked) if free else ():  # other candidates borrow from other hits
                shots[i], borrowed[i] = blend_source(shots[i], expected, free[rank % len(free)])
        return [
            Candidate(
                shot=shots[sounding[i]],
                window=chosen[turn[sounding[i]]],
                seed=rules[sounding[i]].seed,
                match=float(scores.match[i]),
                agreement=float(scores.agreement[i]),
                borrowed=float(borrowed[sounding[i]]),
                features=features[i],
            )
            for i in scores.order
        ]

    def _rule(self, seed: int, i: int) -> Sampling:
        """Every try is drawn. The greedy answer is none: it sticks in one code where the sound is noise."""
        drawn = int(np.random.SeedSequence([seed, i]).generate_state(1)[0])
        return Sampling(temperature=self.search.temperature, top_p=self.search.top_p, seed=drawn)

    def _decode(self, codes: Sequence[Tensor]) -> np.ndarray:
        """Codes [K, L] of any lengths to [B, 44100]; those of one length go through the codec together."""
        out = np.zeros((len(codes), SHOT), np.float32)
        lengths = [int(one.shape[1]) for one in codes]
        for length in sorted(set(lengths) - {0}):
            same = [i for i, n in enumerate(lengths) if n == length]
            decoded = self.codec.decode(torch.stack([codes[i] for i in same]))[:, 0].cpu().numpy()
            out[same] = audio.fit_length(decoded, SHOT)
        return out


def _voice(
    bundle: Bundle, codec: Codec, drum: str, device: str, precision: compute.DecodingPrecision, batch: int
) -> DrumModel:
    loaded = checkpoint.load(bundle.checkpoint(drum), device)
    check_same(codec.id, loaded.meta["codec_id"], f"The {drum} model's codes")
    where = f"{bundle.checkpoint(drum) / 'model.json'}: prompt"
    return DrumModel(
        engine=DecodingEngine(loaded.model, precision, batch=batch),
        prompt=parse(PromptConfig, loaded.meta["prompt"], where),
    )


def _check(drums: Sequence[str], candidates: int) -> None:
    if unknown := [drum for drum in drums if drum not in DRUMS]:
        raise DoseError(f"There is no drum '{unknown[0]}'; choose from {', '.join(DRUMS)}.")
    if not drums or len(set(drums)) != len(drums):
        raise DoseError("Name each drum once, and at least one.")
    if not 1 <= candidates <= MOST_CANDIDATES:
        raise DoseError(f"{candidates} candidates cannot be made; ask for 1 to {MOST_CANDIDATES}.")


def _check_heard(heard: ScanResult, name: str) -> None:
    if heard.samples < SHORTEST * RATE:
        raise AudioError(
            f"{name} holds only {heard.samples} samples (at 44.1 kHz); "
            f"a drum hit needs at least {SHORTEST} seconds."
        )
    if heard.peak < segments.SILENCE:
        raise AudioError(f"{name} is silent; choose a recording in which drums can be heard.")
