"""Nothing of a user's is lost: no output replaces an input, and a folder never holds two kits."""

import os
import sys
from pathlib import Path

import pytest
from extract_beat import RATE

from dose import audio

ALL = ("--keep-undetected", "--kit", "all")


def _everything(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def _song(path: str, loop) -> Path:
    audio.write(path, loop, RATE)
    return Path(path)


def _sources(folder: Path) -> set[str]:
    """The mixes that a folder's WAVs were taken from, as their INFO chunk says."""
    found = set()
    for path in folder.glob("*.wav"):
        body = path.read_bytes()
        at = body.rindex(b"ISRC")
        found.add(
            body[at + 8 : at + 8 + int.from_bytes(body[at + 4 : at + 8], "little")].rstrip(b"\0").decode()
        )
    return found


# What a user may call the mix, and what --out may be, so that a kit's file would fall onto the mix.
COLLISIONS = {
    "the kit's own name": ("loops/kick.wav", "loops", ()),
    "in the working directory": ("snare.wav", ".", ()),
    "a path with dots": ("loops/hihat.wav", "loops/../loops/deep/..", ()),
    "an absolute path": ("loops/kick.wav", "{root}/loops", ()),
    "another case": ("loops/KICK.WAV", "loops", ()),
    "several candidates": ("loops/kick_01_{confidence}.wav", "loops", ("--candidates", "2")),
    "an instrument's name": ("loops/kick.sfz", "loops", ("--kit", "sfz")),
    "a glob": ("loops/kick.wav", "loops", ("GLOB",)),
    "a folder of one": ("loops/kick.wav", "loops", ("FOLDER",)),
}


@pytest.mark.parametrize("name", COLLISIONS)
def test_an_input_is_never_overwritten(run, tmp_path, loop, name):
    """Issue 17, 1: `dose extract loops/kick.wav --out loops` replaced the mix by the kick."""
    path, out, options = COLLISIONS[name]
    if "{confidence}" in path:  # learnt from a run elsewhere: the same input gives the same names
        _song("probe.wav", loop)
        run("probe.wav", "--out", "probe", "--keep-undetected", "--candidates", "2")
        path = f"loops/{sorted(p.name for p in Path('probe').iterdir() if 'kick_01' in p.name)[0]}"
    audio.write(tmp_path / "made.wav", loop, RATE)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path("made.wav").rename(path)
    before = _everything(tmp_path)
    mix = {"GLOB": "loops/*", "FOLDER": "loops"}.get(options[0] if options else "", path)
    options = [o for o in options if o not in ("GLOB", "FOLDER")]
    code, _, err = run(mix, "--out", out.format(root=tmp_path), "--keep-undetected", *options)
    assert code == 1
    assert err.count("\n") == 1
    assert "would be overwritten" in err
    assert _everything(tmp_path) == before


def test_a_link_to_an_input_is_not_followed(run, tmp_path, loop):
    """Symbolic and hard links in --out lead to the mix; neither it nor the link may be written over."""
    song = _song("a.wav", loop)
    for make in (os.symlink, os.link):
        folder = Path(make.__name__)
        folder.mkdir()
        make(song.resolve(), folder / "kick.wav")
    Path("other").symlink_to("link", target_is_directory=True)
    before = _everything(tmp_path)
    for out in ("symlink", "link", "other"):
        code, _, err = run("a.wav", "--out", out, "--keep-undetected")
        assert (code, "would be overwritten" in err) == (1, True)
    assert _everything(tmp_path) == before


@pytest.mark.parametrize("mix", ["kit/kick.wav", "link.wav", "kit"])
def test_a_kit_that_is_extracted_from_is_not_replaced(run, tmp_path, loop, mix):
    """The input is a file that DOSE itself wrote: it could be made again, but it is an input."""
    _song("a.wav", loop)
    run("a.wav", "--out", "kit", "--keep-undetected", "--drums", "kick")
    Path("link.wav").symlink_to("kit/kick.wav")
    before = _everything(tmp_path)
    code, _, err = run(mix, "--out", "kit", "--keep-undetected")
    assert (code, "is an input and would be replaced" in err) == (1, True)
    assert _everything(tmp_path) == before


def test_a_users_own_sound_is_not_overwritten_either(run, tmp_path, loop):
    _song("loops/song.wav", loop)
    _song("loops/snare.wav", loop)
    before = _everything(tmp_path)
    code, _, err = run("loops/song.wav", "--out", "loops", "--keep-undetected")
    assert (code, "loops/snare.wav would be overwritten" in err) == (1, True)
    assert _everything(tmp_path) == before


def test_beside_other_files_a_kit_is_written_and_they_stay(run, tmp_path, loop):
    _song("loops/song.wav", loop)
    Path("loops/notes.txt").write_text("mine")
    before = _everything(tmp_path)
    assert run("loops/song.wav", "--out", "loops", "--keep-undetected")[0] == 0
    after = _everything(tmp_path)
    assert before.items() <= after.items()
    assert set(after) - set(before) == {"loops/kick.wav", "loops/snare.wav", "loops/hihat.wav"}


def test_nothing_is_written_when_one_of_several_places_is_taken(run, tmp_path, loop):
    for name in ("a.wav", "b.wav"):
        _song(name, loop)
    _song("kits/b/kick.wav", loop)
    before = _everything(tmp_path)
    code, _, err = run("a.wav", "b.wav", "--out", "kits", "--keep-undetected")
    assert (code, "kits/b/kick.wav would be overwritten" in err) == (1, True)
    assert _everything(tmp_path) == before


@pytest.mark.parametrize("page", ["song.wav", "./x/../song.wav", "mine.html", "link.html", "kit.txt"])
def test_a_page_replaces_nothing_but_a_page(run, tmp_path, loop, page):
    _song("song.wav", loop)
    Path("x").mkdir()
    Path("mine.html").write_text("<title>My own page</title>")
    Path("link.html").symlink_to("song.wav")
    before = _everything(tmp_path)
    code, _, err = run("song.wav", "--out", "kit", "--keep-undetected", "--page", page)
    assert code == 1
    assert err.count("\n") == 1
    assert _everything(tmp_path) == before


def test_a_page_is_written_anew_beside_or_in_the_kit(run, loop):
    _song("song.wav", loop)
    for _ in range(2):
        assert run("song.wav", "--out", "kit", "--keep-undetected", "--page", "kit/kit.html")[0] == 0
        assert "Kits out of 1 recording" in Path("kit/kit.html").read_text()


def test_a_kit_folder_holds_one_kit(run, loop):
    """Issue 17, 2: a second song in the same --out left the first one's other drums beside its own."""
    _song("a.wav", loop)
    _song("b.wav", loop[::-1] * 0.5)
    assert run("a.wav", "--out", "kit", *ALL, "--candidates", "2")[0] == 0
    assert run("b.wav", "--out", "kit", "--keep-undetected", "--kit", "sfz", "--drums", "kick")[0] == 0
    assert {p.name for p in Path("kit").iterdir()} - {"b.mid", "b-quantised.mid"} == {"b.sfz", "kick.wav"}
    assert _sources(Path("kit")) == {"b.wav"}


def test_a_kit_that_finds_nothing_leaves_the_one_before(run, loop, tmp_path):
    _song("a.wav", loop)
    run("a.wav", "--out", "kit", "--keep-undetected")
    before = _everything(tmp_path)
    audio.write("silent.wav", loop * 0, RATE)
    assert run("silent.wav", "--out", "kit", "--keep-undetected")[0] == 1
    assert _everything(tmp_path / "kit") == {k[4:]: v for k, v in before.items() if k.startswith("kit/")}


def test_sounds_of_several_kits_are_somebodys_choice(run, loop, tmp_path):
    """A folder of chosen sounds, which older versions also made by mistake, is not emptied."""
    for name, drum in (("a", "kick"), ("b", "snare")):
        _song(f"{name}.wav", loop)
        run(f"{name}.wav", "--out", name, "--keep-undetected", "--drums", drum)
    Path("best").mkdir()
    Path("a/kick.wav").rename("best/kick.wav")
    Path("b/snare.wav").rename("best/snare.wav")
    before = _everything(tmp_path)
    code, _, err = run("a.wav", "--out", "best", "--keep-undetected")
    assert (code, "several kits (a.wav, b.wav)" in err) == (1, True)
    assert _everything(tmp_path) == before


def test_songs_of_one_stem_keep_their_own_folders_over_runs(run, loop):
    """One folder a song: a kit of x.wav is not replaced by that of x.flac, nor of another X.wav."""
    for name in ("1/x.wav", "2/x.flac", "3/X.wav", "y.wav"):
        _song(name, loop)
    options = ("--out", "kits", "--keep-undetected", "--drums", "kick")
    run("1/x.wav", "y.wav", *options)
    run("2/x.flac", "3/X.wav", *options)
    run("1/x.wav", "2/x.flac", *options)
    found = {p.name: _sources(p) for p in Path("kits").iterdir()}
    assert found == {"x": {"x.wav"}, "x_2": {"x.flac"}, "X": {"X.wav"}, "y": {"y.wav"}}


# Item 4: names that lead elsewhere.


@pytest.mark.parametrize("name", ["...wav", "..wav", ".. .wav", ". ..flac", "a\tb.wav", "a\nb.wav"])
def test_a_folder_named_from_a_mix_stays_below_out(run, tmp_path, loop, name):
    """Issue 17, 4: the stem of `...wav` is `..`, so its kit was written beside --out."""
    _song(name, loop)
    _song("b.wav", loop)
    assert run(name, "b.wav", "--out", "kits/deep", "--keep-undetected", "--drums", "kick")[0] == 0
    made = list(tmp_path.rglob("kick.wav"))
    assert len(made) == 2
    assert {p.parent.parent for p in made} == {tmp_path / "kits" / "deep"}
    assert all(p.parent.name.isprintable() for p in made)


@pytest.mark.parametrize("arguments", [("",), ("song.wav", "")])
def test_an_empty_name_is_not_the_current_folder(run, loop, arguments):
    _song("song.wav", loop)
    code, _, err = run(*arguments, "--out", "kit")
    assert (code, "empty text" in err, Path("kit").exists()) == (1, True, False)


@pytest.mark.parametrize("option", ["--out", "--watch", "--page", "--bundle"])
def test_an_empty_option_is_not_the_current_folder(run, loop, capsys, option):
    _song("song.wav", loop)
    with pytest.raises(SystemExit) as wrong:
        run("song.wav", "--out", "kit", option, "")
    assert wrong.value.code == 2
    assert "empty text" in capsys.readouterr().err


# Item 3: a watched folder.


@pytest.fixture
def watch(run, monkeypatch):
    """Watches in/ into kits/ until nothing is new: standard output."""

    def call(*options: str) -> str:
        naps = iter(range(3))

        def sleep(seconds):
            if next(naps) == 2:
                raise KeyboardInterrupt

        monkeypatch.setattr("dose.extract.inputs.watch.__defaults__", (0.0, sleep))
        _, out, err = run("--watch", "in", "--out", "kits", "--drums", "kick", "--keep-undetected", *options)
        assert "Stopped" in err
        return out

    return call


def test_a_watched_folder_is_extracted_once(watch, loop):
    _song("in/x.wav", loop)
    assert "x.wav -> kits/x" in watch()
    _song("in/new.wav", loop)
    again = watch()
    assert "x.wav" not in again
    assert "new.wav -> kits/new" in again


def test_a_watched_song_is_known_by_more_than_its_stem(watch, loop):
    """Issue 17, 3: x.wav and a later x.flac shared a folder; after a restart x.flac counted as done."""
    _song("in/x.wav", loop)
    watch()
    _song("in/x.flac", loop)
    assert "x.flac -> kits/x_2" in watch()
    assert [_sources(Path("kits") / name) for name in ("x", "x_2")] == [{"x.wav"}, {"x.flac"}]
    assert watch() == ""


def test_songs_of_one_stem_that_come_together_do_not_share(watch, loop):
    for name in ("x.wav", "x.flac", "X.aiff"):
        _song(f"in/{name}", loop) if name != "X.aiff" else Path("in/X.aiff").write_bytes(
            Path("in/x.wav").read_bytes()
        )
    watch()
    assert sorted(str(_sources(p)) for p in Path("kits").iterdir() if p.is_dir()) == [
        "{'X.aiff'}",
        "{'x.flac'}",
        "{'x.wav'}",
    ]


def test_a_song_that_was_replaced_while_nobody_watched_is_done_again(watch, loop):
    _song("in/x.wav", loop)
    watch()
    _song("in/x.wav", loop[:, :RATE])
    assert "x.wav -> kits/x:" in watch()
    assert [p.name for p in Path("kits").iterdir() if p.is_dir()] == ["x"]


def test_a_song_whose_kit_was_deleted_is_done_again(watch, loop):
    import shutil

    _song("in/x.wav", loop)
    watch()
    shutil.rmtree("kits/x")
    assert "x.wav -> kits/x:" in watch()


def test_watching_the_folder_of_the_kits_does_not_eat_them(run, watch, loop):
    """The kits' own folder is watched: its sounds are inputs, and stay."""
    _song("in/kick.wav", loop)
    before = _everything(Path("in"))
    watch("--out", "in")
    assert before.items() <= _everything(Path("in")).items()
    assert Path("in/kick/kick.wav").is_file()
    _song("kits/x/x.wav", loop)
    before = _everything(Path("kits"))
    watch("--watch", "kits/x")
    assert before.items() <= _everything(Path("kits")).items()
    assert Path("kits/x_2/kick.wav").is_file()


def test_a_record_that_cannot_be_read_is_told(run, loop):
    _song("in/x.wav", loop)
    Path("kits").mkdir()
    Path("kits/.dose-watch.json").write_text("{}")
    code, _, err = run("--watch", "in", "--out", "kits")
    assert (code, "delete it to do all of them again" in err) == (1, True)


@pytest.mark.skipif(sys.platform == "win32", reason="no links")
def test_the_working_directory_stays_where_it_is(run, loop):
    """--out . is filled, not replaced: a shell that stands in it would be left in a folder that is gone."""
    _song("a.wav", loop)
    here = os.stat(".").st_ino
    for _ in range(2):
        assert run("a.wav", "--out", ".", "--keep-undetected")[0] == 0
    assert os.stat(".").st_ino == os.stat(os.getcwd()).st_ino == here


def test_a_page_is_not_the_kits_folder(run, tmp_path, loop):
    """The kit was written and then the page could not be, which was said with the name of a scratch file."""
    audio.write(tmp_path / "song.wav", loop)
    code, _, err = run("song.wav", "--out", "kit.html", "--keep-undetected", "--page", "./kit.html")
    assert code == 1
    assert "choose another name for the page" in err
    assert not (tmp_path / "kit.html").exists()


def test_a_link_that_leads_nowhere_is_no_folder(run, tmp_path, loop):
    audio.write(tmp_path / "song.wav", loop)
    (tmp_path / "kit").symlink_to("nowhere")
    code, _, err = run("song.wav", "--out", "kit", "--keep-undetected")
    assert (code, err) == (1, "dose: kit is a link that leads nowhere; choose another.\n")
