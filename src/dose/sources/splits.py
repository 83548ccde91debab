"""The split of a clip: by group, never by clip, so that no kit is in both training and test.

A group is a kit together with everything that shares its recordings. GROUPS divides the known packages, by
hand; groups that it does not name (a user's folders) are split by a hash of their name, so that adding a
group later moves no other.
"""

import hashlib
from collections.abc import Iterable, Sequence

from dose.drums import SPLITS
from dose.errors import DoseError
from dose.sources.library import CLASSES, REQUIRED, Clip

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}  # of groups that GROUPS does not name

# MacArthur: GMRock repeats The Black Pearl, AVL shares material with it, Gimme A Hand has the same author.
# TimGM6mb shares recordings with lmms's drums.
GROUPS = {
    "macarthur": "train", "millo": "train", "bja-pacific": "train", "tr808emu": "train",
    "lmms-timgm": "train", "lmms-loops": "train", "fluid-drums": "train", "muldjordkit": "train",
    "rumpf": "val", "colombo": "val", "varibreaks": "val", "hardelectro1": "val",
    "forzee": "test", "electric-empire": "test", "sonic-pi": "test",
}  # fmt: skip

# drumsynth's preset folders; those not named here are in train
DRUMSYNTH = {
    "val": ("tr606", "tr77", "farfisa", "ferraro", "jorgensohn", "electro"),
    "test": ("linn", "cr78", "tr909", "magnetboy", "r_n_b"),
}

# GM programs (from 0) whose riffs are held out, in every SoundFont
PROGRAMS = {"val": (3, 28, 34, 54), "test": (2, 7, 25, 31, 37, 39, 53, 85)}

# singers of voice.py that are held out
VOICES = {"val": ("f4", "m7"), "test": ("f2", "m3", "Andy")}


def of_group(group: str) -> str:
    """The split of a group: by GROUPS, by its drumsynth folder, GM program or singer, else by hash."""
    if group in GROUPS:
        return GROUPS[group]
    family, _, member = group.partition("/")
    if family == "drumsynth":
        return next((s for s, names in DRUMSYNTH.items() if member in names), "train")
    if family == "voice":
        return next((s for s, names in VOICES.items() if member in names), "train")
    if family == "gm" and member.isdigit():
        return next((s for s, numbers in PROGRAMS.items() if int(member) in numbers), "train")
    return by_hash(group)


def by_hash(group: str) -> str:
    """A split that depends on the group's name alone."""
    # A uniform number in 0..1, which falls into the interval of one split.
    point = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64
    for split in SPLITS:
        point -= SHARES[split]
        if point < 0:
            return split
    return SPLITS[-1]


def check(clips: Iterable[Clip]) -> None:
    """Raises DoseError, naming class and split, when RMOD lacks one or a group lies in two splits."""
    # A group in two splits would leak recordings from training into test.
    seen: dict[str, str] = {}
    counts: dict[tuple[str, str], int] = {}
    groups: dict[str, set[str]] = {cls: set() for cls in CLASSES}
    for clip in clips:
        if seen.setdefault(clip.group, clip.split) != clip.split:
            raise DoseError(
                f"Group {clip.group} has clips in {seen[clip.group]} and in {clip.split}; give all of it one "
                "split (params.yaml: sources.folders)."
            )
        counts[clip.cls, clip.split] = counts.get((clip.cls, clip.split), 0) + 1
        groups[clip.cls].add(clip.group)
    for cls in REQUIRED:
        if not groups[cls]:
            raise DoseError(f"There is no {cls} clip; add a source with some (params.yaml: sources).")
        for split in SPLITS:
            if not counts.get((cls, split)):
                raise DoseError(_empty_split(cls, split, sorted(groups[cls])))


def _empty_split(cls: str, split: str, groups: Sequence[str]) -> str:
    have = "the only group is" if len(groups) == 1 else f"its {len(groups)} groups are"
    named = ", ".join(groups[:6]) + (", ..." if len(groups) > 6 else "")
    return (
        f"The {split} split has no {cls} clip: {have} {named}, and a group is never divided; add another kit "
        "or give a folder its split (params.yaml: sources.folders)."
    )
