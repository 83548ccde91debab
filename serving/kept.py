"""A kit on disk between two requests: kit.json and one float WAV per hit."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from dose import audio, files


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeptHit:
    drum: str
    audio: np.ndarray  # float32 [N] mono at 44.1 kHz
    confidence: float
    present: bool
    time: float
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeptKit:
    hits: dict[str, list[KeptHit]]
    version: str  # of the models that made it


def keep(kit: Any, version: str, folder: Path, base: KeptKit | None = None) -> None:
    """Writes the kit, whole or not at all; drums that it lacks come from `base`."""
    with files.atomic(folder) as beside:
        beside.mkdir()
        facts: dict[str, Any] = {"version": version, "hits": []}
        for drum, hits in {**(base.hits if base else {}), **kit.hits}.items():
            for rank, hit in enumerate(hits):
                name = f"{drum}-{rank}.wav"
                audio.write(beside / name, hit.audio, subtype="FLOAT")
                facts["hits"].append(
                    {
                        "drum": drum,
                        "file": name,
                        "confidence": float(hit.confidence),
                        "present": bool(hit.present),
                        "time": float(hit.time),
                        "seed": int(hit.seed),
                    }
                )
        files.write_json(beside / "kit.json", facts)


def load(folder: Path) -> KeptKit:
    facts = files.read_json(folder / "kit.json")
    hits: dict[str, list[KeptHit]] = {}
    for fact in facts["hits"]:
        name = fact.pop("file")
        hits.setdefault(fact["drum"], []).append(KeptHit(audio=audio.read(folder / name), **fact))
    return KeptKit(hits=hits, version=facts["version"])
