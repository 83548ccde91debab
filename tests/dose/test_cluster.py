"""map_shards against the built-in map, and against workers that die."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from dose import cluster
from dose.cluster import map_shards
from dose.errors import AudioError, DoseError


def square(x: int) -> int:
    return x * x


def slow_first(x: int) -> tuple[int, int]:
    time.sleep(0.5 if x == 0 else 0.0)
    return x, os.getpid()


def die_on(deaths: Path, victim: int, times: int, x: int) -> int:
    """Kills its own process on `victim`, `times` times over all processes."""
    if x == victim and len(list(deaths.iterdir())) < times:
        (deaths / f"{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (deaths.parent / "ran").open("a").write(f"{x}\n")
    return x * x


def fail_on_three(x: int) -> int:
    if x == 3:
        raise AudioError("shard 3 is not a sound file.")
    return x


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_equals_the_built_in_map(workers):
    shards = list(range(7))
    assert list(map_shards(square, shards, workers=workers, describe="squares")) == list(map(square, shards))


def test_keeps_the_order_when_the_first_shard_is_the_slowest():
    results = list(map_shards(slow_first, range(6), workers=2, describe="order"))
    assert [x for x, _ in results] == list(range(6))
    pids = {pid for _, pid in results}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_no_shards_is_no_work():
    assert list(map_shards(square, [], workers=3, describe="nothing")) == []


def test_one_worker_runs_here_without_ray():
    code = (
        "import sys, os; from dose.cluster import map_shards\n"
        "assert list(map_shards(lambda x: os.getpid(), [1], workers=1, describe='x')) == [os.getpid()]\n"
        "assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"RAY_ADDRESS": "nowhere:1"})


@pytest.mark.parametrize("victim", [0, 4])
def test_a_killed_worker_costs_only_its_own_shard(tmp_path, victim):
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    job = partial(die_on, deaths, victim, 1)
    assert list(map_shards(job, range(6), workers=2, describe="deaths")) == [x * x for x in range(6)]
    ran = sorted(map(int, (tmp_path / "ran").read_text().split()))
    assert ran == list(range(6))  # every shard completed exactly once
    assert len(list(deaths.iterdir())) == 1


def test_a_shard_that_always_kills_is_named(tmp_path):
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    with pytest.raises(DoseError, match="Shard 2 ended its worker process 2 times"):
        list(map_shards(partial(die_on, deaths, 2, 99), range(4), workers=2, describe="deaths"))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_keeps_its_type(workers):
    with pytest.raises(AudioError, match="shard 3"):
        list(map_shards(fail_on_three, range(6), workers=workers, describe="errors"))


class Stubborn(Exception):
    """Pickles but cannot be unpickled: its constructor wants two arguments."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")


def raise_stubborn(x: int) -> int:
    raise Stubborn("shard", "odd")


def test_an_exception_that_does_not_pickle_arrives_as_text():
    with pytest.raises(RuntimeError, match="Stubborn: shard: odd"):
        list(map_shards(raise_stubborn, range(2), workers=2, describe="errors"))


def test_workers_end_when_the_caller_stops_listening():
    results = map_shards(slow_first, range(20), workers=2, describe="left")
    pids = {next(results)[1], next(results)[1]}
    results.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_refuses_no_workers():
    with pytest.raises(ValueError, match="at least 1"):
        list(map_shards(square, [1], workers=0, describe="none"))


class SlowRay:
    """Stands for the ray module; comes up at the given try."""

    def __init__(self, comes_up_at: int) -> None:
        self.comes_up_at, self.tries, self.shutdowns = comes_up_at, 0, 0

    def init(self, **options):
        self.tries += 1
        if self.tries < self.comes_up_at:
            raise Exception("The current node timed out during startup.")

    def shutdown(self):
        self.shutdowns += 1


def test_a_ray_that_is_slow_to_come_up_is_tried_again():
    ray = SlowRay(3)
    cluster._start_embedded(ray, None, None)
    assert (ray.tries, ray.shutdowns) == (3, 2)
    with pytest.raises(DoseError, match=r"did not start .* run the same command again"):
        cluster._start_embedded(SlowRay(9), None, None)


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
@pytest.mark.parametrize("length", [20, 34, 35, 46, 200])
def test_rays_sockets_have_paths_that_the_system_takes(monkeypatch, variable, length):
    """Issue 17, 12: under a TMPDIR of 46 characters Ray did not start, and more memory was asked for."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, "/" + "t" * (length - 1))
    given = {}

    class Ray(SlowRay):
        def init(self, **options):
            given.update(options)

    cluster._start_embedded(Ray(1), None, None)
    folder = given["_temp_dir"] or f"{os.environ[variable]}/ray"
    sockets = f"{folder}/session_2026-11-26_02-22-45_465335_4194304/sockets/plasma_store"
    assert len(sockets) <= 107
    assert (given["_temp_dir"] is None) == (length <= 34)


def test_a_folder_that_ray_cannot_use_is_named_as_the_cause():
    class Ray(SlowRay):
        def init(self, **options):
            raise OSError("AF_UNIX path length cannot exceed 107 bytes: /a/long/path")

    with pytest.raises(DoseError, match=r"AF_UNIX .* set RAY_TMPDIR"):
        cluster._start_embedded(Ray(1), None, None)


@pytest.mark.slow
def test_ray_starts_under_a_long_folder(tmp_path):
    long = tmp_path / ("t" * 60)
    long.mkdir()
    code = "from dose import cluster; cluster.start_ray(cpus=1); cluster.stop_ray(); print('up')"
    env = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "RAY_TMPDIR")} | {
        "TMPDIR": str(long)
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout.strip().endswith("up"), done.stderr[-2000:]
