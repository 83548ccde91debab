"""Scores of transcriptions: counts, sums over mixes, velocities, ghost notes, tempo, tables, files."""

import csv
import json
import math

import numpy as np
import pytest

from dose.evaluate.transcription import presence, run
from dose.evaluate.transcription.datasets import AnnotatedMix, Dataset, ReferenceHits
from dose.evaluate.transcription.negatives import DrumFree, SingleDrum
from dose.evaluate.transcription.presence import PresenceItem, PresenceSystem
from dose.evaluate.transcription.scoring import (
    MICRO,
    score_drum_free,
    score_drum_free_presence,
    score_mix,
    score_single_drum,
    score_single_drum_presence,
    summarise,
    summarise_single_drums,
)
from dose.evaluate.transcription.systems import TranscriptionSystem
from dose.metrics.transcription import Counts
from dose.transcription.hits import HIT_CLASSES, Hit, Rhythm, Transcription

DETAILED = (*HIT_CLASSES, "hihat")


def found(*hits: tuple[str, float, int], tempo: float | None = None) -> Transcription:
    rhythm = None
    if tempo:
        rhythm = Rhythm(
            tempo=tempo, beats=(0.0, 1.0), beats_per_bar=4, first_downbeat=0, swing=0.0, swing_subdivision=2
        )
    made = tuple(Hit(seconds=t, drum=d, velocity=v, probability=0.9) for d, t, v in hits)
    return Transcription(hits=made, seconds=4.0, rhythm=rhythm)


def reference(*hits: tuple[float, int]) -> ReferenceHits:
    table = np.array(hits, float).reshape(-1, 2)
    return ReferenceHits(seconds=table[:, 0], velocities=table[:, 1])


def mix(tempo: float | None = None, **hits: ReferenceHits) -> AnnotatedMix:
    return AnnotatedMix(name="mix", read=lambda: np.zeros(44100, np.float32), hits=hits, tempo=tempo)


def test_open_and_closed_hats_are_one_drum_and_two_classes():
    annotated = mix(closed_hihat=reference((1.0, 90)), open_hihat=reference((2.0, 90)))
    reported = found(("closed_hihat", 1.0, 90), ("closed_hihat", 2.0, 90))
    counts = score_mix(annotated, reported, DETAILED).counts
    assert set(counts) == {"hihat", "closed_hihat", "open_hihat"}
    assert counts["hihat"][0] == Counts(matched=2)
    assert counts["closed_hihat"][0] == Counts(matched=1, false=1)
    assert counts["open_hihat"][0] == Counts(missed=1)
    # A system that does not tell them apart is not scored on the difference.
    assert set(score_mix(annotated, reported, ("kick", "snare", "hihat")).counts) == {"hihat"}


def test_a_data_set_may_annotate_the_hi_hat_as_one_class():
    bare = ReferenceHits(seconds=np.array([1.0, 2.0]), velocities=None)
    scores = score_mix(mix(hihat=bare), found(("open_hihat", 1.01, 9), ("closed_hihat", 2.03, 9)), DETAILED)
    assert scores.counts == {"hihat": (Counts(matched=2), Counts(matched=1, false=1, missed=1))}
    assert math.isnan(scores.velocity_raw)
    assert math.isnan(scores.tempo)


def test_a_clap_is_no_snare():
    counts = score_mix(mix(snare=reference((1.0, 90))), found(("clap", 1.0, 90)), DETAILED).counts
    assert counts == {"snare": (Counts(missed=1), Counts(missed=1))}


def test_velocities_are_scaled_by_one_factor_per_recording():
    annotated = mix(kick=reference((1.0, 120)), snare=reference((2.0, 60)))
    halved = score_mix(annotated, found(("kick", 1.0, 60), ("snare", 2.0, 30)), DETAILED)
    assert halved.velocity_raw == 45
    assert halved.velocity_scaled == pytest.approx(0)
    # The balance of the drums is part of the score: no factor corrects it.
    swapped = score_mix(annotated, found(("kick", 1.0, 60), ("snare", 2.0, 120)), DETAILED)
    assert swapped.velocity_scaled > 30


