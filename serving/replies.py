"""A kit as what goes over the wire: a ZIP, or JSON with the sounds in base64."""

import base64
import io
import zipfile
from collections.abc import Sequence
from typing import Any

import pydantic

from dose import audio
from serving.uploads import Shape


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


def shaped(hit: Any, shape: Shape) -> Any:
    """The hit's samples [N], with the tail and level asked for."""
    sound = hit.audio
    if shape.tail is not None:
        samples = int(shape.tail * audio.RATE)
        sound = audio.fade_out(audio.fit_length(sound, samples), samples // 4)
    return sound if shape.peak is None else audio.normalise_peak(sound, shape.peak)


def file_name(drum: str, rank: int, hits: Sequence[Any]) -> str:
    """kick.wav when there is one candidate, else kick_01_0.87.wav: rank, then confidence."""
    return f"{drum}.wav" if len(hits) == 1 else f"{drum}_{rank:02d}_{hits[rank - 1].confidence:.2f}.wav"


def as_zip(kit: Any, shape: Shape) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as z:
        for drum, hits in kit.hits.items():
            for rank, hit in enumerate(hits, 1):
                entry = zipfile.ZipInfo(file_name(drum, rank, hits))  # a fixed date: same kit, same bytes
                z.writestr(entry, audio.wav_bytes(shaped(hit, shape)), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def as_json(kit: Any, shape: Shape, version: str) -> KitReply:
    drums = {}
    for drum, hits in kit.hits.items():
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
            for sound in [shaped(hit, shape)]
        ]
    return KitReply(version=version, rate=audio.RATE, drums=drums)
