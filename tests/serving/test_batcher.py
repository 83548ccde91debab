"""Joined passes: the same rows as alone, fewer passes, nobody waits for nobody."""

import threading
import time
from concurrent.futures import Future

import numpy as np
import pytest
import tiny_bundle
import torch
from song import song

from serving.models.batcher import Batcher, Call


class Counted:
    """A model whose answer for a row depends on that row alone; it notes the size of every pass."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.passes: list[tuple[str, int]] = []
        self.seconds = seconds

    def __call__(self, drum, prompts, rules):
        self.passes.append((drum, len(rules)))
        time.sleep(self.seconds)
        return np.array([[float(p.sum()) + r] for p, r in zip(prompts, rules, strict=True)])


def together(batcher, calls):
    """All calls at once, each from a thread of its own; their answers in order."""
    answers = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def one(i):
        with batcher.at_work():
            gate.wait()
            answers[i] = batcher(*calls[i])

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return answers


def call(drum: str, rows: int, value: int, length: int = 3):
    return drum, torch.full((rows, 2, length), value), list(range(rows))


def test_rows_of_one_model_go_together_and_come_back_to_their_callers():
    model = Counted()
    batcher = Batcher(model, wait=1.0, rows=48)
    calls = [call("kick", 2, 1), call("kick", 3, 5), call("kick", 1, 7)]
    answers = together(batcher, calls)
    assert model.passes == [("kick", 6)]
    for (_, prompts, rules), answer in zip(calls, answers, strict=True):
        assert answer[:, 0].tolist() == [float(p.sum()) + r for p, r in zip(prompts, rules, strict=True)]
    batcher.close()


def test_other_drums_and_other_lengths_are_passes_of_their_own():
    model = Counted()
    batcher = Batcher(model, wait=1.0, rows=48)
    together(
        batcher, [call("kick", 1, 1), call("snare", 1, 1), call("kick", 1, 1, length=4), call("kick", 1, 2)]
    )
    assert sorted(model.passes) == [("kick", 1), ("kick", 2), ("snare", 1)]
    batcher.close()


def test_a_call_of_another_length_before_its_fellow_stays_in_the_queue():
    """Taking the third call out of the queue must not compare its tensors with those of the second."""
    batcher = Batcher(Counted(), wait=0.0, rows=48)
    batcher.close()
    short, long, fellow = (
        Call(drum="kick", prompts=torch.zeros(1, 2, n), rules=[0], answer=Future()) for n in (3, 4, 3)
    )
    batcher._calls = [short, long, fellow]
    assert batcher._take() == [short, fellow]
    assert batcher._calls == [long]


def test_no_pass_is_larger_than_allowed():
    model = Counted(seconds=0.02)
    batcher = Batcher(model, wait=0.2, rows=4)
    together(batcher, [call("kick", 3, i) for i in range(5)])
    assert [size for _, size in model.passes] == [3] * 5
    batcher.close()


def test_a_lone_request_does_not_wait():
    batcher = Batcher(Counted(), wait=5.0, rows=48)
    since = time.monotonic()
    with batcher.at_work():
        batcher(*call("kick", 1, 1))
    assert time.monotonic() - since < 1
    batcher.close()


def test_a_request_that_never_asks_is_not_waited_for_longer_than_allowed():
    batcher = Batcher(Counted(), wait=0.1, rows=48)
    with batcher.at_work(), batcher.at_work():
        since = time.monotonic()
        batcher(*call("kick", 1, 1))
        assert 0.08 < time.monotonic() - since < 2
    batcher.close()


def test_a_failure_reaches_every_caller_of_the_pass_and_the_next_one_works():
    class Broken(Counted):
        def __call__(self, drum, prompts, rules):
            if drum == "snare":
                raise RuntimeError("no memory")
            return super().__call__(drum, prompts, rules)

    batcher = Batcher(Broken(), wait=0.05, rows=48)
    with pytest.raises(RuntimeError, match="no memory"):
        batcher(*call("snare", 1, 1))
    assert batcher(*call("kick", 1, 1)).shape == (1, 1)
    batcher.close()


@pytest.mark.slow
def test_a_real_extraction_is_the_same_alone_and_in_company(tmp_path):
    from dose.extract.extractor import Extractor

    extractor = Extractor.load(tiny_bundle.make(tmp_path))
    mixes = [song(2, seed=i) for i in range(3)]
    alone = [extractor.extract(mix, 44100, seed=i) for i, mix in enumerate(mixes)]
    sizes = []
    plain = extractor.sample

    def sample(drum, prompts, rules):
        sizes.append(len(rules))
        return plain(drum, prompts, rules)

    batcher = Batcher(sample, wait=2.0, rows=48)
    extractor.sample = batcher
    company: list = [None] * 3

    def one(i):
        with batcher.at_work():
            company[i] = extractor.extract(mixes[i], 44100, seed=i)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batcher.close()
    assert max(sizes) > max(1, min(sizes)) or len(sizes) == 3, "rows were joined"
    for a, b in zip(alone, company, strict=True):
        for drum in a.hits:
            assert [h.seed for h in a.hits[drum]] == [h.seed for h in b.hits[drum]]
            for x, y in zip(a.hits[drum], b.hits[drum], strict=True):
                np.testing.assert_allclose(x.raw, y.raw, atol=1e-5)
