"""The tokens stage: renders train and val items, encodes them and writes token shards, no audio."""

import dataclasses
import functools
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from dose import audio, files
from dose.cluster import map_shards
from dose.codec import Codec, load_codec
from dose.config import optional, was
from dose.drums import DRUMS, MIX_SECONDS, SHOT_SECONDS
from dose.errors import ConfigError
from dose.rmod.build import HARMLESS
from dose.rmod.config import RmodConfig
from dose.rmod.draw import draw_many
from dose.rmod.ranges import check_probability
from dose.rmod.realistic_items import evenly_spread, realistic_id
from dose.rmod.realistic_items import item as realistic_item
from dose.rmod.render import Rendered, render
from dose.sources.library import SampleLibrary
from dose.tokens import band_energies, shards
from dose.tokens.codebooks import codebook_vectors
from dose.tokens.prompt import PromptConfig, prompts_of_all
from dose.tokens.shards import OLD_PROMPT_KINDS, PromptKind
from dose.transcription import network
from dose.transcription.network import TranscriptionNetwork
from dose.transcription.transcribe import activations

SPLITS = ("train", "val")
# Keys of the rmod section that set how many items are made and how, but not how an item sounds.
AMOUNTS = (*HARMLESS, "groove")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokensConfig:
    train: int  # items; at most rmod.train
    val: int
    shard: int  # items per shard, the unit of work and of resuming
    workers: int
    # Share of the items that are of the realistic distribution, not the paper's.
    realistic_share: float = dataclasses.field(default=0.0, metadata=optional())
    # Kinds of prompt that are stored: see dose.tokens.prompt.
    prompts: tuple[PromptKind, ...] = dataclasses.field(metadata=was(values=OLD_PROMPT_KINDS))
    hits: int  # onset-aligned segments per prompt
    seconds: float  # length of a segment
    jitter_ms: float  # segments of the train split start up to this much early or late
    shot_seconds: float  # length of the encoded one-shot: 1, or 2 as in the authors' code
    seed: int  # of the jitter

    def __post_init__(self) -> None:
        if min(self.train, self.val, self.shard, self.workers) < 1:
            raise ValueError("train, val, shard and workers must be at least 1")
        check_probability("realistic_share", self.realistic_share)
        if self.jitter_ms < 0 or self.seed < 0:
            raise ValueError("jitter_ms and seed must be at least 0")
        if self.shot_seconds < SHOT_SECONDS:
            raise ValueError(f"shot_seconds must be at least {SHOT_SECONDS:g}")
        if not self.prompts or len(set(self.prompts)) != len(self.prompts):
            raise ValueError("prompts must name each kind once, and at least one")
        _ = self.prompt

    @property
    def prompt(self) -> PromptConfig:
        return PromptConfig(kind="hits", hits=self.hits, seconds=self.seconds, onsets="network")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodeJob:
    """One shard to make: everything that a worker process needs."""

    config: TokensConfig
    rmod: RmodConfig
    library: Path
    codec: Path
    transcription: Path
    folder: Path
    split: str
    number: int
    start: int
    stop: int
    key: str  # hash of everything that the shard is made from


def build(
    config: TokensConfig, rmod: RmodConfig, library: Path, codec: Path, transcription: Path, out: Path
) -> None:
    """Writes out/train and out/val. Complete shards of an earlier run with the same key are reused.

    Raises ConfigError where more items are asked for than the rmod section makes.
    """
    if config.train > rmod.train or config.val > rmod.val:
        raise ConfigError("tokens.train and tokens.val may not exceed rmod.train and rmod.val.")
    opened_library = SampleLibrary.load(library)
    sounds: list[object] = [opened_library.id, sound_settings(rmod)]
    if config.realistic_share:
        sounds.append(realistic_id(rmod.realistic, opened_library))
    data_id = files.hash_json(sounds)
    opened = load_codec(codec)
    codec_id = opened.id
    vectors = shards.write_vectors(out, codebook_vectors(opened))
    for split in SPLITS:
        made_from = {
            "codec": codec_id,
            "data": data_id,
            "tokens": _content_settings(config),
            "split": split,
            "transcription": files.sha256(transcription / network.WEIGHTS),
        }
        jobs = [
            EncodeJob(
                config=config,
                rmod=rmod,
                library=library,
                codec=codec,
                transcription=transcription,
                folder=out / split,
                split=split,
                number=number,
                start=start,
                stop=min(start + config.shard, getattr(config, split)),
                key=files.hash_json(made_from),
            )
            for number, start in enumerate(range(0, getattr(config, split), config.shard))
        ]
        records = list(map_shards(make_shard, jobs, workers=config.workers, describe=f"tokens {split}"))
        index = shards.Index(
            codec_id=codec_id,
            data_id=data_id,
            prompt=dataclasses.asdict(config.prompt),
            shards=tuple(records),
            vectors=vectors,
        )
        # The index is written last: a split without one is not complete.
        _remove_others(out / split, {str(e["name"]) for e in records})
        shards.write_index(out / split, index)


