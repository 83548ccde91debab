"""Two processes against one with twice the batch, and a process that dies. All on the CPU, with gloo."""

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sweep_stubs import FIT, sweep_config

from dose.sweep.config import Resources
from dose.sweep.ddp import train_distributed
from dose.sweep.trial import DrumTask

pytestmark = pytest.mark.slow


def task(material, batch, processes):
    model = dataclasses.replace(FIT.model, dropout=0.0)
    fit = dataclasses.replace(
        FIT, model=model, batch=batch, steps=8, evaluate_every=2, evaluate_items=8, precision="fp32"
    )
    config = sweep_config(
        fit=fit, generation_items=2, generation_examples=1, resources=Resources(processes=processes)
    )
    return DrumTask(
        config=config,
        drum="kick",
        tokens=material / "tokens",
        codec=material / "codec",
        init=None,
        meta={},
    )


def curve(train, out):
    rows = []
    train({"onset_weight": 1.0}, out, lambda step, metrics: rows.append((step, metrics)))
    return dict(rows)


def test_two_processes_learn_what_one_learns_from_twice_the_batch(material):
    one = curve(task(material, 8, 1), material / "one")

    def both(hyper, out, report):
        train_distributed(task(material, 4, 2), 2, hyper, out, report)

    two = curve(both, material / "two")
    assert list(two) == list(one) == [2, 4, 6, 8]
    for step in one:
        for name in ("val/loss", "val/onset_loss"):
            assert two[step][name] == pytest.approx(one[step][name], rel=1e-4), (step, name)


def die_as_second(hyper, out, report):
    import torch.distributed as dist

    dist.barrier()
    if dist.get_rank() == 1:
        os._exit(3)
    print("waits", flush=True)
    time.sleep(300)  # as in NCCL, which does not notice


def test_a_dead_process_ends_the_trial_instead_of_hanging(tmp_path):
    code = (
        "from pathlib import Path; from test_ddp import die_as_second\n"
        "from dose.sweep.ddp import train_distributed\n"
        "if __name__ == '__main__': train_distributed(die_as_second, 2, {}, Path('.'), print)"
    )
    (tmp_path / "driver.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "driver.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        capture_output=True,
        timeout=120,
    )
    # Both had begun; the first then ends itself at once, with no error of its own.
    assert b"waits" in done.stdout, done.stderr
    assert done.returncode == 1
