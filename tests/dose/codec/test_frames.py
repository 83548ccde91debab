import math

import pytest
import torch

from dose.codec import frames


def soft(batch, total):
    hard = torch.zeros(batch, total + 1, dtype=torch.bool)
    hard[:, -1] = True
    return hard


@pytest.mark.parametrize("overlap", [2, 128, 512])
@pytest.mark.parametrize("hard_at", [(), (0,), (2, 3)])
def test_fold_and_unfold_are_inverse(overlap, hard_at):
    audio = torch.randn(2, 512 * 6 - overlap // 2)
    hard = soft(2, 6)
    hard[:, list(hard_at)] = True
    folded = frames.fold(frames.pieces(audio, overlap, 0, 6), overlap, hard)
    back = frames.unfold(folded, overlap, hard)[:, : audio.shape[1]]
    assert torch.allclose(back, audio.double(), atol=1e-12)
    # Orthogonal: energy is kept.
    assert torch.allclose(folded.square().sum((1, 2)), audio.double().square().sum(1))


def test_pieces_do_not_depend_on_where_the_cut_is():
    audio, hard = torch.randn(1, 512 * 6 - 64), soft(1, 6)
    whole = frames.fold(frames.pieces(audio, 128, 0, 6), 128, hard)
    # A cut before the end sees the samples beyond it, so its last boundary is soft.
    first = frames.fold(frames.pieces(audio, 128, 0, 2), 128, hard[:, :3])
    rest = frames.fold(frames.pieces(audio, 128, 2, 6), 128, hard[:, 2:])
    assert torch.equal(torch.cat([first, rest], dim=1), whole)


def test_transform_equals_the_mdct_written_out():
    """The textbook sum over a windowed block of 2 x 512 samples, full overlap."""
    audio = torch.randn(1, 512 * 4, dtype=torch.float64)
    got = frames.fold(frames.pieces(audio, 512, 0, 4), 512, soft(1, 4)) @ frames.cosines()
    cos, sin = frames.rotation(512)
    window = torch.cat([sin.flip(0), cos, cos.flip(0), sin])
    block = torch.nn.functional.pad(audio, (512, 0))[0, 512 : 512 + 1024] * window  # frame 1
    n, k = torch.arange(1024, dtype=torch.float64), torch.arange(512, dtype=torch.float64)
    # This house's sign convention: even at the left edge, odd at the right one.
    phase = math.pi / 512 * (n[:, None] - 256 + 0.5) * (k + 0.5)
    expected = math.sqrt(2 / 512) * (block[:, None] * torch.cos(phase)).sum(0)
    assert torch.allclose(got[0, 1], expected, atol=1e-9)


def test_cosines_are_their_own_inverse():
    c = frames.cosines()
    assert torch.allclose(c @ c, torch.eye(512, dtype=torch.float64), atol=1e-12)
