"""Whether a task fits a machine of the cluster, or one that the cluster may add."""

import pytest
import yaml

from dose.cluster import capacity
from dose.errors import DoseError

GIB = 2**30
SMALL = {"CPU": 2.0, "memory": 6.5 * GIB, "node:10.0.0.1": 1.0}
GPU = {"CPU": 8.0, "GPU": 1.0, "memory": 30.0 * GIB}
REMEDY = "lower params.yaml: sweep.resources"


@pytest.fixture
def cluster(monkeypatch):
    """Sets what the cluster has, may add, and whether it may add anything."""

    def has(*machines, addable=(), autoscales=False):
        monkeypatch.setattr(capacity, "_machines", lambda: list(machines))
        monkeypatch.setattr(capacity, "_addable", lambda: list(addable))
        monkeypatch.setattr(capacity, "_autoscales", lambda: autoscales)
        monkeypatch.setattr(capacity, "JOIN_SECONDS", 0.3)

    return has


@pytest.mark.parametrize(
    "needs",
    [{"CPU": 1.0, "memory": 999.0 * GIB}, {"CPU": 3.0}, {"CPU": 1.0, "GPU": 1.0}, {"CPU": 1, "TPU": 1}],
)
def test_what_no_machine_has_is_told_with_what_the_largest_has(cluster, needs):
    """Issue 21, 7: Ray waits in silence for a machine that never comes."""
    cluster(SMALL, SMALL)
    with pytest.raises(DoseError, match=r"A trial asks for .* the largest has 2 CPUs, 6.5 GiB; lower params"):
        capacity.require_room(needs, "A trial", REMEDY)


def test_the_resources_of_two_machines_are_not_added_up(cluster):
    cluster(SMALL, SMALL)
    assert capacity.require_room({"CPU": 2.0}, "A trial", REMEDY) is None
    with pytest.raises(DoseError, match="asks for 4 CPUs"):
        capacity.require_room({"CPU": 4.0}, "A trial", REMEDY)


def test_a_machine_that_the_cluster_may_add_is_waited_for(cluster):
    needs = {"CPU": 4.0, "GPU": 1.0}
    cluster(SMALL, addable=[SMALL, GPU])
    assert "the cluster adds a machine" in capacity.require_room(needs, "A trial", REMEDY)
    # Some name no memory.
    cluster(SMALL, addable=[{"CPU": 8.0, "GPU": 1.0}])
    assert capacity.require_room({**needs, "memory": GIB}, "A trial", REMEDY)
    # What it may add is known, and too small: waiting would be for ever.
    cluster(SMALL, addable=[SMALL], autoscales=True)
    with pytest.raises(DoseError, match="no machine of the Ray cluster"):
        capacity.require_room(needs, "A trial", REMEDY)
    # Unknown: it may come.
    cluster(SMALL, autoscales=True)
    assert "waiting" in capacity.require_room(needs, "A trial", REMEDY)


def test_a_machine_that_is_just_joining_is_waited_for(cluster, monkeypatch):
    cluster(SMALL)
    answers = iter([[SMALL], [SMALL, GPU]])
    monkeypatch.setattr(capacity, "_machines", lambda: next(answers))
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert capacity.require_room({"GPU": 1.0}, "A trial", REMEDY) is None


def test_the_cluster_is_described_in_one_line(cluster, monkeypatch):
    cluster(SMALL, GPU)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert capacity.describe_cluster() == "Ray on this machine: 10 CPUs, 1 GPU, 36.5 GiB"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert capacity.describe_cluster() == "Ray cluster at 10.0.0.1:6379, 2 machines: 10 CPUs, 1 GPU, 36.5 GiB"


def test_the_machines_of_ray_up_are_read_from_its_file(tmp_path, monkeypatch):
    from ray._private.state import state

    monkeypatch.setattr(state, "get_cluster_config", lambda: None)
    monkeypatch.setattr(capacity, "LAUNCHED_BY", tmp_path / "bootstrap.yaml")
    assert capacity._addable() == []
    types = {"head": {"resources": {"CPU": 0}}, "gpu": {"resources": {"CPU": 8, "GPU": 1}}, "bare": {}}
    (tmp_path / "bootstrap.yaml").write_text(
        yaml.safe_dump(sort_keys=False, data={"available_node_types": types})
    )
    assert capacity._addable() == [{"CPU": 0}, {"CPU": 8, "GPU": 1}, {}]
