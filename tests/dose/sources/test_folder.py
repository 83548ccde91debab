"""A user's own sounds, the good and the bad."""

import csv
import dataclasses
import wave

import numpy as np
import pytest
import soundfile
import yaml

from dose import audio
from dose.config import load
from dose.errors import ConfigError, DoseError, MissingInputError
from dose.sources.adapters.folder import Folder, enter, source_items, without_class
from dose.sources.build import build, survey
from dose.sources.config import SourcesConfig

RATE = 44100


def burst(seed: int, seconds: float = 0.4, rate: int = RATE) -> np.ndarray:
    """A decaying noise, different for each seed."""
    time = np.arange(int(seconds * rate)) / rate
    return (
        0.5 * np.random.default_rng(seed).standard_normal(len(time)).clip(-1, 1) * np.exp(-time * 12)
    ).astype("f4")


def folder_at(path, split="auto") -> Folder:
    return Folder(path=str(path), licence="CC0-1.0", author="me", split=split)


@pytest.fixture
def tree(tmp_path):
    """my/: 3 kick kits, open and closed hats, a bass."""
    root = tmp_path / "my"
    for i, place in enumerate(
        [
            "kick/a/1.wav",
            "kick/a/2.wav",
            "kick/b/1.flac",
            "Hats/open/a/o.wav",
            "Hats/closed/a/c.wav",
            "bass/line.wav",
        ]
    ):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / place, burst(i, 2.0 if "bass" in place else 0.4), RATE)
    (root / "notes.txt").write_text("not a sound")
    (root / "cowbell").mkdir()
    return root


def test_classes_variants_and_kits_come_from_the_folders(tree):
    found = {(t.cls, t.variant, t.kit, t.name) for t in source_items(folder_at(tree))}
    assert found == {
        ("kick", "", "a", "1"),
        ("kick", "", "a", "2"),
        ("kick", "", "b", "1"),
        ("hihat", "open", "a", "o"),
        ("hihat", "closed", "a", "c"),
        ("bass", "", "my", "line"),
    }
    groups = {t.kit: t.group for t in source_items(folder_at(tree))}
    assert len(set(groups.values())) == 3


def test_a_table_names_class_kit_licence_and_split(tree):
    (tree / "clips.csv").write_text(
        "file,class,kit,licence,split\nkick/a/1.wav,BD,mine,CC-BY-4.0,test\nkick/b/1.flac,snare,,,\n"
    )
    first, second = source_items(folder_at(tree))
    assert (first.cls, first.kit, first.licence, first.split) == ("kick", "mine", "CC-BY-4.0", "test")
    assert (second.cls, second.kit, second.licence, second.split) == ("snare", "my", "CC0-1.0", "")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("name,kind\na,b\n", "columns file and class"),
        ("file,class\nx.wav,cowbell\n", "line 2.*cowbell"),
        ("file,class,split\nx.wav,kick,dev\n", "line 2.*dev"),
    ],
)
def test_an_error_names_the_line_of_the_table(tree, table, words):
    (tree / "clips.csv").write_text(table)
    with pytest.raises(DoseError, match=words):
        list(source_items(folder_at(tree)))


def test_sounds_in_no_folder_of_a_class_are_reported(tree):
    assert without_class(folder_at(tree)) == []  # an empty folder of another name has nothing to report
    for place in ("cowbell/kit/1.wav", "cowbell/2.wav", "loose.wav", "HH/closed.wav"):
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        (tree / place).touch()
    loose, cowbell = without_class(folder_at(tree))
    assert loose.startswith(f"{tree} is left out with its 1 sound:")
    assert cowbell.startswith(f"{tree / 'cowbell'} is left out with its 2 sounds:")
    assert "kick, snare" in cowbell


def test_a_missing_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(MissingInputError, match="nowhere"):
        list(source_items(folder_at(tmp_path / "nowhere")))
    with pytest.raises(DoseError, match="holds no sounds"):
        list(source_items(folder_at(tmp_path)))


@pytest.fixture
def bad(tmp_path):
    """bad/kick: one file for each way in which a file can be bad, and four good ones."""
    root = tmp_path / "bad" / "kick" / "kit"
    root.mkdir(parents=True)
    for i in range(4):
        soundfile.write(root / f"good{i}.wav", burst(i), RATE)
    (root / "text.wav").write_text("this is not a sound")
    (root / "nothing.wav").touch()
    soundfile.write(root / "no-samples.wav", np.zeros(0), RATE)
    soundfile.write(root / "silence.wav", np.zeros(RATE), RATE)
    hole = burst(9)
    hole[100] = np.nan
    soundfile.write(root / "nan.wav", hole, RATE, subtype="FLOAT")
    soundfile.write(root / "square.wav", np.clip(burst(10) * 100, -1, 1), RATE)
    soundfile.write(root / "tick.wav", burst(11)[:90], RATE)
    soundfile.write(root / "good0-again.flac", soundfile.read(root / "good0.wav")[0], RATE)
    return root.parent.parent


