"""Pydantic models of requests and responses; OpenAPI is generated from them and from `groove_schemas`.

Option names that were renamed are accepted under their old name for one release (`validation_alias`), and
response fields that were renamed are sent under both names; OpenAPI marks the old ones as deprecated.
"""

import datetime
from typing import Annotated, Literal

import pydantic
from pydantic import AliasChoices, ConfigDict, Field, field_validator

from dose import audio
from dose.drums import DRUMS
from dose.extract.postprocess import PostprocessConfig
from dose.kits.write import FORMATS, parse_formats
from serving.groove_schemas import GrooveResponse


# Requests. `extra="forbid"` makes an unknown option an error instead of a silent default.
class InferenceParams(pydantic.BaseModel):
    """Options of an extraction, as query parameters or as form fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drums: Annotated[str, Field(description="Which drums, separated by commas.")] = ",".join(DRUMS)
    candidates: Annotated[int, Field(ge=1, description="Candidates per drum, best first.")] = 1
    seed: Annotated[int, Field(ge=0, lt=2**31, description="Same seed, same kit.")] = 0

    @field_validator("drums")
    @classmethod
    def _check_drums(cls, text: str) -> str:
        # In the order of DRUMS, whatever the request's order.
        names = _known_names(text, DRUMS, "drum")
        return ",".join(drum for drum in DRUMS if drum in names)

    def drum_list(self) -> tuple[str, ...]:
        return tuple(self.drums.split(","))


class RenderParams(pydantic.BaseModel):
    """Options of rendering a finished kit: postprocessing, file formats, form of the response."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tail: Annotated[
        str, Field(description="Length of the hits in seconds: `0.3`, or per drum `kick:0.5,hihat:0.1`.")
    ] = ""
    peak: Annotated[
        str, Field(description="Peak of the hits in dBFS: `-1`, or per drum `kick:-1,snare:-3`.")
    ] = "-1"
    lufs: Annotated[
        str, Field(description="Loudness of the hits in LUFS, instead of a peak; also per drum.")
    ] = ""
    rate: Annotated[int, Field(ge=8000, le=192_000, description="Samples per second.")] = audio.RATE
    bits: Annotated[Literal["16", "24", "32"], Field(description="32 is float.")] = "16"
    channels: Annotated[Literal["mono", "mix"], Field(description="mix: stereo, panned as in the mix.")] = (
        "mono"
    )
    format: Annotated[
        str, Field(description="Kit formats of the ZIP, separated by commas, or `all`; see GET /state.")
    ] = "wav"
    name: Annotated[
        str, Field(max_length=200, description="The kit's name; by default a name from its content's hash.")
    ] = ""
    layers: Annotated[
        Literal["round-robin", "velocity"], Field(description="How several candidates share a pad.")
    ] = "round-robin"
    undetected: Annotated[
        Literal["keep", "drop"],
        Field(
            validation_alias=AliasChoices("undetected", "absent"),
            description="What to do with drums that are probably not in the mix.",
        ),
    ] = "keep"
    response: Annotated[
        Literal["auto", "zip", "json"],
        Field(
            validation_alias=AliasChoices("response", "reply"),
            description="ZIP, or JSON with base64 WAVs; auto: the Accept header decides.",
        ),
    ] = "auto"

    @field_validator("tail")
    @classmethod
    def _check_tail(cls, text: str) -> str:
        return _check_per_drum(text, 0.02, 10.0)

    @field_validator("peak", "lufs")
    @classmethod
    def _check_level(cls, text: str) -> str:
        return _check_per_drum(text, -60.0, 0.0)

    @field_validator("format")
    @classmethod
    def _check_format(cls, text: str) -> str:
        return ",".join(_known_names(text.lower(), (*FORMATS, "all"), "format"))

    @property
    def formats(self) -> tuple[str, ...]:
        return parse_formats(self.format)

    def postprocess_config(self, drum: str) -> PostprocessConfig:
        """How the hits of one drum are postprocessed."""
        return PostprocessConfig(
            peak_db=parse_per_drum(self.peak).get(drum, -1.0),
            lufs=parse_per_drum(self.lufs).get(drum),
            tail=parse_per_drum(self.tail).get(drum),
            rate=self.rate,
        )


class KitParams(RenderParams):
    """Options of GET /jobs/{id}/kit."""

    pick: Annotated[str, Field(description="One candidate per drum, by rank from 1: `kick:2,snare:1`.")] = ""

    @field_validator("pick")
    @classmethod
    def _check_pick(cls, text: str) -> str:
        return _check_per_drum(text, 1, 1000)


class ExtractParams(InferenceParams, RenderParams):
    """Options of POST /extract."""


