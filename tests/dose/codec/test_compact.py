import pytest
import torch

from dose.codec import bundled_codec, check_same, load_codec
from dose.errors import AudioError, IntegrityError


@pytest.fixture(scope="module")
def codec():
    return bundled_codec()


def test_shapes_and_range(codec):
    codes = codec.encode(torch.randn(2, 1, 3000) * 0.1)
    assert codes.shape == (2, 9, 6)
    assert codes.dtype == torch.int64
    assert codec.decode(codes).shape == (2, 1, 6 * 512)


def test_silence_is_code_zero_and_back(codec):
    codes = codec.encode(torch.zeros(1, 1, 44100))
    assert codes.eq(0).all()
    assert codec.decode(codes).eq(0).all()


@pytest.mark.parametrize("samples", [1, 511, 512, 513, 44100])
def test_alone_equals_in_a_batch(codec, samples):
    audio = torch.randn(5, 1, samples) * torch.logspace(-3, 0, 5)[:, None, None]
    together = codec.encode(audio)
    for i in range(5):
        assert torch.equal(together[i : i + 1], codec.encode(audio[i : i + 1]))


@pytest.mark.parametrize(
    ("audio", "rate", "word"),
    [
        (torch.zeros(1, 1, 100), 48000, "44100"),
        (torch.zeros(1, 2, 100), None, "mono"),
        (torch.zeros(100), None, "mono"),
        (torch.zeros(1, 1, 0), None, "single sample"),
        (torch.full((1, 1, 100), float("nan")), None, "finite"),
    ],
)
def test_bad_audio_is_named(codec, audio, rate, word):
    with pytest.raises(AudioError, match=word):
        codec.encode(audio, rate)


@pytest.mark.parametrize(
    "codes",
    [
        torch.full((1, 9, 4), 1024),
        torch.full((1, 9, 4), -1),
        torch.zeros(1, 8, 4, dtype=torch.long),
        torch.zeros(1, 9, 0, dtype=torch.long),
        torch.zeros(1, 9, 4),
    ],
)
def test_bad_codes_are_refused(codec, codes):
    with pytest.raises(IntegrityError):
        codec.decode(codes)


def test_save_and_load(codec, tmp_path):
    codec.save(tmp_path)
    again = load_codec(tmp_path)
    assert again.id == codec.id
    audio = torch.randn(1, 1, 4000) * 0.1
    assert torch.equal(again.encode(audio), codec.encode(audio))


def test_codes_of_another_codec_are_refused():
    check_same("a", "a")
    with pytest.raises(IntegrityError, match="codec b"):
        check_same("a", "b")
