"""Ranking, tables and plots of made-up trials."""

import argparse
import csv
import json

import pytest

from dose.commands import sweep as commands
from dose.errors import MissingInputError
from dose.sweep.table import Trial, as_good, best_row, ranking, read_trials, write_tables

ABOUT = {"drum": "kick", "sweep": "s", "select": "val/mss", "best": "b", "ablation": "a"}


def trial(name, score, weight, **changes):
    metrics = {} if score is None else {"val/mss": score, "val/loss": 3.0}
    values = {"id": name, "hyper": {"onset_weight": weight, "positions": "none"}, "status": "FINISHED"}
    return Trial(**(values | {"stopped": "done", "steps": 40, "score": score, "metrics": metrics} | changes))


TRIALS = [
    trial("a", 5.0, 0.0),
    trial("b", 4.0, 1.0),
    trial("c", None, 2.0, status="FAILED"),
    trial("d", 4.5, 0.5),
]


def test_ranking_is_lowest_first_and_failures_last():
    odd = [*TRIALS, trial("e", float("nan"), 3.0), trial("f", float("inf"), 3.0)]
    assert "".join(t.id for t in ranking(odd)) == "bdacef"


def test_a_trial_is_scored_by_its_best_model():
    rows = [
        {"step": 1, "val/loss": 3.0, "val/mss": 9.0},
        {"step": 2, "val/loss": 1.0, "val/mss": 8.0},
        {"step": 3, "val/loss": 2.0, "val/mss": 1.0},
    ]
    assert best_row(rows, "val/mss")["step"] == 2
    assert best_row([{"step": 1, "val/mss": 2.0}, {"step": 2, "val/mss": 1.0}], "val/mss")["step"] == 2
    assert best_row([{"step": 1, "val/loss": float("nan")}, rows[0]], "val/loss")["val/loss"] == 3.0
    assert best_row([], "val/mss") == {}


def test_tables_read_back_and_plots_are_written(tmp_path):
    curves = {
        "a": [{"step": 10, "val/loss": 4.0, "val/mss": 6.0}, {"step": 20, "val/loss": 3.0, "val/mss": 5.0}]
    }
    write_tables(tmp_path, TRIALS, curves, ABOUT)
    about, trials = read_trials(tmp_path)
    assert (about, trials) == (ABOUT, ranking(TRIALS))
    with (tmp_path / "trials.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert [r["trial"] for r in rows] == ["b", "d", "a", "c"]
    assert rows[0] | {"rank": "1", "onset_weight": "1.0", "val/mss": "4.0"} == rows[0]
    with (tmp_path / "learning.csv").open() as f:
        assert [r["step"] for r in csv.DictReader(f)] == ["10", "20"]
    assert (tmp_path / "best.csv").read_text().count("\n") == 1  # b, the best, was given no curve
    write_tables(tmp_path, TRIALS, curves, ABOUT | {"best": "a"})
    with (tmp_path / "best.csv").open() as f:
        assert [(r["step"], r["val/mss"]) for r in csv.DictReader(f)] == [("10", "6.0"), ("20", "5.0")]
    for name in ("parallel.png", "learning.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_a_table_with_the_last_releases_metric_names_is_read(tmp_path):
    old = {"val/mss": 4.0, "val/shuffle_gap": 0.1, "val/picture_loss": 0.3}
    write_tables(tmp_path, [trial("b", 4.0, 1.0, metrics=old)], {}, ABOUT)
    new = {"val/mss": 4.0, "val/conditioning_gap": 0.1, "val/spectrogram_loss": 0.3}
    assert read_trials(tmp_path)[1][0].metrics == new


def test_a_sweep_without_any_score_can_still_be_written(tmp_path):
    write_tables(tmp_path, [trial("c", None, 1.0, status="FAILED")], {}, ABOUT)
    assert read_trials(tmp_path)[1][0].status == "FAILED"


def test_show_prints_the_ranking(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    write_tables(tmp_path / "kick", TRIALS, {}, ABOUT)
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())
    args = parser.parse_args(["sweep", "show", "kick", "--dir", str(tmp_path)])
    args.run(args)
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if "│" in line]
    assert "onset_weight" in out
    assert "best" in lines[0]
    assert "ablation" in lines[2]
    assert len(lines) == 4
    args = parser.parse_args(["sweep", "show", "kick", "--dir", str(tmp_path), "--json", "--top", "1"])
    args.run(args)
    shown = json.loads(capsys.readouterr().out)
    assert [t["id"] for t in shown["trials"]] == ["b"]


ALL = {
    "val/mss": 12.345, "val/loss": 3.1234, "val/onset_loss": 1.2345, "val/fad_codec": 123.45,
    "val/conditioning_gap": 0.1,
}  # fmt: skip
WIDE = {
    "onset_weight": 0.5, "lr": 0.000123, "layers": 4, "width": 512, "dropout": 0.1, "weight_decay": 0.01,
    "codebook_dropout": 0.25, "positions": "sinusoidal",
}  # fmt: skip


@pytest.mark.parametrize("searched", [1, 2, 4, 8])
@pytest.mark.parametrize("columns", ["80", "200"])
def test_show_fits_the_terminal(tmp_path, capsys, monkeypatch, searched, columns):
    """Issue 21, 7: at 80 columns numbers and headings were cut up letter by letter."""
    monkeypatch.setenv("COLUMNS", columns)
    names = list(WIDE)[:searched]
    points = [{name: WIDE[name] * (i + 1) for name in names} for i in range(3)]
    trials = [trial(str(i), 4.0 + i, 0.0, metrics=ALL, hyper=point) for i, point in enumerate(points)]
    commands.print_table({**ABOUT, "best": "0", "ablation": "1"}, trials)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= int(columns)
    # Nothing that is shown is broken over lines.
    for text in ("12.35", "mss", "steps", "ended", "best", "ablation", "done"):
        assert text in out
    for metric in ("loss", "onset_loss", "fad_codec", "conditioning_gap"):
        assert metric in out  # as a heading, or in the line below that names the hidden ones
    if columns == "200" and searched < 8:
        assert "In a wider terminal" not in out


def test_show_before_any_sweep_says_what_to_do(tmp_path):
    with pytest.raises(MissingInputError, match="dvc repro sweep"):
        read_trials(tmp_path)


def noisy(name: str, score: float) -> Trial:
    return trial(name, score, 1.0, metrics={"val/mss": score, "val/mss_se": 0.4})


def test_show_says_how_far_the_scores_can_rank(capsys, monkeypatch):
    """Issue 21, 6: a mean over a few one-shots ranked trials as if it were exact."""
    monkeypatch.setenv("COLUMNS", "120")
    trials = [noisy("a", 4.0), noisy("b", 4.3), noisy("c", 4.5), trial("d", None, 0.0)]
    assert [t.id for t in as_good(trials, "val/mss")] == ["a", "b"]
    assert as_good(TRIALS, "val/mss") == as_good([], "val/mss") == []
    commands.print_table(ABOUT, trials)
    out = capsys.readouterr().out
    assert "4.3 ±0.4" in out
    assert "2 trials lie within one standard error" in out
    commands.print_table(ABOUT, [noisy("a", 4.0), noisy("c", 4.5)])
    assert "standard error" not in capsys.readouterr().out
