"""One mix of the realistic distribution, for listening: `dose rmod show --distribution realistic`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dose import audio, files
from dose.rmod.realistic.mix import RealisticMix, RealisticSpec, draw, render
from dose.transcription import midi
from dose.transcription.hits import HIT_CLASSES, Hit, Rhythm, Transcription

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

__all__ = ["as_transcription", "draw", "outline", "write"]


def write(spec: RealisticSpec, library: "SampleLibrary", out: Path) -> None:
    """Writes mix.wav (mono), hits.json, drums.mid and mix_spec.json to a folder.

    hits.json has seconds and velocity (1..127) of each hit, by track. Percussion is no class of the
    transcription, so the MIDI file is without it. Raises as `render` does.
    """
    mix = render(spec, library)
    out.mkdir(parents=True, exist_ok=True)
    audio.write(out / "mix.wav", mix.audio)
    files.write_json(out / "hits.json", mix.hits)
    files.write_json(out / "mix_spec.json", dataclasses.asdict(spec))
    with files.atomic(out / "drums.mid") as beside:
        beside.write_bytes(midi.played(as_transcription(mix, spec.seconds)))


def outline(spec: RealisticSpec) -> dict[str, Any]:
    """A specification for printing: numbers of hits, beats and notes instead of hundreds of them."""
    values = dataclasses.asdict(spec)
    if groove := values["groove"]:
        groove["hits"] = {track: len(own) for track, own in groove["hits"].items() if own}
        groove["beats"] = len(groove["beats"])
    for synth in (values["backing"] or {}).get("synths", ()):
        synth["notes"] = len(synth["notes"])
    return values


def as_transcription(mix: RealisticMix, seconds: float) -> Transcription:
    """What a transcription without errors gives of a mix of `seconds`; without beats it has no rhythm."""
    hits = [
        Hit(seconds=at, drum=track, velocity=velocity, probability=1.0)
        for track, own in mix.hits.items()
        if track in HIT_CLASSES
        for at, velocity in own
    ]
    groove, rhythm = mix.groove, None
    if groove is not None and len(groove.beats) > 1:
        rhythm = Rhythm(
            tempo=groove.tempo,
            beats=groove.beats,
            beats_per_bar=groove.beats_per_bar,
            first_downbeat=groove.first_downbeat,
            swing=groove.swing,
            swing_subdivision=groove.swing_subdivision,
        )
    hits.sort(key=lambda hit: (hit.seconds, hit.drum))
    return Transcription(hits=tuple(hits), seconds=seconds, rhythm=rhythm)
