"""Each package adapter on a tiny package made here, and the renderers behind them."""

import numpy as np
import pytest
import soundfile

from dose.audio import RATE
from dose.errors import IntegrityError, MissingInputError
from dose.sources import packages
from dose.sources.adapters import debian, hydrogen, lmms, sonicpi, strums
from dose.sources.cleaning import Reject
from dose.sources.synth import drumsynth


def sound(path, seed=0, seconds=0.5):
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(seconds * RATE)) / RATE
    soundfile.write(
        path, np.random.default_rng(seed).standard_normal(len(time)) * 0.1 * np.exp(-9 * time), RATE
    )


def kit(root, name, xml):
    folder = root / "usr/share/hydrogen/data/drumkits" / name
    folder.mkdir(parents=True)
    (folder / "drumkit.xml").write_text(xml)
    return folder


KIT = """<?xml version="1.0"?>
<drumkit_info{namespace}>
  <name>tiny</name><author>Someone</author><license>CC0</license>
  <instrumentList>
    <instrument><name>Bass Drum</name>
      <layer><filename>b1.wav</filename></layer><layer><filename>b2.wav</filename></layer></instrument>
    <instrument><name>Snare Rock</name><filename>s.wav</filename></instrument>
    <instrument><name>Side Stick</name><filename>x.wav</filename></instrument>
    <instrument><name>Hat Semi-Open</name><filename>h2.wav</filename></instrument>
    <instrument><name>Closed HH</name><filename>h1.wav</filename></instrument>
    <instrument><name>Pedal HH</name><filename>h3.wav</filename></instrument>
    <instrument><name>Open HH</name><filename>h4.wav</filename></instrument>
    <instrument><name>Empty</name></instrument>
  </instrumentList>
</drumkit_info>
"""


@pytest.mark.parametrize("namespace", ["", ' xmlns="http://www.hydrogen-music.org/drumkit"'])
def test_hydrogen_kits_are_read_by_their_xml(tmp_path, namespace):
    folder = kit(tmp_path, "Tiny", KIT.replace("{namespace}", namespace))
    for i, name in enumerate(("b1", "b2", "s", "h1")):
        sound(folder / f"{name}.wav", i)
    found = {t.origin.rsplit("/", 1)[1]: t for t in hydrogen.source_items(tmp_path, "p", "1")}
    assert {f: (t.cls, t.variant) for f, t in found.items()} == {
        "b1.wav": ("kick", ""),
        "b2.wav": ("kick", ""),
        "s.wav": ("snare", ""),
        "x.wav": ("percussion", ""),
        "h1.wav": ("hihat", "closed"),
        "h2.wav": ("hihat", "half-open"),
        "h3.wav": ("hihat", "pedal"),
        "h4.wav": ("hihat", "open"),
    }
    assert {(t.group, t.author, t.licence) for t in found.values()} == {("hydrogen/Tiny", "Someone", "CC0")}
    assert found["b1.wav"].load().shape == (RATE // 2,)
    with pytest.raises(Reject, match=r"h2\.wav does not exist"):
        found["h2.wav"].load()


def test_colombo_goes_by_file_names_and_audiophob_is_left_out(tmp_path):
    xml = "<k><instrument><name>Pedal HH</name><filename>hihat-open-1.flac</filename></instrument></k>"
    kit(tmp_path, "ColomboAcousticDrumkit", xml)
    kit(tmp_path, "Audiophob", xml)
    (item,) = hydrogen.source_items(tmp_path, "p", "1")
    assert (item.kit, item.cls, item.variant, item.group) == (
        "ColomboAcousticDrumkit",
        "hihat",
        "open",
        "colombo",
    )


def test_a_broken_kit_is_named(tmp_path):
    kit(tmp_path, "Broken", "<drumkit_info>")
    with pytest.raises(IntegrityError, match=r"Broken/drumkit\.xml"):
        list(hydrogen.source_items(tmp_path, "p", "1"))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Kick Long", ("kick", "")),
        ("c3 - bass drum 1", ("kick", "")),
        ("Snare Rimshot", ("snare", "")),
        ("Snare Roll", None),
        ("Stick", ("percussion", "")),
        ("Hand Clap", ("clap", "")),
        ("f#3 - hi-hat closed", ("hihat", "closed")),
        ("VariBreaks Hat 1 Op", ("hihat", "open")),
        ("VariBreaks Hat 2 Cl", ("hihat", "closed")),
        ("Side OHH", ("hihat", "open")),
        ("Tom Low", ("tom", "")),
        ("Crash Jazz", ("cymbal", "crash")),
    ],
)
def test_instrument_names_that_kits_really_use(name, label):
    found = hydrogen.label(name)
    assert (found and (found.cls, found.variant)) == label


