"""The project's rows from its folders, the MLflow record, the command line, the config."""

import dataclasses
import json
import shutil

import grimp
import numpy as np
import pytest
from drum_sounds import CoarseCodec, write_items

from dose import audio, cli, config
from dose.baselines import larsnet
from dose.drums import DRUMS
from dose.errors import ConfigError
from dose.evaluate import project, systems
from dose.evaluate.compare import BASELINES
from dose.evaluate.config import EvaluateConfig
from dose.evaluate.results import Results
from dose.evaluate.runs import metrics_of, record
from dose.evaluate.systems import DoseSystem, Reconstruction
from dose.metrics.statistics import mean_estimate, resamples


def _results(row: str = "DOSE") -> Results:
    estimate = mean_estimate(np.arange(4.0), resamples(4, 50, 0))
    cells = {"rmod": {row: {drum: {"mss": estimate, "fad_codec": estimate} for drum in DRUMS}}}
    return Results(cells=cells)


@pytest.mark.slow
def test_a_bundles_run_in_mlflow_has_the_figures_and_the_page_and_is_one_run_however_often(tmp_path):
    from dose.tracking import Tracker

    out = tmp_path / "out"
    out.mkdir()
    for name in ("table.md", "metrics.json", "comparisons.json", "listening.html"):
        (out / name).write_text("x")
    settings = EvaluateConfig(items=4)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    first = record(_results(), {"DOSE": "abc", "absent": "d"}, settings, out, root=tmp_path, uri=uri)
    again = record(_results(), {"DOSE": "abc"}, settings, out, root=tmp_path, uri=uri)
    assert len(first) == 1
    assert again == first
    tracker = Tracker("dose", uri, tmp_path)
    [run] = tracker.runs({"dose.kind": "evaluation"})
    assert run.metrics["rmod/kick/mss"] == 1.5
    assert run.metrics["rmod/kick/mss_low"] <= 1.5 <= run.metrics["rmod/hihat/fad_codec_high"]
    assert run.tags["dose.row"] == "DOSE"
    assert run.status == "FINISHED"
    other = record(_results(), {"DOSE": "other"}, settings, out, root=tmp_path, uri=uri)
    assert other != first


def test_metrics_of_an_absent_row_are_none():
    assert metrics_of(_results(), "LarsNet") == {}


class FakeExtractor:
    """What `Dose` uses of an extractor: short mixes in a batch, longer ones by the whole extraction."""

    drums = ("kick",)

    def __init__(self):
        self.asked, self.models = [], {}

    def extract_batch(self, mixes, drum):
        self.asked.append([m.shape for m in mixes])
        return np.stack([np.full(44100, 0.5, np.float32) for _ in mixes])

    def extract_consensus(self, mixes, drum, *, samples):
        return np.stack([np.full(44100, samples / 100, np.float32) for _ in mixes])

    def extract(self, mix, rate, *, drums):
        from types import SimpleNamespace

        hit = SimpleNamespace(raw=np.full(44100, 0.25, np.float32))
        return SimpleNamespace(best=lambda drum: hit if drum == "kick" else None)


def test_test_mixes_go_through_in_one_pass_and_recordings_through_the_whole_extraction(tmp_path):
    items = write_items(tmp_path, 2)
    long = tmp_path / "long.wav"
    audio.write(long, np.random.default_rng(0).standard_normal((2, 6 * 44100)).astype(np.float32) * 0.1)
    recording = dataclasses.replace(items[0], mix=long, shots={})
    extractor = FakeExtractor()
    kits = DoseSystem(name="DOSE", extractor=extractor, key="k").kits([*items, recording])
    assert [k["kick"][0] for k in kits] == [0.5, 0.5, 0.25]
    assert extractor.asked == [[(2, 176400), (2, 176400)]]
    central = DoseSystem(name="DOSE", extractor=extractor, key="k", draws=8).kits(items)
    assert [k["kick"][0] for k in central] == pytest.approx([0.08, 0.08])