def test_ghost_notes_are_of_the_snare_only():
    annotated = mix(
        snare=reference((1.0, 30), (2.0, 40), (3.0, 100)),
        kick=reference((1.5, 20)),
        closed_hihat=reference((1.0, 20), (1.5, 20), (2.0, 20)),
    )
    scores = score_mix(annotated, found(("snare", 1.0, 30), ("snare", 3.0, 90)), DETAILED)
    assert scores.ghosts == Counts(matched=1, missed=1)


@pytest.mark.parametrize(("tempo", "expected"), [(121, (1, 1)), (60, (0, 1)), (90, (0, 0)), (None, (0, 0))])
def test_tempo(tempo, expected):
    scores = score_mix(mix(tempo=120.0), found(tempo=tempo), DETAILED)
    assert (scores.tempo, scores.tempo_octave) == expected


def test_figures_over_a_data_set_are_of_summed_counts():
    dense = mix(kick=reference(*((t / 4, 90) for t in range(9))), snare=reference((1.0, 90)))
    sparse = mix(kick=reference((1.0, 90)), snare=reference())
    perfect = found(*(("kick", t / 4, 90) for t in range(9)))
    scores = summarise([score_mix(dense, perfect, DETAILED), score_mix(sparse, found(), DETAILED)])
    assert scores["kick"]["f_50ms"].value == pytest.approx(18 / 19)
    assert scores["kick"]["mean_f_50ms"].value == pytest.approx(0.5)
    assert scores[MICRO]["recall_50ms"].value == pytest.approx(9 / 11)
    assert scores[MICRO]["f_50ms"].low <= scores[MICRO]["f_50ms"].value <= scores[MICRO]["f_50ms"].high
    assert "precision_50ms" not in scores["snare"]  # nothing was reported
    assert "tempo_accuracy_1" not in scores["all"]


def test_only_the_kits_drums_are_false_in_a_sound_without_drums():
    sound = DrumFree(name="0", kind="tone", audio=np.zeros(10, np.float32))
    assert score_drum_free(sound, found(("clap", 1.0, 90), ("tom", 1.0, 90))).reported == frozenset()
    assert score_drum_free(sound, found(("open_hihat", 1.0, 90))).reported == {"hihat"}


def test_a_single_drum_is_named_right_from_60_percent_of_its_hits():
    times = np.arange(1, 6) / 2
    sound = SingleDrum(
        name="0", drum="snare", audio=np.zeros(10, np.float32), seconds=times, velocities=np.full(5, 90)
    )
    three = score_single_drum(sound, found(*(("snare", t, 90) for t in times[:3]), ("clap", 0.5, 90)))
    two = score_single_drum(sound, found(*(("snare", t, 90) for t in times[:2])))
    assert (three.found, three.named, three.others) == (0.6, True, {"clap"})
    scores = summarise_single_drums([three, two])
    assert scores["snare"]["named_right"].value == 0.5
    assert scores["all"]["others"].value == 0.5
    assert scores["all"]["reported_clap"].value == 0.5
    assert scores["all"]["reported_kick"].value == 0


def test_a_detector_of_drums_is_scored_without_hits():
    sound = SingleDrum(
        name="0", drum="snare", audio=np.zeros(10, np.float32), seconds=np.ones(1), velocities=np.full(1, 90)
    )
    right = score_single_drum_presence(sound, frozenset({"snare"}))
    wrong = score_single_drum_presence(sound, frozenset({"kick"}))
    scores = summarise_single_drums([right, wrong])
    assert scores["snare"]["named_right"].value == 0.5
    assert scores["all"]["reported_kick"].value == 0.5
    assert "hits_found" not in scores["all"]
    free = DrumFree(name="0", kind="tone", audio=np.zeros(10, np.float32))
    assert score_drum_free_presence(free, frozenset({"hihat"})).reported == {"hihat"}


def _items() -> list[PresenceItem]:
    silence = np.zeros(44100, np.float32)
    whole = PresenceItem(audio=silence, present={"kick": True, "hihat": True})
    return [
        whole,
        PresenceItem(audio=silence, present={"kick": False}),
        PresenceItem(audio=silence, present={}),
    ]


