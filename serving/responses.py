"""A kit as what goes over the wire: a ZIP, or JSON with the sounds in base64."""

import base64
import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pydantic

from dose.extract.postprocess import place, postprocess
from dose.extract.result import Kit, OneShot, with_former_names
from dose.kits import build
from dose.kits.drumkit import DrumKit
from dose.kits.riff import Bits
from dose.kits.write import contents, left_out
from serving.limits import APIError
from serving.uploads import RenderParams, per_drum

SOURCE = "an upload"  # the caller's file name stays with the caller

Hits = Mapping[str, Sequence[OneShot]]


class OneShotResponse(pydantic.BaseModel):
    file: str = pydantic.Field(description="A file name that sorts by rank.")
    confidence: float = pydantic.Field(description="0 to 1, calibrated on held-out data.")
    detected: bool = pydantic.Field(description="False: the drum is probably not in the mix.")
    time: float = pydantic.Field(description="Where in the upload the hit was heard, in seconds.")
    seed: int
    conditioning_fit: float = pydantic.Field(
        description="0 to 1: similarity to what the mix shows of the drum at its onsets."
    )
    self_consistency: float = pydantic.Field(description="0 to 1: similarity to the other candidates.")
    source_energy_ratio: float = pydantic.Field(
        description="0 to 1: share of its energy taken from the upload itself; the rest is generated."
    )
    present: bool = pydantic.Field(description="Former name of `detected`.", deprecated=True)
    match: float = pydantic.Field(description="Former name of `conditioning_fit`.", deprecated=True)
    agreement: float = pydantic.Field(description="Former name of `self_consistency`.", deprecated=True)
    borrowed: float = pydantic.Field(description="Former name of `source_energy_ratio`.", deprecated=True)
    seconds: float
    audio: str = pydantic.Field(description="A WAV file, in base64.")


class KitResponse(pydantic.BaseModel):
    version: str = pydantic.Field(description="The models that made the kit.")
    seconds: float = pydantic.Field(description="Length of the upload.")
    rate: int = pydantic.Field(description="Samples per second of every hit.")
    drums: dict[str, list[OneShotResponse]]


class Problem(pydantic.BaseModel):
    error: str = pydantic.Field(description="One sentence: what is wrong, and what to do.")
    request_id: str


def chosen(kit: Kit, shape: RenderParams, pick: str = "") -> dict[str, Sequence[OneShot]]:
    """drum -> hits: one where `pick` names its rank, none where the drum is absent and `shape` drops those.

    Refusal (400) for a rank that is not there.
    """
    hits: dict[str, Sequence[OneShot]] = {
        d: found for d, found in kit.hits.items() if shape.absent == "keep" or kit.detected(d)
    }
    for drum, rank in per_drum(pick).items():
        if rank % 1 or not 1 <= rank <= len(hits.get(drum, ())):
            raise APIError(
                400, f"The kit has no {drum} number {rank:g}; GET the kit as JSON to see its hits."
            )
        hits[drum] = (hits[drum][int(rank) - 1],)
    return hits


def drum_kit(kit: Kit, hits: Hits, shape: RenderParams) -> DrumKit:
    """The hits, finished as `shape` has it. Refusal (400) when there is not one sound."""
    if not any(hits.values()):
        asked = ", ".join(kit.hits)
        if any(kit.hits.values()):
            raise APIError(400, f"None of {asked} seems to be in the sound; absent=keep gives the likeliest.")
        raise APIError(400, f"None of {asked} was found in the sound; send one with drums in it.")
    takes = {
        drum: [
            build.RenderedOneShot(
                hit=hit,
                audio=postprocess(
                    place(hit.raw, hit.pan) if shape.channels == "mix" else hit.raw, shape.finish(drum)
                ),
            )
            for hit in found
        ]
        for drum, found in hits.items()
        if found
    }
    origin = build.Origin(source=SOURCE, version=kit.version, data_id=kit.data_id)
    bits = cast(Bits, int(shape.bits))
    return build.build(
        shape.name or own_name(hits), takes, origin, rate=shape.rate, bits=bits, layering=shape.layers
    )


def own_name(hits: Hits) -> str:
    """A name for a kit without one that no other kit has: samplers put kits of one name into one folder."""
    digest = hashlib.sha256()
    for drum, found in hits.items():
        for hit in found:
            digest.update(drum.encode() + np.asarray(hit.raw, "<f4").tobytes())
    return f"dose-{digest.hexdigest()[:8]}"


def one_wav(kit: Kit, drum: str, rank: int, shape: RenderParams) -> tuple[str, bytes]:
    """File name and bytes of one candidate."""
    if drum not in kit.hits:
        raise APIError(404, f"The kit has no such drum; it has {', '.join(kit.hits)}.")
    hits = chosen(kit, shape, f"{drum}:{rank}")
    sound = drum_kit(kit, {drum: hits[drum]}, shape).pads[0].sounds[0]
    return f"{sound.name}.wav", sound.wav


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZippedKit:
    """A kit as a ZIP, and what its formats could not hold."""

    body: bytes
    left_out: list[str]


def as_zip(kit: Kit, hits: Hits, shape: RenderParams) -> ZippedKit:
    """The same kit gives the same bytes: a ZipInfo made by hand has a fixed date."""
    made, packed = drum_kit(kit, hits, shape), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as z:
        for name, body in contents(made, shape.formats).items():
            z.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED, compresslevel=1)
    return ZippedKit(body=packed.getvalue(), left_out=left_out(made, shape.formats))


def as_json(kit: Kit, hits: Hits, shape: RenderParams) -> KitResponse:
    """A drum that was not heard at all has an empty list."""
    drums: dict[str, list[OneShotResponse]] = {drum: [] for drum in hits}
    if any(hits.values()):
        for pad in drum_kit(kit, hits, shape).pads:
            for hit, sound in zip(hits[pad.drum], pad.sounds, strict=True):
                drums[pad.drum].append(_hit_reply(hit, sound, shape.rate))
    return KitResponse(version=kit.version, seconds=round(kit.seconds, 3), rate=shape.rate, drums=drums)


def _hit_reply(hit: OneShot, sound: Any, rate: int) -> OneShotResponse:
    facts = {
        "detected": hit.detected,
        "conditioning_fit": round(hit.conditioning_fit, 4),
        "self_consistency": round(hit.self_consistency, 4),
        "source_energy_ratio": round(hit.source_energy_ratio, 4),
    }
    return OneShotResponse(
        file=f"{sound.name}.wav",
        confidence=round(hit.confidence, 4),
        time=round(hit.time, 4),
        seed=hit.seed,
        seconds=round(sound.audio.shape[-1] / rate, 4),
        audio=base64.b64encode(sound.wav).decode(),
        **with_former_names(facts),
    )