def test_rows_that_cannot_be_had_say_why_and_the_others_keep_their_order(tmp_path, monkeypatch):
    folders = project.Folders(sweep=tmp_path / "sweep", codec=tmp_path / "codec", cache=tmp_path / "cache")
    settings = EvaluateConfig(larsnet=str(tmp_path / "larsnet"))
    rows, lacking = project.systems(settings, CoarseCodec(), folders)
    assert [row.name for row in rows] == ["Reconstruction", "Separation (HPSS)"]
    assert "pipelines.larsnet" in lacking["LarsNet"]
    assert set(lacking) == {"LarsNet", "DOSE without onset loss", "DOSE"}
    assert "dvc repro sweep" in lacking["DOSE"]
    (tmp_path / "sweep" / "kick" / "best").mkdir(parents=True)
    (tmp_path / "sweep" / "kick" / "best" / "model.json").write_text("{}")
    made = []

    def assemble(out, *, codec, checkpoints):
        out.mkdir(parents=True)
        (out / "manifest.json").write_text("{}")
        made.append(checkpoints)

    monkeypatch.setattr("dose.bundle.assemble", assemble)
    monkeypatch.setattr("dose.extract.extractor.Extractor.load", lambda folder, search: FakeExtractor())
    for _ in range(2):
        rows, _ = project.systems(settings, CoarseCodec(), folders)
        assert [row.name for row in rows] == ["Reconstruction", "Separation (HPSS)", "DOSE", project.SEVERAL]
    assert made == [{"kick": tmp_path / "sweep" / "kick" / "best"}]
    assert [getattr(row, "draws", None) for row in rows] == [None, None, 1, settings.draws]
    assemble(tmp_path / "my" / "kit", codec=None, checkpoints={})
    further = dataclasses.replace(settings, draws=1, bundles=(str(tmp_path / "my" / "kit"),))
    rows, _ = project.systems(further, CoarseCodec(), folders)
    assert [row.name for row in rows][-2:] == ["DOSE", "DOSE (kit)"]


