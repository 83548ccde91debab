import math

import pytest
import torch

from dose.codec import frames


def boundaries(batch, total):
    hard = torch.zeros(batch, total + 1, dtype=torch.bool)
    hard[:, -1] = True
    return hard


@pytest.mark.parametrize("overlap", [2, 128, 512])
@pytest.mark.parametrize("hard_at", [(), (0,), (2, 3)])
def test_fold_and_unfold_are_inverse(overlap, hard_at):
    audio = torch.randn(2, 512 * 6 - overlap // 2)
    hard = boundaries(2, 6)
    hard[:, list(hard_at)] = True
    folded = frames.fold(frames.frame_samples(audio, overlap, 0, 6), overlap, hard)
    back = frames.unfold(folded, overlap, hard)[:, : audio.shape[1]]
    assert torch.allclose(back, audio.double(), atol=1e-12)
    # Orthogonal: the energy is the same.
    assert torch.allclose(folded.square().sum((1, 2)), audio.double().square().sum(1))


def test_frames_do_not_depend_on_the_chunk():
    audio, hard = torch.randn(1, 512 * 6 - 64), boundaries(1, 6)
    whole = frames.fold(frames.frame_samples(audio, 128, 0, 6), 128, hard)
    # A cut before the end sees the samples beyond it, so its last boundary is soft.
    first = frames.fold(frames.frame_samples(audio, 128, 0, 2), 128, hard[:, :3])
    rest = frames.fold(frames.frame_samples(audio, 128, 2, 6), 128, hard[:, 2:])
    assert torch.equal(torch.cat([first, rest], dim=1), whole)


def test_transform_equals_the_mdct_written_out():
    """The textbook sum over a windowed block of 2 x 512 samples, full overlap."""
    audio = torch.randn(1, 512 * 4, dtype=torch.float64)
    found = frames.fold(frames.frame_samples(audio, 512, 0, 4), 512, boundaries(1, 4)) @ frames.dct_iv()
    cos, sin = frames.rotation(512)
    window = torch.cat([sin.flip(0), cos, cos.flip(0), sin])
    block = torch.nn.functional.pad(audio, (512, 0))[0, 512 : 512 + 1024] * window  # frame 1
    n, k = torch.arange(1024, dtype=torch.float64), torch.arange(512, dtype=torch.float64)
    # The sign convention of `fold`: even at the left edge, odd at the right one.
    phase = math.pi / 512 * (n[:, None] - 256 + 0.5) * (k + 0.5)
    expected = math.sqrt(2 / 512) * (block[:, None] * torch.cos(phase)).sum(0)
    assert torch.allclose(found[0, 1], expected, atol=1e-9)


def test_the_dct_iv_is_its_own_inverse():
    dct = frames.dct_iv()
    assert torch.allclose(dct @ dct, torch.eye(512, dtype=torch.float64), atol=1e-12)
