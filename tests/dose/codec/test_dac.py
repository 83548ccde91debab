import pickle
import sys

import pytest
import torch

from dose.codec import dac, load_codec
from dose.codec.config import OfficialConfig
from dose.codec.official import official_codec
from dose.errors import IntegrityError, MissingInputError

SMALL = {"encoder_dim": 8, "decoder_dim": 64, "latent_dim": 32}


@pytest.fixture(scope="module")
def codec():
    return dac.dac_random(0, precision="fp32", **SMALL)


@pytest.fixture(scope="module")
def audio():
    return 0.3 * torch.randn(3, 1, 20_001, generator=torch.Generator().manual_seed(1))


def upstream(codec, audio):
    """The library's own way, one item after the other, whole."""
    with torch.inference_mode():
        return torch.cat([codec.model.encode(codec.model.preprocess(a[None], 44100))[1] for a in audio])


def test_codes_equal_upstreams_alone_and_in_a_batch(codec, audio):
    expected = upstream(codec, audio)
    assert expected.unique().numel() > 100
    assert torch.equal(codec.encode(audio), expected)
    assert torch.equal(codec.encode(audio[1:2]), expected[1:2])
    assert torch.equal(dac.with_backend(codec, "plain").encode(audio), expected)


def test_chunked_equals_whole(codec, audio, monkeypatch):
    whole = codec.encode(audio)
    sound = codec.decode(whole)
    monkeypatch.setattr(dac, "CHUNK", 7)
    assert torch.equal(codec.encode(audio), whole)
    assert torch.allclose(codec.decode(whole), sound, atol=1e-5)


def test_too_little_context_would_show(codec, audio, monkeypatch):
    whole = codec.encode(audio)
    monkeypatch.setattr(dac, "CHUNK", 7)
    monkeypatch.setattr(codec, "_context", 2)
    assert not torch.equal(codec.encode(audio), whole)


def test_decoding_paths_agree(codec, audio):
    codes = codec.encode(audio)
    with torch.inference_mode():
        expected = codec.model.decode(codec.model.quantizer.from_codes(codes)[0])
    assert torch.allclose(codec.decode(codes), expected, atol=1e-5)
    half = dac.with_backend(codec, "fast", "bf16").decode(codes)
    assert (half - expected).norm() < 0.03 * expected.norm()  # the stated tolerance: 30 dB


def test_shape_and_embedding(codec, audio):
    assert (codec.K, codec.N, codec.hop, codec.rate) == (9, 1024, 512, 44100)
    assert codec.encode(audio).shape == (3, 9, 40)
    assert codec.decode(codec.encode(audio)).shape == (3, 1, 40 * 512)
    assert codec.embed(audio).shape == (3, 32, 40)


def test_save_and_load_and_seeds(codec, audio, tmp_path):
    codec.save(tmp_path)
    again = load_codec(tmp_path)
    assert again.id == codec.id
    assert torch.equal(again.encode(audio), codec.encode(audio))
    assert dac.dac_random(0, **SMALL).id == codec.id
    assert dac.dac_random(1, **SMALL).id != codec.id


def official(path, **changes):
    return OfficialConfig(
        **{"weights": str(path), "url": "http://127.0.0.1:9/none", "sha256": None} | changes
    )


def test_official_file_opens(codec, audio, tmp_path):
    path = tmp_path / "weights.pth"
    codec.model.save(str(path), package=False)
    again = official_codec(official(path))
    assert again.id == codec.id
    with pytest.raises(IntegrityError, match="sha256"):
        official_codec(official(path, sha256="0" * 64))
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(IntegrityError, match="truncated"):
        official_codec(official(path))


def test_absent_and_unreachable_is_one_sentence(tmp_path):
    with pytest.raises(MissingInputError, match="put it at"):
        official_codec(official(tmp_path / "none.pth"))
    assert not list(tmp_path.iterdir())


class Evil:
    def __reduce__(self):
        return (open, ("owned", "w"))


def test_code_in_a_pickle_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"metadata": {"kwargs": {}}, "state_dict": {"x": Evil()}}, tmp_path / "zip.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil()))
    for name in ("zip.pth", "plain.pth"):
        with pytest.raises(IntegrityError, match="pickle"):
            official_codec(official(tmp_path / name))
    assert not (tmp_path / "owned").exists()


def test_weights_of_another_size(codec, tmp_path):
    codec.save(tmp_path / "a")
    dac.dac_random(0, **SMALL | {"decoder_dim": 96}).save(tmp_path / "b")
    (tmp_path / "b" / "weights.safetensors").replace(tmp_path / "a" / "weights.safetensors")
    with pytest.raises(IntegrityError, match="does not fit"):
        load_codec(tmp_path / "a")


def test_stand_ins_do_not_stay(codec):
    audio = sys.modules.get("torchaudio")
    assert audio is None or audio.__spec__ is not None  # a bare module has none
    board = sys.modules.get("torch.utils.tensorboard")
    assert board is None or getattr(board, "SummaryWriter", None) is not object
