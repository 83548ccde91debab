"""From systems to a filled folder, and everything that may be wrong with the outputs that are scored."""

import dataclasses
import json

import numpy as np
import pytest
from drum_sounds import CoarseCodec, shot, write_items

from dose import audio
from dose.drums import DRUMS
from dose.errors import DoseError, MissingInputError
from dose.evaluate import output, pipeline, table
from dose.evaluate.config import EvaluateConfig
from dose.evaluate.datasets import check_outputs, read_outputs
from dose.evaluate.page import listening
from dose.evaluate.results import Results, SystemOutputs
from dose.evaluate.run import evaluate
from dose.evaluate.systems import Reconstruction, generate, hpss
from dose.metrics.bootstrap import Estimate
from dose.metrics.classifier import DrumClassifier
from dose.metrics.embeddings import CodecEmbedder
from dose.metrics.log_mel import log_mel_features
from dose.metrics.memorisation import NearestTrainingShot

CONFIG = EvaluateConfig(items=10, datasets=("rmod",), bootstrap=100, bootstrap_sets=20, recordings=False)
COUNT = 10


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Ten items, two systems generated, scored and written once for all tests that only read."""
    root = tmp_path_factory.mktemp("evaluate")
    items = write_items(root / "data", COUNT)
    datasets = {"rmod": items}
    systems = [Reconstruction(codec=CoarseCodec()), hpss()]
    outputs = pipeline.generate_all(systems, datasets, root / "cache")
    train = {d: log_mel_features(np.stack([shot(d, 500 + i) for i in range(8)])) for d in DRUMS}
    labels = np.repeat(DRUMS, 8)
    classifier = DrumClassifier(np.concatenate([train[d] for d in DRUMS]), labels)
    reference_free = [classifier, NearestTrainingShot(train)]
    demo = dataclasses.replace(items[0], shots={}, name="a recording")
    demo_outputs = [SystemOutputs(name="Separation (HPSS)", folder=outputs["rmod"][1].folder)]
    results = pipeline.score_all(
        CONFIG, datasets, outputs, CoarseCodec(), reference_free, root / "out", cache=root / "cache",
        unavailable={"LarsNet": "no weights: put them there."}, recordings=([demo], demo_outputs),
    )  # fmt: skip
    return root, items, outputs, results


def test_metrics_json_has_every_estimate_with_its_number_of_items_and_interval(project):
    root, *_ = project
    metrics = json.loads((root / "out" / "metrics.json").read_text())
    assert set(metrics["rmod"]) == {"Reference", "Truth", "Reconstruction", "Separation (HPSS)"}
    for system in ("Reconstruction", "Separation (HPSS)"):
        for drum in DRUMS:
            estimates = metrics["rmod"][system][drum]
            assert {"mss", "mss_log", "fad_codec", "fad_inf_codec", "kad_codec", "lsd_db", "envelope_db",
                    "attack_ms", "classifier_accuracy", "nearest_train_db", "memorisation_rate",
                    "silent"} <= set(estimates)  # fmt: skip
            for metric, estimate in estimates.items():
                # The tail is undefined where the reference lasts to its end.
                assert 0 < estimate["n"] <= COUNT if metric.startswith("tail_db") else estimate["n"] == COUNT
                assert estimate["low"] <= estimate["value"] <= estimate["high"]
    assert metrics["rmod"]["Reference"]["snare"]["classifier_accuracy"]["value"] == 1


def test_the_scores_for_dvc_are_flat_and_of_the_models_trained_here():
    """Issue 21, 3: `dvc metrics show` found nothing, and hundreds of nested values are no summary."""
    estimates = {
        metric: Estimate(value=2.123456, n=16, low=1.0, high=3.0, replicates=np.zeros(1))
        for metric in ("mss", "mss_log", "kad_codec", "kad_vggish", "attack_ms", "classifier_accuracy")
    }
    ours = ("DOSE", "DOSE without onset loss", "DOSE (4 samples, reranked)")
    systems = dict.fromkeys((*ours, "Reconstruction", "DOSE (shipped)"), dict.fromkeys(DRUMS, estimates))
    scores = output.summary_scores(Results(estimates={"rmod": systems, "groove": systems}))
    assert len(scores) == 3 * 3 * 4
    assert {tuple(key.split(".")[:2]) for key in scores} == {
        ("rmod", "dose"), ("rmod", "ablation"), ("rmod", "reranked")
    }  # fmt: skip
    assert scores["rmod.dose.kick.mss"] == 2.1235
    assert all(isinstance(value, float) for value in scores.values())
    assert output.summary_scores(Results()) == {}


def test_a_table_without_a_model_trained_here_has_no_scores_for_dvc(project):
    root, *_ = project
    assert json.loads((root / "out" / "scores.json").read_text()) == {}


def test_renamed_metrics_and_systems_keep_their_old_names_for_one_release(project):
    root, _, _, results = project
    metrics = json.loads((root / "out" / "metrics.json").read_text())["rmod"]
    assert metrics["Truth"] == metrics["Reference"]
    kick = metrics["Reconstruction"]["kick"]
    for name, old in {
        "classifier_accuracy": "class_check", "nearest_train_db": "copy_db", "memorisation_rate": "nearer"
    }.items():  # fmt: skip
        assert kick[name] == kick[old]
    reranked = Results(
        estimates={"rmod": {"DOSE (4 samples, reranked)": results.estimates["rmod"]["Reference"]}}
    )
    assert set(output.metrics(reranked)["rmod"]) == {"DOSE (4 samples, reranked)", "DOSE, of several draws"}
    comparisons = json.loads((root / "out" / "comparisons.json").read_text())
    assert comparisons["gap_closed"] == comparisons["normalised_improvement"]
    for name in ("summary.md", "table.md", "table.tex"):
        text = (root / "out" / name).read_text()
        assert not any(old in text for old in ("Truth", "class check", "nearest dB", "Gap closed"))


def test_a_copy_of_a_training_sound_counts_as_memorised_and_another_drum_does_not(tmp_path):
    items = write_items(tmp_path / "data", 2)
    training = shot("kick", 500)
    for name, sounds in (("copies", [training] * 2), ("others", [shot("hihat", 0)] * 2)):
        for item, sound in zip(items, sounds, strict=True):
            audio.write(tmp_path / name / str(item.index) / "kick.wav", sound)
    outputs = {"rmod": [SystemOutputs(name=name, folder=tmp_path / name) for name in ("copies", "others")]}
    metric = NearestTrainingShot({"kick": log_mel_features(training[None])})
    results = evaluate(CONFIG, {"rmod": items}, outputs, [CodecEmbedder(CoarseCodec())], [metric])
    assert results.item_scores["rmod", "copies", "kick"]["memorisation_rate"].tolist() == [1, 1]
    assert results.item_scores["rmod", "others", "kick"]["memorisation_rate"].tolist() == [0, 0]


def test_reconstruction_is_better_than_the_baseline_by_a_paired_difference(project):
    root, *_ = project
    found = json.loads((root / "out" / "comparisons.json").read_text())["differences"]["rmod"]
    kick = found["Separation (HPSS) - Reconstruction"]["kick"]
    assert 0 < kick["mss"]["low"] < kick["mss"]["value"]
    assert set(kick) >= {"mss", "fad_codec", "kad_codec", "lsd_db", "attack_ms"}


def test_tables_show_the_papers_figures_as_the_papers_and_missing_weights_as_missing(project):
    root, *_ = project
    text = (root / "out" / "table.md").read_text()
    assert "paper's, on its own data: LarsNet" in text
    assert "no weights" in text
    assert "| 5.153 |" in text
    assert "LarsNet: no weights: put them there." in text
    latex = (root / "out" / "table.tex").read_text()
    assert latex.count(r"\\") >= 8
    assert r"\textit{paper: DOSE}" in latex


def test_the_summary_fits_a_terminal_opens_the_table_and_names_unavailable_systems(project):
    root, _, _, results = project
    text = (root / "out" / "summary.md").read_text()
    assert (root / "out" / "table.md").read_text().startswith(text)
    assert max(map(len, text.splitlines())) <= 110
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads == ["## RMOD: MSS", "## RMOD: FAD codec"]
    widths = {len(line) for line in text.split("## RMOD: FAD codec")[0].splitlines() if line.startswith("|")}
    assert len(widths) == 1
    kick = results.estimates["rmod"]["Separation (HPSS)"]["kick"]["mss"]
    [row] = [line for line in text.split("## RMOD: FAD")[0].splitlines() if "| Separation (HPSS)" in line]
    assert row.split("|")[2].strip() == f"{kick.value:.2f} [{kick.low:.2f}, {kick.high:.2f}]"
    assert "Reference" not in text
    [absent] = {" ".join(line.split()) for line in text.splitlines() if line.startswith("| LarsNet")}
    assert absent == "| LarsNet | no weights | no weights | no weights |"
    assert "- LarsNet: no weights: put them there." in text


def test_the_listening_page_needs_no_network_and_holds_every_case(project):
    root, _, _, results = project
    page = (root / "out" / "listening.html").read_text()
    assert len(page) < listening.MAX_BYTES
    assert "http" not in page.replace("http://www.w3.org", "")
    assert page.count('class="card reference"') == 9  # best, median and worst of three drums
    for kind in ("best", "median", "worst"):
        assert f"kick, {kind} (item" in page
    assert "a recording" in page
    cases = listening.select_cases(results.item_scores["rmod", "Separation (HPSS)", "kick"]["mss"])
    assert list(cases) == ["best", "median", "worst"]


def test_cases_are_selected_by_score_and_never_twice():
    assert listening.select_cases(np.array([3.0, 1.0, 2.0])) == {"best": 1, "median": 2, "worst": 0}
    assert listening.select_cases(np.array([np.nan, 5.0])) == {"best": 1}
    assert listening.select_cases(np.array([np.nan])) == {}


def test_plots_and_items_are_written_for_dvc(project):
    root, *_ = project
    assert (root / "out" / "plots" / "mss.png").stat().st_size > 1000
    head, *lines = (root / "out" / "plots" / "scores.csv").read_text().splitlines()
    assert head == "dataset,system,drum,metric,value,low,high,n"
    assert len(lines) > 50
    curve = (root / "out" / "plots" / "sample_size.csv").read_text()
    assert "rmod,Reconstruction,kick,fad_codec,10," in curve
    items = (root / "out" / "items" / "rmod" / "kick-separation-hpss.csv").read_text().splitlines()
    assert len(items) == 1 + COUNT
    assert items[0].startswith("index,mss,")


def test_finished_items_are_not_generated_again(project):
    _, items, outputs, _ = project

    class Never:
        name, key = "Separation (HPSS)", "x"

        def one_shots(self, items):
            raise AssertionError("generated again")

    assert list(generate(Never(), items, outputs["rmod"][1].folder)) == [COUNT]


def test_an_interrupted_generation_resumes(tmp_path):
    items = write_items(tmp_path / "data", 4)
    batches = []

    class Slow:
        name, key = "slow", "1"

        def one_shots(self, batch):
            batches.append([i.index for i in batch])
            if len(batches) == 2:
                raise KeyboardInterrupt
            return [{"kick": np.ones(44100, np.float32)} for _ in batch]

    with pytest.raises(KeyboardInterrupt):
        list(generate(Slow(), items, tmp_path / "out", batch=2))
    assert list(generate(Slow(), items, tmp_path / "out", batch=2)) == [2, 4]
    assert batches == [[0, 1], [2, 3], [2, 3]]


@pytest.fixture
def external(tmp_path):
    """Items, and a folder of another system's outputs: the references with a little noise."""
    items = write_items(tmp_path / "data", COUNT)
    rng = np.random.default_rng(0)
    for item in items:
        for drum in DRUMS:
            noisy = 0.3 * item.read_reference(drum) + 0.001 * rng.standard_normal(44100).astype(np.float32)
            audio.write(tmp_path / "theirs" / str(item.index) / f"{drum}.wav", noisy)
    return items, tmp_path / "theirs"