def test_the_larsnet_row_says_whose_networks_it_is(tmp_path, monkeypatch):
    shipped = systems.larsnet()
    assert shipped.name == "LarsNet (small, trained here)"
    library = larsnet.load(larsnet.SHIPPED)
    for stem, net in library.nets.items():
        larsnet.save(net, tmp_path / stem, {})
    trained = systems.larsnet(tmp_path)
    assert trained.name == "LarsNet (trained here)"
    assert trained.key == shipped.key  # the same weights, whatever the folder
    monkeypatch.setattr(larsnet, "load", lambda folder: larsnet.LarsNet(library.nets, "theirs", authors=True))
    assert systems.larsnet(tmp_path).name == "LarsNet"
    rows, _ = project.systems(EvaluateConfig(), CoarseCodec(), project.Folders(sweep=tmp_path / "none"))
    assert [row.name for row in rows] == ["Reconstruction", "Separation (HPSS)", "LarsNet"]
    assert set(systems.LARSNETS.values()) < set(BASELINES)


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the package whose code the keys of the systems are made from."""
    ignored = shutil.ignore_patterns("*.flac", "models", "weights", "__pycache__")
    copy = shutil.copytree(systems.PACKAGE, tmp_path / "dose", ignore=ignored)
    monkeypatch.setattr(systems, "PACKAGE", copy)
    return copy


def _keys(tmp_path, monkeypatch) -> dict[str, str]:
    (tmp_path / "bundle").mkdir(exist_ok=True)
    (tmp_path / "bundle" / "manifest.json").write_text("{}")
    monkeypatch.setattr("dose.extract.extractor.Extractor.load", lambda folder, search: FakeExtractor())
    codec = Reconstruction(codec=CoarseCodec())
    rows = [codec, systems.hpss(), systems.larsnet(), DoseSystem.load("DOSE", tmp_path / "bundle")]
    return {row.name: row.key for row in rows}


ROWS = {
    "codec": "Reconstruction", "hpss": "Separation (HPSS)", "larsnet": "LarsNet (small, trained here)",
    "dose": "DOSE",
}  # fmt: skip


@pytest.mark.parametrize(("path", "rows"), [
    ("audio/processing.py", {"codec", "hpss", "larsnet", "dose"}),
    ("metrics/shots.py", {"codec", "hpss", "larsnet", "dose"}),
    ("compute.py", {"codec", "dose"}),
    ("codec/quantise.py", {"codec", "dose"}),
    ("transcription/onsets.safetensors", {"dose"}),
    ("bundle/__init__.py", {"dose"}),
    ("model/decode.py", {"dose"}),
    ("baselines/stem_to_one_shot.py", {"hpss", "larsnet"}),
    ("evaluate/report.py", set()),
    ("metrics/mss.py", set()),
    ("kits/write.py", set()),
])  # fmt: skip
def test_the_key_of_a_system_changes_with_what_makes_its_sound(tmp_path, monkeypatch, copied, path, rows):
    before = _keys(tmp_path, monkeypatch)
    assert before == _keys(tmp_path, monkeypatch)
    assert set(before) == set(ROWS.values())
    with open(copied / path, "ab") as f:
        f.write(b"\n")
    after = _keys(tmp_path, monkeypatch)
    assert {name for name in before if before[name] != after[name]} == {ROWS[row] for row in rows}


@pytest.mark.parametrize(("hashed", "makers"), [
    (systems.GENERATING, ["dose.extract.extractor"]),
    (systems.SEPARATING, [f"dose.baselines.{name}" for name in ("hpss", "larsnet", "stem_to_one_shot")]),
    (systems.RECONSTRUCTING, ["dose.codec.store"]),
])  # fmt: skip
def test_the_keys_cover_all_that_the_makers_of_sound_import(hashed, makers):
    graph = grimp.build_graph("dose", cache_dir=None)
    needed = {m for maker in makers for m in {maker} | graph.find_upstream_modules(maker)}
    covered = {"dose." + name.removesuffix(".py").replace("/", ".") for name in hashed}
    silent = {"dose", "dose.config", "dose.errors", "dose.files", "dose.metrics"}
    assert [m for m in needed - silent if not any(f"{m}.".startswith(f"{c}.") for c in covered)] == []


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a test set, another system's outputs for it, and the command run in it."""
    monkeypatch.chdir(tmp_path)
    for i, item in enumerate(write_items(tmp_path / "data/rmod/audio/test", 3)):
        (item.mix.parent / "hits.json").write_text(json.dumps({drum: [0.0] for drum in DRUMS}))
        for drum in DRUMS:
            audio.write(tmp_path / "theirs" / str(i) / f"{drum}.wav", 0.5 * item.read_truth(drum))
    monkeypatch.setattr("dose.codec.bundled_codec", CoarseCodec)
    return tmp_path


def test_another_systems_folder_is_scored_outside_of_the_pipeline(here, capsys):
    assert cli.main(["evaluate", "--external", "theirs", "--name", "Theirs", "--n", "3", "--json"]) == 0
    printed = capsys.readouterr().out
    metrics = json.loads(printed[printed.index("{") :])
    assert metrics["rmod"]["Theirs"]["kick"]["mss"]["n"] == 3
    assert metrics["rmod"]["Theirs"]["kick"]["mss"]["value"] < 0.01
    assert (here / "data" / "scores" / "listening.html").is_file()


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--external", "nowhere"], "not a folder"),
    (["--external", "theirs", "--data", "rmod,gmd"], "--data must name"),
    (["--external", "theirs", "--n", "1"], "--n must be"),
    (["--external", "theirs", "--name", "a", "--name", "b"], "more --name"),
    (["--external", "theirs", "--data", "groove"], "dvc repro rmod"),
    (["--bundle", "some/where"], "some/where"),
])  # fmt: skip
def test_mistakes_are_told_in_one_sentence(here, capsys, arguments, sentence):
    assert cli.main(["evaluate", *arguments]) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("dose: ")
    assert sentence in told


def test_the_config_refuses_contradictions():
    plain = dataclasses.asdict(EvaluateConfig())
    assert config.parse(EvaluateConfig, plain, "evaluate") == EvaluateConfig()
    for wrong in ({"items": 1}, {"datasets": []}, {"datasets": ["rmod", "rmod"]}, {"embeddings": ["vggish"]},
                  {"bootstrap": 3}, {"datasets": ["gmd"]}):  # fmt: skip
        with pytest.raises(ConfigError):
            config.parse(EvaluateConfig, plain | wrong, "evaluate")
