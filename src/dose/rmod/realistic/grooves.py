"""Grooves: the hits of a whole kit in a style, with fills, rolls, ghost notes, swing and human timing."""

import dataclasses

import numpy as np

from dose.rmod.realistic.styles import STYLES, Style

# Tracks of a groove: the classes that transcription tells apart, and percussion, which it must ignore.
TRACKS = ("kick", "snare", "closed_hihat", "open_hihat", "clap", "tom", "cymbal", "percussion")
# Velocity of a mark, as a fraction of full: by hand, after what sample packs' MIDI files hold.
MARKS = {"X": 0.95, "x": 0.78, "o": 0.55, "g": 0.28, "O": 0.8}
PERCUSSION = (
    "x-xox-xox-xox-xo",
    "--x---x---x---x-",
    "x--x--x---x-x---",
    "xoxoxoxoxoxoxoxo",
    "----x--x----x---",
)
# Chosen by hand: how often a bar ends in a fill, starts with a crash, and percussion plays in a groove.
FILL, CRASH, PERCUSSIVE = 0.12, 0.15, 0.35
TOM_BARS = ("x--x--x-o--x--x-", "x-----x-x-----x-", "xoxoxoxoxoxoxoxo", "----x-----x-x---")
TOM_GROOVE = 0.12  # probability that toms play a bar of TOM_BARS throughout
# Probabilities of open strokes here and there, and of hats that are open throughout.
OPENED, WASHY = 0.4, 0.08
EMPTY_TRACK = 0.05  # probability that kick, snare or hats do not play in a groove at all


@dataclasses.dataclass(frozen=True, kw_only=True)
class GrooveHit:
    """One hit: seconds from the start, velocity 1..127."""

    seconds: float
    velocity: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Groove:
    """The hits of each of TRACKS by time, and the rhythm that they are exact about."""

    style: str
    tempo: float  # beats per minute
    beats_per_bar: int
    swing: float
    swing_subdivision: int
    beats: tuple[float, ...]  # seconds
    first_downbeat: int  # index among `beats`
    hits: dict[str, tuple[GrooveHit, ...]]
    long_kick: bool  # whether the kick rings as an 808 does