def parse_per_drum(text: str) -> dict[str, float]:
    """Numbers per drum: "0.3" is one number for all drums, "kick:0.5,hihat:0.1" names them."""
    if not text:
        return {}
    if ":" not in text:
        return dict.fromkeys(DRUMS, float(text))
    # Any number of "drum:number" pairs; a part without a colon raises ValueError here.
    pairs = (part.split(":", 1) for part in text.split(",") if part.strip())
    return {drum.strip(): float(number) for drum, number in pairs}


def _check_per_drum(text: str, low: float, high: float) -> str:
    try:
        numbers = parse_per_drum(text)
    except ValueError:
        raise ValueError(f"must be a number, or numbers per drum as in kick:1, not '{text[:40]}'") from None
    if unknown := sorted(numbers.keys() - set(DRUMS)):
        raise ValueError(f"does not know '{unknown[0][:40]}'; choose from {', '.join(DRUMS)}")
    # NaN fails both comparisons, so it is rejected here too.
    if any(not low <= number <= high for number in numbers.values()):
        raise ValueError(f"must lie between {low:g} and {high:g}")
    return text


def _known_names(text: str, known: tuple[str, ...], kind: str) -> list[str]:
    """The comma-separated names of `text`; ValueError for an unknown one or none."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"does not know '{unknown[0][:40]}'; choose from {', '.join(known)}")
    if not names:
        raise ValueError(f"names no {kind}; choose from {', '.join(known)}")
    return names


# Responses.
class OneShotResponse(pydantic.BaseModel):
    file: str = Field(description="A file name that sorts by rank.")
    confidence: float = Field(description="0 to 1, calibrated on held-out data.")
    detected: bool = Field(description="False: the drum is probably not in the mix.")
    time: float = Field(description="Position in the upload of the hit it was extracted from, in seconds.")
    seed: int
    conditioning_fit: float = Field(description="0 to 1: how well it explains the mix at its onsets.")
    self_consistency: float = Field(description="0 to 1: similarity to the other candidates.")
    source_energy_ratio: float = Field(
        description="0 to 1: share of its energy taken from the upload by masking; the rest is generated."
    )
    seconds: float
    audio: str = Field(description="A WAV file, in base64.")
    present: bool = Field(deprecated=True, description="Old name of `detected`.")
    match: float = Field(deprecated=True, description="Old name of `conditioning_fit`.")
    agreement: float = Field(deprecated=True, description="Old name of `self_consistency`.")
    borrowed: float = Field(deprecated=True, description="Old name of `source_energy_ratio`.")


class KitResponse(pydantic.BaseModel):
    version: str = Field(description="The models that made the kit.")
    seconds: float = Field(description="Length of the upload.")
    rate: int = Field(description="Samples per second of every hit.")
    drums: dict[str, list[OneShotResponse]]
    groove: GrooveResponse | None = Field(description="Null for kits that were stored without one.")
    resynthesis_score: float | None = Field(
        description="0 to 1: share of the upload's onset energy that kit and groove explain."
    )


class JobResponse(pydantic.BaseModel):
    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    progress: float = Field(description="0 to 1.")
    stage: str = Field(description="The stage of the extraction while it runs, else the state.")
    position: int = Field(description="Jobs before this one in the queue.")
    attempts: int
    seconds: float = Field(description="Length of the song.")
    drums: list[str]
    candidates: int
    seed: int
    created: datetime.datetime
    error: str = Field(description="Why it failed and what to do; else empty.")


class StatusResponse(pydantic.BaseModel):
    ready: bool
    problem: str = Field(description="Why the service is not ready; else empty.")
    version: str = Field(description="The models in use.")
    licence: str = Field(description="Of these models, if they come with the package; else empty.")
    canary: str = Field(description="New models in a canary rollout and its progress; else empty.")
    trial: str = Field(deprecated=True, description="The same as `canary`, under its old name.")
    drums: list[str]
    formats: list[str] = Field(description="Kit formats that can be downloaded.")
    max_candidates: int
    upload_mb: int
    short_seconds: float = Field(description="Longest sound for POST /extract.")
    song_seconds: float = Field(description="Longest song for POST /jobs.")
    keep_hours: float = Field(description="How long songs and kits are stored.")
    key_needed: bool


class ErrorResponse(pydantic.BaseModel):
    error: str = Field(description="One sentence: what is wrong, and what to do.")
    request_id: str


def deprecated_names(model: type[pydantic.BaseModel]) -> dict[str, str]:
    """Old name -> field, of the options of `model` that were renamed."""
    return {
        str(old): name
        for name, field in model.model_fields.items()
        if isinstance(field.validation_alias, AliasChoices)
        for old in field.validation_alias.choices[1:]
    }