def sound_settings(rmod: RmodConfig) -> dict[str, object]:
    """The fields of an RMOD config that decide how an item sounds."""
    return {k: v for k, v in dataclasses.asdict(rmod).items() if k not in AMOUNTS}


def _content_settings(config: TokensConfig) -> dict[str, object]:
    """The fields that decide what a shard holds; the shard size does, the number of shards does not."""
    return {k: v for k, v in dataclasses.asdict(config).items() if k not in ("train", "val", "workers")}


def make_shard(job: EncodeJob) -> dict[str, object]:
    """Renders and encodes one shard, unless it is there already. Returns its entry for the index."""
    done = shards.finished_shard(job.folder, job.number, job.key, job.stop - job.start)
    if done is not None:
        return done
    codec, library, net = _codec(job.codec), _library(job.library), _network(job.transcription)
    arrays_of_items: dict[str, list[np.ndarray]] = {}
    # Items are rendered on the fly; only their tokens are kept.
    for index, item in enumerate(_items(job, library), start=job.start):
        mono = audio.downmix(item.mix)
        made = item_codes(codec, net, mono, item.shots, job.config, _jitter(job, index))
        for name, codes in made.items():
            arrays_of_items.setdefault(name, []).append(codes)
    arrays = {name: np.stack(codes) for name, codes in arrays_of_items.items()}
    return shards.write_shard(job.folder, job.number, arrays, job.key)


def _items(job: EncodeJob, library: SampleLibrary) -> Iterator[Rendered]:
    """The shard's items, rendered in order, of both distributions."""
    specs = draw_many(job.rmod, library, job.split, job.start, job.stop)
    for index, spec in enumerate(specs, start=job.start):
        if evenly_spread(index, job.config.realistic_share):
            yield realistic_item(job.rmod.realistic, library, job.split, index, seconds=MIX_SECONDS)
        else:
            yield render(spec, library, job.rmod)


def item_codes(
    codec: Codec,
    net: TranscriptionNetwork,
    mono: np.ndarray,
    shots: dict[str, np.ndarray],
    config: TokensConfig,
    jitter: np.ndarray,
) -> dict[str, np.ndarray]:
    """All arrays of one item: codes [K, L] of each one-shot, and the prompts of `config.prompts`.

    `shards` gives their names; `jitter` [drums, hits] moves the segments, in samples.
    """
    length = round(config.shot_seconds * audio.RATE)
    # One batch of one-shots, [drums, samples].
    targets = np.stack([audio.fit_length(shots[drum], length) for drum in DRUMS])
    found = activations(mono, net)
    prompts = prompts_of_all(codec, mono, DRUMS, config.prompt, config.prompts, jitter, found)
    with torch.inference_mode():
        codes = codec.encode(torch.from_numpy(targets)[:, None]).cpu().numpy()
        out = {drum: codes[i] for i, drum in enumerate(DRUMS)}
        for kind, prompt_of in prompts.items():
            out |= {f"{shards.PROMPTS[kind]}_{drum}": prompt for drum, prompt in prompt_of.items()}
        if "band_energies" in config.prompts:
            # The condition encoder's training target: the one-shots' own band energies, [drums, BANDS, L].
            levels = band_energies.quantised_spectrograms(targets, codes.shape[-1])
            out |= {f"spectrogram_{drum}": levels[i] for i, drum in enumerate(DRUMS)}
        if "mix" in config.prompts:
            out["mix"] = codec.encode(torch.from_numpy(mono)[None, None]).cpu().numpy()[0]
    return out


def _jitter(job: EncodeJob, index: int) -> np.ndarray:
    """Samples by which each segment of an item starts late, [drums, hits]; zeros in validation."""
    shape = (len(DRUMS), job.config.hits)
    if job.split != "train":
        return np.zeros(shape, np.int64)
    most = round(job.config.jitter_ms * audio.RATE / 1000)
    # Counter-based generator, keyed by the item: the order in which workers make items does not matter.
    generator = np.random.Generator(np.random.Philox(key=[job.config.seed, index]))
    return generator.integers(-most, most + 1, shape)


@functools.lru_cache(maxsize=2)
def _library(folder: Path) -> SampleLibrary:
    return SampleLibrary.load(folder)


@functools.lru_cache(maxsize=2)
def _codec(folder: Path) -> Codec:
    return load_codec(folder)


@functools.lru_cache(maxsize=2)
def _network(folder: Path) -> TranscriptionNetwork:
    return network.load(folder)


def _remove_others(folder: Path, keep: set[str]) -> None:
    """Deletes shards of a larger earlier run, which would otherwise stay in the stage's output."""
    for path in folder.glob("shard-*"):
        if path.name not in keep:
            shutil.rmtree(path)
