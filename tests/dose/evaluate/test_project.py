"""The project's systems from its folders, the MLflow runs, the command line, the config."""

import dataclasses
import json
import shutil

import grimp
import numpy as np
import pytest
import tiny_bundle
import yaml
from drum_sounds import CoarseCodec, write_items

from dose import audio, cli, config, files
from dose.baselines import larsnet
from dose.bundle import open_bundle
from dose.drums import DRUMS
from dose.errors import ConfigError
from dose.evaluate import project, systems
from dose.evaluate.compare import BASELINES
from dose.evaluate.config import EvaluateConfig
from dose.evaluate.mlflow_runs import log_runs, metrics_of
from dose.evaluate.results import Results
from dose.evaluate.systems import DoseSystem, Reconstruction
from dose.metrics.bootstrap import mean_estimate, resamples
from dose.tracking import Tracker


def _results(system: str = "DOSE") -> Results:
    estimate = mean_estimate(np.arange(4.0), resamples(4, 50, 0))
    metrics = {"mss": estimate, "fad_codec": estimate, "classifier_accuracy": estimate}
    return Results(estimates={"rmod": {system: dict.fromkeys(DRUMS, metrics)}})


def test_a_bundle_has_one_mlflow_run_with_metrics_and_artifacts_however_often_it_is_scored(
    own_store,
):
    tmp_path = own_store
    out = tmp_path / "out"
    out.mkdir()
    for name in ("table.md", "metrics.json", "comparisons.json", "listening.html"):
        (out / name).write_text("x")
    settings = EvaluateConfig(items=4)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker = Tracker("dose", uri, tmp_path)
    bundle = open_bundle(tiny_bundle.make(tmp_path / "made"))
    checkpoint = bundle.checkpoint("kick")
    trained = tracker.log_model(None, "dose-kick", checkpoint, {"dose.hash": files.hash_folder(checkpoint)})
    lock = {"stages": {"rmod": {"outs": [{"path": "data/rmod", "md5": "aa.dir"}]}}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock))
    bundles = {"DOSE": "abc", "absent": "d"}
    models = {"DOSE": bundle}
    first = log_runs(_results(), bundles, settings, out, models=models, root=tmp_path, uri=uri)
    again = log_runs(_results(), {"DOSE": "abc"}, settings, out, models=models, root=tmp_path, uri=uri)
    assert len(first) == 1
    assert again == first
    [run] = tracker.runs({"dose.kind": "evaluation"})
    assert run.metrics["rmod/kick/mss"] == 1.5
    assert run.metrics["rmod/kick/mss_low"] <= 1.5 <= run.metrics["rmod/hihat/fad_codec_high"]
    assert run.tags["dose.system_name"] == run.tags["dose.row"] == "DOSE"  # dose.row: old name
    assert run.metrics["rmod/kick/classifier_accuracy"] == run.metrics["rmod/kick/class_check"]  # old name
    assert run.status == "FINISHED"
    # Issue 21, 5: no link from an evaluation to data, codec and models.
    assert run.tags["dose.bundle"] == bundle.version
    assert (run.tags["dose.codec_id"], run.tags["dose.data_id"]) == (bundle.codec_id, "made-up")
    inputs = tracker.client.get_run(run.id).inputs
    assert {(d.dataset.name, d.dataset.digest) for d in inputs.dataset_inputs} == {
        (name, "aa.dir") for name in settings.datasets
    }
    assert [m.model_id for m in inputs.model_inputs] == [trained]
    other = log_runs(_results(), {"DOSE": "other"}, settings, out, root=tmp_path, uri=uri)
    assert other != first


def test_metrics_of_an_absent_system_are_empty():
    assert metrics_of(_results(), "LarsNet") == {}


class FakeExtractor:
    """The part of an extractor that `DoseSystem` uses: short mixes as a batch, longer ones by `extract`."""

    drums = ("kick",)

    def __init__(self):
        self.batches, self.models = [], {}

    def extract_batch(self, mixes, drum):
        self.batches.append([m.shape for m in mixes])
        return np.stack([np.full(44100, 0.5, np.float32) for _ in mixes])

    def extract_consensus(self, mixes, drum, *, samples):
        return np.stack([np.full(44100, samples / 100, np.float32) for _ in mixes])

    def extract(self, mix, rate, *, drums):
        from types import SimpleNamespace

        hit = SimpleNamespace(raw=np.full(44100, 0.25, np.float32))
        return SimpleNamespace(best=lambda drum: hit if drum == "kick" else None)


