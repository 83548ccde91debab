"""`map_shards`: a parallel map with progress bar over the shards of a stage.

Ray is the engine for more than one machine and is used when RAY_ADDRESS names a cluster. On one machine
starting Ray costs several seconds and 0.7 GB, so there the shards go to plain worker processes instead.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from tqdm import tqdm

from dose.cluster.processes import map_in_processes
from dose.cluster.ray_tasks import map_on_ray

S = TypeVar("S")
R = TypeVar("R")


def map_shards(fn: Callable[[S], R], shards: Sequence[S], *, workers: int, describe: str) -> Iterator[R]:
    """Yields `fn(shard)` for every shard, in the order of `shards`, with a progress bar named `describe`.

    `fn` is a function at the top of a module (or a functools.partial of one) whose arguments and results
    can be pickled; it should write its large output to disk and return a small summary. With `workers` 1 it
    runs in this process. With more it runs in that many processes, or as that many tasks at a time on the
    cluster that RAY_ADDRESS names. The shard of a worker that is killed is tried once more. An exception
    raised by `fn` ends the whole map and is raised here with its own type.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    results: Iterator[R]
    if workers == 1:
        results = map(fn, shards)
    elif os.environ.get("RAY_ADDRESS"):
        results = map_on_ray(fn, shards, workers, describe)
    else:
        results = map_in_processes(fn, shards, min(workers, max(len(shards), 1)))
    # Without a terminal (CI, a log file) a line every ten seconds is enough.
    interval = 0.2 if sys.stderr.isatty() else 10.0
    with tqdm(total=len(shards), desc=describe, unit="shard", mininterval=interval) as bar:
        for result in results:
            bar.update()
            yield result
