"""The BentoML service's module: what it sets before numpy is loaded."""

import os
import subprocess
import sys

import pytest
from server import ROOT

CODE = """
import os, sys
assert "numpy" not in sys.modules
import serving.service
from threadpoolctl import threadpool_info
blas = [pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"]
print(os.environ["OPENBLAS_NUM_THREADS"], *sorted(set(blas)))
"""


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("2", "2")])
def test_numpys_blas_has_one_thread_unless_the_environment_sets_another_number(given, expected):
    env = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")}
    env |= {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"} | ({"OPENBLAS_NUM_THREADS": given} if given else {})
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120
    )
    variable, *threads = done.stdout.split()
    assert variable == expected, done.stderr
    # OpenBLAS never takes more threads than there are CPUs.
    assert set(threads) <= {str(min(int(expected), os.cpu_count() or 1))}
