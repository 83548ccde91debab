"""Adaptive batching: the same one-shots as alone, fewer batches, and bounded waiting."""

import concurrent.futures
import threading
import time
from concurrent.futures import Future

import numpy as np
import pytest
import tiny_bundle
import torch
from song import song

from serving.models.batcher import Batcher, Call


class CountingModel:
    """A model whose output for a sequence depends on that sequence alone; it records every batch's size."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[tuple[str, int]] = []
        self.seconds = seconds

    def __call__(self, drum, prompts, sampling):
        self.batches.append((drum, len(sampling)))
        time.sleep(self.seconds)
        return np.array([[float(p.sum()) + r] for p, r in zip(prompts, sampling, strict=True)])


def run_concurrently(batcher, calls):
    """All calls at once, each from a thread of its own; their results in order."""
    answers = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def one(i):
        with batcher.active_request():
            barrier.wait()
            answers[i] = batcher(*calls[i])

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return answers


def call(drum: str, count: int, value: int, length: int = 3):
    return drum, torch.full((count, 2, length), value), list(range(count))


def test_rows_of_one_model_go_together_and_come_back_to_their_callers():
    model = CountingModel()
    batcher = Batcher(model, wait=1.0, max_size=48)
    calls = [call("kick", 2, 1), call("kick", 3, 5), call("kick", 1, 7)]
    answers = run_concurrently(batcher, calls)
    assert model.batches == [("kick", 6)]
    for (_, prompts, rules), answer in zip(calls, answers, strict=True):
        assert answer[:, 0].tolist() == [float(p.sum()) + r for p, r in zip(prompts, rules, strict=True)]
    batcher.close()


def test_other_drums_and_other_lengths_are_batches_of_their_own():
    model = CountingModel()
    batcher = Batcher(model, wait=1.0, max_size=48)
    run_concurrently(
        batcher, [call("kick", 1, 1), call("snare", 1, 1), call("kick", 1, 1, length=4), call("kick", 1, 2)]
    )
    assert sorted(model.batches) == [("kick", 1), ("kick", 2), ("snare", 1)]
    batcher.close()


def test_a_call_of_another_length_stays_in_the_queue():
    """Taking the third call out of the queue must not compare its tensors with those of the second."""
    batcher = Batcher(CountingModel(), wait=0.0, max_size=48)
    batcher.close()
    short, long, second = (
        Call(drum="kick", prompts=torch.zeros(1, 2, n), sampling=[0], result=Future()) for n in (3, 4, 3)
    )
    batcher._calls = [short, long, second]
    assert batcher._next_batch() == [short, second]
    assert batcher._calls == [long]


def test_no_batch_is_larger_than_allowed():
    model = CountingModel(seconds=0.02)
    batcher = Batcher(model, wait=0.2, max_size=4)
    run_concurrently(batcher, [call("kick", 3, i) for i in range(5)])
    assert [size for _, size in model.batches] == [3] * 5
    batcher.close()


def test_a_lone_request_does_not_wait():
    batcher = Batcher(CountingModel(), wait=600.0, max_size=48)
    with batcher.active_request(), concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(batcher, *call("kick", 1, 1)).result(timeout=60)
    batcher.close()


def test_an_idle_request_is_waited_for_no_longer_than_allowed():
    batcher = Batcher(CountingModel(), wait=0.1, max_size=48)
    with batcher.active_request(), batcher.active_request():
        since = time.monotonic()
        batcher(*call("kick", 1, 1))
        assert time.monotonic() - since > 0.08
    batcher.close()


def test_a_failure_reaches_every_caller_of_the_batch_and_the_next_one_works():
    class Broken(CountingModel):
        def __call__(self, drum, prompts, rules):
            if drum == "snare":
                raise RuntimeError("no memory")
            return super().__call__(drum, prompts, rules)

    batcher = Batcher(Broken(), wait=0.05, max_size=48)
    with pytest.raises(RuntimeError, match="no memory"):
        batcher(*call("snare", 1, 1))
    assert batcher(*call("kick", 1, 1)).shape == (1, 1)
    batcher.close()


@pytest.mark.slow
def test_an_extraction_is_the_same_alone_and_in_a_shared_batch(tmp_path):
    from dose.extract.extractor import Extractor

    extractor = Extractor.load(tiny_bundle.make(tmp_path))
    mixes = [song(2, seed=i) for i in range(3)]
    alone = [extractor.extract(mix, 44100, seed=i) for i, mix in enumerate(mixes)]
    sizes = []
    plain = extractor.sample

    def sample(drum, prompts, rules):
        sizes.append(len(rules))
        return plain(drum, prompts, rules)

    batcher = Batcher(sample, wait=2.0, max_size=48)
    extractor.sample = batcher
    batched: list = [None] * 3

    def one(i):
        with batcher.active_request():
            batched[i] = extractor.extract(mixes[i], 44100, seed=i)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batcher.close()
    assert max(sizes) > max(1, min(sizes)) or len(sizes) == 3, "batches were shared"
    for a, b in zip(alone, batched, strict=True):
        for drum in a.hits:
            assert [h.seed for h in a.hits[drum]] == [h.seed for h in b.hits[drum]]
            for x, y in zip(a.hits[drum], b.hits[drum], strict=True):
                np.testing.assert_allclose(x.raw, y.raw, atol=1e-5)
