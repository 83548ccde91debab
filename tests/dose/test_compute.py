"""The choice of device, number format and threads, with made-up rates in place of measured ones."""

import threading

import pytest
import threadpoolctl
import torch

from dose import compute
from dose.errors import ConfigError

CPU = torch.device("cpu")


def nothing() -> None:
    pass


ALL = {name: lambda: nothing for name in ("fp32", "bf16", "fp16", "int8")}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture
def rates(monkeypatch):
    """Sets what a measurement finds, and counts the measurements."""

    class Rates:
        def __init__(self):
            self.found, self.taken = {}, 0

        def measure(self, candidates, flop, threads):
            self.taken += 1
            return dict(self.found)

    fake = Rates()
    monkeypatch.setattr(compute, "_measure", fake.measure)
    monkeypatch.setattr(compute, "cores", lambda: 2)
    return fake


def chosen(threads: bool = False, wanted: str = "auto", what: str = "work") -> compute.Choice:
    return compute.choose(wanted, CPU, what, ALL, flop=1.0, threads=threads)


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16", "int8"])
def test_auto_chooses_the_fastest_format(rates, name):
    rates.found = {"fp32": 10.0, "bf16": 11.0, "fp16": 9.0, "int8": 8.0} | {name: 40.0}
    assert chosen().format == name
    assert chosen().why == "measured"
    assert f"{name} 40" in chosen().sentence


@pytest.mark.parametrize(("bf16", "format_"), [(0.6, "fp32"), (11.0, "fp32"), (12.4, "fp32"), (12.6, "bf16")])
def test_a_lower_format_must_be_clearly_faster_than_fp32(rates, bf16, format_):
    rates.found = {"fp32": 10.0, "bf16": bf16}
    assert chosen().format == format_


def test_of_two_equally_fast_formats_the_more_accurate_is_chosen(rates):
    rates.found = {"fp32": 10.0, "fp16": 38.0, "int8": 41.0}
    assert chosen().format == "fp16"
    rates.found = {"fp32": 10.0, "fp16": 38.0, "int8": 53.0}
    assert chosen(what="other work").format == "int8"


@pytest.mark.parametrize(("two", "threads"), [(9.0, 1), (13.0, 1), (15.0, 2), (20.0, 2)])
def test_a_second_thread_needs_a_minimum_speedup(rates, two, threads):
    rates.found = {"fp32": 10.0, "bf16": 1.0, "fp32 with 2 threads": two}
    assert chosen(threads=True).threads == threads


def test_rates_are_measured_once_per_machine_and_kind_of_work(rates, monkeypatch):
    rates.found = {"fp32": 10.0, "bf16": 30.0}
    first = chosen()
    rates.found = {"fp32": 10.0, "bf16": 1.0}
    assert chosen() == first
    assert rates.taken == 1
    assert chosen(what="other work").format == "fp32"
    monkeypatch.setattr(compute, "machine", lambda: "another machine")
    assert chosen().format == "fp32"
    assert rates.taken == 3


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 3}', "\x00\xff"])
def test_a_broken_cache_is_replaced(rates, content):
    compute.cache_file().parent.mkdir(parents=True)
    compute.cache_file().write_text(content)
    rates.found = {"fp32": 10.0, "bf16": 30.0}
    assert chosen().format == "bf16"
    assert chosen().format == "bf16"
    assert rates.taken == 1


def test_a_cache_that_cannot_be_written_costs_a_measurement_each_time(rates, tmp_path):
    (tmp_path / "dose").write_text("a file where the folder should be")
    rates.found = {"fp32": 10.0, "bf16": 30.0}
    assert chosen().format == chosen().format == "bf16"
    assert rates.taken == 2


def test_an_explicit_format_is_used_whatever_the_rates(rates):
    rates.found = {"fp32": 1.0, "bf16": 100.0}
    assert chosen(wanted="fp32").format == "fp32"
    assert chosen(wanted="fp32").why == "set"
    assert rates.taken == 0


def test_a_format_that_the_cpu_lacks_is_refused_with_the_available_ones():
    def lacking() -> compute.Work:
        raise RuntimeError("no such kernel")

    candidates = {**ALL, "fp16": lacking}
    with pytest.raises(ConfigError, match=r"'fp16'.*it has fp32, bf16, int8\."):
        compute.choose("fp16", CPU, "work", candidates, flop=1.0)
    with pytest.raises(ConfigError, match="it has fp32, bf16"):
        compute.choose("fp64", CPU, "work", candidates, flop=1.0)


def test_formats_that_the_cpu_lacks_are_not_measured():
    def lacking() -> compute.Work:
        raise RuntimeError("no such kernel")

    found = compute.choose("auto", CPU, "work", {"fp32": lambda: nothing, "fp16": lacking}, flop=1.0)
    assert set(found.rates) == {"fp32"}
    assert found.format == "fp32"


@pytest.mark.parametrize(("has_bf16", "format_"), [(True, "bf16"), (False, "fp32")])
def test_a_gpu_with_bf16_uses_it_without_measuring(rates, monkeypatch, has_bf16, format_):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    on = torch.device("cuda")
    assert compute.choose("auto", on, "work", ALL, flop=1.0).format == format_
    with pytest.raises(ConfigError, match=r"'int8'.*a GPU.*fp32"):
        compute.choose("int8", on, "work", ALL, flop=1.0)
    assert rates.taken == 0


def test_a_measured_rate_is_the_work_over_its_fastest_run(monkeypatch):
    clock = iter([0.0, 1.0])  # began, and after the first run: a second, far more than a probe may take
    monkeypatch.setattr(compute.time, "perf_counter", lambda: next(clock))
    assert compute._seconds(nothing) == 1.0


def test_absent_devices_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert compute.device().type == "cpu"
    for name in ("cuda", "cuda:1", "warp", "mps"):
        with pytest.raises(ConfigError, match=name):
            compute.device(name)


def blas_threads() -> set[int]:
    return {one["num_threads"] for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas"}


def test_threads_are_limited_within_the_block_and_restored_after_it():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    inside, leave, seen = threading.Event(), threading.Event(), []

    def other() -> None:
        with compute.limited_threads(1):
            inside.set()
            leave.wait()
            seen.append(torch.get_num_threads())

    thread = threading.Thread(target=other)
    try:
        with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
            with compute.limited_threads(1):
                thread.start()
                inside.wait()
                assert torch.get_num_threads() == 1
                leave.set()
                thread.join()
                assert seen == [1]
                assert blas_threads() == {1}  # one number for the process, and this block is still at work
            assert torch.get_num_threads() == 2
            assert blas_threads() == {2}
    finally:
        leave.set()
        torch.set_num_threads(before)


def test_a_count_of_0_leaves_the_threads_unchanged():
    before = torch.get_num_threads()
    with compute.limited_threads(0):
        assert torch.get_num_threads() == before


def test_omp_num_threads_takes_precedence(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with compute.limited_threads(before + 1):
        assert torch.get_num_threads() == before
