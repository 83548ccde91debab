"""`dose bench decode` and `dose bench train` at a size of seconds: what they say must hold together."""

import json

import pytest

from dose import compute
from dose.benchmarks import decode
from dose.cli import main as dose


def figures(capsys, *command: str) -> dict:
    assert not dose(["bench", *command])
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_decoding_is_compared_with_the_authors_way_in_one_run(capsys, monkeypatch):
    monkeypatch.setattr(decode, "MIX_FRAMES", 40)
    got = figures(
        capsys,
        "decode",
        "--layers",
        "1",
        "--width",
        "64",
        "--threads",
        "1",
        "--repeat",
        "1",
        "--no-kit",
        "--formats",
        "fp32,int8",
    )
    assert got["rows"] == 183
    assert got["tokens_equal_authors"] == 1
    for name in ("auto", "fp32", "int8"):
        f = got[name]
        assert f["times_faster"] == pytest.approx(got["authors_s"] / f["batch_1_s"])
        assert f["batch_8_over_1"] == pytest.approx(f["batch_8_s"] / f["batch_1_s"])
    assert min(got[p]["agreement"] for p in ("auto", "int8")) > 0.9
    assert compute.instructions() in got["on"]


def test_the_training_step_is_compared_with_the_authors_and_counted(capsys):
    got = figures(capsys, "train", "--layers", "1", "--width", "64", "--batch", "1", "--steps", "1")
    assert got["times_faster"] == pytest.approx(got["authors_s"] / got["ours_s"])
    rows, d, head = 353 + 182, 64, 9 * 1025
    products = (
        3 * 2 * d * (4 * d * rows + 8 * d * 183 + head * 183)
    )  # of which 3: forward, and backward twice
    assert got["gflop_per_step"] * 1e9 > 0.9 * products
