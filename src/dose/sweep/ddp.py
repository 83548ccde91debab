"""Several processes train one model (DDP), each with a GPU of its own, on one machine.

The first of them is the trial itself, so reports, checkpoints and resuming are what they are for a trial of
one process. A multi-GPU trial therefore asks for all its GPUs on one machine; trials, not their parts, are
spread over machines.
"""

import multiprocessing
import os
import socket
import threading
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from dose.files import die_with_parent
from dose.sweep.trial import Report, Train


def train_together(train: Train, processes: int, hyper: dict[str, Any], out: Path, report: Report) -> None:
    """Calls `train` in this process as rank 0 and in `processes` - 1 others; only this one reports.

    Should one of the others die, this process ends at once with an error: the trial is then started again
    from its last state.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_other, args=(train, hyper, out, rank, processes, port), daemon=True)
        for rank in range(1, processes)
    ]
    for process in others:
        process.start()
    finished = threading.Event()
    threading.Thread(target=_watch, args=(others, finished), daemon=True).start()
    try:
        _join(0, processes, port)
        train(hyper, out, report)
    finally:
        finished.set()
        _leave()
        for process in others:
            process.join(timeout=30)
            process.kill()


def _other(train: Train, hyper: dict[str, Any], out: Path, rank: int, processes: int, port: int) -> None:
    die_with_parent()
    _join(rank, processes, port)
    train(hyper, out, lambda step, metrics: None)
    _leave()


def _join(rank: int, processes: int, port: int) -> None:
    import torch
    import torch.distributed as dist

    backend = "nccl" if torch.cuda.is_available() else "gloo"
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group(backend, init_method=address, rank=rank, world_size=processes)


def _leave() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


def _watch(others: list[BaseProcess], finished: threading.Event) -> None:
    """NCCL would wait many minutes for a process that is gone; leaving brings the trial back in seconds."""
    while not finished.is_set() and all(process.is_alive() for process in others):
        wait([process.sentinel for process in others], timeout=1.0)
    if not finished.is_set() and any(process.exitcode for process in others):
        os._exit(1)
