"""A map over shards as tasks on a Ray cluster."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dose.cluster.capacity import describe_cluster
from dose.cluster.processes import TRIES
from dose.cluster.ray_session import start_ray
from dose.cluster.source import SOURCE, check_source
from dose.errors import DoseError

S = TypeVar("S")
R = TypeVar("R")


def map_on_ray(fn: Callable[[S], R], shards: Sequence[S], count: int, describe: str) -> Iterator[R]:
    """As `dose.cluster.map_shards`, with at most `count` tasks at a time."""
    if start_ray():
        print(f"{describe}: {describe_cluster()}", file=sys.stderr)
    import ray

    task: Any = ray.remote(max_retries=TRIES - 1, retry_exceptions=False)(_call).options(name=describe)
    shared_fn = ray.put(fn)  # once, not with every shard: its arguments may hold a whole sample library
    running: deque[Any] = deque()
    todo = iter(shards)
    # At most `count` beyond the one awaited, so that results do not fill the object store.
    for shard in todo:
        running.append(task.remote(shared_fn, SOURCE, os.getcwd(), shard))
        if len(running) >= count:
            break
    while running:
        try:
            result = ray.get(running[0])
        # Raised by `fn` itself: passed on with its own type.
        except ray.exceptions.RayTaskError as e:
            raise e.as_instanceof_cause() from e
        # The worker or its machine died, also at the second try.
        except ray.exceptions.RayError as e:
            raise DoseError(
                f"A shard of '{describe}' was lost {TRIES} times on the cluster ("
                f"{' '.join(str(e).split())[:200]}); "
                "use fewer workers or smaller shards."
            ) from e
        running.popleft()
        for shard in todo:
            running.append(task.remote(shared_fn, SOURCE, os.getcwd(), shard))
            break
        yield result


def _call(fn: Callable[[S], R], source: Path, folder: str, shard: S) -> R:
    """The task: a function, as Ray accepts no functools.partial, that works in the caller's folder."""
    check_source(source)
    try:
        os.chdir(folder)
    except OSError as e:
        raise DoseError(
            f"{folder} cannot be entered on a machine of the cluster ({e.strerror}); "
            "put the project where all its machines see it under the same path."
        ) from e
    return fn(shard)
