"""Studies: every file can be read, data are overlaid and cut, and differences are paired."""

import numpy as np
import pytest
import yaml
from matplotlib.axes import Axes

from dose import config
from dose.tokens.shards import Codes
from dose.train.data import Pairs
from experiments import report, study


@pytest.mark.parametrize("path", sorted(study.STUDIES.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_variant_of_every_study_is_a_fit_that_can_be_made(path):
    read = config.parse(study.Study, yaml.safe_load(path.read_text()), path.stem)
    assert next(iter(read.variants)) == report.BASE  # with which the others are compared
    for name in read.variants:
        settings = study._fit_config(read, read.variant(name))
        assert settings.steps % settings.evaluate_every == 0, name


def test_a_variant_changes_its_own_data_and_keeps_the_studys():
    common = {"tokens": {"prompts": ["hits"]}}
    changed = study.overlay_data(common, {"rmod": {"loops": {"absent": 1.0}}})
    assert changed == {**common, "rmod": {"loops": {"absent": 1.0}}}
    assert study.overlay_data(common, {"tokens": {"hits": 2}})["tokens"] == {"prompts": ["hits"], "hits": 2}


def test_the_first_pairs_are_kept_together():
    shots, prompts = (np.arange(n * 6).reshape(6, n, 1).astype(np.uint16) for n in (2, 3))
    cut = study._first(Pairs(Codes([prompts]), Codes([shots])), 4)
    assert len(cut) == 4
    batch = cut.batch(np.array([3]))
    assert np.array_equal(batch.prompt[0], prompts[3])
    assert np.array_equal(batch.shot[0], shots[3])


def test_estimates_are_paired_with_the_base():
    rng = np.random.default_rng(0)
    base = {f"mss_{method}": rng.normal(5, 3, 60) for method in report.METHODS}
    better = {name: values - 0.1 for name, values in base.items()}  # far less than the scatter
    row = report.estimates(better, base)
    assert row["mss_blended_minus_base"] == pytest.approx(-0.1)
    assert row["mss_blended_minus_base_high"] < 0
    assert "mss_blended_minus_base" not in report.estimates(base, base)


def test_a_study_is_plotted_from_its_first_row_on(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    scores = {f"{m}_{method}": rng.normal(5, 3, 20) for m in report.METRICS for method in report.METHODS}
    rows = {report.BASE: report.estimates(scores, scores)}
    report.plot(rows, "one", tmp_path / "one.png")
    rows["other"] = report.estimates({name: v + 1 for name, v in scores.items()}, scores)
    drawn, errorbar = [], Axes.errorbar
    monkeypatch.setattr(
        Axes, "errorbar", lambda axes, x, y, **how: drawn.append((x, y)) or errorbar(axes, x, y, **how)
    )
    report.plot(rows, "two", tmp_path / "two.png")
    assert len(drawn) == 2  # one point each for matched and blended, at the one variant's line
    for x, y in drawn:
        assert x == pytest.approx([1])
        assert np.round(y).tolist() == [0]
    sizes = [(tmp_path / f"{name}.png").read_bytes()[:8] for name in ("one", "two")]
    assert sizes == [b"\x89PNG\r\n\x1a\n"] * 2
