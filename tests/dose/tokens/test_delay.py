"""The delay pattern against a loop over its definition, and the layout around it."""

import pytest
import torch

from dose.tokens import layout
from dose.tokens.delay import delay, undelay


def by_loop(codes: torch.Tensor) -> torch.Tensor:
    b, k, t = codes.shape
    rows = torch.zeros(b, t + k - 1, k, dtype=torch.long)
    for i in range(b):
        for book in range(k):
            for frame in range(t):
                rows[i, frame + book, book] = codes[i, book, frame] + 1
    return rows


def random_codes(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(1024, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 9, 1), (3, 9, 5), (1, 4, 40), (2, 1, 7), (1, 9, 345)])
def test_delay_is_the_loop_and_undelay_takes_it_back(shape):
    codes = random_codes(*shape)
    rows = delay(codes)
    assert torch.equal(rows, by_loop(codes))
    assert torch.equal(undelay(rows), codes)


def test_empty_cells_come_back_as_no_code():
    rows = delay(random_codes(1, 3, 4))
    rows[0, 2, 1] = 0
    assert undelay(rows)[0, 1, 1] == -1


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="frame"):
        undelay(torch.zeros(1, 8, 9, dtype=torch.long))


def test_the_layout_is_the_authors():
    """353 rows for the mix; 183 for 173 frames; row 0 empty; codebook i from row 1 + i; end row L + 9."""
    mix, shot = random_codes(1, 9, 345), random_codes(1, 9, 173, seed=1)
    rows = layout.mix_steps(mix)
    assert rows.shape == (1, 353, 9)
    for i in range(9):
        assert torch.equal(rows[0, i : i + 345, i], mix[0, i] + 1)
        assert not rows[0, :i, i].any()
        assert not rows[0, i + 345 :, i].any()
    rows = layout.one_shot_steps(shot)
    assert rows.shape == (1, 183, 9)
    assert layout.one_shot_length(173, 9) == 183
    assert not rows[0, 0].any()
    for i in range(9):
        assert torch.equal(rows[0, 1 + i : 174 + i, i], shot[0, i] + 1)
    assert layout.stop_step(rows[0]) == 173 + 9


@pytest.mark.parametrize("pattern", ["delay", "parallel"])
@pytest.mark.parametrize("frames", [1, 2, 12, 87])
def test_shot_codes_reads_what_shot_rows_wrote(pattern, frames):
    codes = random_codes(1, 9, frames)
    rows = layout.one_shot_steps(codes, pattern)
    assert rows.shape[1] == layout.one_shot_length(frames, 9, pattern)
    assert torch.equal(layout.one_shot_codes(rows[0], pattern), codes[0])
    assert torch.equal(rows[0] > 0, layout.occupied(frames, 9, pattern))


def test_without_an_end_row_all_rows_count():
    codes = random_codes(1, 9, 20)
    assert torch.equal(layout.one_shot_codes(layout.one_shot_steps(codes)[0, :-1]), codes[0])


@pytest.mark.parametrize("inner", [0, 1, 8])
def test_a_stop_before_the_first_whole_frame_is_an_empty_sound(inner):
    rows = torch.zeros(30, 9, dtype=torch.long)
    rows[1 : 1 + inner] = 5
    assert layout.one_shot_codes(rows).shape == (9, 0)


def test_a_cell_left_empty_inside_repeats_the_code_before_it():
    codes = random_codes(1, 3, 6)
    rows = layout.one_shot_steps(codes)[0]
    rows[1 + 2 + 1, 1] = 0  # codebook 1, frame 2
    rows[1 + 0 + 2, 2] = 0  # codebook 2, frame 0: nothing before it
    read = layout.one_shot_codes(rows)
    assert read[1, 2] == codes[0, 1, 1]
    assert read[2, 0] == 0
    assert (read != codes[0]).sum() <= 2


def test_excerpts_are_delayed_each_by_itself():
    codes = random_codes(2, 9, 30)
    rows = layout.mix_steps(codes, segments=3)
    parts = [delay(codes[:, :, i : i + 10]) for i in (0, 10, 20)]
    assert torch.equal(rows, torch.cat(parts, dim=1))
    with pytest.raises(ValueError, match="equal length"):
        layout.mix_steps(codes, segments=4)


def test_an_empty_prompt_is_rows_of_empty_cells():
    assert not layout.mix_steps(torch.full((1, 9, 20), -1)).any()
    assert not layout.mix_steps(torch.full((1, 9, 20), -1), "parallel").any()
