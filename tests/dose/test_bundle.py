"""A bundle is complete, of one codec, and unchanged, or it is refused by name."""

import json

import pytest

from dose import bundle as bundles
from dose import cli
from dose.errors import IntegrityError, MissingInputError


@pytest.fixture
def parts(tmp_path):
    """A codec folder and two checkpoints that only dose.bundle looks at: JSON and bytes."""
    codec = tmp_path / "codec"
    codec.mkdir()
    (codec / "codec.json").write_text(json.dumps({"id": "c1"}))
    (codec / "weights.safetensors").write_bytes(b"codec")
    for drum in ("kick", "snare"):
        folder = tmp_path / drum
        folder.mkdir()
        (folder / "model.json").write_text(
            json.dumps({"meta": {"drum": drum, "codec_id": "c1", "data_id": "d1", "steps": 7}})
        )
        (folder / "model.safetensors").write_bytes(drum.encode())
    return tmp_path


def _assemble(parts, drums=("kick", "snare"), **options):
    checkpoints = {drum: parts / drum for drum in drums}
    return bundles.assemble(parts / "bundle", codec=parts / "codec", checkpoints=checkpoints, **options)


def test_what_was_assembled_opens(parts):
    made = _assemble(parts, metrics={"mss": 1.5}, calibration={"kick": {"slope": 2.0}})
    opened = bundles.open_bundle(parts / "bundle")
    assert opened == made
    assert opened.drums == ("kick", "snare")
    assert (opened.codec_id, opened.data_id) == ("c1", "d1")
    assert opened.metrics == {"mss": 1.5}
    assert opened.checkpoint("snare").joinpath("model.safetensors").read_bytes() == b"snare"
    with pytest.raises(MissingInputError, match="hihat"):
        opened.checkpoint("hihat")


def test_the_version_follows_the_weights(parts):
    first = _assemble(parts).version
    assert _assemble(parts, created="2020-01-01").version == first
    (parts / "kick" / "model.safetensors").write_bytes(b"other")
    assert _assemble(parts).version != first
    assert _assemble(parts, version="v9").version == "v9"


def test_the_version_covers_the_calibration(parts):
    """Issue 17, 15: two bundles that differed in it, and so in what they detect, had one version."""
    plain = _assemble(parts).version
    one = _assemble(parts, calibration={"kick": {"slope": 2.0}}).version
    assert len({plain, one, _assemble(parts, calibration={"kick": {"slope": 3.0}}).version}) == 3
    _assemble(parts)
    assert bundles.recalibrate(parts / "bundle", {"kick": {"slope": 2.0}}).version == one
    assert bundles.recalibrate(parts / "bundle", {"kick": {"slope": 3.0}}).version != one
    assert bundles.recalibrate(parts / "bundle", {}).version == plain
    _assemble(parts, version="v9")
    assert bundles.recalibrate(parts / "bundle", {"kick": {"slope": 3.0}}).version == "v9"


def test_a_model_of_another_codec_or_drum_is_refused(parts):
    model = parts / "kick" / "model.json"
    model.write_text(json.dumps({"meta": {"drum": "kick", "codec_id": "c2"}}))
    with pytest.raises(IntegrityError, match="c2"):
        _assemble(parts)
    model.write_text(json.dumps({"meta": {"drum": "snare", "codec_id": "c1"}}))
    with pytest.raises(IntegrityError, match="offered as kick"):
        _assemble(parts)
    assert not (parts / "bundle").exists()


def test_a_tampered_weight_is_named(parts):
    _assemble(parts)
    (parts / "bundle" / "kick" / "model.safetensors").write_bytes(b"kicc")
    with pytest.raises(IntegrityError, match=r"kick/model\.safetensors"):
        bundles.open_bundle(parts / "bundle")


def test_recalibrating_keeps_the_bundle_whole(parts):
    _assemble(parts)
    bundles.recalibrate(parts / "bundle", {"snare": {"slope": 1.0}})
    assert bundles.open_bundle(parts / "bundle").calibration == {"snare": {"slope": 1.0}}


def test_the_projects_bundle_comes_before_the_shipped_one(parts, monkeypatch):
    made = _assemble(parts).folder
    monkeypatch.chdir(parts)
    monkeypatch.setattr(bundles, "SHIPPED", parts / "nowhere")
    with pytest.raises(MissingInputError, match="--bundle"):
        bundles.default_bundle()
    monkeypatch.setattr(bundles, "SHIPPED", made)
    assert bundles.default_bundle() == made
    for place in (bundles.PACKAGED, bundles.LIVE):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(_assemble(parts, drums=("kick",)).folder)
        assert bundles.default_bundle() == place


def test_show_prints_the_facts(parts, capsys):
    made = _assemble(parts, version="v1")
    assert cli.main(["bundle", "show", str(made.folder)]) == 0
    out = capsys.readouterr().out
    assert "v1" in out
    assert "7 training steps" in out
    assert cli.main(["bundle", "show", str(made.folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"]["kick"]["steps"] == 7
    assert cli.main(["bundle", "show", str(parts)]) == 1
