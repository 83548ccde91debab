"""Each format is read back: by an independent program where one is installed, else by its structure."""

import dataclasses
import gzip
import io
import os
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile

from dose.errors import DoseError
from dose.kits import mpc, riff, soundfont, write
from dose.kits.drumkit import NOTES, DrumKit, Pad, Sound, brightness, layers, safe_name

RATE = 44100
PITCH = {"kick_01": 60, "kick_02": 90, "kick_03": 140, "snare": 400, "hihat": 6000}  # Hz, identify the sounds


def _sound(name: str) -> Sound:
    time = np.arange(RATE // 4) / RATE
    audio = (0.7 * np.sin(2 * np.pi * PITCH[name] * time) * np.exp(-8 * time)).astype(np.float32)
    tags = riff.Tags(title=name, comment="seed 3", software="DOSE", source="song.mp3", position=88200)
    return Sound(name=name, audio=audio, wav=riff.wav(audio, RATE, 16, tags))


@pytest.fixture
def kit() -> DrumKit:
    pads = (
        Pad(drum="kick", sounds=tuple(map(_sound, ("kick_01", "kick_02", "kick_03")))),
        Pad(drum="snare", sounds=(_sound("snare"),)),
        Pad(drum="hihat", sounds=(_sound("hihat"),)),
    )
    return DrumKit(name="My kit", pads=pads, rate=RATE, comment="from song.mp3")


def _loudest(audio: np.ndarray) -> float:
    """Hz of the strongest partial."""
    spectrum = np.abs(np.fft.rfft(audio))
    return float(np.argmax(spectrum) * RATE / len(audio))


def test_layers_share_the_velocities_without_gap_or_overlap(kit):
    shared = layers(kit.pads[0], "velocity")
    covered = [v for layer in shared for v in range(layer.low, layer.high + 1)]
    assert covered == list(range(1, 128))
    assert [layer.sound.name for layer in shared] == ["kick_01", "kick_02", "kick_03"]  # dull to bright
    turns = layers(kit.pads[0], "round-robin")
    assert [(layer.low, layer.high, layer.seq_position, layer.seq_length) for layer in turns] == [
        (1, 127, 1, 3),
        (1, 127, 2, 3),
        (1, 127, 3, 3),
    ]


def test_brightness_is_the_spectral_centroid():
    assert brightness(_sound("hihat").audio) == pytest.approx(6000 / (RATE / 2), rel=0.05)
    assert brightness(np.zeros(100, np.float32)) == 0


def test_a_kit_needs_sounds_with_names_of_their_own(kit):
    with pytest.raises(DoseError, match="no sounds"):
        DrumKit(name="empty", pads=(Pad(drum="kick", sounds=()),), rate=RATE)
    twice = dataclasses.replace(kit.pads[1], sounds=kit.pads[1].sounds * 2)
    with pytest.raises(ValueError, match="share a name"):
        dataclasses.replace(kit, pads=(twice,))


@pytest.mark.parametrize(
    ("name", "safe"), [("a/b: c", "a_b_c"), ("../../x", "x"), ("My kit", "My_kit"), ("", "kit")]
)
def test_names_are_safe_for_every_system(name, safe):
    assert safe_name(name) == safe


@pytest.mark.parametrize("bits", [16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_is_what_libsndfile_reads(bits, channels):
    audio = np.stack([_sound("snare").audio * (i + 1) / 2 for i in range(channels)])
    read, rate = soundfile.read(io.BytesIO(riff.wav(audio, 48000, bits)), dtype="float64", always_2d=True)
    assert rate == 48000
    assert np.abs(read.T - audio).max() <= (0 if bits == 32 else 2.0**-bits)


def test_wav_clips_rather_than_wraps():
    read, _ = soundfile.read(io.BytesIO(riff.wav(np.array([1.5, -1.5, 1.0]), RATE, 24)))
    assert read[0] > 0.999
    assert read[1] == -1
    assert read[2] > 0.999


def test_wav_has_its_tags():
    body = _sound("snare").wav
    with soundfile.SoundFile(io.BytesIO(body)) as f:
        tags = f.copy_metadata()
    assert tags["title"] == "snare"
    assert tags["comment"] == "seed 3"
    assert tags["software"] == "DOSE"
    start = body.index(b"bext") + 8
    assert body[start : start + 13] == b"snare. seed 3"
    assert struct.unpack_from("<Q", body, start + 338) == (88200,)  # EBU Tech 3285: TimeReference


def test_every_format_is_the_same_bytes_again(kit):
    formats = write.parse_formats("all")
    assert write.contents(kit, formats) == write.contents(dataclasses.replace(kit), formats)


def test_formats_are_named_or_refused():
    assert write.parse_formats("sf2, sfz") == ("sfz", "sf2")
    assert write.parse_formats("all") == tuple(write.FORMATS)
    with pytest.raises(DoseError, match="reason"):
        write.parse_formats("sfz,reason")


def test_writing_leaves_the_wavs_and_one_file_per_format(kit, tmp_path):
    written = write.write(kit, tmp_path, write.parse_formats("sfz,mpc"))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in written)
    assert {"kick_01.wav", "hihat.wav", "My_kit.sfz", "My_kit.xpm"} <= {p.name for p in written}


@pytest.mark.parametrize("layering", ["round-robin", "velocity"])
def test_sfz_names_files_that_are_there(kit, tmp_path, layering):
    write.write(dataclasses.replace(kit, layering=layering), tmp_path, ("sfz",))
    text = (tmp_path / "My_kit.sfz").read_text()
    regions = [line for line in text.splitlines() if line.startswith("<region>")]
    opcodes = [dict(word.split("=") for word in line.split()[1:]) for line in regions]
    assert len(opcodes) == 7  # the hi-hat on three notes
    assert all((tmp_path / o["sample"]).is_file() for o in opcodes)
    if layering == "round-robin":
        assert [o.get("seq_position") for o in opcodes] == ["1", "2", "3", *[None] * 4]
        assert text.count("seq_length=3") == 1
    else:
        assert "seq_" not in text
        assert [(int(o["lovel"]), int(o["hivel"])) for o in opcodes[:3]] == [(1, 42), (43, 85), (86, 127)]
    assert [line for line in text.splitlines() if line.startswith("key=")] == [
        f"key={note}" for note in (*NOTES.values(), 44, 46)
    ]


@pytest.mark.parametrize(
    ("layering", "notes", "expected"),
    [
        ("velocity", [(36, 20), (36, 64), (36, 120)], ["kick_01", "kick_02", "kick_03"]),
        ("round-robin", [(36, 100)] * 4, ["kick_01", "kick_02", "kick_03", "kick_01"]),
        ("round-robin", [(38, 90), (42, 90), (44, 90), (46, 90)], ["snare", "hihat", "hihat", "hihat"]),
    ],
)
def test_sfizz_plays_the_right_sound(kit, tmp_path, layering, notes, expected):
    pysfizz = pytest.importorskip("pysfizz")
    write.write(dataclasses.replace(kit, layering=layering), tmp_path, ("sfz",))
    synth = pysfizz.Synth(sample_rate=RATE)
    assert synth.load_sfz_file(tmp_path / "My_kit.sfz")
    for (note, velocity), name in zip(notes, expected, strict=True):
        played = synth.render_note(note, velocity, 0.01, 0.3).mean(axis=0)
        assert _loudest(played) == pytest.approx(PITCH[name], rel=0.1)


@pytest.mark.parametrize("layering", ["round-robin", "velocity"])
def test_hydrogen_archive_is_whole(kit, layering):
    body = write.contents(dataclasses.replace(kit, layering=layering), ["hydrogen"])["My_kit.h2drumkit"]
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        names = tar.getnames()
        xml = tar.extractfile("My_kit/drumkit.xml").read()
    root = ElementTree.fromstring(xml)
    ns = {"h": "http://www.hydrogen-music.org/drumkit"}
    files = [e.text for e in root.iterfind(".//h:layer/h:filename", ns)]
    assert {f"My_kit/{name}" for name in files} <= set(names)
    assert [e.text for e in root.iterfind(".//h:midiOutNote", ns)] == ["36", "38", "42", "44", "46"]
    chosen = root.find(".//h:sampleSelectionAlgo", ns).text
    assert chosen == ("ROUND_ROBIN" if layering == "round-robin" else "VELOCITY")


@pytest.mark.slow  # Hydrogen takes its time to find that there is no sound card
@pytest.mark.skipif(not shutil.which("h2cli"), reason="h2cli of the Debian package hydrogen is not installed")
def test_hydrogen_itself_finds_the_drumkit_valid(kit, tmp_path):
    write.write(kit, tmp_path, ("hydrogen",))
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)}
    checked = subprocess.run(
        ["h2cli", "--check", tmp_path / "My_kit.h2drumkit"], capture_output=True, text=True, env=env
    )
    assert checked.returncode == 0, checked.stdout
    assert "is valid" in checked.stdout


