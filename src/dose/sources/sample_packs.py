"""Sample packs: git repositories of drum recordings under permissive licences, each at one commit.

Only the files that a rule names are taken from a repository, at most `limit` of a rule, evenly from all that
match: packs hold dozens of strokes of one drum, which say little more than a few.
"""

import dataclasses
import re
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

from dose.errors import DoseError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sounds:
    """Files of one class; a group named `kit` in the pattern names their kit."""

    path: str  # regular expression that the whole path matches
    cls: str  # one of library.CLASSES
    variant: str = ""
    limit: int = 8  # of each kit, at most


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplePack:
    """A repository at a commit, what may be done with it, and which of its files are which drum."""

    name: str
    url: str
    commit: str
    licence: str
    author: str
    contents: str
    download: float  # MB, of the whole commit
    unpacked: float  # MB, of the files that are taken
    sounds: tuple[Sounds, ...]
    attribution: str = ""


def _machine(folder: str, suffix: str) -> tuple[Sounds, ...]:
    """Drum machines with one folder each, whose files are named after the drums in many spellings."""

    def named(words: str) -> str:
        return rf"{folder}/(?:.*/)?(?i:[^/]*(?:{words})[^/]*)\.{suffix}"

    return (
        Sounds(path=named(r"hihat-open|openhat|hhopen|ohihat|-oh\b"), cls="hihat", variant="open"),
        Sounds(path=named("hi-?hat|hithat|closedhat|hhclosed|shorthi|-ch"), cls="hihat", variant="closed"),
        Sounds(path=named("kick|bd"), cls="kick"),
        Sounds(path=named("snare|shortsn|sd"), cls="snare"),
        Sounds(path=named("clap"), cls="clap"),
        Sounds(path=named("tom"), cls="tom"),
        Sounds(path=named("crash|splash"), cls="cymbal", variant="crash"),
        Sounds(path=named("ride|cymbal"), cls="cymbal", variant="ride"),
        Sounds(
            path=named("clave|conga|cowb|rim|cabasa|tam|shaker|bongo|guiro|block|stick|timbal"),
            cls="percussion",
        ),
    )


