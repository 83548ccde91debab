"""The systems under evaluation: from a mix (or, for reconstruction, from the reference) to one-shots.

A system has a `name` (its line in the table), a `key` that changes whenever its outputs could, and
`one_shots(items)`: for each item one dict drum -> float32 [N] mono at 44.1 kHz. `generate` runs one over
items with a cache on disk, in the layout of `datasets.py`, so that an interrupted evaluation resumes.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dose import audio, files
from dose.baselines.stem_to_one_shot import cut_one_shot
from dose.drums import DRUMS, MIX_SECONDS
from dose.errors import AudioError
from dose.evaluate.datasets import Item
from dose.metrics.one_shots import SAMPLES, prepare

if TYPE_CHECKING:
    from dose.codec.codec import Codec
    from dose.extract import Extractor

OneShots = dict[str, np.ndarray]  # drum -> [N]
PACKAGE = Path(__file__).parent.parent
# The code that a system's audio depends on, relative to PACKAGE: packages (their Python files) and single
# files. What these import besides (config, errors, files) reads and validates, and changes no audio.
COMMON = (
    "audio", "containers", "drums.py", "evaluate/datasets.py", "evaluate/systems.py", "ffmpeg.py",
    "metrics/one_shots.py",
)  # fmt: skip
RECONSTRUCTING = (*COMMON, "codec", "compute.py")
SEPARATING = (*COMMON, "baselines")
GENERATING = (
    *COMMON, "bundle", "codec", "compute.py", "extract", "model", "dsp", "tokens", "transcription",
    "transcription/bundled/network.safetensors", "transcription/onsets.safetensors",
    "transcription/rhythm/metre.safetensors",
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

    def one_shots(self, items: Sequence[Item]) -> list[OneShots]: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """Codec reconstruction of the reference: the bound of every system that generates this codec's tokens."""

    codec: "Codec"
    name: str = "Reconstruction"

    @property
    def key(self) -> str:
        return files.hash_json(["reconstruction", self.codec.id, code_hash(RECONSTRUCTING)])

    def one_shots(self, items: Sequence[Item]) -> list[OneShots]:
        out: list[OneShots] = [{} for _ in items]
        for drum in DRUMS:
            referenced = [i for i, item in enumerate(items) if drum in item.shots]
            if referenced:
                references = np.stack([items[i].read_reference(drum) for i in referenced])
                for i, shot in zip(referenced, self._reconstruct(references), strict=True):
                    out[i][drum] = shot
        return out

    def _reconstruct(self, shots: np.ndarray) -> np.ndarray:
        """[B, 44100] -> [B, 44100]."""
        import torch

        with torch.inference_mode():
            codes = self.codec.encode(torch.from_numpy(shots)[:, None])
            decoded: np.ndarray = self.codec.decode(codes)[:, 0, :SAMPLES].float().cpu().numpy()
        return decoded