def test_decentsampler_preset(kit, tmp_path):
    write.write(kit, tmp_path, ("decentsampler",))
    root = ElementTree.parse(tmp_path / "My_kit.dspreset").getroot()
    assert root.tag == "DecentSampler"
    samples = list(root.iterfind("./groups/group/sample"))
    assert [s.get("rootNote") for s in samples] == ["36", "36", "36", "38", "42", "44", "46"]
    assert all(s.get("loNote") == s.get("hiNote") == s.get("rootNote") for s in samples)
    assert all((tmp_path / s.get("path")).is_file() for s in samples)
    kick = root.find("./groups/group")
    assert (kick.get("seqMode"), kick.get("seqLength")) == ("round_robin", "3")
    assert [s.get("seqPosition") for s in kick] == ["1", "2", "3"]


def test_ableton_rack(kit, tmp_path):
    write.write(kit, tmp_path, ("ableton",))
    root = ElementTree.fromstring(gzip.decompress((tmp_path / "My_kit.adg").read_bytes()))
    branches = list(root.iterfind("./GroupDevicePreset/BranchPresets/DrumBranchPreset"))
    notes = [128 - int(b.find("./ZoneSettings/ReceivingNote").get("Value")) for b in branches]
    assert notes == [36, 48, 60, 38, 42, 44, 46]
    for branch in branches:
        file = branch.find(".//MultiSamplePart/SampleRef/FileRef")
        path = tmp_path / file.find("RelativePath").get("Value")
        assert path.stat().st_size == int(file.find("OriginalFileSize").get("Value"))
        end = branch.find(".//MultiSamplePart/SampleEnd").get("Value")
        assert int(end) == soundfile.info(path).frames


