"""Sample packs from a git repository that is made here: no test needs a network."""

import dataclasses
import re
import subprocess

import numpy as np
import pytest
import soundfile

from dose.errors import DoseError, MissingInputError
from dose.sources import packages, sample_packs
from dose.sources.adapters import debian
from dose.sources.build import build
from dose.sources.config import Procedural, SourcesConfig
from dose.sources.library import CLASSES
from dose.sources.sample_packs import SamplePack, Sounds, chosen


def git(folder, *arguments):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    run = subprocess.run(
        ["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True
    )
    return run.stdout.strip()


@pytest.fixture
def pack(tmp_path, monkeypatch):
    """A pack of three kicks and one hat in a repository, known under the name `tiny`."""
    home = tmp_path / "clones/tiny"
    rng = np.random.default_rng(0)
    for name in ("kick/10.wav", "kick/2.wav", "kick/1.wav", "odd kit/hat.wav", "other/x.wav"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        sound = rng.standard_normal(8000) * np.exp(-np.arange(8000) / 900)
        soundfile.write(home / name, sound / np.abs(sound).max(), 44100)
    git(home, "init", "-q")
    git(home, "add", ".")
    git(home, "commit", "-q", "-m", "sounds")
    made = SamplePack(
        name="tiny", url=str(home), commit=git(home, "rev-parse", "HEAD"), licence="CC0-1.0",
        author="A. Drummer", contents="", download=1, unpacked=1,
        sounds=(
            Sounds(path=r"kick/.*\.wav", cls="kick", limit=2),
            Sounds(path=r"(?P<kit>[^/]* kit)/hat\.wav", cls="hihat", variant="closed"),
        ),
    )  # fmt: skip
    monkeypatch.setitem(sample_packs.KNOWN, "tiny", made)
    entry = packages.Package(name="tiny", licence="CC0-1.0", download=1, unpacked=1, contents="")
    monkeypatch.setitem(packages.KNOWN, "tiny", entry)
    return made


def fetch(tmp_path, **extra):
    return packages.fetch("tiny", tmp_path / "archives", lambda *_: None, **extra)


def files_of(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_the_chosen_files_of_the_commit_are_fetched(pack, tmp_path):
    folder = fetch(tmp_path)
    # Of the three kicks the softest and the loudest: numbers are sorted as numbers.
    assert files_of(folder) == ["VERSION", "kick/1.wav", "kick/10.wav", "odd kit/hat.wav"]
    assert packages.version_of(folder) == pack.commit
    assert [p.name for p in (tmp_path / "archives").iterdir()] == ["tiny"]


def test_a_local_clone_is_used_first(pack, tmp_path, monkeypatch):
    nowhere = dataclasses.replace(pack, url=str(tmp_path / "nowhere"))
    monkeypatch.setitem(sample_packs.KNOWN, "tiny", nowhere)
    assert files_of(fetch(tmp_path, local=tmp_path / "clones"))[1:] == [
        "kick/1.wav",
        "kick/10.wav",
        "odd kit/hat.wav",
    ]


@pytest.mark.parametrize("change", [{"commit": "0" * 40}, {"url": "/nowhere/at/all"}])
def test_a_pack_that_cannot_be_had_is_one_sentence_and_leaves_nothing(pack, tmp_path, monkeypatch, change):
    monkeypatch.setitem(sample_packs.KNOWN, "tiny", dataclasses.replace(pack, **change))
    with pytest.raises(
        DoseError, match=r"git cannot fetch the sample pack tiny .*clone .* `dose sources fetch tiny --from"
    ):
        fetch(tmp_path)
    assert not list((tmp_path / "archives").iterdir())


def test_without_git_one_sentence_says_so(pack, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DoseError, match="tiny is fetched with git, which this machine lacks"):
        fetch(tmp_path)


def test_its_sounds_are_training_items_with_their_kit_and_licence(pack, tmp_path):
    with pytest.raises(MissingInputError, match="dose sources fetch tiny"):
        list(debian.source_items(("tiny",), tmp_path / "archives", 0))
    fetch(tmp_path)
    items = list(debian.source_items(("tiny",), tmp_path / "archives", 0))
    assert [(i.name, i.cls, i.variant, i.kit, i.split) for i in items] == [
        ("1", "kick", "", "tiny", "train"),
        ("10", "kick", "", "tiny", "train"),
        ("hat", "hihat", "closed", "tiny/odd kit", "train"),
    ]
    assert {(i.licence, i.author, i.version) for i in items} == {("CC0-1.0", "A. Drummer", pack.commit)}
    assert all(np.isfinite(i.load()).all() for i in items)


def test_of_a_validation_package_only_the_validation_kits_are_used(pack, tmp_path, monkeypatch):
    fetch(tmp_path)
    common = {
        "seed": 0, "bundled": True, "procedural": Procedural(train=1, val=1, test=1),
        "archives": str(tmp_path / "archives"), "soundfonts": (), "riffs_per_program": 0, "sung_phrases": 0,
        "folders": (), "loop_seconds": 4.0, "duplicate_correlation": 0.97, "max_reject_share": 0.5,
    }  # fmt: skip
    config = SourcesConfig(packages=(), validation_packages=("tiny",), **common)
    library = build(config, tmp_path / "without")
    assert not [c for c in library.clips if c.package == "tiny"]  # all of it is for training
    monkeypatch.setattr("dose.sources.adapters.sample_pack.SPLIT", "val")
    library = build(config, tmp_path / "with")
    assert {(c.name, c.split) for c in library.clips if c.package == "tiny"} == {
        ("1", "val"), ("10", "val"), ("hat", "val"),
    }  # fmt: skip


def test_a_rule_takes_evenly_and_a_file_belongs_to_the_first_rule(pack):
    rules = (
        Sounds(path=r"a/\d+\.wav", cls="snare", limit=3),
        Sounds(path=r"(?P<kit>\w)/.*", cls="clap", limit=1),
    )
    found = chosen(
        dataclasses.replace(pack, sounds=rules), [f"a/{i}.wav" for i in range(1, 12)] + ["b/x", "c/x", "c/y"]
    )
    assert [(path, rule.cls, kit) for path, rule, kit in found] == [
        ("a/1.wav", "snare", "tiny"), ("a/6.wav", "snare", "tiny"), ("a/11.wav", "snare", "tiny"),
        ("b/x", "clap", "b"), ("c/x", "clap", "c"),
    ]  # fmt: skip


@pytest.mark.parametrize("known", sample_packs.KNOWN.values(), ids=lambda p: p.name)
def test_known_packs_are_pinned_and_permissive(known):
    assert re.fullmatch("[0-9a-f]{40}", known.commit)
    assert known.licence in {"public domain", "CC0-1.0", "CC-BY-4.0", "Apache-2.0"}
    assert known.attribution or not known.licence.startswith("CC-BY")
    assert {rule.cls for rule in known.sounds} <= set(CLASSES)
    for rule in known.sounds:
        re.compile(rule.path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Casio-SK1/hithat.ogg", ("hihat", "closed")),
        ("Yamaha-MR10/ohihat.ogg", ("hihat", "open")),
        ("Micro-Rhythmer-12/univox-ch.ogg", ("hihat", "closed")),
        ("Roland-CR-8000/cymball.ogg", ("cymbal", "ride")),
        ("Sequential-Circuits-Drumtraks/DT_Closedhat.ogg", ("hihat", "closed")),
        ("Sequential-Circuits-Drumtraks/DT_Rimshot.ogg", ("percussion", "")),
        ("Yamaha-MR10/shortsn.ogg", ("snare", "")),
    ],
)
def test_drum_machines_spell_their_drums_in_many_ways(path, expected):
    [(_, rule, _)] = chosen(sample_packs.KNOWN["drum-machines"], [path])
    assert (rule.cls, rule.variant) == expected
