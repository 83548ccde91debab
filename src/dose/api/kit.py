"""A kit that can be saved, and the rendering of its one-shots, which the service shares. Without PyTorch."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

from dose.errors import DoseError
from dose.extract import result
from dose.extract.postprocess import PostprocessConfig, place, postprocess
from dose.extract.result import OneShot
from dose.files import printable
from dose.kits import build
from dose.kits.drumkit import DrumKit, Layering
from dose.kits.riff import Bits
from dose.kits.write import parse_formats, write

Channels = Literal["mono", "mix"]  # mix: stereo, panned as in the mix
UNNAMED = "an array"  # stands in the WAVs' tags where the mix is no file


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kit(result.Kit):
    """The one-shots of a mix, best first within each drum, which `save` writes as WAVs and sampler kits."""

    source: Path | None = None  # the mix's file, which no saved kit may replace

    def drum_kit(
        self,
        name: str | None = None,
        *,
        undetected: bool = False,
        sound: PostprocessConfig | None = None,
        bits: Bits = 16,
        channels: Channels = "mono",
        layers: Layering = "round-robin",
    ) -> DrumKit | None:
        """The kit as exporters take it; None where no drum was detected.

        `undetected` keeps drums that are probably not in the mix. `sound` sets level, tail and sample rate.
        `layers` says how several candidates of a drum share a pad. `name` defaults to the file's.
        """
        sound = sound or PostprocessConfig()
        hits = {d: found for d, found in self.hits.items() if found and (undetected or self.detected(d))}
        if not hits:
            return None
        stem, file = (self.source.stem, self.source.name) if self.source else ("kit", UNNAMED)
        return build.build(
            stem if name is None else name,
            render_one_shots(hits, lambda drum: sound, channels),
            build.Origin(source=file, version=self.version, data_id=self.data_id, seed=self.seed),
            rate=sound.rate,
            bits=bits,
            layering=layers,
            transcription=self.transcription,
        )

    def save(
        self,
        folder: Path | str,
        format: str = "wav",
        *,
        name: str | None = None,
        undetected: bool = False,
        midi: bool = False,
        sound: PostprocessConfig | None = None,
        bits: Bits = 16,
        channels: Channels = "mono",
        layers: Layering = "round-robin",
    ) -> list[Path]:
        """Writes the kit into `folder`, replacing a kit that is there, and returns its files.

        `format`: wav, sfz, hydrogen, decentsampler, ableton, sf2 or mpc, several separated by commas, or all;
        the WAVs are always written. Kits for samplers have the groove as MIDI beside them, kits of WAVs alone
        with `midi`. The other options are those of `drum_kit`.

        Raises DoseError where no drum was detected, where files that are no kit's would be overwritten, and
        for an unknown format.
        """
        formats = parse_formats(format)
        kit = self.drum_kit(
            name, undetected=undetected, sound=sound, bits=bits, channels=channels, layers=layers
        )
        if kit is None:
            where = printable(self.source.name) if self.source else "the audio"
            raise DoseError(f"No drum was detected in {where}; undetected=True saves the likeliest sounds.")
        return write(kit, folder, formats, inputs=[self.source] if self.source else [], midi=midi)


def render_one_shots(
    hits: Mapping[str, Iterable[OneShot]], sound: Callable[[str], PostprocessConfig], channels: Channels
) -> dict[str, list[build.RenderedOneShot]]:
    """Drum -> its hits with their finished audio; `sound` gives each drum's postprocessing."""
    return {
        drum: [
            build.RenderedOneShot(
                hit=hit,
                audio=postprocess(place(hit.raw, hit.pan) if channels == "mix" else hit.raw, sound(drum)),
            )
            for hit in found
        ]
        for drum, found in hits.items()
    }
