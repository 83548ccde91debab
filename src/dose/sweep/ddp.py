"""Distributed data parallel (DDP) training of one trial: processes on one machine, each with its own GPU.

Rank 0 is the trial itself, so reports, checkpoints and resuming work as for a trial of one process. A
multi-GPU trial therefore reserves all its GPUs on one machine; trials are spread over machines, the processes
of one trial are not.
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


def train_distributed(train: Train, processes: int, hyper: dict[str, Any], out: Path, report: Report) -> None:
    """Calls `train` in this process as rank 0 and in `processes` - 1 others; only rank 0 reports.

    If one of the others dies, this process exits at once with an error: Tune then restarts the trial from its
    last state.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # the system picks a free port
        port = probe.getsockname()[1]
    # Forked processes cannot use CUDA.
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_worker, args=(train, hyper, out, rank, processes, port), daemon=True)
        for rank in range(1, processes)
    ]
    for process in others:
        process.start()
    # From here on, a rank that dies ends this process.
    finished = threading.Event()
    threading.Thread(target=_watch, args=(others, finished), daemon=True).start()
    try:
        _join_group(0, processes, port)
        train(hyper, out, report)
    finally:
        finished.set()
        _leave_group()
        for process in others:
            process.join(timeout=30)
            process.kill()


def _worker(train: Train, hyper: dict[str, Any], out: Path, rank: int, processes: int, port: int) -> None:
    die_with_parent()
    _join_group(rank, processes, port)
    train(hyper, out, lambda step, metrics: None)
    _leave_group()


def _join_group(rank: int, processes: int, port: int) -> None:
    import torch
    import torch.distributed as dist

    backend = "nccl" if torch.cuda.is_available() else "gloo"
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group(backend, init_method=address, rank=rank, world_size=processes)


def _leave_group() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


def _watch(others: list[BaseProcess], finished: threading.Event) -> None:
    """NCCL would wait many minutes for a process that died; exiting restarts the trial within seconds."""
    while not finished.is_set() and all(process.is_alive() for process in others):
        wait([process.sentinel for process in others], timeout=1.0)
    if not finished.is_set() and any(process.exitcode for process in others):
        os._exit(1)
