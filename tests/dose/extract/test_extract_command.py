"""`dose extract` end to end, with good files and bad ones."""

import dataclasses
import io
import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import miditoolkit
import numpy as np
import pytest
import soundfile
from extract_beat import RATE, drum_loop

from dose import audio, cli
from dose.extract import confidence
from dose.extract.extractor import Extractor
from dose.transcription.hits import Hit, Rhythm, Transcription

LOOP = drum_loop(4.0)


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_one_mix_gives_three_wavs(run, mix):
    code, out, err = run(str(mix), "--out", "kit", "--keep-undetected")
    assert (code, err) == (0, "")
    assert "kick" in out
    assert _names(Path("kit")) == ["hihat.wav", "kick.wav", "snare.wav"]
    for name in _names(Path("kit")):
        sound, rate = soundfile.read(Path("kit") / name)
        assert rate == RATE
        assert np.abs(sound).max() > 0.8
        assert np.argmax(np.abs(sound) > 0.085) < 0.005 * RATE


def test_a_page_holds_the_mix_and_its_kit(run, mix):
    assert run(str(mix), "--out", "kit", "--page", "kit.html")[0] == 0
    page = Path("kit.html").read_text()
    assert page.count("<button") == 5  # the recording, the kit that plays its groove, three drums
    assert "my song" in page
    assert "source energy ratio 0.00" in page  # these models expect nothing
    assert "http" not in re.sub(r"http://www.w3.org\S*", "", page)
    code, _, err = run(str(mix), "--out", "kit", "--page", f"{mix}/kit.html")
    assert code == 1
    assert "cannot be written" in err


def test_candidates_formats_and_json(run, mix):
    code, out, _ = run(
        str(mix),
        "--out",
        "kit",
        "--keep-undetected",
        "--candidates",
        "2",
        "--kit",
        "sfz,sf2",
        "--json",
        "--seed",
        "7",
    )
    assert code == 0
    report = json.loads(out)
    assert report["failed"] == []
    (told,) = report["mixes"]
    assert told["seed"] == 7
    kick = told["drums"]["kick"]["candidates"]
    assert len(kick) == 2
    assert f"kick_01_{kick[0]['confidence']:.2f}.wav" in _names(Path("kit"))
    assert {"my_song.sfz", "my_song.sf2"} <= set(_names(Path("kit")))
    assert sorted(Path(p).name for p in told["files"]) == _names(Path("kit"))
    # Two sounds of three drums, two formats, and the MIDI files where hits were found.
    assert {p.suffix for p in Path("kit").iterdir()} >= {".wav", ".sfz", ".sf2"}
    assert sum(name.endswith(".wav") for name in _names(Path("kit"))) == 6


@pytest.mark.parametrize("value", [0.42496, 0.425, 0.4251])
def test_the_file_name_and_the_json_hold_one_confidence(run, mix, monkeypatch, value):
    """The name has two places: rounded from .4251 it would be 0.43, from the JSON's .425 it is 0.42."""
    monkeypatch.setattr(confidence.Calibration, "confidence", lambda _, x: np.full(len(x), value))
    options = ["--keep-undetected", "--drums", "kick", "--candidates", "2"]
    code, out, _ = run(str(mix), "--out", "kit", *options, "--json")
    assert code == 0
    told = json.loads(out)["mixes"][0]["drums"]["kick"]
    assert [told["confidence"], *(one["confidence"] for one in told["candidates"])] == [0.425] * 3
    assert {"kick_01_0.42.wav", "kick_02_0.42.wav"} <= set(_names(Path("kit")))
    assert b"confidence 0.42;" in Path("kit/kick_01_0.42.wav").read_bytes()


def test_sound_options_are_applied(run, mix):
    options = ["--bits", "24", "--rate", "48000", "--tail", "0.1", "--peak", "-6", "--channels", "mix"]
    assert run(str(mix), "--out", "kit", "--keep-undetected", "--drums", "snare", *options)[0] == 0
    assert _names(Path("kit")) == ["snare.wav"]
    info = soundfile.info("kit/snare.wav")
    assert (info.samplerate, info.channels, info.subtype) == (48000, 2, "PCM_24")
    sound, _ = soundfile.read("kit/snare.wav")
    assert len(sound) <= 4800
    assert audio.db(np.abs(sound).max()) == pytest.approx(-6, abs=0.05)
    assert np.abs(sound[:, 0]).max() / np.abs(sound[:, 1]).max() == pytest.approx(0.5, abs=0.1)


def test_provenance_is_in_the_wav(run, mix, bundle):
    run(str(mix), "--out", "kit", "--keep-undetected", "--drums", "kick")
    version = json.loads((bundle / "bundle.json").read_text())["version"]
    with soundfile.SoundFile("kit/kick.wav") as f:
        told = f.copy_metadata()
    assert re.search(r"seed 0 \(draw \d+\); from \d", told["comment"])
    assert version in told["comment"]
    assert "data made-up" in told["comment"]
    body = Path("kit/kick.wav").read_bytes()
    assert b"my song.wav" in body


