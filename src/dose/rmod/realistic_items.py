"""Realistic mixes with their one-shots: what extraction is validated on, and may be trained on.

Every item has kick, snare and hi-hat. The reference is the kit's sound at full velocity, without room and
master.
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dose import audio, files
from dose.drums import DRUMS
from dose.errors import DoseError
from dose.rmod.realistic.config import RealisticConfig
from dose.rmod.realistic.kit import CLIPS, KitSpec, render_one_shot
from dose.rmod.realistic.mix import RealisticMix, RealisticSpec, draw, render
from dose.rmod.render import FADE, ONE_SHOT, Rendered

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

SECONDS = 8.0  # of a written item: longer than a training mix, so that it is extracted as a recording is
LEAST_HITS = 2  # audible ones of each drum of an item
TRIES = 64  # draws of one item; about one in two is used
# The tracks that hold a drum's hits; a clap is no snare.
TRACKS_OF = {drum: tuple(track for track, (cls, _) in CLIPS.items() if cls == drum) for drum in DRUMS}


def evenly_spread(index: int, share: float) -> bool:
    """Whether item `index` is of the one of two distributions that gives `share` of all items."""
    return int((index + 1) * share) > int(index * share)


def item(
    config: RealisticConfig,
    library: "SampleLibrary",
    split: str,
    index: int,
    *,
    seconds: float = SECONDS,
    drums_only: bool = False,
) -> Rendered:
    """Item `index` of a split: the mix float32 [2, N], one-shots and onsets; `drums_only` mutes the rest.

    Raises DoseError where the library cannot give a mix with all three drums.
    """
    # Mixes without drums, with one of them or without instruments have no place here.
    config = dataclasses.replace(config, seconds=seconds, bare=0.0, drum_free=0.0, single_drum=0.0)
    for attempt in range(TRIES):
        spec = draw(config, library, split, index * TRIES + attempt)
        if spec.groove is None or spec.kit is None or not _may_serve(spec, spec.kit):
            continue
        mix = render(spec, library)
        tracks = {drum: _track(mix, drum) for drum in DRUMS}
        if any(sum(mix.audible.get(track, ())) < LEAST_HITS for track in tracks.values()):
            continue
        if drums_only:
            mix = render(dataclasses.replace(spec, backing=None), library)
        return Rendered(
            mix=np.stack([mix.audio, mix.audio]),
            shots={drum: _reference(spec.kit, track, library) for drum, track in tracks.items()},
            hits={
                drum: tuple(sorted(seconds for t in TRACKS_OF[drum] for seconds, _ in mix.hits.get(t, ())))
                for drum in DRUMS
            },
            stems=None,
        )
    raise DoseError(
        f"The sample library's split '{split}' lacks sounds for realistic mixes (kicks, snares, closed or "
        "open hi-hats); add some, or set rmod.realistic_items and tokens.realistic_share to 0."
    )


def _may_serve(spec: RealisticSpec, kit: KitSpec) -> bool:
    """Whether each drum has hits and a sound; costs nothing."""
    assert spec.groove is not None
    hits = spec.groove.hits
    return all(any(len(hits[t]) >= LEAST_HITS and t in kit.sounds for t in TRACKS_OF[d]) for d in DRUMS)


def _track(mix: RealisticMix, drum: str) -> str:
    """The track that the drum's one-shot is of: the one with the most audible hits."""
    return max(TRACKS_OF[drum], key=lambda track: sum(mix.audible.get(track, ())))


def _reference(kit: KitSpec, track: str, library: "SampleLibrary") -> np.ndarray:
    sound = audio.fit_length(render_one_shot(kit, track, library), ONE_SHOT)
    return audio.normalise_peak(audio.fade_out(sound, FADE))


def realistic_id(config: RealisticConfig, library: "SampleLibrary") -> str:
    """16 hex digits that change whenever an item may: with the switches, the library or the code."""
    own = Path(__file__)
    code = b"".join(p.read_bytes() for p in (own, *sorted((own.parent / "realistic").glob("*.py"))))
    return files.hash_json(
        {
            "config": dataclasses.asdict(config),
            "library": library.id,
            "code": hashlib.sha256(code).hexdigest(),
        }
    )