def draw_groove(rng: np.random.Generator, seconds: float, style: str | None = None) -> Groove:
    """A groove of `seconds`, cut from a longer performance at any place, in `style` or one of any style."""
    name = style or str(rng.choice(list(STYLES)))
    s = STYLES[name]
    # 1. The rhythm: tempo, swing, where in the bar the cut starts, and who plays it.
    tempo = float(rng.uniform(*s.tempo))
    swing = float(rng.uniform(*s.swing)) if rng.random() < 0.7 else 0.0
    beat = 60 / tempo
    phase = float(rng.uniform(0, s.beats_per_bar)) * beat if rng.random() < 0.7 else 0.0
    machine = rng.random() < s.electronic
    # 2. Each bar that reaches into the cut.
    steps = 4 * s.beats_per_bar
    rows = _rows(rng, s)
    marks: list[tuple[str, float, float]] = []  # track, position in sixteenths of a beat grid, velocity 0..1
    bars = int(np.ceil((seconds + phase) / (beat * s.beats_per_bar))) + 1
    for bar in range(bars):
        marks += [(t, bar * steps + p, v) for t, p, v in _bar(rng, s, rows)]
    # 3. From positions to seconds: swing, then each player's timing.
    silent = {t for t in ("kick", "snare", "hats") if rng.random() < EMPTY_TRACK}
    lag = {t: float(rng.normal(0, 0.004)) * (not machine) for t in TRACKS}
    spread = 0.0 if machine else float(rng.uniform(0.001, 0.008))  # seconds: standard deviation of one hit
    hits: dict[str, list[GrooveHit]] = {t: [] for t in TRACKS}
    for track, position, level in marks:
        if track in silent or (track.endswith("hihat") and "hats" in silent):
            continue
        at = _swung(position, swing, s.swing_subdivision) * beat / 4 - phase
        at += lag[track] + float(rng.normal(0, 1)) * spread
        if not 0 <= at < seconds:
            continue
        velocity = level * 127 + (float(rng.normal(0, 2.0 if machine else 7.0)))
        hits[track].append(GrooveHit(seconds=at, velocity=int(np.clip(round(velocity), 1, 127))))
    beats = np.arange(bars * s.beats_per_bar + 1) * beat - phase
    inside = np.flatnonzero((beats >= -1e-9) & (beats < seconds))
    return Groove(
        style=name,
        tempo=tempo,
        beats_per_bar=s.beats_per_bar,
        swing=swing,
        swing_subdivision=s.swing_subdivision,
        beats=tuple(float(max(b, 0.0)) for b in beats[inside]),
        first_downbeat=int(-inside[0] % s.beats_per_bar) if len(inside) else 0,
        hits={t: _apart(h) for t, h in hits.items()},
        long_kick=bool(rng.random() < s.long_kick),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Rows:
    """What the performance repeats bar after bar."""

    kick: str
    snare: str
    hats: str
    hats_track: str  # "closed_hihat" or "cymbal"
    opened: tuple[int, ...]  # sixteenths at which the hats' stroke is open, beside those that the row says
    clap: str  # "none", "doubles" or "replaces" the snare
    percussion: str | None
    toms: str | None
    density: float  # probability that a soft hat stroke is played


def _rows(rng: np.random.Generator, s: Style) -> _Rows:
    def pick(options: tuple[str, ...]) -> str:
        return options[int(rng.integers(len(options)))]

    percussion = pick(PERCUSSION)[: 4 * s.beats_per_bar] if rng.random() < PERCUSSIVE else None
    toms = pick(TOM_BARS)[: 4 * s.beats_per_bar] if rng.random() < TOM_GROOVE else None
    # Open strokes on one or two off-beats, or throughout.
    opened: tuple[int, ...] = ()
    if rng.random() < OPENED:
        opened = tuple(int(i) for i in rng.choice([2, 6, 10, 14, 15], int(rng.integers(1, 3)), replace=False))
    elif rng.random() < WASHY:
        opened = tuple(range(16))
    clap = "none" if rng.random() >= s.clap else pick(("doubles", "replaces"))
    return _Rows(
        kick=pick(s.kicks),
        snare=pick(s.snares),
        hats=pick(s.hats),
        opened=opened,
        hats_track="cymbal" if rng.random() < s.ride else "closed_hihat",
        clap=clap,
        percussion=percussion,
        toms=toms,
        density=float(rng.uniform(0.7, 1.0)),
    )


def _bar(rng: np.random.Generator, s: Style, rows: _Rows) -> list[tuple[str, float, float]]:
    """The hits of one bar: (track, sixteenths from its start, velocity 0..1)."""
    out: list[tuple[str, float, float]] = []
    steps, rolled = len(rows.kick), 0
    fill = steps - int(rng.choice([2, 4, 4, 8])) if rng.random() < FILL else steps  # where a fill starts
    if rng.random() < CRASH:
        out.append(("cymbal", 0.0, float(rng.uniform(0.8, 1.0))))
    for i in range(steps):
        # 1. Kick, with an extra or a missing hit now and then.
        if (mark := rows.kick[i]) != "-" and rng.random() > 0.04:
            out.append(("kick", i, MARKS[mark]))
        elif i % 2 == 0 and rng.random() < 0.02:
            out.append(("kick", i, 0.7))
        # 2. Snare and clap, up to the fill.
        if i < fill:
            if (mark := rows.snare[i]) != "-":
                if rows.clap != "replaces" or mark == "g":
                    out.append(("snare", i, MARKS[mark]))
                if rows.clap != "none" and mark != "g":
                    out.append(("clap", i, MARKS[mark]))
            elif rng.random() < s.ghosts * (1.0 if i % 2 else 0.4):
                out.append(("snare", i, float(rng.uniform(0.15, 0.4))))
        elif rng.random() < 0.8:
            # The fill: snare and toms.
            drum = "tom" if rng.random() < 0.55 else "snare"
            out.append((drum, i, float(rng.uniform(0.55, 1.0))))
        # 3. Hats: rolls instead of a beat's strokes, else the row.
        if i % 4 == 0 and rows.hats_track == "closed_hihat" and rng.random() < s.rolls:
            rolled = i + 4
            count = int(rng.choice([3, 6, 8, 12]))
            ramp = np.linspace(rng.uniform(0.4, 0.9), rng.uniform(0.5, 0.95), count)
            out += [("closed_hihat", i + 4 * k / count, float(v)) for k, v in enumerate(ramp)]
        elif i >= rolled and (mark := rows.hats[i]) != "-" and (mark == "X" or rng.random() < rows.density):
            opened = (mark == "O" or i in rows.opened) and rows.hats_track == "closed_hihat"
            out.append(("open_hihat" if opened else rows.hats_track, i, MARKS[mark]))
        # 4. Toms and percussion.
        if rows.toms and i < fill and (mark := rows.toms[i]) != "-":
            out.append(("tom", i, MARKS[mark]))
        if rows.percussion and (mark := rows.percussion[i]) != "-":
            out.append(("percussion", i, MARKS[mark]))
    return out


def _swung(position: float, swing: float, subdivision: int) -> float:
    """A position in sixteenths with every second subdivision (2: eighths, 4: sixteenths) played late."""
    length = 4 / subdivision  # sixteenths of one subdivision
    # Piecewise linear within each pair of subdivisions: the middle moves from 1 to 1 + swing.
    pair, inside = divmod(position, 2 * length)
    inside /= length
    moved = inside * (1 + swing) if inside <= 1 else (1 + swing) + (inside - 1) * (1 - swing)
    return float(pair * 2 * length + moved * length)


def _apart(hits: list[GrooveHit]) -> tuple[GrooveHit, ...]:
    """By time; of hits within 15 ms of one track, which no ear tells apart, the first."""
    out: list[GrooveHit] = []
    for hit in sorted(hits, key=lambda h: h.seconds):
        if not out or hit.seconds - out[-1].seconds >= 0.015:
            out.append(hit)
    return tuple(out)