def test_test_mixes_are_decoded_as_one_batch_and_recordings_by_the_whole_extraction(tmp_path):
    items = write_items(tmp_path, 2)
    long = tmp_path / "long.wav"
    audio.write(long, np.random.default_rng(0).standard_normal((2, 6 * 44100)).astype(np.float32) * 0.1)
    recording = dataclasses.replace(items[0], mix=long, shots={})
    extractor = FakeExtractor()
    shots = DoseSystem(name="DOSE", extractor=extractor, key="k").one_shots([*items, recording])
    assert [s["kick"][0] for s in shots] == [0.5, 0.5, 0.25]
    assert extractor.batches == [[(2, 176400), (2, 176400)]]
    reranked = DoseSystem(name="DOSE", extractor=extractor, key="k", samples=8).one_shots(items)
    assert [s["kick"][0] for s in reranked] == pytest.approx([0.08, 0.08])


def test_unavailable_systems_have_a_reason_and_the_others_keep_their_order(tmp_path, monkeypatch):
    folders = project.Folders(sweep=tmp_path / "sweep", codec=tmp_path / "codec", cache=tmp_path / "cache")
    settings = EvaluateConfig(larsnet=str(tmp_path / "larsnet"))
    available, unavailable = project.systems(settings, CoarseCodec(), folders)
    assert [system.name for system in available] == ["Reconstruction", "Separation (HPSS)"]
    assert "pipelines.larsnet" in unavailable["LarsNet"]
    assert set(unavailable) == {"LarsNet", "DOSE without onset loss", "DOSE"}
    assert "dvc repro sweep" in unavailable["DOSE"]
    (tmp_path / "sweep" / "kick" / "best").mkdir(parents=True)
    (tmp_path / "sweep" / "kick" / "best" / "model.json").write_text("{}")
    made = []

    def assemble(out, *, codec, transcription, checkpoints):
        out.mkdir(parents=True)
        (out / "manifest.json").write_text("{}")
        made.append(checkpoints)

    monkeypatch.setattr("dose.bundle.assemble", assemble)
    monkeypatch.setattr("dose.extract.extractor.Extractor", lambda folder, search: FakeExtractor())
    for _ in range(2):
        available, _ = project.systems(settings, CoarseCodec(), folders)
        assert [system.name for system in available] == [
            "Reconstruction",
            "Separation (HPSS)",
            "DOSE",
            "DOSE (4 samples, reranked)",
        ]
    assert made == [{"kick": tmp_path / "sweep" / "kick" / "best"}]
    assert [getattr(system, "samples", None) for system in available] == [None, None, 1, settings.samples]
    assemble(tmp_path / "my" / "kit", codec=None, transcription=None, checkpoints={})
    further = dataclasses.replace(settings, samples=1, bundles=(str(tmp_path / "my" / "kit"),))
    available, _ = project.systems(further, CoarseCodec(), folders)
    assert [system.name for system in available][-2:] == ["DOSE", "DOSE (kit)"]


def test_a_selected_model_without_onset_loss_adds_the_row_of_its_pair(tmp_path, monkeypatch):
    """The other drums' selected models have the onset loss: their pair is the row DOSE itself."""
    sweep = tmp_path / "sweep"
    for place in ("kick/best", "kick/ablation", "snare/best", "snare/ablation", "snare/onset"):
        (sweep / place).mkdir(parents=True)
        (sweep / place / "model.json").write_text("{}")
    made = {}
    monkeypatch.setattr(
        project, "swept_bundle", lambda kind, checkpoints, folders: made.update({kind: checkpoints})
    )
    monkeypatch.setattr(
        DoseSystem, "load", lambda name, *_: DoseSystem(name=name, extractor=FakeExtractor(), key="k")
    )
    settings = EvaluateConfig(larsnet=str(tmp_path), samples=1)
    available, _ = project.systems(settings, CoarseCodec(), project.Folders(sweep=sweep))
    rows = [system.name for system in available][-3:]
    assert rows == ["DOSE without onset loss", "DOSE with onset loss", "DOSE"]
    assert made["onset"] == {"kick": sweep / "kick" / "best", "snare": sweep / "snare" / "onset"}


def test_the_name_of_the_larsnet_system_tells_whose_networks_it_has(tmp_path, monkeypatch):
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
    available, _ = project.systems(EvaluateConfig(), CoarseCodec(), project.Folders(sweep=tmp_path / "none"))
    assert [system.name for system in available] == ["Reconstruction", "Separation (HPSS)", "LarsNet"]
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
    monkeypatch.setattr("dose.extract.extractor.Extractor", lambda folder, search: FakeExtractor())
    codec = Reconstruction(codec=CoarseCodec())
    made = [codec, systems.hpss(), systems.larsnet(), DoseSystem.load("DOSE", tmp_path / "bundle")]
    return {system.name: system.key for system in made}