COPYRIGHT = """Files: etc/samples/bd_808.flac
Copyright: 2013 EKVelika <a@b>
License: CC0

Files: etc/samples/*
Copyright: Sam
License: MIT

Files: etc/samples/sn_other.flac
Copyright: X
License: CC-BY-3.0
"""


def test_sonic_pi_yields_only_samples_with_a_cc0_line_of_their_own(tmp_path):
    doc = tmp_path / "usr/share/doc/sonic-pi-samples"
    doc.mkdir(parents=True)
    (doc / "copyright").write_text(COPYRIGHT)
    for name in ("bd_808", "bd_mehackit", "sn_other", "perc_bell"):
        sound(tmp_path / f"usr/share/sonic-pi/samples/{name}.flac")
    (item,) = sonicpi.source_items(tmp_path, "sonic-pi-samples", "1")
    assert (item.name, item.cls, item.author, item.licence) == ("bd_808", "kick", "EKVelika", "CC0-1.0")
    (doc / "copyright").unlink()
    with pytest.raises(MissingInputError, match="copyright"):
        list(sonicpi.source_items(tmp_path, "sonic-pi-samples", "1"))


PRESET = """[General]
Version=DrumSynth v2.0
Stretch=100
{general}
[Tone]
On=1
Level=128
F1=400
F2=50
Droop=60
Phase=0
Envelope=0,100 2000,50 8000,0

[Noise]
On=1
Level=40
Slope=-50
Envelope=0,100 500,0

[NoiseBand]
On=1
Level=60
F=3000
dF=40
Envelope=0,100 3000,0

[Overtones]
On=1
Level=60
F1=200
F2=310
Wave1=3
Wave2=4
Method={method}
Param=50
Track1=1
Envelope1=0,100 5000,0
Envelope2=0,100 5000,0
{distortion}
"""


def preset(general="", method=0, distortion=""):
    text = (
        PRESET.replace("{general}", general)
        .replace("{method}", str(method))
        .replace("{distortion}", distortion)
    )
    return drumsynth.parse(text, "x.ds")


def pitch(part: np.ndarray) -> float:
    """Hz of the strongest bin."""
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 17))
    return float(np.argmax(spectrum) * RATE / (1 << 17))


TONE = """[Tone]
On=1
Level=181
F1=400
F2=100
Droop={droop}
Envelope=0,100 40000,100 40001,0
"""


def test_a_preset_s_tone_falls_from_f1_to_f2_and_ends_with_its_envelope():
    rendered = drumsynth.render(drumsynth.parse(TONE.replace("{droop}", "0"), "x"))
    assert len(rendered) == 40001
    assert pitch(rendered[18000:22000]) == pytest.approx(250, abs=12)  # halfway down a straight line
    fast = drumsynth.render(drumsynth.parse(TONE.replace("{droop}", "90"), "x"))
    assert pitch(fast[18000:22000]) == pytest.approx(100, abs=5)
    assert np.abs(rendered).max() == pytest.approx(1, abs=0.01)


def test_tuning_and_stretch_move_pitch_and_length():
    text = TONE.replace("{droop}", "100")
    plain = drumsynth.render(drumsynth.parse(text, "x"))
    moved = drumsynth.render(drumsynth.parse("[General]\nTuning=12\nStretch=150\n" + text, "x"))
    assert len(moved) == pytest.approx(1.5 * len(plain), abs=2)
    assert pitch(moved[20000:30000]) == pytest.approx(2 * pitch(plain[20000:30000]), rel=0.02)


@pytest.mark.parametrize("method", [0, 1, 2, 3])
def test_every_overtone_method_sounds_and_repeats(method):
    first = drumsynth.render(preset(method=method), seed=1)
    assert np.isfinite(first).all()
    assert np.abs(first).max() > 0.1
    assert np.array_equal(first, drumsynth.render(preset(method=method), seed=1))
    assert not np.array_equal(first, drumsynth.render(preset(method=(method + 1) % 4), seed=1))


def test_the_filter_removes_highs_or_lows():
    def share_above(sound, hz):
        power = np.abs(np.fft.rfft(sound)) ** 2
        return power[np.fft.rfftfreq(len(sound), 1 / RATE) > hz].sum() / power.sum()

    open_ = drumsynth.render(preset())
    low = drumsynth.render(preset("Filter=1\nHighPass=0\nResonance=0\nFilterEnv=0,40 442000,40"))
    high = drumsynth.render(preset("Filter=1\nHighPass=1\nResonance=0\nFilterEnv=0,60 442000,60"))
    assert share_above(low, 1500) < 0.3 * share_above(open_, 1500) < share_above(high, 1500)
    idle = drumsynth.render(preset("Filter=1\nHighPass=1\nResonance=0\nFilterEnv=0,-100 442000,-100"))
    assert np.allclose(idle[: len(open_)], open_, atol=0.02)  # a filter that passes all changes nothing


