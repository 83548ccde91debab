"""Pydantic models of a song's groove: its part of a kit's JSON, and the options of its MIDI files.

The response is what `dose.transcription.pattern.groove_facts` gives.
"""

from typing import Annotated, Literal

import pydantic
from pydantic import ConfigDict, Field

HitClass = Literal["kick", "snare", "closed_hihat", "open_hihat", "clap", "tom", "cymbal"]
Velocity = Annotated[int, Field(ge=0, le=127)]


class MidiParams(pydantic.BaseModel):
    """Options of GET /jobs/{id}/midi."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timing: Annotated[
        Literal["played", "quantised", "bar"],
        Field(
            description="played: the hits as they were played, lined up with the song; quantised: on the "
            "nearest sixteenth, without swing; bar: the typical bar alone, quantised, to be looped."
        ),
    ] = "played"


class DrumHitResponse(pydantic.BaseModel):
    time: float = Field(description="Seconds from the beginning of the upload.")
    drum: HitClass
    velocity: Annotated[int, Field(ge=1, le=127, description="As in MIDI.")]
    probability: float = Field(description="0 to 1, calibrated.")


class PatternResponse(pydantic.BaseModel):
    steps_per_beat: int = Field(description="4: sixteenths.")
    start: float = Field(
        description="Where the bar begins in the upload, in seconds; negative if it begins before it."
    )
    velocities: dict[HitClass, list[Velocity]] = Field(
        description="Per class one velocity per step of the bar, 0 where it is not hit, on the straight grid."
    )


class GrooveResponse(pydantic.BaseModel):
    """The drum hits of the upload and their rhythm; without a steady beat only `hits`, the rest is null."""

    tempo: float | None = Field(description="Beats per minute, the median.")
    beats_per_bar: int | None = Field(description="4 (4/4) or 3 (3/4).")
    swing: float | None = Field(
        description="Delay of every second subdivision as a fraction of it: 0 is straight, 0.333 a triplet."
    )
    swing_subdivision: int | None = Field(description="Per beat: 2 (eighths swing) or 4 (sixteenths).")
    first_downbeat: int | None = Field(description="Index of the first downbeat among `beats`.")
    beats: list[float] = Field(description="Seconds, rising; they follow changes of tempo.")
    hits: list[DrumHitResponse] = Field(description="All hits by time, also of drums that have no sounds.")
    pattern: PatternResponse | None = Field(description="The bar that differs least from all the others.")