def test_mpc_program(kit, tmp_path):
    write.write(kit, tmp_path, ("mpc",))
    program = ElementTree.parse(tmp_path / "My_kit.xpm").getroot().find("Program")
    assert program.get("type") == "Drum"
    instruments = list(program.iterfind("./Instruments/Instrument"))
    assert [i.get("number") for i in instruments] == [str(n) for n in range(1, 129)]
    names = [[e.text for e in i.iterfind("./Layers/Layer/SampleName")] for i in instruments]
    assert names[:5] == [["kick_01", "kick_02", "kick_03"], ["snare"], ["hihat"], ["hihat"], ["hihat"]]
    assert not any(names[5:])
    assert all((tmp_path / f"{name}.wav").is_file() for pad in names for name in pad)
    notes = [int(e.text) for e in program.iterfind("./PadNoteMap/PadNote/Note")]
    assert notes[:5] == [36, 38, 42, 44, 46]
    assert sorted(notes) == list(range(128))


def test_mpc_takes_four_layers_at_most():
    many = Pad(
        drum="kick", sounds=tuple(dataclasses.replace(_sound("snare"), name=f"k{i}") for i in range(6))
    )
    root = ElementTree.fromstring(mpc.program(DrumKit(name="k", pads=(many,), rate=RATE)))
    layered = list(root.find("./Program/Instruments/Instrument/Layers"))
    assert [e.find("SampleName").text for e in layered] == ["k0", "k1", "k2", "k3"]


def _slow_chunks(body: bytes, start: int, end: int) -> dict[str, bytes]:
    found = {}
    while start < end:
        (size,) = struct.unpack_from("<I", body, start + 4)
        found[body[start : start + 4].decode()] = body[start + 8 : start + 8 + size]
        start += 8 + size + size % 2
    return found


