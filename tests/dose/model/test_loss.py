"""The two cross entropies and the onset region, against their definitions."""

import pytest
import torch
import torch.nn.functional as F

from dose.model.loss import HeadLoss, losses, onset_mask, training_loss
from dose.tokens import layout


@pytest.mark.parametrize(("codebooks", "frames"), [(9, 87), (9, 173), (4, 12), (9, 5)])
@pytest.mark.parametrize("pattern", ["delay", "parallel"])
def test_the_papers_region_is_t_plus_k_up_to_K_plus_1_counted_from_1(codebooks, frames, pattern):
    steps = layout.one_shot_length(frames, codebooks, pattern)
    wanted = torch.zeros(steps, codebooks, dtype=torch.bool)
    for k in range(1, codebooks + 1):
        for t in range(1, frames + codebooks):
            if t + k <= codebooks + 1:
                step = t + (k - 1 if pattern == "delay" else 0)
                if step < steps:
                    wanted[step, k - 1] = True
    assert torch.equal(onset_mask(steps, codebooks, "paper", pattern), wanted)


def test_the_papers_region_has_nine_frames_of_the_first_codebook_and_one_of_the_last():
    mask = onset_mask(183, 9, "paper")
    assert mask.sum(dim=0).tolist() == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert not mask[10:].any()


def test_the_codes_region_is_the_first_ten_steps_of_all_codebooks():
    mask = onset_mask(183, 9, "code")
    assert mask[:10].all()
    assert not mask[10:].any()


@pytest.mark.parametrize("region", ["paper", "code"])
@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_the_total_is_the_sum_of_two_means(region, weight):
    torch.manual_seed(0)
    logits = torch.randn(2, 17, 4, 31, requires_grad=True)
    tokens = torch.randint(31, (2, 17, 4))
    mask = onset_mask(17, 4, region)
    full = F.cross_entropy(logits.permute(0, 3, 1, 2), tokens)
    onset = F.cross_entropy(logits[:, mask].flatten(0, 1), tokens[:, mask].flatten())
    got = losses(logits, tokens, mask, weight)
    torch.testing.assert_close(got.full, full.detach())
    torch.testing.assert_close(got.onset, onset.detach())
    torch.testing.assert_close(got.total, full + weight * onset)
    (ours,) = torch.autograd.grad(got.total, logits, retain_graph=True)
    (theirs,) = torch.autograd.grad(full + weight * onset, logits)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("weight", [0.0, 1.5])
def test_the_training_loss_is_the_total_with_its_gradients(precision, weight, monkeypatch):
    monkeypatch.setattr(HeadLoss, "CHUNK", 7)  # the last chunk is shorter
    torch.manual_seed(0)
    hidden = torch.randn(2, 17, 8, requires_grad=True)
    head = torch.nn.Linear(8, 4 * 31)
    tokens, mask = torch.randint(31, (2, 17, 4)), onset_mask(17, 4, "paper")
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        reference = losses(head(hidden).view(2, 17, 4, 31), tokens, mask, weight)
        loss = training_loss(hidden, head, tokens, mask, weight)
    slow, fast = reference.total, loss.total
    assert fast.dtype == torch.float32
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if precision == torch.float32 else {"rtol": 0.02, "atol": 2e-3}
    torch.testing.assert_close(fast, slow, **tolerance)
    torch.testing.assert_close(loss.full, reference.full, **tolerance)
    torch.testing.assert_close(loss.onset, reference.onset, **tolerance)
    assert not loss.full.requires_grad
    inputs = (hidden, head.weight, head.bias)
    ours, theirs = torch.autograd.grad(fast / 3, inputs), torch.autograd.grad(slow / 3, inputs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **tolerance)


def test_each_codebook_has_its_loss_and_its_accuracy_over_positions_with_codes():
    tokens = layout.one_shot_steps(torch.randint(30, (2, 4, 12)))
    logits = F.one_hot(tokens, 31).float() * 20
    logits[:, :, 2] = 0  # codebook 2 is not predicted
    logits[..., 2, 0] = 1  # but for the empty token
    got = losses(logits, tokens, onset_mask(tokens.shape[1], 4, "paper"), 1.0)
    assert got.accuracy.tolist() == [1, 1, 0, 1]
    assert got.per_codebook[2] > 1
    assert got.per_codebook[[0, 1, 3]].max() < 1e-3
    torch.testing.assert_close(got.per_codebook.mean(), got.full)
