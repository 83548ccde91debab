"""Styles of drum grooves: tempo, metre, swing and bars of each track. Written by hand from common practice.

A bar is a string of sixteenths (16 in 4/4, 12 in 3/4): X accent, x normal, o soft, g ghost note, - rest; in
rows of hats, O is an open hi-hat.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Style:
    """What a groove is drawn from: one bar of each row, with the probabilities of what decorates it."""

    tempo: tuple[float, float]  # beats per minute
    kicks: tuple[str, ...]
    snares: tuple[str, ...]
    hats: tuple[str, ...]
    swing: tuple[float, float] = (0.0, 0.0)  # as Rhythm.swing
    swing_subdivision: int = 4
    beats_per_bar: int = 4
    clap: float = 0.25  # probability that claps double or replace the snare
    ghosts: float = 0.0  # probability of a ghost note on a free sixteenth beside the snare
    rolls: float = 0.05  # probability per beat that hats are rolled in 32nds or triplets
    ride: float = 0.1  # probability that a ride or crash cymbal plays the hats' row
    electronic: float = 0.5  # probability of exact timing and even velocities
    long_kick: float = 0.0  # probability that the kick rings as an 808 does


_ROCK_HATS = (
    "X-x-X-x-X-x-X-x-",
    "x-x-x-x-x-x-x-O-",
    "X---X---X---X---",
    "xxxxxxxxxxxxxxxx",
    "x-x-x-O-x-x-x-x-",
)

STYLES = {
    "rock": Style(
        tempo=(90, 160),
        kicks=("X-------X-x-----", "X-----x-X-------", "X--x----x-x-----", "X-x-----X-x---x-"),
        snares=("----X-------X---",),
        hats=_ROCK_HATS,
        ghosts=0.08,
        ride=0.25,
        electronic=0.1,
        clap=0.17,
    ),
    "punk": Style(
        tempo=(150, 200),
        kicks=("X---x---X-x-x---", "X-x-----X-x-----"),
        snares=("----X-------X---",),
        hats=("X-x-X-x-X-x-X-x-", "X---X---X---X---"),
        ride=0.3,
        electronic=0.1,
        clap=0.05,
    ),
    "ballad": Style(
        tempo=(60, 84),
        kicks=("X---------x-----", "X------xX-------"),
        snares=("----X-------X---", "--------X-------"),
        hats=("X-x-X-x-X-x-X-x-", "X-o-x-o-X-o-x-o-", "xoxoxoxoxoxoxoxo"),
        ride=0.2,
        electronic=0.3,
        clap=0.24,
    ),
    "pop": Style(
        tempo=(92, 132),
        kicks=("X-----x-X-------", "X---X---X---X---", "X--x--x-X-------"),
        snares=("----X-------X---",),
        hats=("X-x-X-x-X-x-X-x-", "--x---x---x---x-", "xoxoxoxoxoxoxoxo"),
        clap=0.66,
        electronic=0.6,
    ),
    "house": Style(
        tempo=(116, 130),
        kicks=("X---X---X---X---",),
        snares=("----X-------X---", "----------------"),
        hats=("--O---O---O---O-", "--O---O---O---Ox", "xxOxxxOxxxOxxxOx", "--x---x---x---x-"),
        clap=0.8,
        electronic=0.9,
    ),
    "techno": Style(
        tempo=(124, 148),
        kicks=("X---X---X---X---", "X---X---X---X-x-"),
        snares=("----------------", "----x-------x---"),
        hats=("--O---O---O---O-", "xxxxxxxxxxxxxxxx", "--x---x---x---x-"),
        clap=0.8,
        electronic=1.0,
    ),
    "disco": Style(
        tempo=(108, 130),
        kicks=("X---X---X---X---",),
        snares=("----X-------X---",),
        hats=("x-O-x-O-x-O-x-O-", "xoOoxoOoxoOoxoOo"),
        clap=0.52,
        ghosts=0.05,
        electronic=0.3,
    ),
    "hiphop": Style(
        tempo=(80, 104),
        kicks=("X-----x---x-----", "X--x------x--x--", "X------xX-x-----", "X-x-------X-----"),
        snares=("----X-------X---",),
        hats=("X-x-X-x-X-x-X-x-", "x-xox-x-x-xox-xo", "x-x-x-x-x-x-x-O-"),
        swing=(0.0, 0.33),
        clap=0.52,
        ghosts=0.1,
        electronic=0.4,
        long_kick=0.2,
    ),
    "trap": Style(
        tempo=(128, 160),
        kicks=("X-----x-----x---", "X------x--X-----", "X--x--x-----x---", "X---------x-----"),
        snares=("--------X-------",),
        hats=("X-x-X-x-X-x-X-x-", "xxxxxxxxxxxxxxxx", "x--x--x-x--x--x-"),
        clap=0.8,
        rolls=0.3,
        ride=0.0,
        electronic=1.0,
        long_kick=0.7,
    ),
    "dnb": Style(
        tempo=(164, 178),
        kicks=("X---------X-----", "X-x-------X-----", "X-----x---X-----"),
        snares=("----X-------X---", "----X--g-g--X---"),
        hats=("X-x-X-x-X-x-X-x-", "x-xxx-xxx-xxx-xx", "X---x---X---x---"),
        ghosts=0.12,
        ride=0.2,
        electronic=0.6,
        clap=0.17,
    ),
    "breakbeat": Style(
        tempo=(95, 140),
        kicks=("X-X-------XX----", "X-----x---X--x--"),
        snares=("----X--g-g--X--g", "----X--g-gg-X---"),
        hats=("X-x-X-x-X-x-X-x-", "x-x-x-x-x-x-x-x-"),
        swing=(0.0, 0.2),
        ghosts=0.15,
        electronic=0.1,
        clap=0.05,
    ),
    "funk": Style(
        tempo=(88, 120),
        kicks=("X--x--x---x--x--", "X-x---x---x-x---", "X--x----X-x----x"),
        snares=("----X--g-g--X--g", "-g--X--g-g-gX---"),
        hats=("XoxoXoxoXoxoXoxo", "X-x-X-x-X-xOX-x-", "xxxxxxOxxxxxxxxx"),
        swing=(0.0, 0.2),
        ghosts=0.2,
        electronic=0.05,
        clap=0.17,
    ),
    "reggae": Style(
        tempo=(66, 92),
        kicks=("--------X-------", "X---X---X---X---"),
        snares=("--------x-------", "----------------"),
        hats=("X-xoX-xoX-xoX-xo", "--X---X---X---X-"),
        swing=(0.1, 0.33),
        electronic=0.2,
        clap=0.17,
    ),
    "reggaeton": Style(
        tempo=(86, 104),
        kicks=("X---X---X---X---",),
        snares=("---x--x----x--x-",),
        hats=("x-x-x-x-x-x-x-x-", "--x---x---x---x-"),
        clap=0.52,
        electronic=0.9,
        long_kick=0.1,
    ),
    "halftime": Style(
        tempo=(130, 160),
        kicks=("X-----x---------", "X--x------x-----"),
        snares=("--------X-------",),
        hats=("X---x---X---x---", "x-x-x-x-x-x-x-x-"),
        ghosts=0.04,
        rolls=0.1,
        electronic=0.7,
        long_kick=0.4,
        clap=0.52,
    ),
    "shuffle": Style(
        tempo=(80, 140),
        kicks=("X-----x-X-----x-", "X---X---X---X---"),
        snares=("----X-------X---",),
        hats=("X-x-X-x-X-x-X-x-",),
        swing=(0.25, 0.38),
        swing_subdivision=2,
        ghosts=0.03,
        ride=0.35,
        electronic=0.1,
        clap=0.17,
    ),
    "jazz": Style(
        tempo=(100, 200),
        kicks=("o---o---o---o---", "----------x-----", "x-----------o---"),
        snares=("----------o-----", "------g-------o-", "----------------"),
        hats=("----x-------x---",),
        swing=(0.25, 0.36),
        swing_subdivision=2,
        ghosts=0.08,
        ride=0.9,
        electronic=0.0,
        clap=0.05,
    ),
    "waltz": Style(
        tempo=(80, 180),
        beats_per_bar=3,
        kicks=("X-----------", "X-------x---"),
        snares=("----x---x---", "--------X---"),
        hats=("X-x-X-x-X-x-", "X---x---x---"),
        ride=0.2,
        electronic=0.2,
        clap=0.17,
    ),
    "metal": Style(
        tempo=(100, 190),
        kicks=("XxXxXxXxXxXxXxXx", "X-XX--XXX-XX--XX", "X-xxX-xxX-xxX-xx"),
        snares=("----X-------X---", "--------X-------"),
        hats=("X---X---X---X---", "X-x-X-x-X-x-X-x-"),
        ride=0.5,
        electronic=0.2,
        clap=0.05,
    ),
}
