"""A map over shards in worker processes of this machine that survives the death of a worker."""

import contextlib
import multiprocessing
import os
import pickle
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from dose.errors import DoseError
from dose.files import die_with_parent

S = TypeVar("S")
R = TypeVar("R")

TRIES = 2  # per shard: one whose worker died is given to another worker once


def map_in_processes(fn: Callable[[S], R], shards: Sequence[S], count: int) -> Iterator[R]:
    """As `dose.cluster.map_shards`, in `count` processes that share the processor's threads."""
    threads = max(1, (os.cpu_count() or 1) // count)
    todo = deque(range(len(shards)))
    tries = [0] * len(shards)
    done: dict[int, R] = {}
    pool: list[_Worker] = []
    try:
        for index in range(len(shards)):
            # Results arrive in any order and are yielded in that of the shards.
            while index not in done:
                # Starts workers, also in place of dead ones, while there are shards without a worker.
                pool += [_Worker(fn, threads) for _ in range(min(count - len(pool), len(todo)))]
                _assign(pool, todo, shards)
                busy = [w for w in pool if w.index is not None]
                # A pipe is ready when a result arrived or its worker died.
                ready = wait([w.pipe for w in busy])
                for worker in [w for w in busy if w.pipe in ready]:
                    if not _collect(worker, done):
                        pool.remove(worker)
                        _retry(worker, todo, tries)
            # Keeps the workers busy while the caller processes this result.
            _assign(pool, todo, shards)
            yield done.pop(index)
    finally:
        for worker in pool:
            worker.stop()


class _Worker:
    """One spawned process and a pipe to it; `index` is the shard at which it works."""

    def __init__(self, fn: Callable[[Any], Any], threads: int) -> None:
        # Spawn, not fork: torch and its thread pools do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.pipe, child_end = context.Pipe()
        self.process = context.Process(target=_serve, args=(fn, child_end), daemon=True)
        with _environment(OMP_NUM_THREADS=str(threads)):
            self.process.start()
        child_end.close()  # now only the child holds this end, so that its death reads as end of file
        self.index: int | None = None

    def send(self, index: int, shard: Any) -> None:
        self.index = index
        with contextlib.suppress(BrokenPipeError):  # it died while idle; the next receive detects it
            self.pipe.send(shard)

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(fn: Callable[[Any], Any], pipe: Connection) -> None:
    """The worker's loop: a shard in, ("ok", result) or ("error", exception) out, until the pipe closes."""
    die_with_parent()
    while True:
        try:
            shard = pipe.recv()
        except EOFError:
            return
        try:
            response = pickle.dumps(("ok", fn(shard)))
        except Exception as e:
            response = _pickled_error(e)
        pipe.send_bytes(response)


def _pickled_error(e: Exception) -> bytes:
    """The exception with its traceback as a note; as plain text where its own type cannot be pickled."""
    e.add_note(traceback.format_exc())
    try:
        response = pickle.dumps(("error", e))
        # Some exceptions can be pickled but not unpickled.
        pickle.loads(response)
    except Exception:
        return pickle.dumps(("error", RuntimeError(f"{type(e).__name__}: {e}\n{traceback.format_exc()}")))
    return response


def _assign(pool: list[_Worker], todo: deque[int], shards: Sequence[Any]) -> None:
    """Gives every idle worker the next shard."""
    for worker in pool:
        if worker.index is None and todo:
            index = todo.popleft()
            worker.send(index, shards[index])


def _collect(worker: _Worker, done: dict[int, Any]) -> bool:
    """Receives a finished worker's result; False when the worker is dead instead."""
    assert worker.index is not None
    try:
        kind, value = worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        return False
    if kind == "error":
        raise value
    done[worker.index] = value
    worker.index = None
    return True


def _retry(worker: _Worker, todo: deque[int], tries: list[int]) -> None:
    """Puts a dead worker's shard back in front; raises DoseError at its last try."""
    index = worker.index
    assert index is not None
    worker.stop()
    tries[index] += 1
    if tries[index] >= TRIES:
        raise DoseError(
            f"Shard {index} ended its worker process {TRIES} times (exit code {worker.process.exitcode}; "
            "-9 is usually the kernel running out of memory); use fewer workers or smaller shards."
        )
    todo.appendleft(index)


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Sets variables that a child process inherits, and restores them."""
    before = {k: os.environ.get(k) for k in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
