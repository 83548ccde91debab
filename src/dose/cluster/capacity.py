"""What the machines of the connected Ray cluster have, and whether one of them can run a task."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dose.errors import DoseError

GIB = 2**30
JOIN_SECONDS = 10.0  # for the machines of a cluster that has just been started; a default without a study
# `ray up` starts Ray's head with this file, which lists the machines that it may add.
LAUNCHED_BY = Path("~/ray_bootstrap_config.yaml")


def describe_cluster() -> str:
    """For example "Ray cluster at auto, 3 machines: 24 CPUs, 2 GPUs, 90 GiB", all machines together."""
    machines = _machines()
    total = {name: sum(m.get(name, 0.0) for m in machines) for name in ("CPU", "GPU", "memory")}
    address = os.environ.get("RAY_ADDRESS")
    if address is None:
        return f"Ray on this machine: {_text(total)}"
    count = f"{len(machines)} machine" + ("" if len(machines) == 1 else "s")
    return f"Ray cluster at {address}, {count}: {_text(total)}"


def require_room(needs: Mapping[str, float], what: str, remedy: str) -> str | None:
    """Raises DoseError where no machine of the cluster, and none that it may add, is as large as `needs`.

    `needs` is of one task (CPU, GPU, memory in bytes), which runs on one machine; Ray itself would wait for
    ever, in silence. `what` names the task and `remedy` says what to change. Returns a sentence where the
    task waits for a machine that the cluster's autoscaler is to add.
    """
    # On one machine nothing joins.
    end = time.monotonic() + (JOIN_SECONDS if os.environ.get("RAY_ADDRESS") else 0)
    present = _machines()
    while not any(_fits(needs, machine) for machine in present) and time.monotonic() < end:
        time.sleep(0.1)
        present = _machines()
    if any(_fits(needs, machine) for machine in present):
        return None
    addable = _addable()
    asked = _text(needs)
    if any(_fits(needs, machine) for machine in addable):
        return f"{what} asks for {asked}: the cluster adds a machine that has it."
    if not addable and _autoscales():
        return f"{what} asks for {asked}, which no machine has yet: waiting for one that the cluster may add."
    best = max(present + addable, key=lambda m: tuple(m.get(name, 0.0) for name in ("GPU", "memory", "CPU")))
    raise DoseError(
        f"{what} asks for {asked}, and no machine of the Ray cluster has that: the largest has "
        f"{_text(best)}; {remedy}."
    )


def _fits(needs: Mapping[str, float], machine: Mapping[str, float]) -> bool:
    # A machine that may be added need not state its memory.
    return all(machine.get(name, float("inf") if name == "memory" else 0.0) >= n for name, n in needs.items())


def _text(resources: Mapping[str, float]) -> str:
    counts = [(name, resources[name]) for name in ("CPU", "GPU") if name in resources]
    parts = [f"{count:g} {name}" + ("" if count == 1 else "s") for name, count in counts]
    return ", ".join(parts + ([f"{resources['memory'] / GIB:.3g} GiB"] if resources.get("memory") else []))


def _machines() -> list[dict[str, float]]:
    """Resources of each machine that is connected now."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _addable() -> list[dict[str, float]]:
    """Resources of each kind of machine that the cluster's autoscaler may add, where that can be read.

    KubeRay's operator and the newer autoscaler report them to Ray; `ray up` leaves them in a file on the
    head.
    """
    from ray._private.state import state

    config = state.get_cluster_config()
    groups = [dict(group.resources) for group in config.node_group_configs] if config else []
    path = LAUNCHED_BY.expanduser()
    types: dict[str, Any] = {}
    if not groups and path.is_file():
        types = (yaml.safe_load(path.read_text()) or {}).get("available_node_types", {})
    return groups + [dict(kind.get("resources", {})) for kind in types.values()]


def _autoscales() -> bool:
    """Whether the cluster has an autoscaler: Ray's monitor else calls each machine's kind node_<its id>."""
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
    from ray.experimental import internal_kv

    status = internal_kv._internal_kv_get(DEBUG_AUTOSCALING_STATUS)
    report = json.loads(status).get("autoscaler_report", {}) if status else {}
    return any(not kind.startswith("node_") for kind in report.get("active_nodes", {}))