def test_the_same_command_gives_the_same_bytes(run, mix):
    formats = ["--kit", "all", "--keep-undetected", "--candidates", "2"]
    run(str(mix), "--out", "a", *formats)
    run(str(mix), "--out", "b", *formats)
    first = {p.name: p.read_bytes() for p in Path("a").iterdir()}
    assert first == {p.name: p.read_bytes() for p in Path("b").iterdir()}


def _wav_of_0_hz() -> bytes:
    raw = bytearray(audio.wav_bytes(LOOP))
    raw[24:28] = struct.pack("<I", 0)
    return bytes(raw)


def _truncated_flac(keep: float) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, LOOP.T, RATE, format="FLAC")
    return buffer.getvalue()[: int(len(buffer.getvalue()) * keep)]


BAD = {
    "missing.wav": (None, "does not exist"),
    "empty.wav": (b"", "is empty"),
    "letter.wav": (b"Dear Sir or Madam,\n" * 100, "not a sound file"),
    "zero_hz.wav": (_wav_of_0_hz(), "0 Hz|not a sound file"),
    "cut.flac": (_truncated_flac(0.001), "not a sound file|no samples"),
    "silent.wav": (audio.wav_bytes(np.zeros(RATE)), "is silent"),
    "nan.wav": (audio.wav_bytes(np.full(RATE, np.nan, np.float32), subtype="FLOAT"), "not finite"),
    "three.wav": (audio.wav_bytes(np.ones(3)), "only 3 samples"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_reported_in_one_sentence(run, name):
    content, says = BAD[name]
    if content is not None:
        Path(name).write_bytes(content)
    code, out, err = run(name, "--out", "kit")
    assert code == 1
    assert out == ""
    assert err.count("\n") == 1
    assert name in err
    assert any(part in err for part in says.split("|"))
    assert not Path("kit").exists()


def test_a_truncated_flac_gives_what_can_be_decoded(run):
    Path("half.flac").write_bytes(_truncated_flac(0.5))
    code, _, err = run("half.flac", "--out", "kit", "--keep-undetected")
    assert (code, err) == (0, "")
    assert _names(Path("kit")) == ["hihat.wav", "kick.wav", "snare.wav"]


def test_a_batch_continues_after_a_bad_file(run, tmp_path):
    for name in ("a.wav", "c.wav"):
        audio.write(tmp_path / "songs" / name, LOOP, RATE)
    (tmp_path / "songs" / "b.wav").write_bytes(b"no sound")
    code, out, err = run("songs", "--out", "kits", "--json", "--drums", "kick", "--keep-undetected")
    assert code == 1
    assert "b.wav" in err
    report = json.loads(out)
    assert [Path(m["source"]).name for m in report["mixes"]] == ["a.wav", "c.wav"]
    assert [Path(m["source"]).name for m in report["failed"]] == ["b.wav"]
    assert _names(Path("kits")) == ["a", "c"]
    assert _names(Path("kits/a")) == ["kick.wav"]


def test_an_undetected_drum_is_not_written(run, mix, monkeypatch):
    def never(name):
        return dataclasses.replace(getattr(confidence.UNCALIBRATED, name), bias=-30.0)

    never_detected = confidence.Calibration(detected=never("detected"), correct=never("correct"))
    monkeypatch.setattr(confidence, "UNCALIBRATED", never_detected)
    code, out, _ = run(str(mix), "--out", "kit")
    assert code == 0
    assert out.count("not found (0.00)") == 3
    assert "nothing was written" in out
    code, out, err = run(str(mix), "--out", "kit", "--json")
    assert json.loads(out)["mixes"][0]["files"] == []
    assert "nothing was written" in err
    assert not Path("kit").exists()
    run(str(mix), "--out", "kit", "--keep-undetected")
    assert len(_names(Path("kit"))) == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--drums", "kick,tom"], "no drum 'tom'"),
        (["--kit", "sfz,akai"], "no kit format 'akai'"),
        (["--peak", "3"], "peak must lie"),
        (["--tail", "0"], "tail must lie"),
        (["--seed", "-1"], "seed"),
        (["--candidates", "0"], "1 to 64"),
    ],
)
def test_wrong_options_are_errors(run, mix, options, says):
    code, out, err = run(str(mix), "--out", "kit", *options)
    assert code == 1
    assert says in err
    assert out == ""


def test_an_unwritable_folder_is_an_error(run, mix):
    Path("kit").write_text("a file, not a folder")
    code, _, err = run(str(mix), "--out", "kit", "--keep-undetected", "--drums", "kick")
    assert code == 1
    assert err.startswith("dose: kit cannot be written")
    assert err.count("\n") == 1


def test_a_missing_bundle_is_an_error(mix, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["extract", str(mix), "--out", "kit", "--bundle", "nowhere"]) == 1
    assert "nowhere is not a kit bundle" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1800)  # seconds; half a minute where nothing else runs