def _score(items, folder):
    outputs = {"rmod": [SystemOutputs(name="theirs", folder=folder)]}
    return evaluate(CONFIG, {"rmod": items}, outputs, [CodecEmbedder(CoarseCodec())])


def test_outputs_that_cannot_be_scored_are_excluded_counted_and_never_nan(external):
    items, folder = external
    (folder / "0" / "kick.wav").unlink()
    (folder / "1" / "kick.wav").write_bytes(b"")
    (folder / "2" / "kick.wav").write_text("this is text")
    audio.write(folder / "3" / "kick.wav", np.full(44100, np.nan, np.float32), subtype="FLOAT")
    audio.write(folder / "4" / "kick.wav", np.ones(10, np.float32))
    audio.write(items[5].shots["kick"], np.zeros(44100, np.float32))
    results = _score(items, folder)
    estimates = results.estimates["rmod"]["theirs"]["kick"]
    assert estimates["mss"].n == 4
    assert all(np.isfinite([e.value, e.low, e.high]).all() for e in estimates.values())
    assert "fad_codec" not in estimates  # fewer than 8 left
    assert any("too few" in w for w in results.warnings)
    assert results.estimates["rmod"]["theirs"]["snare"]["mss"].n == COUNT
    found = {e.index: e for e in results.excluded}
    assert sorted(found) == [0, 1, 2, 3, 4, 5]
    assert found[5].system == "Reference"
    text = table.markdown(results)
    assert "excluded: 1 x rmod, theirs, kick: missing" in text
    assert "excluded: 1 x rmod, Reference, kick: silent" in text
    json.dumps(output.metrics(results), allow_nan=False)


