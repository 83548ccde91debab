"""Work that is cut into shards: here in this process, on this machine's cores, or on a Ray cluster.

Ray is the engine for more than one machine and is used when RAY_ADDRESS names a cluster. On one machine a
Ray start costs several seconds and 0.7 GB, so there the shards go to plain worker processes instead.
"""

import contextlib
import logging
import multiprocessing
import os
import pickle
import secrets
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from tqdm import tqdm

from dose.errors import DoseError
from dose.files import die_with_parent

S = TypeVar("S")
R = TypeVar("R")

TRIES = 2  # a shard whose worker died is given to another worker once
OBJECT_STORE_BYTES = 100 * 2**20
SOCKET_FOLDER_BYTES = 34  # longest folder below which Ray's sockets still have names that the system takes
# They warn of what is meant to be so: a token in use, no result files of Tune's own.
CHATTY = (
    "ray._private.authentication.authentication_token_setup",
    "ray.tune.analysis.experiment_analysis",
)


def map_shards(fn: Callable[[S], R], shards: Sequence[S], *, workers: int, describe: str) -> Iterator[R]:
    """Yields `fn(shard)` for every shard, in the order of `shards`, with a progress bar named `describe`.

    `fn` is a function at the top of a module (or a functools.partial of one) whose arguments and results
    pickle; it should write its large output to disk and return a small summary. With `workers` 1 it runs in
    this process. With more it runs in that many processes, or as that many tasks at a time on the cluster
    that RAY_ADDRESS names. A worker that is killed costs its shard one more try. An exception raised by `fn`
    ends the whole map and is raised here with its own type.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    results: Iterator[R]
    if workers == 1:
        results = map(fn, shards)
    elif os.environ.get("RAY_ADDRESS"):
        results = _on_ray(fn, shards, workers, describe)
    else:
        results = _in_processes(fn, shards, min(workers, max(len(shards), 1)))
    # Where there is no terminal (CI, a log file) a line every ten seconds is enough.
    pace = 0.2 if sys.stderr.isatty() else 10.0
    with tqdm(total=len(shards), desc=describe, unit="shard", mininterval=pace) as bar:
        for result in results:
            bar.update()
            yield result


class _Worker:
    """One spawned process and a pipe to it; knows its shard, so that its death names the shard."""

    def __init__(self, fn: Callable[[Any], Any], threads: int) -> None:
        # Spawn, not fork: torch and its thread pools do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(fn, theirs), daemon=True)
        with _environment(OMP_NUM_THREADS=str(threads)):
            self.process.start()
        theirs.close()  # only the child holds this end now, so its death reads as end of file
        self.index: int | None = None

    def give(self, index: int, shard: Any) -> None:
        self.index = index
        with contextlib.suppress(BrokenPipeError):  # it died idle; the next receive says so
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
            answer = pickle.dumps(("ok", fn(shard)))
        except Exception as e:
            answer = _pickled_error(e)
        pipe.send_bytes(answer)


def _pickled_error(e: Exception) -> bytes:
    """The exception with its traceback as a note; as plain text where its own type does not pickle."""
    e.add_note(traceback.format_exc())
    try:
        answer = pickle.dumps(("error", e))
        pickle.loads(answer)
    except Exception:
        return pickle.dumps(("error", RuntimeError(f"{type(e).__name__}: {e}\n{traceback.format_exc()}")))
    return answer


def _in_processes(fn: Callable[[S], R], shards: Sequence[S], count: int) -> Iterator[R]:
    threads = max(1, (os.cpu_count() or 1) // count)
    todo = deque(range(len(shards)))
    tries = [0] * len(shards)
    done: dict[int, R] = {}
    pool: list[_Worker] = []
    try:
        for index in range(len(shards)):
            while index not in done:
                pool += [_Worker(fn, threads) for _ in range(min(count - len(pool), len(todo)))]
                _hand_out(pool, todo, shards)
                busy = [w for w in pool if w.index is not None]
                ready = wait([w.pipe for w in busy])
                for worker in [w for w in busy if w.pipe in ready]:
                    if not _collect(worker, done):
                        pool.remove(worker)
                        _again(worker, todo, tries)
            # Keep the others busy while the caller works on this result.
            _hand_out(pool, todo, shards)
            yield done.pop(index)
    finally:
        for worker in pool:
            worker.stop()


def _hand_out(pool: list[_Worker], todo: deque[int], shards: Sequence[Any]) -> None:
    for worker in pool:
        if worker.index is None and todo:
            index = todo.popleft()
            worker.give(index, shards[index])


def _collect(worker: _Worker, done: dict[int, Any]) -> bool:
    """Takes a finished worker's result; False when the worker is dead instead."""
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


