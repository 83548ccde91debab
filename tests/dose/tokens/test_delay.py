"""The delay pattern against a loop over its definition, and the layout around it."""

import pytest
import torch

from dose.tokens import layout
from dose.tokens.delay import delay, undelay


def by_loop(codes: torch.Tensor) -> torch.Tensor:
    b, k, t = codes.shape
    tokens = torch.zeros(b, t + k - 1, k, dtype=torch.long)
    for i in range(b):
        for book in range(k):
            for frame in range(t):
                tokens[i, frame + book, book] = codes[i, book, frame] + 1
    return tokens


def random_codes(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(1024, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 9, 1), (3, 9, 5), (1, 4, 40), (2, 1, 7), (1, 9, 345)])
def test_delay_equals_the_loop_and_undelay_inverts_it(shape):
    codes = random_codes(*shape)
    tokens = delay(codes)
    assert torch.equal(tokens, by_loop(codes))
    assert torch.equal(undelay(tokens), codes)


def test_empty_positions_become_minus_one():
    tokens = delay(random_codes(1, 3, 4))
    tokens[0, 2, 1] = 0
    assert undelay(tokens)[0, 1, 1] == -1


def test_too_few_steps_are_refused():
    with pytest.raises(ValueError, match="frame"):
        undelay(torch.zeros(1, 8, 9, dtype=torch.long))


def test_the_layout_is_the_authors():
    """353 steps for the mix; 183 for 173 frames; step 0 empty; codebook i from step 1 + i; end step L + 9."""
    mix, shot = random_codes(1, 9, 345), random_codes(1, 9, 173, seed=1)
    tokens = layout.mix_steps(mix)
    assert tokens.shape == (1, 353, 9)
    for i in range(9):
        assert torch.equal(tokens[0, i : i + 345, i], mix[0, i] + 1)
        assert not tokens[0, :i, i].any()
        assert not tokens[0, i + 345 :, i].any()
    tokens = layout.one_shot_steps(shot)
    assert tokens.shape == (1, 183, 9)
    assert layout.one_shot_length(173, 9) == 183
    assert not tokens[0, 0].any()
    for i in range(9):
        assert torch.equal(tokens[0, 1 + i : 174 + i, i], shot[0, i] + 1)
    assert layout.stop_step(tokens[0]) == 173 + 9


@pytest.mark.parametrize("pattern", ["delay", "parallel"])
@pytest.mark.parametrize("frames", [1, 2, 12, 87])
def test_one_shot_codes_inverts_one_shot_steps(pattern, frames):
    codes = random_codes(1, 9, frames)
    tokens = layout.one_shot_steps(codes, pattern)
    assert tokens.shape[1] == layout.one_shot_length(frames, 9, pattern)
    assert torch.equal(layout.one_shot_codes(tokens[0], pattern), codes[0])
    assert torch.equal(tokens[0] > 0, layout.occupied(frames, 9, pattern))


def test_without_an_end_step_all_steps_count():
    codes = random_codes(1, 9, 20)
    assert torch.equal(layout.one_shot_codes(layout.one_shot_steps(codes)[0, :-1]), codes[0])


@pytest.mark.parametrize("inner", [0, 1, 8])
def test_a_stop_before_the_first_frame_is_an_empty_sound(inner):
    tokens = torch.zeros(30, 9, dtype=torch.long)
    tokens[1 : 1 + inner] = 5
    assert layout.one_shot_codes(tokens).shape == (9, 0)


def test_an_empty_position_inside_repeats_the_code_before_it():
    codes = random_codes(1, 3, 6)
    tokens = layout.one_shot_steps(codes)[0]
    tokens[1 + 2 + 1, 1] = 0  # codebook 1, frame 2
    tokens[1 + 0 + 2, 2] = 0  # codebook 2, frame 0: nothing before it
    read = layout.one_shot_codes(tokens)
    assert read[1, 2] == codes[0, 1, 1]
    assert read[2, 0] == 0
    assert (read != codes[0]).sum() <= 2


def test_segments_are_delayed_separately():
    codes = random_codes(2, 9, 30)
    tokens = layout.mix_steps(codes, segments=3)
    parts = [delay(codes[:, :, i : i + 10]) for i in (0, 10, 20)]
    assert torch.equal(tokens, torch.cat(parts, dim=1))
    with pytest.raises(ValueError, match="equal length"):
        layout.mix_steps(codes, segments=4)


def test_an_empty_prompt_is_all_empty_tokens():
    assert not layout.mix_steps(torch.full((1, 9, 20), -1)).any()
    assert not layout.mix_steps(torch.full((1, 9, 20), -1), "parallel").any()