def test_soundfont_tables_agree_with_each_other(kit):
    """A slow reader by the specification: sizes are whole records and every index is in bounds."""
    body = soundfont.soundfont(kit)
    assert (body[:4], body[8:12]) == (b"RIFF", b"sfbk")
    assert struct.unpack_from("<I", body, 4)[0] == len(body) - 8
    lists, at = {}, 12
    while at < len(body):
        (size,) = struct.unpack_from("<I", body, at + 4)
        lists[body[at + 8 : at + 12].decode()] = _slow_chunks(body, at + 12, at + 8 + size)
        at += 8 + size
    hydra = lists["pdta"]
    sizes = {"phdr": 38, "pbag": 4, "pmod": 10, "pgen": 4, "inst": 22, "ibag": 4, "imod": 10, "igen": 4}
    sizes["shdr"] = 46
    assert list(hydra) == list(sizes)
    assert all(len(hydra[name]) % size == 0 for name, size in sizes.items())
    bags = [struct.unpack_from("<H", hydra["ibag"], i)[0] for i in range(0, len(hydra["ibag"]), 4)]
    assert bags[-1] == len(hydra["igen"]) // 4 - 1
    assert bags == sorted(bags)
    pool = np.frombuffer(lists["sdta"]["smpl"], "<i2")
    for i, sound in enumerate(kit.sounds):
        start, end = struct.unpack_from("<II", hydra["shdr"], 46 * i + 20)
        assert end - start == len(sound.audio)
        assert np.abs(pool[start:end] / 32767 - sound.audio).max() < 1e-4
        assert not pool[end : end + 46].any()


def test_a_closed_hihat_cuts_an_open_one_in_the_soundfont(kit):
    """All notes of a drum share one exclusive class, and no two drums do."""
    body = soundfont.soundfont(kit)
    at = body.index(b"igen")
    (size,) = struct.unpack_from("<I", body, at + 4)
    generators = [struct.unpack_from("<HH", body, at + 8 + i) for i in range(0, size, 4)]
    keys = [amount & 0xFF for number, amount in generators if number == soundfont.KEY_RANGE]
    classes = [amount for number, amount in generators if number == soundfont.EXCLUSIVE_CLASS]
    assert list(zip(keys, classes, strict=True)) == [
        *[(36, 36)] * 3,
        *((38, 38), (42, 42), (44, 42), (46, 42)),
    ]


@pytest.mark.parametrize(
    ("note", "velocity", "expected"),
    [
        *((36, 20, "kick_01"), (36, 64, "kick_02"), (36, 120, "kick_03")),
        *((38, 100, "snare"), (42, 100, "hihat"), (44, 100, "hihat"), (46, 100, "hihat")),
    ],
)
def test_soundfont_plays_the_right_sound(kit, note, velocity, expected):
    tinysoundfont = pytest.importorskip("tinysoundfont")
    synth = tinysoundfont.Synth(samplerate=RATE)
    bank = synth.sfload(soundfont.soundfont(kit))
    synth.program_select(9, bank, 128, 0, True)
    synth.noteon(9, note, velocity)
    played = np.frombuffer(bytes(synth.generate(RATE // 2)), np.float32).reshape(-1, 2).mean(axis=1)
    assert _loudest(played) == pytest.approx(PITCH[expected], rel=0.1)
    assert np.abs(played[:200]).max() > 0.001


@pytest.mark.skipif(not shutil.which("fluidsynth"), reason="fluidsynth is not installed")
def test_fluidsynth_renders_the_soundfont(kit, tmp_path):
    write.write(kit, tmp_path, ("sf2",))
    (tmp_path / "snare.mid").write_bytes(_midi(38))
    subprocess.run(
        ["fluidsynth", "-ni", "-R0", "-C0", "-r", str(RATE), "-F", "out.wav", "My_kit.sf2", "snare.mid"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    audio, _ = soundfile.read(Path(tmp_path / "out.wav"), always_2d=True)
    assert _loudest(audio.mean(axis=1)) == pytest.approx(PITCH["snare"], rel=0.1)


def _midi(note: int) -> bytes:
    """A file of one note on channel 10."""
    track = bytes([0, 0x99, note, 100, 0x60, 0x89, note, 0, 0, 0xFF, 0x2F, 0])
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk" + struct.pack(">I", len(track)) + track