def test_twenty_minutes_in_bounded_memory(bundle, tmp_path):
    """In a process of its own, whose peak memory is then known."""
    minute = drum_loop(60.0)
    with soundfile.SoundFile(tmp_path / "long.flac", "w", RATE, 2) as f:
        for _ in range(20):
            f.write(minute.T)
    script = (
        "import resource, sys; from dose import cli\n"
        f"options = ['--out', 'kit', '--keep-undetected', '--bundle', {str(bundle)!r}]\n"
        "code = cli.main(['extract', 'long.flac', *options])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 1200  # MB, torch included
    assert _names(tmp_path / "kit") == ["hihat.wav", "kick.wav", "snare.wav"]


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--precision", "fp64", "no precision 'fp64'.*it has fp32"),
        ("--device", "cuda:7", "cuda:7 is absent"),
        ("--device", "warp", "warp"),
    ],
)
def test_an_unavailable_device_or_precision_is_named(run, mix, option, value, words):
    code, _, err = run(str(mix), "--out", "kit", option, value)
    assert code == 1
    assert re.search(words, err)
    assert "Traceback" not in err
    assert not Path("kit").exists()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_an_explicit_precision_is_used(bundle, precision):
    extractor = Extractor.load(bundle, precision=precision)
    assert {model.engine.precision for model in extractor.models.values()} == {precision}


def test_former_options_still_work(run, mix):
    code, out, _ = run(str(mix), "--out", "kit", "--absent", "--generated", "--drums", "kick", "--json")
    assert code == 0
    (found,) = json.loads(out)["mixes"]
    assert found["files"]
    assert found["drums"]["kick"]["candidates"][0]["source_energy_ratio"] == 0


def test_renamed_facts_are_in_the_json_under_both_names(run, mix):
    _, out, _ = run(str(mix), "--out", "kit", "--keep-undetected", "--drums", "kick", "--json")
    drum = json.loads(out)["mixes"][0]["drums"]["kick"]
    assert drum["present"] == drum["detected"]
    (candidate,) = drum["candidates"]
    assert candidate["match"] == candidate["conditioning_fit"]
    assert candidate["agreement"] == candidate["self_consistency"]
    assert candidate["borrowed"] == candidate["source_energy_ratio"]


@pytest.fixture
def transcribed(monkeypatch):
    """Every extraction gives a kit with this transcription: two bars at 120 beats per minute, ten hits."""
    hits = [Hit(seconds=i / 2, drum="kick", velocity=100, probability=0.9) for i in range(8)]
    hits += [Hit(seconds=i + 0.5, drum="open_hihat", velocity=70, probability=0.8) for i in range(2)]
    rhythm = Rhythm(
        tempo=120.0,
        beats=tuple(i / 2 for i in range(8)),
        beats_per_bar=4,
        first_downbeat=0,
        swing=0.0,
        swing_subdivision=4,
    )
    made = Transcription(hits=tuple(sorted(hits, key=lambda h: h.seconds)), seconds=4.0, rhythm=rhythm)
    extract = Extractor.extract_file

    def extract_file(self, *arguments, **options):
        return dataclasses.replace(extract(self, *arguments, **options), transcription=made)

    monkeypatch.setattr(Extractor, "extract_file", extract_file)
    return made


def test_midi_beside_the_wavs_on_demand(run, mix, transcribed):
    assert run(str(mix), "--out", "kit", "--keep-undetected")[0] == 0
    assert _names(Path("kit")) == ["hihat.wav", "kick.wav", "snare.wav"]
    code, out, _ = run(str(mix), "--out", "kit", "--keep-undetected", "--midi", "--drums", "kick")
    assert code == 0
    assert _names(Path("kit")) == ["kick.wav", "my_song-quantised.mid", "my_song.mid"]
    assert out.endswith("; 120.0 BPM, 4/4, 10 hits\n")
    played = miditoolkit.MidiFile("kit/my_song.mid").instruments[0].notes
    assert [(n.start, n.pitch) for n in played if n.pitch == 46] == [(480, 46), (1440, 46)]
    assert len(played) == 10


def test_kits_for_samplers_have_midi(run, mix, transcribed):
    code, out, _ = run(str(mix), "--out", "kit", "--keep-undetected", "--kit", "sf2,ableton", "--json")
    assert code == 0
    (told,) = json.loads(out)["mixes"]
    midi = {"my_song.mid", "my_song-quantised.mid", "my_song-bar.mid"}
    assert midi < set(_names(Path("kit"))) == {Path(p).name for p in told["files"]}
    groove = told["groove"]
    assert (groove["tempo"], groove["beats_per_bar"], len(groove["hits"])) == (120, 4, 10)
    assert groove["pattern"]["velocities"]["kick"][::4] == [100] * 4


def test_the_summary_without_a_tempo(run, mix, transcribed, monkeypatch):
    free = dataclasses.replace(transcribed, hits=transcribed.hits[:1], rhythm=None)
    extract = Extractor.extract_file
    monkeypatch.setattr(
        Extractor,
        "extract_file",
        lambda self, *a, **o: dataclasses.replace(extract(self, *a, **o), transcription=free),
    )
    code, out, _ = run(str(mix), "--out", "kit", "--keep-undetected", "--midi")
    assert code == 0
    assert out.endswith("; no tempo, 1 hit\n")
    assert "my_song.mid" in _names(Path("kit"))
    assert "my_song-quantised.mid" not in _names(Path("kit"))