def test_every_bad_file_is_rejected_with_its_reason_and_the_rest_is_kept(bad, tmp_path, small):
    config = dataclasses.replace(small, folders=(folder_at(bad, "train"),), max_reject_share=0.7)
    library = build(config, tmp_path / "out")
    assert sorted(c.name for c in library.clips if c.source == "folder") == [
        "good0-again",
        "good1",
        "good2",
        "good3",
    ]
    with open(tmp_path / "out" / "rejects.csv", newline="") as f:
        reasons = {row["origin"].rsplit("/", 1)[1]: row["reason"] for row in csv.DictReader(f)}
    assert (
        reasons
        == {
            "text.wav": "unreadable",
            "nothing.wav": "empty",
            "no-samples.wav": "empty",
            "silence.wav": "silent",
            "nan.wav": "non-finite",
            "square.wav": "clipped",
            "tick.wav": "too short",
            "good0.wav": "duplicate",
        }
        or reasons.get("good0-again.flac") == "duplicate"
    )


def test_too_many_bad_files_stop_the_stage_with_a_count(bad, small, tmp_path):
    config = dataclasses.replace(small, folders=(folder_at(bad),), max_reject_share=0.25)
    with pytest.raises(DoseError, match=r"7 of 12 files of bad cannot be used.*2 empty.*max_reject_share"):
        build(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_8_bit_96_khz_and_stereo_files_are_brought_to_one_form(tmp_path, only):
    root = tmp_path / "odd" / "snare"
    root.mkdir(parents=True)
    with wave.open(str(root / "8bit.wav"), "wb") as f:
        f.setparams((1, 1, 11025, 0, "NONE", ""))
        f.writeframes((128 + 127 * burst(1, rate=11025)).astype(np.uint8).tobytes())
    high = burst(2, rate=96000)
    soundfile.write(root / "96k.wav", np.stack([high, -0.5 * high], axis=1), 96000, subtype="PCM_24")
    found = survey(folder_at(root.parent, "train"), only())
    assert found.usable == {("snare", "train"): 2}
    assert not found.rejected


def test_half_an_hour_is_read_only_as_far_as_needed(tmp_path, only, monkeypatch):
    root = tmp_path / "long" / "bass"
    root.mkdir(parents=True)
    with soundfile.SoundFile(root / "long.wav", "w", RATE, 1) as f:
        for _ in range(30):
            f.write(burst(1, 60.0))
    decoded = []
    read = audio.read
    monkeypatch.setattr(audio, "read", lambda *a, **k: decoded.append(read(*a, **k)) or decoded[-1])
    found = survey(folder_at(root.parent, "train"), only())
    assert found.usable == {("bass", "train"): 1}
    assert len(decoded[0]) == 60 * RATE


def test_one_kit_cannot_fill_three_splits(tmp_path, tree, only):
    with pytest.raises(DoseError, match=r"no .* clip"):
        build(only(folders=(folder_at(tree),)), tmp_path / "out")


PARAMS = """# the whole truth
sources:
  seed: 0
  folders: {folders}
  max: 0.25  # share
rmod:
  folders: []
"""


@pytest.mark.parametrize(
    "folders",
    [
        "[]",
        "[]      # a user's own: [{path: x}]",
        "[{path: other, licence: CC0, author: you, split: auto}]  # mine",
        "\n    - {path: other, licence: CC0, author: you, split: auto}",
        "\n    - path: other\n      licence: CC0\n      author: you\n      split: auto",
        "\n  - path: other\n    licence: CC0\n    author: you\n    split: auto",
    ],
)
def test_add_extends_params_and_touches_nothing_else(tmp_path, folders):
    params = tmp_path / "params.yaml"
    params.write_text(PARAMS.replace("{folders}", folders))
    before = yaml.safe_load(params.read_text())
    new = Folder(path="my/so'unds, #1", licence="CC BY", author='Jo: "x"', split="train")
    enter(new, params)
    after = yaml.safe_load(params.read_text())
    assert after["sources"]["folders"] == [*before["sources"]["folders"], dataclasses.asdict(new)]
    assert after["rmod"] == before["rmod"]
    assert "# the whole truth" in params.read_text()
    assert "max: 0.25  # share" in params.read_text()
    with pytest.raises(DoseError, match="already"):
        enter(new, params)


def test_an_entry_in_params_is_checked_like_every_key(tmp_path):
    (tmp_path / "params.yaml").write_text("sources:\n  folders: [{path: a, licence: x}]\n")
    with pytest.raises(ConfigError):
        load("sources", SourcesConfig, tmp_path / "params.yaml")
