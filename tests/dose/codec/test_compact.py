import resource

import numpy as np
import pytest
import torch

from dose.codec import bundled_codec, check_same, compact, load_codec
from dose.errors import AudioError, IntegrityError
from dose.sources import shipped


@pytest.fixture(scope="module")
def codec():
    return bundled_codec()


@pytest.fixture(scope="module")
def drums():
    """Recorded drums of the test split, [1, 1, N] by class."""
    found = {"kick": [], "snare": [], "hihat": []}
    for item in shipped.source_items():
        if item.split == "test" and item.cls in found:
            found[item.cls].append(torch.from_numpy(np.asarray(item.load(), np.float32))[None, None])
    return found


@pytest.fixture(scope="module")
def loop(drums):
    """Eight seconds of drums that overlap, [1, 1, N]."""
    out = torch.zeros(1, 1, 8 * 44_100)
    for i, shot in enumerate(s for kind in drums.values() for s in kind):
        start = 11_111 * i % (7 * 44_100)
        out[..., start : start + shot.shape[-1]] += 0.4 * shot
    return out


def test_shapes_and_range(codec):
    codes = codec.encode(torch.randn(2, 1, 3000) * 0.1)
    assert codes.shape == (2, 9, 6)
    assert codes.dtype == torch.int64
    assert codec.decode(codes).shape == (2, 1, 6 * 512)
    assert codec.embed(torch.randn(2, 1, 3000)).shape == (2, 64, 6)
    assert (codec.K, codec.N, codec.hop, codec.rate, codec.frames(44_100)) == (9, 1024, 512, 44_100, 87)


def test_silence_is_code_zero_and_back(codec):
    codes = codec.encode(torch.zeros(1, 1, 44_100))
    assert codes.eq(0).all()
    assert codec.decode(codes).eq(0).all()


def test_no_sounding_frame_has_the_code_of_silence(codec, loop):
    for level in (1.0, 0.03, 0.001):
        codes = codec.encode(loop * level)
        # The grid lies 64 samples to the left, and a frame shares 128 samples with the next one.
        sounding = loop.unfold(-1, 512, 512)[..., :384].abs().amax(-1)[0, 0] * level > 2e-4
        assert codes[0, 0, : len(sounding)][sounding].ne(0).all()


@pytest.mark.parametrize("samples", [1, 511, 512, 513, 44_100])
def test_codes_do_not_depend_on_the_batch_on_noise(codec, samples):
    audio = torch.randn(5, 1, samples) * torch.logspace(-3, 0, 5)[:, None, None]
    together = codec.encode(audio)
    for i in range(5):
        assert torch.equal(together[i : i + 1], codec.encode(audio[i : i + 1]))


def test_codes_do_not_depend_on_the_batch_on_drums(codec, drums):
    shots = [s for kind in drums.values() for s in kind]
    longest = max(s.shape[-1] for s in shots)
    batch = torch.cat([torch.nn.functional.pad(s, (0, longest - s.shape[-1])) for s in shots])
    together = codec.encode(batch)
    for i in range(0, len(shots), 5):
        assert torch.equal(together[i : i + 1], codec.encode(batch[i : i + 1]))


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_chunked_equals_whole(codec, loop, monkeypatch, chunk):
    part = loop[..., : 512 * (30 if chunk == 1 else 600)]
    noise = 0.2 * torch.randn(1, 1, 512 * 20 + 77)
    expected = [codec.encode(part), codec.encode(noise)]
    monkeypatch.setattr(compact.codec, "CHUNK", chunk)
    assert torch.equal(codec.encode(part), expected[0])
    assert torch.equal(codec.encode(noise), expected[1])


def test_threads_do_not_change_codes(codec, loop):
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(codec.encode(loop[..., :88_200]))
    torch.set_num_threads(before)
    assert torch.equal(*found)


def test_later_samples_do_not_change_earlier_codes(codec, loop):
    """Except in the last frame, whose right neighbour differs."""
    short, long = codec.encode(loop[..., :44_100]), codec.encode(loop[..., :88_200])
    assert torch.equal(short[..., :85], long[..., :85])


def sdr(back, true):
    back = back[..., : true.shape[-1]]
    gain = (back * true).sum() / (true * true).sum()
    return float(10 * torch.log10((gain * true).square().sum() / (back - gain * true).square().sum()))


def test_round_trip_of_unseen_kits(codec, drums):
    """Floors a little under what the shipped weights reach."""
    scores = {k: np.mean([sdr(codec.decode(codec.encode(s)), s) for s in v]) for k, v in drums.items()}
    assert scores["kick"] > 18
    assert np.median([sdr(codec.decode(codec.encode(s)), s) for s in drums["snare"]]) > 2


def test_hi_hats_keep_their_energy(codec, drums):
    for shot in drums["hihat"]:
        back = codec.decode(codec.encode(shot))[..., : shot.shape[-1]]
        assert abs(10 * torch.log10(back.square().sum() / shot.square().sum())) < 1.5


@pytest.mark.parametrize("lead", [0, 100, 400, 447, 449, 500, 511])
def test_there_is_no_pre_echo(codec, drums, lead):
    for shot in [kind[0] for kind in drums.values()]:
        placed = torch.nn.functional.pad(shot, (2048 + lead, 0))
        onset = int((placed.abs() > 0.01 * placed.abs().max()).nonzero()[0, -1])
        back = codec.decode(codec.encode(placed))
        assert back[..., : onset - 44].abs().max() < 10 ** (-50 / 20) * placed.abs().max()


def test_a_change_of_level_changes_only_the_first_codes(codec, drums):
    """Turning a drum down by 6 dB leaves most of the waveform's codes alone."""
    shot = drums["kick"][0]
    loud, soft = codec.encode(shot), codec.encode(shot / 2)
    body = slice(0, 20)
    assert (loud[0, 0, body] != soft[0, 0, body]).any()
    change = codec.decode(soft)[..., :8000] * 2 - codec.decode(loud)[..., :8000]
    assert change.norm() < 0.25 * shot[..., :8000].norm()


def test_any_codes_decode_to_finite_sound_of_bounded_level(codec):
    codes = torch.randint(0, 1024, (4, 9, 200), generator=torch.Generator().manual_seed(0))
    assert codec.decode(codes).abs().max() < 100


@pytest.mark.parametrize(
    ("audio", "rate", "word"),
    [
        (torch.zeros(1, 1, 100), 48_000, "44100"),
        (torch.zeros(1, 2, 100), None, "mono"),
        (torch.zeros(100), None, "mono"),
        (torch.zeros(1, 1, 0), None, "single sample"),
        (torch.full((1, 1, 100), float("nan")), None, "finite"),
        (torch.full((1, 1, 100), float("inf")), None, "finite"),
    ],
)
def test_bad_audio_is_refused(codec, audio, rate, word):
    with pytest.raises(AudioError, match=word):
        codec.encode(audio, rate)
    with pytest.raises(AudioError, match=word):
        codec.embed(audio, rate)


@pytest.mark.parametrize(
    "codes",
    [
        torch.full((1, 9, 4), 1024),
        torch.full((1, 9, 4), -1),
        torch.zeros(1, 8, 4, dtype=torch.long),
        torch.zeros(9, 4, dtype=torch.long),
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


@pytest.mark.slow
def test_memory_does_not_grow_with_length(codec):
    audio = 0.1 * torch.randn(1, 1, 600 * 44_100)
    codec.encode(audio[..., : 10 * 44_100])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    codec.encode(audio)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB
