"""VGGish against frechet-audio-distance's own path on the same random network, and the loaders' refusals."""

import numpy as np
import pytest
import torch
from drum_sounds import shots

from dose import audio
from dose.errors import IntegrityError, MissingInputError
from dose.evaluate import embeddings
from dose.metrics.fad import frechet_distance
from dose.metrics.vggish import MIN_SAMPLES, VGGish, VGGishEmbedder, examples, mel_weights

# What torch.hub would fetch: the published repository's interface around the same network, with the front end
# written out slowly in numpy. frechet-audio-distance loads, resamples, embeds and compares through it.
HUBCONF = """
import numpy as np
import torch
dependencies = ["torch"]

def _mel(f):
    return 1127.0 * np.log(1.0 + f / 700.0)

def _triangles():
    edges = np.linspace(_mel(125.0), _mel(7500.0), 66)
    weights = np.zeros((257, 64))
    for b in range(64):
        for k in range(1, 257):
            m = _mel(k * 16000 / 512)
            if edges[b] < m < edges[b + 2]:
                up = (m - edges[b]) / (edges[b + 1] - edges[b])
                down = (edges[b + 2] - m) / (edges[b + 2] - edges[b + 1])
                weights[k, b] = min(up, down)
    return weights

WEIGHTS = _triangles()

def _log_mel(x):
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    rows = []
    for start in range(0, len(x) - 400 + 1, 160):
        spectrum = np.abs(np.fft.rfft(x[start : start + 400] * window, 512))
        rows.append(np.log(spectrum @ WEIGHTS + 0.01))
    return np.array(rows)

class Hub(torch.nn.Module):
    def __init__(self, path):
        super().__init__()
        from dose.metrics.vggish import VGGish
        inner = VGGish()
        inner.load_state_dict(torch.load(path, weights_only=True))
        self.features = inner.features
        self.embeddings = torch.nn.Sequential(*inner.embeddings, torch.nn.ReLU())

    def forward(self, x, fs):
        assert fs == 16000
        with torch.no_grad():
            seen = torch.tensor(_log_mel(x)[:96], dtype=torch.float32)[None, None]
            maps = self.features(seen)
            return self.embeddings(maps.transpose(1, 3).transpose(1, 2).reshape(1, -1))

def vggish(**_):
    import os
    return Hub(os.path.join(torch.hub.get_dir(), "weights.pth"))
"""


@pytest.fixture(scope="module")
def random_net() -> VGGish:
    torch.manual_seed(0)
    net = VGGish()
    with torch.no_grad():
        for p in net.parameters():
            if p.ndim > 1:  # wide enough for embeddings to differ
                torch.nn.init.kaiming_normal_(p)
    return net.eval()


def _write(folder, sounds) -> None:
    for i, sound in enumerate(sounds):
        audio.write(folder / f"{i:03d}.wav", sound, subtype="FLOAT")


@pytest.mark.slow
def test_the_packages_vggish_path_and_ours_give_the_same_fad(tmp_path, random_net, monkeypatch):
    from dose.metrics.fad_package import FrechetAudioDistance

    hub = tmp_path / "harritaylor_torchvggish_master"
    hub.mkdir()
    (hub / "hubconf.py").write_text(HUBCONF)
    torch.save(random_net.state_dict(), tmp_path / "weights.pth")
    monkeypatch.setattr(torch.hub, "_check_repo_is_trusted", lambda *a, **k: None)
    real, made = (np.concatenate([shots(d, 3, seed) for d in ("kick", "snare", "hihat")]) for seed in (0, 40))
    _write(tmp_path / "real", real)
    _write(tmp_path / "made", made)
    before = torch.hub.get_dir()
    try:
        theirs = FrechetAudioDistance(ckpt_dir=str(tmp_path), model_name="vggish", audio_load_worker=1)
        expected = theirs.score(str(tmp_path / "real"), str(tmp_path / "made"))
    finally:
        torch.hub.set_dir(before)
    ours = VGGishEmbedder(random_net, "test")
    found = frechet_distance(ours.embed(real)[:, 0], ours.embed(made)[:, 0])
    assert expected > 0
    assert found == pytest.approx(expected, rel=1e-3)


def test_examples_of_the_published_shape_also_from_sounds_that_are_too_short():
    assert MIN_SAMPLES == 15600
    for samples, count in ((100, 1), (MIN_SAMPLES, 1), (16000, 1), (16000 * 4, 4)):
        assert examples(torch.randn(2, samples)).shape == (2, count, 96, 64)
    weights = mel_weights()
    assert weights.shape == (257, 64)
    assert (weights[0] == 0).all()
    assert (weights.max(dim=0).values <= 1).all()


@pytest.mark.slow
def test_a_weights_file_is_loaded_pinned_and_refused_when_changed(tmp_path, random_net):
    path = tmp_path / embeddings.VGGISH_FILE
    torch.save(random_net.state_dict(), path)
    embedder = embeddings.load("vggish", tmp_path)
    assert embedder.embed(shots("kick", 2)).shape == (2, 1, 128)
    (tmp_path / (embeddings.VGGISH_FILE + ".sha256")).write_text("0" * 64)
    with pytest.raises(IntegrityError, match="SHA-256"):
        embeddings.load("vggish", tmp_path)


@pytest.mark.parametrize("name", ["vggish", "clap", "encodec"])
def test_missing_weights_are_named_with_what_to_do(tmp_path, name):
    with pytest.raises(MissingInputError, match=r"no weights: .*put the published file there"):
        embeddings.load(name, tmp_path)


@pytest.mark.parametrize("state", [{"nothing": torch.zeros(2)}, [1, 2]])
def test_a_file_of_another_network_is_refused(tmp_path, state):
    torch.save(state, tmp_path / embeddings.VGGISH_FILE)
    with pytest.raises(IntegrityError):
        embeddings.load("vggish", tmp_path)


def test_a_published_encodec_file_is_checked_against_its_name(tmp_path):
    (tmp_path / embeddings.ENCODEC_FILE).write_bytes(b"not the weights")
    with pytest.raises(IntegrityError, match="SHA-256"):
        embeddings.load("encodec", tmp_path)


@pytest.mark.slow
def test_encodec_and_clap_of_random_weights_embed(tmp_path, monkeypatch):
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    from dose.metrics.fad_package import stub_modules

    with stub_modules("torchaudio"):
        from encodec import EncodecModel
    monkeypatch.setattr(embeddings, "ENCODEC_FILE", "encodec_24khz.th")
    torch.save(EncodecModel.encodec_model_24khz(pretrained=False).state_dict(), tmp_path / "encodec_24khz.th")
    assert embeddings.load("encodec", tmp_path).embed(shots("kick", 2)).shape == (2, 8, 128)
    config = ClapConfig()
    config.text_config.num_hidden_layers = 1
    ClapModel(config).save_pretrained(tmp_path / "clap")
    ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(tmp_path / "clap")
    embedder = embeddings.load("clap", tmp_path)
    found = embedder.embed(shots("snare", 2))
    assert found.shape == (2, 1, 512)
    assert np.isfinite(found).all()
    assert not np.allclose(found[0], found[1])
