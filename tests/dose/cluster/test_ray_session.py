"""Starting the embedded Ray: slow starts, folders, the errors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dose.cluster import SOURCE, check_source, ray_session
from dose.errors import DoseError


class StubRay:
    """A stub for the ray module that starts at the given try."""

    def __init__(self, starts_at: int) -> None:
        self.starts_at, self.tries, self.shutdowns = starts_at, 0, 0

    def init(self, **options):
        self.tries += 1
        if self.tries < self.starts_at:
            raise Exception("The current node timed out during startup.")

    def shutdown(self):
        self.shutdowns += 1


def test_a_slow_start_of_ray_is_tried_again():
    ray = StubRay(3)
    ray_session.start_embedded(ray, None, None)
    assert (ray.tries, ray.shutdowns) == (3, 2)
    with pytest.raises(DoseError, match=r"did not start .* run the same command again"):
        ray_session.start_embedded(StubRay(9), None, None)


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
@pytest.mark.parametrize("length", [20, 34, 35, 46, 200])
def test_the_paths_of_rays_sockets_are_short_enough(monkeypatch, variable, length):
    """Issue 17, 12: under a TMPDIR of 46 characters Ray did not start, and more memory was asked for."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, "/" + "t" * (length - 1))
    given = {}

    class Ray(StubRay):
        def init(self, **options):
            given.update(options)

    ray_session.start_embedded(Ray(1), None, None)
    folder = given["_temp_dir"] or f"{os.environ[variable]}/ray"
    sockets = f"{folder}/session_2026-11-26_02-22-45_465335_4194304/sockets/plasma_store"
    assert len(sockets) <= 107
    assert (given["_temp_dir"] is None) == (length <= 34)


def test_a_folder_that_ray_cannot_use_is_named_as_the_cause():
    class Ray(StubRay):
        def init(self, **options):
            raise OSError("AF_UNIX path length cannot exceed 107 bytes: /a/long/path")

    with pytest.raises(DoseError, match=r"AF_UNIX .* set RAY_TMPDIR"):
        ray_session.start_embedded(Ray(1), None, None)


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


def test_the_workers_of_a_cluster_get_the_drivers_code(monkeypatch):
    """Issue 21, 1: they took the `dose` of their image, which may be an older one."""
    given = {}

    class Ray(StubRay):
        def init(self, **options):
            given.update(options)

        def is_initialized(self):
            return False

    monkeypatch.setitem(sys.modules, "ray", Ray(1))
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.delenv("RAY_OVERRIDE_JOB_RUNTIME_ENV", raising=False)
    assert ray_session.start_ray()
    source = str(Path(ray_session.__file__).parents[2])
    assert given["runtime_env"] == {"env_vars": {"PYTHONPATH": source}}
    # Without it Ray refuses a driver of a submitted job that names a variable which the job names too.
    assert os.environ["RAY_OVERRIDE_JOB_RUNTIME_ENV"] == "1"


def test_a_worker_with_another_dose_stops_with_a_sentence():
    check_source(SOURCE)
    with pytest.raises(DoseError, match=r"driver runs the dose of /elsewhere/src, .* PYTHONPATH=/elsewhere"):
        check_source(Path("/elsewhere/src"))
