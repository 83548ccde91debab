"""`dvc plots show` draws what the sweeps write."""

import subprocess
import sys
from pathlib import Path

import yaml

from dose.drums import DRUMS
from dose.sweep.table import Trial, write_tables

ROOT = Path(__file__).parent.parent.parent


def test_dvc_plots_show_the_trials_table_and_the_pictures(tmp_path):
    trial = Trial(
        id="a",
        hyper={"onset_weight": 1.0},
        status="FINISHED",
        stopped="done",
        steps=10,
        score=4.125,
        metrics={"val/mss": 4.125},
    )
    about = {"drum": "kick", "sweep": "s", "select": "val/mss", "best": "a", "ablation": "a"}
    for drum in DRUMS:
        write_tables(
            tmp_path / "data" / "sweep" / drum, [trial], {"a": [{"step": 10, "val/mss": 4.125}]}, about
        )
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"plots": plots}))
    dvc = Path(sys.executable).with_name("dvc")
    for command in (["git", "init", "-q"], [dvc, "init", "-q"], [dvc, "plots", "show", "-o", "out"]):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count('"val/mss": "4.125"') == 2 * len(DRUMS)  # a trial and its curve
    for title in ("the sweeps' trials", "the selected trials' learning curves"):
        assert title in page
    drawn = {p.name for p in (tmp_path / "out" / "static").iterdir()}
    assert drawn == {f"workspace_data_sweep_{d}_{n}.png" for d in DRUMS for n in ("parallel", "learning")}