KNOWN = {
    p.name: p
    for p in (
        SamplePack(
            name="open-source-drumkit",
            url="https://github.com/crabacus/the-open-source-drumkit",
            commit="c58808b2ff5a6cd77c2f47cf45f1a892ce6a1e2c",
            # No licence file; the maker's post (kvraudio.com, topic 277132), as others quote it.
            licence="public domain",
            author="Real Music Media",
            contents="an acoustic kit in many strokes",
            download=800,
            unpacked=93,
            sounds=(
                Sounds(path=r"kick/.*\.wav", cls="kick", limit=12),
                Sounds(path=r"snare/snare-(?:top|bottom)\d+\.wav", cls="snare", limit=12),
                Sounds(path=r"snare/snare-(?:top|bottom)-buttend\d+\.wav", cls="snare"),
                Sounds(path=r"rimshot/.*\.wav", cls="snare", limit=6),
                Sounds(path=r"sidestick/.*\.wav", cls="percussion", limit=6),
                Sounds(path=r"toms/(?:small|medium|large)-tom\d+\.wav", cls="tom", limit=18),
                Sounds(path=r"hihat/closed-hihat/.*\.wav", cls="hihat", variant="closed", limit=12),
                Sounds(path=r"hihat/foot-hihat/.*\.wav", cls="hihat", variant="pedal", limit=6),
                Sounds(path=r"hihat/half-open-hihat/.*\.wav", cls="hihat", variant="half-open", limit=12),
                Sounds(path=r"crash/crash\d+\.wav", cls="cymbal", variant="crash", limit=10),
                Sounds(path=r"ride/.*\.wav", cls="cymbal", variant="ride", limit=10),
            ),
        ),
        SamplePack(
            name="muldjordkit",
            url="https://github.com/freepats/muldjordkit",
            commit="719fe72bc6693b94f1229674e202881145ab44ed",
            licence="CC-BY-4.0",
            author="Lars Muldjord, FreePats",
            attribution="MuldjordKit by Lars Muldjord; drum samples provided by DrumGizmo.org.",
            contents="an acoustic kit in many strokes",
            download=160,
            unpacked=36,
            sounds=(
                Sounds(path=r"samples/Kdrum[LR]/.*\.flac", cls="kick"),
                Sounds(path=r"samples/Snare[12]/.*\.flac", cls="snare", limit=12),
                Sounds(path=r"samples/HihatClosed/.*\.flac", cls="hihat", variant="closed"),
                Sounds(path=r"samples/HihatOpen/.*\.flac", cls="hihat", variant="open"),
                Sounds(path=r"samples/Tom\d/.*\.flac", cls="tom", limit=16),
                Sounds(path=r"samples/(?:China|Crash[LR])/.*\.flac", cls="cymbal", variant="crash"),
                Sounds(path=r"samples/Ride[LR](?:Bell)?/.*\.flac", cls="cymbal", variant="ride"),
            ),
        ),
        SamplePack(
            name="gogodze-phu-2",
            url="https://github.com/sfzinstruments/karoryfer.gogodze-phu-vol-ii",
            commit="69a0274cdc39c99c3098cde1bc3789690de86d62",
            licence="CC0-1.0",
            author="Karoryfer Lecolds",
            contents="an old acoustic kit, by several microphones",
            download=300,
            unpacked=31,
            sounds=(
                Sounds(path=r"Samples/(?:kick|front)_mic/ks_.*", cls="kick", limit=12),
                Sounds(path=r"Samples/(?:snare|oh|retro)_mic/s[ce]_.*", cls="snare", limit=18),
                Sounds(path=r"Samples/(?:snare|oh)_mic/ss_.*", cls="percussion", limit=4),
                Sounds(path=r"Samples/(?:oh|snare)_mic/h[ct]_.*", cls="hihat", variant="closed", limit=12),
                Sounds(path=r"Samples/oh_mic/hf_.*", cls="hihat", variant="pedal", limit=4),
                Sounds(path=r"Samples/(?:oh|snare)_mic/ho_.*", cls="hihat", variant="open", limit=12),
                Sounds(path=r"Samples/(?:snare|oh|front)_mic/t[hml]_.*", cls="tom", limit=18),
            ),
        ),
        SamplePack(
            name="frankensnare",
            url="https://github.com/sfzinstruments/karoryfer.frankensnare",
            commit="9151c2d79fcbb73c65d63f78918d4ba7abc91a81",
            licence="CC0-1.0",
            author="Karoryfer Samples",
            contents="many snare drums in many strokes; claps, tambourine",
            download=280,
            unpacked=8,
            sounds=(
                Sounds(path=r"Samples/(?P<kit>1\d[a-z]?_basic)/(?:top|oh)/sn_.*\.flac", cls="snare", limit=6),
                Sounds(
                    path=r"Samples/(?P<kit>1\d[a-z]?_rimshot)/(?:top|oh)/sn_.*\.flac", cls="snare", limit=4
                ),
                Sounds(path=r"Samples/(?P<kit>1\d[a-z]?_muted)/(?:top|oh)/sn_.*\.flac", cls="snare", limit=4),
                Sounds(path=r"Samples/(?P<kit>1\d[a-z]?_basic)/oh/ss_.*\.flac", cls="percussion", limit=1),
                Sounds(path=r"Samples/xtra_claps/.*\.flac", cls="clap", limit=17),
                Sounds(path=r"Samples/xtra_tamb/.*\.flac", cls="percussion"),
            ),
        ),
        SamplePack(
            name="body-percussion",
            url="https://github.com/sfzinstruments/body_percussion",
            commit="4ac9d8966679c648b62fa10a188179e186b97f24",
            licence="CC0-1.0",
            author="Karoryfer Samples",
            contents="claps, snaps, stomps",
            download=20,
            unpacked=18,
            sounds=(
                Sounds(path=r"Samples/body/(?:hand|finger)clap_.*", cls="clap", limit=20),
                Sounds(path=r"Samples/body/(?:pinky)?snap_.*", cls="percussion"),
                Sounds(
                    path=r"Samples/body/(?:chest|half|heel|belly|head|cheek).*", cls="percussion", limit=16
                ),
            ),
        ),
        SamplePack(
            name="world-percussion",
            url="https://github.com/freepats/world-percussion",
            commit="e54eb2912a0d6d4444ab205d52f778e27da0fc96",
            licence="CC0-1.0",
            author="FreePats: Xavimart, Gonzalo, Roberto",
            contents="bongos, congas, cajon, shakers, tambourine, claps",
            download=20,
            unpacked=3,
            sounds=(
                Sounds(path=r"samples/HandClap/.*", cls="clap", limit=11),
                Sounds(path=r"samples/(?P<kit>(?!HandClap)\w+)/.*\.\w+", cls="percussion", limit=5),
            ),
        ),
        SamplePack(
            name="gogodze-phu-1",
            url="https://github.com/sfzinstruments/karoryfer.gogodze-phu-vol-i",
            commit="7452f62060cd3a468c78bc361d96a4dfb30879c9",
            licence="CC0-1.0",
            author="Karoryfer Lecolds",
            contents="cajon and hand drums",
            download=80,
            unpacked=4,
            sounds=(
                Sounds(path=r"Samples/bobobo/.*\.wav", cls="percussion", limit=12),
                Sounds(path=r"Samples/cajon/dyn/cajon_[rs].*_rr\d+_dyn\.wav", cls="percussion", limit=12),
            ),
        ),
        SamplePack(
            name="web-audio-samples",
            url="https://github.com/GoogleChromeLabs/web-audio-samples",
            commit="f5fb1a57acce3f7f0a4aedb443de8cc39f206973",
            licence="Apache-2.0",
            author="Chris Rogers and others, Google",
            contents="15 small kits, of machines and records",
            download=60,
            unpacked=10,
            sounds=(
                Sounds(path=r"src/sounds/drum-samples/(?P<kit>[^/]+)/kick\.wav", cls="kick"),
                Sounds(path=r"src/sounds/drum-samples/(?P<kit>[^/]+)/snare\.wav", cls="snare"),
                # Five of the kits' only hi-hat is an open one: it rings for 0.27 to 0.52 s to -25 dB.
                Sounds(
                    path=r"src/sounds/drum-samples/(?P<kit>4OP-FM|LINN|R8|Stark|breakbeat9)/hihat\.wav",
                    cls="hihat",
                    variant="open",
                ),
                Sounds(
                    path=r"src/sounds/drum-samples/(?P<kit>[^/]+)/hihat\.wav", cls="hihat", variant="closed"
                ),
                Sounds(
                    path=r"src/sounds/drum-samples/(?P<kit>(?!breakbeat)[^/]+)/tom\d\.wav", cls="tom", limit=3
                ),
                Sounds(path=r"src/demos/(?P<kit>mld-drum-sampler)/samples/drum-kd-.*\.mp3", cls="kick"),
                Sounds(path=r"src/demos/(?P<kit>mld-drum-sampler)/samples/drum-sd-.*\.mp3", cls="snare"),
                Sounds(
                    path=r"src/demos/(?P<kit>mld-drum-sampler)/samples/drum-hh-.*\.mp3",
                    cls="hihat",
                    variant="closed",
                ),
                Sounds(
                    path=r"src/demos/(?P<kit>mld-drum-sampler)/samples/drum-oh-.*\.mp3",
                    cls="hihat",
                    variant="open",
                ),
            ),
        ),
        SamplePack(
            name="drum-machines",
            url="https://github.com/smpldsnds/drum-machines",
            commit="a894cb8c72abe15b05e7b4fd4b8ee561c0f9e960",
            licence="public domain",
            author="smpldsnds",
            contents="Casio, MFB, Roland, Sequential, Univox, Yamaha",
            download=10,
            unpacked=1,
            sounds=_machine(
                r"(?P<kit>Casio-\w+|MFB-512|Micro-Rhythmer-12|Roland-CR-8000|Sequential[^/]*|Yamaha-\w+)",
                "ogg",
            ),
        ),
        SamplePack(
            name="sampled",
            url="https://github.com/oramics/sampled",
            commit="84d3405e107ad52986e7ca99af6a4ed3efe205de",
            licence="public domain",
            author="oramics",
            contents="Roland, Linn, Maestro",
            download=200,
            unpacked=15,
            sounds=(
                *_machine(r"DM/(?P<kit>CR-78|LM-2|MRK-2|TR-505|TR-909/\w+)", "wav"),
                Sounds(path=r"DM/(?P<kit>TR-808)/samples/.*\.BD\..*wav", cls="kick", limit=6),
                Sounds(path=r"DM/(?P<kit>TR-808)/samples/.*\.SD\d*\..*wav", cls="snare", limit=6),
                Sounds(
                    path=r"DM/(?P<kit>TR-808)/samples/.*\.CH\..*wav", cls="hihat", variant="closed", limit=4
                ),
                Sounds(
                    path=r"DM/(?P<kit>TR-808)/samples/.*\.OH\..*wav", cls="hihat", variant="open", limit=6
                ),
                Sounds(path=r"DM/(?P<kit>TR-808)/samples/.*\.CP\..*wav", cls="clap", limit=4),
                Sounds(path=r"DM/(?P<kit>TR-808)/samples/.*\.[HML]T\..*wav", cls="tom", limit=6),
                Sounds(
                    path=r"DM/(?P<kit>TR-808)/samples/.*\.CY\..*wav", cls="cymbal", variant="crash", limit=4
                ),
            ),
        ),
        SamplePack(
            name="free-drum-samples",
            url="https://github.com/Boochi44/free-drum-samples",
            commit="77ba31428a079dd8f17c8e144c1e649ea0a198b3",
            licence="CC0-1.0",
            author="Boochi44, Edward Loveall",
            contents="three small kits after the TR-808",
            download=10,
            unpacked=2,
            sounds=(
                Sounds(path=r"drum-samples/(?P<kit>[^/]+)/kicks/.*", cls="kick"),
                Sounds(path=r"drum-samples/(?P<kit>[^/]+)/808s/.*", cls="kick", limit=2),
                Sounds(path=r"drum-samples/(?P<kit>[^/]+)/snares/.*", cls="snare"),
                Sounds(path=r"drum-samples/(?P<kit>[^/]+)/claps/.*", cls="clap"),
                Sounds(path=r"drum-samples/(?P<kit>[^/]+)/hi-hats/.*", cls="hihat", variant="closed"),
                # The lo-fi kit's are cut so short that they are closed.
                Sounds(path=r"drum-samples/(?P<kit>0[12][^/]+)/open-hats/.*", cls="hihat", variant="open"),
                Sounds(path=r"drum-samples/(?P<kit>[^/]+)/percs/.*tom.*", cls="tom"),
            ),
        ),
    )
}


