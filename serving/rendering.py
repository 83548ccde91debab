"""Rendering of a kit for a response: a ZIP, JSON with the sounds in base64, one WAV, or a MIDI file."""

import base64
import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from dose.api.kit import render_one_shots
from dose.config import with_old_names
from dose.extract.result import FORMER_NAMES, Kit, OneShot
from dose.kits import build
from dose.kits.drumkit import DrumKit, Sound
from dose.kits.riff import Bits
from dose.kits.write import contents, left_out
from dose.transcription import midi
from dose.transcription.pattern import groove_facts, typical_bar
from serving.groove_schemas import GrooveResponse, MidiParams
from serving.limits import APIError
from serving.schemas import KitResponse, OneShotResponse, RenderParams, parse_per_drum

SOURCE = "an upload"  # stands in the WAVs' tags instead of the caller's file name, which is not stored

Hits = Mapping[str, Sequence[OneShot]]


def select_hits(kit: Kit, params: RenderParams, pick: str = "") -> dict[str, Sequence[OneShot]]:
    """Drum -> hits to render: one where `pick` names its rank, none where an undetected drum is dropped.

    Raises APIError (400) for a rank that does not exist.
    """
    # A dropped drum has no hits to pick from either.
    hits: dict[str, Sequence[OneShot]] = {
        d: found for d, found in kit.hits.items() if params.undetected == "keep" or kit.detected(d)
    }
    for drum, rank in parse_per_drum(pick).items():
        if rank % 1 or not 1 <= rank <= len(hits.get(drum, ())):
            raise APIError(
                400, f"The kit has no {drum} number {rank:g}; GET the kit as JSON to see its hits."
            )
        hits[drum] = (hits[drum][int(rank) - 1],)
    return hits


def render_kit(kit: Kit, hits: Hits, params: RenderParams) -> DrumKit:
    """The hits, postprocessed. Raises APIError (400) when there is none."""
    if not any(hits.values()):
        drums = ", ".join(kit.hits)
        # Hits exist, but all were dropped as undetected: the option can bring them back.
        if any(kit.hits.values()):
            message = f"None of {drums} seems to be in the sound; undetected=keep gives the likeliest."
            raise APIError(400, message)
        raise APIError(400, f"None of {drums} was found in the sound; send one with drums in it.")
    found = {drum: own for drum, own in hits.items() if own}
    rendered = render_one_shots(found, params.postprocess_config, params.channels)
    origin = build.Origin(source=SOURCE, version=kit.version, data_id=kit.data_id)
    # Query parameters are strings, so the options' literals are too.
    bits = cast(Bits, int(params.bits))
    name = params.name or content_name(hits)
    return build.build(
        name,
        rendered,
        origin,
        rate=params.rate,
        bits=bits,
        layering=params.layers,
        transcription=kit.transcription,
    )


def content_name(hits: Hits) -> str:
    """A unique name for a kit without one, from its content: samplers merge kits of the same name."""
    # Of the audio before postprocessing: the name stays while tail and level change.
    digest = hashlib.sha256()
    for drum, found in hits.items():
        for hit in found:
            digest.update(drum.encode() + np.asarray(hit.raw, "<f4").tobytes())
    return f"dose-{digest.hexdigest()[:8]}"


def render_wav(kit: Kit, drum: str, rank: int, params: RenderParams) -> tuple[str, bytes]:
    """File name and bytes of one candidate; ranks count from 1."""
    if drum not in kit.hits:
        raise APIError(404, f"The kit has no such drum; it has {', '.join(kit.hits)}.")
    hits = select_hits(kit, params, f"{drum}:{rank}")
    sound = render_kit(kit, {drum: hits[drum]}, params).pads[0].sounds[0]
    return f"{sound.name}.wav", sound.wav


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZippedKit:
    """A kit as a ZIP, and what its formats could not hold."""

    body: bytes
    left_out: list[str]


def render_zip(kit: Kit, hits: Hits, params: RenderParams) -> ZippedKit:
    """The kit as a ZIP, with its MIDI files in every format; the same kit gives the same bytes."""
    drum_kit, buffer = render_kit(kit, hits, params), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, body in contents(drum_kit, params.formats, midi=True).items():
            # A ZipInfo without a date is of 1980; `writestr(name)` would store the current time.
            archive.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED, compresslevel=1)
    return ZippedKit(body=buffer.getvalue(), left_out=left_out(drum_kit, params.formats))


def render_json(kit: Kit, hits: Hits, params: RenderParams) -> KitResponse:
    """The kit as JSON; a drum without candidates has an empty list."""
    drums: dict[str, list[OneShotResponse]] = {drum: [] for drum in hits}
    if any(hits.values()):
        for pad in render_kit(kit, hits, params).pads:
            for hit, sound in zip(hits[pad.drum], pad.sounds, strict=True):
                drums[pad.drum].append(_one_shot_response(hit, sound, params.rate))
    facts = groove_facts(kit.transcription)
    return KitResponse(
        version=kit.version,
        seconds=round(kit.seconds, 3),
        rate=params.rate,
        drums=drums,
        groove=None if facts is None else GrooveResponse(**facts),
        resynthesis_score=None if kit.resynthesis_score is None else round(kit.resynthesis_score, 3),
    )


def render_midi(kit: Kit, params: MidiParams) -> tuple[str, bytes]:
    """File name and bytes of the groove as MIDI; the hits of all drums are in it.

    Raises APIError: 404 for a kit without hits, 400 for a timing that needs a rhythm where there is none.
    """
    transcription = kit.transcription
    if transcription is None:
        raise APIError(404, "The kit has no transcription of its song; send the song again to get one.")
    if not transcription.hits:
        raise APIError(404, "No drum hits were found in the song; send one with drums in it.")
    if params.timing == "played":
        return "groove.mid", midi.played(transcription)
    pattern = typical_bar(transcription)
    if pattern is None:
        raise APIError(400, "The song has no steady beat to quantise to; timing=played has its hits.")
    body = midi.quantised(transcription) if params.timing == "quantised" else midi.bar(pattern)
    return f"groove-{params.timing}.mid", body


def _one_shot_response(hit: OneShot, sound: Sound, rate: int) -> OneShotResponse:
    measures: dict[str, Any] = {
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
        **with_old_names(measures, FORMER_NAMES),
    )
