"""The paper's and the realistic distribution in the data card: the same statistics of both.

Both are drawn for this alone, and a few mixes of each are rendered for levels. No data is stored.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dose import audio
from dose.drums import DRUMS, MIX_SECONDS
from dose.rmod.config import RmodConfig
from dose.rmod.draw import draw_many
from dose.rmod.mix_spec import MixSpec
from dose.rmod.realistic.kit import render_tracks
from dose.rmod.realistic.mix import RealisticSpec, draw
from dose.rmod.render import render

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

# Chosen by hand: enough for histograms, a few seconds of work.
SPECS = 400  # mixes of each distribution that are drawn
RENDERED = 40  # and of these, rendered
PAPER, REALISTIC = "paper", "realistic"
TOGETHER = 0.03  # seconds: hits of different classes this close are struck together
INTERVAL_EDGES = np.geomspace(0.01, 4, 25)  # seconds between one onset and the next, of any class
TEMPO_EDGES = np.arange(60, 211, 10)  # beats per minute
SIXTEENTHS = 16  # positions within a bar of 4/4
HATS = ("closed_hihat", "open_hihat")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Mix:
    """What one specification of either distribution says of its sounds."""

    hits: dict[str, np.ndarray]  # class -> seconds, rising; hats are one class, as in the paper's mixes
    seconds: float
    beside: int  # parts beside the drums


def compare(config: RmodConfig, library: "SampleLibrary") -> dict[str, Any]:
    """Statistics of the first specifications of both distributions: what card.json holds of them.

    They are of the test split, or of train where there is no test. Levels are in dB: of the hats' peak
    against the kick's, and of all drums against all that is beside them, by RMS.
    """
    split = "test" if config.test else "train"
    paper = list(draw_many(config, library, split, 0, min(getattr(config, split), SPECS)))
    realistic = [draw(config.realistic, library, split, i) for i in range(SPECS)]
    return {
        "split": split,
        PAPER: {
            **_statistics([_of_paper(spec) for spec in paper]),
            **_paper_levels(config, library, paper[:RENDERED]),
        },
        REALISTIC: {
            **_statistics([_of_realistic(spec) for spec in realistic]),
            **_realistic_levels(library, realistic),
            **_music(realistic),
        },
    }


def _of_paper(spec: MixSpec) -> _Mix:
    hits = {name: np.array(drum.onsets) / audio.RATE for name, drum in spec.drums.items()}
    return _Mix(hits=hits, seconds=MIX_SECONDS, beside=len(spec.loops))


def _of_realistic(spec: RealisticSpec) -> _Mix:
    hits: dict[str, np.ndarray] = {}
    for track in spec.kit.sounds if spec.groove and spec.kit else ():
        assert spec.groove is not None
        own = np.array([hit.seconds for hit in spec.groove.hits[track]])
        name = "hihat" if track in HATS else track
        hits[name] = np.sort(np.concatenate([hits.get(name, np.zeros(0)), own]))
    beside = len(spec.backing.loops) + len(spec.backing.synths) if spec.backing else 0
    return _Mix(hits=hits, seconds=spec.seconds, beside=beside or int(spec.interference is not None))


def _statistics(mixes: Sequence[_Mix]) -> dict[str, Any]:
    """Counts over mixes, of whatever distribution."""
    classes = sorted({name for mix in mixes for name in mix.hits}, key=lambda c: (c not in DRUMS, c))
    intervals = [np.diff(_onsets(mix)) for mix in mixes]
    return {
        "count": len(mixes),
        # Per MIX_SECONDS, rounded, so that mixes of other lengths compare.
        "hits_per_4_s": {
            name: _count(
                round(len(mix.hits.get(name, ())) * MIX_SECONDS / mix.seconds) for mix in mixes if mix.hits
            )
            for name in classes
        },
        "classes_per_mix": _count(sum(len(own) > 0 for own in mix.hits.values()) for mix in mixes),
        "intervals": np.histogram(np.concatenate([*intervals, []]), INTERVAL_EDGES)[0].tolist(),
        "struck_together": _count(n for mix in mixes for n in _struck(mix)),
        "sounding_at_once": _count(n for mix in mixes for n in _polyphony(mix)),
    }


def _onsets(mix: _Mix) -> np.ndarray:
    """Seconds of all hits that no other hit precedes by less than TOGETHER, rising."""
    every = np.sort(np.concatenate([*mix.hits.values(), []]))
    return every[np.diff(every, prepend=-1.0) >= TOGETHER]


def _struck(mix: _Mix) -> list[int]:
    """Of each onset, how many classes are hit within TOGETHER."""
    onsets = _onsets(mix)
    near = [
        (np.abs(own[None] - onsets[:, None]) < TOGETHER).any(axis=1) for own in mix.hits.values() if len(own)
    ]
    counts: list[int] = np.sum(near, axis=0).tolist() if near else []
    return counts


def _polyphony(mix: _Mix) -> list[int]:
    """Sounds at each tenth of a second: parts beside the drums, and classes hit within the second before."""
    times = np.arange(0, mix.seconds, 0.1)
    total = np.full(times.size, mix.beside)
    for own in mix.hits.values():
        total += ((times[:, None] >= own) & (times[:, None] < own + 1)).any(axis=1)
    counts: list[int] = total.tolist()
    return counts


def _paper_levels(
    config: RmodConfig, library: "SampleLibrary", specs: Sequence[MixSpec]
) -> dict[str, list[float]]:
    """Measured in the finished mixes' stems."""
    hats, drums = [], []
    for spec in specs:
        stems = render(spec, library, config, stems=True).stems
        assert stems is not None
        hats.append(_ratio_db(audio.peak(stems["hihat"]), audio.peak(stems["kick"])))
        own = np.sum([stems[d] for d in DRUMS], axis=0)
        if beside := [stems[name] for name in spec.loops]:
            drums.append(_ratio_db(_rms(own), _rms(np.sum(beside, axis=0))))
    return {"hats_to_kick_db": hats, "drums_to_backing_db": drums}


