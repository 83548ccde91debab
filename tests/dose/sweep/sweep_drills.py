"""Sweeps with accidents, each in a process of its own: `python -m sweep_drills NAME ROOT [SECONDS PER STEP]`.

`log` in ROOT gets a line each time a trial starts, with the step it starts from.
"""

import functools
import os
import subprocess
import sys
import time
from pathlib import Path

import sweep_stubs

from dose.sweep import SweepConfig, run_sweep
from dose.sweep.config import Resources


def sweep(root: Path, pause: float, config: SweepConfig | None = None, hook=None) -> None:
    train = functools.partial(sweep_stubs.train, pause=pause, log=root / "log", hook=hook)
    run_sweep(
        config or sweep_stubs.sweep_config(),
        "kick",
        root / "data" / "tokens",
        root / "data" / "codec",
        root / "data" / "sweep" / "kick",
        root=root,
        train=train,
    )


def plain(root: Path, pause: float) -> None:
    sweep(root, pause)


def changed(root: Path, pause: float) -> None:
    """Another sweep than `plain`: one param differs."""
    sweep(root, pause, sweep_stubs.sweep_config(space={"onset_weight": [0.0, 2.0]}))


def asha(root: Path, pause: float) -> None:
    space = {"onset_weight": [0.0, 1.0], "lr": [1e-3, 1e-1]}
    sweep(root, pause, sweep_stubs.sweep_config(space=space, scheduler="asha"))


def optuna(root: Path, pause: float) -> None:
    space = {"onset_weight": [1.0], "lr": {"low": 1e-4, "high": 1e-1, "log": True}}
    sweep(root, pause, sweep_stubs.sweep_config(space=space, search="optuna", trials=4))


def random_pbt(root: Path, pause: float) -> None:
    space = {"onset_weight": [1.0], "lr": {"low": 1e-4, "high": 1e-1, "log": True}}
    config = sweep_stubs.sweep_config(space=space, search="random", scheduler="pbt", trials=3)
    sweep(root, pause, config)


def once(mark: Path) -> bool:
    """True for the first caller in any process."""
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def die_at_20(mark: Path, hyper: dict, step: int) -> None:
    if step == 20 and hyper["onset_weight"] == 1.0 and once(mark):
        os.kill(os.getpid(), 9)


def trial_killed(root: Path, pause: float) -> None:
    sweep(root, pause, hook=functools.partial(die_at_20, root / "killed"))


def always_fail(hyper: dict, step: int) -> None:
    if hyper["onset_weight"] == 1.0:
        raise RuntimeError("the loss is not a number")


def trial_fails(root: Path, pause: float) -> None:
    sweep(root, pause, sweep_stubs.sweep_config(retries=0), hook=always_fail)


def node_killed(root: Path, pause: float) -> None:
    """Two machines with a trial each; one is unplugged in mid-trial, a third joins late."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    os.environ["RAY_ADDRESS"] = cluster.address
    driver = subprocess.Popen([sys.executable, "-m", "sweep_drills", "plain", str(root), str(pause)])
    try:
        states = root / "data" / ".sweep" / "kick"
        while sum(1 for _ in states.glob("*/trials/*/rows.jsonl")) < 2:
            assert driver.poll() is None
            time.sleep(0.1)
        cluster.remove_node(nodes[1], allow_graceful=False)
        (root / "unplugged").write_text(nodes[1].node_id)
        (root / "joined").write_text(cluster.add_node(num_cpus=1).node_id)
        sys.exit(driver.wait())
    finally:
        driver.kill()
        cluster.shutdown()


def full_storage(root: Path, pause: float) -> None:
    """ROOT/small is a volume with little room; something else has filled it when the first state comes."""
    sweep(root, pause, sweep_stubs.sweep_config(storage=str(root / "small"), retries=0))


def too_large(root: Path, pause: float) -> None:
    sweep(root, pause, sweep_stubs.sweep_config(resources=Resources(memory_gib=999)))


if __name__ == "__main__":
    name, root = sys.argv[1], Path(sys.argv[2])
    globals()[name](root, float(sys.argv[3]) if len(sys.argv) > 3 else 0.01)
