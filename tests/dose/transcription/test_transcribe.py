"""Recordings to hits: windows are joined without seams, whatever their number."""

import types

import numpy as np
import pytest
import torch

from dose import compute
from dose.audio import RATE
from dose.transcription import transcribe
from dose.transcription.front_end import BANDS, FRAME_RATE
from dose.transcription.hits import HIT_CLASSES, Hit
from dose.transcription.network import NetworkConfig, TranscriptionNetwork
from dose.transcription.transcribe import Activations, join


@pytest.fixture
def clicks(monkeypatch):
    """Instead of the network: every sample of value 1 is a kick, of value .5 a snare; edges are no hits."""

    def activations(mono, net):
        onsets = np.zeros((len(HIT_CLASSES), len(mono) // 441 + 1))
        grid = np.arange(onsets.shape[1])
        for row, value in ((0, 1.0), (1, 0.5)):
            for sample in np.flatnonzero(mono == value):
                bell = np.exp(-0.5 * (grid - sample / RATE * FRAME_RATE) ** 2)
                onsets[row] = np.maximum(onsets[row], bell)
        bands = np.zeros((BANDS, onsets.shape[1]))
        return Activations(onsets=onsets, velocities=np.full_like(onsets, 0.5), bands=bands)

    monkeypatch.setattr(transcribe, "activations", activations)
    monkeypatch.setattr(transcribe, "bundled_network", lambda: types.SimpleNamespace(second_pass=None))


@pytest.mark.parametrize("seconds", [0.7, 3.0, 4.0, 4.5, 6.0, 13.3])
def test_every_hit_is_found_once_wherever_windows_meet(clicks, seconds):
    rng = np.random.default_rng(int(seconds * 10))
    mono = np.zeros(int(seconds * RATE), np.float32)
    times = np.sort(rng.choice(np.arange(0.0, seconds - 0.05, 0.125), min(30, int(seconds * 8) - 1), False))
    mono[(times * RATE).astype(int)] = np.where(rng.random(len(times)) < 0.5, 1.0, 0.5)
    found = transcribe.transcribe(mono)
    assert [h.seconds for h in found.hits] == pytest.approx(times, abs=1e-3)
    assert [h.drum for h in found.hits] == ["kick" if mono[int(t * RATE)] == 1 else "snare" for t in times]
    assert found.seconds == pytest.approx(seconds, abs=1e-4)


def test_a_class_that_is_certain_nowhere_is_not_there():
    hits = [Hit(seconds=s, drum="kick", velocity=90, probability=p) for s, p in ((1.0, 0.55), (2.0, 0.7))]
    hits += [Hit(seconds=s, drum="clap", velocity=90, probability=0.6) for s in (1.0, 2.0, 3.0)]
    assert [(h.seconds, h.drum) for h in join(hits, 10.0).hits] == [(1.0, "kick"), (2.0, "kick")]


def test_silence_and_a_few_samples_have_no_hits(clicks):
    assert transcribe.transcribe(np.zeros(RATE, np.float32)).hits == ()
    assert transcribe.transcribe(np.zeros(3, np.float32)).rhythm is None


@pytest.fixture
def two_cores(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(compute, "cores", lambda: 2)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def small_network():
    return TranscriptionNetwork(NetworkConfig(channels=(4, 4, 4, 4), features=8, hidden=4, layers=1)).eval()


@pytest.mark.parametrize(("two", "threads"), [(3.0, 1), (13.0, 1), (15.0, 2)])
def test_the_network_runs_on_as_many_threads_as_are_worth_it(two_cores, monkeypatch, two, threads):
    monkeypatch.setattr(compute, "_measure", lambda *_: {"fp32": 10.0, "fp32 with 2 threads": two})
    net, seen = small_network(), []
    net.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    transcribe.activations(np.zeros(RATE, np.float32), net)
    assert seen == [threads]
    assert torch.get_num_threads() == 2


def test_threads_are_measured_on_the_network_itself_and_once(two_cores, monkeypatch):
    net, runs = small_network(), []
    net.register_forward_hook(lambda *_: runs.append(torch.get_num_threads()))
    choice = transcribe.choose_threads(net)
    assert set(runs) == {1, 2}
    assert set(choice.rates) == {"fp32", "fp32 with 2 threads"}
    # Another process finds the rates in the file.
    transcribe.choose_threads.cache_clear()
    monkeypatch.setattr(compute, "_measure", None)
    assert transcribe.choose_threads(net) == choice
