"""`dose bench decode` and `dose bench train` at a size of seconds, with clocks that the test sets."""

import json

import pytest

from benchmarks import decode, train
from dose import compute
from dose.cli import main as dose


def figures(capsys, *command: str) -> dict:
    assert not dose(["bench", *command])
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def clock(*seconds: float):
    """In place of a function that times its work: the work is done once and said to have taken these."""
    left = iter(seconds)

    def timed(work, times):
        work()
        return next(left)

    return timed


def test_decoding_is_compared_with_the_authors_way_in_one_run(capsys, monkeypatch):
    monkeypatch.setattr(decode, "MIX_FRAMES", 40)
    # Each of the authors' steps takes 1 s; then a batch of 1 and of 8, for auto, fp32, fp16 and int8.
    monkeypatch.setattr(decode, "best", clock(1, 1, 1, 2, 6, 4, 8, 3, 12, 1, 5))
    got = figures(
        capsys, "decode", "--layers", "1", "--width", "64", "--threads", "1", "--repeat", "1", "--no-kit"
    )
    assert compute.instructions() in got["on"]
    assert got["steps"] == 183
    assert got["authors_s"] == pytest.approx(183)
    assert got["tokens_equal_authors"] == 1
    for name, one, eight in (("auto", 2, 6), ("fp32", 4, 8), ("fp16", 3, 12), ("int8", 1, 5)):
        assert got[name]["times_faster"] == pytest.approx(183 / one), name
        assert got[name]["batch_8_over_1"] == pytest.approx(eight / one), name
    assert min(got[p]["agreement"] for p in ("auto", "fp16", "int8")) > 0.9


def test_the_training_step_is_compared_with_the_authors_and_counted(capsys, monkeypatch):
    monkeypatch.setattr(train, "best", clock(10, 2, 4))  # theirs, ours in fp32 and in bf16
    got = figures(capsys, "train", "--layers", "1", "--width", "64", "--batch", "1", "--steps", "1")
    assert got["times_faster"] == pytest.approx(10 / {"fp32": 2, "bf16": 4}[got["precision"]])
    assert (got["fp32_times_faster"], got["bf16_times_faster"]) == (5, 2.5)
    assert got["pairs_per_s"] == pytest.approx(1 / got["ours_s"])
    steps, d, head = 353 + 182, 64, 9 * 1025
    products = (
        3 * 2 * d * (4 * d * steps + 8 * d * 183 + head * 183)
    )  # of which 3: forward, and backward twice
    assert got["gflop_per_step"] * 1e9 == pytest.approx(products, rel=0.1)