def test_silence_is_scored_as_silence(external):
    items, folder = external
    before = _score(items, folder).estimates["rmod"]["theirs"]["kick"]
    for i in range(5):
        audio.write(folder / str(i) / "kick.wav", np.zeros(44100, np.float32))
    after = _score(items, folder).estimates["rmod"]["theirs"]["kick"]
    assert (after["mss"].n, after["silent"].value) == (COUNT, 0.5)
    assert after["mss"].value > before["mss"].value
    assert after["attack_ms"].n == 5


def test_another_rate_more_channels_and_another_level_score_the_same(external):
    items, folder = external
    before = _score(items[:2], folder).estimates["rmod"]["theirs"]["kick"]["mss"].value
    for i in range(2):
        sound = audio.read(folder / str(i) / "kick.wav")
        other = audio.resample(np.stack([sound, sound]) * 0.5, 44100, 96000)
        audio.write(folder / str(i) / "kick.wav", other, rate=96000, subtype="FLOAT")
    after = _score(items[:2], folder).estimates["rmod"]["theirs"]["kick"]["mss"].value
    assert after == pytest.approx(before, abs=0.1)  # another kick is 1 to 2 away


def test_fewer_embeddings_than_dimensions_give_a_warning(external):
    items, folder = external

    class Wide:
        name, id = "wide", "w"

        def embed(self, shots):
            return np.random.default_rng(0).standard_normal((len(shots), 1, 64)).astype(np.float32)

    outputs = {"rmod": [SystemOutputs(name="theirs", folder=folder)]}
    results = evaluate(CONFIG, {"rmod": items}, outputs, [Wide()])
    assert "fad_wide" in results.estimates["rmod"]["theirs"]["kick"]
    assert any("64 dimensions" in w and "read fad_inf" in w for w in results.warnings)


def test_a_folder_without_one_shots_is_rejected_with_an_example(tmp_path, external):
    items, folder = external
    check_outputs(folder, items)
    with pytest.raises(MissingInputError, match=r"000000/kick\.wav"):
        check_outputs(tmp_path, items)
    with pytest.raises(MissingInputError, match="not a folder"):
        check_outputs(tmp_path / "nowhere", items)


def test_one_item_is_too_few(external):
    items, folder = external
    with pytest.raises(DoseError, match="at least 2"):
        _score(items[:1], folder)


def test_outputs_are_found_with_and_without_leading_zeros(tmp_path):
    items = write_items(tmp_path / "data", 2)
    audio.write(tmp_path / "a" / "000000" / "kick.flac", shot("kick", 0))
    audio.write(tmp_path / "a" / "1" / "kick.wav", shot("kick", 1))
    found = read_outputs(tmp_path / "a", items, "kick")
    assert all(isinstance(f, np.ndarray) for f in found)
