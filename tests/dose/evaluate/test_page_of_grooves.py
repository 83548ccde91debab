"""The groove on a listening page of kits: facts and the typical bar."""

import dataclasses

import numpy as np

from dose import audio
from dose.evaluate.page import groove
from dose.evaluate.page.kits import KitPage
from dose.extract.result import Kit, OneShot
from dose.transcription.hits import Hit, Rhythm, Transcription

HITS = tuple(
    Hit(seconds=0.5 * beat, drum="kick" if beat % 2 == 0 else "snare", velocity=127, probability=0.9)
    for beat in range(3)
)
SONG = Transcription(
    hits=HITS,
    seconds=1.5,
    rhythm=Rhythm(
        tempo=120.0, beats=(0.0, 0.5, 1.0), beats_per_bar=3, first_downbeat=0, swing=0.0, swing_subdivision=4
    ),
)


def test_facts_and_drawing_of_a_bar():
    assert groove.facts(SONG) == "120.0 BPM, 3/4, 3 hits"
    svg = groove.drawing(SONG)
    assert svg.count("<rect") == 2 * 12, "two rows of twelve steps"
    assert svg.count('opacity="1.00"') == 3
    assert "kick, snare" in svg
    swung = dataclasses.replace(SONG, rhythm=dataclasses.replace(SONG.rhythm, swing=0.25))
    assert "swing 25%" in groove.facts(swung)


def test_without_a_rhythm_there_is_a_line_and_no_drawing():
    unsteady = dataclasses.replace(SONG, rhythm=None)
    assert groove.facts(unsteady) == "no steady beat, 3 hits"
    assert groove.drawing(unsteady) == ""


def test_the_page_has_the_groove_only_where_there_is_one(tmp_path):
    audio.write(tmp_path / "song.wav", np.zeros((1, 44100), np.float32) + 0.1)
    for transcription, count in ((SONG, 1), (None, 0)):
        page = KitPage()
        kit = Kit(hits={}, seconds=1.0, version="dose-1", data_id="made", seed=0, transcription=transcription)
        page.add(tmp_path / "song.wav", kit)
        page.write(tmp_path / "page.html")
        assert (tmp_path / "page.html").read_text().count('<svg class="groove"') == count


def test_the_kit_plays_the_groove_beside_the_recording(tmp_path):
    audio.write(tmp_path / "song.wav", np.zeros((1, 44100), np.float32) + 0.1)
    shot = np.hanning(4000).astype(np.float32)
    kick = OneShot(
        drum="kick", audio=shot, raw=shot, pan=(1.0, 1.0), confidence=0.9, detected=True, time=0.0, seed=0,
        conditioning_fit=0.5, self_consistency=0.5,
    )  # fmt: skip
    for detected, cards in ((True, 1), (False, 0)):
        page = KitPage()
        kit = Kit(
            hits={"kick": (dataclasses.replace(kick, detected=detected),)}, seconds=1.0, version="dose-1",
            data_id="made", seed=0, transcription=SONG, resynthesis={"kick": 0.42} if detected else {},
        )  # fmt: skip
        page.add(tmp_path / "song.wav", kit)
        page.write(tmp_path / "page.html")
        text = (tmp_path / "page.html").read_text()
        assert text.count("resynthesis score: kick 0.42") == cards
        assert "kit plays the groove" in text