def _again(worker: _Worker, todo: deque[int], tries: list[int]) -> None:
    """Puts a dead worker's shard back in front, or gives up on it."""
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


def _call(fn: Callable[[S], R], folder: str, shard: S) -> R:
    """What Ray runs: a function, for it takes no functools.partial, and in the caller's folder."""
    try:
        os.chdir(folder)
    except OSError as e:
        raise DoseError(
            f"{folder} cannot be entered on a machine of the cluster ({e.strerror}); "
            "put the project where all its machines see it under the same path."
        ) from e
    return fn(shard)


def _on_ray(fn: Callable[[S], R], shards: Sequence[S], count: int, describe: str) -> Iterator[R]:
    start_ray()
    import ray

    task: Any = ray.remote(max_retries=TRIES - 1, retry_exceptions=False)(_call).options(name=describe)
    job = ray.put(fn)  # once, not with every shard: it may carry a catalogue
    running: deque[Any] = deque()
    todo = iter(shards)
    # At most `count` beyond the one awaited, so that results do not pile up in the object store.
    for shard in todo:
        running.append(task.remote(job, os.getcwd(), shard))
        if len(running) >= count:
            break
    while running:
        try:
            result = ray.get(running[0])
        except ray.exceptions.RayTaskError as e:
            raise e.as_instanceof_cause() from e
        except ray.exceptions.RayError as e:
            raise DoseError(
                f"A shard of '{describe}' was lost {TRIES} times on the cluster ("
                f"{' '.join(str(e).split())[:200]}); "
                "use fewer workers or smaller shards."
            ) from e
        running.popleft()
        for shard in todo:
            running.append(task.remote(job, os.getcwd(), shard))
            break
        yield result


def start_ray(*, cpus: float | None = None, gpus: float | None = None) -> bool:
    """Connects to the cluster that RAY_ADDRESS names, else starts an embedded one; False if that was done.

    The embedded one listens on loopback with a token of its own, has no dashboard and a small object store
    (nothing large goes through it), and dies with this process. A cluster needs RAY_AUTH_TOKEN or
    RAY_AUTH_TOKEN_PATH, as docs/cluster.md tells. Raises DoseError when the cluster cannot be reached.
    """
    address = os.environ.get("RAY_ADDRESS")
    if "ray" not in sys.modules:  # its C++ core reads these while it is imported
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        if address:
            os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")  # of half a minute each, not 20
        else:
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's way to say: loopback only
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.ERROR)
    import ray

    if ray.is_initialized():
        return False
    if address:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        except (ConnectionError, RuntimeError) as e:
            raise DoseError(
                f"No Ray cluster answers at RAY_ADDRESS={address} ("
                f"{' '.join(str(e).split())[:200]}); "
                "start it, mend the address or its token, or unset RAY_ADDRESS to run on this machine."
            ) from e
        return True
    _start_embedded(ray, cpus, gpus)
    return True


def _start_embedded(ray: Any, cpus: float | None, gpus: float | None) -> None:
    """Ray gives its own processes 30 s to come up, which a busy machine may miss: three tries."""
    folder = _short_folder()
    for last in (False, False, True):
        try:
            ray.init(
                address="local",
                _temp_dir=folder,
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.WARNING,
            )
            return
        except Exception as e:  # of no type of its own
            ray.shutdown()
            if last or "startup" not in str(e):
                told = " ".join(str(e).split())[:200]
                if isinstance(e, OSError):  # its folder: too long a name, no right to write, a full disk
                    advice = "set RAY_TMPDIR to a folder with a short path that can be written"
                else:
                    advice = "free some memory or processor time"
                raise DoseError(
                    f"Ray did not start on this machine ({told}); {advice} and run the same command again."
                ) from e


def _short_folder() -> str | None:
    """A folder for Ray's sockets where the usual one would make their paths too long; None where it does not.

    Ray's own part of their paths has up to 69 bytes, and the system takes 107 (a Mac 103).
    """
    usual = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    if len(os.fsencode(usual)) <= SOCKET_FOLDER_BYTES or sys.platform == "win32":
        return None
    for short in ("/tmp", "/var/tmp", "/dev/shm"):
        if os.access(short, os.W_OK):
            return f"{short}/ray-{os.getuid()}"
    return None


def stop_ray() -> None:
    """Leaves the cluster, or ends the embedded one; does nothing where Ray was never imported."""
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
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
