"""map_shards compared with the built-in map, and with workers that are killed."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

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


def test_the_order_is_kept_when_the_first_shard_is_the_slowest():
    results = list(map_shards(slow_first, range(6), workers=2, describe="order"))
    assert [x for x, _ in results] == list(range(6))
    pids = {pid for _, pid in results}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_no_shards_is_no_work():
    assert list(map_shards(square, [], workers=3, describe="nothing")) == []


def test_one_worker_runs_in_this_process_without_ray():
    code = (
        "import sys, os; from dose.cluster import map_shards\n"
        "assert list(map_shards(lambda x: os.getpid(), [1], workers=1, describe='x')) == [os.getpid()]\n"
        "assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"RAY_ADDRESS": "nowhere:1"})


@pytest.mark.parametrize("victim", [0, 4])
def test_only_the_shard_of_a_killed_worker_is_repeated(tmp_path, victim):
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


class Unpicklable(Exception):
    """Pickles but cannot be unpickled: its constructor wants two arguments."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")


def raise_unpicklable(x: int) -> int:
    raise Unpicklable("shard", "odd")


def test_an_exception_that_does_not_pickle_arrives_as_text():
    with pytest.raises(RuntimeError, match="Unpicklable: shard: odd"):
        list(map_shards(raise_unpicklable, range(2), workers=2, describe="errors"))


def test_workers_end_when_the_caller_stops_iterating():
    results = map_shards(slow_first, range(20), workers=2, describe="left")
    pids = {next(results)[1], next(results)[1]}
    results.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_zero_workers_are_an_error():
    with pytest.raises(ValueError, match="at least 1"):
        list(map_shards(square, [1], workers=0, describe="none"))