def test_distortion_drives_into_a_limit():
    clean = drumsynth.render(preset())
    driven = drumsynth.render(preset(distortion="[Distortion]\nOn=1\nClipping=40\nBits=3\nRate=2"))
    assert np.abs(driven).max() <= 1
    assert driven.std() > 2 * clean.std()
    assert len(np.unique(driven.round(9))) < 300


@pytest.mark.parametrize("text", ["", "hello", "[Tone]\nOn=0\n", "\x00\x01[Tone]"])
def test_what_is_no_preset_is_rejected(text, tmp_path):
    path = tmp_path / "x.ds"
    path.write_text(text)
    with pytest.raises(Reject, match=r"x\.ds"):
        drumsynth.render_file(path)


def test_nonsense_in_a_preset_is_survived():
    odd = "[Tone]\nOn=1\nLevel=loud\nF1=999999\nF2=-5\nDroop=1e9\nEnvelope=0,100 nonsense 99999999,0\n"
    rendered = drumsynth.render(drumsynth.parse(odd, "x"))
    assert np.isfinite(rendered).all()
    assert len(rendered) == drumsynth.LONGEST


def test_lmms_samples_and_presets_get_their_classes(tmp_path):
    samples = tmp_path / "usr/share/lmms/samples"
    for place in (
        "drums/kick01",
        "drums/snare_rim01",
        "drums/hihat_opened01",
        "bassloops/tb303_01",
        "effects/wind",
    ):
        sound(samples / f"{place}.ogg")
    for place in (
        "tr909/Hat-o",
        "tr909/Hat-c2",
        "linn/linn_snr",
        "misc/what_hat",
        "misc/rimshot_1",
        "misc/airbrush_bd",
    ):
        path = samples / "drumsynth" / f"{place}.ds"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TONE.replace("{droop}", "50"))
    found = {
        t.name.removeprefix("lmms "): (t.cls, t.variant, t.group)
        for t in lmms.source_items(tmp_path, "lmms-common", "1")
    }
    assert found == {
        "drums/kick01": ("kick", "", "lmms-timgm"),
        "drums/snare_rim01": ("percussion", "", "lmms-timgm"),
        "drums/hihat_opened01": ("hihat", "open", "lmms-timgm"),
        "bassloops/tb303_01": ("bass", "", "lmms-loops"),
        "drumsynth/tr909/Hat-o": ("hihat", "open", "drumsynth/tr909"),
        "drumsynth/tr909/Hat-c2": ("hihat", "closed", "drumsynth/tr909"),
        "drumsynth/linn/linn_snr": ("snare", "", "drumsynth/linn"),
        "drumsynth/misc/rimshot_1": ("percussion", "", "drumsynth/misc"),
        "drumsynth/misc/airbrush_bd": ("kick", "", "drumsynth/misc"),
    }


def test_strums_of_a_chord_become_loops_of_one_group(tmp_path):
    folder = tmp_path / strums.KIT
    for i, name in enumerate(["Cmajor_01", "Cmajor_UP_02", "Cmajor_Down_03", "Dminor_00"]):
        sound(folder / f"{name}.flac", i, 1.0)
    made = list(strums.source_items(tmp_path, "p", "1"))
    assert [(t.cls, t.group) for t in made] == [("guitar", "strums/Cmajor")] * 2 + [
        ("guitar", "strums/Dminor")
    ] * 2
    loop = made[0].load()
    assert len(loop) / RATE > 4
    beats = loop[: 8 * RATE // 2].reshape(8, -1)
    assert (np.abs(beats[:, : RATE // 20]).max(axis=1) > 0.01).all()  # a stroke on every beat
    assert not np.array_equal(loop, made[1].load())


def test_packages_in_params_that_are_not_there_are_named_with_the_command(tmp_path):
    with pytest.raises(MissingInputError, match="dose sources fetch lmms-common"):
        list(debian.source_items(("lmms-common",), tmp_path, 1))
    (tmp_path / "lmms-common").mkdir()
    with pytest.raises(IntegrityError, match="holds none of the sounds of lmms-common"):
        list(debian.source_items(("lmms-common",), tmp_path, 1))


def test_every_known_package_has_an_adapter(tmp_path):
    for name in packages.KNOWN:
        (tmp_path / name).mkdir()
        with pytest.raises((IntegrityError, MissingInputError), match=name):
            list(debian.source_items((name,), tmp_path, 1))