SYSTEMS = {
    "codec": "Reconstruction", "hpss": "Separation (HPSS)", "larsnet": "LarsNet (small, trained here)",
    "dose": "DOSE",
}  # fmt: skip


@pytest.mark.parametrize(("path", "changed"), [
    ("audio/processing.py", {"codec", "hpss", "larsnet", "dose"}),
    ("metrics/one_shots.py", {"codec", "hpss", "larsnet", "dose"}),
    ("compute.py", {"codec", "dose"}),
    ("codec/quantise.py", {"codec", "dose"}),
    ("transcription/bundled/network.safetensors", {"dose"}),
    ("bundle/__init__.py", {"dose"}),
    ("model/decode.py", {"dose"}),
    ("baselines/stem_to_one_shot.py", {"hpss", "larsnet"}),
    ("evaluate/page/listening.py", set()),
    ("metrics/mss.py", set()),
    ("kits/write.py", set()),
])  # fmt: skip
def test_the_key_of_a_system_changes_with_the_code_of_its_audio(tmp_path, monkeypatch, copied, path, changed):
    before = _keys(tmp_path, monkeypatch)
    assert before == _keys(tmp_path, monkeypatch)
    assert set(before) == set(SYSTEMS.values())
    with open(copied / path, "ab") as f:
        f.write(b"\n")
    after = _keys(tmp_path, monkeypatch)
    assert {name for name in before if before[name] != after[name]} == {SYSTEMS[system] for system in changed}


@pytest.mark.parametrize(("hashed", "producers"), [
    (systems.GENERATING, ["dose.extract.extractor"]),
    (systems.SEPARATING, [f"dose.baselines.{name}" for name in ("hpss", "larsnet", "stem_to_one_shot")]),
    (systems.RECONSTRUCTING, ["dose.codec.store"]),
])  # fmt: skip
def test_the_keys_cover_every_import_of_the_code_that_produces_audio(hashed, producers):
    graph = grimp.build_graph("dose", cache_dir=None)
    needed = {m for p in producers for m in {p} | graph.find_upstream_modules(p)}
    covered = {"dose." + name.removesuffix(".py").replace("/", ".") for name in hashed}
    without_audio = {"dose", "dose.config", "dose.errors", "dose.files", "dose.metrics"}
    assert [m for m in needed - without_audio if not any(f"{m}.".startswith(f"{c}.") for c in covered)] == []


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a test set, another system's outputs for it, and the command run in it."""
    monkeypatch.chdir(tmp_path)
    for i, item in enumerate(write_items(tmp_path / "data/rmod/audio/test", 3)):
        (item.mix.parent / "hits.json").write_text(json.dumps({drum: [0.0] for drum in DRUMS}))
        for drum in DRUMS:
            audio.write(tmp_path / "theirs" / str(i) / f"{drum}.wav", 0.5 * item.read_reference(drum))
    monkeypatch.setattr("dose.codec.bundled_codec", CoarseCodec)
    return tmp_path


def test_an_external_folder_is_scored_outside_of_the_pipeline(here, capsys):
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
    (["--external", "theirs", "--samples", "0"], "--samples must be"),
    (["--external", "theirs", "--draws", "0"], "--samples must be"),  # old name
    (["--external", "theirs", "--name", "a", "--name", "b"], "more --name"),
    (["--external", "theirs", "--data", "groove"], "dvc repro rmod"),
    (["--bundle", "some/where"], "some/where"),
])  # fmt: skip
def test_a_mistake_gives_one_sentence(here, capsys, arguments, sentence):
    assert cli.main(["evaluate", *arguments]) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("dose: ")
    assert sentence in message


def test_the_config_rejects_contradictions():
    plain = dataclasses.asdict(EvaluateConfig())
    assert config.parse(EvaluateConfig, plain, "evaluate") == EvaluateConfig()
    for wrong in ({"items": 1}, {"datasets": []}, {"datasets": ["rmod", "rmod"]}, {"embeddings": ["vggish"]},
                  {"bootstrap": 3}, {"datasets": ["gmd"]}):  # fmt: skip
        with pytest.raises(ConfigError):
            config.parse(EvaluateConfig, plain | wrong, "evaluate")


def test_the_old_name_of_samples_is_read_for_one_release():
    old = {key: value for key, value in dataclasses.asdict(EvaluateConfig()).items() if key != "samples"}
    assert config.parse(EvaluateConfig, old | {"draws": 3}, "evaluate").samples == 3
