"""A kit on disk between two requests: kit.json, and one float WAV per hit before postprocessing."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dose import audio, files
from dose.drums import DRUMS
from dose.extract.postprocess import PostprocessConfig, postprocess
from dose.extract.result import FORMER_NAMES, Kit, OneShot
from dose.transcription.hits import Hit, Rhythm, Transcription

# All that is known of a one-shot but its audio; these names are those in kit.json.
FIELDS = [field.name for field in dataclasses.fields(OneShot) if field.name not in ("audio", "raw")]
CURRENT_NAMES = {former: name for name, former in FORMER_NAMES.items()}


def save(kit: Kit, folder: Path, base: Kit | None = None) -> None:
    """Writes the kit atomically; drums, transcription and scores that it lacks come from `base`."""
    hits = {**(base.hits if base else {}), **kit.hits}
    transcription = kit.transcription or (base.transcription if base else None)
    resynthesis = {**(base.resynthesis if base else {}), **kit.resynthesis}
    with files.atomic(folder) as beside:
        beside.mkdir()
        stored = []
        for drum, found in hits.items():
            for rank, hit in enumerate(found):
                audio.write(beside / f"{drum}-{rank}.wav", hit.raw, subtype="FLOAT")
                stored.append({name: getattr(hit, name) for name in FIELDS})
        about = {"seconds": kit.seconds, "version": kit.version, "data_id": kit.data_id, "seed": kit.seed}
        files.write_json(
            beside / "kit.json",
            {
                **about,
                "drums": list(hits),
                "hits": stored,
                "resynthesis": resynthesis,
                "transcription": transcription and dataclasses.asdict(transcription),
            },
        )


def load(folder: Path) -> Kit:
    """The kit that `save` wrote. Raises MissingInputError or IntegrityError when it is not complete."""
    about = files.read_json(folder / "kit.json")
    stored, drums = about.pop("hits"), about.pop("drums")
    # Kits that were stored before they had one lack the key.
    transcription = _transcription(about.pop("transcription", None))
    hits: dict[str, Sequence[OneShot]] = {drum: () for drum in DRUMS if drum in drums}
    for row in stored:
        # Rows are in order of rank, so a hit's rank is the number of its drum's hits before it.
        rank = len(hits[row["drum"]])
        raw = audio.read(folder / f"{row['drum']}-{rank}.wav")
        # Kits that were stored before November 2026 hold the former names of some fields.
        fields = {CURRENT_NAMES.get(name, name): value for name, value in row.items()}
        hit = OneShot(
            **{**fields, "pan": tuple(row["pan"])}, raw=raw, audio=postprocess(raw, PostprocessConfig())
        )
        hits[row["drum"]] = (*hits[row["drum"]], hit)
    candidates = {drum: tuple(found) for drum, found in hits.items()}
    return Kit(hits=candidates, transcription=transcription, **about)


def _transcription(stored: dict[str, Any] | None) -> Transcription | None:
    if stored is None:
        return None
    rhythm = stored["rhythm"]
    return Transcription(
        hits=tuple(Hit(**hit) for hit in stored["hits"]),
        seconds=stored["seconds"],
        # JSON has no tuples.
        rhythm=rhythm and Rhythm(**{**rhythm, "beats": tuple(rhythm["beats"])}),
    )
