"""The rows of the table: ways from a mix (or, for the ceiling, from the truth) to one-shots.

A system has a `name` (its row), a `key` that changes whenever its outputs could, and `kits(items)`: for each
item one dict drum -> float32 [N] mono at 44.1 kHz. `generate` runs one over items with a cache on disk, in
the layout of `items.py`, so that a killed evaluation goes on where it was.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dose import audio, files
from dose.baselines.stem_to_one_shot import cut_shot
from dose.drums import DRUMS, MIX_SECONDS
from dose.errors import AudioError
from dose.evaluate.datasets import Item
from dose.metrics.shots import SAMPLES, prepare

if TYPE_CHECKING:
    from dose.codec.codec import Codec
    from dose.extract import Extractor

Kit = dict[str, np.ndarray]
PACKAGE = Path(__file__).parent.parent
# What makes a system's sound, relative to PACKAGE: packages (their Python files) and single files. What these
# import besides (config, errors, files) reads and refuses, and makes no sound.
COMMON = (
    "audio", "containers", "drums.py", "evaluate/datasets.py", "evaluate/systems.py", "ffmpeg.py",
    "metrics/shots.py",
)  # fmt: skip
RECONSTRUCTING = (*COMMON, "codec", "compute.py")
SEPARATING = (*COMMON, "baselines")
GENERATING = (
    *COMMON, "bundle", "codec", "compute.py", "extract", "model", "dsp", "tokens", "transcription",
    "transcription/onsets.safetensors",
)  # fmt: skip
LARSNETS = {
    "authors": "LarsNet",
    "trained": "LarsNet (trained here)",
    "shipped": "LarsNet (small, trained here)",
}


class System(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def key(self) -> str: ...

    def kits(self, items: Sequence[Item]) -> list[Kit]: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """The codec's round trip of the truth: the ceiling of whatever predicts this codec's tokens."""

    codec: "Codec"
    name: str = "Reconstruction"

    @property
    def key(self) -> str:
        return files.hash_json(["reconstruction", self.codec.id, code_hash(RECONSTRUCTING)])

    def kits(self, items: Sequence[Item]) -> list[Kit]:
        out: list[Kit] = [{} for _ in items]
        for drum in DRUMS:
            known = [i for i, item in enumerate(items) if drum in item.shots]
            if known:
                truth = np.stack([items[i].read_truth(drum) for i in known])
                for i, shot in zip(known, self._round_trip(truth), strict=True):
                    out[i][drum] = shot
        return out

    def _round_trip(self, shots: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            codes = self.codec.encode(torch.from_numpy(shots)[:, None])
            return self.codec.decode(codes)[:, 0, :SAMPLES].float().cpu().numpy()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Separation:
    """Any separator, mix [C, N] -> {drum: stem [N]}, and the one procedure from stem to one-shot."""

    name: str
    separate: Callable[[np.ndarray], dict[str, np.ndarray]]
    key: str

    def kits(self, items: Sequence[Item]) -> list[Kit]:
        return [
            {drum: cut_shot(stem) for drum, stem in self.separate(item.read_mix()).items()} for item in items
        ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoseSystem:
    """A kit bundle through the Extractor that serves. Of test mixes one answer is taken: with `draws` 1 the
    greedy one, as in the paper, else what is made of so many free draws."""

    name: str
    extractor: "Extractor"
    key: str
    draws: int = 1

    @classmethod
    def load(cls, name: str, bundle: Path, draws: int = 1, blend: bool = True) -> "DoseSystem":
        from dose.extract import Extractor
        from dose.extract.candidates import SearchConfig

        extractor = Extractor.load(bundle, search=SearchConfig(source_blend=blend))  # checks the bundle first
        key = files.hash_json(
            [
                "dose",
                draws,
                blend,
                [model.engine.precision for model in extractor.models.values()],
                files.sha256(bundle / files.MANIFEST),
                code_hash(GENERATING),
            ]
        )
        return cls(name=name, extractor=extractor, key=key, draws=draws)

    def kits(self, items: Sequence[Item]) -> list[Kit]:
        mixes = [item.read_mix() for item in items]
        window = round(MIX_SECONDS * audio.RATE)
        out: list[Kit] = [{} if m.shape[-1] <= window else self._search(m) for m in mixes]
        short = [i for i, m in enumerate(mixes) if m.shape[-1] <= window]
        for drum in self.extractor.drums if short else ():
            heard = [audio.fit_length(mixes[i], window) for i in short]
            if self.draws == 1:
                shots = self.extractor.extract_batch(heard, drum)
            else:
                shots = self.extractor.extract_consensus(heard, drum, samples=self.draws)
            for i, shot in zip(short, shots, strict=True):
                out[i][drum] = shot
        return out

    def _search(self, mix: np.ndarray) -> Kit:
        """A recording longer than the model's window: the whole extraction, as `dose extract` does it."""
        kit = self.extractor.extract(mix, audio.RATE, drums=self.extractor.drums)
        return {drum: hit.raw for drum in self.extractor.drums if (hit := kit.best(drum)) is not None}


def hpss() -> Separation:
    from dose.baselines.hpss import hpss_stems

    return Separation(
        name="Separation (HPSS)", separate=hpss_stems, key=files.hash_json(["hpss", code_hash(SEPARATING)])
    )


def larsnet(folder: Path | None = None) -> Separation:
    """The networks in `folder`, or the small shipped ones; the row's name says which.

    Raises MissingInputError when `folder` holds no networks.
    """
    from dose.baselines.larsnet import SHIPPED, load

    library = load(folder or SHIPPED)
    origin = "authors" if library.authors else "shipped" if folder is None else "trained"
    key = files.hash_json([library.key, code_hash(SEPARATING)])
    return Separation(name=LARSNETS[origin], separate=library.separate, key=key)


def code_hash(names: Sequence[str]) -> str:
    """A digest of the code and data that make a system's sound: no cached output outlives a change."""
    paths = [PACKAGE / name for name in names]
    sources = sorted(p for path in paths for p in (path.rglob("*.py") if path.is_dir() else [path]))
    return files.hash_json([[str(p.relative_to(PACKAGE)), files.sha256(p)] for p in sources])


def generate(system: System, items: Sequence[Item], folder: Path, *, batch: int = 8) -> Iterator[int]:
    """Fills `folder` with the system's one-shots; yields the number of items done after every batch.

    What is there already is not made again. Outputs that cannot be scored are named in `<index>/<drum>.txt`
    (the reason), so that they are counted and not tried for ever.
    """
    missing = [item for item in items if not (folder / f"{item.index:06d}" / "done").is_file()]
    done = len(items) - len(missing)
    yield done
    for start in range(0, len(missing), batch):
        part = missing[start : start + batch]
        for item, kit in zip(part, system.kits(part), strict=True):
            _store(folder / f"{item.index:06d}", kit)
        done += len(part)
        yield done


def _store(folder: Path, kit: Kit) -> None:
    with files.atomic(folder) as beside:
        beside.mkdir(parents=True)
        for drum, shot in kit.items():
            try:
                # 16 bits at full scale: the quantisation lies 98 dB under the peak that scoring sets anyway.
                audio.write(beside / f"{drum}.flac", prepare(shot, drum))
            except AudioError as e:
                (beside / f"{drum}.txt").write_text(str(e))
        (beside / "done").write_text("")