def test_presence_counts_each_drum_with_and_without_it():
    asked = []

    def detect(_, drums):
        asked.append(drums)
        return frozenset({"kick"})

    always = PresenceSystem(name="Always a kick", detect=detect)
    given = [answer for item in _items() for answer in presence.answers(always, item)]
    scores = presence.summarise(given)
    assert asked == [("kick", "hihat"), ("kick",)]
    assert scores["kick"]["detected_with"].value == 1
    assert scores["kick"]["detected_without"].value == 1
    assert scores["hihat"]["detected_with"].value == 0
    assert scores["snare"] == {}
    assert scores["all"]["right"].value == pytest.approx(1 / 3)


def _sets() -> run.TestSets:
    annotated = mix(tempo=120.0, kick=reference((1.0, 90), (2.0, 60)), snare=reference((1.5, 30)))
    silence = np.zeros(44100, np.float32)
    return run.TestSets(
        mixes=[Dataset(name="made", title="Made", size=3, mixes=lambda: iter([annotated] * 3))],
        drum_free=lambda: iter([DrumFree(name=f"{i}", kind="tone", audio=silence) for i in range(4)]),
        single_drums=lambda: iter(
            [
                SingleDrum(
                    name="0", drum="kick", audio=silence, seconds=np.array([1.0]), velocities=np.array([90])
                )
            ]
        ),
        presence=lambda: iter(_items()),
    )


def _detectors() -> list[PresenceSystem]:
    return [PresenceSystem(name="Always a kick", detect=lambda _, __: frozenset({"kick"}))]


def _systems() -> list[TranscriptionSystem]:
    one = found(("kick", 1.0, 90), tempo=120)
    return [
        TranscriptionSystem(name="Finds one", classes=("kick", "snare", "hihat"), transcribe=lambda _: one),
        TranscriptionSystem(name="Deaf", classes=DETAILED, transcribe=lambda _: found()),
    ]


def test_a_run_scores_every_system_on_every_set_and_writes_it(tmp_path):
    calls: list[str] = []
    results = run.evaluate(_sets(), _systems(), _detectors(), notes=["A note."], progress=calls.append)
    assert calls == ["made"] * 3 + ["drum_free"] * 4 + ["single_drum"] + ["presence"] * 3
    run.write(results, tmp_path / "out")
    stored = json.loads((tmp_path / "out/transcription.json").read_text())["data_sets"]
    assert stored["made"]["systems"]["Finds one"]["kick"]["f_50ms"]["value"] == pytest.approx(2 / 3)
    assert stored["made"]["systems"]["Deaf"]["kick"]["f_50ms"]["value"] == 0
    assert stored["made"]["systems"]["Finds one"]["all"]["tempo_accuracy_1"]["value"] == 1
    assert stored["drum_free"]["systems"]["Finds one"]["all"]["false_drums"]["value"] == 1
    assert stored["drum_free"]["systems"]["Deaf"]["tone"]["false_drums"]["value"] == 0
    assert stored["drum_free"]["systems"]["Always a kick"]["tone"]["false_drums"]["value"] == 1
    assert stored["single_drum"]["systems"]["Finds one"]["kick"]["named_right"]["value"] == 1
    assert stored["single_drum"]["systems"]["Always a kick"]["kick"]["named_right"]["value"] == 1
    assert stored["presence"]["systems"]["Always a kick"]["kick"]["detected_with"]["value"] == 1
    with open(tmp_path / "out/transcription.csv") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 3 * 2 * 2 * 2  # mixes, systems, classes, windows
    assert rows[0] == {
        "dataset": "made", "system": "Finds one", "mix": "mix", "class": "kick", "window_ms": "50",
        "matched": "1", "false": "0", "missed": "1",
    }  # fmt: skip


def test_the_tables_name_every_figure_and_the_last_line_is_json():
    results = run.evaluate(_sets(), _systems(), _detectors(), notes=["A note."])
    text = results.text()
    for part in (
        "Made, 3 mixes",
        MICRO,
        "F 20 ms",
        "tempo 4 %",
        "per hundred",
        "named right",
        "taken out",
        "- A note.",
    ):
        assert part in text
    assert "100.0 [100.0, 100.0]" in text  # false drums of the system that always reports a kick
    assert json.loads(run.last_line(results)) == {
        "made": {"Finds one": 0.5, "Deaf": 0.0},
        "drum_free": {"Finds one": 1.0, "Deaf": 0.0, "Always a kick": 1.0},
        "single_drum": {"Finds one": 1.0, "Deaf": 0.0, "Always a kick": 1.0},
        "presence": {"Always a kick": 0.3333},
    }