def _realistic_levels(library: "SampleLibrary", specs: Sequence[RealisticSpec]) -> dict[str, list[float]]:
    """Hats as rendered, before the sum's processing; the backing's level is drawn as such."""
    hats = []
    for spec in specs[:RENDERED]:
        if spec.groove is None or spec.kit is None:
            continue
        tracks = render_tracks(spec.kit, spec.groove, library, int(spec.seconds * audio.RATE))
        own = [audio.peak(tracks[name]) for name in HATS if name in tracks]
        if own and "kick" in tracks:
            hats.append(_ratio_db(max(own), audio.peak(tracks["kick"])))
    drums = [round(s.master.drums_db, 1) for s in specs if s.groove is not None and s.backing is not None]
    return {"hats_to_kick_db": hats, "drums_to_backing_db": drums}


def _music(specs: Sequence[RealisticSpec]) -> dict[str, Any]:
    """What only the realistic distribution has: mixes of some kind, styles, tempi and places in a bar."""
    grooves = [spec.groove for spec in specs if spec.groove is not None]
    places: dict[str, list[int]] = {name: [0] * SIXTEENTHS for name in DRUMS}
    for mix, groove in ((_of_realistic(s), s.groove) for s in specs):
        if groove is None or groove.beats_per_bar != 4 or not groove.beats:
            continue
        # Sixteenths from a downbeat to the nearest one.
        downbeat = groove.beats[0] + groove.first_downbeat * 60 / groove.tempo
        for name in DRUMS:
            steps = np.round((mix.hits.get(name, np.zeros(0)) - downbeat) * groove.tempo / 15).astype(int)
            for step in steps % SIXTEENTHS:
                places[name][step] += 1
    single = sum(sum(len(own) > 0 for own in g.hits.values()) == 1 for g in grooves)
    return {
        "kinds": {
            "drums and backing": sum(s.groove is not None and s.backing is not None for s in specs),
            "drums alone": sum(s.groove is not None and s.backing is None for s in specs),
            "music without drums": sum(s.groove is None and s.backing is not None for s in specs),
            "neither": sum(s.interference is not None for s in specs),
        },
        "one_class": single,
        "styles": dict(sorted(Counter(g.style for g in grooves).items())),
        "tempi": np.histogram([g.tempo for g in grooves], TEMPO_EDGES)[0].tolist(),
        "bar_positions": places,
    }


def _count(values: Iterable[int]) -> dict[str, int]:
    return {str(k): v for k, v in sorted(Counter(values).items())}


def _rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(sound**2)))


def _ratio_db(one: float, other: float) -> float:
    return round(float(audio.db(one) - audio.db(other)), 1)


def facts(compared: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of a table: kinds of mixes in percent, and of mixes with drums, those with one class."""
    own = compared[REALISTIC]
    rows = [(kind, f"{100 * n / own['count']:.0f} %") for kind, n in own["kinds"].items()]
    with_drums = max(own["kinds"]["drums and backing"] + own["kinds"]["drums alone"], 1)
    return [*rows, ("of mixes with drums, one class alone", f"{100 * own['one_class'] / with_drums:.0f} %")]