def chosen(pack: SamplePack, paths: Iterable[str]) -> list[tuple[str, Sounds, str]]:
    """(path, rule, kit) of every file that is taken; a file that two rules match belongs to the first."""
    paths, taken = sorted(paths, key=_natural), set()
    found: list[tuple[str, Sounds, str]] = []
    for rule in pack.sounds:
        pattern = re.compile(rule.path)
        by_kit: dict[str, list[str]] = {}
        for path in paths:
            if path not in taken and (match := pattern.fullmatch(path)):
                by_kit.setdefault(match.groupdict().get("kit") or pack.name, []).append(path)
        for kit, matching in by_kit.items():
            taken.update(matching)
            count = min(rule.limit, len(matching))
            # Evenly from the first to the last: the numbers rise with the force of the stroke.
            picks = {round(i * (len(matching) - 1) / max(count - 1, 1)) for i in range(count)}
            found += [(matching[i], rule, kit) for i in sorted(picks)]
    return found


def _natural(path: str) -> list[tuple[int, str]]:
    """A key that sorts 2 before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]


def fetch_into(pack: SamplePack, folder: Path, scratch: Path, clone: Path | None) -> None:
    """Writes the pack's chosen files into `folder`, from a local clone or its address.

    git checks the content. `scratch` is an empty folder for the download. Raises DoseError in one sentence.
    """
    # 1. The commit, and nothing before it.
    git_dir = scratch / "clone"
    if clone is None:
        _git(pack, "init", "--quiet", "--bare", str(git_dir))
        _git(pack, "--git-dir", str(git_dir), "fetch", "--quiet", "--depth", "1", pack.url, pack.commit)
    else:
        git_dir = clone / ".git" if (clone / ".git").is_dir() else clone
    # 2. Its chosen files, by way of a tar archive.
    at = ("--git-dir", str(git_dir), "--literal-pathspecs")
    names = _git(pack, *at, "ls-tree", "-r", "-z", "--name-only", pack.commit).split("\0")
    files = [path for path, _, _ in chosen(pack, names)]
    if not files:
        raise DoseError(f"The commit {pack.commit} of {pack.name} holds none of the pack's sounds.")
    archive = scratch / "files.tar"
    _git(pack, *at, "archive", "--format=tar", "-o", str(archive), pack.commit, "--", *files)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def _git(pack: SamplePack, *arguments: str) -> str:
    try:
        run = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as e:
        raise DoseError(f"The sample pack {pack.name} is fetched with git, which this machine lacks.") from e
    if run.returncode:
        detail = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DoseError(
            f"git cannot fetch the sample pack {pack.name} ({detail.removeprefix('fatal: ')}); clone "
            f"{pack.url} yourself into a folder called {pack.name} and run `dose sources fetch {pack.name} "
            "--from FOLDER`, where FOLDER is the one around it."
        )
    return run.stdout
