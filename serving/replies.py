"""A kit as what goes over the wire: a ZIP, or JSON with the sounds in base64."""

import base64
import io
import zipfile
from collections.abc import Sequence
from typing import Any

import pydantic

from dose import audio
from dose.kits.drumkit import DrumKit, Pad, Sound
from dose.kits.write import contents
from serving.admission import Refusal
from serving.uploads import Shape, per_drum


class HitReply(pydantic.BaseModel):
    file: str = pydantic.Field(description="A file name that sorts by rank.")
    confidence: float = pydantic.Field(description="0 to 1, calibrated on held-out data.")
    present: bool = pydantic.Field(description="False: the drum is probably not in the mix.")
    time: float = pydantic.Field(description="Where in the upload the hit was heard, in seconds.")
    seed: int
    seconds: float
    audio: str = pydantic.Field(description="A WAV file, in base64.")


class KitReply(pydantic.BaseModel):
    version: str = pydantic.Field(description="The models that made the kit.")
    rate: int = pydantic.Field(description="Samples per second of every hit.")
    drums: dict[str, list[HitReply]]


class Problem(pydantic.BaseModel):
    error: str = pydantic.Field(description="One sentence: what is wrong, and what to do.")
    request_id: str


def shaped(drum: str, hit: Any, shape: Shape) -> Any:
    """The hit's samples [N], with the tail and level asked for."""
    sound = hit.audio
    if (tail := per_drum(shape.tail).get(drum)) is not None and tail * audio.RATE < len(sound):
        samples = int(tail * audio.RATE)
        sound = audio.fade_out(sound[:samples], samples // 4)
    peak = per_drum(shape.peak).get(drum)
    return sound if peak is None else audio.normalise_peak(sound, peak)


def picked(kit: Any, pick: str) -> dict[str, list[Any]]:
    """drum -> hits, with one hit where `pick` names its rank; 400 for a rank that is not there."""
    hits = {drum: list(found) for drum, found in kit.hits.items()}
    for drum, rank in per_drum(pick).items():
        if rank % 1 or not 1 <= rank <= len(hits.get(drum, ())):
            raise Refusal(400, f"The kit has no {drum} number {rank:g}; GET the kit as JSON to see its hits.")
        hits[drum] = [hits[drum][int(rank) - 1]]
    return hits


def file_name(drum: str, rank: int, hits: Sequence[Any]) -> str:
    """kick.wav when there is one candidate, else kick_01_0.87.wav: rank, then confidence."""
    return f"{drum}.wav" if len(hits) == 1 else f"{drum}_{rank:02d}_{hits[rank - 1].confidence:.2f}.wav"


def as_zip(hits: dict[str, list[Any]], shape: Shape) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as z:
        for name, body in _files(hits, shape).items():
            # ZipInfo has a fixed date: the same kit gives the same bytes.
            z.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def as_json(kit: dict[str, list[Any]], shape: Shape, version: str) -> KitReply:
    drums = {}
    for drum, hits in kit.items():
        drums[drum] = [
            HitReply(
                file=file_name(drum, rank, hits),
                confidence=round(float(hit.confidence), 4),
                present=bool(hit.present),
                time=round(float(hit.time), 4),
                seed=int(hit.seed),
                seconds=len(sound) / audio.RATE,
                audio=base64.b64encode(audio.wav_bytes(sound)).decode(),
            )
            for rank, hit in enumerate(hits, 1)
            for sound in [shaped(drum, hit, shape)]
        ]
    return KitReply(version=version, rate=audio.RATE, drums=drums)


def _files(hits: dict[str, list[Any]], shape: Shape) -> dict[str, bytes]:
    pads = []
    for drum, found in hits.items():
        sounds = []
        for rank, hit in enumerate(found, 1):
            sound = shaped(drum, hit, shape)
            name = file_name(drum, rank, found).removesuffix(".wav")
            sounds.append(Sound(name=name, audio=sound, wav=audio.wav_bytes(sound)))
        pads.append(Pad(drum=drum, sounds=tuple(sounds)))
    return contents(DrumKit(name="dose", pads=tuple(pads), rate=audio.RATE), (shape.format,))
