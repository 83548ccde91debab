"""Which trial a sweep saves, and its pair with or without onset loss."""

from types import SimpleNamespace

import pytest
from sweep_stubs import sweep_config

from dose.sweep.runner import _Sweep
from dose.sweep.table import Trial


def trial(name: str, score: float, weight: float | None, **changes) -> Trial:
    hyper = {"lr": 0.001} | ({} if weight is None else {"onset_weight": weight})
    values = {"id": name, "hyper": hyper, "status": "FINISHED", "stopped": "done", "steps": 40}
    return Trial(**(values | {"score": score, "metrics": {"val/mss": score}} | changes))


@pytest.fixture
def sweep(project) -> _Sweep:
    data = project / "data"
    return _Sweep(sweep_config(), "kick", data / "tokens", data / "codec", project, lambda *_: None)


def saved(sweep: _Sweep, trials: list[Trial], monkeypatch) -> dict[str, str]:
    """Name -> id of the trials that are saved; a paired run that has to be trained has the id "new"."""
    found = list(trials)

    def search(logger, name, hyper, steps, resumed):
        found[:] = [t for t in found if t.id != resumed]
        found.append(
            trial(f"{resumed} continued" if resumed else "new", 9.0, hyper["onset_weight"], steps=steps)
        )

    monkeypatch.setattr(sweep, "_search", search)
    logger = SimpleNamespace(trials=lambda: found, bar=SimpleNamespace(expect=lambda steps: None))
    best = sweep._winner(logger)
    return {name: t.id for name, t in {"best": best, **sweep._pair(logger, best)}.items()}


@pytest.mark.parametrize(
    ("trials", "wanted"),
    [
        ([trial("a", 4.0, 1.0), trial("b", 5.0, 0.0)], {"best": "a", "ablation": "b"}),
        # Issue 21, 6: the worse one was saved and registered, since it has the onset loss.
        ([trial("a", 5.0, 1.0), trial("b", 4.0, 0.0)], {"best": "b", "ablation": "b", "onset": "a"}),
        ([trial("a", 4.0, 1.0)], {"best": "a", "ablation": "new"}),
        ([trial("a", 4.0, 0.0)], {"best": "a", "ablation": "a", "onset": "new"}),
        ([trial("a", 4.0, 1.0), trial("b", 5.0, 0.0, steps=20)], {"best": "a", "ablation": "b continued"}),
        ([trial("a", 3.0, 1.0, status="FAILED"), trial("b", 4.0, 2.0)], {"best": "b", "ablation": "new"}),
        ([trial("a", 4.0, None)], {"best": "a", "ablation": "new"}),  # the weight is the fit's, 1
    ],
)
def test_the_trial_with_the_lowest_score_is_saved_and_its_pair_differs_in_the_onset_loss_alone(
    sweep, monkeypatch, trials, wanted
):
    assert saved(sweep, trials, monkeypatch) == wanted


def test_the_pair_has_the_weight_of_the_best_trial_with_onset_loss(sweep, monkeypatch):
    trials = [trial("a", 4.0, 0.0, hyper={"lr": 0.1, "onset_weight": 0.0}), trial("b", 5.0, 2.5)]
    weights = []
    monkeypatch.setattr(sweep, "_paired_run", lambda logger, best, weight: weights.append(weight) or best)
    sweep._pair(SimpleNamespace(trials=lambda: trials), trials[0])
    assert weights == [2.5]