@dataclasses.dataclass(frozen=True, kw_only=True)
class Separation:
    """A separator, mix [C, N] -> {drum: stem [N]}, followed by the common procedure from stem to one-shot."""

    name: str
    separate: Callable[[np.ndarray], dict[str, np.ndarray]]
    key: str

    def one_shots(self, items: Sequence[Item]) -> list[OneShots]:
        return [
            {drum: cut_one_shot(stem) for drum, stem in self.separate(item.read_mix()).items()}
            for item in items
        ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoseSystem:
    """A kit bundle through the same Extractor that serves.

    With `samples` 1 each test mix gets the greedy one-shot, as in the paper; else so many samples are
    generated, reranked and matched to the expected spectrogram (docs/extract.md).
    """

    name: str
    extractor: "Extractor"
    key: str
    samples: int = 1

    @classmethod
    def load(cls, name: str, bundle: Path, samples: int = 1, blend: bool = True) -> "DoseSystem":
        """`blend` False leaves out source blending. Raises as `Extractor`."""
        from dose.extract import Extractor
        from dose.extract.candidates import SearchConfig

        extractor = Extractor(bundle, search=SearchConfig(source_blend=blend))  # checks the bundle first
        key = files.hash_json(
            [
                "dose",
                samples,
                blend,
                [model.engine.precision for model in extractor.models.values()],
                files.sha256(bundle / files.MANIFEST),
                code_hash(GENERATING),
            ]
        )
        return cls(name=name, extractor=extractor, key=key, samples=samples)

    def one_shots(self, items: Sequence[Item]) -> list[OneShots]:
        mixes = [item.read_mix() for item in items]
        length = round(MIX_SECONDS * audio.RATE)
        # Mixes of the training length are decoded as one batch per drum; recordings are longer.
        short = [i for i, mix in enumerate(mixes) if mix.shape[-1] <= length]
        out: list[OneShots] = [{} if i in short else self._extract(mix) for i, mix in enumerate(mixes)]
        for drum in self.extractor.drums if short else ():
            batch = [audio.fit_length(mixes[i], length) for i in short]
            if self.samples == 1:
                shots = self.extractor.extract_batch(batch, drum)
            else:
                shots = self.extractor.extract_consensus(batch, drum, samples=self.samples)
            for i, shot in zip(short, shots, strict=True):
                out[i][drum] = shot
        return out

    def _extract(self, mix: np.ndarray) -> OneShots:
        """Of a recording longer than a training mix: the whole extraction, as `dose extract` runs it."""
        kit = self.extractor.extract(mix, audio.RATE, drums=self.extractor.drums)
        return {drum: hit.raw for drum in self.extractor.drums if (hit := kit.best(drum)) is not None}


def hpss() -> Separation:
    from dose.baselines.hpss import hpss_stems

    return Separation(
        name="Separation (HPSS)", separate=hpss_stems, key=files.hash_json(["hpss", code_hash(SEPARATING)])
    )


def larsnet(folder: Path | None = None) -> Separation:
    """The networks in `folder`, or the small shipped ones; the system's name tells whose weights they are.

    Raises MissingInputError when `folder` holds no networks.
    """
    from dose.baselines.larsnet import SHIPPED, load

    networks = load(folder or SHIPPED)
    origin = "authors" if networks.authors else "shipped" if folder is None else "trained"
    key = files.hash_json([networks.key, code_hash(SEPARATING)])
    return Separation(name=LARSNETS[origin], separate=networks.separate, key=key)


def code_hash(names: Sequence[str]) -> str:
    """A digest of the files under `names`, so that cached outputs are not reused after the code changes."""
    # Paths are hashed with the contents: a renamed file is a change, too.
    paths = [PACKAGE / name for name in names]
    sources = sorted(p for path in paths for p in (path.rglob("*.py") if path.is_dir() else [path]))
    return files.hash_json([[str(p.relative_to(PACKAGE)), files.sha256(p)] for p in sources])


def generate(system: System, items: Sequence[Item], folder: Path, *, batch: int = 8) -> Iterator[int]:
    """Fills `folder` with the system's one-shots; yields the number of finished items after every batch.

    Items that are finished already are skipped. For an output that cannot be scored `<index>/<drum>.txt`
    holds the reason, so that it is counted and not generated again.
    """
    missing = [item for item in items if not (folder / f"{item.index:06d}" / "done").is_file()]
    done = len(items) - len(missing)
    yield done
    for start in range(0, len(missing), batch):
        current = missing[start : start + batch]
        for item, shots in zip(current, system.one_shots(current), strict=True):
            _store(folder / f"{item.index:06d}", shots)
        done += len(current)
        yield done


def _store(folder: Path, shots: OneShots) -> None:
    with files.atomic(folder) as beside:
        beside.mkdir(parents=True)
        for drum, shot in shots.items():
            try:
                # 16 bits at full scale: quantisation noise lies 98 dB below the peak that scoring sets
                # anyway.
                audio.write(beside / f"{drum}.flac", prepare(shot, drum))
            except AudioError as e:
                (beside / f"{drum}.txt").write_text(str(e))
        # Marks the item as finished also where every output failed.
        (beside / "done").write_text("")
